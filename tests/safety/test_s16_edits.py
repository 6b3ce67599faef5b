"""S16: edits and runs: the operations themselves ask for verification and agreement, whatever the pages asked for."""

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from django.utils import timezone

from connections import connectors, consent, secret_store
from connections.models import Connection, ConnectionDraft, Consent, State
from connections.operations import refusals
from connections.operations.drafts import keep_draft, verified_digest
from connections.operations.edit import Agreement, edit_connection
from connections.operations.pause import pause_connection, withdraw_consent
from connections_portal.errors import OperationError
from connections_portal.models import AuditEntry, RunState, User, WhoActs
from tests.factories import SECRETS, make_connection
from tests.runs.helpers import carry, make_export, start

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

KEY, OTHER_KEY = "ssh-ed25519 AAAA", "ssh-ed25519 BBBB"
ELSEWHERE = {"hostname": "elsewhere.example.com"}
FOLDER = {"export_folder": "another"}
NO = Agreement(ticked=False, wording_hash="")


@pytest.fixture
def connection(admin: User) -> Connection:
    return make_connection(actor=admin, host_key=KEY)


def text_for(target: str) -> consent.Wording:
    connector = connectors.get("sftp")
    assert connector is not None
    return consent.wording(connector, target)


def edited(
    connection: Connection,
    actor: User,
    changes: Mapping[str, str],
    *,
    verified: bool = True,
    secrets: Mapping[str, str] | None = None,
) -> ConnectionDraft:
    """The draft of an edit that changes these settings; whether it was verified is only claimed."""
    connector = connectors.get(connection.type_key)
    assert connector is not None
    cleaned = connector.clean({**connection.settings, "port": "", **changes})
    draft = keep_draft(
        draft=None,
        type_key=connection.type_key,
        connection=connection,
        cleaned=cleaned,
        secrets=secrets or (SECRETS if "hostname" in changes else {}),
        form={},
        actor=actor,
    )
    if "hostname" in changes:
        draft.host_key_seen = draft.host_key_trusted = OTHER_KEY
    if verified:
        draft.verified_digest, draft.verified_at = verified_digest(draft), timezone.now()
    draft.save()
    return draft


def agreement(draft: ConnectionDraft) -> Agreement:
    """*I agree*, ticked below the text for where the draft leads."""
    connector = connectors.get(draft.type_key)
    assert connector is not None
    shown = consent.wording(connector, connector.consent_target(draft.settings))
    return Agreement(ticked=True, wording_hash=shown.hash)


def save(
    connection: Connection,
    draft: ConnectionDraft | None,
    actor: User,
    *,
    agreed: Agreement = NO,
    settings: Mapping[str, str] | None = None,
    unverified: bool = False,
    resume: bool = False,
) -> Connection:
    return edit_connection(
        connection=connection,
        version=connection.version,
        draft=draft,
        name=connection.name,
        settings=settings or (draft.settings if draft else connection.settings),
        agreement=agreed,
        actor=actor,
        unverified=unverified,
        resume=resume,
    )


def everything() -> list[object]:
    """All that an edit could have changed."""
    rows = [list(model._default_manager.order_by("pk").values()) for model in (Connection, Consent)]
    secrets = list(Connection.objects.get().secrets.order_by("field").values_list("uuid", "revision"))
    return [*rows, secrets, AuditEntry.objects.filter(action__startswith="connection.").count()]


def refused(connection: Connection, draft: ConnectionDraft | None, actor: User, **how: object) -> set[str]:
    """The fields at which the edit was refused; nothing was changed by it."""
    before = everything()
    with pytest.raises(OperationError) as refusal:
        save(connection, draft, actor, **how)  # type: ignore[arg-type]
    assert everything() == before
    assert draft is None or ConnectionDraft.objects.filter(pk=draft.pk).exists()
    return set(refusal.value.fields)


def never(draft: ConnectionDraft) -> None:
    ConnectionDraft.objects.update(verified_digest="", verified_at=None)


def another_setting(draft: ConnectionDraft) -> None:
    ConnectionDraft.objects.update(settings={**draft.settings, "export_folder": "a-third"})


def another_secret(draft: ConnectionDraft) -> None:
    secret_store.put(draft=draft, field="password", value="another", for_target=draft.target_digest)


def another_stored_secret(draft: ConnectionDraft) -> None:
    """Somebody else saved another password meanwhile."""
    assert draft.connection is not None
    secret = draft.connection.secrets.get()
    secret.revision += 1
    secret.save()


def another_key(draft: ConnectionDraft) -> None:
    ConnectionDraft.objects.update(host_key_trusted=OTHER_KEY)


def too_old(draft: ConnectionDraft) -> None:
    ConnectionDraft.objects.update(verified_at=timezone.now() - dt.timedelta(minutes=30, seconds=1))


@pytest.mark.parametrize(
    "change", [never, another_setting, another_secret, another_stored_secret, another_key, too_old]
)
def test_a_changed_setting_is_not_saved_unless_verified_like_this(
    connection: Connection, admin: User, change: Callable[[ConnectionDraft], None]
) -> None:
    draft = edited(connection, admin, FOLDER)
    change(draft)
    assert refused(connection, draft, admin) == {"verify"}
    # nor as *not verified*, as long as nobody found the service away
    assert refused(connection, draft, admin, unverified=True) == {"verify"}


def test_nor_without_a_draft(connection: Connection, admin: User) -> None:
    changed = connection.settings | {"username": "somebody-else"}
    assert refused(connection, None, admin, settings=changed) == {"verify"}


def test_nor_is_a_typed_secret(connection: Connection, admin: User) -> None:
    draft = edited(connection, admin, {}, verified=False, secrets={"password": "a-new-one"})
    assert refused(connection, draft, admin) == {"verify"}


def test_a_key_that_was_not_trusted_here_does_not_count(connection: Connection, admin: User) -> None:
    """The edit saw another server key than the connection has now, and nobody trusted it in this edit."""
    draft = edited(connection, admin, FOLDER)
    Connection.objects.update(host_key=OTHER_KEY)
    assert refused(connection, draft, admin) == {"verify"}


def test_verified_it_is_saved(connection: Connection, admin: User) -> None:
    """Else the refusals above would say nothing; the agreement in force stays."""
    saved = save(connection, edited(connection, admin, FOLDER), admin)
    assert (saved.settings["export_folder"], saved.state) == ("another", State.READY)
    assert saved.consent == connection.consent
    assert saved.verified_at != connection.verified_at


def test_another_target_needs_another_agreement(connection: Connection, admin: User) -> None:
    draft = edited(connection, admin, ELSEWHERE)
    here = text_for("sftp://files.example.com")
    assert refused(connection, draft, admin) == {"agree"}
    for other in (here.hash, "0" * 64, ""):
        ticked = Agreement(ticked=True, wording_hash=other)
        assert refused(connection, draft, admin, agreed=ticked) == {"agree"}
    saved = save(connection, draft, admin, agreed=agreement(draft))
    assert saved.consent is not None
    assert saved.consent != connection.consent
    assert saved.consent.target_digest == saved.target_digest == draft.target_digest
    assert saved.consent.person_id == admin.pk


def test_another_target_needs_a_verification_of_its_own(connection: Connection, admin: User) -> None:
    draft = edited(connection, admin, ELSEWHERE, verified=False)
    assert refused(connection, draft, admin, agreed=agreement(draft)) == {"verify"}
    assert refused(connection, draft, admin) == {"verify", "agree"}


def test_resuming_needs_both(connection: Connection, admin: User) -> None:
    paused = pause_connection(connection=connection, version=connection.version, actor=admin)
    unverified = edited(paused, admin, {}, verified=False)
    assert refused(paused, unverified, admin, resume=True) == {"verify"}
    assert refused(paused, None, admin, resume=True) == {"verify"}
    verified = edited(paused, admin, {})
    assert save(paused, verified, admin, resume=True).state == State.READY


def test_resuming_after_the_agreement_was_withdrawn_needs_a_new_one(
    connection: Connection, admin: User
) -> None:
    withdrawn = withdraw_consent(connection=connection, version=connection.version, actor=admin)
    draft = edited(withdrawn, admin, {})
    assert refused(withdrawn, draft, admin, resume=True) == {"agree"}
    resumed = save(withdrawn, draft, admin, agreed=agreement(draft), resume=True)
    assert resumed.state == State.READY
    assert resumed.consent is not None
    assert resumed.consent != connection.consent


# ---- runs


def not_verified(connection: Connection) -> None:
    Connection.objects.update(state=State.NOT_VERIFIED, verified_at=None)


def agreed_for_another_target(connection: Connection) -> None:
    other = Connection.objects.get(pk=connection.pk)
    other.target_digest = "0" * 64
    assert other.created_by is not None
    given = consent.give(
        connection=other, person=other.created_by, shown=text_for("sftp://elsewhere.example.com")
    )
    Connection.objects.update(consent=given)


def withdrawn(connection: Connection) -> None:
    """As the database allows it: without agreement there is a pause."""
    Connection.objects.update(state=State.PAUSED, consent=None)


@pytest.mark.parametrize(
    ("change", "code"),
    [(not_verified, "not_verified"), (agreed_for_another_target, "no_consent"), (withdrawn, "paused")],
)
def test_no_run_begins_without_them(
    connection: Connection,
    admin: User,
    customer_data: Path,
    change: Callable[[Connection], None],
    code: str,
) -> None:
    run = start(make_export(connection, actor=admin))
    change(connection)
    assert carry(run) == "refused"
    assert (run.state, run.code, run.who_acts) == (RunState.FAILED, code, WhoActs.ADMINISTRATOR)
    assert run.attempt == 0
    assert not AuditEntry.objects.filter(action="secret.used").exists()


def test_each_of_them_is_asked_for_on_its_own(connection: Connection) -> None:
    """Also where the database lets nobody have one without the other."""
    for columns, code in (
        ({}, None),
        ({"consent": None}, "no_consent"),
        ({"target_digest": "0" * 64}, "no_consent"),
        ({"state": State.NOT_VERIFIED}, "not_verified"),
        ({"verified_at": None}, "not_verified"),
        ({"state": State.NEEDS_ATTENTION, "verified_at": None}, "not_verified"),
        ({"state": State.PAUSED}, "paused"),
    ):
        asked = Connection.objects.select_related("consent").get(pk=connection.pk)
        for name, value in columns.items():
            setattr(asked, name, value)
        refusal = refusals.of_connection(asked)
        assert (refusal.code if refusal else None) == code, columns
