"""*Remove* an export."""

import uuid
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Connection
from connections_portal.errors import FinishingRun, NotAllowed, Stale
from connections_portal.models import AuditEntry, RunState, User
from exports.models import Export, ExportRun
from exports.operations.remove import remove_export

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]


def test_removing_deletes_it_with_its_history_and_keeps_connection_and_audit(
    export: Export, contributor: User, make_run: Callable[..., ExportRun]
) -> None:
    make_run(export, RunState.SUCCESSFUL)
    make_run(export, RunState.RUNNING)
    remove_export(export=export, actor=contributor)
    assert not Export.objects.exists()
    assert not ExportRun.objects.exists()
    assert Connection.objects.count() == 1
    entry = AuditEntry.objects.get(action="export.removed")
    assert (entry.object_label, entry.object_uuid, entry.details["runs"]) == (export.name, export.uuid, 2)
    assert AuditEntry.objects.filter(action="export.run_canceled").count() == 1


def test_a_run_that_is_finishing_is_waited_for(
    export: Export, contributor: User, client_of: Clients, make_run: Callable[..., ExportRun]
) -> None:
    make_run(export, RunState.PUBLISHING)
    with pytest.raises(FinishingRun):
        remove_export(export=export, actor=contributor)
    answer = client_of(contributor).post(reverse("exports:remove", args=[export.uuid]))
    assert answer.status_code == 409
    assert "just finishing" in answer.content.decode()
    assert Export.objects.exists()
    assert not AuditEntry.objects.filter(action="export.removed").exists()


def test_only_who_may_change_it_removes_it(export: Export, outsider: User, viewer: User) -> None:
    for person in (outsider, viewer):
        with pytest.raises(NotAllowed):
            remove_export(export=export, actor=person)
    assert Export.objects.exists()


def test_what_is_gone_already_is_said(export: Export, contributor: User, admin: User) -> None:
    remove_export(export=export, actor=admin)
    with pytest.raises(Stale):
        remove_export(export=export, actor=contributor)


def test_the_page_asks_first(export: Export, contributor: User, client_of: Clients) -> None:
    client = client_of(contributor)
    url = reverse("exports:remove", args=[export.uuid])
    page = client.get(url).content.decode()
    assert export.name in page
    assert "Files that were delivered stay where they are." in page
    assert Export.objects.exists()
    answer = client.post(url)
    assert (answer.status_code, answer["Location"]) == (303, reverse("exports:list"))
    assert not Export.objects.exists()
    assert client.post(url).status_code == 404


def test_an_unknown_export_is_404_everywhere(admin: User, client_of: Clients) -> None:
    client = client_of(admin)
    unknown = uuid.uuid4()
    for name in ("detail", "edit", "detach", "attach", "remove"):
        assert client.get(reverse(f"exports:{name}", args=[unknown])).status_code == 404
    for name in ("edit", "run_now", "detach", "attach", "remove"):
        assert client.post(reverse(f"exports:{name}", args=[unknown])).status_code == 404
    for name in ("run", "run_status"):
        assert client.get(reverse(f"exports:{name}", args=[unknown, unknown])).status_code == 404
    assert client.post(reverse("exports:cancel", args=[unknown, unknown])).status_code == 404
    assert client.get("/data/exports/not-a-uuid/").status_code == 404
