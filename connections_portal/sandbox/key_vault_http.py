"""A request to the Key Vault double and its answer, apart from any socket. A stand-in, not product code."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client asked: ``query`` and ``headers`` (names in small letters) hold the first of several values."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def token(self) -> str:
        """The bearer token, empty without one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def json(self) -> dict[str, Any]:
        """The body as an object; raises ValueError when it is none."""
        body = json.loads(self.body or b"{}")
        if not isinstance(body, dict):
            raise ValueError("The body is no object")  # noqa: TRY004  # as for any other bad body
        return body


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the double answers; ``body`` becomes JSON, None is no body at all."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def failure(
    status: int, code: str, message: str, inner: str = "", headers: Mapping[str, str] | None = None
) -> Answer:
    """An error as vaults and the directory word it: a code, a message, and at times an inner code."""
    error: dict[str, Any] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    return Answer(status=status, body={"error": error}, headers=headers or {})
