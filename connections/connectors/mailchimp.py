"""Mailchimp: people of a segment become members of an audience.

Follows the Marketing API 3.0: https://mailchimp.com/developer/marketing/api/lists/batch-subscribe-or-unsubscribe/
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from connections.connectors.base import N_, Choice, Field, FieldKind, Limits, Revocation
from connections.connectors.errors import InvalidSettings, NeedsAttention
from connections.connectors.http import failures, splitting
from connections.connectors.http.client import Fixed, HttpService, SignIn
from connections.connectors.http.connector import HttpConnector
from connections.connectors.http.reading import number, objects, text
from connections.connectors.person import EMAIL, FIRST_NAME, LAST_NAME
from connections.connectors.records import (
    Added,
    AttributeNames,
    Chunk,
    Of,
    Outcome,
    RecordDelivery,
    RecordLimits,
    Rejection,
)

_KEY = re.compile(r"[A-Za-z0-9]{16,64}-([a-z]{2,4}[0-9]{1,3})")
_CENTRE = re.compile(r"[a-z]{2,4}[0-9]{1,3}")
_AUDIENCE = re.compile(r"[a-z0-9]{6,20}")
EXISTS = "error_contact_exists"


def other_data_center() -> NeedsAttention:
    """The key belongs to another data center than the connection says."""
    return NeedsAttention(
        N_("The API key belongs to another data center than the connection."),
        code="other_data_center",
        remedy=N_("Type the data center that stands behind the last dash of the key, and agree to it."),
    )


class Mailchimp(HttpConnector):
    """Adds members to an audience and updates the fields of those who are in it, whatever their status.

    Cleaned settings: ``data_center``. Who is in the audience already keeps their status: people who unsubscribed are
    never subscribed again, and nobody is asked twice to confirm.
    """

    key = "mailchimp"
    name = "Mailchimp"
    connection_name = "Mailchimp"
    provider = "Intuit Mailchimp"
    category = N_("Email marketing")
    icon = "people"
    description = N_("Adds segment members to an existing Mailchimp audience.")
    preview = True
    requires = (
        N_("A Mailchimp account with administrator credentials, and an API key of it."),
        N_("An existing Mailchimp audience and its ID."),
        N_("At least one segment whose profiles have an email address."),
    )
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            key="data_center",
            label=N_("Data center"),
            placeholder="us21",
            help=N_(
                "What stands behind the last dash of the API key, and first in the address of your account."
            ),
            rule=N_("Small letters and a number, such as us21."),
            target=True,
            max_length=7,
        ),
        Field(
            key="api_key",
            label=N_("API key"),
            kind=FieldKind.SECRET,
            help=N_("In Mailchimp: Profile, Extras, API keys."),
            max_length=72,
        ),
    )
    export_options = (
        Field(
            key="audience",
            label=N_("Mailchimp audience ID"),
            help=N_("In Mailchimp: Audience, Settings, Audience name and defaults."),
            rule=N_("6 to 20 small letters and digits."),
            max_length=20,
        ),
        Field(
            key="status",
            label=N_("New members"),
            kind=FieldKind.CHOICE,
            choices=(
                Choice(value="subscribed", label=N_("Are subscribed: they agreed before")),
                Choice(value="pending", label=N_("Get an email from Mailchimp and confirm")),
            ),
            default="subscribed",
            help=N_("Who is in the audience already keeps their status."),
        ),
    )
    targets = (EMAIL, FIRST_NAME, LAST_NAME)
    adds_attributes = True
    attribute_names = AttributeNames(
        pattern=r"[A-Z0-9_]{1,10}",
        rule=N_(
            "A merge tag of the audience: up to 10 capital letters, digits and underscores, such as CITY."
        ),
        taken=frozenset({"EMAIL", "FNAME", "LNAME"}),
    )
    shape = {
        "email_address": Of("email"),
        "merge_fields": {
            "FNAME": Of("first_name"),
            "LNAME": Of("last_name"),
            "added": Added(inline=True, text=True),
        },
    }
    # 500 members a call (the description of the operation); 10 requests at once an account, and a connection may have
    # two runs at a time
    record_limits = RecordLimits(rows=500, parallel=4)
    limits = Limits(max_profiles=1_000_000)
    revoke = (
        Revocation(
            text=N_("In Mailchimp, under Profile, Extras, API keys, revoke the key of this connection.")
        ),
    )
    not_tested = N_("whether the audience of an export exists and takes new members.")
    failures = {
        **failures.OF_HTTP,
        "sign_in": (other_data_center(), *failures.OF_HTTP["sign_in"]),
    }
    base_url = "https://{data_center}.api.mailchimp.com/3.0"

    @classmethod
    def clean(cls, settings: Mapping[str, str]) -> dict[str, str]:
        """See ``Connector.clean``."""
        data_center = settings.get("data_center", "").strip().lower()
        if not _CENTRE.fullmatch(data_center):
            raise InvalidSettings({"data_center": N_("Type small letters and a number, such as us21.")})
        return {"data_center": data_center}

    @classmethod
    def clean_option(cls, field: Field, value: str) -> str:
        """See ``Connector.clean_option``."""
        value = super().clean_option(field, value)
        if field.key == "audience" and not _AUDIENCE.fullmatch(value):
            raise ValueError(N_("An audience ID has 6 to 20 small letters and digits."))
        return value

    @classmethod
    def clean_secret(cls, key: str, value: str, secrets: Mapping[str, str]) -> str:
        """See ``Connector.clean_secret``."""
        value = value.strip()
        if not _KEY.fullmatch(value):
            raise InvalidSettings(
                {key: N_("An API key has letters and digits, a dash, and the data center.")}
            )
        return value

    @classmethod
    def target(cls, settings: Mapping[str, str]) -> dict[str, str]:
        """The host, which the data center tells."""
        return {"host": cls.consent_target(settings), "region": settings["data_center"]}

    @classmethod
    def target_label(cls, settings: Mapping[str, str]) -> str:
        """The host."""
        return cls.consent_target(settings)

    @classmethod
    def consent_target(cls, settings: Mapping[str, str]) -> str:
        """The host."""
        data_center = settings.get("data_center", "").strip().lower()
        return f"{data_center}.api.mailchimp.com" if _CENTRE.fullmatch(data_center) else ""

    def sign_in(self) -> SignIn:
        """Basic with the key. Raises NeedsAttention for one of another data center: that target nobody agreed to."""
        api_key = self.secrets["api_key"]
        if api_key.rpartition("-")[2] != self.settings["data_center"]:
            raise other_data_center()
        return Fixed({"authorization": f"Basic {base64.b64encode(f'any:{api_key}'.encode()).decode()}"})

    def probe(self, service: HttpService) -> str:
        """See ``HttpConnector.probe``."""
        service.ask("GET", "/ping")
        return ""

    @staticmethod
    def says(said: Any) -> str:
        """Mailchimp's words for a refusal (RFC 7807): the title, what exactly, and the fields it is about."""
        fields = "; ".join(f"{text(e, 'field')}: {text(e, 'message')}" for e in objects(said, "errors")[:5])
        return " ".join(filter(None, [text(said, "title"), text(said, "detail"), fields]))

    @contextmanager
    def push(
        self, options: Mapping[str, str], *, run: str, check: Callable[[], None]
    ) -> Iterator[RecordDelivery]:
        """See ``Connector.push``; the audience is looked at first."""
        service = self.service(patient=True, check=check)
        path = f"/lists/{options['audience']}"
        service.ask("GET", path, query={"fields": "id"})
        yield _Delivery(service, path, options["status"])


class _Delivery:
    """Chunks as members of one audience."""

    def __init__(self, service: HttpService, path: str, status: str) -> None:
        self._service, self._path, self._status = service, path, status

    def send(self, chunk: Chunk) -> Outcome:
        """See ``RecordDelivery.send``: new people first, then the fields of those who were there already."""
        addresses = [str(json.loads(record)["email_address"]).lower() for record in chunk.records]
        rejected: list[Rejection] = []
        request_id = ""

        def post(indexes: Sequence[int], *, new: bool) -> list[Rejection]:
            nonlocal request_id
            head = f'"status":"{self._status}",' if new else ""
            members = ",".join("{" + head + chunk.records[index][1:] for index in indexes)
            body = f'{{"members":[{members}],"update_existing":{"false" if new else "true"}}}'
            headers = {"content-type": "application/json"}
            answer = self._service.ask(
                "POST", self._path, body=body.encode(), headers=headers, repeatable=True
            )
            request_id = request_id or answer.request_id
            return refusals(answer.json(), {addresses[index]: index for index in indexes})

        for group in splitting.without_repeats(addresses):
            refused = splitting.in_halves(group, lambda part: post(part, new=True))
            there = sorted(rejection.index for rejection in refused if rejection.code == EXISTS)
            rejected += [rejection for rejection in refused if rejection.code != EXISTS]
            rejected += splitting.in_halves(there, lambda part: post(part, new=False))
        return Outcome(rejected=tuple(rejected), request_id=request_id)

    def finish(self) -> None:
        """Nothing to say."""


def refusals(said: Any, asked: Mapping[str, int]) -> list[Rejection]:
    """Who of those asked about (index by address) was refused; errors about anybody else concern no row.

    Where the service counts fewer people than it was given, those it does not name at all were not taken either.
    """
    errors = {}
    for error in objects(said, "errors"):
        index = asked.get(text(error, "email_address").strip().lower())
        if index is not None:
            why = text(error, "error") or text(error, "field_message")
            code = text(error, "error_code").lower() or "refused"
            errors[index] = Rejection(index=index, code=code, reason=splitting.nameless(why))
    refused = list(errors.values())
    taken = sum(number(said, key) for key in ("total_created", "total_updated"))
    if taken + len(refused) < len(asked):
        members = (*objects(said, "new_members"), *objects(said, "updated_members"))
        named = {text(member, "email_address").strip().lower() for member in members}
        refused += [
            Rejection(index=index, code="not_confirmed")
            for address, index in asked.items()
            if address not in named and index not in errors
        ]
    return refused
