"""S14: looking changes nothing but the audit; what changes something asks for the token."""

from collections.abc import Callable

import pytest
from django.db import connection as database
from django.test import Client

from connections_portal.models import Trigger, User
from exports.models import Export, ExportRun
from exports.operations.run import enqueue_run
from tests.factories import make_draft
from tests.fixtures import PASSWORD
from tests.test_access_matrix import ALL, MATRIX, ROLES, address, admin_address, export, people

__all__ = ["export", "people"]  # fixtures

pytestmark = pytest.mark.django_db

Clients = Callable[[User | None], Client]
AUDIT = "connections_portal_auditentry"


def rows() -> dict[str, object]:
    """Every row of every table but the audit."""
    found: dict[str, object] = {}
    with database.cursor() as cursor:
        for table in database.introspection.table_names():
            if table != AUDIT:
                cursor.execute(f'SELECT * FROM "{table}"')
                found[table] = cursor.fetchall()
    return found


@pytest.fixture
def run(export: Export) -> ExportRun:
    """A run under way, which every page could do something to."""
    return enqueue_run(export=export, actor=export.responsible, trigger=Trigger.PERSON)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("script", [False, True], ids=["plain", "htmx"])
def test_a_look(
    role: str,
    script: bool,
    people: dict[str, User | None],
    export: Export,
    run: ExportRun,
    admin: User,
    client_of: Clients,
) -> None:
    draft = make_draft(actor=admin)
    client = client_of(people[role])
    headers = {"HX-Request": "true"} if script else {}
    queries = ("", "sort=-name&page=2&q=x&sample=1", f"then=choose&resume=1&draft={draft.uuid}")
    urls = {name: address(name, export) for name in MATRIX}  # makes what some of them are about
    before = rows()
    for name, url in urls.items():
        for query in queries:
            client.get(f"{url}?{query}", headers=headers)
        client.head(url, headers=headers)
        after = rows()
        assert {table for table in before if before[table] != after[table]} == set(), name


def test_a_look_at_the_support_admin(
    people: dict[str, User | None], export: Export, run: ExportRun, client_of: Clients
) -> None:
    client = client_of(people["support"])
    client.raise_request_exception = False
    before = rows()
    seen = 0
    for name in (name for name in ALL if name.startswith("admin:")):
        url = admin_address(name)
        if url is None:
            continue
        # the admin signs out at a POST only, and the portal's own page does it
        for query in ("", "?o=-1&q=x&p=0&_popup=1", "?action=delete_selected&_selected_action=1"):
            seen += client.get(url + query).status_code == 200
        after = rows()
        assert {table for table in before if before[table] != after[table]} == set(), name
    assert seen > 20


@pytest.mark.parametrize("role", ["admin", "contributor"])
def test_a_post_without_the_token(
    role: str, people: dict[str, User | None], export: Export, run: ExportRun
) -> None:
    person = people[role]
    assert person is not None
    client = Client(enforce_csrf_checks=True)
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    urls = {name: address(name, export) for name in MATRIX}
    before = rows()
    for name, (_get, post) in MATRIX.items():
        if set(post.split()) <= {"-", "302"} and name not in {"sign_out", "theme"}:
            continue
        for headers in ({}, {"HX-Request": "true"}):
            answer = client.post(urls[name], {"name": "x", "old_password": PASSWORD}, headers=headers)
            assert answer.status_code == 403, name
    assert rows() == before


@pytest.mark.parametrize("role", ["out", "viewer", "admin"])
def test_no_page_is_kept_framed_or_scripted_inline(
    role: str, people: dict[str, User | None], export: Export, run: ExportRun, client_of: Clients
) -> None:
    client = client_of(people[role])
    for name in MATRIX:
        answer = client.get(address(name, export))
        assert answer["X-Frame-Options"] == "DENY", name
        assert "no-store" in answer["Cache-Control"], name
        policy = answer["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy, name
        assert "'unsafe-inline'" not in policy, name
        assert "'unsafe-eval'" not in policy, name
