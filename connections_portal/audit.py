"""The audit: one explicit call per operation, inside its transaction. Wording is produced when reading.

Details hold counts, field names, labels and identifiers; never a secret, never customer data. What is in use
as a secret at the moment is masked in any case.
"""

from typing import Any, Protocol
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from connections_portal.models import AuditEntry, User
from connections_portal.redaction import redact

SYSTEM = "system"

WORDS = {
    "account.signed_in": _("signed in"),
    "account.locked_out": _("was locked out after wrong passwords"),
    "account.password_changed": _("changed their password"),
    "person.added": _("added the person"),
    "person.changed": _("changed role, groups or access of"),
    "connection.verification_begun": _("began to verify the connection"),
    "connection.verified": _("verified a connection"),
    "connection.server_trusted": _("trusted a server's key"),
    "connection.created": _("set up the connection"),
    "connection.edited": _("edited the connection"),
    "connection.paused": _("paused the connection"),
    "connection.resumed": _("resumed the connection"),
    "connection.consent_withdrawn": _("withdrew the agreement for the connection"),
    "connection.shared": _("set who can use the connection"),
    "connection.seen_as": _("looked at the connections that are offered to"),
    "connection.removed": _("removed the connection"),
    "connection.remove_refused": _("tried to remove the connection"),
    "connection.tidied": _("deleted unfinished files of earlier runs at"),
    "connection.needs_attention": _("marked the connection as needing attention"),
    "secret.used": _("used the secrets of"),
    "secret.key_rotated": _("rotated the key of stored secrets"),
    "table.sample_viewed": _("looked at sample rows of"),
    "export.created": _("created the export"),
    "export.edited": _("edited the export"),
    "export.renamed": _("renamed the export"),
    "export.scheduled": _("set the schedule of the export"),
    "export.detached": _("detached the connection of the export"),
    "export.attached": _("added a connection to the export"),
    "export.taken_over": _("took over the export"),
    "export.removed": _("removed the export"),
    "export.run_requested": _("started a run of"),
    "export.run_canceled": _("canceled a run of"),
    "export.run_finished": _("finished a run of"),
    "access.refused": _("was refused"),
}


class Named(Protocol):
    """Anything with an identifier of its own that an entry can be about."""

    uuid: UUID


def record(
    action: str,
    *,
    actor: User | None,
    target: Any = None,
    refused: bool = False,
    label: str = "",
    **details: Any,
) -> AuditEntry:
    """Add an entry about ``target`` (anything with a ``uuid``) done by ``actor`` (None: the portal itself).

    ``action`` must be one of ``WORDS``; ``details`` must be JSON. Raises what the database raises: an action that
    cannot be recorded does not happen.
    """
    if action not in WORDS:
        raise ValueError(f"unknown audit action {action!r}")
    return AuditEntry.objects.create(
        action=action,
        outcome=AuditEntry.Outcome.REFUSED if refused else AuditEntry.Outcome.DONE,
        actor_id=actor.pk if actor else None,
        actor_label=(str(actor) if actor else SYSTEM)[:150],
        object_type=target._meta.model_name if target is not None else "",
        object_uuid=getattr(target, "uuid", None),
        object_label=redact(label or (str(target) if target is not None else ""))[:150],
        details={key: _masked(value) for key, value in details.items()},
    )


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {str(key): _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return value if isinstance(value, int | float | bool | None) else redact(str(value))


def describe(entry: AuditEntry) -> str:
    """The entry as a sentence without its time: *Ana Weber set up the connection "Newsletter"*."""
    words = WORDS.get(entry.action, entry.action)
    return f"{entry.actor_label} {words} {entry.object_label}".strip()
