"""S14: what people call things stays in the body of a page: no header, no instruction to htmx, no ``next`` holds it."""

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import pytest
from django.contrib import messages
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from connections.models import Connection
from connections_portal.middleware import PortalMiddleware
from connections_portal.models import Trigger, User
from connections_portal.roles import Role
from exports.models import Export
from exports.operations.run import enqueue_run
from tests.fixtures import make_person
from tests.test_access_matrix import MATRIX, address, export

__all__ = ["export"]  # fixture

pytestmark = pytest.mark.django_db

Clients = Callable[[User | None], Client]
HTMX = {"HX-Request": "true"}
WORD = "Kanárek"
NAMES = f'{WORD} "o\'x" <b>{{{{ 7 }}}}</b>, Łódź'


class Instructions(HTMLParser):
    """Collects the values of every attribute that htmx or the browser acts upon."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        acts = ("hx-", "data-hx-", "on", "style", "href", "action", "formaction", "src")
        self.found += [f"{name}={value}" for name, value in attributes if name.startswith(acts)]


@pytest.fixture
def named(export: Export, admin: User) -> Export:
    """An export, connection and persons whose names hold what headers, attributes and templates read."""
    Connection.objects.update(name=NAMES, name_key=f"{WORD}-key")
    Export.objects.update(name=NAMES)
    User.objects.update(first_name=NAMES[:60], last_name=WORD)
    export.refresh_from_db()
    enqueue_run(export=export, actor=admin, trigger=Trigger.PERSON)
    return export


def text_of(answer: Any) -> str:
    """The body, also of a download that comes in pieces."""
    return answer.getvalue().decode()


def tell(answer: Any, where: str) -> None:
    for header, value in answer.headers.items():
        assert WORD not in unquote(value), f"{header} of {where}"
        assert "\\u00e1" not in value, f"{header} of {where}"  # JSON's way to write it
        value.encode("ascii")
    page = Instructions()
    page.feed(text_of(answer))
    for attribute in page.found:
        assert WORD not in unquote(attribute), f"{attribute} of {where}"


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_no_name_in_a_header_or_instruction(
    named: Export, admin: User, client_of: Clients, headers: dict[str, str]
) -> None:
    client = client_of(admin)
    seen = ""
    # what changes things last: it may end what the others are about
    for name in sorted(MATRIX, key=lambda name: ("remove" in name, "detach" in name, name)):
        url = address(name, named)
        answer = client.get(url, headers=headers)
        tell(answer, f"GET {name}")
        seen += text_of(answer)
    for name in sorted(
        MATRIX, key=lambda name: (name == "sign_out", "remove" in name, "detach" in name, name)
    ):
        url = address(name, named) if Export.objects.exists() else "/data/exports/"
        answer = client.post(url, {"name": NAMES, "impact": ""}, headers=headers)
        tell(answer, f"POST {name}")
        seen += text_of(answer)
    assert WORD in seen
    assert f"{WORD} &quot;o&#x27;x&quot; &lt;b&gt;{{{{ 7 }}}}" in seen  # shown as it is, run as nothing
    assert "<b>" not in seen


def finish(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    request.user = make_person("petra", Role.VIEWER)
    request._messages = CookieStorage(request)  # type: ignore[attr-defined]
    messages.success(request, f"{NAMES} is saved.")
    messages.error(request, "And something went wrong.")
    return PortalMiddleware(lambda _request: response)(request)


@pytest.mark.parametrize(
    ("response", "status", "swap"),
    [
        (HttpResponse("<section>new</section>"), 200, None),
        (HttpResponse(status=204, headers={"HX-Trigger": '{"listChanged": null}'}), 200, "beforeend"),
    ],
    ids=["fragment", "nothing"],
)
def test_toasts_travel_in_the_body(response: HttpResponse, status: int, swap: str | None) -> None:
    answer = finish(RequestFactory().get("/", headers=HTMX), response)
    tell(answer, "toasts")
    assert (answer.status_code, answer.get("HX-Reswap")) == (status, swap)
    body = text_of(answer)
    assert body.startswith("<section>new</section>") is (swap is None)
    assert ('hx-swap-oob="beforeend:#toast-inbox"' in body) is (swap is None)
    assert '<p data-toast="success">' in body
    assert '<p data-toast="error">And something went wrong.</p>' in body
    assert WORD in body
    assert "<b>" not in body


@pytest.mark.parametrize(
    "response",
    [HttpResponse(status=422), HttpResponse(status=204, headers={"HX-Redirect": "/data/exports/"})],
    ids=["refused", "elsewhere"],
)
def test_what_is_not_swapped_keeps_them_for_the_next_page(response: HttpResponse) -> None:
    request = RequestFactory().get("/", headers=HTMX)
    assert finish(request, response).content == b""
    assert len(list(messages.get_messages(request))) == 2


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "\\\\evil.example", NAMES, "home"],
)
def test_next_leads_nowhere_else(admin: User, client_of: Clients, url: str) -> None:
    from tests.fixtures import PASSWORD

    signed_out = Client()
    answer = signed_out.post(
        f"/sign-in/?next={url}", {"username": admin.username, "password": PASSWORD, "next": url}
    )
    assert (answer.status_code, answer["Location"]) == (302, "/")
    answer = client_of(admin).post("/theme/", {"theme": "dark", "next": url})
    assert (answer.status_code, answer["Location"]) == (302, "/")
