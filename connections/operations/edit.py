"""*Save* at the end of an edit: what changed decides what is asked for (design: Edit a connection)."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import consent, dependents, secret_store
from connections.models import Connection, ConnectionDraft, State
from connections.operations.attention import needs_attention_since, settle_connections
from connections.operations.create import (
    agree_first,
    current_wording,
    is_taken,
    name_taken,
    not_saved,
    require_shown,
    verify_first,
)
from connections.operations.drafts import (
    could_not_be_reached,
    is_verified,
    lock_to_save,
    require_secrets,
)
from connections_portal import audit
from connections_portal.errors import Stale
from connections_portal.models import User
from connections_portal.names import name_key


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Whether *I agree* was ticked, and the hash of the text that was shown above it."""

    ticked: bool
    wording_hash: str


def edit_connection(
    *,
    connection: Connection,
    version: int,
    draft: ConnectionDraft | None,
    name: str,
    settings: Mapping[str, str],
    agreement: Agreement,
    actor: User,
    unverified: bool = False,
    resume: bool = False,
) -> Connection:
    """Write an edit. The connection stays as it is until here; then everything that changed changes together.

    ``version`` is that of the page, ``name`` and ``settings`` are cleaned; ``draft`` holds typed settings, secrets and
    a newly trusted host key, and may be None when only the name changes. Another target ends running runs.
    ``unverified`` saves what could not be verified because the service did not answer; ``resume`` ends a pause.
    Raises Stale when somebody else changed or removed the connection, FinishingRun, and OperationError with what is
    missing at ``name``, ``verify`` and ``agree``; the draft then stays.
    """
    try:
        with transaction.atomic():
            locked = lock(connection, version)
            if draft is not None:
                draft = lock_to_save(draft)
            if draft is not None:
                require_secrets(draft)
            edit = _Edit(locked, draft, settings, agreement, unverified=unverified, resume=resume)
            missing = edit.missing()
            if is_taken(name, locked.type_key, except_for=locked):
                missing["name"] = name_taken()
            if missing:
                raise not_saved(missing)
            return edit.write(name, actor)
    except IntegrityError:
        raise not_saved({"name": name_taken()}) from None


def lock(connection: Connection, version: int) -> Connection:
    """The connection as it is now, locked. Raises Stale when its version is another than the page's."""
    locked = (
        Connection.objects.select_for_update(of=("self",))
        .select_related("consent", "updated_by")
        .filter(pk=connection.pk)
        .first()
    )
    if locked is None:
        raise Stale(_("The connection was removed meanwhile."))
    if locked.version != version:
        raise Stale(
            _("%(person)s changed this connection at %(time)s, while you had it open.")
            % {
                "person": locked.updated_by or _("Somebody"),
                "time": timezone.localtime(locked.updated_at).strftime("%H:%M"),
            }
        )
    return locked


def is_agreed(connection: Connection, target_digest: str) -> bool:
    """Whether the agreement in force covers this target."""
    return connection.consent is not None and connection.consent.target_digest == target_digest


class _Edit:
    """One edit, between the locked connection and the locked draft."""

    def __init__(
        self,
        connection: Connection,
        draft: ConnectionDraft | None,
        settings: Mapping[str, str],
        agreement: Agreement,
        *,
        unverified: bool,
        resume: bool,
    ) -> None:
        self.connection, self.draft, self.agreement = connection, draft, agreement
        self.unverified, self.resume = unverified, resume
        self.changed = changes(connection, draft, settings)
        self.target = draft.target_digest if draft is not None else connection.target_digest
        self.moves = self.target != connection.target_digest
        # a draft that began under another key of the same target says nothing of the one that is trusted now
        self.verified = (
            draft is not None
            and (self.moves or connection.host_key in (draft.host_key_base, draft.host_key_trusted))
            and is_verified(draft)
        )

    def missing(self) -> dict[str, str]:
        """What keeps the edit from being saved: ``verify`` and ``agree`` with a sentence each."""
        missing = {}
        if not self._may_save():
            missing["verify"] = verify_first()
        asks = self.moves or self.resume or self.connection.state != State.PAUSED
        if asks and not is_agreed(self.connection, self.target) and not self.agreement.ticked:
            missing["agree"] = agree_first()
        return missing

    def _may_save(self) -> bool:
        if self.verified or not (self.changed or self.resume):
            return True
        return (
            self.unverified
            and not self.resume
            and self.draft is not None
            and could_not_be_reached(self.draft)
        )

    def write(self, name: str, actor: User) -> Connection:
        """Carry everything out, inside the caller's transaction."""
        connection, draft = self.connection, self.draft
        changed = [*(["name"] if name != connection.name else []), *self.changed]
        if self.moves:
            dependents.interrupt_all(connection, actor)
            connection.epoch += 1
        connection.name, connection.name_key = name, name_key(name)
        if draft is not None and self.changed:
            connection.settings, connection.target_digest = draft.settings, draft.target_digest
            connection.host_key = draft.host_key_trusted
            secret_store.move(draft=draft, connection=connection)
        if draft is not None:
            self._write_verification(draft, actor)
        self._write_consent(actor)
        if self.resume:
            connection.state, connection.state_cause, connection.state_code = State.READY, "", ""
        connection.version += 1
        connection.updated_by = actor
        connection.save()
        # what a check found out since the verification, of what is read from Key Vaults from now on
        if settle_connections([connection.pk]):
            connection.refresh_from_db(fields=["state", "state_cause", "state_code"])
        if self.resume:
            dependents.go_on_all(connection, timezone.now())
        if draft is not None:
            draft.delete()
        audit.record(
            "connection.edited",
            actor=actor,
            target=connection,
            draft=str(draft.uuid) if draft is not None else "",
            changed=changed,
            target_changed=self.moves,
            target_digest=connection.target_digest,
            state=connection.state,
            version=connection.version,
        )
        if self.resume:
            audit.record("connection.resumed", actor=actor, target=connection, version=connection.version)
        return connection

    def _write_verification(self, draft: ConnectionDraft, actor: User) -> None:
        connection = self.connection
        if self.verified:
            connection.verified_at, connection.verified_by = draft.verified_at, actor
            connection.verification = draft.verification
            if connection.state != State.PAUSED and not (
                draft.verified_at and needs_attention_since(connection, draft.verified_at)
            ):
                connection.state, connection.state_cause, connection.state_code = State.READY, "", ""
        elif self.changed:
            connection.verified_at = connection.verified_by = None
            connection.verification = draft.verification
            if connection.state != State.PAUSED:
                connection.state, connection.state_cause, connection.state_code = State.NOT_VERIFIED, "", ""

    def _write_consent(self, actor: User) -> None:
        """A new agreement where one is needed, or where a newer wording was agreed to."""
        connection = self.connection
        if not self.agreement.ticked:
            if self.moves:
                connection.consent = None
            return
        shown = current_wording(connection.type_key, connection.settings)
        in_force = connection.consent if is_agreed(connection, connection.target_digest) else None
        if in_force is not None and in_force.wording_hash == shown.hash:
            return
        require_shown(shown, self.agreement.wording_hash)
        connection.consent = consent.give(connection=connection, person=actor, shown=shown)


def changes(connection: Connection, draft: ConnectionDraft | None, settings: Mapping[str, str]) -> list[str]:
    """What needs a verification: names of changed settings, typed secrets, the trusted host key."""
    now = draft.settings if draft is not None else dict(settings)
    changed = sorted(
        key for key in {*connection.settings, *now} if connection.settings.get(key) != now.get(key)
    )
    if draft is not None:
        changed += draft.secrets.order_by("field").values_list("field", flat=True)
        if draft.host_key_trusted != connection.host_key:
            changed.append("host_key")
    return changed
