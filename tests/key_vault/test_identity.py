"""Who signs in, through Azure's real libraries: tokens from memory, one fetch at a time, secrets only for as long."""

import threading
from contextlib import contextmanager

import pytest
from django.conf import settings as project

from connections.connectors.errors import ConnectorError, NeedsAttention, TryLater
from connections.gateway import OutgoingGateway
from connections.key_vault import transport
from connections.key_vault.base import Principal
from connections.key_vault.clouds import CLOUDS
from connections.key_vault.identity import PortalIdentity, PrincipalIdentity, may_be_same
from connections.key_vault.transport import Outgoing
from connections_portal.sandbox.key_vault_cloud import TENANT

SCOPE = CLOUDS["public"].vault_scope
OTHER = "99999999-2222-3333-4444-555555555555"


@pytest.fixture
def outgoing(double):
    return Outgoing(OutgoingGateway(), double.server.proxy, str(double.server.ca_file))


class Stored:
    """A principal as it is stored: counts how often it is taken out, and whether it is out now."""

    def __init__(self, **what):
        self.what, self.taken, self.out = what, 0, False

    @contextmanager
    def __call__(self):
        self.taken, self.out = self.taken + 1, True
        try:
            yield Principal(**self.what)
        finally:
            self.out = False


def principal(double, **what):
    app = double.cloud.application()
    return Stored(**({"tenant_id": TENANT, "client_id": app.client_id, "secret": app.secret} | what))


def signing(stored, outgoing, tenant_id=TENANT):
    return PrincipalIdentity(tenant_id, stored, outgoing, cloud="public")


def test_a_token_is_fetched_once_and_the_secret_taken_out_for_that_alone(double, outgoing):
    stored = principal(double)
    identity = signing(stored, outgoing)
    first = identity.get_token_info(SCOPE, options={"tenant_id": TENANT, "enable_cae": True})
    assert identity.get_token_info(SCOPE).token == first.token
    assert (stored.taken, stored.out) == (1, False)
    assert len(double.cloud.requests(path=f"/{TENANT}/oauth2")) == 1


def test_a_token_for_the_directory_is_another_one(double, outgoing):
    identity = signing(principal(double), outgoing)
    directory = identity.get_token_info(CLOUDS["public"].management_scope)
    assert directory.token != identity.get_token_info(SCOPE).token


def test_a_token_near_its_end_is_not_used_again(double, outgoing):
    double.cloud.token_seconds = 299
    stored = principal(double)
    identity = signing(stored, outgoing)
    identity.get_token_info(SCOPE)
    identity.get_token_info(SCOPE)
    assert stored.taken == 2


def test_forget_fetches_anew(double, outgoing):
    stored = principal(double)
    identity = signing(stored, outgoing)
    identity.get_token_info(SCOPE)
    identity.forget()
    identity.get_token_info(SCOPE)
    assert stored.taken == 2


def test_claims_that_a_vault_asks_for_are_never_answered_from_memory(double, outgoing):
    stored = principal(double)
    identity = signing(stored, outgoing)
    identity.get_token_info(SCOPE)
    identity.get_token_info(
        SCOPE, options={"claims": '{"access_token": {"nbf": {"essential": true}}}', "enable_cae": True}
    )
    assert stored.taken == 2


def test_one_fetch_at_a_time(double, outgoing):
    double.troubles.latency = 0.05
    stored = principal(double)
    identity = signing(stored, outgoing)
    tokens = []
    threads = [
        threading.Thread(target=lambda: tokens.append(identity.get_token_info(SCOPE).token)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(tokens)) == 1
    assert len(tokens) == 8
    assert stored.taken == 1


def test_a_page_does_not_wait_for_somebody_else_s_sign_in_longer_than_it_may(double, outgoing):
    begun, go_on = threading.Event(), threading.Event()

    @contextmanager
    def slow():
        begun.set()
        go_on.wait(10)
        app = double.portal
        yield Principal(tenant_id=TENANT, client_id=app.client_id, secret=app.secret)

    identity = signing(slow, outgoing)
    other = threading.Thread(target=identity.get_token_info, args=(SCOPE,))
    other.start()
    try:
        assert begun.wait(5)
        with pytest.raises(TryLater, match="could not be reached"), transport.within(0.1):
            identity.get_token_info(SCOPE)
    finally:
        go_on.set()
        other.join()


def test_a_certificate_signs_in(double, outgoing, certificate):
    public, both = certificate
    app = double.cloud.application(secret="", certificate=public)
    stored = Stored(tenant_id=TENANT, client_id=app.client_id, certificate=both)
    assert signing(stored, outgoing).get_token_info(SCOPE).token


@pytest.mark.parametrize("pem", ["nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_cannot_be_read(double, outgoing, pem):
    stored = Stored(tenant_id=TENANT, client_id="app", certificate=pem)
    with pytest.raises(NeedsAttention) as refused:
        signing(stored, outgoing).get_token_info(SCOPE)
    assert refused.value.code == "vault_sign_in_refused"
    assert "AAAA" not in refused.value.detail


def test_a_certificate_of_somebody_else(double, outgoing, certificate):
    from tests.key_vault.double import make_certificate

    app = double.cloud.application(secret="", certificate=make_certificate()[0])
    stored = Stored(tenant_id=TENANT, client_id=app.client_id, certificate=certificate[1])
    with pytest.raises(NeedsAttention) as refused:
        signing(stored, outgoing).get_token_info(SCOPE)
    assert refused.value.code == "vault_sign_in_refused"


@pytest.mark.parametrize(
    ("what", "word"), [({"secret": "wrong-s3cret-1"}, "7000215"), ({"client_id": OTHER}, "700016")]
)
def test_a_refused_sign_in_says_why_without_the_secret(double, outgoing, what, word):
    stored = principal(double, **what)
    with pytest.raises(NeedsAttention) as refused:
        signing(stored, outgoing).get_token_info(SCOPE)
    assert refused.value.code == "vault_sign_in_refused"
    assert word in refused.value.detail
    assert stored.what["secret"] not in f"{refused.value.detail}{refused.value!r}{refused.value.__cause__}"
    assert not stored.out


def test_each_cloud_signs_in_at_its_own_place_and_nowhere_else(double, outgoing):
    cloud = CLOUDS["china"]
    identity = PrincipalIdentity(TENANT, principal(double), outgoing, cloud="china")
    for scope in (cloud.vault_scope, cloud.management_scope):
        assert identity.get_token_info(scope).token
    assert {seen.host for seen in double.cloud.seen} == {cloud.login}
    with pytest.raises(ConnectorError):
        identity.get_token_info(SCOPE)


def test_a_tenant_that_is_not_there(double, outgoing):
    stored = principal(double, tenant_id=OTHER)
    with pytest.raises(NeedsAttention) as refused:
        signing(stored, outgoing, OTHER).get_token_info(SCOPE)
    assert refused.value.code == "vault_sign_in_refused"


def test_a_vault_of_another_tenant_is_shown_nothing(double, outgoing):
    stored = principal(double)
    with pytest.raises(NeedsAttention) as refused:
        signing(stored, outgoing).get_token_info(SCOPE, options={"tenant_id": OTHER})
    assert refused.value.code == "vault_foreign_tenant"
    assert stored.taken == 0
    assert double.cloud.seen == []


@pytest.mark.parametrize(
    "scope", ["https://graph.microsoft.com/.default", "https://net/.default", "", f"{SCOPE}/x"]
)
def test_a_token_for_anything_else_is_not_fetched(double, outgoing, scope):
    stored = principal(double)
    with pytest.raises(ConnectorError):
        signing(stored, outgoing).get_token_info(scope)
    with pytest.raises(ConnectorError):
        signing(stored, outgoing).get_token_info(SCOPE, scope)
    assert stored.taken == 0


@pytest.mark.parametrize(("status", "code"), [(503, "vault_unreachable"), (429, "vault_throttled")])
def test_sign_in_that_is_busy_is_no_refusal(double, outgoing, status, code):
    double.troubles.sign_in = status
    with pytest.raises(TryLater) as later:
        signing(principal(double), outgoing).get_token_info(SCOPE)
    assert later.value.code == code


def test_sign_in_out_of_reach(double, outgoing):
    double.troubles.gone.add("login.microsoftonline.com")
    with pytest.raises(TryLater) as later:
        signing(principal(double), outgoing).get_token_info(SCOPE)
    assert "The proxy answers 502" in later.value.detail


def test_neither_identity_nor_principal_print_what_they_hold(double, outgoing):
    stored = principal(double)
    identity = signing(stored, outgoing)
    token = identity.get_token_info(SCOPE).token
    assert token not in repr(identity)
    assert stored.what["secret"] not in repr(Principal(**stored.what))


def test_tenants_are_compared_where_both_are_known():
    assert may_be_same("", TENANT)
    assert may_be_same("contoso.example", TENANT)
    assert may_be_same(TENANT.upper(), TENANT)
    assert not may_be_same(OTHER, TENANT)


def portal(outgoing, **more):
    return PortalIdentity(outgoing, cloud="public", **more)


def test_the_portal_signs_in_as_its_environment_says(double, outgoing):
    identity = portal(outgoing, tenant_id=TENANT)
    assert identity.get_token_info(SCOPE).token
    identity.get_token_info(SCOPE)
    assert len(double.cloud.requests(path=f"/{TENANT}/oauth2")) == 1


@pytest.mark.parametrize(
    "kind", ["", "dev", "AzureCliCredential", "InteractiveBrowserCredential", "Nonsense"]
)
def test_the_portal_has_no_identity_unless_one_of_a_machine_is_named(double, outgoing, monkeypatch, kind):
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", kind)
    with pytest.raises(NeedsAttention) as missing:
        portal(outgoing).get_token_info(SCOPE)
    assert missing.value.code == "vault_identity_missing"
    assert "AZURE_TOKEN_CREDENTIALS" in missing.value.detail
    assert double.cloud.seen == []


def test_the_kind_is_named_but_not_there(double, outgoing, monkeypatch):
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    with pytest.raises(NeedsAttention) as missing:
        portal(outgoing).get_token_info(SCOPE)
    assert missing.value.code == "vault_identity_missing"
    assert "EnvironmentCredential" in missing.value.detail


def test_a_certificate_file_that_is_not_there(double, outgoing, monkeypatch):
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", "/nowhere/portal.pem")
    with pytest.raises(NeedsAttention) as missing:
        portal(outgoing).get_token_info(SCOPE)
    assert missing.value.code == "vault_identity_missing"


def test_a_wrong_secret_of_the_portal_is_a_refused_sign_in(double, outgoing, monkeypatch):
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong-s3cret-2")
    with pytest.raises(NeedsAttention) as refused:
        portal(outgoing).get_token_info(SCOPE)
    assert refused.value.code == "vault_sign_in_refused"
    assert "7000215" in refused.value.detail


@pytest.fixture
def managed(double, monkeypatch):
    """The machine has an identity of its own, behind an endpoint at this machine."""
    double.cloud.managed = double.cloud.application()
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name)
    for name, value in double.server.identity_environment.items():
        monkeypatch.setenv(name, value)
    return double.server.identity_environment["IDENTITY_ENDPOINT"]


def test_a_managed_identity_is_asked_without_gateway_and_proxy(double, outgoing, managed):
    identity = portal(outgoing, endpoints=[managed])
    assert identity.get_token_info(SCOPE).token
    assert [seen.method for seen in double.cloud.requests(path="/msi/token")] == ["GET"]


def test_an_endpoint_that_was_not_configured_is_not_asked(double, outgoing, managed):
    with pytest.raises(ConnectorError):
        portal(outgoing, endpoints=["http://169.254.169.254"]).get_token_info(SCOPE)
    assert double.cloud.requests(path="/msi/token") == []


def test_a_workload_identity_signs_in_with_the_token_of_its_cluster(double, outgoing, monkeypatch, tmp_path):
    file = tmp_path / "token"
    file.write_text("token-of-the-cluster")
    app = double.cloud.application(secret="", federated_token="token-of-the-cluster")
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "WorkloadIdentityCredential")
    monkeypatch.setenv("AZURE_CLIENT_ID", app.client_id)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    assert portal(outgoing).get_token_info(SCOPE).token


def test_prod_takes_the_first_kind_that_is_there(double, outgoing, managed, monkeypatch):
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "prod")
    assert portal(outgoing, endpoints=[managed]).get_token_info(SCOPE).token


def test_settings_name_the_endpoint_of_machines_in_the_cloud():
    assert "http://169.254.169.254" in project.AZURE_IDENTITY_ENDPOINTS
