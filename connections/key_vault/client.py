"""A Key Vault over Microsoft's own client.

The challenge of a vault is verified by that client, always. Everything in an answer is checked before it is used:
names, versions, links (same origin only), sizes (rules S18, S19, S21). No value stands in an exception or a log.
"""

import re
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs, quote, urlsplit

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.keyvault.secrets import SecretClient, SecretProperties

from connections.connectors.errors import TryLater
from connections.key_vault import clouds, errors, transport
from connections.key_vault.base import NamesPage, SecretFacts
from connections.key_vault.identity import Identity
from connections.key_vault.transport import Outgoing

# Offered in every cloud, and all that is needed here.
API_VERSION = "7.4"
PAGE_SECONDS = 6.0
PATIENT_SECONDS = 25.0
# Pauses of a patient client between attempts; one that is asked to wait longer than the cap leaves that to the run.
PAUSES = (0.5, 1.0, 2.0)
LONGEST_PAUSE = 5.0

PAGE = 25
MAX_VERSION_PAGES = 40
# The service's own limit is 25 kB, and 15 tags with names and values of 256 characters.
MAX_VALUE = 25 * 1024
MAX_TAGS, MAX_TAG = 50, 512

_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION = re.compile(r"[0-9a-f]{32}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,2000}")
_CHALLENGE = re.compile(r'(authorization|authorization_uri|resource|scope)="([^"]{1,500})"')

T = TypeVar("T")


class AzureVault:
    """Implements ``base.Vault`` for ``https://<host>``. Thread-safe.

    A patient one tries again for at most 25 seconds, honouring ``Retry-After`` up to 5 seconds at a time; any other
    answers within 6 seconds, and sends one request for what was asked (besides signing in).
    """

    def __init__(self, host: str, identity: Identity, outgoing: Outgoing, *, patient: bool) -> None:
        self.host = host
        self.identity = identity
        self.patient = patient
        self._cloud = clouds.of_host(host)
        self._way = outgoing.transport([host])
        self._client = SecretClient(
            f"https://{host}",
            cast(Any, identity),
            api_version=API_VERSION,
            transport=self._way,
            retry_total=0,
            permit_redirects=False,
        )

    def names(self, after: str = "") -> NamesPage:
        """See ``Vault``. ``after`` that no page gave is refused."""
        if after and not _TOKEN.fullmatch(after):
            raise errors.unreadable("There is no such page.")

        def page() -> NamesPage:
            link = self._link("/secrets", after) if after else None
            pages: Any = self._client.list_properties_of_secrets(max_page_size=PAGE).by_page(link)
            items = tuple(self._facts(found) for found in next(pages))
            return NamesPage(items=items, after=self._after(pages.continuation_token, "/secrets"))

        return self._ask(page)

    def versions(self, name: str) -> tuple[SecretFacts, ...]:
        """See ``Vault``."""
        found = self._ask(lambda: self._versions(name))
        if not found:
            raise errors.problem("vault_secret_missing", f"{name} has no version.")
        return found

    def facts(self, name: str, pinned: str = "") -> SecretFacts:
        """See ``Vault``. What the newest version is, is known from the list of all: there is no value in it."""
        for found in self.versions(name):
            if pinned in ("", found.version):
                return found
        raise errors.problem("vault_secret_missing", f"{name} has no version {pinned}.")

    def read(self, name: str, pinned: str = "") -> tuple[str, SecretFacts]:
        """See ``Vault``. NeedsAttention ``vault_secret_unfit`` for a value that is empty or longer than 25 kB."""

        def value() -> tuple[str, SecretFacts]:
            secret = self._client.get_secret(_named(name), pinned or None)
            facts = self._facts(secret.properties)
            if facts.name.lower() != name.lower() or not facts.version or pinned not in ("", facts.version):
                raise errors.unreadable()
            return _fit(secret.value), facts

        return self._ask(value)

    def tenant(self) -> str:
        """Reach the vault and return the tenant that it names when it asks who is there; nobody signs in."""

        def challenge() -> str:
            request = HttpRequest(
                "GET", f"https://{self.host}/secrets?api-version={API_VERSION}&maxresults=1"
            )
            answer: Any = self._way.send(request)
            if answer.status_code > 401:
                raise HttpResponseError(response=answer)
            parts = dict(_CHALLENGE.findall(answer.headers.get("WWW-Authenticate") or ""))
            where = urlsplit(parts.get("authorization") or parts.get("authorization_uri") or "")
            resource = urlsplit(parts.get("resource") or parts.get("scope") or "").hostname
            tenant = where.path.strip("/").partition("/")[0]
            if answer.status_code != 401 or where.hostname != self._cloud.login or not tenant:
                raise errors.unreadable()
            if resource != self._cloud.suffix:
                raise errors.unreadable()
            return tenant

        return self._ask(challenge)

    def __repr__(self) -> str:
        return f"AzureVault({self.host!r})"

    def _ask(self, attempt: Callable[[], T]) -> T:
        """What ``attempt`` returns, within the time of this client, tried again where that helps."""
        with transport.within(PATIENT_SECONDS if self.patient else PAGE_SECONDS):
            for pause in PAUSES if self.patient else ():
                try:
                    return self._once(attempt)
                except TryLater as later:
                    wait = pause if later.after is None else later.after
                    if wait > min(LONGEST_PAUSE, transport.left()):
                        raise
                time.sleep(wait)
            return self._once(attempt)

    def _once(self, attempt: Callable[[], T]) -> T:
        """One attempt, and a second one with a new token where the vault refuses the one we had."""
        try:
            return attempt()
        except errors.LIBRARY_ERRORS as error:
            if not (isinstance(error, HttpResponseError) and error.status_code == 401):
                raise errors.translate(error) from None
        self.identity.forget()
        try:
            return attempt()
        except errors.LIBRARY_ERRORS as error:
            raise errors.translate(error) from None

    def _versions(self, name: str) -> tuple[SecretFacts, ...]:
        pages: Any = self._client.list_properties_of_secret_versions(
            _named(name), max_page_size=PAGE
        ).by_page()
        found: list[SecretFacts] = []
        for _number in range(MAX_VERSION_PAGES):
            found += self._of_one(name, next(pages))
            if not self._after(pages.continuation_token, f"/secrets/{name}/versions"):
                break
        else:
            raise errors.unreadable("The secret has more than 1,000 versions.")
        # the service lists versions in no order; of two made in one second the later in the list counts as newer
        newest_first = sorted(enumerate(found), key=lambda pair: (_made(pair[1]), pair[0]), reverse=True)
        return tuple(facts for _place, facts in newest_first)

    def _of_one(self, name: str, items: Iterable[SecretProperties]) -> list[SecretFacts]:
        found = [self._facts(item) for item in items]
        if any(facts.name.lower() != name.lower() or not facts.version for facts in found):
            raise errors.unreadable()
        return found

    def _facts(self, found: SecretProperties) -> SecretFacts:
        """What the vault says of a secret of its own; anything else is no answer of a vault."""
        host = urlsplit(found.vault_url or "").hostname
        name, version, tags = found.name or "", found.version or "", found.tags or {}
        if host != self.host or not _NAME.fullmatch(name) or (version and not _VERSION.fullmatch(version)):
            raise errors.unreadable()
        if len(tags) > MAX_TAGS or any(_too_long(text) for pair in tags.items() for text in pair):
            raise errors.unreadable()
        return SecretFacts(
            name=name,
            version=version,
            enabled=found.enabled is True,
            not_before=_time(found.not_before),
            expires_at=_time(found.expires_on),
            created_at=_time(found.created_on),
            tags=dict(tags),
        )

    def _link(self, path: str, token: str) -> str:
        return f"https://{self.host}{path}?$skiptoken={quote(token, safe='')}&maxresults={PAGE}"

    def _after(self, link: str | None, path: str) -> str:
        """The token in a link to the next page, which must lead to the same list of the same vault (rule S18)."""
        if not link:
            return ""
        parts = urlsplit(link)
        tokens = parse_qs(parts.query).get("$skiptoken", [])
        same = parts.scheme == "https" and parts.username is None and parts.port in (None, 443)
        if not same or parts.hostname != self.host or parts.path.lower() != path.lower():
            raise errors.unreadable("The list goes on at another address, which is not followed.")
        if len(tokens) != 1 or not _TOKEN.fullmatch(tokens[0]):
            raise errors.unreadable()
        return tokens[0]


def _named(name: str) -> str:
    """The name, which becomes part of an address (rule S19)."""
    if not _NAME.fullmatch(name):
        raise errors.problem("vault_secret_missing", "No secret can have this name.")
    return name


def _fit(value: Any) -> str:
    """The value if it is text that can be a secret; what is wrong with it is said without it."""
    if not isinstance(value, str) or not value:
        raise errors.problem("vault_secret_unfit", "It is empty.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise errors.problem("vault_secret_unfit", "It is not text.") from None
    if size > MAX_VALUE:
        raise errors.problem("vault_secret_unfit", "It is longer than 25 kB.")
    return value


def _too_long(text: Any) -> bool:
    return not isinstance(text, str) or len(text) > MAX_TAG


def _time(found: Any) -> datetime | None:
    if found is None or isinstance(found, datetime):
        return found
    raise errors.unreadable()


def _made(facts: SecretFacts) -> float:
    return facts.created_at.timestamp() if facts.created_at else 0.0
