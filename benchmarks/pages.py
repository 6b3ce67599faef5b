"""``pages``: Home and the lists of connections and of exports, in milliseconds a page, over ``rows`` exports.

A tenth as many connections; every export has items, a schedule and runs. An administrator and a contributor with
grants on half of the connections open the first and the last page, every order and a search, in process through the
whole middleware. The value is the worst median of all these pages. What each took goes to standard error.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from benchmarks import pages_data
from benchmarks.harness import Result
from connections import listing as connection_listing
from connections.models import State
from connections_portal.models import User
from connections_portal.web import PAGE_SIZE
from exports import listing
from exports.status import FILTERS

ROWS = 20_000
SMALL = 200
ROUNDS = 5
LIMIT_MS = 60.0

Medians = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Page:
    """One page that one person opens."""

    who: str
    name: str
    url: str


def measure(rows: int) -> Result:
    """The worst median in milliseconds. Raises AssertionError when a page makes more queries than on a small portal."""
    with own_database(Path(settings.VAR_DIR) / "pages.sqlite3"):
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        people = pages_data.people()
        pages_data.fill(SMALL, people)
        few = queries_made(SMALL, people)
        small, _small_processor = milliseconds(SMALL, people)
        pages_data.fill(rows, people)
        many = queries_made(rows, people)
        # a page on which nothing is shared with specific people asks for none, so it may be fewer
        grown = {page: (few[page], number) for page, number in many.items() if number > few[page]}
        assert not grown, f"more queries than on a small portal: {grown}"
        large, processor = milliseconds(rows, people)
    for (who, name), taken in large.items():
        counted = f"{many[who, name]:3} queries (small portal {few[who, name]}, {small[who, name]:.1f} ms)"
        spent = f"{taken:7.1f} ms, processor {processor[who, name]:7.1f} ms"
        print(f"{who:13} {name:36} {spent} {counted}", file=sys.stderr)
    worst = max(large, key=lambda page: large[page])
    return Result(
        name="pages",
        rows=rows,
        value=large[worst],
        unit="ms for the slowest page (median)",
        goal=LIMIT_MS,
        floor=LIMIT_MS,
        less_is_better=True,
        compared_with=(
            f"the same page over {SMALL // 10} connections and {SMALL} exports in {small[worst]:.1f} ms, with as "
            f"many queries ({few[worst]}); it is {worst[1]!r} as {worst[0]}, the slowest of {len(large)} pages, "
            f"and takes {processor[worst]:.1f} ms of the processor"
        ),
    )


@contextmanager
def own_database(path: Path) -> Iterator[None]:
    """Let Django use the SQLite file ``path``, and afterwards what it used before."""
    before = database.settings_dict["NAME"]
    database.close()
    database.settings_dict["NAME"] = str(path)
    try:
        yield
    finally:
        database.close()
        database.settings_dict["NAME"] = before


def pages(rows: int) -> list[Page]:
    """Home, and what is opened of each list: the first and last page, a search, each status, each order both ways."""
    exports, connections = reverse("exports:list"), reverse("connections:exports")
    found = [Page(who, "home", reverse("home")) for who in ("administrator", "contributor")]
    ended = [name for name, _label in FILTERS]
    for who, name, url, sorts, statuses, total in (
        ("administrator", "connections", connections, connection_listing.SORTS, State.values, rows // 10),
        ("administrator", "exports", exports, listing.SORTS, ended, rows),
        ("contributor", "exports", exports, listing.SORTS, ended, rows),
    ):
        queries = {
            "first": "",
            # above one page there are always two full ones, so that small and large pages have as many rows
            "last": f"page={max(1, total // PAGE_SIZE)}",
            "search": "q=harbour",
            **{f"only {status}": f"status={status}" for status in statuses},
            **{
                f"{key} {way}": f"sort={sign}{key}"
                for key in sorts
                for way, sign in (("up", ""), ("down", "-"))
            },
        }
        found += [Page(who, f"{name}, {what}", f"{url}?{query}") for what, query in queries.items()]
    return found


def queries_made(rows: int, people: dict[str, User]) -> dict[tuple[str, str], int]:
    """How many queries each page makes."""
    counted = {}
    for page, client in opened(rows, people):
        client.get(page.url)  # what is only looked up once
        with CaptureQueriesContext(database) as captured:
            assert client.get(page.url).status_code == 200, page
        counted[page.who, page.name] = len(captured)
    return counted


def milliseconds(rows: int, people: dict[str, User]) -> tuple[Medians, Medians]:
    """The median time of each page in milliseconds, warm, and that of the processor (less, on a crowded machine)."""
    medians: Medians = {}
    processor: Medians = {}
    for page, client in opened(rows, people):
        times, busy = [], []
        for _round in range(ROUNDS):
            begun, worked = time.perf_counter(), time.process_time()
            client.get(page.url)
            times.append(time.perf_counter() - begun)
            busy.append(time.process_time() - worked)
        medians[page.who, page.name] = 1000 * statistics.median(times)
        processor[page.who, page.name] = 1000 * statistics.median(busy)
    return medians, processor


def opened(rows: int, people: dict[str, User]) -> Iterator[tuple[Page, Client]]:
    """Each page with the browser of the person who opens it."""
    clients = {}
    for who, person in people.items():
        clients[who] = Client(headers={"Host": "localhost"})
        clients[who].force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    for page in pages(rows):
        yield page, clients[page.who]
