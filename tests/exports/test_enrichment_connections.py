"""A connection that attributes come in over is nothing that an export can be built on, by whoever and however."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Access, Connection
from connections.sharing import set_grants
from connections_portal.errors import OperationError
from connections_portal.models import Trigger, User
from exports.models import Export
from exports.operations.connection import attach_connection, detach_connection
from exports.operations.duplicate import duplicate_export
from exports.operations.edit import Timing, create_export
from exports.operations.run import enqueue_run
from tests.exports.conftest import LOYAL
from tests.exports.filling import filled
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data")]
Clients = Callable[[User | None], Client]


@pytest.fixture
def importing(admin: User) -> Connection:
    """One with every grant that there is."""
    connection = make_connection(actor=admin, name="Brings scores", type_key="sftp_custom_import")
    set_grants(connection, Access.CONTRIBUTORS, [], [])
    return connection


@pytest.fixture(params=["admin", "contributor"])
def person(request: pytest.FixtureRequest) -> User:
    found: User = request.getfixturevalue(request.param)
    return found


def test_it_is_not_offered(importing: Connection, person: User, client_of: Clients) -> None:
    for name in ("exports:create", "exports:list"):
        page = client_of(person).get(reverse(name)).content.decode()
        assert importing.name not in page
        assert "SFTP Custom Import" not in page
        assert "sftp_custom_import" not in page
    begun = client_of(person).get(f"{reverse('exports:create')}?connection={importing.uuid}")
    assert str(importing.uuid) not in begun.content.decode().partition('id="main"')[2]


def test_it_is_not_taken_by_the_form(
    importing: Connection, connection: Connection, person: User, client_of: Clients
) -> None:
    url = reverse("exports:create")
    assert client_of(person).post(url, filled(importing, action="save")).status_code == 422
    assert not Export.objects.exists()
    assert client_of(person).post(url, filled(connection, action="save")).status_code == 303


def test_its_type_is_not_set_up_from_the_form(admin: User, client_of: Clients) -> None:
    sent = filled(None, action="add_connection:sftp_custom_import")
    assert client_of(admin).post(reverse("exports:create"), sent).status_code == 404


def test_it_is_not_taken_by_create(importing: Connection, person: User) -> None:
    with pytest.raises(OperationError):
        create_export(
            name="Loyal", connection=importing, options={}, items=[LOYAL], schedule=Timing(), actor=person
        )
    assert not Export.objects.exists()


def test_it_is_not_taken_by_attach_duplicate_or_run(
    importing: Connection, export: Export, admin: User
) -> None:
    detach_connection(export=export, actor=admin)
    export.refresh_from_db()
    with pytest.raises(OperationError):
        attach_connection(export=export, connection=importing, actor=admin)
    # as if somebody had written it past the portal
    Export.objects.filter(pk=export.pk).update(type_key=importing.type_key)
    export.refresh_from_db()
    with pytest.raises(OperationError):
        attach_connection(export=export, connection=importing, actor=admin)
    Export.objects.filter(pk=export.pk).update(connection=importing)
    export.refresh_from_db()
    with pytest.raises(OperationError):
        enqueue_run(export=export, actor=admin, trigger=Trigger.PERSON)
    with pytest.raises(OperationError):
        duplicate_export(export=export, actor=admin)
    assert Export.objects.count() == 1
    assert not export.runs.exists()
