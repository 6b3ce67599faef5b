"""*Data privacy and compliance*: the text a person agrees to, for one service and one target.

The wording is versioned; what is stored with an agreement is the version, the whole text as shown and its
SHA-256 over text and links. A person agrees to the text they were shown: the form carries its hash.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from connections import connectors
from connections.connectors.base import Connector
from connections.models import Connection, Consent, KeyVault
from connections.sealed import digest
from connections_portal.models import User

# Each direction has its own text and its own version.
VERSION = "1"
IMPORT_VERSION = "1"
VAULT_VERSION = "1"
# What an agreement about a Key Vault has in place of a connection's type.
VAULT_TYPE = "azure_key_vault"
MICROSOFT_STATEMENT = "https://privacy.microsoft.com/privacystatement"


@dataclass(frozen=True)
class Wording:
    """One text as shown: paragraphs, links as ``(label, url)``, and the hash over both."""

    version: str
    paragraphs: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    hash: str

    @property
    def text(self) -> str:
        """The paragraphs and links as plain text."""
        return "\n\n".join([*self.paragraphs, *(f"{label}: {url}" for label, url in self.links)])


def wording(connector: type[Connector], target_label: str) -> Wording:
    """The current text for this service; ``target_label`` is empty until a target has been typed."""
    service = f"{connector.name} ({target_label})" if target_label else connector.name
    versions: list[str] = []
    paragraphs: tuple[str, ...] = ()
    if connector.serves("export"):
        versions.append(VERSION)
        paragraphs += _sent_out(service)
    if connector.serves("enrichment"):
        versions.append(IMPORT_VERSION)
        paragraphs += _brought_in(service)
    links: tuple[tuple[str, str], ...] = ()
    if settings.PRIVACY_STATEMENT_URL:
        links = ((_("Privacy statement"), settings.PRIVACY_STATEMENT_URL),)
    version = "+".join(versions)
    return Wording(version, paragraphs, links, digest([version, paragraphs, links]))


def vault_wording(host: str) -> Wording:
    """The current text for linking this vault; ``host`` is empty until one has been chosen."""
    vault = _("the Azure Key Vault %(host)s") % {"host": host} if host else _("an Azure Key Vault")
    paragraphs = (
        _(
            "When you link it you allow Connections Portal to read secrets of %(vault)s, and to show their names, "
            "versions and dates to administrators here."
        )
        % {"vault": vault},
        _(
            "The value of a secret is read when it is used: when a run, a verification or a list of choices needs it, "
            "at your instruction. It may stay in memory for a minute and is never stored; each reading is recorded "
            "without it."
        ),
        _(
            "It is for you to make sure that these secrets may be used here: that the portal is granted no more than "
            "listing and reading them, and that %(vault)s meets the privacy and security obligations you are under. "
            "You answer for what is done with what they open."
        )
        % {"vault": vault},
        _("You can unlink it at any time; from then on nothing is read."),
    )
    links: tuple[tuple[str, str], ...] = ((_("Microsoft Privacy Statement"), MICROSOFT_STATEMENT),)
    if settings.PRIVACY_STATEMENT_URL:
        links = ((_("Privacy statement"), settings.PRIVACY_STATEMENT_URL), *links)
    return Wording(VAULT_VERSION, paragraphs, links, digest([VAULT_VERSION, paragraphs, links]))


def give_for_vault(*, vault: KeyVault, person: User, shown: Wording) -> Consent:
    """Record that ``person`` agreed to ``shown`` for this vault, inside the caller's transaction."""
    return _given(shown, _about_vault(vault, person))


def withdraw_for_vault(*, vault: KeyVault, person: User) -> Consent:
    """Record that the agreement in force for this vault has ended, inside the caller's transaction."""
    return _withdrawn(vault.consent, _about_vault(vault, person))


def _about_vault(vault: KeyVault, person: User) -> dict[str, Any]:
    return {
        "person_id": person.pk,
        "person_label": str(person)[:150],
        "connection_uuid": vault.uuid,
        "connection_name": vault.name[:100],
        "type_key": VAULT_TYPE,
        "target_label": vault.host,
        "target_digest": digest([VAULT_TYPE, vault.host]),
    }


def _sent_out(service: str) -> tuple[str, ...]:
    """Obligations for data that leaves."""
    return (
        _(
            "When you save this connection you allow data, personal data included, to leave this company's "
            "customer data for %(service)s."
        )
        % {"service": service},
        _("Connections Portal transfers it at your instruction, whenever an export on this connection runs."),
        _(
            "It is for you to make sure that the people concerned agreed to this use of their data, and that "
            "%(service)s meets the privacy and security obligations you are under."
        )
        % {"service": service},
        _("You can remove this connection at any time; from then on nothing is transferred."),
    )


def _brought_in(service: str) -> tuple[str, ...]:
    """Obligations for data that comes in."""
    return (
        _(
            "When you save this connection you allow data, personal data included, to be brought in from %(service)s "
            "and joined to what this company knows of its customers."
        )
        % {"service": service},
        _(
            "Connections Portal fetches it at your instruction, whenever an enrichment on this connection runs."
        ),
        _(
            "It is for you to make sure that this company may have this data and use it so: that the people concerned "
            "were told and agreed where they have to, and that whoever gives it through %(service)s allows this use."
        )
        % {"service": service},
        _(
            "You answer for what comes in: that it is right, is no more than is needed, and is corrected or deleted "
            "when somebody concerned asks for it."
        ),
        _(
            "You can remove this connection at any time; from then on nothing is brought in. What came in before stays "
            "until the enrichment that brought it is deleted."
        ),
    )


def give(*, connection: Connection, person: User, shown: Wording) -> Consent:
    """Record that ``person`` agreed to ``shown`` for this connection, inside the caller's transaction."""
    return _given(shown, _about(connection, person))


def recorded(uuid: UUID | None) -> Consent | None:
    """The agreement that a run has noted; None where it noted none."""
    return Consent.objects.filter(uuid=uuid).first() if uuid else None


def withdraw(*, connection: Connection, person: User) -> Consent:
    """Record that ``person`` took back the agreement in force, inside the caller's transaction."""
    given = connection.consent
    assert given is not None
    return _withdrawn(given, _about(connection, person))


def _given(shown: Wording, about: dict[str, Any]) -> Consent:
    return Consent.objects.create(
        action=Consent.Action.GIVEN,
        wording_version=shown.version,
        wording_hash=shown.hash,
        wording=shown.text,
        **about,
    )


def _withdrawn(given: Consent, about: dict[str, Any]) -> Consent:
    return Consent.objects.create(
        action=Consent.Action.WITHDRAWN,
        wording_version=given.wording_version,
        wording_hash=given.wording_hash,
        wording=given.wording,
        **about,
    )


def _about(connection: Connection, person: User) -> dict[str, Any]:
    connector = connectors.get(connection.type_key)
    return {
        "person_id": person.pk,
        "person_label": str(person)[:150],
        "connection_uuid": connection.uuid,
        "connection_name": connection.name,
        "type_key": connection.type_key,
        "target_label": connector.target_label(connection.settings) if connector else "",
        "target_digest": connection.target_digest,
    }
