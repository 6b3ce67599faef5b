"""*Link a vault* and changes of a link, as operations: what is verified, stored, refused and written."""

import datetime as dt
import json
from collections.abc import Callable

import pytest
from django.utils import timezone

from connections import consent, sealed, vault_clients
from connections.models import ConnectionSecret, Consent, KeyVault, VaultName
from connections.operations import limits
from connections.operations.change_link import Narrows, change_link
from connections.operations.edit import Agreement
from connections.operations.link_vault import NotVerified, VaultLink, link_vault, verify_link
from connections_portal.errors import OperationError, Stale
from connections_portal.models import AuditEntry, User
from connections_portal.sandbox.key_vault_cloud import FIREWALL
from tests.key_vault.double import Double
from tests.key_vault.linking import read_from

pytestmark = pytest.mark.django_db(transaction=True)
Linked = Callable[..., KeyVault]
NOT_ASKED = Agreement(ticked=False, wording_hash="")


def link_of(double: Double, **more: str) -> VaultLink:
    return VaultLink(**({"host": double.vault.host, "identity": "portal", "scope": "all"} | more))


def principal_of(double: Double, **more: str) -> dict[str, str]:
    """An application that may do what the portal may, and its secret."""
    application = double.cloud.application()
    return {
        "identity": "principal_secret",
        "tenant_id": application.tenant_id,
        "client_id": application.client_id,
        "credential": application.secret,
    } | more


def save(link: VaultLink, actor: User, *, agreed: bool = True, wording: str = "") -> KeyVault:
    shown = wording or consent.vault_wording(link.host).hash
    return link_vault(link=link, agreed=agreed, wording_hash=shown, actor=actor)


def all_audit() -> str:
    """Everything that the audit says, as text."""
    rows = AuditEntry.objects.values("action", "object_label", "details", "actor_label")
    return json.dumps(list(rows))


def statuses(steps: list[dict[str, str]]) -> list[str]:
    return [f"{step['key']} {step['status']}" for step in steps]


def test_what_a_link_stores(double: Double, admin: User) -> None:
    double.vault.put("portal-sftp", "a-value-of-the-vault")
    vault = save(link_of(double, scope="prefix", scope_value="portal-", region="westeurope"), admin)
    vault.refresh_from_db()
    assert (vault.name, vault.identity, vault.scope, vault.scope_value) == (
        "contoso-kv", "portal", "prefix", "portal-",
    )  # fmt: skip
    assert statuses(vault.verification) == ["reach done", "sign_in done", "list done", "read done"]
    assert (vault.can_list, vault.state, vault.verified_by, vault.version) == (True, "working", admin, 1)
    assert vault.last_contact_at is not None
    assert not ConnectionSecret.objects.exists()
    given = Consent.objects.get()
    assert vault.consent == given
    assert (given.action, given.connection_uuid, given.type_key) == ("given", vault.uuid, "azure_key_vault")
    assert (given.target_label, given.person_label) == (vault.host, "Lena Hofmann")
    assert "never stored" in given.wording
    assert "https://privacy.microsoft.com/privacystatement" in given.wording
    entry = AuditEntry.objects.get(action="vault.linked")
    assert (entry.actor_id, entry.object_uuid, entry.details["vault"]) == (admin.pk, vault.uuid, vault.host)
    assert AuditEntry.objects.get(action="vault.verified").details["secret"] == "portal-sftp"
    assert "a-value-of-the-vault" not in all_audit()


def test_a_principal_s_secret_is_sealed_for_this_vault_and_principal(double: Double, admin: User) -> None:
    typed = principal_of(double)
    vault = save(link_of(double, **typed), admin)
    secret = ConnectionSecret.objects.get()
    assert (secret.key_vault, secret.field, secret.target_digest) == (
        vault,
        "credential",
        vault.target_digest,
    )
    assert secret.target_digest == vault_clients.digest_of(vault)
    assert sealed.holds(secret, typed["credential"])
    assert typed["credential"] not in all_audit()
    double.vault.put("portal-sftp", "value")
    assert vault_clients.client_of(vault, patient=False).facts("portal-sftp").name == "portal-sftp"


def test_a_certificate_signs_in(double: Double, admin: User, certificate: tuple[str, str]) -> None:
    alone, both = certificate
    application = double.cloud.application(certificate=alone, secret="")
    vault = save(
        link_of(
            double,
            identity="principal_certificate",
            tenant_id=application.tenant_id,
            client_id=application.client_id,
            credential=both,
        ),
        admin,
    )
    assert sealed.holds(vault.secrets.get(), both)
    assert "PRIVATE KEY" not in all_audit()


def test_a_wrong_client_secret_stores_nothing(double: Double, admin: User) -> None:
    typed = principal_of(double, credential="a-wrong-client-secret-of-nobody")
    with pytest.raises(NotVerified) as refused:
        save(link_of(double, **typed), admin)
    steps = refused.value.verification.steps
    assert statuses(steps) == ["reach done", "sign_in failed"]
    assert steps[-1]["code"] == "vault_sign_in_refused"
    assert not KeyVault.objects.exists()
    assert not ConnectionSecret.objects.exists()
    assert not Consent.objects.exists()
    entry = AuditEntry.objects.get(action="vault.verified")
    assert (entry.outcome, entry.details["step"], entry.details["code"]) == (
        "refused", "sign_in", "vault_sign_in_refused",
    )  # fmt: skip
    assert "a-wrong-client-secret-of-nobody" not in all_audit() + json.dumps(steps)


def test_reading_without_listing_links_all_the_same(double: Double, admin: User) -> None:
    double.vault.put("portal-sftp", "value")
    double.vault.forbid("list")
    vault = save(link_of(double, secret_name="portal-sftp"), admin)
    assert statuses(vault.verification) == ["reach done", "sign_in done", "list limited", "read done"]
    assert not vault.can_list


@pytest.mark.parametrize(
    ("trouble", "step", "code"),
    [
        (lambda d: d.troubles.gone.add(d.vault.host), "reach", "vault_unreachable"),
        (lambda d: d.vault.forbid(code=FIREWALL), "list", "vault_firewall"),
    ],
    ids=["out of reach", "firewall"],
)
def test_a_vault_that_does_not_answer_is_not_linked(
    double: Double, admin: User, trouble: Callable[[Double], None], step: str, code: str
) -> None:
    trouble(double)
    with pytest.raises(NotVerified) as refused:
        save(link_of(double), admin)
    last = refused.value.verification.steps[-1]
    assert (last["key"], last["status"], last["code"]) == (step, "failed", code)
    assert not KeyVault.objects.exists()


def test_a_vault_of_another_tenant_is_told_apart(double: Double, admin: User) -> None:
    foreign = double.cloud.add_vault("fabrikam-kv", tenant_id="99999999-2222-3333-4444-555555555555")
    with pytest.raises(NotVerified) as refused:
        save(link_of(double, host=foreign.host, **principal_of(double)), admin)
    assert refused.value.verification.steps[-1]["code"] == "vault_foreign_tenant"
    # nobody signed in there
    assert not double.cloud.requests(host="login.microsoftonline.com", path="/99999999")


def test_the_portal_s_own_identity_goes_to_its_own_vaults_only(double: Double, admin: User) -> None:
    unlisted = double.cloud.add_vault("fabrikam-kv", listed=False)
    with pytest.raises(NotVerified) as refused:
        save(link_of(double, host=unlisted.host), admin)
    assert refused.value.verification.steps[-1]["code"] == "vault_identity_not_for_host"
    assert not double.cloud.requests(host=unlisted.host)


def test_a_vault_is_linked_once(double: Double, admin: User, linked_vault: Linked) -> None:
    linked_vault()
    with pytest.raises(OperationError) as refused:
        save(link_of(double), admin)
    assert refused.value.fields == {"address": "This vault is linked already. Edit its link instead."}
    assert not double.cloud.requests(host=double.vault.host)


@pytest.mark.parametrize(
    ("agreed", "wording", "said"),
    [
        (False, "", "Read the text and agree to it."),
        (True, "0" * 64, "The text has changed since you agreed. Read it and agree again."),
    ],
)
def test_nothing_is_asked_before_somebody_agreed(
    double: Double, admin: User, agreed: bool, wording: str, said: str
) -> None:
    with pytest.raises(OperationError) as refused:
        save(link_of(double), admin, agreed=agreed, wording=wording)
    assert refused.value.fields == {"agree": said}
    assert not double.cloud.seen
    assert not KeyVault.objects.exists()


def test_ten_verifications_a_minute_of_vaults_and_connections_together(double: Double, admin: User) -> None:
    now = timezone.now()
    for _number in range(limits.PER_MINUTE):
        verify_link(link=link_of(double), actor=admin, now=now)
    with pytest.raises(limits.TooMany, match="Ten verifications a minute"):
        verify_link(link=link_of(double), actor=admin, now=now)
    verify_link(link=link_of(double), actor=admin, now=now + dt.timedelta(minutes=2))


def test_a_third_verification_at_once_waits_its_turn(double: Double, admin: User) -> None:
    with limits.slot(), limits.slot(), pytest.raises(limits.TooMany, match="Two other verifications"):
        verify_link(link=link_of(double), actor=admin)
    assert not AuditEntry.objects.filter(action__startswith="vault.").exists()


def change(vault: KeyVault, link: VaultLink, actor: User, *, impact: str = "", version: int = 0) -> KeyVault:
    return change_link(
        vault=vault,
        version=version or vault.version,
        link=link,
        agreement=NOT_ASKED,
        impact=impact,
        actor=actor,
    )


def test_another_scope_is_verified_and_makes_the_list_of_names_anew(
    double: Double, admin: User, linked_vault: Linked
) -> None:
    vault = linked_vault()
    VaultName.objects.create(vault=vault, name="portal-sftp", seen="x")
    KeyVault.objects.update(names_at=timezone.now(), names_count=1, names_token="x")
    changed = change(vault, link_of(double, scope="prefix", scope_value="portal-"), admin)
    changed.refresh_from_db()
    assert (changed.scope, changed.scope_value, changed.version) == ("prefix", "portal-", 2)
    assert (changed.names_at, changed.names_count, VaultName.objects.count()) == (None, 0, 0)
    assert Consent.objects.count() == 1
    assert AuditEntry.objects.get(action="vault.link_changed").details["changed"] == ["scope", "scope_value"]
    assert AuditEntry.objects.filter(action="vault.verified").count() == 2


def test_labels_alone_ask_the_vault_nothing(double: Double, admin: User, linked_vault: Linked) -> None:
    vault = linked_vault()
    double.troubles.gone.add(double.vault.host)
    changed = change(vault, link_of(double, subscription_name="Contoso production"), admin)
    assert (changed.subscription_name, changed.version) == ("Contoso production", 2)
    assert not double.cloud.seen


def test_an_empty_credential_stays_for_the_same_principal_only(
    double: Double, admin: User, linked_vault: Linked
) -> None:
    application = double.cloud.application()
    vault = linked_vault(principal=application)
    same = {"identity": "principal_secret", "tenant_id": vault.tenant_id, "client_id": vault.client_id}
    changed = change(vault, link_of(double, scope="prefix", scope_value="portal-", **same), admin)
    assert sealed.holds(changed.secrets.get(), application.secret)
    other = double.cloud.application()
    with pytest.raises(OperationError) as refused:
        change(changed, link_of(double, **(same | {"client_id": other.client_id})), admin)
    assert refused.value.fields == {"client_secret": "Type it for this tenant and client."}
    assert not double.cloud.requests(path=f"/{other.client_id}")
    KeyVault.objects.get(client_id=application.client_id)


def test_a_new_principal_replaces_the_stored_credential(
    double: Double, admin: User, linked_vault: Linked
) -> None:
    vault = linked_vault(principal=double.cloud.application())
    first = vault_clients.client_of(vault, patient=False)
    typed = principal_of(double)
    changed = change(vault, link_of(double, **typed), admin)
    secret = changed.secrets.get()
    assert sealed.holds(secret, typed["credential"])
    assert secret.target_digest == vault_clients.digest_of(changed)
    assert vault_clients.client_of(changed, patient=False) is not first
    back = change(changed, link_of(double), admin)
    assert (back.identity, back.client_id, back.secrets.count()) == ("portal", "", 0)


def test_an_old_page_is_refused_before_anything_is_asked(
    double: Double, admin: User, linked_vault: Linked
) -> None:
    vault = linked_vault()
    change(vault, link_of(double, resource_group="rg"), admin)
    with pytest.raises(Stale, match="Lena Hofmann changed this link"):
        change(vault, link_of(double, scope="prefix", scope_value="x"), admin, version=1)
    KeyVault.objects.all().delete()
    with pytest.raises(Stale, match="unlinked meanwhile"):
        change(vault, link_of(double), admin, version=1)


@pytest.mark.parametrize(
    "scope",
    [{"scope": "prefix", "scope_value": "portal-"}, {"scope": "tag", "scope_value": "used-by=portal"}],
    ids=["prefix", "tag"],
)
def test_narrowing_says_first_what_it_takes_away(
    double: Double, admin: User, linked_vault: Linked, scope: dict[str, str]
) -> None:
    double.vault.put("portal-sftp", "value", tags={"Used-By": "portal"})
    double.vault.put("crm-password", "value")
    vault = linked_vault()
    read_from(vault, actor=admin, name="Stays", secret="portal-sftp")
    lost = read_from(vault, actor=admin, name="Is lost", secret="crm-password")
    narrower = link_of(double, **scope)
    with pytest.raises(Narrows, match="1 connection could no longer read its secret") as refused:
        change(vault, narrower, admin)
    narrowing = refused.value.narrowing
    assert [(one.connection, one.secret.name) for one, _fit in narrowing.lost] == [(lost, "crm-password")]
    with pytest.raises(Narrows):
        change(vault, narrower, admin, impact="0" * 64)
    changed = change(vault, narrower, admin, impact=narrowing.impact)
    assert changed.scope == scope["scope"]
    assert AuditEntry.objects.get(action="vault.link_changed").details["no_longer_allowed"] == 1
