"""S8: which secrets of a vault may be used here, and for which targets, is looked at before a value is read."""

import asyncssh
import pytest
from django.utils import timezone

from connections import secret_store, vault_access
from connections.connectors.errors import NeedsAttention
from connections.models import (
    Connection,
    ConnectionDraft,
    ConnectionSecret,
    KeyVault,
    VaultNotice,
    VaultScope,
    VaultSecret,
    VaultSecretState,
    VaultSecretTarget,
)
from connections.vault_cache import cache
from connections.vault_clients import client_of
from connections_portal.models import User
from tests.factories import SETTINGS, make_connection, make_draft
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import NAME, read_from, reads, told

pytestmark = pytest.mark.django_db(transaction=True)

VALUE = "a-value-of-the-vault"
HOST = SETTINGS["hostname"]


def use(owner: Connection | ConnectionDraft, purpose: str = "run") -> str:
    """The password as it is handed out."""
    with secret_store.resolve(owner, purpose=purpose, actor=None) as secrets:
        return secrets["password"]


def refused(owner: Connection | ConnectionDraft, purpose: str = "run") -> str:
    """The code with which it is not handed out."""
    with pytest.raises(NeedsAttention) as raised:
        use(owner, purpose)
    return raised.value.code


@pytest.fixture
def connection(admin: User) -> Connection:
    """A connection that has a typed password so far."""
    return make_connection(actor=admin)


def narrow(scope: VaultScope, value: str) -> None:
    """The administrator lets fewer secrets be used than before."""
    KeyVault.objects.update(scope=scope, scope_value=value, version=2)
    cache.clear()


@pytest.mark.parametrize("scope", [VaultScope.PREFIX, VaultScope.TAG])
def test_what_the_link_does_not_allow_cannot_be_referred_to(
    scope: VaultScope, double: Double, linked_vault: LinkVault
) -> None:
    double.vault.put(NAME, VALUE)
    double.vault.put("portal-allowed", VALUE, tags={"use": "portal"})
    vault = linked_vault(scope=scope, scope_value="portal-" if scope == VaultScope.PREFIX else "use=portal")
    client = client_of(vault, patient=False)
    with pytest.raises(NeedsAttention) as raised:
        vault_access.reference(vault=vault, name=NAME, facts=client.facts(NAME))
    assert raised.value.code == "vault_not_allowed"
    facts = client.facts("portal-allowed")
    secret = vault_access.reference(vault=vault, name="portal-allowed", facts=facts)
    assert (secret.version, secret.state) == (facts.version, VaultSecretState.USABLE)
    # the same again is the same row
    assert vault_access.reference(vault=vault, name="portal-allowed", facts=facts) == secret


@pytest.mark.parametrize(
    ("scope", "value"),
    [(VaultScope.PREFIX, "portal-"), (VaultScope.TAG, "use"), (VaultScope.TAG, "use=portal")],
)
def test_what_the_link_does_not_allow_any_more_is_not_even_read(
    connection: Connection, double: Double, linked_vault: LinkVault, scope: VaultScope, value: str
) -> None:
    double.vault.put(NAME, VALUE)
    read_from(connection, linked_vault())
    narrow(scope, value)
    assert refused(connection) == "vault_not_allowed"
    assert reads(double) == []
    assert told("secret.used") == []


def test_a_secret_with_the_tag_is_read_and_one_that_lost_it_is_not(
    connection: Connection, double: Double, linked_vault: LinkVault
) -> None:
    double.vault.put(NAME, VALUE, tags={"use": "portal"})
    secret = read_from(connection, linked_vault(scope=VaultScope.TAG, scope_value="use"))
    assert use(connection) == VALUE
    double.vault.change(NAME, tags={})
    cache.clear()
    # the answer says so: the value is not handed out, and from now on not even read
    assert refused(connection) == "vault_not_allowed"
    assert len(reads(double)) == 2
    secret.refresh_from_db()
    assert secret.state == VaultSecretState.NOT_ALLOWED
    assert refused(connection) == "vault_not_allowed"
    assert len(reads(double)) == 2
    double.vault.change(NAME, tags={"use": ""})
    assert use(connection) == VALUE


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        (HOST, True),
        (HOST.upper(), True),
        (f"other.example.com, {HOST}", True),
        (f"other.example.com {HOST}", True),
        ("", True),
        ("other.example.com", False),
        (f"x{HOST}", False),
        (f"{HOST}.evil.example", False),
        ("*", False),
    ],
)
def test_the_tag_says_which_targets_a_secret_is_for(
    connection: Connection, double: Double, linked_vault: LinkVault, tag: str, fits: bool
) -> None:
    double.vault.put(NAME, VALUE, tags={"portal-target": tag} if tag else {})
    read_from(connection, linked_vault())
    if fits:
        assert use(connection) == VALUE
        return
    assert refused(connection) == "vault_target_refused"
    assert reads(double) == []
    assert told("secret.used") == []
    assert not VaultSecretTarget.objects.exists()


def test_a_tag_that_is_known_is_looked_at_without_the_value(
    connection: Connection, double: Double, linked_vault: LinkVault
) -> None:
    """Stored from an earlier look: the vault is asked what it says now, and for the value only if that fits."""
    double.vault.put(NAME, VALUE, tags={"portal-target": "other.example.com"})
    secret = read_from(connection, linked_vault())
    known = {"portal_target": "other.example.com", "checked_at": timezone.now()}
    VaultSecret.objects.filter(pk=secret.pk).update(**known)
    assert refused(connection) == "vault_target_refused"
    assert reads(double) == []
    double.vault.change(NAME, tags={"portal-target": HOST})
    assert use(connection) == VALUE


def test_a_tag_that_was_set_meanwhile_keeps_the_value_from_being_handed_out(
    connection: Connection, double: Double, linked_vault: LinkVault
) -> None:
    double.vault.put(NAME, VALUE)
    read_from(connection, linked_vault())
    assert use(connection) == VALUE
    cache.clear()
    double.vault.change(NAME, tags={"portal-target": "other.example.com"})
    assert refused(connection) == "vault_target_refused"
    # it was read once more, and what the answer said is known from now on
    seen = len(reads(double))
    assert VaultSecret.objects.get().portal_target == "other.example.com"
    assert refused(connection) == "vault_target_refused"
    assert len(reads(double)) == seen


@pytest.mark.parametrize("known", [True, False])
def test_without_the_right_to_list_the_answer_is_looked_at(
    connection: Connection, double: Double, linked_vault: LinkVault, known: bool
) -> None:
    double.vault.put(NAME, VALUE, tags={"portal-target": "other.example.com"})
    secret = read_from(connection, linked_vault())
    if known:
        VaultSecret.objects.filter(pk=secret.pk).update(portal_target="other.example.com")
    double.vault.forbid("list")
    assert refused(connection) == "vault_target_refused"
    assert len(reads(double)) == (0 if known else 1)


def test_by_a_tag_that_nobody_tells_nothing_is_read(
    connection: Connection, double: Double, linked_vault: LinkVault
) -> None:
    double.vault.put(NAME, VALUE, tags={"use": "portal"})
    vault = linked_vault(scope=VaultScope.TAG, scope_value="use")
    double.vault.forbid("list")
    read_from(connection, vault)
    assert refused(connection) == "vault_forbidden"
    assert reads(double) == []


def test_verifications_are_held_to_it_as_well(admin: User, double: Double, linked_vault: LinkVault) -> None:
    double.vault.put(NAME, VALUE, tags={"portal-target": "other.example.com"})
    draft = make_draft(actor=admin, verified=False)
    read_from(draft, linked_vault())
    assert refused(draft, "verify") == "vault_target_refused"
    assert reads(double) == []


def test_the_first_use_for_a_target_is_told_to_administrators_once(
    connection: Connection, double: Double, linked_vault: LinkVault, admin: User
) -> None:
    double.vault.put(NAME, VALUE)
    secret = read_from(connection, linked_vault())
    for _time in (1, 2):
        with secret_store.resolve(connection, purpose="run", actor=admin):
            pass
        cache.clear()
    [notice] = VaultNotice.objects.filter(kind=VaultNotice.Kind.NEW_TARGET)
    assert (notice.secret_name, notice.connections, notice.person_label) == (
        NAME, [connection.name], "Lena Hofmann",
    )  # fmt: skip
    assert notice.cause == f"sftp://{HOST}/in"
    [target] = VaultSecretTarget.objects.all()
    assert (target.secret, target.target_digest) == (secret, connection.target_digest)

    # another connection to the same server is no new target, another server is one
    vault = KeyVault.objects.get()
    for name, host in (("The same server", HOST), ("Another server", "other.example.com")):
        other = make_connection(actor=admin, name=name, settings=SETTINGS | {"hostname": host})
        read_from(other, vault)
        use(other)
    notices = VaultNotice.objects.filter(kind=VaultNotice.Kind.NEW_TARGET)
    assert sorted(notice.cause for notice in notices) == [
        "sftp://files.example.com/in",
        "sftp://other.example.com/in",
    ]


def test_a_use_that_was_refused_is_no_first_use(
    connection: Connection, double: Double, linked_vault: LinkVault
) -> None:
    double.vault.put(NAME, VALUE, enabled=False)
    read_from(connection, linked_vault())
    assert refused(connection) == "vault_secret_disabled"
    assert not VaultSecretTarget.objects.exists()
    assert not VaultNotice.objects.filter(kind=VaultNotice.Kind.NEW_TARGET).exists()


def test_of_two_secrets_the_one_that_may_be_used_is_not_read_alone(
    admin: User, double: Double, linked_vault: LinkVault
) -> None:
    """All are looked at before the first is read."""
    by_key = SETTINGS | {"auth_method": "key"}
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    connection = make_connection(actor=admin, settings=by_key, secrets={"private_key": key})
    double.vault.put("sftp-key", key, tags={"portal-target": "other.example.com"})
    double.vault.put("sftp-passphrase", "a passphrase")
    vault = linked_vault()
    read_from(connection, vault, "sftp-key", field="private_key")
    passphrase = vault_access.reference(vault=vault, name="sftp-passphrase")
    ConnectionSecret.objects.create(
        connection=connection,
        field="passphrase",
        vault_secret=passphrase,
        target_digest=connection.target_digest,
    )
    assert refused(connection) == "vault_target_refused"
    assert reads(double, "sftp-passphrase") == []
