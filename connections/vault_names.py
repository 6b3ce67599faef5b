"""What the list of a vault's secrets offers to choose from: names with their states, a page at a time, never a value.

The list that a worker has read is searched in the database. Before there is a whole one, the vault itself is asked:
for one page of names, or for the very name that was typed, with one request.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Case, QuerySet, Value, When
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from connections import vault_clients
from connections.connectors.errors import ConnectorError
from connections.key_vault import names
from connections.key_vault.base import TARGET_TAG, SecretFacts, Vault
from connections.models import KeyVault, VaultName
from connections.operations.limits import TooMany, slot

PAGE = 25
# Versions beyond these, the newest ones, are as good as never pinned.
MOST_VERSIONS = 50


@dataclass(frozen=True, kw_only=True)
class Option:
    """A secret, or one version of it: ``reason`` says why it cannot be chosen, ``note`` something worth knowing."""

    value: str
    label: str
    note: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What there is to choose from; ``after`` leads to the next page, ``note`` says what there is not, and why."""

    options: Sequence[Option] = ()
    after: str = ""
    note: str = ""


def offer_names(vault: KeyVault, *, words: str, after: str, host: str) -> Offer:
    """Names for what is typed (``words``); ``host`` is where the connection leads, empty while that is not known.

    Never raises: what a vault refuses is said in ``note``.
    """
    words = words.strip()[:127]
    if not vault.can_list:
        return Offer(note=_("The vault does not list its secrets. Type the whole name."))
    if vault.names_at is not None:
        return _from_list(vault, words, after, host)
    try:
        with slot():
            return _from_vault(vault, words, after, host)
    except TooMany as busy:
        return Offer(note=busy.message)
    except ConnectorError as error:
        return Offer(
            note=_("%(cause)s The whole name can be typed all the same.") % {"cause": _(error.cause)}
        )


def offer_versions(vault: KeyVault, name: str, *, host: str) -> Offer:
    """The versions of a secret, the newest ones first. Never raises."""
    try:
        name = names.clean_secret_name(name)
    except ValueError:
        return Offer(note=_("Choose a secret first, then its version."))
    try:
        with slot():
            found = vault_clients.client_of(vault, patient=False).versions(name)
    except TooMany as busy:
        return Offer(note=busy.message)
    except ConnectorError as error:
        return Offer(note=_("The versions cannot be listed: %(cause)s") % {"cause": _(error.cause)})
    now = timezone.now()
    return Offer(
        options=[
            Option(
                value=facts.version,
                label=facts.version,
                note=_("made %(time)s") % {"time": _day(facts.created_at, "DATETIME_FORMAT")}
                if facts.created_at
                else "",
                reason=reason_of(vault, facts, host, now),
            )
            for facts in found[:MOST_VERSIONS]
        ],
        note=_("Only the %(n)d newest are listed.") % {"n": MOST_VERSIONS}
        if len(found) > MOST_VERSIONS
        else "",
    )


def reason_of(vault: KeyVault, facts: SecretFacts, host: str, now: dt.datetime) -> str:
    """Why a secret cannot be chosen for a connection to ``host``; empty when it can."""
    if not names.allows(vault.scope, vault.scope_value, facts):
        return _("Not among the secrets that may be used here")
    return _state(facts, host, now)


def _state(facts: SecretFacts, host: str, now: dt.datetime) -> str:
    match names.usable(facts, now):
        case "vault_secret_disabled":
            return _("Disabled")
        case "vault_secret_expired":
            return _("Expired on %(day)s") % {"day": _day(facts.expires_at)}
        case "vault_secret_not_yet_valid":
            return _("Not valid before %(day)s") % {"day": _day(facts.not_before)}
    if host and not names.for_target(names.target_tag(facts), host):
        return _("For another target")
    return ""


def _day(moment: dt.datetime | None, format_name: str = "DATE_FORMAT") -> str:
    return date_format(timezone.localtime(moment), format_name) if moment else ""


def _from_list(vault: KeyVault, words: str, after: str, host: str) -> Offer:
    begin = int(after) if after.isascii() and after.isdigit() and len(after) < 7 else 0
    rows = list(_matching(vault, words)[begin : begin + PAGE + 1])
    options = [_listed(row, host) for row in rows[:PAGE]]
    if words and not begin:
        refused = VaultName.objects.filter(vault=vault, name__iexact=words, allowed=False).first()
        if refused is not None:
            options.insert(0, _listed(refused, host))
    return Offer(
        options=options,
        after=str(begin + PAGE) if len(rows) > PAGE else "",
        note="" if options else _nothing(words),
    )


def _nothing(words: str) -> str:
    if words:
        return _(
            "No name has “%(words)s” in it. If the secret is new, refresh the list or type its whole name."
        ) % {"words": words}
    return _("There is no secret that may be used here.")


def _matching(vault: KeyVault, words: str) -> QuerySet[VaultName]:
    """The names that may be used, those that begin with the words before those that have them elsewhere."""
    rows = VaultName.objects.filter(vault=vault, allowed=True)
    if not words:
        return rows.order_by("name")
    begins = Case(When(name__istartswith=words, then=Value(0)), default=Value(1))
    return rows.filter(name__icontains=words).order_by(begins, "name")


def _listed(row: VaultName, host: str) -> Option:
    facts = SecretFacts(
        name=row.name,
        enabled=row.enabled,
        not_before=row.not_before,
        expires_at=row.expires_at,
        tags={TARGET_TAG: row.portal_target} if row.portal_target else {},
    )
    if not row.allowed:
        reason = _("Not among the secrets that may be used here")
    else:
        reason = _state(facts, host, timezone.now())
    return Option(value=row.name, label=row.name, reason=reason)


def _from_vault(vault: KeyVault, words: str, after: str, host: str) -> Offer:
    """One request: the very name that is typed, else a page. What a worker has listed so far comes along."""
    client = vault_clients.client_of(vault, patient=False)
    if words and not after:
        exact = _exact(vault, client, words, host)
        known = {option.value.lower() for option in exact}
        more = [row for row in _matching(vault, words)[:PAGE] if row.name.lower() not in known]
        options = [*exact, *(_listed(row, host) for row in more)]
        note = _("The list is not there yet. Type the whole name to find a secret.")
        return Offer(options=options, note="" if exact else note)
    page = client.names(after)
    shown = _shown(vault, page.items, host)
    note = "" if shown or page.after else _nothing("")
    if page.after and not shown:
        note = _("None of these may be used here.")
    return Offer(options=shown, after=page.after, note=note)


def _exact(vault: KeyVault, client: Vault, words: str, host: str) -> list[Option]:
    try:
        name = names.clean_secret_name(words)
        facts = client.facts(name)
    except ValueError:
        return []
    except ConnectorError as error:
        if error.code != "vault_secret_missing":
            raise
        return []
    return [Option(value=facts.name, label=facts.name, reason=reason_of(vault, facts, host, timezone.now()))]


def _shown(vault: KeyVault, found: Iterable[SecretFacts], host: str) -> list[Option]:
    """Those that the link allows; what else there is does not concern whoever chooses here."""
    now = timezone.now()
    return [
        Option(value=facts.name, label=facts.name, reason=_state(facts, host, now))
        for facts in found
        if names.allows(vault.scope, vault.scope_value, facts)
    ]
