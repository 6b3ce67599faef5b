"""Linked vaults, what reads from them, and the page that links them, for tests of linking."""

import html
import re
from typing import Any

from django.http import HttpResponse
from django.test import Client

from connections import vault_access, vault_clients
from connections.models import Connection, ConnectionSecret, KeyVault
from connections_portal.models import User
from tests.factories import make_connection

LINK = "/settings/key-vault/link/"
HTMX = {"HX-Request": "true"}


def read_from(
    vault: KeyVault,
    *,
    actor: User,
    name: str = "Newsletter, SFTP EU",
    secret: str = "portal-sftp",
    pinned: str = "",
    connection: Connection | None = None,
) -> Connection:
    """A connection, ready to use, whose password is this secret of the vault."""
    connection = connection or make_connection(actor=actor, name=name)
    facts = vault_clients.client_of(vault, patient=False).facts(secret, pinned)
    referred = vault_access.reference(vault=vault, name=secret, pinned=pinned, facts=facts)
    ConnectionSecret.objects.filter(connection=connection, field="password").update(
        vault_secret=referred, nonce=None, ciphertext=None, key_version=None
    )
    return connection


def shown(page: str, *names: str) -> dict[str, str]:
    """The values of these hidden fields."""
    found = dict(re.findall(r'name="([\w-]+)" value="([^"]*)"', page))
    return {name: html.unescape(found[name]) for name in names if name in found}


class LinkPage:
    """Somebody before the page that links a vault, with or without script; ``typed`` is what the fields hold."""

    def __init__(self, client: Client, *, url: str = LINK, htmx: bool = False, **typed: Any) -> None:
        self.client, self.url, self.htmx = client, url, htmx
        self.typed: dict[str, Any] = {"identity": "portal", "scope": "all", **typed}
        self.seen: list[str] = []
        self.open()

    @property
    def page(self) -> str:
        """What was answered last."""
        return self.seen[-1]

    def open(self, query: str = "") -> None:
        """Load the page anew."""
        answer = self.client.get(self.url + query)
        assert answer.status_code == 200
        self._take(answer)

    def press(self, action: str, **more: Any) -> HttpResponse:
        """Post what is typed; the hidden fields are those of the last page that had them."""
        data = {**self.hidden, **self.typed, **more, "action": action}
        return self._take(self.client.post(self.url, data, headers=HTMX if self.htmx else {}))

    def agree(self) -> None:
        """Have the text for what is typed shown, and tick *I agree*."""
        self.press("terms")
        self.typed["agree"] = "on"

    def _take(self, answer: object) -> HttpResponse:
        assert isinstance(answer, HttpResponse)
        body = answer.content.decode()
        self.seen.append(body)
        self.hidden = {**getattr(self, "hidden", {}), **shown(body, "wording", "version", "impact", "lists")}
        return answer
