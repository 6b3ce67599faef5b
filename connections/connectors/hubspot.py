"""HubSpot: people of a segment become contacts, and members of a static list if wanted.

Follows the CRM API v3: https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from connections.connectors.base import N_, Field, FieldKind, Limits, Revocation
from connections.connectors.errors import InvalidSettings, NeedsAttention
from connections.connectors.http import failures, splitting
from connections.connectors.http.client import Fixed, HttpService, SignIn
from connections.connectors.http.connector import HttpConnector
from connections.connectors.http.pace import Window
from connections.connectors.http.reading import objects, text
from connections.connectors.person import COMPANY, EMAIL, FIRST_NAME, LAST_NAME, PHONE
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

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{19,199}")
_NUMBER = re.compile(r"[1-9][0-9]{0,14}")
UPSERT = "/crm/v3/objects/contacts/batch/upsert"


def other_account() -> NeedsAttention:
    """The token belongs to another account than the connection says."""
    return NeedsAttention(
        N_("The access token belongs to another HubSpot account than the connection."),
        code="other_account",
        remedy=N_("Type the ID of the account that the token belongs to, and agree to it."),
    )


def list_not_static() -> NeedsAttention:
    """The list chooses its members itself."""
    return NeedsAttention(
        N_("HubSpot fills this list by itself: nobody can be added to it."),
        code="list_not_static",
        remedy=N_("Choose a static list of contacts in the export, or none."),
    )


class HubSpot(HttpConnector):
    """Creates and updates contacts by email address. Cleaned settings: ``account``, the ID of the HubSpot account."""

    key = "hubspot"
    name = "HubSpot"
    connection_name = "HubSpot"
    provider = "HubSpot"
    category = N_("Email marketing")
    icon = "people"
    description = N_("Sends segment members to HubSpot as contacts, for email marketing.")
    requires = (
        N_("A HubSpot account with administrator credentials."),
        N_(
            "A private app there that may read and write contacts, and its access token; for lists also those."
        ),
        N_("At least one segment whose profiles have an email address."),
    )
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            key="account",
            label=N_("Account ID"),
            placeholder="12345678",
            help=N_("In HubSpot: at the top right, under the name of the account."),
            rule=N_("Digits only."),
            target=True,
            max_length=15,
        ),
        Field(
            key="access_token",
            label=N_("Access token"),
            kind=FieldKind.SECRET,
            help=N_("In HubSpot: Settings, Integrations, Private apps, the app, Auth."),
            max_length=200,
        ),
    )
    export_options = (
        Field(
            key="list",
            label=N_("Static list ID"),
            required=False,
            help=N_("Contacts are also added to this list. Without one they are only created and updated."),
            rule=N_("Digits only."),
            max_length=15,
        ),
    )
    targets = (EMAIL, FIRST_NAME, LAST_NAME, PHONE, COMPANY)
    adds_attributes = True
    attribute_names = AttributeNames(
        pattern=r"[a-z][a-z0-9_]{0,99}",
        rule=N_("The internal name of a contact property: small letters, digits and underscores."),
        taken=frozenset({"email", "firstname", "lastname", "phone", "company"}),
    )
    shape = {
        "id": Of("email"),
        "idProperty": "email",
        "properties": {
            "email": Of("email"),
            "firstname": Of("first_name"),
            "lastname": Of("last_name"),
            "phone": Of("phone"),
            "company": Of("company"),
            "added": Added(inline=True, text=True),
        },
    }
    record_limits = RecordLimits(rows=100, parallel=4)
    # 100 requests in 10 seconds are free to the smallest private app; a connection may have two runs at a time
    windows = (Window(requests=45, seconds=10.0),)
    limits = Limits(max_profiles=100_000)
    revoke = (
        Revocation(
            text=N_(
                "In HubSpot account %(account)s, under Integrations, Private apps, delete the app or its token."
            )
        ),
    )
    not_tested = N_("whether the token may write contacts, and whether the list of an export exists.")
    failures = {
        **failures.OF_HTTP,
        "sign_in": (other_account(), *failures.OF_HTTP["sign_in"]),
        "": (list_not_static(), *failures.OF_HTTP[""]),
    }
    base_url = "https://api.hubapi.com"

    @classmethod
    def clean(cls, settings: Mapping[str, str]) -> dict[str, str]:
        """See ``Connector.clean``."""
        account = settings.get("account", "").strip()
        if not _NUMBER.fullmatch(account):
            raise InvalidSettings({"account": N_("Type the digits of the account ID.")})
        return {"account": account}

    @classmethod
    def clean_option(cls, field: Field, value: str) -> str:
        """See ``Connector.clean_option``."""
        value = super().clean_option(field, value)
        if value and not _NUMBER.fullmatch(value):
            raise ValueError(N_("Type the digits of the list ID."))
        return value

    @classmethod
    def clean_secret(cls, key: str, value: str, secrets: Mapping[str, str]) -> str:
        """See ``Connector.clean_secret``."""
        value = value.strip()
        if not _TOKEN.fullmatch(value):
            raise InvalidSettings({key: N_("An access token has at least 20 letters, digits and dashes.")})
        return value

    @classmethod
    def target(cls, settings: Mapping[str, str]) -> dict[str, str]:
        """Host and account."""
        return {"host": "api.hubapi.com", "account": settings["account"]}

    @classmethod
    def target_label(cls, settings: Mapping[str, str]) -> str:
        """Host and account."""
        return f"api.hubapi.com/{settings['account']}"

    @classmethod
    def consent_target(cls, settings: Mapping[str, str]) -> str:
        """The account."""
        account = settings.get("account", "").strip()
        return account if _NUMBER.fullmatch(account) else ""

    def sign_in(self) -> SignIn:
        """The token as Bearer."""
        return Fixed({"authorization": f"Bearer {self.secrets['access_token']}"})

    def probe(self, service: HttpService) -> str:
        """See ``HttpConnector.probe``: the account is the right one, and the token may read contacts' properties."""
        _require_account(service, self.settings["account"])
        service.ask("GET", "/crm/v3/properties/contacts", query={"properties": "name"})
        return ""

    @staticmethod
    def says(said: Any) -> str:
        """HubSpot's words for a refusal."""
        return text(said, "message")

    @contextmanager
    def push(
        self, options: Mapping[str, str], *, run: str, check: Callable[[], None]
    ) -> Iterator[RecordDelivery]:
        """See ``Connector.push``; account and list are looked at first."""
        service = self.service(patient=True, check=check)
        _require_account(service, self.settings["account"])
        path = f"/crm/v3/lists/{options['list']}" if options.get("list") else ""
        if path:
            found = service.ask("GET", path).json()
            if text(found.get("list") if isinstance(found, dict) else None, "processingType") == "DYNAMIC":
                raise list_not_static()
        yield _Delivery(service, path and f"{path}/memberships/add", run)


def _require_account(service: HttpService, account: str) -> None:
    """Raise NeedsAttention if the token is not one of this account."""
    # https://developers.hubspot.com/docs/api-reference/account-account-info-v3/details/get-account-info-v3-details
    if text(service.ask("GET", "/account-info/v3/details").json(), "portalId") != account:
        raise other_account()


class _Delivery:
    """Chunks as contacts, then as members of the list at ``path`` (empty: of none)."""

    def __init__(self, service: HttpService, path: str, run: str) -> None:
        self._service, self._path, self._run = service, path, run

    def send(self, chunk: Chunk) -> Outcome:
        """See ``RecordDelivery.send``."""
        addresses = [str(json.loads(record)["id"]).lower() for record in chunk.records]
        # with an identifier of ours on each the service tells apart which were taken
        traces = [f"{self._run}.{chunk.number}.{index}" for index in range(len(addresses))]
        contacts: dict[int, str] = {}
        rejected: list[Rejection] = []
        request_id = ""

        def post(indexes: Sequence[int]) -> list[Rejection]:
            nonlocal request_id
            inputs = (f'{{"objectWriteTraceId":"{traces[i]}",{chunk.records[i][1:]}' for i in indexes)
            body = f'{{"inputs":[{",".join(inputs)}]}}'.encode()
            headers = {"content-type": "application/json"}
            answer = self._service.ask("POST", UPSERT, body=body, headers=headers, repeatable=True)
            request_id = request_id or answer.request_id
            asked = {name: i for i in indexes for name in (addresses[i], traces[i])}
            made, refused = read_upserted(answer.json(), asked, partly=answer.status == 207)
            contacts.update(made)
            return refused

        for group in splitting.without_repeats(addresses):
            rejected += splitting.in_halves(group, post)
        return Outcome(rejected=(*rejected, *self._add_to_list(contacts)), request_id=request_id)

    def _add_to_list(self, contacts: Mapping[int, str]) -> list[Rejection]:
        """Put contacts (identifiers by index) on the list; those that are not there any more come back."""
        if not self._path or not contacts:
            return []
        # two rows with one address are one contact
        body = list(dict.fromkeys(contacts.values()))
        said = self._service.ask("PUT", self._path, json=body).json()
        missing = said.get("recordIdsMissing") if isinstance(said, dict) else None
        gone = {str(contact) for contact in missing} if isinstance(missing, list) else set()
        return [Rejection(index=i, code="not_in_list") for i, contact in contacts.items() if contact in gone]

    def finish(self) -> None:
        """Nothing to say."""


def read_upserted(
    said: Any, asked: Mapping[str, int], *, partly: bool
) -> tuple[dict[int, str], list[Rejection]]:
    """Contact identifiers by index, and who was refused.

    ``asked`` is the index by address and by trace identifier. Where an answer that says *partly* has an error that
    names nobody of those asked about, those that it does not name as taken either are refused with its words.
    """
    made: dict[int, str] = {}
    for result in objects(said, "results"):
        names = (text(result, "objectWriteTraceId"), text(result.get("properties"), "email").lower())
        index = next((asked[name] for name in names if name in asked), None)
        if index is not None and _NUMBER.fullmatch(text(result, "id")):
            made[index] = text(result, "id")
    refused: dict[int, Rejection] = {}
    unnamed = ("not_confirmed", "")
    doubtful = False
    for error in objects(said, "errors"):
        code = text(error, "category").lower() or "refused"
        words = splitting.nameless(text(error, "message"))
        about = {asked[name] for name in _names_in(error) if name in asked}
        refused.update((i, Rejection(index=i, code=code, reason=words)) for i in about)
        if not about:
            doubtful, unnamed = True, (code, words)
    if partly and (doubtful or not refused):
        left = set(asked.values()) - made.keys() - refused.keys()
        refused.update((i, Rejection(index=i, code=unnamed[0], reason=unnamed[1])) for i in left)
    return {i: contact for i, contact in made.items() if i not in refused}, list(refused.values())


def _names_in(error: Mapping[str, Any]) -> Iterator[str]:
    """What an error may name its record by: the values of its context, of its details' contexts, and its own id."""
    yield text(error, "id").lower()
    for part in (error, *objects(error, "errors")):
        context = part.get("context")
        for values in context.values() if isinstance(context, dict) else ():
            yield from (str(value).lower() for value in values if isinstance(values, list))
