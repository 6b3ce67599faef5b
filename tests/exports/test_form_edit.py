"""The export form: choosing and adding a connection, editing, and viewing without the right to edit."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Connection, ConnectionUserObjectPermission
from connections.operations.attention import mark_needs_attention
from connections.views.flow import CHOSEN, RETURN_TO
from connections_portal.models import AuditEntry, User
from exports.models import Export, ScheduleKind
from exports.operations.connection import detach_connection
from exports.operations.edit import Timing
from tests.exports.conftest import LOYAL, ORDERS
from tests.exports.filling import filled, text, ticked
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data")]

NEW = "/data/exports/new/"
Clients = Callable[[User | None], Client]


# ---- choosing a connection, adding one


def test_choosing_a_connection_shows_its_options_and_saves_nothing(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    sent = filled(connection, action="refresh", name="", option_compression=None, option_delimiter=None)
    sent |= {"fields:segment": ["email"], "schedule": "week", "weekdays": ["2"], "days": "half typed"}
    for headers in ({}, {"HX-Request": "true"}):
        answer = client_of(contributor).post(NEW, sent, headers=headers)
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


def test_ticking_a_table_shows_its_fields_all_ticked(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
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


def test_a_contributor_cannot_go_to_set_up(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    answer = client_of(contributor).post(NEW, filled(connection, action="add_connection:sftp"))
    assert answer.status_code == 403
    assert AuditEntry.objects.filter(action="access.refused", actor_id=contributor.pk).count() == 1


def test_an_unknown_type_cannot_be_set_up(admin: User, client_of: Clients) -> None:
    assert client_of(admin).post(NEW, filled(None, action="add_connection:../x")).status_code == 404


# ---- editing


def test_editing_shows_what_is_stored(
    make_export: Callable[..., Export], contributor: User, client_of: Clients
) -> None:
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
    assert re.search(r"Lena Hofmann saved this export at \d\d:\d\d, after you opened it\.", page)
    assert "Stored now" in page
    assert "By Lena" in page
    assert 'value="By Ana"' in page
    assert Export.objects.get().name == "By Lena"
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version
    assert client.post(url, mine | {"version": version[1]}).status_code == 303
    assert Export.objects.get().name == "By Ana"


@pytest.mark.parametrize("version", ["", "abc", "-1", "99", "9" * 5000])
def test_a_nonsense_version_is_stale_and_no_error(
    export: Export, contributor: User, client_of: Clients, version: str
) -> None:
    url = reverse("exports:edit", args=[export.uuid])
    answer = client_of(contributor).post(url, filled(export.connection, version=version, name="X"))
    assert answer.status_code == 409
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


def test_viewers_cannot_create(
    viewer: User, support: User, nobody: User, connection: Connection, client_of: Clients
) -> None:
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
