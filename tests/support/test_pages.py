"""The support admin: everything can be searched and is linked; nothing that is meant for others is there."""

import re
from typing import Any

import pytest
from django.contrib import admin as admin_site
from django.test import Client
from django.urls import reverse

from connections.models import Connection, RemovedConnection
from connections_portal.models import AuditEntry, RunState, User
from tests.support.rows import stand

pytestmark = pytest.mark.django_db


def page(client: Client, row: Any) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    answer = client.get(reverse(name, args=[row.pk]))
    assert answer.status_code == 200
    return str(answer.content.decode())


def url(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def rows_of(client: Client, link: str) -> set[str]:
    """The addresses of the rows in a list."""
    answer = client.get(link)
    assert answer.status_code == 200
    results = answer.content.decode().partition('id="result_list"')[2].partition("</table>")[0]
    return set(re.findall(r'<th class="field-[^>]*><a href="([^"?]+)', results))


def links(html: str, model: str) -> list[str]:
    return re.findall(rf'href="(/admin/{model}/\?q=[^"]+)"', html)


def test_every_model_can_be_searched(client: Client, runs: dict[str, Any]) -> None:
    for model, model_admin in admin_site.site._registry.items():
        assert model_admin.search_fields, model
        found = client.get(
            reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") + "?q=x-y"
        )
        assert found.status_code == 200


def test_from_a_connection_to_all_that_belongs_to_it_and_back(client: Client, runs: dict[str, Any]) -> None:
    connection = Connection.objects.get()
    run, enrichment_run = runs["exportrun"], runs["enrichmentrun"]
    here = page(client, connection)
    for model, row in (
        ("exports/export", run.export),
        ("exports/exportrun", run),
        ("enrichments/enrichment", enrichment_run.enrichment),
        ("enrichments/enrichmentrun", enrichment_run),
    ):
        (link,) = links(here, model)
        assert rows_of(client, link) == {url(row)}, model
        assert url(connection) in page(client, row), model
    for kind in ("user", "group"):
        (link,) = links(here, f"connections/connection{kind}objectpermission")
        assert len(rows_of(client, link)) == 1
    assert url(connection.consent) in here
    (link,) = links(here, "connections_portal/auditentry")
    entries = AuditEntry.objects.filter(object_uuid=connection.uuid)
    assert entries.exists()
    assert rows_of(client, link) == {url(entry) for entry in entries}


@pytest.mark.parametrize("kind", ["exportrun", "enrichmentrun"])
def test_from_a_run_to_what_it_is_a_run_of_and_the_audit(
    kind: str, client: Client, runs: dict[str, Any]
) -> None:
    run = runs[kind]
    assert url(run.subject) in page(client, run)
    (link,) = links(page(client, run.subject), f"{run._meta.app_label}/{kind}")
    assert rows_of(client, link) == {url(run)}
    (link,) = links(page(client, run), "connections_portal/auditentry")
    asked = AuditEntry.objects.get(action__endswith="run_requested", object_uuid=run.subject.uuid)
    assert url(asked) in rows_of(client, link)
    told = page(client, asked)
    assert url(run) in told
    assert url(run.subject) in told
    assert asked.actor_id is not None
    assert url(User.objects.get(pk=asked.actor_id)) in told


def test_an_entry_whose_object_is_gone_names_it(client: Client, runs: dict[str, Any]) -> None:
    run = runs["exportrun"]
    entry = AuditEntry.objects.get(action="export.run_requested")
    address = url(run.export)
    run.export.delete()
    told = page(client, entry)
    assert address not in told
    assert "Loyal customers" in told
    assert str(run.uuid) in told


def test_where_a_connection_leads_is_on_no_page(client: Client, runs: dict[str, Any]) -> None:
    connection = Connection.objects.get()
    AuditEntry.objects.create(
        action="connection.server_trusted",
        actor_label="Lena",
        object_type="connection",
        object_uuid=connection.uuid,
        details={"fingerprint": "SHA256:hidden-place", "host": "hidden-place", "deleted": ["hidden-place/x"]},
    )
    run = stand(
        runs["exportrun"], RunState.FAILED, detail="hidden-place said no", options={"x": "hidden-place"}
    )
    run.attempts.update(detail="hidden-place said no")
    kept = ("files.example.com", "hidden-place", "visits.csv", connection.target_digest, '"portal"')
    for model in admin_site.site._registry:
        for row in model._default_manager.all():
            told = page(client, row)
            assert not [text for text in kept if text in told], model
    assert RemovedConnection.objects.exists()


def test_it_is_called_support_and_leads_back(client: Client, support: User) -> None:
    home = client.get("/").content.decode()
    assert re.search(r'<a href="/admin/"[^>]*>.*?Support</a>', home, re.DOTALL)
    index = client.get("/admin/").content.decode()
    assert "css/admin.css" in index
    assert 'action="/sign-out/"' in index
    assert "Back to the portal" in index
    assert client.post("/sign-out/").status_code == 302
    assert client.get("/admin/").status_code == 302


def test_nothing_there_is_inline(client: Client, runs: dict[str, Any]) -> None:
    """The same policy as everywhere, and nothing that it would refuse."""
    run = runs["exportrun"]
    list_url = reverse("admin:exports_exportrun_changelist")
    pages = [
        client.get("/admin/"),
        client.get(list_url),
        client.get(f"{list_url}?state__exact=queued"),
        client.get(url(run)),
        client.get(reverse("admin:connections_portal_auditentry_changelist")),
        client.post(list_url, {"action": "cancel_run", "_selected_action": [run.pk]}),
    ]
    for answer in pages:
        assert answer.status_code == 200
        # in any order, and the last one without a semicolon
        policy = {directive.strip() for directive in answer["Content-Security-Policy"].split(";")}
        assert {"script-src 'self'", "style-src 'self'"} <= policy
        html = answer.content.decode()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)[^>]*>(?!\s*\{)", html)
