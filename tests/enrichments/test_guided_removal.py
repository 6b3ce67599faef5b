"""*Remove* and *Move* of a connection that enrichments read from: the active ones block, the inactive ones go along."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Connection, RemovedConnection, State
from connections.operations.remove import Decision, Decisions, impact_of, remove_connection
from connections_portal.errors import FinishingRun
from connections_portal.models import AuditEntry, RunState, User
from enrichments.models import Enrichment, EnrichmentRun
from tests.connections.filling import text_of
from tests.exports.test_guided_removal import sent

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
Make = Callable[..., Any]


@pytest.fixture
def client(admin: User, client_of: Clients) -> Client:
    return client_of(admin)


@pytest.fixture
def url(source: Connection) -> str:
    return reverse("connections:remove", args=[source.uuid])


@pytest.fixture
def move_url(source: Connection) -> str:
    return reverse("connections:move", args=[source.uuid])


@pytest.fixture
def other(make_source: Make) -> Connection:
    """Where enrichments can move to."""
    return make_source("Spare")


@pytest.fixture
def three(make_enrichment: Make) -> list[Enrichment]:
    """Alpha and Beta are active, Gamma is not."""
    made = [make_enrichment(name) for name in ("Alpha", "Beta", "Gamma")]
    deactivated(made[2])
    return made


def deactivated(enrichment: Enrichment) -> None:
    Enrichment.objects.filter(pk=enrichment.pk).update(active=False)


def standing(enrichment: Enrichment) -> tuple[Connection | None, bool]:
    enrichment.refresh_from_db()
    return enrichment.connection, enrichment.active


def move_there(client: Client, move_url: str, other: Connection) -> Any:
    page = client.get(move_url, {"to": str(other.uuid)}).content.decode()
    shown = dict(re.findall(r'type="hidden" name="(shown|impact)" value="([^"]*)"', page))
    return client.post(move_url, shown | {"to": str(other.uuid)})


def test_each_is_settled_and_the_inactive_one_waits(
    client: Client, url: str, three: list[Enrichment], other: Connection, make_enrichment_run: Make
) -> None:
    alpha, beta, gamma = three
    running = make_enrichment_run(alpha, RunState.RUNNING)
    page = client.get(f"{url}?see=1").content.decode()
    values, text = sent(page), text_of(page)
    assert set(values) == {"impact", f"choice-{alpha.uuid}", f"choice-{beta.uuid}"}
    assert "Used by 2 enrichments" in text
    assert "Inactive, keeps its settings and merely loses the connection: Gamma" in text
    assert "1 inactive one keeps its settings and waits for another connection." in text
    values[f"choice-{beta.uuid}"] = f"move:{other.uuid}"
    assert client.post(url, values | {"action": "remove"}).status_code == 303
    assert [standing(one) for one in three] == [(None, False), (other, True), (None, False)]
    running.refresh_from_db()
    assert running.state == RunState.CANCELED
    told = AuditEntry.objects.filter(object_type="enrichment", action__startswith="enrichment.")
    assert {
        ("enrichment.deactivated", alpha.uuid),
        ("enrichment.run_canceled", alpha.uuid),
        ("enrichment.moved", beta.uuid),
        ("enrichment.connection_gone", gamma.uuid),
    } <= set(told.values_list("action", "object_uuid"))


def test_what_is_deleted_leaves_nothing(
    client: Client, url: str, three: list[Enrichment], make_enrichment_run: Make
) -> None:
    make_enrichment_run(three[0], RunState.SUCCESSFUL)
    values = sent(client.get(f"{url}?see=1").content.decode())
    gone = {name: value if name == "impact" else "delete" for name, value in values.items()}
    assert client.post(url, gone | {"action": "remove"}).status_code == 303
    assert [enrichment.name for enrichment in Enrichment.objects.all()] == ["Gamma"]
    assert not EnrichmentRun.objects.exists()


def test_one_that_becomes_active_while_the_dialog_is_open(
    client: Client, url: str, three: list[Enrichment]
) -> None:
    values = sent(client.get(f"{url}?see=1").content.decode())
    Enrichment.objects.filter(pk=three[2].pk).update(active=True, version=2)
    answer = client.post(url, values | {"action": "remove"})
    assert answer.status_code == 409
    page = answer.content.decode()
    assert page.count('<span class="tag warn">New</span>') == 1
    assert client.post(url, sent(page) | {"action": "remove"}).status_code == 303
    assert Enrichment.objects.filter(connection=None, active=False).count() == 3


def test_a_run_that_is_just_finishing_has_to_wait(
    source: Connection, admin: User, three: list[Enrichment], make_enrichment_run: Make
) -> None:
    make_enrichment_run(three[1], RunState.PUBLISHING)
    with pytest.raises(FinishingRun):
        remove_connection(
            connection=source,
            impact=impact_of(source),
            choices={"enrichments": Decisions(rest=Decision("deactivate"))},
            actor=admin,
        )
    assert Enrichment.objects.filter(connection=source).count() == 3


def test_several_at_once_take_what_only_inactive_ones_use(
    client: Client, source: Connection, other: Connection, three: list[Enrichment], make_enrichment: Make
) -> None:
    """As removing it alone does."""
    for enrichment in three:
        deactivated(enrichment)
    busy = make_enrichment("Busy", connection=other)
    several = reverse("connections:remove_several", args=["enrichment"])
    page = client.post(several, {"selected": [source.uuid, other.uuid]}).content.decode()
    text = text_of(page)
    assert "Inactive, keeps its settings and merely loses the connection: 3 enrichments" in text
    assert "Nothing uses it" not in text
    assert "Spare Used by 1 enrichment." in text
    impact = re.findall(r'name="impact" value="([^"]*)"', page)
    answer = client.post(several, {"selected": [source.uuid], "impact": impact, "confirmed": "1"})
    assert answer.status_code == 303
    assert RemovedConnection.objects.get().uuid == source.uuid
    assert Enrichment.objects.filter(connection=None, active=False).count() == 3
    assert standing(busy) == (other, True)


def test_inactive_ones_move_too(
    client: Client, move_url: str, source: Connection, three: list[Enrichment], other: Connection
) -> None:
    text = text_of(client.get(move_url, {"to": str(other.uuid)}).content.decode())
    assert "3 enrichments" in text
    assert "2 enrichments go on over Spare. 1 inactive one moves along and stays inactive." in text
    assert move_there(client, move_url, other).status_code == 303
    assert [standing(one) for one in three] == [(other, True), (other, True), (other, False)]
    assert AuditEntry.objects.get(action="connection.dependents_moved").details["settled"] == {
        "enrichments": 3
    }


def test_inactive_ones_alone_move(
    client: Client, move_url: str, three: list[Enrichment], other: Connection
) -> None:
    for enrichment in three[:2]:
        deactivated(enrichment)
    text = text_of(client.get(move_url, {"to": str(other.uuid)}).content.decode())
    assert "3 inactive ones move along and stay inactive." in text
    assert "go on over" not in text
    assert move_there(client, move_url, other).status_code == 303
    assert [standing(one) for one in three] == [(other, False)] * 3


@pytest.mark.parametrize("number", [0, 2], ids=["active", "inactive"])
def test_one_that_does_not_fit_stays_and_is_told(
    client: Client, move_url: str, source: Connection, three: list[Enrichment], other: Connection, number: int
) -> None:
    Enrichment.objects.filter(pk=three[number].pk).update(options={"path": "scores"})
    text = text_of(client.get(move_url, {"to": str(other.uuid)}).content.decode())
    reason = "Its settings do not fit any more. Edit it first."
    assert f"These stay where they are {three[number].name} {reason}" in text
    assert move_there(client, move_url, other).status_code == 303
    assert list(Enrichment.objects.filter(connection=source)) == [three[number]]
    assert Enrichment.objects.filter(connection=other).count() == 2
    # nothing more can move
    assert move_there(client, move_url, other).status_code == 422


@pytest.mark.parametrize("state", [State.PAUSED, State.NEEDS_ATTENTION, State.NOT_VERIFIED])
def test_the_state_of_a_connection(
    client: Client,
    move_url: str,
    url: str,
    source: Connection,
    three: list[Enrichment],
    other: Connection,
    state: State,
) -> None:
    """One that runs nothing takes nothing, and lets everything go."""
    Connection.objects.filter(pk=other.pk).update(state=state)
    assert "Spare" not in client.get(move_url).content.decode()
    assert "Spare" not in client.get(f"{url}?see=1").content.decode()
    Connection.objects.filter(pk=other.pk).update(state=State.READY)
    Connection.objects.filter(pk=source.pk).update(state=state)
    assert move_there(client, move_url, other).status_code == 303
    assert Enrichment.objects.filter(connection=other).count() == 3
    Enrichment.objects.filter(connection=other).update(connection=source)
    values = sent(client.get(f"{url}?see=1").content.decode())
    assert client.post(url, values | {"action": "remove"}).status_code == 303
    assert Enrichment.objects.filter(connection=None, active=False).count() == 3
