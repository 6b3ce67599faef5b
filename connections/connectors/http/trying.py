"""Trying a connection to a service over HTTPS step by step, over the code that runs use."""

import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from connections.connectors.base import N_, Gateway, Step, StepStatus
from connections.connectors.errors import ConnectorError

STEPS = (
    ("name", N_("Name found")),
    ("reach", N_("Server reached")),
    ("sign_in", N_("Signed in")),
)
ALL_SECONDS = 10.0
STEP_SECONDS = 5.0
# With these nothing was learnt of the service: it may be right and only be down.
UNREACHED = {
    "name_unknown",
    "name_no_answer",
    "server_refused",
    "server_silent",
    "service_error",
    "throttled",
}


def steps(gateway: Gateway, url: str, *asked: tuple[str, Callable[[], str]]) -> Iterator[Step]:
    """Name and server, then each of ``asked``: a step's key and what does it, which returns a note worth showing.

    Ends after the first that fails; never raises ConnectorError.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    ends = time.monotonic() + ALL_SECONDS

    def reach() -> str:
        gateway.connect(host, port, timeout=min(STEP_SECONDS, ends - time.monotonic())).close()
        return f"{host}:{port}"

    def name() -> str:
        return ", ".join(gateway.resolve(host, port))

    for key, does in (("name", name), ("reach", reach), *asked):
        started = time.monotonic()
        try:
            note, error = does(), None
        except ConnectorError as failed:
            note, error = "", failed
        took = round((time.monotonic() - started) * 1000)
        if error is None:
            yield Step(key=key, status=StepStatus.DONE, milliseconds=took, note=note)
            continue
        yield Step(
            key=key,
            status=StepStatus.FAILED,
            milliseconds=took,
            cause=error.cause,
            remedy=error.remedy,
            detail=error.detail,
            code=error.code,
            reachable=error.code not in UNREACHED,
        )
        return
