"""The Key Vault double behaves as Azure was measured to, seen through Microsoft's own libraries."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from azure.keyvault.secrets import SecretClient

from connections_portal.sandbox.key_vault import AUTHORITY_KEY, KeyVaultDouble
from connections_portal.sandbox.key_vault_cloud import FIREWALL, POLICY, RBAC, TENANT, Cloud
from tests.key_vault.double import Double, make_certificate

OTHER_TENANT = "99999999-2222-3333-4444-555555555555"
GRAPH = "https://management.azure.com/providers/Microsoft.ResourceGraph/resources?api-version=2021-03-01"
Transport = Callable[[], RequestsTransport]


@pytest.fixture
def transport(double: Double) -> Iterator[Transport]:
    """Makes transports to the double as a stranger's program would: proxy and authority, nothing else."""
    made: list[requests.Session] = []

    def build() -> RequestsTransport:
        made.append(_session(double.server))
        believed = str(double.server.ca_file)
        return RequestsTransport(session=made[-1], use_env_settings=False, connection_verify=believed)

    yield build
    for session in made:
        session.close()


def _session(server: KeyVaultDouble) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.proxies = {"https": server.proxy}
    session.verify = str(server.ca_file)
    return session


def _signing(double: Double, transport: Transport, **changed: str) -> ClientSecretCredential:
    given = {
        "tenant_id": TENANT,
        "client_id": double.portal.client_id,
        "client_secret": double.portal.secret,
    } | changed
    return ClientSecretCredential(**given, transport=transport())


@pytest.fixture
def client(double: Double, transport: Transport) -> SecretClient:
    return SecretClient(
        f"https://{double.vault.host}",
        _signing(double, transport),
        transport=transport(),
        retry_total=0,
    )


def test_latest_and_pinned_versions(double: Double, client: SecretClient) -> None:
    first = double.vault.put("crm-db", "one")
    second = double.vault.put("crm-db", "two", tags={"portal-target": "files.example"}, content_type="text")
    latest = client.get_secret("CRM-DB")
    assert (latest.value, latest.properties.version) == ("two", second)
    assert latest.properties.tags == {"portal-target": "files.example"}
    assert latest.properties.content_type == "text"
    assert client.get_secret("crm-db", first).value == "one"
    versions = list(client.list_properties_of_secret_versions("crm-db"))
    assert {each.version for each in versions} == {first, second}
    made = {each.version: each.created_on for each in versions if each.created_on}
    assert made[first] < made[second]


def test_first_request_brings_no_token_and_later_ones_do(double: Double, client: SecretClient) -> None:
    double.vault.put("a", "value")
    client.get_secret("a")
    client.get_secret("a")
    seen = double.cloud.requests(host=double.vault.host)
    assert [(each.bearer, each.status) for each in seen] == [(False, 401), (True, 200), (True, 200)]
    tokens = double.cloud.requests(path=f"/{TENANT}/oauth2/v2.0/token")
    assert len(tokens) == 1


def test_pages_hold_25_and_lists_neither_value_nor_version(double: Double, client: SecretClient) -> None:
    double.vault.stock(10_000)
    pages: Any = client.list_properties_of_secrets(max_page_size=1000).by_page()
    first = list(next(pages))
    assert len(first) == 25
    assert all(each.version is None for each in first)
    assert ":443/secrets?" in pages.continuation_token
    second = list(next(pages))
    assert second[0].name == "secret-00025"
    assert sum(1 for _ in client.list_properties_of_secrets()) == 10_000


def test_disabled_is_refused_expired_and_future_are_handed_out(double: Double, client: SecretClient) -> None:
    double.vault.put("off", "v", enabled=False)
    double.vault.put("over", "v", expires=-60)
    double.vault.put("early", "v", not_before=3600)
    with pytest.raises(HttpResponseError) as refused:
        client.get_secret("off")
    assert refused.value.status_code == 403
    assert refused.value.error is not None
    assert refused.value.error.innererror == {"code": "SecretDisabled"}
    over, early = client.get_secret("over"), client.get_secret("early")
    assert over.properties.expires_on is not None
    assert over.properties.expires_on.timestamp() < time.time()
    assert early.properties.not_before is not None
    assert early.properties.not_before.timestamp() > time.time()


def test_soft_delete_recover_and_purge(double: Double, client: SecretClient) -> None:
    client.set_secret("gone", "v", tags={"a": "b"})
    assert client.begin_delete_secret("gone").result().name == "gone"
    with pytest.raises(ResourceNotFoundError) as missing:
        client.get_secret("gone")
    assert missing.value.error is not None
    assert missing.value.error.code == "SecretNotFound"
    with pytest.raises(ResourceExistsError):
        client.set_secret("gone", "w")
    assert [each.name for each in client.list_deleted_secrets()] == ["gone"]
    client.begin_recover_deleted_secret("gone").wait()
    assert client.get_secret("gone").value == "v"
    client.update_secret_properties("gone", double.vault.live["gone"][-1].version, enabled=False)
    assert not double.vault.live["gone"][-1].enabled
    client.begin_delete_secret("gone").wait()
    client.purge_deleted_secret("gone")
    assert double.vault.deleted == {}


@pytest.mark.parametrize("code", [RBAC, POLICY, FIREWALL])
def test_refusals_name_their_reason(double: Double, client: SecretClient, code: str) -> None:
    double.vault.put("a", "v")
    double.vault.forbid("list", code)
    assert client.get_secret("a").value == "v"
    with pytest.raises(HttpResponseError) as refused:
        list(client.list_properties_of_secrets())
    assert refused.value.error is not None
    assert refused.value.error.innererror == {"code": code}
    double.vault.permit()
    double.vault.forbid("get", code, client_id=double.portal.client_id, name="a")
    assert [each.name for each in client.list_properties_of_secrets()] == ["a"]
    with pytest.raises(HttpResponseError, match=r"Caller|does not have|not authorized"):
        client.get_secret("a")


@pytest.mark.parametrize("seconds", [None, 7])
def test_throttled_with_and_without_retry_after(
    double: Double, client: SecretClient, seconds: int | None
) -> None:
    double.vault.put("a", "v")
    client.get_secret("a")
    double.troubles.throttled, double.troubles.retry_after = 1, seconds
    with pytest.raises(HttpResponseError) as busy:
        client.get_secret("a")
    assert busy.value.status_code == 429
    assert busy.value.error is not None
    assert busy.value.error.code == "Throttled"
    response: Any = busy.value.response
    assert response.headers.get("Retry-After") == (str(seconds) if seconds else None)
    assert client.get_secret("a").value == "v"


def test_vault_that_is_gone(double: Double, client: SecretClient, transport: Transport) -> None:
    double.vault.put("a", "v")
    client.get_secret("a")
    for trouble in (double.troubles.gone, double.troubles.cut):
        trouble.add(double.vault.host)
        double.server.cut_all()
        with pytest.raises(AzureError) as away:
            client.get_secret("a")
        assert not isinstance(away.value, HttpResponseError)
        trouble.clear()
        assert client.get_secret("a").value == "v"
    stranger = SecretClient(
        "https://nobody-there.vault.azure.net",
        _signing(double, transport),
        transport=transport(),
        retry_total=0,
    )
    with pytest.raises(ServiceRequestError):
        stranger.get_secret("a")


def test_wrong_secret_and_unknown_application(double: Double, transport: Transport) -> None:
    for changed, number in (
        ({"client_secret": "no"}, "AADSTS7000215"),
        ({"client_id": "no"}, "AADSTS700016"),
    ):
        with pytest.raises(ClientAuthenticationError, match=number):
            _signing(double, transport, **changed).get_token("https://vault.azure.net/.default")


def test_challenge_names_the_tenant_of_the_vault(double: Double, transport: Transport) -> None:
    foreign = double.cloud.add_vault("fabrikam", tenant_id=OTHER_TENANT)
    foreign.put("a", "v")
    with SecretClient(
        f"https://{foreign.host}", _signing(double, transport), transport=transport(), retry_total=0
    ) as client:
        with pytest.raises(ClientAuthenticationError, match=OTHER_TENANT):
            client.get_secret("a")
    token = _signing(double, transport).get_token("https://vault.azure.net/.default").token
    answer = _session(double.server)
    with answer:
        refused = answer.get(
            f"https://{foreign.host}/secrets/a?api-version=7.4", headers={"Authorization": f"Bearer {token}"}
        )
    assert refused.status_code == 401
    assert "AKV10032" in refused.text
    own = double.cloud.application(tenant_id=OTHER_TENANT)
    credential = _signing(
        double, transport, tenant_id=OTHER_TENANT, client_id=own.client_id, client_secret=own.secret
    )
    client = SecretClient(f"https://{foreign.host}", credential, transport=transport())
    assert client.get_secret("a").value == "v"


def test_certificate_is_checked(double: Double, transport: Transport, certificate: tuple[str, str]) -> None:
    alone, both = certificate
    application = double.cloud.application(secret="", certificate=alone)
    double.vault.put("a", "v")
    for data, fits in ((both, True), (make_certificate()[1], False)):
        credential = CertificateCredential(
            TENANT, application.client_id, certificate_data=data.encode(), transport=transport()
        )
        client = SecretClient(f"https://{double.vault.host}", credential, transport=transport())
        if fits:
            assert client.get_secret("a").value == "v"
        else:
            with pytest.raises(ClientAuthenticationError, match="AADSTS700027"):
                client.get_secret("a")


def test_identities_of_machine_and_cluster(
    double: Double, transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.vault.put("a", "v")
    double.cloud.managed = double.portal
    for name, value in double.server.identity_environment.items():
        monkeypatch.setenv(name, value)
    own = ManagedIdentityCredential(transport=transport())
    client = SecretClient(f"https://{double.vault.host}", own, transport=transport())
    assert client.get_secret("a").value == "v"
    application = double.cloud.application(secret="", federated_token="token-of-the-cluster")
    (tmp_path / "token").write_text("token-of-the-cluster")
    cluster = WorkloadIdentityCredential(
        tenant_id=TENANT,
        client_id=application.client_id,
        token_file_path=str(tmp_path / "token"),
        transport=transport(),
    )
    client = SecretClient(f"https://{double.vault.host}", cluster, transport=transport())
    assert client.get_secret("a").value == "v"


def test_token_ends_and_is_worth_nothing_elsewhere(double: Double, transport: Transport) -> None:
    double.vault.put("a", "v")
    for_directory = _signing(double, transport).get_token("https://management.azure.com/.default").token
    double.cloud.token_seconds = -1
    ended = _signing(double, transport).get_token("https://vault.azure.net/.default").token
    with _session(double.server) as session:
        for token, code in ((for_directory, "AKV10022"), (ended, "AKV10001"), ("made-up", "AKV10022")):
            answer = session.get(
                f"https://{double.vault.host}/secrets/a?api-version=7.4",
                headers={"Authorization": f"Bearer {token}"},
            )
            assert (answer.status_code, code in answer.text) == (401, True)


def test_directory_shows_vaults_of_the_callers_tenant(double: Double, transport: Transport) -> None:
    double.cloud.add_subscription("bbbbbbbb-0000-4000-8000-000000000001", "Fabrikam", tenant_id=OTHER_TENANT)
    double.cloud.add_vault("fabrikam", subscription_id="bbbbbbbb-0000-4000-8000-000000000001")
    double.cloud.add_vault("hidden", listed=False)
    double.cloud.add_vault("contoso-b", resource_group="rg-b", region="northeurope")
    query = (
        "resources | where type =~ 'microsoft.keyvault/vaults' | project id, name, resourceGroup, location,"
        " address = tostring(properties.vaultUri)"
    )

    def ask(query: str, token: str, **options: object) -> dict:
        body: Any = {"query": query, "options": {"resultFormat": "objectArray", **options}}
        with _session(double.server) as session:
            answer = session.post(GRAPH, json=body, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        found: dict = answer.json()
        return found

    token = _signing(double, transport).get_token("https://management.azure.com/.default").token
    first = ask(query, token, **{"$top": 1})
    assert [row["name"] for row in first["data"]] == ["contoso-b"]
    assert first["data"][0]["address"] == "https://contoso-b.vault.azure.net/"
    assert first["data"][0]["subscriptionName"] == "Contoso production"
    rest = ask(query, token, **{"$top": 1, "$skipToken": first["$skipToken"]})
    assert [row["name"] for row in rest["data"]] == ["contoso-kv"]
    assert "$skipToken" not in rest
    subscriptions = ask("resourcecontainers | where type == 'microsoft.resources/subscriptions'", token)
    assert [row["name"] for row in subscriptions["data"]] == ["Contoso production"]
    blind = double.cloud.application(reader=False)
    token = (
        _signing(double, transport, client_id=blind.client_id, client_secret=blind.secret)
        .get_token("https://management.azure.com/.default")
        .token
    )
    assert ask(query, token)["data"] == []


def test_other_hosts_are_refused_and_foreign_names_inside_a_tunnel_too(double: Double) -> None:
    with _session(double.server) as session:
        with pytest.raises(requests.exceptions.ProxyError):
            session.get("https://files.example/")
        answer = session.get(
            f"https://{double.vault.host}/secrets", headers={"Host": "other.vault.azure.net"}
        )
        assert answer.status_code == 421


def test_a_silent_vault_answers_nothing(double: Double) -> None:
    double.troubles.silent.add(double.vault.host)
    with _session(double.server) as session, pytest.raises(requests.exceptions.Timeout):
        session.get(f"https://{double.vault.host}/secrets", timeout=0.3)


@pytest.mark.parametrize("where", ["127.0.0.1:{port}", "10.0.0.1:22", "127.0.0.1:x", "nobody.invalid:443"])
def test_letting_others_through_leads_to_nothing_inside(tmp_path: Path, where: str) -> None:
    with KeyVaultDouble(tmp_path, through=True) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
            line.sendall(f"CONNECT {where.format(port=server.port)} HTTP/1.1\r\n\r\n".encode())
            assert line.recv(100).startswith(b"HTTP/1.1 502 ")


def test_starts_again_with_the_same_authority_and_knows_its_tokens(tmp_path: Path) -> None:
    cloud = Cloud(token_key=b"k" * 32)
    application = cloud.application()
    form = {
        "grant_type": "client_credentials",
        "client_id": application.client_id,
        "client_secret": application.secret,
        "scope": "https://vault.azure.net/.default",
    }
    with KeyVaultDouble(tmp_path, cloud=cloud) as first, _session(first) as session:
        token = session.post(
            f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token", data=form
        ).json()["access_token"]
    assert (tmp_path / AUTHORITY_KEY).stat().st_mode & 0o777 == 0o600
    again = Cloud(token_key=b"k" * 32)
    version = again.add_vault("contoso-kv", repeatable=True).put("a", "v")
    assert version == Cloud().add_vault("contoso-kv", repeatable=True).put("a", "other value")
    with KeyVaultDouble(tmp_path, cloud=again, port=first.port) as second, _session(second) as session:
        answer = session.get(
            "https://contoso-kv.vault.azure.net/secrets/a?api-version=7.4",
            headers={"Authorization": f"Bearer {token}"},
        )
    assert answer.json()["value"] == "v"
