"""*Replace by another vault*: what would change is shown first, then just that changes."""

import dataclasses
import time
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from connections import secret_store, vault_clients
from connections.key_vault import transport
from connections.models import Connection, ConnectionSecret, KeyVault, State
from connections.operations import replace_vault as module
from connections.operations.replace_vault import plan_replacement, replace_vault
from connections_portal.errors import OperationError, Stale
from connections_portal.models import AuditEntry, RunState, User
from tests.connections.filling import text_of
from tests.key_vault.double import Double
from tests.key_vault.linking import HTMX, read_from, shown
from tests.runs.helpers import make_export, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
Clients = Callable[[User | None], Client]
Linked = Callable[..., KeyVault]


@pytest.fixture
def vault(double: Double, linked_vault: Linked) -> KeyVault:
    """The one that is replaced; it has three secrets."""
    double.cloud.add_vault("fabrikam-kv")
    for name in ("portal-sftp", "crm-password", "old-password"):
        double.vault.put(name, f"{name} here")
    return linked_vault()


@pytest.fixture
def other(vault: KeyVault, double: Double, linked_vault: Linked) -> KeyVault:
    """The one that stands in for it; it has one of them, and another one disabled."""
    made = double.cloud.vaults["fabrikam-kv.vault.azure.net"]
    made.put("portal-sftp", "portal-sftp there")
    made.put("old-password", "old-password there", enabled=False)
    return linked_vault(host=made.host)


@pytest.fixture
def three(vault: KeyVault, double: Double, admin: User) -> list[Connection]:
    """Connections that read one secret each; the first one a fixed version."""
    pinned = double.vault.find("portal-sftp")
    assert pinned is not None
    return [
        read_from(vault, actor=admin, name="A moves", pinned=pinned.version),
        read_from(vault, actor=admin, name="B is missing", secret="crm-password"),
        read_from(vault, actor=admin, name="C is disabled", secret="old-password"),
    ]


def vault_of(connection: Connection) -> KeyVault:
    secret = ConnectionSecret.objects.select_related("vault_secret__vault").get(connection=connection)
    assert secret.vault_secret is not None
    return secret.vault_secret.vault


def test_only_what_the_other_vault_has_moves(
    vault: KeyVault, other: KeyVault, three: list[Connection], admin: User, customer_data: object
) -> None:
    run = start(make_export(three[0], actor=admin))
    planned = plan_replacement(vault, other)
    assert [(one.connection.name, fit.text) for one, fit in planned.rows] == [
        ("A moves", "Usable"),
        ("B is missing", "Missing there"),
        ("C is disabled", "Disabled there"),
    ]
    assert replace_vault(vault=vault, other=other, impact=planned.impact, actor=admin) == 1
    assert [vault_of(connection) for connection in three] == [other, vault, vault]
    moved = three[0]
    moved.refresh_from_db()
    assert (moved.state, moved.epoch, moved.version) == (State.READY, 1, 2)
    secret = moved.secrets.get()
    assert secret.vault_secret is not None
    assert (secret.vault_secret.name, secret.vault_secret.pinned, secret.revision) == ("portal-sftp", "", 2)
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    entry = AuditEntry.objects.get(action="vault.replaced")
    assert (entry.object_uuid, entry.details["secrets"]) == (moved.uuid, ["portal-sftp"])
    with secret_store.resolve(moved, purpose="run", actor=admin) as values:
        assert values["password"] == "portal-sftp there"
    assert KeyVault.objects.count() == 2


def test_a_secret_read_without_being_listed_cannot_be_looked_at(
    vault: KeyVault, other: KeyVault, three: list[Connection], double: Double
) -> None:
    double.cloud.vaults[other.host].forbid("list")
    assert {fit.code for _one, fit in plan_replacement(vault, other).rows} == {"vault_forbidden"}


def test_a_vault_out_of_reach_is_asked_once(
    vault: KeyVault, other: KeyVault, three: list[Connection], double: Double
) -> None:
    double.troubles.gone.add(other.host)
    codes = [fit.code for _one, fit in plan_replacement(vault, other).rows]
    assert codes == ["vault_unreachable", "not_looked_at", "not_looked_at"]


def test_a_sign_in_that_is_refused_is_tried_once(
    vault: KeyVault, three: list[Connection], double: Double, linked_vault: Linked
) -> None:
    application = double.cloud.application()
    other = linked_vault(host="fabrikam-kv.vault.azure.net", principal=application)
    double.cloud.register(dataclasses.replace(application, secret="another-one-by-now"))
    vault_clients.forget_all()
    codes = [fit.code for _one, fit in plan_replacement(vault, other).rows]
    assert codes == ["vault_sign_in_refused"] * 3
    assert len(double.cloud.requests(path=f"/{application.tenant_id}/oauth2")) == 1


def test_secrets_are_looked_at_some_at_a_time(
    vault: KeyVault, other: KeyVault, double: Double, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = double.cloud.vaults[other.host]
    for number in range(21):
        double.vault.put(f"portal-{number:02}", "here")
        there.put(f"portal-{number:02}", "there")
        read_from(vault, actor=admin, name=f"Base {number:02}", secret=f"portal-{number:02}")
    double.troubles.latency = 0.1
    started = time.monotonic()
    assert len(plan_replacement(vault, other).movable) == 21
    assert time.monotonic() - started < 1.5
    double.troubles.latency = 0.0
    # a limit of its own makes it come out alike each time, which the time alone would not
    monkeypatch.setattr(module, "MOST", 5)
    for left in (16, 11):
        planned = plan_replacement(vault, other)
        assert [fit.code for _one, fit in planned.rows].count("not_looked_at") == left
        assert replace_vault(vault=vault, other=other, impact=planned.impact, actor=admin) == 5


def test_a_page_that_was_changed_asks_the_vault_once(
    vault: KeyVault, other: KeyVault, three: list[Connection], double: Double, admin: User, client_of: Clients
) -> None:
    url = reverse("key_vault:replace", args=[vault.uuid])
    double.cloud.seen.clear()
    answer = client_of(admin).post(url, {"to": other.uuid, "shown": other.uuid, "impact": "0" * 64})
    assert answer.status_code == 409
    assert "1 connection reads its secrets from fabrikam-kv" in text_of(answer.content.decode())
    assert len([seen for seen in double.cloud.requests(host=other.host) if seen.bearer]) == 3


@pytest.mark.parametrize("what", ["secret", "connection", "other link", "another connection"])
def test_what_was_shown_must_still_be_so(
    vault: KeyVault, other: KeyVault, three: list[Connection], double: Double, admin: User, what: str
) -> None:
    shown_before = plan_replacement(vault, other).impact
    match what:
        case "secret":
            double.cloud.vaults[other.host].change("portal-sftp", enabled=False)
        case "connection":
            Connection.objects.filter(pk=three[0].pk).update(version=5)
        case "other link":
            KeyVault.objects.filter(pk=other.pk).update(version=5)
        case "another connection":
            read_from(vault, actor=admin, name="D came meanwhile")
    other.refresh_from_db()
    with pytest.raises(Stale):
        replace_vault(vault=vault, other=other, impact=shown_before, actor=admin)
    assert {vault_of(connection) for connection in three} == {vault}


def test_nothing_to_move_is_said(vault: KeyVault, other: KeyVault, double: Double, admin: User) -> None:
    read_from(vault, actor=admin, secret="crm-password")
    planned = plan_replacement(vault, other)
    with pytest.raises(OperationError, match="Nothing can be read from this vault"):
        replace_vault(vault=vault, other=other, impact=planned.impact, actor=admin)


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_the_dialog(
    vault: KeyVault, other: KeyVault, three: list[Connection], admin: User, client_of: Clients, htmx: bool
) -> None:
    client = client_of(admin)
    url = reverse("key_vault:replace", args=[vault.uuid])
    headers = HTMX if htmx else {}
    assert "fabrikam-kv" in client.get(url, headers=headers).content.decode()
    early = client.post(url, {"to": other.uuid}, headers=headers)
    assert early.status_code == 422
    assert {vault_of(connection) for connection in three} == {vault}
    page = client.get(f"{url}?to={other.uuid}", headers=headers).content.decode()
    text = text_of(page)
    for words in (
        "1 connection reads its secrets from fabrikam-kv, from the next run on.",
        "Fixed versions are of this vault only",
        "2 secrets stay where they are.",
        "Fixed, becomes the latest",
        "Missing there",
    ):
        assert words in text
    answer = client.post(url, shown(page, "shown", "impact") | {"to": other.uuid}, headers=headers)
    assert answer.status_code == (204 if htmx else 303)
    assert vault_of(three[0]) == other
    stale = client.post(url, shown(page, "shown", "impact") | {"to": other.uuid}, headers=headers)
    assert stale.status_code == 409


def test_an_unknown_vault_is_refused_at_the_list(
    vault: KeyVault, admin: User, client_of: Clients, other: KeyVault
) -> None:
    url = reverse("key_vault:replace", args=[vault.uuid])
    answer = client_of(admin).post(url, {"to": "nonsense"})
    assert answer.status_code == 422
    assert "Choose a vault from the list." in answer.content.decode()


def test_what_the_deadline_leaves_no_time_for_stays(
    vault: KeyVault, other: KeyVault, three: list[Connection], double: Double
) -> None:
    double.troubles.latency = 0.4
    with transport.within(0.6):
        codes = [fit.code for _one, fit in plan_replacement(vault, other).rows]
    assert codes[-1] == "not_looked_at"
    double.troubles.latency = 0.0
    assert next(fit.code for _one, fit in plan_replacement(vault, other).rows) == ""
