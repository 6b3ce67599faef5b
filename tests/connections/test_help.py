"""The help page of a type says everything that its declaration says, and nothing else has to be kept up."""

import re
from collections.abc import Callable
from html import unescape
from typing import ClassVar

import pytest
from django.test import Client

from connections import connectors
from connections.connectors import CONNECTORS
from connections.connectors.base import Connector, Limits
from connections.connectors.errors import RemoteRejected
from connections.connectors.sftp import Sftp
from connections_portal.models import User
from exports.csv_files import MODEL, ROWS_PER_FILE, file_name

pytestmark = pytest.mark.django_db
Clients = Callable[[User | None], Client]


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.mark.parametrize("connector", CONNECTORS)
def test_everything_declared_is_told(connector: type[Connector], admin: User, client_of: Clients) -> None:
    answer = client_of(admin).get(f"/settings/connections/help/{connector.key}/")
    assert answer.status_code == 200
    text = text_of(answer.content.decode())
    wanted = [connector.connection_name, connector.description, *connector.requires, connector.not_tested]
    for field in (*connector.fields, *connector.export_options, *connector.enrichment_options):
        wanted += [field.label, field.help, field.rule, *(choice.label for choice in field.choices)]
    for key, label in connector.steps:
        wanted.append(label)
        for failure in connector.failures.get(key, ()):
            wanted += [failure.cause, failure.remedy]
    for failure in connector.failures.get("", ()):
        wanted += [failure.cause, failure.remedy]
    missing = [sentence for sentence in wanted if sentence and sentence not in text]
    assert missing == []
    if connector.takes_files():
        for word in (
            file_name("customer", 1, gzipped=True),
            MODEL,
            f"{ROWS_PER_FILE:,}",
            ".incoming-",
            "RFC 4180",
        ):
            assert word in text
    assert ("Preview" in text) is connector.preview
    assert ("Important" in text) is connector.preview


def test_what_kind_of_field_it_is(admin: User, client_of: Clients) -> None:
    page = client_of(admin).get("/settings/connections/help/sftp/").content.decode()
    rows = {
        text_of(row).split(" ")[0]: text_of(row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    }
    assert "Required" in rows["Hostname"]
    assert "Part of the target" in rows["Hostname"]
    assert "Secret" in rows["Password"]
    assert "When Authentication is Username and password" in rows["Password"]
    assert "Supports Key Vault" in rows["Password"]
    assert "Supports Key Vault" not in rows["Hostname"]
    assert "Secret" not in rows["Username"]
    assert "At most 64 characters." in rows["Username"]
    assert "Optional" in rows["Passphrase"]
    assert "At most 16,384 characters." in rows["Private"]
    assert "Gzipped at first." in rows["Compression"]


def test_who_can_act(admin: User, client_of: Clients) -> None:
    page = client_of(admin).get("/settings/connections/help/sftp/").content.decode()
    rows = [text_of(row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)]
    refused = next(row for row in rows if row.startswith("The server refused the sign-in."))
    silent = next(row for row in rows if row.startswith("The server did not answer."))
    assert refused.endswith("An administrator, with whoever runs the service")
    assert silent.endswith("Nobody at first: a run tries again by itself")


class Invented(Sftp):
    """A type that declares what SFTP does not."""

    key = "invented"
    connection_name = "Invented"
    preview = True
    limits = Limits(min_profiles=1, max_profiles=500)
    failures: ClassVar = {
        "sign_in": (RemoteRejected("The row was refused.", code="row", remedy="Look at it."),)
    }
    deliver = Connector.deliver  # type: ignore[assignment]


def test_another_declaration_another_page(
    admin: User, client_of: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connectors._BY_KEY, "invented", Invented)
    text = text_of(client_of(admin).get("/settings/connections/help/invented/").content.decode())
    for sentence in (
        "Important This type is a preview",
        "At least 1 profile. ",
        "At most 500 profiles.",
        "The row was refused. Look at it. Whoever may edit the export",
    ):
        assert sentence in text
    assert "What is delivered" not in text
    assert "RFC 4180" not in text


def test_an_unknown_type_and_who_may_look(admin: User, contributor: User, client_of: Clients) -> None:
    assert client_of(admin).get("/settings/connections/help/nothing/").status_code == 404
    assert client_of(contributor).get("/settings/connections/help/sftp/").status_code == 403


def test_it_is_found_from_discover_and_set_up(admin: User, client_of: Clients) -> None:
    client = client_of(admin)
    for url in ("/settings/connections/", "/settings/connections/new/sftp/"):
        assert 'href="/settings/connections/help/sftp/"' in client.get(url).content.decode(), url
