"""S1: a stored secret is used for the target it was typed for, and for no other."""

import pytest

from connections import sealed, secret_store
from connections.models import Connection
from connections.operations.drafts import keep_draft, verify_draft
from connections_portal.errors import OperationError
from connections_portal.models import AuditEntry, User
from tests.factories import SETTINGS, make_connection, make_draft
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import NAME, read_from

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_a_secret_is_refused_for_another_target(admin: User) -> None:
    connection = make_connection(actor=admin)
    Connection.objects.filter(pk=connection.pk).update(
        settings={**connection.settings, "hostname": "elsewhere.example.com"}
    )
    connection.refresh_from_db()
    with pytest.raises(sealed.TargetChanged):
        with secret_store.resolve(connection, purpose="run", actor=None):
            pytest.fail("the value was handed out")
    assert not AuditEntry.objects.filter(action="secret.used").exists()


@pytest.mark.django_db(transaction=True)
def test_a_reference_is_refused_for_another_target_before_the_vault_is_asked(
    admin: User, double: Double, linked_vault: LinkVault
) -> None:
    double.vault.put(NAME, "a-value-of-the-vault")
    connection = make_connection(actor=admin)
    read_from(connection, linked_vault())
    with secret_store.resolve(connection, purpose="run", actor=None):
        pass
    double.cloud.seen.clear()
    Connection.objects.filter(pk=connection.pk).update(
        settings={**connection.settings, "hostname": "elsewhere.example.com"}
    )
    connection.refresh_from_db()
    with pytest.raises(sealed.TargetChanged):
        with secret_store.resolve(connection, purpose="run", actor=None):
            pytest.fail("the value was handed out")
    # not even what is in memory
    assert double.cloud.requests(host=double.vault.host) == []
    assert AuditEntry.objects.filter(action="secret.used", object_uuid=connection.uuid).count() == 1


def test_a_changed_target_asks_for_the_secret_again(admin: User) -> None:
    draft = make_draft(actor=admin)
    elsewhere = {**draft.settings, "hostname": "elsewhere.example.com"}
    draft = keep_draft(draft=draft, type_key="sftp", cleaned=elsewhere, secrets={}, form={}, actor=admin)
    with pytest.raises(OperationError) as refused:
        verify_draft(draft=draft, actor=admin)
    assert set(refused.value.fields) == {"password"}


def test_a_changed_target_forgets_secret_key_and_verification(admin: User) -> None:
    draft = make_draft(actor=admin, host_key="ssh-ed25519 AAAA")
    before = draft.secrets.get().revision
    elsewhere = {**draft.settings, "port": "2222"}
    draft = keep_draft(
        draft=draft,
        type_key="sftp",
        cleaned=elsewhere,
        secrets={"password": "typed again"},
        form={},
        actor=admin,
    )
    assert draft.host_key_trusted == draft.verified_digest == ""
    assert draft.secrets.get().target_digest == draft.target_digest
    assert draft.secrets.get().revision >= before


def test_another_folder_keeps_the_secret(admin: User) -> None:
    draft = make_draft(actor=admin)
    uuid = draft.secrets.get().uuid
    draft = keep_draft(
        draft=draft,
        type_key="sftp",
        cleaned={**draft.settings, "export_folder": "elsewhere"},
        secrets={},
        form={},
        actor=admin,
    )
    assert draft.secrets.get().uuid == uuid
    assert draft.verified_at is None
    assert SETTINGS["export_folder"] != draft.settings["export_folder"]
