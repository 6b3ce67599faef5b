"""S13: forms take objects the person may use and named columns only; unknown and forbidden look the same."""

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Connection, ConnectionDraft
from connections_portal.models import User
from connections_portal.roles import Role
from exports.models import Export
from tests.connections.filling import SET_UP, error_at
from tests.exports.filling import filled
from tests.factories import make_connection, make_draft
from tests.fixtures import make_person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("customer_data"), pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
NEW = "/data/exports/new/"


def without(page: bytes, *values: object) -> str:
    """The page without what differs from one request to the next: the value that was sent, tokens and nonces."""
    text = page.decode()
    for value in values:
        text = text.replace(str(value), "…")
    return re.sub(r'(csrfmiddlewaretoken" value="|FToken": "|nonce=")[^"]*', "", text)


def test_an_unshared_connection_is_an_unknown_one(admin: User, outsider: User, client_of: Clients) -> None:
    unshared, unknown = make_connection(actor=admin), uuid4()
    client = client_of(outsider)
    form = filled(unshared)
    forbidden = client.post(NEW, form)
    missing = client.post(NEW, form | {"connection": str(unknown)})
    assert forbidden.status_code == missing.status_code == 422
    assert without(forbidden.content, unshared.uuid) == without(missing.content, unknown)
    assert unshared.name not in forbidden.content.decode()
    assert not Export.objects.exists()
    # the same form is fine for somebody who may use it
    assert client_of(admin).post(NEW, form).status_code == 303


def test_somebody_elses_set_up_is_an_unknown_one(admin: User, client_of: Clients) -> None:
    draft = make_draft(actor=admin)
    other = client_of(make_person("otto", Role.ADMINISTRATOR))
    for uuid in (draft.uuid, uuid4()):
        assert other.get(f"{SET_UP}?draft={uuid}").status_code == 404
        for action in ("verify", "trust", "save"):
            answer = other.post(SET_UP, {"draft": str(uuid), "action": action})
            assert answer.status_code == 422
            assert str(uuid) not in answer.content.decode()
    assert client_of(admin).get(f"{SET_UP}?draft={draft.uuid}").status_code == 200
    assert ConnectionDraft.objects.get().form == {}


def test_only_contributors_can_be_named(
    admin: User, contributor: User, viewer: User, support: User, client_of: Clients
) -> None:
    left = make_person("left", Role.CONTRIBUTOR)
    User.objects.filter(pk=left.pk).update(is_active=False)
    role_group = contributor.groups.get().pk
    client = client_of(admin)

    def said(key: str) -> str:
        page = client.post(SET_UP, {"action": "save", "access": "specific", "grantees": [key]}).content
        return error_at(page.decode(), "grantees").replace(key, "…")

    assert said(f"person:{contributor.pk}") == ""
    refused = {
        said(key)
        for key in (
            *(f"person:{person.pk}" for person in (viewer, support, admin, left)),
            "person:987654",
            f"group:{role_group}",
            str(contributor.pk),
        )
    }
    assert len(refused) == 1
    assert "" not in refused


def test_what_is_no_field_is_not_written(admin: User, client_of: Clients) -> None:
    draft = make_draft(actor=admin, host_key="ssh-ed25519 AAAA")
    client = client_of(admin)
    page = client.get(f"{SET_UP}?draft={draft.uuid}").content.decode()
    wording = re.search(r'name="wording" value="([^"]+)"', page)
    assert wording
    answer = client.post(
        SET_UP,
        {
            "action": "save",
            "draft": str(draft.uuid),
            "name": "Named columns only",
            "access": "administrators",
            "agree": "on",
            "wording": wording[1],
            "auth_method": "password",
            "username": "portal",
            "hostname": "files.example.com",
            "export_folder": "in",
            # none of these is a field of the form
            "state": "paused",
            "epoch": "99",
            "version": "99",
            "max_parallel": "99",
            "host_key": "ssh-ed25519 BBBB",
            "host_key_trusted": "ssh-ed25519 BBBB",
            "verified_at": "2001-01-01",
            "created_by": "1",
            "port": "2222",
            "target_digest": "0" * 64,
        },
    )
    assert answer.status_code == 303, answer.content.decode()
    connection = Connection.objects.get()
    assert (connection.state, connection.epoch, connection.version, connection.max_parallel) == (
        "ready",
        1,
        1,
        2,
    )
    assert connection.host_key == "ssh-ed25519 AAAA"
    assert connection.settings["port"] == "22"
    assert connection.target_digest == draft.target_digest
    assert connection.created_by == admin


def test_a_contributor_is_not_told_which_connections_there_are(
    admin: User, outsider: User, client_of: Clients
) -> None:
    """Role first: 403 for both, so that nothing is to be learnt from trying."""
    connection = make_connection(actor=admin)
    client = client_of(outsider)
    for name in ("connections:detail", "connections:remove"):
        answers = [client.get(reverse(name, args=[uuid])) for uuid in (connection.uuid, uuid4())]
        assert [answer.status_code for answer in answers] == [403, 403]
