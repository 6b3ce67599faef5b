"""An answer of a service, read within limits (rule S21), and what its status means."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from connections.connectors.base import N_
from connections.connectors.errors import ConnectorError, NeedsAttention, RemoteRejected, TryLater

MAX_BYTES = 10_000_000
MAX_DEPTH = 50
# A service that asks for more than this is asked again at the next attempt of the run.
LONGEST_WAIT = 300.0
REQUEST_IDS = (
    "x-request-id",
    "x-ms-request-id",
    "x-ms-service-request-id",
    "x-hubspot-correlation-id",
    "cf-ray",
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status, headers by lower-case name, and the body, at most ``MAX_BYTES`` of it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    @property
    def request_id(self) -> str:
        """What the service calls the request, or empty."""
        return next((self.headers[name][:80] for name in REQUEST_IDS if name in self.headers), "")

    def json(self) -> Any:
        """The body as JSON. Raises TryLater ``not_json`` for anything else: a gateway's page, a cut answer."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in ("text/html", "application/xhtml+xml"):
            raise not_json(f"{self.status} {kind}")
        try:
            text = self.body.decode("utf-8-sig")
            if _depth(text) > MAX_DEPTH:
                raise ValueError("too deep")
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise not_json(f"{self.status} {kind}: {type(error).__name__}") from None

    def wait_seconds(self, now: datetime | None = None) -> float | None:
        """What ``Retry-After`` asks for (RFC 9110 §10.2.3), at most ``LONGEST_WAIT``; None if nothing."""
        text = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
            return min(float(text), LONGEST_WAIT)
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return min(max((at - (now or datetime.now(UTC))).total_seconds(), 0.0), LONGEST_WAIT)


def not_json(detail: str) -> TryLater:
    """The body is something else than JSON, or JSON that nobody should read."""
    return TryLater(
        N_("The service answered with something else than data."),
        code="not_json",
        detail=detail,
        remedy=N_(
            "It is tried again. If it stays, check the server address, and whether a proxy stands between."
        ),
    )


def _depth(text: str) -> int:
    """How deep objects and lists are nested, without building them; what stands in strings does not count."""
    depth = deepest = 0
    for mark in _marks(text):
        depth += 1 if mark in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _marks(text: str) -> Iterator[str]:
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text, re.DOTALL):
        if found[0][0] != '"':
            yield found[0]


def read(chunks: Iterator[bytes], most: int = MAX_BYTES) -> bytes:
    """All of a body. Raises TryLater ``answer_too_large`` as soon as it has more than ``most`` bytes."""
    parts: list[bytes] = []
    size = 0
    for part in chunks:
        size += len(part)
        if size > most:
            raise too_large(most)
        parts.append(part)
    return b"".join(parts)


def too_large(most: int) -> TryLater:
    """The body has more than ``most`` bytes."""
    return TryLater(
        N_("The service's answer is longer than any it should give."),
        code="answer_too_large",
        detail=f"more than {most} bytes",
        remedy=N_("It is tried again. If it stays, tell whoever runs the portal."),
    )


def problem(answer: Answer, said: str = "") -> ConnectorError:
    """What a status that is no success means; ``said`` are the service's own words."""
    detail = " ".join(filter(None, [str(answer.status), said, answer.request_id]))
    match answer.status:
        case 401:
            return NeedsAttention(
                N_("The service refused the sign-in."),
                code="sign_in_refused",
                detail=detail,
                remedy=N_("Check the key or sign in again, then verify the connection."),
            )
        case 403:
            return NeedsAttention(
                N_("The service does not allow this with the permissions it was given."),
                code="no_permission",
                detail=detail,
                remedy=N_("Give the account or key the permissions that the help page lists."),
            )
        case 404 | 410:
            return NeedsAttention(
                N_("What the connection or export names is not there any more."),
                code="not_found",
                detail=detail,
                remedy=N_("Check the server address, and choose list or audience again."),
            )
        case 413:
            return RemoteRejected(
                N_("The service takes less at a time."),
                code="too_large",
                detail=detail,
                remedy=N_("Tell whoever runs the portal: the portal sends too much at a time."),
                said=said,
            )
        case 429:
            return TryLater(
                N_("The service asks to be asked less often."),
                code="throttled",
                detail=detail,
                remedy=N_("Nothing to do: it is tried again."),
                after=answer.wait_seconds(),
            )
        case status if 300 <= status < 400:
            return NeedsAttention(
                N_("The service sent the portal to another address, where it does not go."),
                code="redirected",
                detail=str(status),
                remedy=N_("Check the server address: it has to be the final one."),
            )
        case status if status >= 500 or status == 408:
            return TryLater(
                N_("The service has trouble of its own."),
                code="service_error",
                detail=detail,
                remedy=N_("Nothing to do: it is tried again."),
                after=answer.wait_seconds(),
            )
    return RemoteRejected(
        N_("The service refused the request."),
        code="refused",
        detail=detail,
        remedy=N_("See what it says, and correct the fields of the export or the data."),
        said=said,
    )
