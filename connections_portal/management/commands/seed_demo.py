"""Demonstration people and invented customers for ``make run``."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.text import slugify

from connections import consent, vault_clients
from connections.connectors.errors import ConnectorError
from connections.models import Consent, KeyVault, VaultIdentity, VaultScope
from connections.operations.link_vault import VaultLink, link_vault
from connections_portal import roles
from connections_portal.customer_data import write_sample_data
from connections_portal.customer_data.sample_import import FOLDER, write_sample_import
from connections_portal.errors import OperationError
from connections_portal.models import User
from connections_portal.roles import Role

PEOPLE = (
    ("admin", "Lena", "Hofmann", Role.ADMINISTRATOR),
    ("contributor", "Ana", "Weber", Role.CONTRIBUTOR),
    ("viewer", "Tomas", "Ribeiro", Role.VIEWER),
)
# Contributors that fill lists and pickers and cannot sign in, by group; nobody in "" belongs to one.
COLLEAGUES: dict[str, tuple[tuple[str, str], ...]] = {
    "Campaign team": (("Ben", "Okafor"), ("Maja", "Lind"), ("Noor", "Haddad"), ("Pavel", "Novák")),
    "Loyalty programme": (("Inês", "Duarte"), ("Jonas", "Bakker"), ("Sofia", "Rossi"), ("Maja", "Lind")),
    "Store openings": (("Emeka", "Obi"), ("Ruth", "Steiner"), ("Yuki", "Tanaka")),
    "": (("Clara", "Fournier"), ("Dylan", "Hughes"), ("Ben", "Okafor-Klein")),
}


class Command(BaseCommand):
    """``manage.py seed_demo``: safe to run at every start; the password is always the one printed."""

    help = "Create the demonstration users (password: DEMO_PASSWORD) and the sample customer data."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where the sandbox server keeps its files."""
        parser.add_argument(
            "--sandbox-files", type=Path, metavar="FOLDER", help="lay a file to bring in there, too"
        )
        parser.add_argument("--sandbox-vault", metavar="HOST", help="link this Key Vault, once")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write people, groups and sample data; refused outside ``make run``, where such people have no place."""
        if not settings.DEV:
            raise CommandError("Demonstration users are for `make run` only (PORTAL_DEV=1).")
        if not settings.DEMO_PASSWORD:
            raise CommandError("Set DEMO_PASSWORD to the password that the demonstration users get.")
        roles.sync()
        for username, first, last, role in PEOPLE:
            self._person(username, first, last, role, settings.DEMO_PASSWORD)
        for name, colleagues in COLLEAGUES.items():
            people = [
                self._person(self._username(first, last), first, last, Role.CONTRIBUTOR, None)
                for first, last in colleagues
            ]
            if name:
                Group.objects.get_or_create(name=name)[0].user_set.add(*people)
        write_sample_data()
        if options["sandbox_files"]:
            write_sample_import(options["sandbox_files"] / FOLDER)
        if options["sandbox_vault"]:
            self._link(options["sandbox_vault"])

    def _link(self, host: str) -> None:
        """Link the sandbox's Key Vault as the administrator would; one that was unlinked stays so."""
        if KeyVault.objects.filter(host=host).exists() or Consent.objects.filter(target_label=host).exists():
            return
        shown = consent.vault_wording(host)
        actor = User.objects.get(username=PEOPLE[0][0])
        try:
            listed = next((vault for vault in vault_clients.directory() if vault.host == host), None)
            link = VaultLink(
                host=host,
                identity=VaultIdentity.PORTAL,
                scope=VaultScope.ALL,
                subscription_id=listed.subscription_id if listed else "",
                subscription_name=listed.subscription_name if listed else "",
                resource_group=listed.resource_group if listed else "",
                region=listed.region if listed else "",
            )
            link_vault(link=link, agreed=True, wording_hash=shown.hash, actor=actor)
        except (OperationError, ConnectorError) as error:
            self.stderr.write(f"The sandbox Key Vault is not linked: {error}")

    def _username(self, first: str, last: str) -> str:
        """*b.okafor*, in plain letters."""
        return f"{slugify(first)[0]}.{slugify(last)}"

    def _person(self, username: str, first: str, last: str, role: Role, password: str | None) -> User:
        person, created = User.objects.get_or_create(
            username=username, defaults={"first_name": first, "last_name": last}
        )
        if password and not person.check_password(password):
            person.set_password(password)
            person.save(update_fields=["password"])
        elif created and not password:
            person.set_unusable_password()
            person.save(update_fields=["password"])
        if roles.role_of(person) is not role:
            roles.assign(user=person, role=role)
        return person
