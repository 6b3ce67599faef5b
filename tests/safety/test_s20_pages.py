"""S20: customer data can be as slow as it likes, a page is not: one time for everything, two at a time per process."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from connections_portal import customer_data
from connections_portal.customer_data import Kind, NotReached, Unavailable
from connections_portal.customer_data.engine import DuckDBEngine, Limits
from connections_portal.models import User
from tests.data import write_customers
from tests.exports.filling import filled
from tests.factories import make_connection

Clients = Callable[[User | None], Client]

# hours of work, and members nobody has
SLOW = "SELECT customer_id FROM customer, range(3000000) a, range(3000000) b WHERE a.range + b.range = points"


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    """Twenty segments that never end, each alphabetically before the quick ones."""
    folder = write_customers(tmp_path / "customer-data")
    settings.CUSTOMER_DATA_URL = f"duckdb://{folder}"
    settings.SPILL_DIR = tmp_path / "spill"
    for number in range(20):
        (folder / "segments" / f"a_slow_{number:02}.sql").write_text(SLOW)
    return folder


@pytest.fixture
def little_time(monkeypatch: pytest.MonkeyPatch) -> float:
    """One second for a page instead of ten."""
    monkeypatch.setattr(customer_data, "PAGE_SECONDS", 1.0)
    monkeypatch.setattr(customer_data, "WAIT_SECONDS", 0.3)
    return 1.0


def test_the_times() -> None:
    assert customer_data.PAGE_SECONDS <= 10
    assert customer_data.WAIT_SECONDS < customer_data.PAGE_SECONDS
    assert customer_data.PAGES_AT_A_TIME == 2


def test_one_time_for_all_items_together(folder: Path, little_time: float) -> None:
    began = time.monotonic()
    with customer_data.open_for_page() as engine:
        found = {entry.item.name: entry for entry in customer_data.list_items(engine)}
    assert time.monotonic() - began < little_time + 1
    slow = [found[f"a_slow_{number:02}"] for number in range(20)]
    assert {(entry.count, entry.error) for entry in slow} == {(None, "")}
    assert all(entry.columns for entry in slow)
    # what needs no query was counted first
    assert (found["customer"].count, found["orders"].count, found["loyal"].count) == (4, 2, 3)
    # what there was no time for is not tried again at once, so that the next page is quick
    began = time.monotonic()
    with customer_data.open_for_page() as engine:
        again = {entry.item.name: entry.count for entry in customer_data.list_items(engine)}
    assert time.monotonic() - began < little_time
    assert again["loyal"] == 3


def test_an_item_that_was_not_reached_has_its_turn_later(
    folder: Path, little_time: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customer_data, "REACH_AGAIN_SECONDS", 0)
    with customer_data.open_for_page() as engine:
        assert {e.item.name: e.count for e in customer_data.list_items(engine)}["rich"] is None
    for number in range(20):
        (folder / "segments" / f"a_slow_{number:02}.sql").unlink()
    with customer_data.open_for_page() as engine:
        assert {e.item.name: e.count for e in customer_data.list_items(engine)}["rich"] == 2


def test_views_are_made_within_the_time(folder: Path) -> None:
    """With none left nothing is read, and nothing is called broken."""
    with DuckDBEngine(folder, Limits(all_seconds=1e-9)) as engine:
        for kind, name in ((Kind.SEGMENT, "loyal"), (Kind.TABLE, "orders")):
            with pytest.raises(NotReached):
                engine.view(kind, name)
        with pytest.raises(NotReached):
            customer_data.list_items(engine)


def test_a_third_page_is_told_to_wait_and_the_places_come_back(folder: Path, little_time: float) -> None:
    entered, leave = threading.Semaphore(0), threading.Event()

    def read() -> None:
        with customer_data.open_for_page():
            entered.release()
            leave.wait(20)

    readers = [threading.Thread(target=read) for _page in range(2)]
    for reader in readers:
        reader.start()
    try:
        assert all(entered.acquire(timeout=20) for _reader in readers)
        with pytest.raises(Unavailable, match="for others"), customer_data.open_for_page():
            pytest.fail("a third one")
    finally:
        leave.set()
        for reader in readers:
            reader.join(20)
    with pytest.raises(ZeroDivisionError), customer_data.open_for_page():
        _ = 1 // 0
    for _again in range(3):
        with customer_data.open_for_page() as engine:
            assert engine.items()


@pytest.mark.django_db
def test_the_pages_show_what_was_not_counted(
    folder: Path, little_time: float, admin: User, client_of: Clients
) -> None:
    connection = make_connection(actor=admin)
    client = client_of(admin)
    began = time.monotonic()
    tables = client.get("/data/tables/").content.decode()
    form = client.get(f"/data/exports/new/?connection={connection.uuid}").content.decode()
    one = client.get("/data/tables/segment/a_slow_00/").content.decode()
    assert time.monotonic() - began < 3 * (little_time + 1)
    assert tables.count("Not counted") == form.count("Not counted")
    assert tables.count("Not counted") >= 20
    assert "Not counted: it takes too long, 4 columns" in one
    # and can be sent nevertheless
    answer = client.post("/data/exports/new/", filled(connection, items=["segment:a_slow_00"]))
    assert answer.status_code == 303, answer.content.decode()
