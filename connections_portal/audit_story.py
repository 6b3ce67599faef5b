"""An entry of the audit in words: its sentence, with links where there is something to open, and its details.

Entries outlive what wrote them: one that no sentence fits, because it is newer, older or of another shape, is told by
the words of its action (``audit.WORDS``), and by the action's own name where there are none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.html import conditional_escape, escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections_portal.audit import SYSTEM, WORDS
from connections_portal.audit_sentences import SENTENCES, readable
from connections_portal.models import AuditEntry

# Details that say where a connection leads, and what lies there: for people who may edit connections (rule S12).
FOR_ADMINISTRATORS = {
    "account",
    "client_id",
    "deleted",
    "fingerprint",
    "from_vaults",
    "host",
    "left",
    "options",
    "scope_value",
    "secret",
    "secrets",
    "target_digest",
    "tenant_id",
    "unread",
    "vault",
    "vault_before",
    "versions_let_go",
}
# Details that nobody reads: they tie rows together, or are numbers that the sentence has in words.
TECHNICAL = {"account", "draft", "host", "target_digest", "weekdays"}
LABELS = {
    "access": gettext_lazy("Who can use it"),
    "active": gettext_lazy("Can sign in"),
    "before": gettext_lazy("Before"),
    "bytes_sent": gettext_lazy("Bytes sent"),
    "canceled": gettext_lazy("Runs canceled"),
    "changed": gettext_lazy("Changed"),
    "code": gettext_lazy("Code"),
    "connection": gettext_lazy("Connection"),
    "consent": gettext_lazy("Agreement"),
    "count": gettext_lazy("Number"),
    "deleted": gettext_lazy("Deleted"),
    "fields": gettext_lazy("Fields"),
    "filters": gettext_lazy("Filters"),
    "fingerprint": gettext_lazy("Fingerprint"),
    "gained": gettext_lazy("Can use it now"),
    "groups": gettext_lazy("Groups"),
    "item": gettext_lazy("Run of"),
    "items": gettext_lazy("What is sent"),
    "joined": gettext_lazy("Joined"),
    "kept_running": gettext_lazy("Kept running"),
    "identity": gettext_lazy("Who signs in"),
    "key_version": gettext_lazy("Version of the key"),
    "left": gettext_lazy("Left"),
    "left_out": gettext_lazy("Left out"),
    "lost": gettext_lazy("Cannot use it any more"),
    "method": gettext_lazy("Request"),
    "options": gettext_lazy("Options"),
    "page": gettext_lazy("Page"),
    "people": gettext_lazy("People"),
    "purpose": gettext_lazy("Purpose"),
    "read": gettext_lazy("Rows read"),
    "reason": gettext_lazy("Reason"),
    "rejected": gettext_lazy("Rows rejected"),
    "role": gettext_lazy("Role"),
    "run": gettext_lazy("Run"),
    "schedule": gettext_lazy("Schedule"),
    "scope": gettext_lazy("Secrets that may be used"),
    "scope_value": gettext_lazy("Prefix or tag"),
    "secret": gettext_lazy("Secret"),
    "secrets": gettext_lazy("Secrets"),
    "schedules_off": gettext_lazy("Schedules turned off"),
    "sent": gettext_lazy("Rows sent"),
    "settled": gettext_lazy("Settled"),
    "state": gettext_lazy("State"),
    "step": gettext_lazy("Step"),
    "trigger": gettext_lazy("Started by"),
    "person": gettext_lazy("Person"),
    "type": gettext_lazy("Type"),
    "used_by": gettext_lazy("Used by"),
    "vault": gettext_lazy("Key Vault"),
    "vault_before": gettext_lazy("Key Vault before"),
    "version": gettext_lazy("Version"),
    "versions_let_go": gettext_lazy("Read in the latest version now"),
}


@dataclass(frozen=True)
class Sentence:
    """A text with named places and what stands in them: user text only ever in ``values``."""

    template: str
    values: Mapping[str, str]

    def __str__(self) -> str:
        return self.template % self.values

    def html(self, links: Mapping[str, str]) -> SafeString:
        """The sentence escaped, with a link on each place that ``links`` has an address for."""
        shown = {
            place: format_html('<a href="{}">{}</a>', links[place], value)
            if links.get(place)
            else conditional_escape(value)
            for place, value in self.values.items()
        }
        return mark_safe(escape(self.template) % shown)  # noqa: S308 - both parts are escaped


@dataclass(frozen=True, kw_only=True)
class Detail:
    """One detail of an entry in words; ``key`` is its name in the code."""

    key: str
    label: str
    value: str


def sentence(entry: AuditEntry) -> Sentence:
    """What happened, without its time."""
    values = {
        **{key: in_words(value) for key, value in entry.details.items()},
        "actor": actor(entry),
        "object": entry.object_label or _("without a name"),
    }
    try:
        template, more = _wording(entry)
        said = Sentence(template, values | more)
        str(said)
    except (KeyError, TypeError, ValueError, AttributeError):
        # details of another shape than today's: an older entry, or a newer one
        return _plainly(entry, values)
    return said


def describe(entry: AuditEntry) -> str:
    """The entry as a sentence: *Ana Weber set up "Newsletter"*."""
    return str(sentence(entry))


def actor(entry: AuditEntry) -> str:
    """Who did it; *The portal* for what happened without anybody asking."""
    return _("The portal") if entry.actor_id is None and entry.actor_label == SYSTEM else entry.actor_label


def details(entry: AuditEntry, *, for_administrators: bool) -> list[Detail]:
    """What else the entry keeps, as lines; what says where a connection leads only for administrators."""
    hidden = TECHNICAL if for_administrators else TECHNICAL | FOR_ADMINISTRATORS
    return [
        Detail(key=key, label=str(LABELS.get(key) or readable(key).capitalize()), value=in_words(value))
        for key, value in entry.details.items()
        if key not in hidden and value not in ("", None, [], {})
    ]


def action_words(action: str) -> str:
    """The action in a few words, for lists and filters: *Set up a connection*."""
    words = str(WORDS.get(action) or readable(action).replace(".", ": "))
    return words[:1].upper() + words[1:]


def in_words(value: Any) -> str:
    """A detail as text: lists with commas, numbers with separators."""
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, int | float):
        return number_format(value, force_grouping=True)
    if isinstance(value, list | tuple):
        return ", ".join(in_words(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{readable(key)}: {in_words(part)}" for key, part in value.items())
    return "" if value is None else str(value)


def _wording(entry: AuditEntry) -> tuple[str, dict[str, str]]:
    writer = SENTENCES[entry.action]
    if isinstance(writer, str | Promise):
        return str(writer), {}
    return writer(entry)


def _plainly(entry: AuditEntry, values: Mapping[str, str]) -> Sentence:
    template = _('%(actor)s: %(words)s ("%(object)s")') if entry.object_label else _("%(actor)s: %(words)s")
    words = action_words(entry.action)
    return Sentence(template, {**values, "words": words[:1].lower() + words[1:]})
