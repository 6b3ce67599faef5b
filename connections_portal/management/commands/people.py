"""People, their roles and their groups, until the portal has a page for them."""

import getpass
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from connections_portal import audit, roles
from connections_portal.models import User
from connections_portal.names import clean_name
from connections_portal.roles import Role

ROLES = {role.value.lower(): role for role in Role}


class Command(BaseCommand):
    """``manage.py people add|change|list``. A password is asked for, or comes from PASSWORD or a file."""

    help = "Add people, change their role and groups, deactivate who has left, list who there is."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        add = commands.add_parser("add", help="a new person")
        add.add_argument("username")
        add.add_argument("--role", choices=sorted(ROLES), required=True)
        change = commands.add_parser("change", help="somebody who is there")
        change.add_argument("username")
        change.add_argument("--role", choices=sorted(ROLES))
        change.add_argument(
            "--leave", action="append", default=[], metavar="GROUP", help="take out of a group"
        )
        activity = change.add_mutually_exclusive_group()
        activity.add_argument("--deactivate", action="store_true", help="may not sign in any more")
        activity.add_argument("--activate", action="store_true", help="may sign in again")
        change.add_argument("--new-password", action="store_true", help="set another password")
        for command in (add, change):
            self._describe(command)
        listing = commands.add_parser("list", help="everybody, or the members of a group")
        listing.add_argument("--group", metavar="GROUP")

    def _describe(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", help='first and last name: "Ana Weber"')
        parser.add_argument("--email")
        parser.add_argument(
            "--group",
            action="append",
            default=[],
            metavar="GROUP",
            help="put into a group, which is made if missing",
        )
        parser.add_argument(
            "--password-file", type=Path, metavar="FILE", help="its first line is the password"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the subcommand says; each person changed is one entry in the audit."""
        try:
            with transaction.atomic():
                match options["command"]:
                    case "add":
                        self._add(options)
                    case "change":
                        with roles.keeping_an_administrator():
                            self._change(options)
                    case _:
                        self._list(options["group"])
        except roles.LastAdministrator as error:
            raise CommandError(error.message) from None
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None

    def _add(self, options: dict[str, Any]) -> None:
        if User.objects.filter(username__iexact=options["username"]).exists():
            raise CommandError(f"{options['username']} is there already. Use: people change")
        person = User(username=options["username"])
        _write(person, options)
        person.set_password(_password(options, person))
        person.full_clean()
        person.save()
        roles.assign(user=person, role=ROLES[options["role"]])
        made = self._join(person, options["group"])
        audit.record("person.added", actor=None, target=person, role=options["role"], groups=options["group"])
        self._say(person, made)

    def _change(self, options: dict[str, Any]) -> None:
        person = User.objects.select_for_update().filter(username=options["username"]).first()
        if person is None:
            raise CommandError(f"There is nobody called {options['username']}.")
        _write(person, options)
        if options["deactivate"] or options["activate"]:
            person.is_active = options["activate"]
        if options["new_password"] or options["password_file"]:
            person.set_password(_password(options, person))
        person.full_clean()
        person.save()
        if options["role"]:
            roles.assign(user=person, role=ROLES[options["role"]])
        made = self._join(person, options["group"])
        person.groups.remove(*_groups(options["leave"]))
        audit.record(
            "person.changed",
            actor=None,
            target=person,
            role=str(roles.role_of(person) or ""),
            active=person.is_active,
            joined=options["group"],
            left=options["leave"],
        )
        self._say(person, made)

    def _join(self, person: User, names: list[str]) -> list[str]:
        """Put the person into the groups; returns the names of those that were made for it."""
        made = []
        for name in names:
            if name in {role.value for role in Role}:
                raise CommandError(f"{name} is a role. Use --role.")
            group, new = Group.objects.get_or_create(name=clean_name(name))
            made += [group.name] if new else []
            person.groups.add(group)
        return made

    def _list(self, group: str | None) -> None:
        people = User.objects.order_by("username").prefetch_related("groups")
        for person in people.filter(groups__in=_groups([group])) if group else people:
            names = {member.name for member in person.groups.all()}
            role = next((role.value for role in Role if role.value in names), "no role")
            groups = ", ".join(sorted(names - {role.value for role in Role}))
            active = "" if person.is_active else "  (deactivated)"
            self.stdout.write(f"{person.username}  {person}  {role}  {groups}{active}".rstrip())

    def _say(self, person: User, made: list[str]) -> None:
        for name in made:
            self.stdout.write(f"New group: {name}")
        role = roles.role_of(User.objects.get(pk=person.pk))
        self.stdout.write(f"{person.username}: {role.value if role else 'cannot sign in'}")


def _write(person: User, options: dict[str, Any]) -> None:
    if options["name"] is not None:
        person.first_name, _space, person.last_name = clean_name(options["name"]).partition(" ")
    if options["email"] is not None:
        person.email = options["email"]


def _groups(names: list[str]) -> list[Group]:
    """The groups of these names, none of them a role."""
    found = {group.name: group for group in Group.objects.exclude(name__in=[role.value for role in Role])}
    missing = [name for name in names if name not in found]
    if missing:
        raise CommandError(f"There is no group called {', '.join(missing)}.")
    return [found[name] for name in names]


def _password(options: dict[str, Any], person: User) -> str:
    """From the file, from PASSWORD, or asked for twice; good enough by the portal's own rules (ValidationError)."""
    if options["password_file"]:
        try:
            lines = Path(options["password_file"]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['password_file']} cannot be read.") from error
        password = lines[0] if lines else ""
    elif "PASSWORD" in os.environ:
        password = os.environ["PASSWORD"]
    elif sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Once more: "):
            raise CommandError("The two passwords are not the same.")
    else:
        raise CommandError("Set PASSWORD, or give --password-file.")
    validate_password(password, person)
    return password
