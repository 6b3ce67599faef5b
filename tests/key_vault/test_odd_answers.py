"""Answers that no vault would give: none is believed, and nothing of them is told."""

import pytest
from azure.core.credentials import AccessTokenInfo

from connections.connectors.errors import ConnectorError
from connections.key_vault import client as module
from connections.key_vault.client import AzureVault
from connections.key_vault.transport import MAX_ANSWER
from tests.key_vault import odd_azure
from tests.key_vault.odd_azure import HOST, VERSION, Reply, item


def refused(call, *given):
    with pytest.raises(ConnectorError) as error:
        call(*given)
    return error.value


@pytest.fixture
def odd(tmp_path, double):
    with odd_azure.running(tmp_path) as running:
        yield running


LIST = "/secrets"
GET = "/secrets/crm/"
VERSIONS = "/secrets/crm/versions"
FACTS = item("crm", version=VERSION) | {"value": "s3cret-value"}

NO_ANSWERS = [
    b"",
    b"not json, but s3cret-value",
    b"[1, 2]",
    b'"s3cret-value"',
    b"null",
    b"[" * 100_000,
    b'{"value": "s3cret-value"',
    '{"value": "\u00e4"}'.encode("latin-1"),
    b"x" * (MAX_ANSWER + 1),
]


@pytest.mark.parametrize("body", NO_ANSWERS, ids=range(len(NO_ANSWERS)))
def test_what_is_no_answer_of_a_vault(odd, body):
    vault = odd.vault()
    for path, call in (
        (LIST, vault.names),
        (GET, lambda: vault.read("crm")),
        (VERSIONS, lambda: vault.versions("crm")),
    ):
        odd.replies[path] = Reply(body=body)
        error = refused(call)
        assert error.code in ("vault_unreachable", "vault_secret_missing")
        assert "s3cret-value" not in error.detail + repr(error) + str(error)


@pytest.mark.parametrize(
    "found",
    [
        item("crm", version=VERSION, host="other-kv.vault.azure.net"),
        item("other", version=VERSION),
        item("crm"),
        item("crm", version="latest"),
        item("crm", version="a" * 31),
        item("crm/../x", version=VERSION),
        {"id": 7},
        {"id": "crm"},
        {},
        item("crm", version=VERSION, tags=[1]),
        item("crm", version=VERSION, tags={"a": "x" * 600}),
        item("crm", version=VERSION, tags={str(number): "" for number in range(51)}),
        item("crm", version=VERSION, attributes={"enabled": True, "exp": "soon"}),
        item("crm", version=VERSION, attributes={"enabled": True, "exp": 10**30}),
    ],
    ids=str,
)
def test_a_secret_that_is_not_the_one_asked_for_or_makes_no_sense(odd, found):
    odd.replies[GET] = Reply(body={"value": "s3cret-value"} | found)
    odd.replies[VERSIONS] = Reply(body={"value": [found], "nextLink": None})
    vault = odd.vault()
    for call in (vault.read, vault.versions):
        error = refused(call, "crm")
        assert error.code == "vault_unreachable"
        assert "s3cret-value" not in error.detail + repr(error)


@pytest.mark.parametrize("value", [None, "", "\ud800s3cret-value"])
def test_a_value_that_is_no_text(odd, value):
    odd.replies[GET] = Reply(body=FACTS | {"value": value})
    error = refused(odd.vault().read, "crm")
    assert error.code == "vault_secret_unfit"
    assert "s3cret-value" not in error.detail


def test_without_attributes_a_secret_counts_as_disabled(odd):
    odd.replies[LIST] = Reply(body={"value": [{"id": item("crm")["id"]}]})
    assert odd.vault().names().items[0].enabled is False


@pytest.mark.parametrize(
    "link",
    [
        "https://contoso.example/secrets?$skiptoken=abc",
        "https://other-kv.vault.azure.net/secrets?$skiptoken=abc",
        f"http://{HOST}/secrets?$skiptoken=abc",
        f"https://{HOST}:8443/secrets?$skiptoken=abc",
        f"https://{HOST}@contoso.example/secrets?$skiptoken=abc",
        f"https://user@{HOST}/secrets?$skiptoken=abc",
        f"https://{HOST}/secrets/crm?$skiptoken=abc",
        f"https://{HOST}/secrets",
        f"https://{HOST}/secrets?$skiptoken=a%0ab",
        f"https://{HOST}/secrets?$skiptoken=a&$skiptoken=b",
        "/secrets?$skiptoken=abc",
        7,
    ],
)
def test_a_link_that_leads_elsewhere_is_not_followed(odd, link):
    odd.replies[LIST] = Reply(body={"value": [item("crm")], "nextLink": link})
    assert refused(odd.vault().names).code == "vault_unreachable"
    odd.replies[VERSIONS] = Reply(body={"value": [item("crm", version=VERSION)], "nextLink": link})
    assert refused(odd.vault().versions, "crm").code == "vault_unreachable"
    assert {host for host, _port in odd.gateway.asked} <= {HOST, odd_azure.LOGIN}


def test_versions_that_never_end(odd, monkeypatch):
    monkeypatch.setattr(module, "MAX_VERSION_PAGES", 5)
    link = f"https://{HOST}:443{VERSIONS}?$skiptoken=again"
    odd.replies[VERSIONS] = Reply(body={"value": [item("crm", version=VERSION)], "nextLink": link})
    assert refused(odd.vault().versions, "crm").code == "vault_unreachable"
    assert len([path for _host, path, bearer in odd.seen if bearer]) == 5


def test_a_redirect_is_not_followed(odd):
    odd.replies[LIST] = Reply(status=302, headers={"Location": f"https://{HOST}/elsewhere"})
    assert refused(odd.vault().names).code == "vault_unreachable"
    assert "/elsewhere" not in [path for _host, path, _bearer in odd.seen]


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Bearer",
        'Bearer authorization="https://contoso.example/tenant", resource="https://vault.azure.net"',
        f'Bearer authorization="https://login.microsoftonline.com/{odd_azure.TENANT}", resource="https://contoso.example"',
        f'Bearer authorization="https://login.microsoftonline.com/{odd_azure.TENANT}", resource="https://net"',
        'Bearer authorization="https://login.microsoftonline.com/", resource="https://vault.azure.net"',
    ],
)
def test_a_challenge_that_leads_astray_gets_no_token(odd, challenge):
    odd.replies["challenge"] = Reply(status=401, headers={"WWW-Authenticate": challenge} if challenge else {})
    vault = odd.vault()
    assert isinstance(refused(vault.tenant), ConnectorError)
    if "contoso.example/tenant" not in challenge and 'com/"' not in challenge:
        assert isinstance(refused(vault.names), ConnectorError)
        assert not [path for host, path, bearer in odd.seen if bearer]


class Careless:
    """An identity that would give a token to anybody, and notes who asked."""

    tenant_id = ""

    def __init__(self):
        self.asked = []

    def get_token_info(self, *scopes, options=None):
        self.asked.append(scopes)
        return AccessTokenInfo("token", 2**31)

    def forget(self):
        """Nothing."""


def test_azure_s_client_verifies_challenges_itself(odd):
    careless = Careless()
    vault = AzureVault(HOST, careless, odd.outgoing, patient=False)
    odd.replies["challenge"] = Reply(
        status=401,
        headers={"WWW-Authenticate": odd_azure.CHALLENGE.replace("vault.azure.net", "contoso.example")},
    )
    refused(vault.names)
    assert careless.asked == []
    del odd.replies["challenge"]
    odd.replies[LIST] = Reply(body={"value": []})
    vault.names()
    assert careless.asked == [("https://vault.azure.net/.default",)]


def test_no_value_stands_in_any_exception_or_its_context(odd):
    odd.replies[GET] = Reply(body=b'{"value": "s3cret-value", "id": 7}')
    error = refused(odd.vault().read, "crm")
    assert error.__suppress_context__
    assert error.__cause__ is None
