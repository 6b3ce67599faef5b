"""What is offered after a connection or an export was saved."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Access, AccessRequest, Connection, Consent
from connections.operations.requests import decline_request, request_access
from connections_portal.models import User
from tests.connections.filling import SET_UP, SetUp, error_at, is_ticked, steps, text_of, value_of
from tests.connectors.servers import Server
from tests.factories import make_connection
from tests.runs.helpers import connect, make_export

pytestmark = pytest.mark.django_db(transaction=True)
Clients = Callable[[User | None], Client]


def page_of(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def test_after_a_connection_was_saved(client_of: Clients, admin: User) -> None:
    connection = make_connection(actor=admin)
    client = client_of(admin)
    url = reverse("connections:detail", args=[connection.uuid])
    assert "What next?" not in page_of(client, url)
    body = page_of(client, f"{url}?next=1")
    words = text_of(body)
    assert "What next? Share it Add export Add another like this" in words
    for target in (
        reverse("connections:share", args=[connection.uuid]),
        f"{reverse('exports:create')}?connection={connection.uuid}",
        f"{reverse('connections:set_up', args=['sftp'])}?like={connection.uuid}",
    ):
        assert f'href="{target}"' in body
        assert client.get(target).status_code == 200


def test_add_export_has_the_connection_chosen(
    client_of: Clients, admin: User, contributor: User, customer_data: object
) -> None:
    first = make_connection(actor=admin)
    second = make_connection(actor=admin, name="Surveys", access=Access.CONTRIBUTORS)
    url = f"{reverse('exports:create')}?connection="
    chosen = page_of(client_of(admin), f"{url}{second.uuid}")
    assert f'value="{second.uuid}" selected' in chosen
    hidden_from_them = page_of(client_of(contributor), f"{url}{first.uuid}")
    assert str(first.uuid) not in hidden_from_them.replace(f"?connection={first.uuid}", "")
    for odd in ("x", "%00", str(first.uuid) * 3):
        assert client_of(contributor).get(f"{url}{odd}").status_code == 200


def test_another_like_this_has_all_but_secrets_and_agreement(
    client_of: Clients, admin: User, contributor: User, server: Server
) -> None:
    first = connect(server, actor=admin)
    Connection.objects.update(access=Access.SPECIFIC)
    first.refresh_from_db()
    from connections.sharing import set_grants

    set_grants(first, Access.SPECIFIC, [contributor], [])
    url = f"/settings/connections/new/sftp/?like={first.uuid}"
    page = SetUp(client_of(admin), url=url)
    assert value_of(page.page, "name") == "Newsletter, SFTP EU (copy)"
    assert value_of(page.page, "hostname") == f"{server.host}:{server.port}"
    assert value_of(page.page, "username") == server.username
    assert value_of(page.page, "password") == ""
    assert is_ticked(page.page, "access", "specific")
    assert is_ticked(page.page, "grantees", f"person:{contributor.pk}")
    assert not is_ticked(page.page, "agree")

    page.typed |= {key: value_of(page.page, key) for key in ("name", "hostname", "username", "export_folder")}
    page.typed |= {"access": "specific", "grantees": [f"person:{contributor.pk}"]}
    page.url = "/settings/connections/new/sftp/"
    page.verify()
    assert error_at(page.page, "password") == "Fill in this field."
    page.typed["password"] = server.password
    page.verify()
    page.trust()
    assert steps(page.page) == ["ok"] * 6
    page.agree().save()
    assert Connection.objects.count() == Consent.objects.count() == 2


def test_the_name_of_a_second_copy_is_free(client_of: Clients, admin: User) -> None:
    first = make_connection(actor=admin, name="Newsletter")
    make_connection(actor=admin, name="Newsletter (copy)")
    page = page_of(client_of(admin), f"/settings/connections/new/sftp/?like={first.uuid}")
    assert value_of(page, "name") == "Newsletter (copy 2)"


@pytest.mark.parametrize("like", ["x", "00000000-0000-0000-0000-000000000000"])
def test_nothing_to_be_like(client_of: Clients, admin: User, like: str) -> None:
    assert client_of(admin).get(f"/settings/connections/new/sftp/?like={like}").status_code == 404


def test_after_an_export_was_saved(
    client_of: Clients, admin: User, viewer: User, server: Server, customer_data: object
) -> None:
    export = make_export(connect(server, actor=admin), actor=admin)
    url = reverse("exports:detail", args=[export.uuid])
    assert "What next?" not in page_of(client_of(admin), url)
    assert "What next? Run Schedule" in text_of(page_of(client_of(admin), f"{url}?next=1"))
    assert "What next?" not in page_of(client_of(viewer), f"{url}?next=1")


def test_what_was_set_up_for_a_request_is_shared_in_answer(
    client_of: Clients, admin: User, outsider: User, server: Server
) -> None:
    asked = request_access(type_key="sftp", reason="The loyalty segment for the agency.", actor=outsider)
    grant = reverse("connections:grant", args=[asked.uuid])
    client = client_of(admin)
    link = f"{SET_UP}?answers={asked.uuid}"
    assert f'href="{link}"' in page_of(client, grant)
    page = SetUp(client, url=link)
    assert f'href="{grant}"' in page.page  # Cancel
    page.fill(server)
    page.verify()
    page.trust()
    answer = page.agree().save()
    connection = Connection.objects.get()
    shown = f"{grant}?connection={connection.uuid}"
    assert answer["Location"] == shown
    assert f'value="{connection.uuid}" selected' in page_of(client, shown)


def test_what_was_set_up_for_a_request_answered_meanwhile_has_its_own_page(
    client_of: Clients, admin: User, outsider: User, server: Server
) -> None:
    asked = request_access(type_key="sftp", reason="The loyalty segment for the agency.", actor=outsider)
    page = SetUp(client_of(admin), url=f"{SET_UP}?answers={asked.uuid}")
    page.fill(server)
    page.verify()
    page.trust()
    decline_request(request=asked, answer="Not now.", actor=admin)
    answer = page.agree().save()
    assert answer["Location"].startswith(reverse("connections:detail", args=[Connection.objects.get().uuid]))
    for odd in ("", "x", str(asked.uuid), "%00"):
        assert client_of(admin).get(f"{SET_UP}?answers={odd}").status_code == 200
    assert AccessRequest.objects.get().state == "declined"
