"""The export form: what it offers, saves and refuses."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from connections.models import Connection
from connections.operations.attention import mark_needs_attention
from connections_portal.models import User
from exports.models import Export, ExportRun, ScheduleKind
from tests.data import CUSTOMERS
from tests.exports.conftest import ALL_FIELDS
from tests.exports.filling import box, filled, text, ticked

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data")]

NEW = "/data/exports/new/"
Clients = Callable[[User | None], Client]


# ---- what it offers


def test_an_empty_form_offers_what_there_is(
    connection: Connection, hidden: Connection, contributor: User, client_of: Clients
) -> None:
    page = text(client_of(contributor).get(NEW))
    assert '<optgroup label="SFTP">' in page
    assert str(connection.uuid) in page
    assert str(hidden.uuid) not in page
    assert "Board reports" not in page
    assert "files.example.com" not in page
    for words in ("Loyal", "3 members", "Orders", "2 rows", "Choose a connection to see"):
        assert words in page
    assert all(ticked(page, "fields:segment", name) for name in ALL_FIELDS)
    assert not ticked(page, "items", "segment:loyal")
    assert "fields:table:orders" not in page
    assert "add_connection" not in page


def test_only_ready_connections_are_offered(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    mark_needs_attention(connection_id=connection.pk, cause="Refused", code="sign_in_refused")
    assert str(connection.uuid) not in text(client_of(contributor).get(NEW))


def test_the_readers_zone_comes_first(connection: Connection, contributor: User, client_of: Clients) -> None:
    User.objects.filter(pk=contributor.pk).update(time_zone="Asia/Tokyo")
    page = text(client_of(contributor).get(NEW))
    zones = re.findall(r"<option[^>]*>(\w+/\w+|UTC)</option>", page.partition('name="zone"')[2])
    assert zones[:2] == ["Asia/Tokyo", "UTC"]
    assert '<option value="Asia/Tokyo" selected>' in page


def test_without_any_connection_a_contributor_is_told_whom_to_ask(
    outsider: User, connection: Connection, client_of: Clients
) -> None:
    client = client_of(outsider)
    page = text(client.get(NEW))
    assert "No connection has been shared with you. Ask an administrator:" in page
    assert "Lena Hofmann" in page
    assert '<form class="form-page"' not in page
    answer = client.post(NEW, filled(connection))
    assert answer.status_code == 422
    assert "Choose a connection from the list." in text(answer)
    assert 'value="Loyalty mailing"' in text(answer)
    assert not Export.objects.exists()


# ---- what it saves


def test_save_stores_the_export_and_starts_nothing(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    answer = client_of(contributor).post(
        NEW,
        filled(
            connection,
            items=["table:orders", "segment:loyal"],
            shown=["fields:segment", "fields:table:orders"],
            **{"fields:table:orders": ["amount", "order_id"]},
            option_delimiter="tab",
            option_formulas="apostrophe",
            schedule="week",
            weekdays=["1", "4"],
            time="07:30",
        ),
    )
    export = Export.objects.get()
    page = reverse("exports:detail", args=[export.uuid])
    assert (answer.status_code, answer["Location"]) == (303, f"{page}?next=1")
    assert export.options == {"compression": "gzip", "delimiter": "tab", "formulas": "apostrophe"}
    assert [(i.kind, i.source, i.fields) for i in export.items.all()] == [
        ("segment", "loyal", ["customer_id", "email"]),
        ("table", "orders", ["order_id", "amount"]),
    ]
    schedule = export.schedule
    assert (schedule.kind, schedule.local_time, schedule.weekdays, schedule.zone) == (
        ScheduleKind.WEEK, dt.time(7, 30), [1, 4], "Europe/Berlin",
    )  # fmt: skip
    assert schedule.next_at is not None
    assert not ExportRun.objects.exists()


def test_save_and_run_leads_to_the_run(connection: Connection, contributor: User, client_of: Clients) -> None:
    answer = client_of(contributor).post(NEW, filled(connection, action="save_run"))
    run = ExportRun.objects.get()
    assert answer["Location"] == reverse("exports:run", args=[run.export.uuid, run.uuid])
    assert run.started_by == contributor


def test_a_list_of_fields_nobody_has_looked_at_is_stored_whole_and_explicitly(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    client_of(contributor).post(NEW, filled(connection, items=["table:orders"], shown=None))
    assert Export.objects.get().items.get().fields == ["order_id", "customer_id", "amount"]


def test_a_field_that_is_new_in_the_source_is_not_sent_by_itself(
    export: Export, contributor: User, client_of: Clients, data: Path
) -> None:
    table = pa.table(CUSTOMERS | {"diagnosis": ["a", "b", "c", "d"]})
    pq.write_table(table, data / "customer.parquet")
    client = client_of(contributor)
    page = text(client.get(reverse("exports:edit", args=[export.uuid])))
    assert not ticked(page, "fields:segment", "diagnosis")
    assert ticked(page, "fields:segment", "email")
    client.post(reverse("exports:edit", args=[export.uuid]), filled(export.connection, version="1"))
    assert export.items.get().fields == ["customer_id", "email"]


def test_month_days_are_read_as_people_type_them(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    client_of(contributor).post(NEW, filled(connection, schedule="month", days="31; 1 15, 1"))
    assert Export.objects.get().schedule.days == [1, 15, 31]


# ---- what it refuses, keeping what was typed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "Enter a name."),
        ({"name": "x" * 101}, "100 are allowed"),
        ({"name": "a\u200bb"}, "cannot be seen"),
        ({"connection": ""}, "Choose a connection."),
        ({"connection": str(uuid4())}, "Choose a connection from the list."),
        ({"connection": "../../x"}, "Choose a connection from the list."),
        ({"option_compression": "zip"}, "Choose one of the answers."),
        ({"items": []}, "Choose at least one segment or table."),
        (
            {"items": ["segment:loyal", "segment:vanished"]},
            "1 of the ticked segments and tables no longer exists.",
        ),
        ({"items": ["segment:../../etc/passwd"]}, "no longer exists"),
        ({"fields:segment": []}, "Choose at least one field."),
        ({"fields:segment": ["email", "shoe_size"]}, "The field shoe_size no longer exists."),
        ({"schedule": "hourly"}, "Choose how often it runs."),
        ({"schedule": ""}, "Choose how often it runs."),
        ({"schedule": "day", "time": ""}, "Type a time, for example 06:00."),
        ({"schedule": "day", "time": "25:00"}, "Type a time between 00:00 and 23:59"),
        ({"schedule": "day", "zone": "Mars/Olympus"}, "Choose a time zone from the list."),
        ({"schedule": "day", "zone": "../../etc/passwd"}, "Choose a time zone from the list."),
        ({"schedule": "week"}, "Choose at least one day of the week."),
        ({"schedule": "week", "weekdays": ["7"]}, "Choose days from Monday to Sunday."),
        ({"schedule": "month"}, "Type at least one day"),
        ({"schedule": "month", "days": "0, 32"}, "Type numbers from 1 to 31"),
        ({"schedule": "month", "days": "first"}, "Type numbers from 1 to 31"),
    ],
)
def test_bad_input_is_named_at_its_place_and_nothing_typed_is_lost(
    connection: Connection, contributor: User, client_of: Clients, changes: dict[str, Any], message: str
) -> None:
    sent = filled(connection, **{"option_delimiter": "pipe", **changes})
    answer = client_of(contributor).post(NEW, sent)
    page = text(answer)
    assert answer.status_code == 422
    assert message in page
    assert 'id="form-errors"' in page
    if "name" not in changes:
        assert 'value="Loyalty mailing"' in page
    if "connection" not in changes:
        assert f'value="{connection.uuid}" selected' in page
        assert 'value="pipe" selected' in page
    for key in sent["items"]:
        assert ticked(page, "items", key)
    for field in sent["fields:segment"]:
        assert ticked(page, "fields:segment", field)
    assert not Export.objects.exists()


def test_parts_of_a_schedule_that_its_kind_does_not_have_are_not_looked_at(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    answer = client_of(contributor).post(
        NEW, filled(connection, schedule="manual", time="nonsense", zone="nowhere", days="x", weekdays=["9"])
    )
    assert answer.status_code == 303
    assert Export.objects.get().schedule.kind == ScheduleKind.MANUAL


def test_a_name_in_use_is_refused_at_its_field_whatever_its_case(
    export: Export, contributor: User, client_of: Clients
) -> None:
    answer = client_of(contributor).post(NEW, filled(export.connection, name="LOYALTY MAILING"))
    assert answer.status_code == 422
    assert "An export already has this name." in text(answer)
    assert 'value="LOYALTY MAILING"' in text(answer)


def test_an_unshared_connection_cannot_be_posted(
    hidden: Connection, connection: Connection, contributor: User, client_of: Clients
) -> None:
    answer = client_of(contributor).post(NEW, filled(hidden))
    assert answer.status_code == 422
    assert "Choose a connection from the list." in text(answer)
    assert "Board reports" not in text(answer)
    assert not Export.objects.exists()


def test_columns_that_the_form_does_not_have_cannot_be_posted(
    connection: Connection, contributor: User, admin: User, client_of: Clients
) -> None:
    client_of(contributor).post(
        NEW, filled(connection, folder_name="../x", responsible=admin.pk, type_key="other", uuid=str(uuid4()))
    )
    export = Export.objects.get()
    assert (export.folder_name, export.responsible, export.type_key) == (
        "loyalty-mailing",
        contributor,
        "sftp",
    )


def test_a_vanished_segment_stays_visible_until_it_is_unticked(
    export: Export, contributor: User, client_of: Clients, data: Path
) -> None:
    (data / "segments" / "loyal.parquet").unlink()
    client, url = client_of(contributor), reverse("exports:edit", args=[export.uuid])
    page = text(client.get(url))
    assert "<s>Loyal</s>" in page
    assert "No longer exists. Untick it to save." in page
    assert ticked(page, "items", "segment:loyal")
    kept = filled(export.connection, items=["segment:loyal", "segment:newsletter"], version="1")
    assert client.post(url, kept).status_code == 422
    assert export.items.get().source == "loyal"
    assert client.post(url, kept | {"items": ["segment:newsletter"]}).status_code == 303
    assert export.items.get().source == "newsletter"


def test_a_vanished_column_stays_visible_until_it_is_unticked(
    export: Export, contributor: User, client_of: Clients, data: Path
) -> None:
    columns = {name: values for name, values in CUSTOMERS.items() if name != "email"}
    pq.write_table(pa.table(columns), data / "customer.parquet")
    client, url = client_of(contributor), reverse("exports:edit", args=[export.uuid])
    page = text(client.get(url))
    assert "<s>email</s>" in page
    assert ticked(page, "fields:segment", "email")
    kept = filled(export.connection, version="1")
    answer = client.post(url, kept)
    assert answer.status_code == 422
    assert "The field email no longer exists. Untick it to save." in text(answer)
    assert client.post(url, kept | {"fields:segment": ["customer_id"]}).status_code == 303
    assert export.items.get().fields == ["customer_id"]


def test_a_broken_item_says_so_and_cannot_be_ticked(
    connection: Connection, contributor: User, client_of: Clients, data: Path
) -> None:
    (data / "segments" / "rich.sql").write_text("SELECT nonsense FROM nowhere")
    client = client_of(contributor)
    assert " disabled" in box(text(client.get(NEW)), "items", "segment:rich")
    answer = client.post(NEW, filled(connection, items=["segment:rich", "segment:loyal"]))
    assert answer.status_code == 422
    assert "Rich cannot be sent." in text(answer)
    assert not Export.objects.exists()


def test_customer_data_that_cannot_be_read_loses_nothing(
    export: Export, contributor: User, client_of: Clients, settings: Settings, tmp_path: Path
) -> None:
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'nowhere'}"
    client, url = client_of(contributor), reverse("exports:edit", args=[export.uuid])
    page = text(client.get(url))
    assert ticked(page, "items", "segment:loyal")
    answer = client.post(url, filled(export.connection, version="1", name="Typed"))
    assert answer.status_code == 422
    assert 'value="Typed"' in text(answer)
    assert ticked(text(answer), "items", "segment:loyal")
    assert export.items.get().fields == ["customer_id", "email"]


def test_saved_before_the_options_were_on_the_page(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    form = filled(connection, option_compression=None, option_delimiter=None, option_formulas=None)
    assert client_of(contributor).post(NEW, form).status_code == 303
    assert Export.objects.get().options == {"compression": "gzip", "delimiter": "comma", "formulas": "keep"}


def test_a_shared_connection_that_cannot_be_used_is_not_called_unshared(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    Connection.objects.update(state="needs_attention")
    for url in (NEW, reverse("exports:list")):
        page = text(client_of(contributor).get(url))
        assert "No connection that is shared with you can be used at present. Ask an administrator:" in page
        assert "has been shared with you" not in page
