"""Data > Enrichment > Discover: how many there are, how many more fit, and why one cannot be added."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connections.connectors.base import Limits
from connections.connectors.sftp_custom_import import SftpCustomImport
from connections.models import Connection
from connections_portal.models import User
from enrichments.models import Enrichment
from tests.enrichments.making import TYPE

pytestmark = pytest.mark.django_db
Clients = Callable[[User | None], Client]
ADD = f'href="/data/enrichment/new/{TYPE}/"'


def page_of(client_of: Clients, person: User) -> str:
    return client_of(person).get(reverse("enrichments:discover")).content.decode()


def test_a_tile_says_what_it_is_and_how_many_fit(
    client_of: Clients, contributor: User, enrichment: Enrichment
) -> None:
    page = page_of(client_of, contributor)
    assert "SFTP custom import" in page
    assert "Data from your own SFTP server" in page
    assert f'<a href="/data/enrichment/mine/?type={TYPE}">1 in use' in page
    assert "9 available" in page
    assert page.count(ADD) == 2  # the tile and the menu of the command bar
    assert "disabled" not in page


def test_at_the_limit_nothing_is_added(
    client_of: Clients, admin: User, enrichment: Enrichment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SftpCustomImport, "limits", Limits(max_enrichments=1))
    page = page_of(client_of, admin)
    assert "0 available" in page
    assert "There is 1 enrichment of this type, and that is all it allows. Delete one first." in page
    assert '<button class="btn" disabled' in page


def test_a_contributor_without_connection_is_told_whom_to_ask(
    client_of: Clients, contributor: User, admin: User
) -> None:
    page = page_of(client_of, contributor)
    assert "There is no SFTP Custom Import connection ready. Ask an administrator: Lena Hofmann." in page
    assert '<button class="btn" disabled' in page


def test_an_administrator_without_connection_adds_one_in_the_wizard(client_of: Clients, admin: User) -> None:
    page = page_of(client_of, admin)
    assert page.count(ADD) == 2
    assert "disabled" not in page


def test_a_viewer_looks(client_of: Clients, viewer: User, enrichment: Enrichment) -> None:
    page = page_of(client_of, viewer)
    assert "You can look at enrichments." in page
    assert ADD not in page
    assert "Add enrichment" not in page


def test_a_paused_connection_is_no_ready_one(
    client_of: Clients, contributor: User, source: Connection
) -> None:
    assert page_of(client_of, contributor).count(ADD) == 2
    Connection.objects.update(state="paused")
    assert "There is no SFTP Custom Import connection ready." in page_of(client_of, contributor)


def test_add_enrichment_goes_to_the_only_type(client_of: Clients, contributor: User) -> None:
    answer: Any = client_of(contributor).get(reverse("enrichments:create"))
    assert (answer.status_code, answer["Location"]) == (302, f"/data/enrichment/new/{TYPE}/")


def test_add_enrichment_on_a_connection_begins_with_it(
    client_of: Clients, contributor: User, source: Connection, make_source: Callable[..., Connection]
) -> None:
    make_source("Another one")
    client = client_of(contributor)
    answer = client.get(reverse("enrichments:create"), {"connection": str(source.uuid)}, follow=True)
    assert f'<input type="hidden" name="connection" value="{source.uuid}">' in answer.content.decode()
    unknown = client.get(reverse("enrichments:create"), {"connection": "nonsense"}, follow=True)
    assert '<input type="hidden" name="connection" value="">' in unknown.content.decode()
