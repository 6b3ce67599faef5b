"""The export form: what it offers, keeps, refuses and saves; with htmx, without script, and read-only."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from connections.models import Connection, ConnectionUserObjectPermission
from connections.operations.attention import mark_needs_attention
from connections.views.set_up import CHOSEN, RETURN_TO
from connections_portal.models import AuditEntry, User
from exports.models import Export, ExportRun, ScheduleKind
from exports.operations.connection import detach_connection
from exports.operations.edit import Timing
from tests.data import CUSTOMERS
from tests.exports.conftest import ALL_FIELDS, LOYAL, ORDERS
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data")]

NEW = "/data/exports/new/"
Clients = Callable[[User | None], Client]


def filled(connection: Connection | None, **changes: Any) -> dict[str, Any]:
    """What a browser sends for a valid form."""
    values: dict[str, Any] = {
        "action": "save",
        "name": "Loyalty mailing",
        "connection": str(connection.uuid) if connection else "",
        "option_compression": "gzip",
        "option_delimiter": "comma",
        "items": ["segment:loyal"],
        "shown": ["fields:segment"],
        "fields:segment": ["customer_id", "email"],
        "schedule": "manual",
        "time": "06:00",
        "days": "",
        "zone": "Europe/Berlin",
    }
    return {key: value for key, value in (values | changes).items() if value is not None}


def text(response: HttpResponse) -> str:
    return response.content.decode()


def box(page: str, name: str, value: str) -> str:
    """The tag of one box to tick."""
    found = re.search(rf'<input class="tick" type="checkbox" name="{name}" value="{re.escape(value)}"[^>]*>', page)
    assert found, f"{name}={value} is not on the page"
    return found[0].partition(" hx-")[0]


def ticked(page: str, name: str, value: str) -> bool:
    return " checked" in box(page, name, value)


# ---- what it offers


def test_an_empty_form_offers_what_there_is(connection: Connection, hidden: Connection, contributor: User, client_of: Clients) -> None:
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


def test_only_ready_connections_are_offered(connection: Connection, contributor: User, client_of: Clients) -> None:
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
    assert "<form class=\"form-page\"" not in page
    answer = client.post(NEW, filled(connection))
    assert answer.status_code == 422
    assert "Choose a connection from the list." in text(answer)
    assert 'value="Loyalty mailing"' in text(answer)
    assert not Export.objects.exists()


# ---- what it saves


def test_save_stores_the_export_and_starts_nothing(connection: Connection, contributor: User, client_of: Clients) -> None:
    answer = client_of(contributor).post(
        NEW,
        filled(
            connection,
            items=["table:orders", "segment:loyal"],
            shown=["fields:segment", "fields:table:orders"],
            **{"fields:table:orders": ["amount", "order_id"]},
            option_delimiter="tab",
            schedule="week",
            weekdays=["1", "4"],
            time="07:30",
        ),
    )
    export = Export.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, reverse("exports:detail", args=[export.uuid]))
    assert export.options == {"compression": "gzip", "delimiter": "tab"}
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


def test_month_days_are_read_as_people_type_them(connection: Connection, contributor: User, client_of: Clients) -> None:
    client_of(contributor).post(NEW, filled(connection, schedule="month", days="31; 1 15, 1"))
    assert Export.objects.get().schedule.days == [1, 15, 31]


# ---- what it refuses, keeping what was typed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "Enter a name."),
        ({"name": "x" * 101}, "100 are allowed"),
        ({"name": "a​b"}, "cannot be seen"),
        ({"connection": ""}, "Choose a connection."),
        ({"connection": str(uuid4())}, "Choose a connection from the list."),
        ({"connection": "../../x"}, "Choose a connection from the list."),
        ({"option_compression": "zip"}, "Choose one of the answers."),
        ({"items": []}, "Choose at least one segment or table."),
        ({"items": ["segment:loyal", "segment:vanished"]}, "1 of the ticked segments and tables no longer exists."),
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


def test_an_unshared_connection_cannot_be_posted(hidden: Connection, connection: Connection, contributor: User, client_of: Clients) -> None:
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
    assert (export.folder_name, export.responsible, export.type_key) == ("loyalty-mailing", contributor, "sftp")


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


# ---- choosing a connection, adding one


def test_choosing_a_connection_shows_its_options_and_saves_nothing(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    sent = filled(connection, action="refresh", name="", option_compression=None, option_delimiter=None)
    sent |= {"fields:segment": ["email"], "schedule": "week", "weekdays": ["2"], "days": "half typed"}
    for headers in ({}, {"HTTP_HX_REQUEST": "true"}):
        answer = client_of(contributor).post(NEW, sent, **headers)
        page = text(answer)
        assert answer.status_code == 200
        assert ("<html" in page) == (not headers)
        assert "option_compression" in page
        assert 'id="form-errors"' not in page
        assert "Enter a name." not in page
        assert ticked(page, "items", "segment:loyal")
        assert ticked(page, "fields:segment", "email")
        assert not ticked(page, "fields:segment", "customer_id")
        assert 'value="half typed"' in page
        assert re.search(r'name="weekdays" value="2"[^>]*checked', page)
    assert not Export.objects.exists()


def test_ticking_a_table_shows_its_fields_all_ticked(connection: Connection, contributor: User, client_of: Clients) -> None:
    sent = filled(connection, action="refresh", items=["table:orders"], **{"fields:segment": ["city"]})
    page = text(client_of(contributor).post(NEW, sent))
    assert all(ticked(page, "fields:table:orders", name) for name in ("order_id", "customer_id", "amount"))
    assert ticked(page, "fields:segment", "city")
    assert not ticked(page, "fields:segment", "email")


def test_an_administrator_adds_a_connection_without_losing_anything_typed(
    admin: User, client_of: Clients
) -> None:
    client = client_of(admin)
    page = text(client.get(NEW))
    assert 'value="add_connection:sftp"' in page
    sent = filled(None, action="add_connection:sftp", name="Half done", items=["table:orders"])
    answer = client.post(NEW, sent)
    assert answer.status_code == 303
    assert answer["Location"] == reverse("connections:set_up", args=["sftp"]) + "?then=choose"
    assert client.session[RETURN_TO] == NEW + "?resume=1"

    added = make_connection(actor=admin)  # what *Set up* does before it comes back
    session = client.session
    session[CHOSEN] = str(added.uuid)
    session.save()
    page = text(client.get(client.session[RETURN_TO]))
    assert 'value="Half done"' in page
    assert ticked(page, "items", "table:orders")
    assert f'value="{added.uuid}" selected' in page
    assert "option_compression" in page

    saved = client.post(NEW, filled(added, name="Half done"))
    assert saved.status_code == 303
    assert not {CHOSEN, RETURN_TO, "export_form"} & set(client.session.keys())


def test_beside_the_open_form_the_new_connection_is_chosen(admin: User, client_of: Clients) -> None:
    client, added = client_of(admin), make_connection(actor=admin)
    session = client.session
    session[CHOSEN] = str(added.uuid)
    session.save()
    sent = filled(None, action="use_added", name="Half done")
    page = text(client.post(NEW, sent, HTTP_HX_REQUEST="true"))
    assert f'value="{added.uuid}" selected' in page
    assert 'value="Half done"' in page
    assert "option_compression" in page
    assert CHOSEN not in client.session


def test_a_contributor_cannot_go_to_set_up(connection: Connection, contributor: User, client_of: Clients) -> None:
    answer = client_of(contributor).post(NEW, filled(connection, action="add_connection:sftp"))
    assert answer.status_code == 403
    assert AuditEntry.objects.filter(action="access.refused", actor_id=contributor.pk).count() == 1


def test_an_unknown_type_cannot_be_set_up(admin: User, client_of: Clients) -> None:
    assert client_of(admin).post(NEW, filled(None, action="add_connection:../x")).status_code == 404


# ---- editing


def test_editing_shows_what_is_stored(make_export: Callable[..., Export], contributor: User, client_of: Clients) -> None:
    timing = Timing(kind=ScheduleKind.MONTH, local_time=dt.time(7, 30), days=(1, 31), zone="Europe/Paris")
    export = make_export(items=[LOYAL, ORDERS], schedule=timing, options={"delimiter": "pipe"})
    page = text(client_of(contributor).get(reverse("exports:edit", args=[export.uuid])))
    assert f'value="{export.name}"' in page
    assert ticked(page, "items", "table:orders")
    assert not ticked(page, "items", "segment:rich")
    assert not ticked(page, "fields:table:orders", "customer_id")
    assert not ticked(page, "fields:segment", "city")
    for words in ('value="07:30"', 'value="1, 31"', '"Europe/Paris" selected', '"pipe" selected'):
        assert words in page


def test_a_page_that_somebody_overtook_shows_both_and_saves_when_told_again(
    export: Export, contributor: User, admin: User, client_of: Clients
) -> None:
    url = reverse("exports:edit", args=[export.uuid])
    client_of(admin).post(url, filled(export.connection, version="1", name="By Lena", items=["segment:rich"]))
    client = client_of(contributor)
    mine = filled(export.connection, version="1", name="By Ana")
    answer = client.post(url, mine)
    page = text(answer)
    assert answer.status_code == 409
    assert "Somebody else saved this export after you opened it." in page
    assert "Stored now" in page
    assert "By Lena" in page
    assert 'value="By Ana"' in page
    assert Export.objects.get().name == "By Lena"
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version
    assert client.post(url, mine | {"version": version[1]}).status_code == 303
    assert Export.objects.get().name == "By Ana"


@pytest.mark.parametrize("version", ["", "abc", "-1", "99", "١"])
def test_a_nonsense_version_is_stale_and_no_error(
    export: Export, contributor: User, client_of: Clients, version: str
) -> None:
    url = reverse("exports:edit", args=[export.uuid])
    assert client_of(contributor).post(url, filled(export.connection, version=version, name="X")).status_code in {
        409,
        303,
    }
    if version != "١":
        assert Export.objects.get().name == "Loyalty mailing"


def test_a_current_connection_that_needs_attention_can_be_kept(
    export: Export, contributor: User, client_of: Clients
) -> None:
    assert export.connection
    mark_needs_attention(connection_id=export.connection.pk, cause="Refused", code="sign_in_refused")
    client, url = client_of(contributor), reverse("exports:edit", args=[export.uuid])
    assert "Newsletter, SFTP EU (Needs attention)" in text(client.get(url))
    assert client.post(url, filled(export.connection, version="1", name="Renamed")).status_code == 303


def test_a_detached_export_can_be_edited_and_given_a_connection_in_the_form(
    export: Export, connection: Connection, contributor: User, client_of: Clients
) -> None:
    detach_connection(export=export, actor=contributor)
    client, url = client_of(contributor), reverse("exports:edit", args=[export.uuid])
    page = text(client.get(url))
    assert "No Connection" in page
    assert "Save and run" not in page
    assert "option_compression" in page
    assert client.post(url, filled(None, version="2", name="Still detached")).status_code == 303
    assert Export.objects.get().connection is None
    assert client.post(url, filled(connection, version="3")).status_code == 303
    assert Export.objects.get().connection == connection


# ---- people without the right


def test_view_is_the_same_form_and_nothing_in_it_can_be_changed(
    export: Export, viewer: User, outsider: User, client_of: Clients
) -> None:
    url = reverse("exports:edit", args=[export.uuid])
    for person in (viewer, outsider):
        page = text(client_of(person).get(url))
        assert "You can look at the settings of this export and not change them." in page
        assert '<fieldset class="form-page" disabled>' in page
        assert 'value="Loyalty mailing"' in page
        assert "Newsletter, SFTP EU" in page
        assert 'name="action"' not in page
        assert 'name="connection"' not in page
        assert "files.example.com" not in page
        assert "hx-post" not in page.partition('<form class="form-page"')[2]
        for action in ("save", "refresh", "use_added", "add_connection:sftp"):
            sent = filled(export.connection, version="1", action=action, name="Mine")
            assert client_of(person).post(url, sent).status_code == 403
    assert Export.objects.get().name == "Loyalty mailing"


def test_viewers_cannot_create(viewer: User, support: User, nobody: User, connection: Connection, client_of: Clients) -> None:
    for person in (viewer, support, nobody):
        assert client_of(person).get(NEW).status_code == 403
        assert client_of(person).post(NEW, filled(connection)).status_code == 403
    assert not Export.objects.exists()


def test_a_right_that_was_withdrawn_ends_with_the_next_request(
    export: Export, contributor: User, client_of: Clients
) -> None:
    client, url = client_of(contributor), reverse("exports:edit", args=[export.uuid])
    assert 'name="action"' in text(client.get(url))
    ConnectionUserObjectPermission.objects.all().delete()
    assert client.post(url, filled(export.connection, version="1", name="Mine")).status_code == 403
    assert 'name="action"' not in text(client.get(url))
