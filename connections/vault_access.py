"""Values of Key Vault secrets, read for a run, a verification or a list, and kept in memory for a minute at most.

``secret_store.resolve`` is the one way to a value: it has a ``Reading`` check what is known of each secret, records the
use, and only then lets it read (rules S1, S4, S5, S8). Failure is closed: whatever is wrong at the vault raises
ConnectorError, and nothing else is tried.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from connections import connectors, vault_clients
from connections.connectors.errors import ConnectorError, InvalidSettings, printable
from connections.key_vault import errors, names, transport
from connections.key_vault.base import TARGET_TAG, SecretFacts, Vault
from connections.models import (
    Connection,
    ConnectionDraft,
    ConnectionSecret,
    KeyVault,
    VaultScope,
    VaultSecret,
    VaultSecretState,
)
from connections.vault_cache import Key, cache
from connections.vault_states import stored_of
from connections_portal import redaction
from connections_portal.models import User

CONTACT_EVERY = dt.timedelta(minutes=1)
# A page waits for these: the vault is asked once, for so many seconds in all; what goes on needs the rest of its ten.
AT_ONCE = ("verify", "list")
PAGE_SECONDS = 8.0


class Watch(Protocol):
    """Who is told of every read, outside any transaction but for ``is_used``."""

    def failed(self, secret: VaultSecret, error: ConnectorError) -> None:
        """The secret could not be read, or must not be used."""

    def was_read(self, secret: VaultSecret, facts: SecretFacts) -> None:
        """The secret was read and may be used."""

    def is_used(
        self, secret: VaultSecret, *, owner: Connection | ConnectionDraft, actor: User | None
    ) -> None:
        """Its value is about to be handed out for the target of ``owner``; in the transaction that records this."""


_watch: list[Watch] = []


def report_to(watch: Watch) -> None:
    """Tell this one; called once, when the portal starts. Without it nothing is read."""
    _watch[:] = [watch]


def reference(
    *, vault: KeyVault, name: str, pinned: str = "", facts: SecretFacts | None = None
) -> VaultSecret:
    """The row for a secret of the vault that is to be referred to, made where there is none yet.

    ``name`` and ``pinned`` are clean (``key_vault.names``). ``facts`` are what the vault just said of it, None where
    it does not tell without the value; then its scope by tag, and its targets, are looked at before it is first read.
    Raises NeedsAttention ``vault_not_allowed`` for a secret that the link does not allow (rule S8).
    """
    can_tell = facts is not None or vault.scope != VaultScope.TAG
    if can_tell and not names.allows(vault.scope, vault.scope_value, facts or SecretFacts(name=name)):
        raise errors.problem("vault_not_allowed", f"{vault.name}: {name}")
    secret, _made = VaultSecret.objects.get_or_create(vault=vault, name=name, pinned=pinned)
    if facts is not None:
        _keep_facts(secret, facts)
    return secret


def kept(secret: VaultSecret) -> int | None:
    """For how many more seconds this process keeps a value of the secret; None when it has none."""
    return cache.left(secret.pk)


def refresh(secret: VaultSecret) -> None:
    """Let every process read the secret anew at its next use, inside the caller's transaction."""
    VaultSecret.objects.filter(pk=secret.pk).update(generation=F("generation") + 1)
    transaction.on_commit(lambda: cache.clear(secret=secret.pk))


@dataclass(repr=False)
class _One:
    """One secret field that is read from a vault for this use."""

    row: ConnectionSecret
    secret: VaultSecret
    vault: KeyVault
    key: Key | None
    kept: tuple[str, str] | None
    facts: SecretFacts | None = None


class Reading:
    """The secrets of ``owner`` that are read from vaults for one use, in three steps: check, told, values.

    ``fresh`` passes over what is kept in memory.
    """

    def __init__(
        self,
        rows: Iterable[ConnectionSecret],
        *,
        owner: Connection | ConnectionDraft,
        purpose: str,
        actor: User | None,
        fresh: bool = False,
    ) -> None:
        self._owner, self._purpose, self._actor = owner, purpose, actor
        self._at_once = purpose in AT_ONCE
        self._end = time.monotonic() + PAGE_SECONDS
        self._host = _host_of(owner)
        self._all = [self._one(row, fresh) for row in rows if row.vault_secret is not None]

    def _one(self, row: ConnectionSecret, fresh: bool) -> _One:
        secret = row.vault_secret
        assert secret is not None
        key = None
        if isinstance(self._owner, Connection) and self._purpose != "verify":
            key = Key(
                self._owner.uuid, self._owner.epoch, row.field, secret.pk, secret.pinned,
                secret.generation, secret.vault.pk, secret.vault.version,
            )  # fmt: skip
        kept_value = cache.get(key) if key is not None and not fresh else None
        if kept_value is not None and kept_value[1] != secret.version:
            kept_value = None  # another process, or a check, has seen another version since
        return _One(row, secret, secret.vault, key, kept_value)

    def __bool__(self) -> bool:
        return bool(self._all)

    def told(self) -> list[dict[str, Any]]:
        """For the record of the use: which secret of which vault each field is, and whether it is in memory."""
        return [
            {
                "field": one.row.field,
                "vault": one.vault.host,
                "secret": one.secret.name,
                "pinned": one.secret.pinned,
                "cached": one.kept is not None,
            }
            for one in self._all
        ]

    def check(self) -> None:
        """Look at what is known of each secret before it is read (rule S8); where too little is, the vault is asked.

        Raises ConnectorError for a secret that may not be used here or for this target.
        """
        for one in self._all:
            if not self._is_known_to_fit(one):
                with _told_of(one), self._in_time():
                    self._ask(one)

    def values(self, stored: Mapping[str, str], record: Callable[..., object]) -> dict[str, str]:
        """Every value by field, read and recorded; ``stored`` are the owner's other secrets, for checks of both.

        ``record`` is ``audit.record`` with all that is known of the use. Must come after the use was recorded. Raises
        ConnectorError, and what the database raises when a reading cannot be recorded: no record, no value (rule S5).
        """
        values: dict[str, str] = {}
        cleaned: dict[str, str] = {}
        problem: ConnectorError | None = None
        for one in self._all:
            if one.kept is not None:
                values[one.row.field] = one.kept[0]
                continue
            try:
                with _told_of(one), self._in_time():
                    values[one.row.field], one.facts = self._client(one).read(
                        one.secret.name, one.secret.pinned
                    )
            except ConnectorError as error:
                problem = error
                break
        with redaction.in_use(values.values()):
            # every reading is recorded, also where the values are not handed out because of another one
            for one in [one for one in self._all if one.row.field in values]:
                try:
                    cleaned[one.row.field] = self._judged(one, {**stored, **values}, record, problem)
                except ConnectorError as error:
                    problem = error
            if problem is not None:
                raise problem
            for one in self._all:
                if one.facts is not None:
                    _watch[0].was_read(one.secret, one.facts)
                    if one.key is not None:
                        cache.put(one.key, values[one.row.field], one.facts.version)
        return cleaned

    def _judged(
        self,
        one: _One,
        values: Mapping[str, str],
        record: Callable[..., object],
        problem: ConnectorError | None,
    ) -> str:
        """The value as the connector takes it, once the vault's answer was looked at and the reading recorded.

        Raises ``problem`` after that, or what is wrong with this one.
        """
        value = ""
        try:
            if problem is None:
                with _told_of(one):
                    if one.facts is not None:
                        self._judge(one, one.facts)
                    value = self._clean(one, values)
        except ConnectorError as error:
            problem = error
        if one.facts is not None:
            self._record(one, one.facts, record, problem)
        if problem is not None:
            raise problem
        return value

    def _in_time(self) -> AbstractContextManager[None]:
        """All that a page asks of vaults for one use ends in time (rule S20); a run is as patient as its client."""
        return transport.within(self._end - time.monotonic()) if self._at_once else nullcontext()

    def _client(self, one: _One) -> Vault:
        return vault_clients.client_of(one.vault, patient=not self._at_once)

    def _is_known_to_fit(self, one: _One) -> bool:
        """Whether what is stored of the secret says that it may be used here and for this target."""
        secret = one.secret
        known = SecretFacts(name=secret.name)
        allowed = one.vault.scope == VaultScope.TAG or names.allows(
            one.vault.scope, one.vault.scope_value, known
        )
        return (
            secret.checked_at is not None
            and secret.state != VaultSecretState.NOT_ALLOWED
            and allowed
            and names.for_target(secret.portal_target, self._host)
        )

    def _ask(self, one: _One) -> None:
        """Ask the vault what it says of the secret besides its value, and judge by that."""
        try:
            facts = self._client(one).facts(one.secret.name, one.secret.pinned)
        except ConnectorError as error:
            if error.code != "vault_forbidden" or one.vault.scope == VaultScope.TAG:
                raise
            # may be read but not listed: what was said of it when it was last read has to do
            facts = SecretFacts(name=one.secret.name, tags={TARGET_TAG: one.secret.portal_target})
            self._judge(one, facts)
            return
        _keep_facts(one.secret, facts)
        self._judge(one, facts)

    def _judge(self, one: _One, facts: SecretFacts) -> None:
        """Raise for a secret that must not be used: not here, not for this target, not now."""
        if not names.allows(one.vault.scope, one.vault.scope_value, facts):
            raise errors.problem("vault_not_allowed")
        if not names.for_target(names.target_tag(facts), self._host):
            raise errors.problem("vault_target_refused")
        if code := names.usable(facts, timezone.now()):
            raise errors.problem(code)

    def _clean(self, one: _One, values: Mapping[str, str]) -> str:
        """The value as the connector takes it; what is wrong with it is the connector's own sentence."""
        connector = connectors.get(self._owner.type_key)
        assert connector is not None
        try:
            return connector.clean_secret(one.row.field, values[one.row.field], values)
        except InvalidSettings as error:
            raise errors.problem("vault_secret_unfit", " ".join(error.errors.values())) from None

    def _record(
        self, one: _One, facts: SecretFacts, record: Callable[..., object], problem: ConnectorError | None
    ) -> None:
        """Commit that the value was read, with what the vault said of it and what was wrong; never the value.

        Raises NeedsAttention ``vault_unlinked`` when the secret is not referred to any more.
        """
        with transaction.atomic(durable=True):
            record(
                "vault.secret_read",
                refused=problem is not None,
                field=one.row.field,
                vault=one.vault.host,
                secret=one.secret.name,
                version=facts.version,
                **({"code": problem.code} if problem is not None else {}),
            )
            still = VaultSecret.objects.select_for_update(of=("self",)).filter(pk=one.secret.pk).exists()
            if still and problem is None:
                _watch[0].is_used(one.secret, owner=self._owner, actor=self._actor)
            _store_facts(one.secret, facts, read=True)
        _note_contact(one.secret)  # not in there: who unlinks locks the vault before its secrets
        if not still and problem is None:
            raise errors.problem("vault_unlinked")


@contextmanager
def _told_of(one: _One) -> Iterator[None]:
    """Pass on what goes wrong in the block; its details, which are for administrators alone, name vault and secret."""
    try:
        yield
    except ConnectorError as error:
        error.detail = printable(f"{one.vault.name}, {one.secret.name}: {error.detail}".rstrip(": "))
        _watch[0].failed(one.secret, error)
        raise


def _host_of(owner: Connection | ConnectionDraft) -> str:
    connector = connectors.get(owner.type_key)
    assert connector is not None
    return connector.target(owner.settings).get("host", "")


def _keep_facts(secret: VaultSecret, facts: SecretFacts) -> None:
    """Store what the vault said of the secret, and that it answered."""
    _store_facts(secret, facts)
    _note_contact(secret)


def _store_facts(secret: VaultSecret, facts: SecretFacts, *, read: bool = False) -> None:
    now = timezone.now()
    known = {**stored_of(facts), "checked_at": now}
    VaultSecret.objects.filter(pk=secret.pk).update(**known, **({"read_at": now} if read else {}))
    for column, value in known.items():
        setattr(secret, column, value)


def _note_contact(secret: VaultSecret) -> None:
    """That the vault answered, at most once a minute."""
    now = timezone.now()
    KeyVault.objects.filter(
        Q(last_contact_at=None) | Q(last_contact_at__lt=now - CONTACT_EVERY), pk=secret.vault_id
    ).update(last_contact_at=now)
