"""Enrichments follow the system refresh: pages say when that is, or that it is off."""

import datetime as dt
from collections.abc import Callable

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections.models import Connection
from connections.operations.pause import pause_connection
from connections_portal import refresh
from connections_portal.models import RefreshKind, User
from enrichments.models import Enrichment

Clients = Callable[[User | None], Client]


def turn_on(admin: User) -> None:
    """Let the refresh run every day; the next time is in five hours."""
    due = timezone.now() + dt.timedelta(hours=5)
    refresh.set_schedule(
        kind=RefreshKind.DAILY, weekdays=[], times=[f"{due:%H:%M}"], zone="UTC", version=0, actor=admin
    )


def test_next_run_on_every_page(
    client_of: Clients, admin: User, source: Connection, enrichment: Enrichment
) -> None:
    client = client_of(admin)
    own = reverse("enrichments:detail", args=[enrichment.uuid])
    used = reverse("connections:detail", args=[source.uuid])
    removal = reverse("connections:remove", args=[source.uuid]) + "?see=1"
    for url in (own, used, removal):
        assert "Follows the system refresh (off)" in client.get(url).content.decode(), url
    turn_on(admin)
    for url in (own, used, removal):
        page = client.get(url).content.decode()
        assert "4 hours" in page, url
        assert "(off)" not in page, url
    pause_connection(connection=source, version=source.version, actor=admin)
    for url in (own, used, removal):
        assert "4 hours" not in client.get(url).content.decode(), url


def test_an_inactive_one_follows_nothing(client_of: Clients, admin: User, enrichment: Enrichment) -> None:
    turn_on(admin)
    Enrichment.objects.filter(pk=enrichment.pk).update(active=False)
    page = client_of(admin).get(reverse("enrichments:detail", args=[enrichment.uuid])).content.decode()
    assert "4 hours" not in page
    assert "Follows the system refresh" not in page
