"""Webhook: signed batches of records to an address of the company's own choice."""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar
from urllib.parse import urlsplit
from uuid import uuid4

from connections.connectors import addresses
from connections.connectors.base import N_, Connector, Field, FieldKind, Limits, Revocation, Step
from connections.connectors.errors import InvalidSettings
from connections.connectors.http import failures, trying
from connections.connectors.http.answers import Answer
from connections.connectors.http.client import Fixed, HttpService
from connections.connectors.http.pace import Pace
from connections.connectors.http.sending import sender
from connections.connectors.records import Added, Chunk, Of, Outcome, RecordDelivery, RecordLimits, Target

# Standard Webhooks 1.0: a secret is whsec_ and base64 of 24 to 64 bytes; identifier, time and body are signed.
_SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{32,88}={0,2}")


class Webhook(Connector):
    """Posts JSON, signed as Standard Webhooks describes, so that the receiver can tell that nobody changed it.

    Cleaned settings: ``url``. A delivery has the same identifier however often it is sent: the receiver keeps those it
    has seen, and the time in the signature says which are too old to be believed.
    """

    key = "webhook"
    name = "Webhook"
    connection_name = "Webhook"
    provider = N_("Your own service")
    category = N_("Developer tools")
    icon = "link"
    description = N_("Posts signed batches of segment members to an address of your own.")
    requires = (
        N_("An https address that takes POST requests with JSON and answers with a status of 2xx."),
        N_("A signing secret that the receiver checks, beginning with whsec_."),
    )
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            key="url",
            label=N_("Address"),
            placeholder="https://hooks.example.com/customers",
            rule=N_(
                "https, without a user name, and without a secret in it: that belongs in the field below."
            ),
            target=True,
            max_length=1024,
        ),
        Field(
            key="signing_secret",
            label=N_("Signing secret"),
            kind=FieldKind.SECRET,
            help=N_("whsec_ and the base64 of 24 to 64 random bytes. The receiver has the same."),
            max_length=120,
        ),
    )
    targets = (
        Target(key="customer_id", label=N_("Customer ID"), required=True, hints=("customer_id", "id")),
    )
    adds_attributes = True
    shape = {"customer_id": Of("customer_id"), "attributes": Added()}
    record_limits = RecordLimits(rows=500, bytes=1_000_000, parallel=4)
    limits = Limits()
    revoke = (Revocation(text=N_("Have the receiver refuse the signing secret, and give it another one.")),)
    steps = trying.STEPS
    not_tested = N_("whether the receiver keeps what it answers 2xx to.")
    failures = failures.OF_HTTP
    doc = "docs/connectors.md"

    @classmethod
    def clean(cls, settings: Mapping[str, str]) -> dict[str, str]:
        """See ``Connector.clean``."""
        try:
            return {"url": addresses.clean_url(settings.get("url", ""))}
        except ValueError as error:
            raise InvalidSettings({"url": str(error)}) from None

    @classmethod
    def clean_secret(cls, key: str, value: str, secrets: Mapping[str, str]) -> str:
        """See ``Connector.clean_secret``."""
        value = value.strip()
        if not _SECRET.fullmatch(value) or not 24 <= len(_key(value)) <= 64:
            raise InvalidSettings({key: N_("Type whsec_ and the base64 of 24 to 64 bytes.")})
        return value

    @classmethod
    def target(cls, settings: Mapping[str, str]) -> dict[str, str]:
        """The whole address: another path is another receiver."""
        return {"url": settings["url"], "host": urlsplit(settings["url"]).hostname or ""}

    @classmethod
    def target_label(cls, settings: Mapping[str, str]) -> str:
        """The address."""
        return settings["url"]

    @classmethod
    def consent_target(cls, settings: Mapping[str, str]) -> str:
        """The host."""
        return urlsplit(settings.get("url", "")).hostname or ""

    def verify(self) -> Iterator[Step]:
        """See ``Connector.verify``: an empty delivery of the type ``test`` is posted."""
        service = self._service(patient=False)

        def sign_in() -> str:
            body = b'{"type":"test","delivery":"test","records":[]}'
            return str(_signed(service, self.secrets["signing_secret"], f"test.{uuid4()}", body).status)

        yield from trying.steps(self.gateway, self.settings["url"], ("sign_in", sign_in))

    @contextmanager
    def push(
        self, options: Mapping[str, str], *, run: str, check: Callable[[], None]
    ) -> Iterator[RecordDelivery]:
        """See ``Connector.push``."""
        yield _Delivery(self._service(patient=True, check=check), self.secrets["signing_secret"], run)

    def _service(self, *, patient: bool, check: Callable[[], None] = lambda: None) -> HttpService:
        return HttpService(
            sender(self.gateway, self.settings["url"], parallel=self.record_limits.parallel),
            self.settings["url"],
            sign_in=Fixed({}),
            pace=Pace(),
            patient=patient,
            check=check,
        )


class _Delivery:
    """Chunks as signed posts."""

    def __init__(self, service: HttpService, secret: str, run: str) -> None:
        self._service, self._secret, self._run = service, secret, run

    def send(self, chunk: Chunk) -> Outcome:
        """See ``RecordDelivery.send``."""
        identifier = f"{self._run}.{chunk.number}"
        body = f'{{"type":"customers","delivery":"{identifier}","records":[{",".join(chunk.records)}]}}'
        answer = _signed(self._service, self._secret, identifier, body.encode())
        return Outcome(request_id=answer.request_id)

    def finish(self) -> None:
        """Nothing to say."""


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return b""


def _signed(service: HttpService, secret: str, identifier: str, body: bytes) -> Answer:
    """Post ``body`` under its identifier. The time is that of the sending: the receiver judges by it how old it is."""
    at = str(int(time.time()))
    signed = b".".join([identifier.encode(), at.encode(), body])
    signature = base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()
    headers = {
        "content-type": "application/json",
        "webhook-id": identifier,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{signature}",
    }
    return service.ask("POST", "", body=body, headers=headers, repeatable=True)
