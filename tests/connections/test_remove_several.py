"""*Remove* on several selected connections: what is said before, what is done, and what stays."""

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Access, Connection, ConnectionSecret, Consent
from connections_portal.models import AuditEntry, User
from exports.models import Export
from tests.connections.filling import text_of
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
LIST = "/settings/connections/exports/"
URL = f"{LIST}remove/"
HTMX = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{LIST}?q=a"}


@pytest.fixture
def client(admin: User, client_of: Clients) -> Client:
    return client_of(admin)


@pytest.fixture
def three(admin: User, contributor: User) -> list[Connection]:
    """Alpha and Beta are free, Gamma is used by two exports."""
    share = {"access": Access.SPECIFIC, "people": [contributor]}
    made = [make_connection(actor=admin, name=name, **share) for name in ("Gamma", "Beta", "Alpha")]  # type: ignore[arg-type]
    for number in (1, 2):
        use(made[0], f"Export {number}")
    return made[::-1]


def use(connection: Connection, name: str) -> None:
    Export.objects.create(
        name=name, name_key=name.lower(), folder_name=name.lower(), connection=connection, type_key="sftp"
    )


def asked(client: Client, *connections: Connection) -> str:
    """The question about these."""
    answer = client.post(URL, {"selected": [c.uuid for c in connections]}, headers=HTMX)
    assert answer.status_code == 200
    return answer.content.decode()


def confirmed(question: str) -> dict[str, object]:
    """What the button below the question sends."""
    names = ("selected", "impact", "query")
    sent = {name: re.findall(rf'name="{name}" value="([^"]*)"', question) for name in names}
    return {**sent, "confirmed": "1"}


def test_the_question_says_what_will_happen(client: Client, three: list[Connection]) -> None:
    alpha, beta, gamma = three
    before = AuditEntry.objects.count()
    question = asked(client, gamma, beta, alpha)
    text = text_of(question)
    assert "Alpha, Beta" in text
    assert "Nothing uses them." in text
    assert "1 is left out" in text
    assert "Gamma Used by 2 exports." in text
    assert f'<a href="{reverse("exports:list")}?connection={gamma.uuid}">Used by 2 exports.</a>' in question
    assert confirmed(question)["selected"] == [str(alpha.uuid), str(beta.uuid)]
    assert Connection.objects.count() == 3
    assert AuditEntry.objects.count() == before


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_all_are_removed_and_each_is_recorded(
    client: Client, three: list[Connection], headers: dict[str, str]
) -> None:
    alpha, beta, gamma = three
    answer = client.post(
        URL, confirmed(asked(client, alpha, beta)) | {"query": "q=a&page=2"}, headers=headers
    )
    if headers:
        assert '"closeDialogs": true' in answer["HX-Trigger"]
        assert '"listChanged": true' in answer["HX-Trigger"]
        assert "2 connections are removed." in answer.content.decode()
    else:
        assert (answer.status_code, answer["Location"]) == (303, f"{LIST}?q=a&page=2")
        assert "2 connections are removed." in client.get(answer["Location"]).content.decode()
    assert list(Connection.objects.all()) == [gamma]
    assert set(ConnectionSecret.objects.values_list("connection_id", flat=True)) == {gamma.pk}
    assert Consent.objects.filter(connection_uuid__in=[alpha.uuid, beta.uuid]).count() == 2
    recorded = AuditEntry.objects.filter(action="connection.removed")
    assert set(recorded.values_list("object_uuid", flat=True)) == {alpha.uuid, beta.uuid}


def test_what_came_into_use_or_changed_meanwhile_stays(client: Client, three: list[Connection]) -> None:
    alpha, beta, gamma = three
    Export.objects.all().delete()
    sent = confirmed(asked(client, alpha, beta, gamma))
    use(alpha, "Late export")
    Connection.objects.filter(pk=beta.pk).update(version=2)
    answer = client.post(URL, sent, headers=HTMX)
    page, text = answer.content.decode(), text_of(answer.content.decode())
    assert "1 connection is removed." in text
    assert "2 are left out" in text
    link = f'<a href="{reverse("exports:list")}?connection={alpha.uuid}">This connection is used by 1 export.</a>'
    assert link in page
    assert "Beta This has changed since you opened this dialog." in text
    assert '"listChanged": true' in answer["HX-Trigger"]
    assert set(Connection.objects.all()) == {alpha, beta}
    assert AuditEntry.objects.get(action="connection.removed").object_uuid == gamma.uuid
    refused = AuditEntry.objects.get(action="connection.remove_refused")
    assert (refused.object_uuid, refused.outcome) == (alpha.uuid, AuditEntry.Outcome.REFUSED)


def test_without_the_question_nothing_is_removed(client: Client, three: list[Connection]) -> None:
    answer = client.post(URL, {"selected": [c.uuid for c in three], "confirmed": "1"})
    assert answer.status_code == 200
    assert "3 are left out" in text_of(answer.content.decode())
    for impact in ("x", f"{three[0].uuid}:", f"{three[0].uuid}:²", f"{three[0].uuid}:{'9' * 500}", "\0:1"):
        client.post(URL, {"selected": [three[0].uuid], "confirmed": "1", "impact": impact})
    assert Connection.objects.count() == 3


def test_all_in_use(client: Client, three: list[Connection]) -> None:
    question = asked(client, three[2])
    assert "Nothing uses" not in question
    assert 'name="confirmed"' not in question
    assert "Close" in text_of(question)


def test_what_cannot_be_asked_about(client: Client, three: list[Connection]) -> None:
    def said(*selected: object) -> str:
        answer = client.post(URL, {"selected": selected})
        assert answer.status_code == 422
        return text_of(answer.content.decode())

    assert "Nothing is selected." in said()
    assert "At most 200 rows" in said(*(uuid4() for _ in range(201)))
    assert "has been removed meanwhile" in said(uuid4())
    assert Connection.objects.count() == 3
    assert client.post("/settings/connections/elsewhere/remove/").status_code == 404


def test_from_the_list_without_script(client: Client, three: list[Connection]) -> None:
    page = client.get(f"{LIST}?q=a").content.decode()
    form = page.split('<form id="selection"')[1].split("</form>")[0]
    assert 'method="post"' in form
    assert 'name="query" value="q=a"' in form
    assert f'formaction="{URL}"' in page
    boxes = re.findall(r'name="selected" form="selection" value="([^"]*)"', page)
    assert boxes == [str(connection.uuid) for connection in three]
