"""Whatever is sent to whichever address by whoever, the answer is never a 500."""

from collections.abc import Callable

import pytest
from django.test import Client

from connections_portal.models import User
from exports.models import Export
from tests.test_access_matrix import MATRIX, address, export, finished_run

__all__ = ["export"]  # a fixture

pytestmark = pytest.mark.django_db

ODD = {
    "nul": "\x00",  # PostgreSQL refuses it in any text, SQLite takes it
    "surrogate": "\ud800",
    "bidi": "\u202e",
    "long": "x" * 20_000,
    "number": "9" * 40,
    "negative": "-1",
    "digit": "²",
    "json": '{"a": [1]}',
    "markup": "<script>alert(1)</script>",
    "list": ["a", "b", "\x00"],
    "empty": "",
}
NAMES = (
    "q", "sort", "page", "type", "status", "connection", "draft", "then", "resume", "sample", "action", "name",
    "access", "grantees", "impact", "afterwards", "person",
    "auth_method", "username", "password", "private_key", "passphrase", "hostname", "port",
    "export_folder", "agree", "wording", "fingerprint", "version", "items", "fields:segment", "fields:table:orders",
    "shown", "compression", "delimiter", "kind", "local_time", "weekdays", "days", "zone", "theme", "next",
    "old_password", "new_password1", "new_password2", "selected", "confirmed", "query",
    "object", "outcome", "period", "from", "to", "before", "after",
)  # fmt: skip
ACTIONS = (
    "",
    "verify",
    "trust",
    "save",
    "terms",
    "refresh",
    "use_added",
    "save_run",
    "add_connection:sftp",
    "add_connection:x",
)


BODIES = ("application/json", "multipart/form-data; boundary=x", "multipart/form-data", "text/plain")


@pytest.fixture
def clients(admin: User, contributor: User, client_of: Callable[[User | None], Client]) -> list[Client]:
    return [client_of(admin), client_of(contributor)]


@pytest.mark.parametrize("name", sorted(MATRIX))
@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.both_databases if k == "nul" else ()) for k in sorted(ODD)]
)
def test_odd_values(name: str, kind: str, clients: list[Client], export: Export) -> None:
    finished_run(export)
    url = address(name, export)
    values = dict.fromkeys(NAMES, ODD[kind])
    for client in clients:
        client.raise_request_exception = False
        query = "&".join(
            f"{key}=%00%ff%ED%A0%80" if kind == "surrogate" else f"{key}={kind}" for key in NAMES
        )
        assert client.get(f"{url}?{query}").status_code < 500
        if kind == "surrogate":
            body = "&".join(f"{key}=%ED%A0%80%ff" for key in NAMES)
            form = "application/x-www-form-urlencoded"
            assert client.post(url, body, content_type=form).status_code < 500
            continue
        assert client.get(url, values).status_code < 500
        for action in ACTIONS if name in {"connections:set_up", "exports:create", "exports:edit"} else ("",):
            for headers in ({}, {"HX-Request": "true", "HX-Current-URL": "::\x01"}):
                answer = client.post(url, values | {"action": action}, headers=headers)
                assert answer.status_code < 500, (action, headers)


@pytest.mark.parametrize("name", sorted(MATRIX))
def test_odd_bodies(name: str, clients: list[Client], export: Export) -> None:
    finished_run(export)
    url = address(name, export)
    for client in clients:
        client.raise_request_exception = False
        for content_type in (
            "application/json",
            "multipart/form-data; boundary=x",
            "multipart/form-data",
            "text/plain",
        ):
            assert client.post(url, b"\xff\x00 not a form", content_type=content_type).status_code < 500
        fields = "&".join(f"f{n}=" for n in range(6_000))
        assert client.post(url, fields, content_type="application/x-www-form-urlencoded").status_code < 500


@pytest.mark.parametrize(
    "path",
    [
        "/data/tables/segment/%00/",
        "/data/tables/x/y/",
        "/data/tables/segment/..%2f..%2fetc/",
        "/%ff",
        "/data/exports/x/",
    ],
)
def test_odd_addresses(path: str, clients: list[Client], export: Export) -> None:
    for client in clients:
        client.raise_request_exception = False
        assert client.get(path).status_code == 404
