"""The set-up page as somebody fills it in, with and without script."""

import html
import re
from typing import Any

from django.http import HttpResponse
from django.test import Client

from connections.models import Connection
from tests.connectors.servers import Server

SET_UP = "/settings/connections/new/sftp/"
ALL_OK = ["ok"] * 6
STEPS = (
    "Name found",
    "Server reached",
    "Server identity",
    "Signed in",
    "Folder writable",
    "Test file written",
)


def text_of(body: str) -> str:
    """What is read on a page: no tags, single spaces."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def hidden(body: str, name: str) -> str | None:
    """The value of a hidden field, None where it is missing."""
    found = re.search(rf'name="{name}" value="([^"]*)"', body)
    return html.unescape(found[1]) if found else None


def error_at(body: str, field: str) -> str:
    """The message beside a field, empty when there is none."""
    found = re.search(rf'id="id_{field}_error">.*?<span>(.*?)</span>', body, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def verify_error(body: str) -> str:
    """The message beside *Verify*, empty when there is none."""
    found = re.search(r'id="verify-error">.*?<span>(.*?)</span>', body, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def value_of(body: str, field: str) -> str:
    """What stands in a text field."""
    found = re.search(rf'<input[^>]*name="{field}"[^>]*>', body)
    assert found, f"no field {field}"
    value = re.search(r' value="([^"]*)"', found[0])
    return html.unescape(value[1]) if value else ""


def is_ticked(body: str, field: str, value: str = "") -> bool:
    """Whether a check box or radio button is checked."""
    for box in re.findall(rf'<input[^>]*name="{field}"[^>]*>', body):
        if not value or f'value="{value}"' in box:
            return bool(re.search(r"\schecked\b", box))
    raise AssertionError(f"no box {field} {value}")


def steps(body: str) -> list[str]:
    """How each step ended: ok, ask, bad or todo."""
    return re.findall(r'<li class="(ok|ask|bad|todo)">', body)


class SetUp:
    """One person before the set-up page. ``typed`` is what the fields hold; hidden ones follow each answer.

    A browser keeps what is typed in a password field on htmx answers of *Verify* and forgets it with each new page;
    ``page`` is the last page or fragment, ``seen`` all of them.
    """

    def __init__(self, client: Client, *, htmx: bool = False, url: str = SET_UP) -> None:
        self.client, self.htmx, self.url = client, htmx, url
        self.typed: dict[str, Any] = {"auth_method": "password", "access": "administrators"}
        self.seen: list[str] = []
        self.page = ""
        self.answer = HttpResponse()
        self.get(url)

    def fill(self, server: Server, **more: Any) -> "SetUp":
        """Type what leads to this server, and ``more``."""
        self.typed |= {
            "name": "Newsletter, SFTP EU",
            "username": server.username,
            "password": server.password,
            "hostname": f"{server.host}:{server.port}",
            "export_folder": "exports",
        }
        self.typed |= more
        return self

    @property
    def draft(self) -> str:
        """The uuid of the draft, empty while there is none."""
        return str(self.typed.get("draft", ""))

    def get(self, url: str) -> HttpResponse:
        """Open an address of the set-up."""
        return self._take(self.client.get(url, headers=self._headers()))

    def press(self, action: str, **more: Any) -> HttpResponse:
        """Press a button; without script the redirect is followed."""
        sent = self.typed | {"action": action} | more
        return self._take(self.client.post(self.url, sent, headers=self._headers()))

    def verify(self) -> HttpResponse:
        """Press *Verify*."""
        return self.press("verify")

    def trust(self, **more: Any) -> HttpResponse:
        """Press *Trust this server*."""
        return self.press("trust", **more)

    def agree(self) -> "SetUp":
        """Tick *I agree* under the text for the target typed now."""
        if self.htmx:
            self.press("terms")
        self.typed["agree"] = "on"
        return self

    def save(self, **more: Any) -> HttpResponse:
        """Press *Save*."""
        return self.press("save", **more)

    def _headers(self) -> dict[str, str]:
        if not self.htmx:
            return {}
        return {"HX-Request": "true", "HX-Current-URL": "http://testserver/settings/connections/"}

    def _take(self, answer: Any) -> HttpResponse:
        self.answer = answer
        self.seen.append(answer.content.decode() + str(answer.headers))
        if answer.status_code == 303 and "draft=" in answer["Location"]:
            self.url = answer["Location"]
            self.get(self.url)
            self.typed.pop("password", None)  # a new page has empty password fields
            self.answer = answer
            return self.answer
        self.page = answer.content.decode()
        for name in ("draft", "wording", "fingerprint", "version"):
            value = hidden(self.page, name)
            if value is not None:
                self.typed[name] = value
        return self.answer


class Edit(SetUp):
    """One administrator before the edit page of a connection."""

    def __init__(self, client: Client, connection: Connection, *, htmx: bool = False) -> None:
        super().__init__(client, htmx=htmx, url=f"/settings/connections/{connection.uuid}/edit/")
        kept: dict[str, Any] = {key: self.typed[key] for key in ("wording", "version") if key in self.typed}
        self.typed = kept | {
            "name": connection.name,
            **connection.settings,
        }
