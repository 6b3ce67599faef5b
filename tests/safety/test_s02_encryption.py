"""S2: a stored secret is bound to its row, field, target and key version."""

import pytest

from connections import sealed, secret_store
from connections.models import ConnectionSecret
from connections_portal.models import User
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
VALUE = "Tr0ub4dor&3-canary"


def test_the_value_is_nowhere_in_the_row(admin: User) -> None:
    connection = make_connection(actor=admin, secrets={"password": VALUE})
    row = ConnectionSecret.objects.values().get(connection=connection)
    assert VALUE not in str(row)
    assert VALUE.encode() not in bytes(row["ciphertext"] or b"")
    with secret_store.resolve(connection, purpose="run", actor=None) as secrets:
        assert secrets["password"] == VALUE


@pytest.mark.parametrize("column", ["ciphertext", "nonce", "no nonce", "nothing", "field", "uuid"])
def test_a_row_changed_behind_the_portal_cannot_be_used(admin: User, column: str) -> None:
    connection = make_connection(actor=admin, secrets={"password": VALUE})
    other = make_connection(actor=admin, name="Other", secrets={"password": "another value"})
    changes: dict[str, dict[str, object]] = {
        "ciphertext": {"ciphertext": bytes(other.secrets.get().ciphertext or b"")},
        "nonce": {"nonce": bytes(12)},
        "no nonce": {"nonce": b""},
        "nothing": {"ciphertext": b""},
        "field": {"field": "passphrase"},
        "uuid": {"uuid": "00000000-0000-4000-8000-000000000000"},
    }
    connection.secrets.update(**changes[column])
    with pytest.raises(sealed.Tampered):
        with secret_store.resolve(connection, purpose="run", actor=None):
            pytest.fail("the value was handed out")


def test_a_row_moved_to_another_target_cannot_be_used(admin: User) -> None:
    thief = make_connection(
        actor=admin,
        name="Thief",
        settings={"auth_method": "password", "username": "x", "hostname": "thief.example.com"},
        secrets={"password": "bait-bait-bait"},
    )
    victim = make_connection(actor=admin, secrets={"password": VALUE})
    stolen = victim.secrets.get()
    thief.secrets.all().delete()
    ConnectionSecret.objects.filter(pk=stolen.pk).update(connection=thief, target_digest=thief.target_digest)
    with pytest.raises(sealed.Tampered):
        with secret_store.resolve(thief, purpose="run", actor=None):
            pytest.fail("the value was handed out")


def test_the_same_value_is_stored_differently_each_time(admin: User) -> None:
    first = make_connection(actor=admin, secrets={"password": VALUE}).secrets.get()
    second = make_connection(actor=admin, name="Second", secrets={"password": VALUE}).secrets.get()
    assert bytes(first.ciphertext or b"") != bytes(second.ciphertext or b"")
    assert bytes(first.nonce or b"") != bytes(second.nonce or b"")
