"""Trying a vault step by step, over the code that runs use."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from connections.connectors.base import N_, Step, StepStatus
from connections.connectors.errors import ConnectorError
from connections.key_vault import clouds, errors, names, transport
from connections.key_vault.base import STEPS, SecretFacts
from connections.key_vault.client import AzureVault
from connections.key_vault.identity import Identity, may_be_same

ALL_SECONDS = 10.0

# With these nothing was learnt of the vault: it may be right and only be out of reach.
_UNREACHED = {"vault_unreachable", "vault_name_unknown", "vault_throttled"}

_CANNOT_LIST = N_("Names cannot be listed with this identity; type the name of a secret instead.")
_CANNOT_LIST_REMEDY = N_("To choose from a list, give the identity the permission to list secrets as well.")
_NOTHING_TO_READ = N_("There was no secret to try: reading is not tested.")
_NOTHING_REMEDY = N_("Name a secret that may be used, or put one into the vault, and verify again.")


def verify(
    vault: AzureVault,
    identity: Identity,
    *,
    scope: str,
    scope_value: str,
    secret_name: str = "",
    reading: Callable[[str], None],
) -> Iterator[Step]:
    """The steps of ``base.STEPS`` in order, at most 10 seconds in all; ends after the first that failed.

    Reads the secret ``secret_name``, or else the first of the vault's first page that ``scope`` (as in
    ``names.allows``) lets be used and that can be; ``reading`` is told its name before, its value is dropped at once.
    LIMITED is a step that works with a restriction: names cannot be listed, or there is no secret to read. By a tag
    nothing can be used that is not listed. Never raises ConnectorError.
    """
    trial = _Trial(vault, identity, scope, scope_value, secret_name, reading)
    for key, _label in STEPS:
        step = trial.run(key, getattr(trial, key))
        yield step
        if step.status is StepStatus.FAILED:
            return


def passed(steps: Iterable[Step]) -> bool:
    """Whether the vault may be linked: every step is there, and each is done or works with a restriction."""
    found = {step.key: step.status for step in steps}
    return all(found.get(key) in (StepStatus.DONE, StepStatus.LIMITED) for key, _label in STEPS)


class _Trial:
    """One verification; every step has a method of its name. Nobody signs in before the vault's tenant was compared."""

    def __init__(
        self,
        vault: AzureVault,
        identity: Identity,
        scope: str,
        scope_value: str,
        secret_name: str,
        reading: Callable[[str], None],
    ) -> None:
        self._vault, self._identity = vault, identity
        self._scope, self._scope_value = scope, scope_value
        self._secret_name, self._reading = secret_name, reading
        self._tenant = ""
        self._page: tuple[SecretFacts, ...] = ()
        self._end = time.monotonic() + ALL_SECONDS

    def run(self, key: str, attempt: Callable[[], tuple[str, str, str]]) -> Step:
        """The outcome of one step: note, and cause and remedy of a restriction; a failure is one, too."""
        started = time.monotonic()

        def took() -> int:
            return round((time.monotonic() - started) * 1000)

        try:
            with transport.within(max(self._end - started, 0.0)):
                note, cause, remedy = attempt()
        except ConnectorError as error:
            return Step(
                key=key,
                status=StepStatus.FAILED,
                milliseconds=took(),
                cause=error.cause,
                remedy=error.remedy,
                detail=error.detail,
                code=error.code,
                reachable=error.code not in _UNREACHED,
            )
        status = StepStatus.LIMITED if cause else StepStatus.DONE
        return Step(key=key, status=status, milliseconds=took(), note=note, cause=cause, remedy=remedy)

    def reach(self) -> tuple[str, str, str]:
        """Network, certificate, and the tenant that the vault names."""
        self._tenant = self._vault.tenant()
        if not may_be_same(self._identity.tenant_id, self._tenant):
            raise errors.problem("vault_foreign_tenant", f"The vault belongs to tenant {self._tenant}.")
        return self._vault.host, "", ""

    def sign_in(self) -> tuple[str, str, str]:
        """A token of this very moment."""
        self._identity.forget()
        scope = clouds.of_host(self._vault.host).vault_scope
        self._identity.get_token_info(scope, options={"tenant_id": self._tenant, "enable_cae": True})
        return "", "", ""

    def list(self) -> tuple[str, str, str]:
        """The first page of names."""
        try:
            self._page = self._vault.names().items
        except ConnectorError as error:
            if error.code != "vault_forbidden" or self._scope == "tag":
                raise
            return "", _CANNOT_LIST, _CANNOT_LIST_REMEDY
        return "", "", ""

    def read(self) -> tuple[str, str, str]:
        """One secret that may be used, its value unseen."""
        name = self._secret_name or self._first()
        if not name:
            return "", _NOTHING_TO_READ, _NOTHING_REMEDY
        if names.rules_out(self._scope, self._scope_value, name):
            raise errors.problem("vault_not_allowed", name)
        known = self._known(name)
        if known is not None:
            self._check(known)
        self._reading(name)
        _value, facts = self._vault.read(name)
        self._check(facts)
        return facts.name, "", ""

    def _check(self, facts: SecretFacts) -> None:
        """Whether the secret may be used (rule S8) and can be."""
        if not self._allowed(facts):
            raise errors.problem("vault_not_allowed", facts.name)
        if code := names.usable(facts, datetime.now(UTC)):
            raise errors.problem(code, facts.name)

    def _known(self, name: str) -> SecretFacts | None:
        """What can be told of a secret before it is read; None for an identity that may only read."""
        for facts in self._page:
            if facts.name.lower() == name.lower():
                return facts
        try:
            return self._vault.facts(name)
        except ConnectorError as error:
            if error.code == "vault_forbidden":
                return None
            raise

    def _allowed(self, facts: SecretFacts) -> bool:
        return names.allows(self._scope, self._scope_value, facts)

    def _first(self) -> str:
        now = datetime.now(UTC)
        fit = (facts for facts in self._page if self._allowed(facts) and not names.usable(facts, now))
        return next((facts.name for facts in fit), "")
