"""What happened to a Key Vault or one of its secrets, in words for administrators; made when it is read."""

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections.models import VaultNotice, VaultSecretState, VaultState
from connections.vault_states import EXPIRING

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
        "secret": notice.secret_name,
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
