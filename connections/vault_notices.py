"""What happened to a Key Vault or one of its secrets, in words for administrators; made when it is read."""

import datetime as dt
from collections.abc import Sequence

from django.db.models import QuerySet
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connections import dependents
from connections.key_vault import errors
from connections.models import (
    Connection,
    ConnectionSecret,
    KeyVault,
    VaultNotice,
    VaultSecret,
    VaultSecretState,
    VaultState,
)
from connections.vault_states import EXPIRING, SECRET_CODES

# So many connections are named in a letter, and so many asked for their next run.
NAMED, ASKED = 10, 20

VAULT_SENTENCES = {
    VaultState.WORKING: gettext_lazy('The Key Vault "%(vault)s" works again.'),
    VaultState.UNREACHABLE: gettext_lazy('The Key Vault "%(vault)s" is out of reach.'),
    VaultState.SIGN_IN_REFUSED: gettext_lazy('The Key Vault "%(vault)s" refuses the sign-in.'),
    VaultState.FORBIDDEN: gettext_lazy('The Key Vault "%(vault)s" gives the portal no permission.'),
}
SECRET_SENTENCES = {
    VaultSecretState.USABLE: gettext_lazy('The secret "%(secret)s" in "%(vault)s" can be used again.'),
    VaultSecretState.EXPIRES_30: gettext_lazy(
        'The secret "%(secret)s" in "%(vault)s" expires within 30 days, on %(expires)s.'
    ),
    VaultSecretState.EXPIRES_7: gettext_lazy(
        'The secret "%(secret)s" in "%(vault)s" expires within 7 days, on %(expires)s.'
    ),
    VaultSecretState.EXPIRES_1: gettext_lazy(
        'The secret "%(secret)s" in "%(vault)s" expires within a day, on %(expires)s.'
    ),
    VaultSecretState.EXPIRED: gettext_lazy(
        'The secret "%(secret)s" in "%(vault)s" has expired, on %(expires)s.'
    ),
    VaultSecretState.NOT_YET_VALID: gettext_lazy('The secret "%(secret)s" in "%(vault)s" is not valid yet.'),
    VaultSecretState.DISABLED: gettext_lazy('The secret "%(secret)s" in "%(vault)s" is disabled.'),
    VaultSecretState.MISSING: gettext_lazy('The secret "%(secret)s" is missing in "%(vault)s".'),
    VaultSecretState.FORBIDDEN: gettext_lazy(
        'The portal has no permission to read the secret "%(secret)s" in "%(vault)s".'
    ),
    VaultSecretState.NOT_ALLOWED: gettext_lazy(
        'The secret "%(secret)s" in "%(vault)s" is not among those that may be used here any more.'
    ),
}


def text_of(notice: VaultNotice) -> str:
    """The notice in one sentence, for administrators: it names vault, secret, person and target."""
    places = {
        "vault": notice.vault_name,
        "secret": _secret(notice),
        "expires": when(notice) or "–",
        "person": notice.person_label or _("The portal"),
        "target": notice.cause,
    }
    match VaultNotice.Kind(notice.kind):
        case VaultNotice.Kind.VAULT:
            sentence = str(VAULT_SENTENCES[VaultState(notice.after)])
        case VaultNotice.Kind.SECRET:
            sentence = _of_secret(notice)
        case VaultNotice.Kind.NEW_TARGET:
            sentence = _(
                '%(person)s used the secret "%(secret)s" in "%(vault)s" for a new target: %(target)s'
            )
    return sentence % places


def _secret(notice: VaultNotice) -> str:
    """What the secret is called; of a fixed version also which one, for its latest one may be as well as ever."""
    if notice.kind != VaultNotice.Kind.SECRET or not notice.cause:
        return notice.secret_name
    return _("%(name)s, version %(version)s") % {"name": notice.secret_name, "version": notice.cause}


def _of_secret(notice: VaultNotice) -> str:
    after = VaultSecretState(notice.after)
    if after is VaultSecretState.USABLE and notice.before in EXPIRING:
        return (
            _('The secret "%(secret)s" in "%(vault)s" was renewed and expires on %(expires)s.')
            if notice.expires_at
            else _('The secret "%(secret)s" in "%(vault)s" was renewed.')
        )
    return str(SECRET_SENTENCES[after])


def when(notice: VaultNotice) -> str:
    """When the secret expires, in the reader's time zone; empty where it never does."""
    if notice.expires_at is None:
        return ""
    return formats.date_format(timezone.localtime(notice.expires_at), "j F Y, H:i T")


def is_good(notice: VaultNotice) -> bool:
    """Whether it is good news."""
    return notice.after in (VaultState.WORKING, VaultSecretState.USABLE)


def holds(notice: VaultNotice) -> bool:
    """Whether things still are as it says, and nobody said so again since; what happened once goes on being true."""
    later = VaultNotice.objects.filter(
        kind=notice.kind, vault_uuid=notice.vault_uuid, secret_name=notice.secret_name, pk__gt=notice.pk
    )
    match VaultNotice.Kind(notice.kind):
        case VaultNotice.Kind.VAULT:
            as_said = KeyVault.objects.filter(uuid=notice.vault_uuid, state=notice.after).exists()
        case VaultNotice.Kind.SECRET:
            later = later.filter(cause=notice.cause)
            as_said = _secrets(notice).filter(state=notice.after).exists()
        case VaultNotice.Kind.NEW_TARGET:
            return True
    return as_said and not later.exists()


def _secrets(notice: VaultNotice) -> QuerySet[VaultSecret]:
    """The secret that a notice is about, as the version that is read, if it is referred to still."""
    return VaultSecret.objects.filter(
        vault__uuid=notice.vault_uuid, name=notice.secret_name, pinned=notice.cause
    )


def more_about(notice: VaultNotice, now: dt.datetime | None = None) -> list[str]:
    """Paragraphs for a letter: the cause, what to do, which connections are concerned, what is built on them, and
    which scheduled run would fail. Asks the database some ten times for each of up to ``ASKED`` connections.
    """
    now = now or timezone.now()
    connections = _concerned(notice)
    said = [_(notice.cause)] if notice.kind == VaultNotice.Kind.VAULT and notice.cause else []
    if remedy := _remedy(notice):
        said.append(remedy)
    if notice.connections:
        said.append(_("Connections: %(names)s.") % {"names": _named(notice.connections)})
    ids = [connection.pk for connection in connections]
    totals = ((kind, sum(kind.count(ids).values())) for kind in dependents.kinds())
    if built := [kind.phrase(number) for kind, number in totals if number]:
        said.append(_("Built on them: %(what)s.") % {"what": ", ".join(built)})
    if fails := _next_to_fail(notice, connections[:ASKED], now):
        moment = formats.date_format(timezone.localtime(fails), "j F Y, H:i T")
        said.append(_("The next scheduled run, on %(moment)s, would fail.") % {"moment": moment})
    return said


def _concerned(notice: VaultNotice) -> list[Connection]:
    """The connections that read the secret, or any of the vault, now."""
    if notice.kind == VaultNotice.Kind.NEW_TARGET:
        return []
    used = ConnectionSecret.objects.filter(vault_secret__vault__uuid=notice.vault_uuid)
    if notice.secret_name:
        used = used.filter(vault_secret__in=_secrets(notice))
    return list(Connection.objects.filter(pk__in=used.values("connection")).order_by("name_key", "pk"))


def _remedy(notice: VaultNotice) -> str:
    if not notice.secret_name or not notice.after:
        return ""
    after = VaultSecretState(notice.after)
    if notice.cause and after in (*EXPIRING, VaultSecretState.EXPIRED):
        return _("A fixed version of it is used: choose a newer one, or always the latest.")
    if after in EXPIRING:
        return _("Give it a new version in Azure before: the portal reads the latest one by itself.")
    return _(errors.problem(SECRET_CODES[after]).remedy) if after in SECRET_CODES else ""


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    if more <= 0:
        return ", ".join(names)
    words = ngettext("%(names)s and %(n)d more", "%(names)s and %(n)d more", more)
    return words % {"names": ", ".join(names[:NAMED]), "n": more}


def _next_to_fail(
    notice: VaultNotice, connections: Sequence[Connection], now: dt.datetime
) -> dt.datetime | None:
    """When a schedule next uses one of these connections, if that is while the secret cannot be read."""
    if is_good(notice):
        return None
    uses = (kind.use(connection, now) for connection in connections for kind in dependents.kinds())
    first = min((use.next_run for use in uses if use.next_run is not None), default=None)
    if (
        first is not None
        and notice.after in EXPIRING
        and (not notice.expires_at or first < notice.expires_at)
    ):
        return None
    return first
