"""The audit as a file: what is filtered, safe in a spreadsheet, in constant memory, and recorded itself."""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from connections_portal import audit_listing
from connections_portal.models import AuditEntry, User
from connections_portal.views import audit as audit_views
from tests.audit.test_page import write

pytestmark = pytest.mark.django_db

Clients = Callable[[User | None], Client]
URL = "/settings/audit/download/"


def lines(client: Client, query: str = "") -> list[list[str]]:
    answer = client.get(URL + query)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    data = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_what_is_filtered_newest_first(admin: User, client_of: Clients) -> None:
    rows = write(3, object_label="Łódź; ä", details={"before": 'a "b"'})
    header, *found = lines(client_of(admin), "?action=export.renamed")
    assert header[:3] == ["Time (UTC)", "Person", "What happened"]
    assert [row[0] for row in found] == [
        f"{entry.at:%Y-%m-%dT%H:%M:%SZ}"
        for entry in AuditEntry.objects.filter(pk__in=[row.pk for row in rows])
    ]
    assert found[0][2] == 'Ana renamed "a "b"" to "Łódź; ä"'
    assert lines(client_of(admin), "?q=zzz") == [header]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_is_a_formula(start: str, admin: User, client_of: Clients) -> None:
    evil = f"{start}HYPERLINK(0)"
    AuditEntry.objects.create(
        action=evil[:60],
        actor_id=1,
        actor_label=evil,
        object_type=evil,
        object_label=evil,
        details={"x": evil},
    )
    AuditEntry.objects.create(action="account.signed_in", actor_id=1, actor_label=evil)
    cells = [cell for line in lines(client_of(admin)) for cell in line]
    assert any(cell == f"'{evil}" for cell in cells)
    assert not [cell for cell in cells if re.match(r"[=+\-@\t\r\n]", cell)]


def test_the_download_is_recorded_with_its_filters(admin: User, client_of: Clients) -> None:
    lines(client_of(admin), "?action=export.renamed&q=%3Dx&from=2026-01-01")
    entry = AuditEntry.objects.get(action="audit.downloaded")
    assert entry.actor_id == admin.pk
    assert entry.details == {"filters": {"q": "=x", "action": "export.renamed", "from": "2026-01-01"}}


def test_no_text_of_a_person_is_in_the_headers(admin: User, client_of: Clients) -> None:
    answer = client_of(admin).get(f"{URL}?q=evil%0d%0aX-Y:z&action=evil")
    assert re.fullmatch(r'attachment; filename="audit-\d{8}-\d{6}Z\.csv"', answer["Content-Disposition"])
    assert "evil" not in str(answer.headers)
    b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def test_so_many_at_most_and_it_says_so(
    admin: User, client_of: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(7)
    monkeypatch.setattr(audit_views, "MOST_ROWS", 5)
    monkeypatch.setattr(audit_listing, "CHUNK", 2)
    _header, *found = lines(client_of(admin), "?action=export.renamed")
    assert len(found) == 6
    assert found[-1] == [
        "Only the newest 5 entries are in this file. Choose a shorter time to get the others."
    ]
    monkeypatch.setattr(audit_views, "MOST_ROWS", 8)
    _header, *found = lines(client_of(admin), "?action=export.renamed")
    assert len(found) == 7


def test_it_comes_in_pieces(admin: User, client_of: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more than a chunk of entries is in memory."""
    write(7)
    monkeypatch.setattr(audit_listing, "CHUNK", 2)
    sizes: list[int] = []
    whole = audit_listing.all_of

    def watched(*args: Any) -> Any:
        for entries in whole(*args):
            sizes.append(len(entries))
            yield entries

    monkeypatch.setattr(audit_listing, "all_of", watched)
    answer = client_of(admin).get(f"{URL}?action=export.renamed")
    assert sizes == []
    pieces = iter(answer.streaming_content)  # type: ignore[attr-defined]
    next(pieces)
    next(pieces)
    assert sizes == [2]
    list(pieces)
    assert sizes == [2, 2, 2, 1]


def test_a_time_that_cannot_be_read_gives_nothing(admin: User, client_of: Clients) -> None:
    write(2)
    assert len(lines(client_of(admin), "?from=yesterday")) == 1
