"""*Link a vault* and changes of a link: verified and agreed to in the very request that stores it (rule S16)."""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import consent, sealed, vault_clients
from connections.connectors.base import Step, StepStatus
from connections.connectors.errors import ConnectorError
from connections.key_vault import transport
from connections.key_vault.base import STEPS
from connections.key_vault.verify import ALL_SECONDS, passed, verify
from connections.models import ConnectionSecret, KeyVault, VaultIdentity, VaultState
from connections.operations import limits
from connections.operations.create import agree_first
from connections.operations.drafts import stored_step
from connections.operations.read_names import ask_for_names
from connections.vault_clients import CREDENTIAL
from connections_portal import audit, redaction
from connections_portal.errors import OperationError, Stale
from connections_portal.models import User


@dataclass(frozen=True, kw_only=True)
class VaultLink:
    """A link as it is typed, cleaned. ``identity`` and ``scope`` are values of VaultIdentity and VaultScope.

    ``credential`` is the client secret, or certificate and private key as PEM; empty for the portal's own identity,
    and where the stored one stays. ``secret_name`` is one to try.
    """

    host: str
    identity: str
    tenant_id: str = ""
    client_id: str = ""
    credential: str = field(default="", repr=False)
    scope: str
    scope_value: str = ""
    secret_name: str = ""
    subscription_id: str = ""
    subscription_name: str = ""
    resource_group: str = ""
    region: str = ""

    @property
    def target_digest(self) -> str:
        """What the credential is given for: this vault, by this principal."""
        return sealed.digest(["key_vault", self.host, self.tenant_id, self.client_id, self.identity])


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How the steps went (as JSON), whether all of them passed, and whether the vault lets itself be listed."""

    steps: list[dict[str, Any]]
    passed: bool
    can_list: bool


class NotVerified(OperationError):
    """The vault did not pass; ``verification`` says how far it came."""

    def __init__(self, verification: Verification) -> None:
        message = _("The vault did not pass the verification. Nothing has been saved.")
        super().__init__(message, fields={"verify": message})
        self.verification = verification


def verify_link(
    *, link: VaultLink, vault: KeyVault | None = None, actor: User, now: dt.datetime | None = None
) -> Verification:
    """Run the steps for what is typed; ``vault`` is the one whose link is changed.

    Nothing is stored but that it was done. Raises TooMany above the limits of rule S20. Must not be called inside a
    transaction: it waits for the service.
    """
    host, account = sealed.digest(link.host), link.target_digest
    label = link.host.partition(".")[0]
    typed = [link.credential] if link.credential else []
    with limits.slot(), redaction.in_use(typed), transport.within(ALL_SECONDS):
        limits.count_in(
            "vault.verification_begun",
            actor=actor, target=vault, label=label, host=host, account=account, now=now or timezone.now(),
        )  # fmt: skip
        started = time.monotonic()
        read: list[str] = []
        ran = list(_steps(link, vault, read.append))
        steps = [stored_step(step) for step in ran]
    is_passed = passed(ran)
    last = steps[-1] if steps else {"key": "", "code": ""}
    audit.record(
        "vault.verified",
        actor=actor,
        target=vault,
        label=label,
        refused=not is_passed,
        step=last["key"],
        code=last["code"],
        host=host,
        account=account,
        secret="".join(read),
        milliseconds=round((time.monotonic() - started) * 1000),
    )
    can_list = any(step["key"] == "list" and step["status"] == StepStatus.DONE for step in steps)
    return Verification(steps=steps, passed=is_passed, can_list=can_list)


def _steps(link: VaultLink, vault: KeyVault | None, reading: Callable[[str], None]) -> Iterator[Step]:
    """The steps; what keeps a client from being made at all fails the first one. ``reading`` is told what is read."""
    try:
        if vault is not None and keeps_credential(vault, link):
            client = vault_clients.client_of(vault, patient=False)
        else:
            client = vault_clients.trial(
                link.host, link.identity, link.tenant_id, link.client_id, link.credential
            )
    except ConnectorError as error:
        yield Step(
            key=STEPS[0][0], status=StepStatus.FAILED, milliseconds=0, code=error.code,
            cause=error.cause, remedy=error.remedy, detail=error.detail,
        )  # fmt: skip
        return
    yield from verify(
        client,
        client.identity,
        scope=link.scope,
        scope_value=link.scope_value,
        secret_name=link.secret_name,
        reading=reading,
    )


def keeps_credential(vault: KeyVault, link: VaultLink) -> bool:
    """Whether the link goes on with what is stored to sign in with: the same principal, and nothing typed anew."""
    return not link.credential and vault.target_digest == link.target_digest


def link_vault(*, link: VaultLink, agreed: bool, wording_hash: str, actor: User) -> KeyVault:
    """Verify, then store the link with its agreement and, encrypted, the principal's credential.

    ``wording_hash`` is that of the text that was shown. Raises OperationError with what is missing at ``address`` and
    ``agree``, NotVerified, and TooMany; nothing is stored then. Must not be called inside a transaction.
    """
    shown = consent.vault_wording(link.host)
    missing = missing_agreement(shown, agreed=agreed, wording_hash=wording_hash)
    if KeyVault.objects.filter(host=link.host).exists():
        missing["address"] = already_linked()
    if missing:
        raise not_saved(missing)
    verification = verify_link(link=link, actor=actor)
    if not verification.passed:
        raise NotVerified(verification)
    try:
        with transaction.atomic():
            return _create(link, verification, shown, actor)
    except IntegrityError:
        raise not_saved({"address": already_linked()}) from None


def missing_agreement(shown: consent.Wording, *, agreed: bool, wording_hash: str) -> dict[str, str]:
    """What is said at *I agree* while the current text was not agreed to; empty otherwise."""
    if not agreed:
        return {"agree": agree_first()}
    if shown.hash != wording_hash:
        return {"agree": _("The text has changed since you agreed. Read it and agree again.")}
    return {}


def already_linked() -> str:
    """What is said at the address of a vault that is linked."""
    return _("This vault is linked already. Edit its link instead.")


def not_saved(fields: Mapping[str, str]) -> OperationError:
    """The refusal of *Link* and *Save*, with what is missing at its field."""
    return OperationError(_("The link is not saved yet."), fields=fields)


def _create(link: VaultLink, verification: Verification, shown: consent.Wording, actor: User) -> KeyVault:
    now = timezone.now()
    vault = KeyVault(host=link.host, created_by=actor, state=VaultState.WORKING, last_contact_at=now)
    fill(vault, link)
    fill_verification(vault, verification, actor)
    vault.consent = consent.give_for_vault(vault=vault, person=actor, shown=shown)
    vault.updated_by = actor
    vault.save()
    store_credential(vault, link)
    audit.record(
        "vault.linked",
        actor=actor,
        target=vault,
        vault=vault.host,
        identity=vault.identity,
        tenant_id=vault.tenant_id,
        client_id=vault.client_id,
        scope=vault.scope,
        scope_value=vault.scope_value,
        can_list=vault.can_list,
        consent=str(vault.consent.uuid),
    )
    ask_for_names(vault=vault, actor=None)
    return vault


def lock_vault(vault: KeyVault, version: int) -> KeyVault:
    """The vault as it is now, locked. Raises Stale when its version is another than the page's.

    Whoever locks connections too has locked them before.
    """
    locked = (
        KeyVault.objects.select_for_update(of=("self",))
        .select_related("consent", "updated_by")
        .filter(pk=vault.pk)
        .first()
    )
    if locked is None:
        raise Stale(_("The vault was unlinked meanwhile."))
    if locked.version != version:
        raise Stale(
            _("%(person)s changed this link at %(time)s, while you had it open.")
            % {
                "person": locked.updated_by or _("Somebody"),
                "time": timezone.localtime(locked.updated_at).strftime("%H:%M"),
            }
        )
    return locked


def fill(vault: KeyVault, link: VaultLink) -> None:
    """Take over what is typed; the row is not saved."""
    vault.identity, vault.tenant_id, vault.client_id = link.identity, link.tenant_id, link.client_id
    vault.target_digest = link.target_digest
    vault.scope, vault.scope_value = link.scope, link.scope_value
    vault.subscription_id, vault.subscription_name = link.subscription_id, link.subscription_name
    vault.resource_group, vault.region = link.resource_group, link.region


def fill_verification(vault: KeyVault, verification: Verification, actor: User) -> None:
    """Take over how the verification went; the row is not saved."""
    vault.verified_at, vault.verified_by = timezone.now(), actor
    vault.verification = verification.steps
    vault.can_list = verification.can_list


def store_credential(vault: KeyVault, link: VaultLink) -> None:
    """Keep what was typed to sign in with, for exactly this principal at this vault; the portal's own has none."""
    if link.identity == VaultIdentity.PORTAL:
        vault.secrets.all().delete()
        return
    if not link.credential:
        return
    secret = vault.secrets.filter(field=CREDENTIAL).first() or ConnectionSecret(
        key_vault=vault, field=CREDENTIAL, revision=0
    )
    secret.revision += 1
    secret.target_digest = link.target_digest
    sealed.seal(secret, link.credential)
    secret.save()
