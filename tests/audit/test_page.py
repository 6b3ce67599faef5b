"""Settings > Audit: filters, pages, links and the history of one object, all in the address."""

import datetime as dt
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connections.models import Connection
from connections_portal import audit_listing
from connections_portal.models import AuditEntry, RunState, User
from exports.models import Export, ExportRun
from tests.exports.conftest import connection, data, export, make_export, make_run
from tests.factories import make_connection

__all__ = ["connection", "data", "export", "make_export", "make_run"]  # fixtures

pytestmark = pytest.mark.django_db

Clients = Callable[[User | None], Client]
URL = "/settings/audit/"
NOW = dt.datetime(2026, 7, 10, 12, 0, tzinfo=dt.UTC)


def write(number: int, *, at: dt.datetime = NOW, step: int = 60, **columns: Any) -> list[AuditEntry]:
    """So many entries, the last one newest."""
    values = {"action": "export.renamed", "actor_id": 1, "actor_label": "Ana", "object_label": "x"} | columns
    values.setdefault("details", {"before": "y"})
    rows = [AuditEntry.objects.create(**values) for _n in range(number)]
    moments = {row.pk: at - dt.timedelta(seconds=step * (number - n)) for n, row in enumerate(rows)}
    _move(moments)
    return rows


def _move(moments: dict[int, dt.datetime]) -> None:
    """Give entries the times they would have had: the triggers are put aside for that, and put back."""
    from connections_portal import append_only

    append_only.uninstall()
    for pk, at in moments.items():
        AuditEntry.objects.filter(pk=pk).update(at=at)
    append_only.install()


def seen(client: Client, query: str = "", status: int = 200) -> list[int]:
    answer = client.get(URL + query)
    assert answer.status_code == status
    return [int(key) for key in re.findall(r'id="entry-(\d+)"', answer.content.decode())]


def keys(rows: list[AuditEntry]) -> list[int]:
    return [row.pk for row in reversed(rows)]


@pytest.mark.both_databases
def test_pages_from_the_newest_to_the_oldest_and_back(admin: User, client_of: Clients) -> None:
    """Several entries at the same moment, too: none is shown twice or left out."""
    size = audit_listing.PAGE_SIZE
    rows = write(2 * size + 7, step=0)
    client, found, query = client_of(admin), [], ""
    pages = []
    while True:
        page = client.get(URL + query).content.decode()
        here = [int(key) for key in re.findall(r'id="entry-(\d+)"', page)]
        pages.append((query, here))
        found += here
        older = re.search(r'id="page-older" href="([^"]+)"', page)
        if not older:
            break
        query = older[1].replace("&amp;", "&")
    assert found == keys(rows)
    assert [len(here) for _query, here in pages] == [size, size, 7]
    # and back again
    newer = re.search(r'id="page-newer" href="([^"]+)"', page)
    assert newer
    back = seen(client, newer[1].replace("&amp;", "&"))
    assert back == pages[1][1]
    assert 'id="page-newest" href="?"' in page or 'id="page-newest" href="' in page


@pytest.mark.both_databases
def test_filters(admin: User, contributor: User, export: Export, client_of: Clients) -> None:
    client = client_of(admin)
    made = AuditEntry.objects.get(action="export.created")
    refused = write(1, action="access.refused", outcome="refused", actor_id=contributor.pk)
    by_itself = write(1, action="connection.needs_attention", actor_id=None, actor_label="system")
    assert set(seen(client, f"?person={contributor.pk}")) == {refused[0].pk, made.pk}
    assert seen(client, "?person=portal") == [by_itself[0].pk]
    assert seen(client, "?outcome=refused") == [refused[0].pk]
    assert seen(client, "?action=export.created") == [made.pk]
    assert set(seen(client, "?action=connection")) == set(
        AuditEntry.objects.filter(action__startswith="connection.").values_list("pk", flat=True)
    )
    assert seen(client, f"?object={export.uuid}") == [made.pk]
    assert seen(client, f"?q={export.uuid}") == [made.pk]
    assert seen(client, "?kind=export") == [made.pk]
    assert seen(client, "?q=loyalty+MAILING") == [made.pk]
    assert seen(client, "?q=Loyalty&action=access.refused") == []
    assert "Nothing found" in client.get(f"{URL}?q=zzz").content.decode()
    # what is no value of a filter is as if it were not there
    assert len(seen(client, "?action=x&outcome=y&kind=z&person=-1&object=w&before=q&period=aeon")) == 4


def test_every_kind_of_object_that_is_recorded_can_be_asked_for(admin: User, client_of: Clients) -> None:
    rows = write(1, action="vault.linked", object_type="keyvault", object_uuid=uuid.uuid4())
    page = client_of(admin).get(URL).content.decode()
    assert re.search(r'<option value="vault"[^>]*>Key Vault</option>', page)
    assert re.search(r'<option value="vault"[^>]*>Key Vaults: all</option>', page)
    assert seen(client_of(admin), "?kind=vault") == keys(rows)


@pytest.mark.both_databases
def test_a_condition_that_many_meet_finds_the_same(
    admin: User, client_of: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = uuid.uuid4()
    rows = write(8, object_type="export", object_uuid=target)
    write(3, action="export.created", object_type="connection", object_uuid=uuid.uuid4())
    for few in (audit_listing.FEW, 2):
        monkeypatch.setattr(audit_listing, "FEW", few)
        for query in (
            "action=export.renamed",
            f"object={target}",
            "kind=export",
            f"kind=export&object={target}",
        ):
            assert seen(client_of(admin), f"?{query}") == keys(rows), (few, query)


def test_time_is_the_readers(admin: User, client_of: Clients) -> None:
    User.objects.filter(pk=admin.pk).update(time_zone="Europe/Berlin")  # UTC+2 in July
    rows = write(4, at=NOW, step=3600)  # 08:00, 09:00, 10:00 and 11:00 UTC
    client = client_of(admin)
    assert seen(client, "?from=2026-07-10T11:00&to=2026-07-10T12:00") == keys(rows[1:3])
    assert seen(client, "?from=2026-07-10&to=2026-07-10") == keys(rows)
    assert seen(client, "?to=2026-07-10T10:59") == keys(rows[:1])
    assert "Times in Europe/Berlin" in client.get(URL).content.decode()
    # the hour that the clocks have twice, and the one that they skip
    assert seen(client, "?from=2026-10-25T02:30&to=2026-03-29T02:30", status=422) == []
    assert seen(client, "?from=2026-03-29T02:30&to=2026-10-25T02:30") == keys(rows)


def test_presets(admin: User, client_of: Clients) -> None:
    now = timezone.now()
    rows = (
        write(1, at=now - dt.timedelta(days=40)) + write(1, at=now - dt.timedelta(hours=2)) + write(1, at=now)
    )
    client = client_of(admin)
    assert seen(client, "?period=hour") == keys(rows[2:])
    assert seen(client, "?period=day") == keys(rows[1:])
    assert seen(client, "?period=quarter") == keys(rows)


@pytest.mark.parametrize("query", ["from=yesterday", "to=2026-13-01", "from=0001-01-01", "to=9999-12-31",
                                   "from=2026-07-10T12:00&to=2026-07-10T11:00"])  # fmt: skip
def test_a_time_that_is_none_says_so_and_keeps_what_was_typed(
    query: str, admin: User, client_of: Clients
) -> None:
    write(1)
    for headers in ({}, {"HX-Request": "true"}):
        answer = client_of(admin).get(f"{URL}?{query}", headers=headers)
        page = answer.content.decode()
        if query in ("from=0001-01-01", "to=9999-12-31") and answer.status_code == 200:
            continue  # a time in this reader's zone
        assert answer.status_code == 422
        assert 'role="alert"' in page
        assert "entry-" not in page
        if not headers:
            assert 'aria-invalid="true"' in page
            assert re.split("[=&]", query)[1] in page


def test_what_exists_is_a_link_and_what_was_removed_is_text(
    admin: User, export: Export, make_run: Callable[..., ExportRun], client_of: Clients
) -> None:
    run = make_run(export, RunState.SUCCESSFUL)
    connection = export.connection
    assert connection is not None
    write(
        1,
        action="secret.used",
        object_type="connection",
        object_uuid=connection.uuid,
        object_label=connection.name,
        details={"purpose": "run", "run": str(run.uuid), "fields": ["password"]},
    )
    other = make_connection(actor=admin, name="Short-lived")
    client = client_of(admin)
    run_url = f"/data/exports/{export.uuid}/runs/{run.uuid}/"
    page = client.get(f"{URL}?action=secret.used").content.decode()
    # an entry from before the name was kept: found by the run's identifier
    assert f'for a run of &quot;<a href="{run_url}">Loyalty mailing</a>&quot;, on behalf of Ana' in page
    assert f'<a href="/settings/connections/{connection.uuid}/">' in page
    assert (
        f'<a href="/settings/connections/{other.uuid}/">Short-lived</a>' in client.get(URL).content.decode()
    )
    other.delete()
    page = client.get(URL).content.decode()
    assert f'href="/settings/connections/{other.uuid}/"' not in page
    assert "&quot;Short-lived&quot;" in page


def test_the_history_of_a_connection_begins_with_its_set_up(
    admin: User, connection: Connection, client_of: Clients
) -> None:
    made = AuditEntry.objects.get(action="connection.created")
    before = write(
        1, action="connection.verified", object_type="connectiondraft", object_uuid=made.details["draft"],
        details={"step": "test", "code": ""},
    )  # fmt: skip
    client = client_of(admin)
    history = f"?object={connection.uuid}"
    assert set(seen(client, history)) == {made.pk, before[0].pk}
    assert "History of Newsletter, SFTP EU" in client.get(URL + history).content.decode()
    assert f"{URL}{history}" in client.get(f"/settings/connections/{connection.uuid}/").content.decode()


def test_the_history_of_an_export_is_offered_to_administrators(
    admin: User, contributor: User, export: Export, client_of: Clients
) -> None:
    url, history = f"/data/exports/{export.uuid}/", f"{URL}?object={export.uuid}"
    assert history in client_of(admin).get(url).content.decode()
    assert history not in client_of(contributor).get(url).content.decode()


def test_a_page_costs_the_same_number_of_queries_however_long_it_is(
    admin: User, export: Export, make_run: Callable[..., ExportRun], client_of: Clients
) -> None:
    client = client_of(admin)

    def queries() -> int:
        with CaptureQueriesContext(
            database,
        ) as caught:
            assert client.get(URL).status_code == 200
        return len(caught)

    run = make_run(export, RunState.SUCCESSFUL)
    few = queries()
    for number in range(40):
        target = uuid.uuid4()
        write(
            1,
            object_type=("export", "connection")[number % 2],
            object_uuid=target,
            details={"run": str(run.uuid), "before": "a"},
        )
    assert queries() == few
