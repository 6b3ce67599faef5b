"""People, their roles and their groups, for whoever has the command line: the first administrator comes from here."""

import getpass
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from connections_portal import people, roles
from connections_portal.errors import OperationError
from connections_portal.groups import add_group, groups
from connections_portal.models import User
from connections_portal.roles import Role

ROLES = {role.value.lower(): role for role in Role}


class Command(BaseCommand):
    """``manage.py people add|change|remove|list``. A password is asked for, or comes from PASSWORD or a file."""

    help = "Add people, change their role and groups, deactivate or remove who has left, list who there is."

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
        remove = commands.add_parser("remove", help="delete the account; history keeps the name")
        remove.add_argument("username")
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
        parser.add_argument(
            "--must-change", action="store_true", help="the password has to be changed at the first sign-in"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the subcommand says, all of it or nothing; it may stop what somebody answers for."""
        try:
            with transaction.atomic():
                match options["command"]:
                    case "add":
                        self._add(options)
                    case "change":
                        self._change(options)
                    case "remove":
                        self._remove(options["username"])
                    case _:
                        self._list(options["group"])
        except OperationError as error:
            raise CommandError(error.message) from None

    def _add(self, options: dict[str, Any]) -> None:
        password = _password(options)
        joined = self._groups_to_join(options["group"])
        person = people.add_person(
            username=options["username"],
            role=ROLES[options["role"]],
            password=password,
            groups=joined,
            must_change=options["must_change"],
            actor=None,
            **_described(options, ""),
        )
        self._say(person)

    def _change(self, options: dict[str, Any]) -> None:
        person = _somebody(options["username"])
        leaving = {group.pk for group in _groups(options["leave"])}
        kept = [group for group in groups().filter(user=person) if group.pk not in leaving]
        people.change_person(
            person=person,
            role=ROLES.get(options["role"]),
            groups=[*kept, *self._groups_to_join(options["group"])],
            actor=None,
            **_described(options, None),
        )
        if options["new_password"] or options["password_file"]:
            people.set_password(
                person=person, password=_password(options), must_change=options["must_change"], actor=None
            )
        if options["deactivate"]:
            people.deactivate_person(person=person, actor=None)
        if options["activate"]:
            people.activate_person(person=person, actor=None)
        self._say(person)

    def _remove(self, username: str) -> None:
        people.remove_person(person=_somebody(username), actor=None)
        self.stdout.write(f"{username} is removed. Whoever is to come back is better deactivated.")

    def _groups_to_join(self, names: list[str]) -> list[Group]:
        """The groups of these names; those that are missing are made."""
        joined = []
        for name in names:
            found = Group.objects.filter(name=name).first()
            if found is None:
                found = add_group(name=name, actor=None)
                self.stdout.write(f"New group: {found.name}")
            joined.append(found)
        return joined

    def _list(self, group: str | None) -> None:
        listed = User.objects.order_by("username").prefetch_related("groups")
        for person in listed.filter(groups__in=_groups([group])) if group else listed:
            names = {member.name for member in person.groups.all()}
            role = next((role.value for role in Role if role.value in names), "no role")
            others = ", ".join(sorted(names - {role.value for role in Role}))
            active = "" if person.is_active else "  (deactivated)"
            self.stdout.write(f"{person.username}  {person}  {role}  {others}{active}".rstrip())

    def _say(self, person: User) -> None:
        role = roles.role_of(User.objects.get(pk=person.pk))
        self.stdout.write(f"{person.username}: {role.value if role else 'cannot sign in'}")


def _somebody(username: str) -> User:
    person = User.objects.filter(username=username).first()
    if person is None:
        raise CommandError(f"There is nobody called {username}.")
    return person


def _described(options: dict[str, Any], otherwise: str | None) -> dict[str, Any]:
    """First name, last name and address; ``otherwise`` stands for what is not given."""
    first, last = otherwise, otherwise
    if options["name"] is not None:
        first, _space, last = options["name"].strip().partition(" ")
    email = otherwise if options["email"] is None else options["email"]
    return {"first_name": first, "last_name": last, "email": email}


def _groups(names: list[str]) -> list[Group]:
    """The groups of these names, none of them a role."""
    found = {group.name: group for group in groups()}
    missing = [name for name in names if name not in found]
    if missing:
        raise CommandError(f"There is no group called {', '.join(missing)}.")
    return [found[name] for name in names]


def _password(options: dict[str, Any]) -> str:
    """From the file, from PASSWORD, or asked for twice."""
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
    return password
