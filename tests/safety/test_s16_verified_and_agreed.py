"""S16: *verified* and *agreed* are rows on the server, bound to exactly what is saved, and half an hour old at most."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from connections import connectors, consent, secret_store
from connections.models import Access, Connection, ConnectionDraft, Consent, State
from connections.operations.create import create_connection
from connections.operations.drafts import VERIFIED_FOR, is_verified, keep_draft
from connections_portal.errors import OperationError
from connections_portal.models import AuditEntry, User
from tests.factories import make_connection, make_draft

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

KEY = "ssh-ed25519 AAAA"


@pytest.fixture
def draft(admin: User) -> ConnectionDraft:
    """Verified just now."""
    return make_draft(actor=admin, host_key=KEY)


def shown_hash(draft: ConnectionDraft) -> str:
    connector = connectors.get(draft.type_key)
    assert connector is not None
    return consent.wording(connector, connector.consent_target(draft.settings)).hash


def save(draft: ConnectionDraft | None, actor: User, *, agreed: bool = True, wording: str = "") -> Connection:
    return create_connection(
        draft=draft,
        name="Newsletter",
        access=Access.ADMINISTRATORS,
        agreed=agreed,
        wording_hash=wording or (shown_hash(draft) if draft else ""),
        actor=actor,
    )


def another_setting(draft: ConnectionDraft) -> None:
    ConnectionDraft.objects.update(settings={**draft.settings, "export_folder": "elsewhere"})


def another_secret(draft: ConnectionDraft) -> None:
    secret_store.put(draft=draft, field="password", value="another", for_target=draft.target_digest)


def one_secret_more(draft: ConnectionDraft) -> None:
    secret_store.put(draft=draft, field="passphrase", value="x", for_target=draft.target_digest)


def secret_gone(draft: ConnectionDraft) -> None:
    draft.secrets.all().delete()


def another_server(draft: ConnectionDraft) -> None:
    ConnectionDraft.objects.update(host_key_trusted="ssh-ed25519 BBBB")


def too_old(draft: ConnectionDraft) -> None:
    ConnectionDraft.objects.update(verified_at=timezone.now() - dt.timedelta(minutes=30, seconds=1))


def claimed_without_a_time(draft: ConnectionDraft) -> None:
    ConnectionDraft.objects.update(verified_at=None)


def never(draft: ConnectionDraft) -> None:
    ConnectionDraft.objects.update(verified_digest="")


CHANGES = [
    another_setting,
    another_secret,
    one_secret_more,
    secret_gone,
    another_server,
    too_old,
    claimed_without_a_time,
    never,
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_not_verified_like_this_is_not_saved(
    draft: ConnectionDraft, admin: User, change: Callable[[ConnectionDraft], None]
) -> None:
    assert is_verified(draft)
    change(draft)
    # the caller's copy still looks verified; what counts is the row
    with pytest.raises(OperationError) as refused:
        save(draft, admin)
    # a secret that is missing is asked for at its field; nothing can be verified without it
    assert set(refused.value.fields) == ({"password"} if change is secret_gone else {"verify"})
    assert not Connection.objects.exists()
    assert not Consent.objects.exists()
    assert not AuditEntry.objects.filter(action="connection.created").exists()
    assert ConnectionDraft.objects.exists()


def test_half_an_hour_to_the_second(draft: ConnectionDraft) -> None:
    assert draft.verified_at is not None
    assert dt.timedelta(minutes=30) == VERIFIED_FOR
    assert is_verified(draft, now=draft.verified_at + VERIFIED_FOR)
    assert not is_verified(draft, now=draft.verified_at + VERIFIED_FOR + dt.timedelta(seconds=1))


def test_the_same_secret_typed_again_stays_verified(draft: ConnectionDraft, admin: User) -> None:
    same = {"password": "a-password-of-no-server"}
    kept = keep_draft(
        draft=draft, type_key="sftp", cleaned=draft.settings, secrets=same, form={}, actor=admin
    )
    assert is_verified(kept)
    changed = keep_draft(
        draft=draft, type_key="sftp", cleaned=draft.settings, secrets={"password": "x"}, form={}, actor=admin
    )
    assert not is_verified(changed)


def test_without_agreement(draft: ConnectionDraft, admin: User) -> None:
    with pytest.raises(OperationError) as refused:
        save(draft, admin, agreed=False)
    assert set(refused.value.fields) == {"agree"}
    with pytest.raises(OperationError) as refused:
        save(None, admin, agreed=False)
    assert set(refused.value.fields) == {"verify", "agree"}
    assert not Consent.objects.exists()


def test_agreement_is_to_the_text_for_this_target(draft: ConnectionDraft, admin: User) -> None:
    connector = connectors.get("sftp")
    assert connector is not None
    for other in (consent.wording(connector, "sftp://elsewhere.example").hash, "0" * 64, "x"):
        with pytest.raises(OperationError) as refused:
            save(draft, admin, wording=other)
        assert "has changed since you agreed" in refused.value.fields["agree"]
    assert not Consent.objects.exists()
    connection = save(draft, admin)
    agreed = Consent.objects.get()
    assert connection.consent == agreed
    assert (agreed.person_id, agreed.target_digest) == (admin.pk, connection.target_digest)


@pytest.mark.parametrize(
    "columns",
    [
        {"verified_at": None},
        {"consent": None},
        {"consent": None, "state": State.NOT_VERIFIED},
        {"state": State.NEEDS_ATTENTION, "verified_at": None},
    ],
)
def test_the_database_refuses_a_connection_in_use_without_them(
    admin: User, columns: dict[str, object]
) -> None:
    connection = make_connection(actor=admin)
    with pytest.raises(IntegrityError), transaction.atomic():
        Connection.objects.filter(pk=connection.pk).update(**columns)
    Connection.objects.filter(pk=connection.pk).update(state=State.PAUSED, consent=None)
