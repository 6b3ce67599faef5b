"""The steps in which a vault is verified, over Azure's real client."""

import time

import pytest

from connections.connectors.base import StepStatus
from connections.gateway import OutgoingGateway
from connections.key_vault import verify as module
from connections.key_vault.base import STEPS
from connections.key_vault.client import AzureVault
from connections.key_vault.transport import Outgoing
from connections.key_vault.verify import passed, verify
from connections_portal.sandbox.key_vault_cloud import FIREWALL
from tests.key_vault.test_identity import OTHER, principal, signing

DONE, LIMITED, FAILED = StepStatus.DONE, StepStatus.LIMITED, StepStatus.FAILED


@pytest.fixture
def read():
    """The names of the secrets that were read."""
    return []


@pytest.fixture
def steps(double, read):
    """A function that verifies the double's vault with these settings."""

    def run(*, secret_name="", scope="all", scope_value="", host="", **what):
        outgoing = Outgoing(OutgoingGateway(), double.server.proxy, str(double.server.ca_file))
        identity = signing(
            principal(double, **what), outgoing, what.get("tenant_id", double.portal.tenant_id)
        )
        vault = AzureVault(host or double.vault.host, identity, outgoing, patient=False)
        how = {"scope": scope, "scope_value": scope_value, "secret_name": secret_name}
        return list(verify(vault, identity, **how, reading=read.append))

    return run


def statuses(steps):
    return [step.status for step in steps]


def test_everything_works(double, steps):
    double.vault.put("crm", "s3cret-value")
    ran = steps()
    assert [step.key for step in ran] == [key for key, _label in STEPS]
    assert statuses(ran) == [DONE] * 4
    assert passed(ran)
    assert ran[0].note == double.vault.host
    assert ran[3].note == "crm"
    assert "s3cret-value" not in repr(ran)


def test_the_secret_that_is_tried_may_be_used_and_can_be(double, steps):
    for name, more in (
        ("a-other", {}),
        ("portal-a", {"enabled": False}),
        ("portal-b", {"expires": -60}),
        ("portal-c", {"not_before": 60}),
        ("portal-d", {}),
    ):
        double.vault.put(name, "value", **more)
    assert steps(scope="prefix", scope_value="portal-")[3].note == "portal-d"
    reads = [seen.path for seen in double.cloud.requests(path="/secrets/")]
    assert [path.rstrip("/") for path in reads] == ["/secrets/portal-d"]


def test_there_is_nothing_to_read(double, steps):
    double.vault.put("other", "value")
    ran = steps(scope="prefix", scope_value="portal-")
    assert statuses(ran) == [DONE, DONE, DONE, LIMITED]
    assert passed(ran)
    assert double.cloud.requests(path="/secrets/") == []


def test_names_cannot_be_listed_but_a_typed_one_can_be_read(double, steps, read):
    double.vault.put("crm", "value")
    double.vault.forbid("list")
    ran = steps(secret_name="crm")
    assert statuses(ran) == [DONE, DONE, LIMITED, DONE]
    assert passed(ran)
    assert "type the name" in ran[2].cause
    assert read == ["crm"]
    assert statuses(steps()) == [DONE, DONE, LIMITED, LIMITED]


@pytest.mark.parametrize("may_list", [True, False])
@pytest.mark.parametrize("scope", [("prefix", "portal-"), ("tag", "used-by=portal")])
def test_a_typed_name_that_may_not_be_used_is_not_even_read(double, steps, read, scope, may_list):
    double.vault.put("other", "value")
    for number in range(40):
        double.vault.put(f"a-{number:02d}", "value")
    if not may_list:
        double.vault.forbid("list")
    ran = steps(scope=scope[0], scope_value=scope[1], secret_name="other")
    # without the right to list nothing can be told by a tag, so that such a link would be of no use
    by_tag_unseen = scope[0] == "tag" and not may_list
    code = "vault_forbidden" if by_tag_unseen else "vault_not_allowed"
    assert (ran[-1].key, ran[-1].status, ran[-1].code) == ("list" if by_tag_unseen else "read", FAILED, code)
    assert not passed(ran)
    asked = [seen.path for seen in double.cloud.requests(path="/secrets/")]
    assert asked == (["/secrets/other/versions"] if scope[0] == "tag" and may_list else [])
    assert read == []


def test_a_typed_name_that_is_not_there(steps):
    ran = steps(secret_name="nothing")
    assert (ran[3].status, ran[3].code) == (FAILED, "vault_secret_missing")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"enabled": False}, "vault_secret_disabled"),
        ({"expires": -60}, "vault_secret_expired"),
        ({"not_before": 60}, "vault_secret_not_yet_valid"),
    ],
)
@pytest.mark.parametrize("may_list", [True, False])
def test_a_typed_name_that_cannot_be_used_now(double, steps, more, code, may_list):
    double.vault.put("crm", "value", **more)
    if not may_list:
        double.vault.forbid("list")
    assert steps(secret_name="crm")[3].code == code


def test_no_role_at_all(double, steps):
    double.vault.put("crm", "value")
    double.vault.forbid()
    ran = steps(secret_name="crm")
    assert statuses(ran) == [DONE, DONE, LIMITED, FAILED]
    assert ran[3].code == "vault_forbidden"


def test_a_firewall_is_no_restriction_but_the_end(double, steps):
    double.vault.forbid("*", FIREWALL)
    ran = steps()
    assert statuses(ran) == [DONE, DONE, FAILED]
    assert ran[2].code == "vault_firewall"


def test_a_wrong_client_secret(steps):
    ran = steps(secret="wrong-s3cret-5")
    assert statuses(ran) == [DONE, FAILED]
    assert (ran[1].code, ran[1].reachable) == ("vault_sign_in_refused", True)
    assert "wrong-s3cret-5" not in repr(ran)


def test_a_vault_of_another_tenant_ends_it_before_anybody_signs_in(double, steps):
    foreign = double.cloud.add_vault("foreign-kv", tenant_id=OTHER)
    ran = steps(host=foreign.host)
    assert statuses(ran) == [FAILED]
    assert ran[0].code == "vault_foreign_tenant"
    assert double.cloud.requests(host="login.microsoftonline.com") == []


def test_a_vault_that_is_not_there(steps):
    ran = steps(host="gone-kv.vault.azure.net")
    assert statuses(ran) == [FAILED]
    assert (ran[0].code, ran[0].reachable) == ("vault_unreachable", False)


def test_a_busy_vault_is_not_waited_for(double, steps):
    double.troubles.throttled, double.troubles.retry_after = 9, 30
    started = time.monotonic()
    ran = steps()
    assert (ran[-1].status, ran[-1].code) == (FAILED, "vault_throttled")
    assert time.monotonic() - started < 3


def test_all_steps_together_have_an_end(double, steps, monkeypatch):
    monkeypatch.setattr(module, "ALL_SECONDS", 0.6)
    double.troubles.latency = 0.15
    started = time.monotonic()
    ran = steps()
    assert ran[-1].status is FAILED
    assert time.monotonic() - started < 2
    assert all(step.milliseconds >= 0 for step in ran)


def test_what_is_typed_is_tried_and_not_a_token_of_before(double, steps):
    steps()
    assert len(double.cloud.requests(path=f"/{double.portal.tenant_id}/oauth2")) == 1


def test_too_few_steps_have_not_passed(double, steps):
    double.vault.put("crm", "value")
    assert not passed(steps()[:3])
    assert not passed([])
