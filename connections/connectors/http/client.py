"""One service over HTTPS: asks, waits, asks again, and tells in our three kinds of error what went wrong.

Everything leaves through the gateway; redirects are not followed, answers are read within limits. A request is asked
again where the service says so or the line was cut, as long as repeating it changes nothing there and there is patience
left; otherwise the run tries later.
"""

import json as jsons
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from connections.connectors.base import N_
from connections.connectors.errors import NeedsAttention, TryLater
from connections.connectors.http.answers import Answer, problem
from connections.connectors.http.pace import Pace

# How often one request is sent at most, and for how many seconds a worker's request may be waited for in all.
TRIES = 4
PATIENCE_SECONDS = 60.0
FIRST_WAIT_SECONDS = 0.5


class Sender(Protocol):
    """Sends one request through the gateway, follows nothing and tries nothing twice."""

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer:
        """The answer, read whole; raises ConnectorError when there is none."""


class SignIn(Protocol):
    """What a request is signed in with."""

    def headers(self) -> Mapping[str, str]:
        """Headers for one request; may fetch a token. Raises ConnectorError."""

    def renew(self) -> bool:
        """The service refused these headers: whether there may be others now. Thread-safe."""


@dataclass(frozen=True)
class Fixed:
    """A key that is sent as it is."""

    values: Mapping[str, str]

    def headers(self) -> Mapping[str, str]:
        """See ``SignIn.headers``."""
        return self.values

    def renew(self) -> bool:
        """There is no other key."""
        return False


class HttpService:
    """Asks one service, below ``base_url``. Thread-safe.

    ``patient`` waits and repeats, for a worker; otherwise every request is sent once, for a page. ``check`` is called
    while something is waited for. ``says`` picks the service's own words for an error out of its JSON.
    """

    def __init__(
        self,
        sender: Sender,
        base_url: str,
        *,
        sign_in: SignIn,
        pace: Pace,
        patient: bool,
        check: Callable[[], None] = lambda: None,
        says: Callable[[Any], str] = lambda data: "",
        headers: Mapping[str, str] | None = None,
        seconds: float = 30.0,
    ) -> None:
        self._sender = sender
        self._base_url = base_url.rstrip("/")
        self._sign_in = sign_in
        self._pace = pace
        self._patient = patient
        self._check = check
        self._says = says
        self._headers = dict(headers or {})
        self._seconds = seconds
        self._renewing = threading.Lock()

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        json: Any = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        accept: Iterable[int] = (),
    ) -> Answer:
        """The service's answer, with a status of 2xx or one of ``accept``; any other raises ConnectorError.

        ``json`` is sent as JSON, ``body`` as it is (with its type among ``headers``). ``repeatable`` is whether asking
        twice changes no more than once; without it only GET, HEAD, PUT and DELETE are (RFC 9110 §9.2.2).
        """
        url = self._url(path, query)
        sent = {"accept": "application/json", **self._headers, **(headers or {})}
        if json is not None:
            body = jsons.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
            sent.setdefault("content-type", "application/json")
        if repeatable is None:
            repeatable = method in ("GET", "HEAD", "PUT", "DELETE")
        return self._until_answered(method, url, sent, body, repeatable, frozenset(accept))

    def same_origin(self, url: str) -> str:
        """The path and query of a link that the service gave, below the base URL. Raises NeedsAttention for others."""
        own, theirs = urlsplit(self._base_url), urlsplit(url)
        below = theirs.path.startswith(own.path.rstrip("/") + "/")
        if (theirs.scheme, theirs.netloc) != (own.scheme, own.netloc) or not below:
            raise NeedsAttention(
                N_("The service named an address of another server, where the portal does not go."),
                code="foreign_link",
                detail=theirs.netloc,
            )
        path = theirs.path.removeprefix(own.path.rstrip("/"))
        return f"{path}?{theirs.query}" if theirs.query else path

    def _url(self, path: str, query: Mapping[str, str | int] | None) -> str:
        mark = "&" if "?" in path else "?"
        return f"{self._base_url}{path}" + (f"{mark}{urlencode(query)}" if query else "")

    def _until_answered(
        self,
        method: str,
        url: str,
        sent: Mapping[str, str],
        body: bytes,
        repeatable: bool,
        accept: frozenset[int],
    ) -> Answer:
        deadline = time.monotonic() + PATIENCE_SECONDS
        renewed = False
        for attempt in range(TRIES):
            self._pace.enter(self._check)
            try:
                answer = self._sender.send(
                    method, url, headers={**sent, **self._sign_in.headers()}, body=body, seconds=self._seconds
                )
            except TryLater as cut:
                self._wait_or_raise(cut, attempt, deadline, repeatable)
                continue
            if 200 <= answer.status < 300 or answer.status in accept:
                return answer
            if answer.status == 401 and not renewed and self._renew():
                renewed = True
                continue
            error = problem(answer, self._words(answer))
            if not isinstance(error, TryLater):
                raise error
            if error.code == "throttled":
                # it was not looked at, so it may always be sent again; and nobody else should ask meanwhile
                self._pace.hold(error.after if error.after is not None else FIRST_WAIT_SECONDS)
            self._wait_or_raise(error, attempt, deadline, repeatable or error.code == "throttled")
        raise AssertionError("the last attempt returns or raises")

    def _wait_or_raise(self, error: TryLater, attempt: int, deadline: float, may_repeat: bool) -> None:
        """Wait before the next attempt, or raise the error where there is none."""
        wait = error.after if error.after is not None else FIRST_WAIT_SECONDS * 2**attempt
        wait *= random.uniform(1.0, 1.2)  # noqa: S311  # spreads load, guards nothing
        last = attempt + 1 >= TRIES or time.monotonic() + wait >= deadline
        if not self._patient or not may_repeat or last:
            raise error
        until = time.monotonic() + wait
        while (left := until - time.monotonic()) > 0:
            self._check()
            time.sleep(min(left, Pace.BEAT))

    def _renew(self) -> bool:
        with self._renewing:
            return self._sign_in.renew()

    def _words(self, answer: Answer) -> str:
        """What the service says of its refusal, as far as it can be read."""
        try:
            return self._says(answer.json())
        except (TryLater, AttributeError, KeyError, IndexError, TypeError, ValueError):
            return ""
