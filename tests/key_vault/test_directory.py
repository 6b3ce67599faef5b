"""The directory, through the double and through odd answers."""

import pytest

from connections.connectors.errors import ConnectorError, NeedsAttention, TryLater
from connections.gateway import OutgoingGateway
from connections.key_vault import directory
from connections.key_vault.directory import listed_vaults
from connections.key_vault.transport import Outgoing
from connections_portal.sandbox.key_vault_cloud import SUBSCRIPTION
from tests.key_vault import odd_azure
from tests.key_vault.odd_azure import Reply
from tests.key_vault.test_identity import principal, signing

PATH = "/providers/Microsoft.ResourceGraph/resources"
OTHER = "aaaaaaaa-0000-4000-8000-000000000002"


@pytest.fixture
def ask(double):
    outgoing = Outgoing(OutgoingGateway(), double.server.proxy, str(double.server.ca_file))

    def build(**what):
        return listed_vaults(
            signing(principal(double, **what), outgoing), outgoing, cloud="public", seconds=6
        )

    return build


def test_vaults_with_what_the_directory_says_of_them(double, ask):
    double.cloud.add_subscription(OTHER, "Contoso test")
    double.cloud.add_vault("a-kv", subscription_id=OTHER, resource_group="rg-test", region="northeurope")
    first, second = ask()
    assert (first.host, first.name) == ("a-kv.vault.azure.net", "a-kv")
    assert (first.subscription_id, first.subscription_name) == (OTHER, "Contoso test")
    assert (first.resource_group, first.region) == ("rg-test", "northeurope")
    assert (second.host, second.subscription_id) == (double.vault.host, SUBSCRIPTION)


def test_pages_are_followed(double, ask, monkeypatch):
    monkeypatch.setattr(directory, "TOP", 3)
    for number in range(10):
        double.cloud.add_vault(f"kv-{number}")
    assert len(ask()) == 11
    assert len([seen for seen in double.cloud.requests(path=PATH) if seen.bearer]) == 4


def test_pages_end_somewhere(double, ask, monkeypatch):
    monkeypatch.setattr(directory, "TOP", 1)
    monkeypatch.setattr(directory, "MAX_PAGES", 2)
    for number in range(5):
        double.cloud.add_vault(f"kv-{number}")
    assert len(ask()) == 2


def test_an_identity_without_any_role_is_shown_nothing(double, ask):
    app = double.cloud.application(reader=False)
    assert ask(client_id=app.client_id, secret=app.secret) == ()


def test_a_refused_sign_in(ask):
    with pytest.raises(NeedsAttention) as refused:
        ask(secret="wrong-s3cret-4")
    assert refused.value.code == "vault_sign_in_refused"


def test_out_of_reach(double, ask):
    double.troubles.gone.add("management.azure.com")
    with pytest.raises(TryLater):
        ask()


@pytest.fixture
def odd(tmp_path, double):
    with odd_azure.running(tmp_path) as running:
        yield running


def asked(odd):
    return listed_vaults(odd.identity(), odd.outgoing, cloud="public", seconds=5)


def row(uri, **more):
    return {"vaultUri": uri, "subscriptionId": "s", "subscriptionName": "S", "location": "x"} | more


def test_what_is_no_vault_of_this_cloud_is_left_out(odd):
    rows = [
        row("https://contoso.example/"),
        row("https://kv-cn.vault.azure.cn/"),
        row("http://kv-http.vault.azure.net/"),
        row("https://kv-one.vault.azure.net/", subscriptionName="x" * 500, location="a\nb", resourceGroup=7),
        row("https://KV-ONE.vault.azure.net/"),
        row(None),
        "row",
        {},
    ]
    odd.replies[PATH] = Reply(body={"data": rows})
    (vault,) = asked(odd)
    assert vault.host == "kv-one.vault.azure.net"
    assert (len(vault.subscription_name), vault.region, vault.resource_group) == (200, "ab", "")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"no json"),
        Reply(body=[]),
        Reply(body={"data": {}}),
        Reply(body={"data": [], "$skipToken": 7}),
        Reply(body={"data": [], "$skipToken": "a b"}),
        Reply(body={}),
        Reply(status=500, body={"error": {"code": "InternalServerError", "message": "no"}}),
        Reply(status=302, headers={"Location": "https://contoso.example/"}),
    ],
    ids=str,
)
def test_what_is_no_answer_of_the_directory(odd, reply):
    odd.replies[PATH] = reply
    with pytest.raises(ConnectorError) as error:
        asked(odd)
    assert error.value.code == "vault_unreachable"


def test_a_directory_that_refuses_shows_nothing(odd):
    odd.replies[PATH] = Reply(status=403, body={"error": {"code": "AuthorizationFailed", "message": "no"}})
    assert asked(odd) == ()


def test_a_busy_directory_says_how_long_to_wait(odd):
    odd.replies[PATH] = Reply(status=429, headers={"Retry-After": "20"})
    with pytest.raises(TryLater) as later:
        asked(odd)
    assert (later.value.code, later.value.after) == ("vault_throttled", 20)


def test_the_whole_question_has_an_end(odd):
    odd.replies[PATH] = Reply(body=b"x" * 1000, pause=0.05)
    with pytest.raises(TryLater):
        listed_vaults(odd.identity(), odd.outgoing, cloud="public", seconds=0.5)
