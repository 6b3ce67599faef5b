"""What a connection type declares and what it can do.

A connection type (``Connector``) is one short module: the declaration on top, the verbs it has below. It is
built from plain settings, resolved secrets and the gateway, and imports neither Django nor a model, so that
it can be tried on its own. Texts are marked with ``N_`` and translated where they are shown.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from connections.connectors.errors import ConnectorError, InvalidSettings
from connections.connectors.files import FileDelivery, RemoteSource
from connections.connectors.records import AttributeNames, RecordDelivery, RecordLimits, Shape, Target


def N_(text: str) -> str:
    """Mark a text for translation without translating it here."""
    return text


class FieldKind(StrEnum):
    """How a field is typed in; ``SECRET_TEXT`` is a secret of several lines, such as a private key."""

    TEXT = "text"
    CHOICE = "choice"
    SECRET = "secret"
    SECRET_TEXT = "secret_text"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One answer of a choice field: ``value`` is stored, ``label`` shown."""

    value: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Field:
    """One thing to fill in.

    ``target`` says that the value is part of where data goes: changing it asks for verification, agreement
    and every secret again. ``account`` says that it names who signs in, ``folder`` where at the target files go.
    ``shown_when`` is ``(field key,
    value)``: the field matters only while that other field has that value, and ``required`` is then meant under
    that condition. ``fills`` maps parts of a pasted address (``username``, ``folder``) to the keys of the fields
    they belong in. ``rule`` says in one sentence what is accepted, where that is not plain.
    ``part_of`` is the key of a secret that this one belongs to: a new one comes without it.
    """

    key: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    required: bool = True
    help: str = ""
    rule: str = ""
    placeholder: str = ""
    prefix: str = ""
    choices: tuple[Choice, ...] = ()
    default: str = ""
    target: bool = False
    account: bool = False
    folder: bool = False
    shown_when: tuple[str, str] | None = None
    fills: tuple[tuple[str, str], ...] = ()
    part_of: str = ""
    max_length: int = 255

    @property
    def secret(self) -> bool:
        """Whether the value is kept encrypted and never shown again."""
        return self.kind in (FieldKind.SECRET, FieldKind.SECRET_TEXT)


@dataclass(frozen=True, kw_only=True)
class Revocation:
    """What to do at the service so that nothing reaches it by this connection any more, whatever the portal does.

    ``text`` is for administrators and may name a field's value as ``%(username)s`` and the whole target as
    ``%(target)s``. ``shown_when`` is as for a field. With ``needs`` it is left out while that field is empty.
    """

    text: str
    shown_when: tuple[str, str] | None = None
    needs: str = ""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the service, or our way of using it, allows; ``None`` means no known limit."""

    max_profiles: int | None = None
    min_profiles: int | None = None
    max_files_per_table: int | None = None
    max_enrichments: int | None = None


class StepStatus(StrEnum):
    """How a verification step ended; ``ASKS`` waits for a person (a server's key to trust).

    ``LIMITED`` works with a restriction that ``cause`` names; the steps after it are tried all the same.
    """

    DONE = "done"
    LIMITED = "limited"
    FAILED = "failed"
    ASKS = "asks"


@dataclass(frozen=True, kw_only=True)
class ServerIdentity:
    """The key a server showed: ``fingerprint`` as ``SHA256:…``, ``public_key`` in OpenSSH's one-line form."""

    algorithm: str
    fingerprint: str
    public_key: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """The outcome of one named verification step, with the time it took in milliseconds.

    ``note`` is a fact worth showing (host and port reached); on failure ``cause`` and ``remedy`` are sentences,
    ``detail`` quotes the service and ``reachable`` is false when the service did not answer at all.
    """

    key: str
    status: StepStatus
    milliseconds: int
    note: str = ""
    cause: str = ""
    remedy: str = ""
    detail: str = ""
    code: str = ""
    reachable: bool = True
    identity: ServerIdentity | None = None


class Gateway(Protocol):
    """The one way out. Every socket that a connector uses comes from here.

    ``ca_file`` names certificates (PEM) of authorities that are believed besides the public ones, or is empty.
    """

    ca_file: str

    def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """Addresses of ``host``, every one checked; raises NeedsAttention (refused) or TryLater (no answer)."""

    def connect(self, host: str, port: int, *, timeout: float) -> socket.socket:
        """A connected TCP socket to a checked address of ``host``, ``timeout`` in seconds; raises as ``resolve``."""


class Connector(ABC):
    """A connection type. Subclasses fill the declaration and the verbs they have.

    ``steps`` lists verification steps as ``(key, label)`` in order; ``not_tested`` says what verification leaves
    open; ``export_options`` are asked on each export, ``enrichment_options`` on each enrichment; ``requires`` are the
    prerequisites, one sentence each; ``direction`` is ``export``, ``enrichment`` or ``both``;
    ``connection_name`` is what a connection of this type is called, ``icon`` a neutral icon of the category.
    ``revoke`` is what an administrator takes back at the service in an emergency, most effective first.
    ``failures`` are the errors that a step may end with, by the step's key (empty: only a run), as they are raised.
    ``preview`` is true until the type has run against a real server or the vendor's own description. Types that take
    records say which with ``targets``, ``shape`` and ``record_limits`` (see ``records``); with ``adds_attributes``
    people may send further columns under names of their own, which ``attribute_names`` may restrict.
    ``spent`` are the seconds of a page's time that went by before the connector was there (rule S20).
    """

    key: ClassVar[str]
    name: ClassVar[str]
    connection_name: ClassVar[str]
    provider: ClassVar[str]
    category: ClassVar[str]
    icon: ClassVar[str]
    description: ClassVar[str]
    direction: ClassVar[str] = "export"
    preview: ClassVar[bool] = False
    requires: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[Field, ...]]
    export_options: ClassVar[tuple[Field, ...]] = ()
    enrichment_options: ClassVar[tuple[Field, ...]] = ()
    limits: ClassVar[Limits] = Limits()
    targets: ClassVar[tuple[Target, ...]] = ()
    adds_attributes: ClassVar[bool] = False
    attribute_names: ClassVar[AttributeNames | None] = None
    shape: ClassVar[Shape] = {}
    record_limits: ClassVar[RecordLimits] = RecordLimits(rows=1)
    revoke: ClassVar[tuple[Revocation, ...]] = ()
    steps: ClassVar[tuple[tuple[str, str], ...]]
    not_tested: ClassVar[str] = ""
    failures: ClassVar[Mapping[str, tuple[ConnectorError, ...]]] = {}
    doc: ClassVar[str]
    host_key_pinned: ClassVar[bool] = False
    spent: float = 0.0

    def __init__(
        self,
        settings: Mapping[str, str],
        secrets: Mapping[str, str],
        gateway: Gateway,
        *,
        host_key: str = "",
    ) -> None:
        """Take cleaned settings, the secrets' values by field key, the gateway and the trusted host key.

        Nothing is opened here.
        """
        self.settings = settings
        self.secrets = secrets
        self.gateway = gateway
        self.host_key = host_key

    @classmethod
    @abstractmethod
    def clean(cls, settings: Mapping[str, str]) -> dict[str, str]:
        """Normalise what was typed; the same input always gives the same output.

        Raises InvalidSettings with what is wrong and, as ``cleaned``, with what is right.
        """

    @classmethod
    def clean_options(cls, options: Mapping[str, str]) -> dict[str, str]:
        """Normalise the answers to ``enrichment_options``: all of them, and no other key, come back.

        Raises InvalidSettings with one sentence per wrong answer.
        """
        cleaned: dict[str, str] = {}
        errors: dict[str, str] = {}
        for field in cls.enrichment_options:
            try:
                cleaned[field.key] = cls.clean_option(field, options.get(field.key) or field.default)
            except ValueError as error:
                errors[field.key] = str(error)
        if errors:
            raise InvalidSettings(errors, cleaned)
        return cleaned

    @classmethod
    def clean_option(cls, field: Field, value: str) -> str:
        """One answer to an option of exports or enrichments in its one form. Raises ValueError with a sentence."""
        value = value.strip()
        if field.required and not value:
            raise ValueError(N_("Enter a value."))
        if field.choices and value not in [choice.value for choice in field.choices]:
            raise ValueError(N_("Choose one of the answers."))
        return value

    @classmethod
    @abstractmethod
    def clean_secret(cls, key: str, value: str, secrets: Mapping[str, str]) -> str:
        """Check the secret typed for field ``key``; ``secrets`` has all typed ones. Raises InvalidSettings."""

    @classmethod
    @abstractmethod
    def target(cls, settings: Mapping[str, str]) -> dict[str, str]:
        """Where data goes, from cleaned settings: scheme, host, port, account, region, as far as they apply."""

    @classmethod
    @abstractmethod
    def target_label(cls, settings: Mapping[str, str]) -> str:
        """The target in one line for administrators, for example ``sftp://eu.contoso.example/newsletter``."""

    @classmethod
    def consent_target(cls, settings: Mapping[str, str]) -> str:
        """The target as the privacy text names it, from typed or cleaned settings; empty while it cannot be told."""
        return ""

    @classmethod
    def shown(cls, key: str, value: str) -> str:
        """What was typed for a field, as it may be shown again."""
        return value

    @classmethod
    def beside(cls, key: str, settings: Mapping[str, str]) -> str:
        """A short fact to stand beside a field, from typed or cleaned settings (*Port 22*); empty for none."""
        return ""

    @classmethod
    def serves(cls, direction: str) -> bool:
        """Whether the type is there for ``export`` or ``enrichment``; one that is there for both serves either."""
        return cls.direction in (direction, "both")

    @abstractmethod
    def verify(self) -> Iterator[Step]:
        """Try the connection step by step, in the order of ``steps``; ends after the first that is not done.

        Uses the same code path as a run. Never raises ConnectorError: a failure is a step.
        """

    @classmethod
    def takes_files(cls) -> bool:
        """Whether the type has the verb ``deliver``."""
        return cls.deliver is not Connector.deliver

    def deliver(self) -> AbstractContextManager[FileDelivery]:
        """Sign in at a file destination. Raises ConnectorError; not every type has this verb."""
        raise TypeError(f"{self.name} takes no files")

    @classmethod
    def takes_records(cls) -> bool:
        """Whether the type has the verb ``push``."""
        return cls.push is not Connector.push

    def push(
        self, options: Mapping[str, str], *, run: str, check: Callable[[], None]
    ) -> AbstractContextManager[RecordDelivery]:
        """Sign in at a destination of records, with the answers to ``export_options``; ``run`` names the run.

        ``check`` is called while something is waited for; it raises when the run is not wanted any more. Raises
        ConnectorError; not every type has this verb.
        """
        raise TypeError(f"{self.name} takes no records")

    @classmethod
    def brings_files(cls) -> bool:
        """Whether the type has the verb ``fetch``."""
        return cls.fetch is not Connector.fetch

    def fetch(self) -> AbstractContextManager[RemoteSource]:
        """Sign in where files are read from. Raises ConnectorError; not every type has this verb."""
        raise TypeError(f"{self.name} brings no files")


def is_active(part: Field | Revocation, settings: Mapping[str, str]) -> bool:
    """Whether a field, or what is to be revoked, matters under these settings (see ``Field.shown_when``)."""
    return part.shown_when is None or settings.get(part.shown_when[0]) == part.shown_when[1]
