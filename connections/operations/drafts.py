"""A set-up or an edit under way: keep what was typed, verify it, trust a server."""

import datetime as dt
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import connectors, host_keys, sealed, secret_store
from connections.connectors.base import Step, StepStatus, is_active
from connections.connectors.errors import printable
from connections.key_vault import transport
from connections.key_vault.errors import problem
from connections.models import Connection, ConnectionDraft, VaultSecret
from connections.operations import limits
from connections.operations.connector import open_connector
from connections_portal import audit, redaction
from connections_portal.errors import OperationError, Stale
from connections_portal.models import AuditEntry, User

LIFETIME = dt.timedelta(minutes=60)
VERIFIED_FOR = dt.timedelta(minutes=30)
# What a page has for everything that it waits for (rule S20), but for what it needs itself.
PAGE_SECONDS = 9.0


def keep_draft(
    *,
    draft: ConnectionDraft | None,
    type_key: str,
    connection: Connection | None = None,
    cleaned: Mapping[str, str],
    secrets: Mapping[str, str],
    references: Mapping[str, VaultSecret] | None = None,
    dropped: Collection[str] = (),
    form: Mapping[str, Any],
    actor: User,
    now: dt.datetime | None = None,
) -> ConnectionDraft:
    """Write what was typed to the draft (a new one if None) and return it. ``connection`` is the one that is edited.

    ``cleaned`` are settings as the connector's ``clean`` returns them, ``secrets`` only what was typed in this request,
    ``references`` secrets of Key Vaults chosen in it, ``dropped`` fields whose kept secret is not meant any more,
    ``form`` the rest of the form. When the target changes, kept secrets, host key and verification go (rule S1); an
    edit that comes back to the connection's own target has its host key and secrets again. Raises Stale when the draft
    is gone, and OperationError at ``<field>-name`` of each reference whose vault was unlinked at this moment.
    """
    now = now or timezone.now()
    target = secret_store.target_digest(type_key, cleaned)
    connector = connectors.get(type_key)
    assert connector is not None
    with _while_linked(references or {}), transaction.atomic():
        if draft is None:
            draft = ConnectionDraft(type_key=type_key, connection=connection, created_by=actor)
        else:
            draft = _locked(draft)
        if draft.target_digest != target:
            draft.target_digest = target
            draft.host_key_seen = draft.host_key_trusted = ""
            _forget_verification(draft)
        elif draft.settings != dict(cleaned):
            _forget_verification(draft)
        if connection is not None and connection.target_digest == target:
            if draft.host_key_base != connection.host_key:
                # somebody else has trusted another key meanwhile: it counts, and what was trusted here does not
                draft.host_key_base, draft.host_key_seen = connection.host_key, ""
                _forget_verification(draft)
            if not is_trusted_here(draft):
                draft.host_key_trusted = connection.host_key
        draft.settings = dict(cleaned)
        draft.form = dict(form)
        draft.expires_at = now + LIFETIME
        draft.save()
        active = [f.key for f in connector.fields if f.secret and is_active(f, cleaned)]
        draft.secrets.exclude(field__in=active, target_digest=target).delete()
        before = secret_store.revisions(draft)
        draft.secrets.filter(field__in=dropped).delete()
        _put_secrets(draft, active, secrets, references or {})
        if secret_store.revisions(draft) != before:
            _forget_verification(draft)
        draft.save()
    return draft


@contextmanager
def _while_linked(references: Mapping[str, VaultSecret]) -> Iterator[None]:
    """What cannot be referred to any more is said at its field; for what commits the references."""
    try:
        yield
    except IntegrityError:
        if not references:
            raise
        gone = problem("vault_unlinked")
        said = f"{_(gone.cause)} {_(gone.remedy)}"
        fields = {f"{field}-name": said for field in references}
        raise OperationError(_("Check the chosen secrets."), fields=fields) from None


def _put_secrets(
    draft: ConnectionDraft,
    fields: Collection[str],
    secrets: Mapping[str, str],
    references: Mapping[str, VaultSecret],
) -> None:
    """Keep what was typed or chosen in these fields, for the draft's target."""
    target = draft.target_digest
    for field in fields:
        if secrets.get(field):
            secret_store.put(draft=draft, field=field, value=secrets[field], for_target=target)
        elif chosen := references.get(field):
            secret_store.put_reference(draft=draft, field=field, vault_secret=chosen, for_target=target)


def is_trusted_here(draft: ConnectionDraft) -> bool:
    """Whether somebody trusted the server's key in this very set-up or edit (and not in an earlier one)."""
    return bool(draft.host_key_trusted) and draft.host_key_trusted == draft.host_key_seen


def require_secrets(draft: ConnectionDraft) -> None:
    """Raise OperationError at each required secret's field that is neither typed nor kept for the draft's target."""
    connector = connectors.get(draft.type_key)
    assert connector is not None
    present = {secret.field for secret in secret_store.in_effect(draft)}
    missing = {
        f.key: _("Type it; it is kept for this set-up.")
        for f in connector.fields
        if f.secret and f.required and is_active(f, draft.settings) and f.key not in present
    }
    if missing:
        raise OperationError(_("Something is missing."), fields=missing)


def forget_secrets(*, draft: ConnectionDraft, fields: Collection[str]) -> None:
    """Delete what the draft keeps in these fields: something else was typed there since, and could not be kept."""
    draft.secrets.filter(field__in=fields).delete()


def _locked(draft: ConnectionDraft) -> ConnectionDraft:
    """The draft as it is now, locked. Raises Stale when it was saved or has ended meanwhile."""
    locked = ConnectionDraft.objects.select_for_update().filter(pk=draft.pk).first()
    if locked is None:
        raise _gone()
    return locked


def lock_to_save(draft: ConnectionDraft) -> ConnectionDraft | None:
    """The draft as it is now with its secrets, which nobody takes away until the transaction ends; None if it is gone.

    Who unlinks a Key Vault deletes secrets of drafts: *Save* comes before, or finds that they are missing.
    """
    locked = ConnectionDraft.objects.select_for_update().filter(pk=draft.pk).first()
    if locked is not None:
        list(locked.secrets.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    return locked


def _gone() -> Stale:
    return Stale(_("This was saved or has ended meanwhile. Look at the list of connections."))


def _forget_verification(draft: ConnectionDraft) -> None:
    draft.verification = []
    draft.verified_digest = ""
    draft.verified_at = None


def verified_digest(draft: ConnectionDraft) -> str:
    """What a verification of this draft is bound to (rule S16); stays on the server."""
    return sealed.digest(
        [draft.type_key, draft.settings, secret_store.revisions(draft), draft.host_key_trusted]
    )


def is_verified(draft: ConnectionDraft, *, now: dt.datetime | None = None) -> bool:
    """Whether exactly what the draft holds now has passed a verification in the last 30 minutes."""
    now = now or timezone.now()
    return (
        bool(draft.verified_digest)
        and draft.verified_at is not None
        and now - draft.verified_at <= VERIFIED_FOR
        and draft.verified_digest == verified_digest(draft)
    )


def verify_draft(
    *, draft: ConnectionDraft, actor: User, now: dt.datetime | None = None, spent: float = 0.0
) -> ConnectionDraft:
    """Run the verification steps of what the draft holds and store how each ended.

    ``spent`` are the seconds of the page's time that went by before (rule S20).

    Ends at *Server identity* while the server's key is not trusted. Raises OperationError at a secret that is missing,
    limits.TooMany above the limits of rule S20, and Stale when the draft was changed, saved or ended meanwhile.
    Must not be called inside a transaction: it waits for the service.
    """
    if not ConnectionDraft.objects.filter(pk=draft.pk).exists():
        raise _gone()
    require_secrets(draft)
    with limits.slot():
        account = _account_digest(draft)
        limits.count_in(
            "connection.verification_begun",
            actor=actor,
            target=secret_store.about(draft),
            label=secret_store.label_of(draft),
            host=_host_digest(draft),
            account=account,
            now=now or timezone.now(),
        )
        bound_to = verified_digest(draft)
        started = time.monotonic()
        with (
            transport.within(PAGE_SECONDS - spent),
            open_connector(draft, purpose="verify", actor=actor) as connector,
        ):
            connector.spent += spent
            steps = [stored_step(step) for step in connector.verify()]
            expected = [key for key, _label in connector.steps]
    passed = [step["key"] for step in steps if step["status"] == StepStatus.DONE] == expected
    last: dict[str, Any] = steps[-1] if steps else {"key": "", "code": "", "identity": None}
    # recorded whatever becomes of the draft: a refused sign-in counts even when nobody waits for it any more
    audit.record(
        "connection.verified",
        actor=actor,
        target=secret_store.about(draft),
        label=secret_store.label_of(draft),
        refused=not passed,
        type=draft.type_key,
        step=last["key"],
        code=last["code"],
        host=_host_digest(draft),
        account=account,
        milliseconds=round((time.monotonic() - started) * 1000),
    )
    with transaction.atomic():
        draft = _locked(draft)
        if verified_digest(draft) != bound_to:
            raise Stale(_("The form was changed while it was being verified. Verify again."))
        draft.verification = steps
        if last["identity"]:
            draft.host_key_seen = last["identity"]["public_key"]
        draft.verified_digest = bound_to if passed else ""
        draft.verified_at = timezone.now() if passed else None
        draft.expires_at = timezone.now() + LIFETIME
        draft.save()
    return draft


def could_not_be_reached(draft: ConnectionDraft) -> bool:
    """Whether the last verification of what the draft holds ended because the service did not answer at all."""
    last = draft.verification[-1] if draft.verification else None
    return last is not None and last["status"] == StepStatus.FAILED and not last["reachable"]


def stored_step(step: Step) -> dict[str, Any]:
    """A step as JSON; the service's words are masked while its secrets are still in use."""
    stored = asdict(step)
    stored["status"] = step.status.value
    stored["at"] = timezone.now().isoformat(timespec="seconds")
    # a note may hold the service's own words as well: the folder as it calls it
    stored["note"] = redaction.foreign(printable(stored["note"]))
    for key in ("cause", "remedy"):
        stored[key] = redaction.redact(stored[key])
    stored["detail"] = redaction.foreign(stored["detail"])
    return stored


def _host_digest(draft: ConnectionDraft) -> str:
    """What the limit per host counts by: every port of a machine is the same machine."""
    connector = connectors.get(draft.type_key)
    assert connector is not None
    target = connector.target(draft.settings)
    return sealed.digest(target.get("host", target))


def _account_digest(draft: ConnectionDraft) -> str:
    connector = connectors.get(draft.type_key)
    assert connector is not None
    named = {f.key: draft.settings.get(f.key, "") for f in connector.fields if f.account}
    return sealed.digest([draft.target_digest, named])


def trust_server(
    *, draft: ConnectionDraft, fingerprint: str, actor: User, spent: float = 0.0
) -> ConnectionDraft:
    """Trust the key with this fingerprint, then verify to the end.

    The fingerprint must be that of the key the draft saw last; raises Stale otherwise. If another key answers during
    the verification it is shown anew and nothing is sent to it.
    """
    with transaction.atomic():
        draft = _locked(draft)
        if not draft.host_key_seen or host_keys.fingerprint(draft.host_key_seen) != fingerprint:
            raise Stale(
                _("The server has shown another key since. Verify again and compare its fingerprint.")
            )
        draft.host_key_trusted = draft.host_key_seen
        draft.save(update_fields=["host_key_trusted"])
        audit.record(
            "connection.server_trusted",
            actor=actor,
            target=secret_store.about(draft),
            label=secret_store.label_of(draft),
            fingerprint=fingerprint,
            host=_host_digest(draft),
        )
    return verify_draft(draft=draft, actor=actor, spent=spent)


def saved_from(text: str, *, actor: User) -> UUID | None:
    """The connection that ``actor`` saved from the draft with this uuid, None where there is none."""
    try:
        draft = str(UUID(text))
    except ValueError:
        return None
    saved = AuditEntry.objects.filter(
        action__in=["connection.created", "connection.edited"], actor_id=actor.pk, details__draft=draft
    ).first()
    return saved.object_uuid if saved else None


def purge_drafts(*, now: dt.datetime | None = None) -> int:
    """Delete drafts that have expired, secrets included; returns how many."""
    expired = ConnectionDraft.objects.filter(expires_at__lt=now or timezone.now())
    return expired.delete()[1].get("connections.ConnectionDraft", 0)
