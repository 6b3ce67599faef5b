"""The audit: one explicit call per operation, inside its transaction. ``audit_story`` words it when it is read.

Details hold counts, field names, labels and identifiers; never a secret, never customer data. What is in use
as a secret at the moment is masked in any case.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from connections_portal.models import AuditEntry, User
from connections_portal.redaction import redact

SYSTEM = "system"

# What each action is called in lists and filters; audit_sentences.py has its sentence.
WORDS = {
    "account.signed_in": _("signed in"),
    "account.locked_out": _("locked out after wrong passwords"),
    "account.password_changed": _("changed their password"),
    "person.added": _("added the person"),
    "person.removed": _("removed the person"),
    "person.deactivated": _("deactivated the person"),
    "person.activated": _("activated the person"),
    "person.password_set": _("set another password for"),
    "group.added": _("added the group"),
    "group.changed": _("changed the group"),
    "group.removed": _("removed the group"),
    "person.changed": _("changed a person's role, groups or access"),
    "connection.verification_begun": _("began to verify the connection"),
    "connection.verified": _("verified a connection"),
    "connection.server_trusted": _("trusted a server's key"),
    "connection.created": _("set up the connection"),
    "connection.edited": _("edited the connection"),
    "connection.paused": _("paused the connection"),
    "connection.resumed": _("resumed the connection"),
    "connection.consent_withdrawn": _("withdrew the agreement for the connection"),
    "connection.share_undone": _("undid a change of who can use the connection"),
    "connection.stopped": _("stopped everything on the connection"),
    "connection.shared": _("set who can use the connection"),
    "connection.seen_as": _("looked at what somebody is offered"),
    "connection.removed": _("removed the connection"),
    "connection.remove_refused": _("tried to remove the connection"),
    "connection.restored": _("restored the connection"),
    "connection.forgotten": _("forgot the removed connection"),
    "connection.dependents_moved": _("moved what used the connection"),
    "connection.tidied": _("deleted unfinished files of earlier runs"),
    "connection.needs_attention": _("marked the connection as needing attention"),
    "connection.well_again": _("found the connection well again"),
    "vault.verification_begun": _("began to verify the Key Vault"),
    "vault.verified": _("verified the Key Vault"),
    "vault.linked": _("linked the Key Vault"),
    "vault.link_changed": _("changed the link of the Key Vault"),
    "vault.unlinked": _("unlinked the Key Vault"),
    "vault.replaced": _("replaced the Key Vault that the connection reads"),
    "vault.check_requested": _("asked for a check of the Key Vault"),
    "vault.names_requested": _("asked for the names of secrets of the Key Vault"),
    "vault.names_read": _("read the names of secrets of the Key Vault"),
    "vault.secret_read": _("read a secret of a Key Vault"),
    "vault.secret_refreshed": _("asked for the latest value of a Key Vault secret"),
    "vault.state_changed": _("found the Key Vault in another state"),
    "vault.secret_state_changed": _("found a secret of the Key Vault in another state"),
    "vault.notice": _("used a secret of the Key Vault for a new target"),
    "secret.used": _("used secrets"),
    "secret.key_rotated": _("rotated the key of stored secrets"),
    "table.sample_viewed": _("looked at sample rows"),
    "export.created": _("created the export"),
    "export.edited": _("edited the export"),
    "export.renamed": _("renamed the export"),
    "export.scheduled": _("set the schedule of the export"),
    "export.detached": _("detached the connection of the export"),
    "export.detach_undone": _("undid detaching the connection of the export"),
    "export.attached": _("added a connection to the export"),
    "export.moved": _("moved the export to another connection"),
    "export.taken_over": _("took over the export"),
    "export.removed": _("removed the export"),
    "export.run_requested": _("started a run of the export"),
    "export.run_canceled": _("canceled a run of the export"),
    "export.run_finished": _("finished a run of the export"),
    "export.rejected_downloaded": _("downloaded refused records of the export"),
    "export.run_requeued": _("queued a lost run of the export again"),
    "enrichment.created": _("created the enrichment"),
    "enrichment.edited": _("edited the enrichment"),
    "enrichment.activated": _("activated the enrichment"),
    "enrichment.deactivated": _("deactivated the enrichment"),
    "enrichment.moved": _("moved the enrichment to another connection"),
    "enrichment.connection_gone": _("removed the connection of the inactive enrichment"),
    "enrichment.deactivation_undone": _("undid deactivating the enrichment"),
    "enrichment.deleted": _("deleted the enrichment"),
    "enrichment.run_requested": _("started a run of the enrichment"),
    "enrichment.run_canceled": _("canceled a run of the enrichment"),
    "enrichment.run_finished": _("finished a run of the enrichment"),
    "enrichment.run_requeued": _("queued a lost run of the enrichment again"),
    "refresh.scheduled": _("set the schedule of the system refresh"),
    "refresh.started": _("started the system refresh"),
    "refresh.finished": _("finished the system refresh"),
    "access.requested": _("asked for access to a connection"),
    "access.request_withdrawn": _("withdrew a request for access"),
    "access.granted": _("shared a connection with somebody who had asked"),
    "access.declined": _("declined a request for access"),
    "access.refused": _("was refused"),
    "audit.downloaded": _("downloaded the audit"),
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
    entry = _entry(action, actor, target, refused=refused, label=label, details=details)
    entry.save(force_insert=True)
    return entry


def record_each(action: str, targets: Iterable[tuple[Any, Mapping[str, Any]]], *, actor: User | None) -> None:
    """Add an entry about each target, with its own details, as ``record`` does: for an operation on many at once."""
    entries = [_entry(action, actor, target, details=details) for target, details in targets]
    AuditEntry.objects.bulk_create(entries)


def _entry(
    action: str,
    actor: User | None,
    target: Any,
    *,
    refused: bool = False,
    label: str = "",
    details: Mapping[str, Any],
) -> AuditEntry:
    if action not in WORDS:
        raise ValueError(f"unknown audit action {action!r}")
    return AuditEntry(
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
