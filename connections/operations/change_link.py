"""Changes of a vault's link: who signs in, which secrets may be used, what Azure's directory says of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections import consent, vault_clients
from connections.key_vault import names, transport
from connections.key_vault.base import SecretFacts
from connections.models import KeyVault, VaultIdentity, VaultName, VaultScope
from connections.operations.edit import Agreement
from connections.operations.link_vault import (
    NotVerified,
    VaultLink,
    Verification,
    fill,
    fill_verification,
    keeps_credential,
    lock_vault,
    missing_agreement,
    not_saved,
    store_credential,
    verify_link,
)
from connections.operations.vault_references import DEADLINE, Fit, Reference, impact_of, look, references
from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import User

LABELS = ("subscription_id", "subscription_name", "resource_group", "region")
IDENTITY = ("identity", "tenant_id", "client_id")
SCOPE = ("scope", "scope_value")


@dataclass(frozen=True, kw_only=True)
class Narrowing:
    """What a changed scope would no longer allow: each reference with the reason, and the token of all that."""

    lost: Sequence[tuple[Reference, Fit]]
    impact: str


class Narrows(OperationError):
    """Connections would lose their secrets; ``narrowing`` says which. Saved when its token comes back."""

    status = 422

    def __init__(self, narrowing: Narrowing) -> None:
        number = len({one.connection.pk for one, _fit in narrowing.lost})
        words = ngettext(
            "%(n)d connection could no longer read its secret.",
            "%(n)d connections could no longer read their secrets.",
            number,
        )
        super().__init__(words % {"n": number})
        self.narrowing = narrowing


def change_link(
    *,
    vault: KeyVault,
    version: int,
    link: VaultLink,
    agreement: Agreement,
    impact: str = "",
    actor: User,
) -> KeyVault:
    """Verify what is typed where anything but labels changed, then store it; the vault itself stays the same.

    ``version`` is that of the page; an empty credential keeps the stored one as long as tenant, client and kind of
    identity stay. ``agreement`` is asked for only when it was ticked: the one in force goes on. ``impact`` is the
    token of the connections that a narrower scope takes secrets from, as they were shown. Raises Stale, Narrows,
    NotVerified, TooMany, and OperationError at ``agree`` and at the credential's field. Must not be called inside a
    transaction.
    """
    current = KeyVault.objects.filter(pk=vault.pk).first()
    if current is None or current.version != version:
        with transaction.atomic():
            lock_vault(vault, version)
    shown = consent.vault_wording(vault.host)
    missing = missing_agreement(shown, agreed=True, wording_hash=agreement.wording_hash)
    if agreement.ticked and missing:
        raise not_saved(missing)
    if no_credential := missing_credential(vault, link):
        raise not_saved(no_credential)
    changed = changes(vault, link)
    with transport.within(DEADLINE):
        narrowing = narrowed(vault, link) if set(changed) & set(SCOPE) else None
        if narrowing is not None and narrowing.lost and narrowing.impact != impact:
            raise Narrows(narrowing)
        verification = None
        if set(changed) - set(LABELS):
            verification = verify_link(link=link, vault=vault, actor=actor)
            if not verification.passed:
                raise NotVerified(verification)
    with transaction.atomic():
        locked = lock_vault(vault, version)
        lost = len(narrowing.lost) if narrowing else 0
        return _write(locked, link, changed, verification, lost, shown if agreement.ticked else None, actor)


def missing_credential(vault: KeyVault, link: VaultLink) -> dict[str, str]:
    """What is said at the credential's field where it has to be typed; empty otherwise.

    It has to be for another principal than the stored one is for (rule S1).
    """
    if link.identity == VaultIdentity.PORTAL or link.credential or keeps_credential(vault, link):
        return {}
    field = "certificate" if link.identity == VaultIdentity.PRINCIPAL_CERTIFICATE else "client_secret"
    return {field: _("Type it for this tenant and client.")}


def changes(vault: KeyVault, link: VaultLink) -> list[str]:
    """The columns that the link would change, and *credential* for a new one."""
    columns = (*IDENTITY, *SCOPE, *LABELS)
    changed = [column for column in columns if getattr(vault, column) != getattr(link, column)]
    return [*changed, *(["credential"] if link.credential else [])]


def narrowed(vault: KeyVault, link: VaultLink) -> Narrowing:
    """Which references the link's scope would refuse. A tag is asked of the vault, as it signs in now.

    Not to be called inside a transaction. Raises TooMany.
    """
    found = references(vault)
    if link.scope == VaultScope.TAG:
        asked = KeyVault.objects.get(pk=vault.pk)
        asked.scope, asked.scope_value = link.scope, link.scope_value
        judged = list(zip(found, look(asked, found, pinned=True), strict=True))
        lost = [(one, fit) for one, fit in judged if fit.facts is None or fit.code == "vault_not_allowed"]
    else:
        lost = [
            (one, Fit(code="vault_not_allowed"))
            for one in found
            if not names.allows(link.scope, link.scope_value, SecretFacts(name=one.secret.name))
        ]
    token = impact_of(vault, [one for one, _fit in lost], link.scope, link.scope_value)
    return Narrowing(lost=lost, impact=token)


def _write(
    vault: KeyVault,
    link: VaultLink,
    changed: Sequence[str],
    verification: Verification | None,
    lost: int,
    shown: consent.Wording | None,
    actor: User,
) -> KeyVault:
    if set(changed) & {*SCOPE, *IDENTITY}:
        # the list of names says which of them may be used, as this identity saw them: it is made anew
        VaultName.objects.filter(vault=vault).delete()
        vault.names_token, vault.names_count = "", 0
        vault.names_begun_at = vault.names_at = None
    fill(vault, link)
    if verification is not None:
        fill_verification(vault, verification, actor)
    if shown is not None and shown.hash != vault.consent.wording_hash:
        vault.consent = consent.give_for_vault(vault=vault, person=actor, shown=shown)
    vault.version += 1
    vault.updated_by = actor
    vault.save()
    store_credential(vault, link)
    audit.record(
        "vault.link_changed",
        actor=actor,
        target=vault,
        vault=vault.host,
        changed=list(changed),
        identity=vault.identity,
        tenant_id=vault.tenant_id,
        client_id=vault.client_id,
        scope=vault.scope,
        scope_value=vault.scope_value,
        no_longer_allowed=lost,
        version=vault.version,
    )
    transaction.on_commit(lambda: vault_clients.forget(vault))
    return vault
