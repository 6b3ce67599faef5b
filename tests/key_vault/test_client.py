"""A vault over Azure's real client with its default verification: the double through the proxy, and odd answers."""

import time

import pytest

from connections.connectors.errors import ConnectorError, NeedsAttention, TryLater
from connections.gateway import OutgoingGateway
from connections.key_vault import client as module
from connections.key_vault.client import AzureVault
from connections.key_vault.transport import Outgoing
from connections_portal.sandbox.key_vault_cloud import FIREWALL, POLICY
from tests.key_vault.odd_azure import VERSION
from tests.key_vault.test_identity import OTHER, principal, signing


@pytest.fixture
def reach(double):
    """A function that makes a client of the double's vault, or of another host."""
    outgoing = Outgoing(OutgoingGateway(), double.server.proxy, str(double.server.ca_file))

    def build(*, patient=False, host="", **what):
        identity = signing(
            principal(double, **what), outgoing, what.get("tenant_id", double.portal.tenant_id)
        )
        return AzureVault(host or double.vault.host, identity, outgoing, patient=patient)

    return build


def refused(call, *given):
    with pytest.raises(ConnectorError) as error:
        call(*given)
    return error.value


def asked(double, path="/secrets"):
    """Requests to the vault that brought a token."""
    return [seen for seen in double.cloud.requests(host=double.vault.host, path=path) if seen.bearer]


def test_names_come_page_by_page_one_request_each(double, reach):
    double.vault.stock(60)
    vault = reach()
    first = vault.names()
    assert [facts.name for facts in first.items] == [f"secret-{number:05d}" for number in range(25)]
    assert first.items[0].version == ""
    assert len(asked(double)) == 1
    second = vault.names(first.after)
    third = vault.names(second.after)
    assert [len(second.items), len(third.items), third.after] == [25, 10, ""]
    assert third.items[-1].name == "secret-00059"
    assert len(asked(double)) == 3


def test_the_tenth_page_is_reached_from_its_token_alone(double, reach):
    double.vault.stock(300)
    after = ""
    for _number in range(9):
        after = reach().names(after).after
    assert reach().names(after).items[0].name == "secret-00225"


def test_an_empty_vault(reach):
    assert reach().names() == reach().names("")
    assert reach().names().items == ()


def test_versions_newest_first(double, reach):
    made = [double.vault.put("crm", f"value {number}") for number in range(30)]
    found = reach().versions("crm")
    assert [facts.version for facts in found] == made[::-1]
    assert reach().facts("crm").version == made[-1]
    assert reach().facts("crm", made[3]).version == made[3]


def test_what_is_said_of_a_secret(double, reach):
    double.vault.put(
        "crm", "s3cret-value", expires=86_400, not_before=-60, tags={"portal-target": "a.example"}
    )
    facts = reach().facts("CRM")
    assert facts.name == "crm"
    assert facts.enabled
    assert 86_000 < facts.expires_at.timestamp() - time.time() <= 86_400
    assert facts.not_before.timestamp() < time.time()
    assert facts.tags == {"portal-target": "a.example"}
    assert all(seen.path == "/secrets/CRM/versions" for seen in double.cloud.requests(path="/secrets"))
    assert "s3cret-value" not in repr(facts)


def test_the_value_of_the_latest_version_and_of_a_fixed_one(double, reach):
    old, new = double.vault.put("crm", "first value"), double.vault.put("crm", "second value")
    value, facts = reach().read("crm")
    assert (value, facts.version) == ("second value", new)
    value, facts = reach().read("crm", old)
    assert (value, facts.version) == ("first value", old)


def test_a_read_is_one_request_once_signed_in(double, reach):
    double.vault.put("crm", "value")
    vault = reach()
    vault.read("crm")
    double.cloud.seen.clear()
    vault.read("crm")
    assert len(double.cloud.seen) == 1


def test_expired_and_not_yet_valid_secrets_are_served_and_said_to_be(double, reach):
    double.vault.put("old", "value", expires=-60)
    double.vault.put("new", "value", not_before=3600)
    assert reach().read("old")[1].expires_at.timestamp() < time.time()
    assert reach().read("new")[1].not_before.timestamp() > time.time()


def test_a_disabled_secret(double, reach):
    double.vault.put("crm", "value", enabled=False)
    assert refused(reach().read, "crm").code == "vault_secret_disabled"
    assert reach().facts("crm").enabled is False
    assert reach().names().items[0].enabled is False


def test_a_disabled_version_beside_an_enabled_one(double, reach):
    old = double.vault.put("crm", "first value", enabled=False)
    double.vault.put("crm", "second value")
    assert reach().read("crm")[0] == "second value"
    assert refused(reach().read, "crm", old).code == "vault_secret_disabled"


def test_a_missing_secret_and_a_missing_version(double, reach):
    double.vault.put("crm", "value")
    for call in (reach().read, reach().facts):
        assert refused(call, "other").code == "vault_secret_missing"
        assert refused(call, "crm", VERSION).code == "vault_secret_missing"
    assert isinstance(refused(reach().versions, "other"), NeedsAttention)


def test_a_softly_deleted_secret_is_missing_until_it_is_recovered(double, reach):
    double.vault.put("crm", "value")
    double.vault.delete("crm")
    assert refused(reach().read, "crm").code == "vault_secret_missing"
    assert reach().names().items == ()
    double.vault.recover("crm")
    assert reach().read("crm")[0] == "value"


@pytest.mark.parametrize(
    ("reason", "code"),
    [("ForbiddenByRbac", "vault_forbidden"), (POLICY, "vault_forbidden"), (FIREWALL, "vault_firewall")],
)
def test_no_permission(double, reach, reason, code):
    double.vault.put("crm", "value")
    double.vault.forbid("*", reason)
    vault = reach()
    for call in (vault.names, lambda: vault.read("crm"), lambda: vault.facts("crm")):
        assert refused(call).code == code


def test_permission_to_read_alone(double, reach):
    double.vault.put("crm", "value")
    double.vault.forbid("list")
    assert refused(reach().names).code == "vault_forbidden"
    assert refused(reach().facts, "crm").code == "vault_forbidden"
    assert reach().read("crm")[0] == "value"


def test_a_wrong_client_secret_and_an_unknown_application(double, reach):
    for what in ({"secret": "wrong-s3cret-3"}, {"client_id": OTHER}):
        error = refused(reach(**what).names)
        assert error.code == "vault_sign_in_refused"
        assert "wrong-s3cret-3" not in repr(error) + error.detail


def test_a_vault_of_another_tenant_gets_no_token(double, reach):
    foreign = double.cloud.add_vault("foreign-kv", tenant_id=OTHER)
    assert refused(reach(host=foreign.host).names).code == "vault_foreign_tenant"
    assert not [seen for seen in double.cloud.seen if seen.bearer or "oauth2" in seen.path]


def test_a_token_that_the_vault_refuses_is_replaced_once(double, reach):
    double.vault.put("crm", "value")
    vault = reach()
    vault.read("crm")
    double.cloud.end_tokens()
    assert vault.read("crm")[0] == "value"


def test_a_vault_out_of_reach(double, reach):
    double.troubles.gone.add(double.vault.host)
    error = refused(reach().names)
    assert (error.code, isinstance(error, TryLater)) == ("vault_unreachable", True)
    assert "502" in error.detail


def test_a_vault_that_nobody_has(double, reach):
    assert refused(reach(host="gone-kv.vault.azure.net").names).code == "vault_unreachable"


def test_a_line_that_breaks(double, reach):
    double.troubles.cut.add(double.vault.host)
    assert refused(reach().names).code == "vault_unreachable"


def test_a_silent_vault_costs_a_page_no_more_than_its_time(double, reach, monkeypatch):
    monkeypatch.setattr(module, "PAGE_SECONDS", 0.5)
    double.troubles.silent.add(double.vault.host)
    started = time.monotonic()
    assert refused(reach().names).code == "vault_unreachable"
    assert time.monotonic() - started < 3


def test_a_proxy_that_is_not_there(double):
    outgoing = Outgoing(OutgoingGateway(), "http://127.0.0.1:1", str(double.server.ca_file))
    identity = signing(principal(double), outgoing)
    assert (
        refused(AzureVault(double.vault.host, identity, outgoing, patient=False).names).code
        == "vault_unreachable"
    )


@pytest.mark.parametrize(("told", "after"), [(None, None), (30, 30), (4000, 300)])
def test_a_page_never_waits_for_a_busy_vault(double, reach, told, after):
    vault = reach()
    vault.names()
    double.troubles.throttled, double.troubles.retry_after = 1, told
    started = time.monotonic()
    error = refused(vault.names)
    assert time.monotonic() - started < 1
    assert (error.code, error.after) == ("vault_throttled", after)


def test_a_patient_one_waits_as_long_as_it_is_asked_to(double, reach):
    double.vault.put("crm", "value")
    double.troubles.throttled, double.troubles.retry_after = 2, 1
    started = time.monotonic()
    assert reach(patient=True).read("crm")[0] == "value"
    assert 1.9 < time.monotonic() - started < 5


def test_a_patient_one_waits_by_itself_where_nobody_says_how_long(double, reach):
    double.vault.put("crm", "value")
    double.troubles.throttled = 2
    assert reach(patient=True).read("crm")[0] == "value"


def test_a_patient_one_that_is_asked_to_wait_long_leaves_that_to_the_run(double, reach):
    double.troubles.throttled, double.troubles.retry_after = 5, 30
    started = time.monotonic()
    error = refused(reach(patient=True).read, "crm")
    assert time.monotonic() - started < 2
    assert (error.code, error.after) == ("vault_throttled", 30)


def test_a_patient_one_gives_up(double, reach, monkeypatch):
    monkeypatch.setattr(module, "PAUSES", (0.01, 0.01))
    double.troubles.broken = 99
    assert refused(reach(patient=True).read, "crm").code == "vault_unreachable"
    assert len(asked(double)) == 3


def test_what_needs_somebody_is_not_tried_again(double, reach):
    refused(reach(patient=True).read, "crm")
    assert len(asked(double)) == 1


@pytest.mark.parametrize("value", ["", "x" * (25 * 1024 + 1), "ä" * (13 * 1024)])
def test_a_value_that_can_be_no_secret(double, reach, value):
    double.vault.put("crm", value)
    error = refused(reach().read, "crm")
    assert error.code == "vault_secret_unfit"
    assert "xxx" not in error.detail


def test_a_value_of_25_kb_with_lines_and_a_content_type_is_text(double, reach):
    value = "-----BEGIN\n" + "x" * (25 * 1024 - 11)
    double.vault.put("crm", value, content_type="application/x-pem-file")
    assert reach().read("crm")[0] == value


@pytest.mark.parametrize("name", ["../keys", "a/b", "", "a?b", "a" * 128, "crm%2f..", "crm\n"])
def test_a_name_with_tricks_goes_nowhere(double, reach, name):
    vault = reach()
    for call in (vault.read, vault.versions):
        assert refused(call, name).code == "vault_secret_missing"
    assert double.cloud.seen == []


@pytest.mark.parametrize("after", ["a b", "a\n", "ä", "x" * 2001])
def test_a_page_that_no_answer_named(double, reach, after):
    assert refused(reach().names, after).code == "vault_unreachable"
    assert double.cloud.seen == []


def test_reaching_a_vault_tells_its_tenant_and_signs_nobody_in(double, reach):
    assert reach().tenant() == double.vault.tenant_id
    assert [seen.bearer for seen in double.cloud.seen if seen.host == double.vault.host] == [False]
    assert not double.cloud.requests(host="login.microsoftonline.com")
