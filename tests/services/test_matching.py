"""Data matching in the export form: which field fills which one of the service."""

import pytest
from django.urls import reverse

from connections.models import Access, Connection
from connections_portal.models import User
from exports.models import Export
from tests.connections.conftest import Clients
from tests.exports.filling import filled, text
from tests.factories import make_connection
from tests.services.test_push import SECRET

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data")]


@pytest.fixture
def connection(admin: User) -> Connection:
    return make_connection(
        actor=admin,
        type_key="webhook",
        access=Access.CONTRIBUTORS,
        settings={"url": "https://hooks.example.com/customers"},
        secrets={"signing_secret": SECRET},
    )


def sent(connection: Connection, **changes: object) -> dict[str, object]:
    """What a browser sends of the form for a webhook."""
    values = {
        key: value
        for key, value in filled(connection).items()
        if not key.startswith(("option_", "fields:", "shown"))
    }
    matching = {
        "map:customer_id": "customer_id",
        "added_name": ["mail", "town"],
        "added_field": ["email", "city"],
    }
    return values | matching | changes


def test_choosing_the_connection_asks_for_the_fields_of_the_service(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    page = text(
        client_of(contributor).post(
            reverse("exports:create"), {"action": "refresh", "connection": str(connection.uuid)}
        )
    )
    assert "Data matching" in page
    assert 'name="fields:segment"' not in page
    assert 'value="table:orders"' not in page
    # found by its name
    assert '<option value="customer_id" selected>' in page
    assert "Add attribute" in page


def test_it_is_saved_shown_again_and_copied(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    client = client_of(contributor)
    answer = client.post(reverse("exports:create"), sent(connection))
    assert answer.status_code == 302 or answer.status_code == 303, text(answer)
    export = Export.objects.get()
    item = export.items.get()
    assert item.fields == ["customer_id", "email", "city"]
    assert item.mapping == [["customer_id", "customer_id"]]
    assert item.added == [["mail", "email"], ["town", "city"]]
    page = text(client.get(reverse("exports:edit", args=[export.uuid])))
    assert 'value="town"' in page
    client.post(reverse("exports:duplicate", args=[export.uuid]))
    copy = Export.objects.exclude(pk=export.pk).get()
    assert copy.items.get().added == item.added


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"map:customer_id": ""}, "Choose the field to send as Customer ID."),
        ({"map:customer_id": "vanished"}, "This field no longer exists. Choose another one."),
        ({"added_name": ["mail", "MAIL"]}, "There is an attribute of this name already."),
        ({"added_name": ["", "town"]}, "Say what it is called there."),
        ({"added_field": ["email", ""]}, "Choose a field."),
        ({"added_name": ["a" * 101, "town"]}, "101 characters; 100 are allowed"),
        ({"items": ["segment:loyal", "table:orders"]}, "Only segments can be sent over this connection."),
    ],
)
def test_what_is_wrong_is_told_where_it_is_and_nothing_typed_is_lost(
    connection: Connection, contributor: User, client_of: Clients, changes: dict[str, object], words: str
) -> None:
    answer = client_of(contributor).post(reverse("exports:create"), sent(connection, **changes))
    assert answer.status_code == 422
    page = text(answer)
    assert words in page
    assert 'value="Loyalty mailing"' in page
    assert not Export.objects.exists()


def test_another_row_can_be_added_without_losing_one(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    page = text(
        client_of(contributor).post(reverse("exports:create"), sent(connection, action="add_attribute"))
    )
    assert page.count('name="added_name"') == 3
    assert 'value="town"' in page
