"""The sentences of the audit about how Key Vaults and their secrets are; see ``audit_sentences``.

They name the vault and never a secret: that is a detail, for people who may edit connections.
"""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections_portal.models import AuditEntry

STATES = {
    "working": gettext_lazy("working"),
    "unreachable": gettext_lazy("out of reach"),
    "sign_in_refused": gettext_lazy("refusing the sign-in"),
    "forbidden": gettext_lazy("giving no permission"),
}
SECRET_STATES = {
    "usable": gettext_lazy("usable"),
    "expires_30": gettext_lazy("expiring within 30 days"),
    "expires_7": gettext_lazy("expiring within 7 days"),
    "expires_1": gettext_lazy("expiring within a day"),
    "expired": gettext_lazy("expired"),
    "not_yet_valid": gettext_lazy("not valid yet"),
    "disabled": gettext_lazy("disabled"),
    "missing": gettext_lazy("missing"),
    "forbidden": gettext_lazy("not to be read"),
    "not_allowed": gettext_lazy("not among those that may be used here"),
}


def state_changed(entry: AuditEntry) -> tuple[str, dict[str, str]]:
    """What a vault was found to be, and was before."""
    words = {
        place: str(STATES.get(entry.details[detail], entry.details[detail]))
        for place, detail in (("now_words", "state"), ("before_words", "before"))
    }
    return _('%(actor)s found the Key Vault "%(object)s" %(now_words)s (before: %(before_words)s)'), words


def secret_state_changed(entry: AuditEntry) -> tuple[str, dict[str, str]]:
    """What a secret of a vault was found to be, and was before."""
    words = {
        place: str(SECRET_STATES.get(entry.details[detail], entry.details[detail]))
        for place, detail in (("now_words", "state"), ("before_words", "before"))
    }
    template = _(
        '%(actor)s found a secret of the Key Vault "%(object)s" %(now_words)s (before: %(before_words)s)'
    )
    return template, words


def secret_read(entry: AuditEntry) -> tuple[str, dict[str, str]]:
    """For a connection, or only to see whether it can be read."""
    if entry.details.get("purpose") == "check":
        return _(
            '%(actor)s read a secret of the Key Vault "%(object)s" to check it, and kept nothing of it'
        ), {}
    return _('%(actor)s read a secret of a Key Vault for "%(object)s"'), {}
