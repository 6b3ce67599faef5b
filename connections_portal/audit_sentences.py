"""The sentence of each action of the audit, made when it is read (``audit.WORDS`` has the words of filters).

A sentence is a text with named places. ``%(actor)s`` is who did it, ``%(object)s`` what it was about, ``%(item)s`` the
export or enrichment whose run it belongs to; each detail of the entry stands under its own name as text. Where the
wording depends on the details, a function chooses it and may add places of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connections_portal import audit_vaults
from connections_portal.local_times import WEEKDAYS
from connections_portal.models import AuditEntry, RunState
from connections_portal.roles import LABELS

Wording = tuple[str, dict[str, str]]
Writer = Callable[[AuditEntry], Wording]

NAMED = 2


def listed(names: Sequence[Any]) -> str:
    """*Ana*, *Ana and Ben*, *Ana, Ben and Maja*."""
    texts = [str(name) for name in names]
    if len(texts) < 2:
        return "".join(texts)
    return _("%(most)s and %(last)s") % {"most": ", ".join(texts[:-1]), "last": texts[-1]}


def named_or_counted(people: Sequence[Any], groups: Sequence[Any]) -> str:
    """*Ben*, *Ben, Maja and 3 more people*, *Ben and 2 groups*; empty for nobody."""
    parts = [str(person) for person in people]
    if len(parts) > NAMED + 1:
        more = len(parts) - NAMED
        words = ngettext("%(n)d more person", "%(n)d more people", more) % {"n": more}
        parts = [*parts[:NAMED], words]
    if len(groups) == 1:
        parts.append(_('the group "%(name)s"') % {"name": groups[0]})
    elif groups:
        parts.append(ngettext("%(n)d group", "%(n)d groups", len(groups)) % {"n": len(groups)})
    return listed(parts)


def who_may_use(details: Mapping[str, Any]) -> str:
    """*administrators and contributors*, or those who are named, of the choice who can use a connection."""
    if details["access"] == "contributors":
        return _("all contributors")
    if details["access"] == "specific":
        named = named_or_counted(details["people"], details["groups"])
        return named or _("nobody but administrators")
    return _("nobody but administrators")


def readable(key: Any) -> str:
    """A name of the code for people: *export_folder* becomes *export folder*."""
    return str(key).replace("_", " ").replace(":", ", ")


def _person(done: str | Promise) -> Writer:
    def write(entry: AuditEntry) -> Wording:
        role, groups = entry.details.get("role", ""), entry.details.get("groups") or []
        template = str(done)
        if role:
            template += _(" as %(role_words)s")
        if groups:
            template += _(", in %(groups_words)s")
        return template, {"role_words": _role(role), "groups_words": listed(groups)}

    return write


def _role(name: str) -> str:
    label = next((label for role, label in LABELS.items() if role.value == name), name)
    return str(label).lower()


def _person_changed(entry: AuditEntry) -> Wording:
    details = entry.details
    changes = []
    if details.get("role"):
        changes.append(_("the role is %(role)s") % {"role": _role(details["role"])})
    if details.get("joined"):
        changes.append(_("joined %(groups)s") % {"groups": listed(details["joined"])})
    if details.get("left"):
        changes.append(_("left %(groups)s") % {"groups": listed(details["left"])})
    if details.get("active") is False:
        changes.append(_("cannot sign in"))
    if not changes:
        return _("%(actor)s changed the account of %(object)s"), {}
    return _("%(actor)s changed the account of %(object)s: %(changes)s"), {"changes": ", ".join(changes)}


def _group_changed(entry: AuditEntry) -> Wording:
    changes = []
    if entry.details.get("before"):
        changes.append(_('it was called "%(name)s"') % {"name": entry.details["before"]})
    if entry.details.get("joined"):
        changes.append(_("%(people)s joined") % {"people": named_or_counted(entry.details["joined"], [])})
    if entry.details.get("left"):
        changes.append(_("%(people)s left") % {"people": named_or_counted(entry.details["left"], [])})
    return _('%(actor)s changed the group "%(object)s": %(changes)s'), {"changes": ", ".join(changes)}


def _verified(entry: AuditEntry) -> Wording:
    if entry.outcome == AuditEntry.Outcome.REFUSED:
        step = readable(entry.details.get("step", ""))
        return (
            _('%(actor)s verified "%(object)s" and it failed at the step %(step_words)s'),
            {"step_words": step},
        )
    return _('%(actor)s verified "%(object)s"'), {}


def _created(entry: AuditEntry) -> Wording:
    return _('%(actor)s set up "%(object)s" and shared it with %(who)s'), {"who": who_may_use(entry.details)}


def _connection_edited(entry: AuditEntry) -> Wording:
    template = _('%(actor)s edited "%(object)s"')
    if entry.details.get("changed"):
        template += ": %(changed_words)s"
    if entry.details.get("target_changed"):
        template += _(" (data goes to another place now)")
    return template, {"changed_words": listed([readable(key) for key in entry.details.get("changed") or []])}


def _canceling(done: str | Promise) -> Writer:
    """A sentence that ends with how many runs were canceled, if any were."""

    def write(entry: AuditEntry) -> Wording:
        number = entry.details.get("canceled") or 0
        if not isinstance(number, int) or not number:
            return str(done), {}
        words = ngettext("canceled %(n)d run", "canceled %(n)d runs", number) % {"n": number}
        return str(done) + _(" and %(canceled_words)s"), {"canceled_words": words}

    return write


def _shared(entry: AuditEntry) -> Wording:
    lost = entry.details.get("lost") or []
    if entry.details.get("gained") and not lost:
        return _('%(actor)s shared "%(object)s" with %(who)s'), {"who": who_may_use(entry.details)}
    template = _('%(actor)s set who can use "%(object)s": %(who)s')
    if lost:
        template += _("; %(lost_words)s cannot use it any more")
    return template, {"who": who_may_use(entry.details), "lost_words": named_or_counted(lost, [])}


def _remove_refused(entry: AuditEntry) -> Wording:
    return (
        _('%(actor)s tried to remove "%(object)s", which is used by %(uses)s'),
        {"uses": listed(entry.details["used_by"])},
    )


def _tidied(entry: AuditEntry) -> Wording:
    number = len(entry.details["deleted"])
    words = ngettext("%(n)d unfinished folder", "%(n)d unfinished folders", number) % {"n": number}
    return _('%(actor)s deleted %(folders)s of earlier runs at "%(object)s"'), {"folders": words}


def _secret_used(entry: AuditEntry) -> Wording:
    purpose = entry.details.get("purpose", "")
    if purpose == "run":
        template = _('The portal used the secrets of "%(object)s" for a run')
        if entry.details.get("item"):
            template += _(' of "%(item)s"')
        return (template + _(", on behalf of %(actor)s") if entry.actor_id else template), {}
    if purpose == "verify":
        return _('%(actor)s used the secrets of "%(object)s" to verify it'), {}
    if purpose == "check":
        return _('%(actor)s looked whether a secret of the Key Vault "%(object)s" can be read'), {}
    if purpose == "tidy":
        return _('%(actor)s used the secrets of "%(object)s" to delete unfinished files'), {}
    if purpose == "vault":
        return _('The portal used the stored credential of the Key Vault "%(object)s" to sign in there'), {}
    return _('%(actor)s used the secrets of "%(object)s" (%(purpose)s)'), {}


def _key_rotated(entry: AuditEntry) -> Wording:
    number, unread = entry.details["count"], len(entry.details.get("unread") or [])
    template = ngettext(
        "%(actor)s encrypted %(count)s stored secret with another key",
        "%(actor)s encrypted %(count)s stored secrets with another key",
        number,
    )
    if unread:
        template += ngettext("; %(n)d could not be read", "; %(n)d could not be read", unread) % {"n": unread}
    return template, {}


def _scheduled(entry: AuditEntry) -> Wording:
    words = {
        "manual": _("manual only"),
        "system": _("with the system refresh"),
        "day": _("every day at %(time)s (%(zone)s)"),
        "week": _("every week at %(time)s (%(zone)s)"),
        "month": _("every month at %(time)s (%(zone)s)"),
    }.get(entry.details.get("schedule", ""), "%(schedule)s")
    return _('%(actor)s set the schedule of "%(object)s": ') + words, {}


def _saved(done: str | Promise) -> Writer:
    """*created* or *edited* an export, with its connection and the number of its items."""

    def write(entry: AuditEntry) -> Wording:
        template = str(done)
        if entry.details.get("connection"):
            template += _(', on the connection "%(connection)s"')
        return template, {}

    return write


def _run_requested(entry: AuditEntry) -> Wording:
    if entry.details.get("trigger") in ("schedule", "catch_up"):
        return _('The schedule started a run of "%(object)s"'), {}
    if entry.details.get("trigger") == "refresh":
        return _('The system refresh started a run of "%(object)s"'), {}
    return _('%(actor)s started a run of "%(object)s"'), {}


def _run_finished(entry: AuditEntry) -> Wording:
    state = entry.details.get("state", "")
    words = {
        RunState.SUCCESSFUL.value: _("was successful"),
        RunState.WARNINGS.value: _("was completed with warnings"),
        RunState.FAILED.value: _("failed"),
        RunState.CANCELED.value: _("was canceled"),
    }.get(state, state)
    template = _('A run of "%(object)s" %(state_words)s')
    if state in (RunState.SUCCESSFUL.value, RunState.WARNINGS.value):
        template += _(": %(sent)s of %(read)s rows sent")
    return template, {"state_words": words}


def _refresh_scheduled(entry: AuditEntry) -> Wording:
    kind, times = entry.details["kind"], entry.details.get("times") or []
    if kind == "off":
        return _("%(actor)s turned the system refresh off"), {}
    template = {
        "daily": _("%(actor)s set the system refresh to every day at %(times_words)s (%(zone)s)"),
        "weekly": _("%(actor)s set the system refresh to every %(days_words)s at %(times_words)s (%(zone)s)"),
    }[kind]
    days = dict(WEEKDAYS)
    named = listed([days[day] for day in entry.details.get("weekdays") or []])
    return template, {"times_words": listed(times), "days_words": named}


def _refresh_started(entry: AuditEntry) -> Wording:
    number = entry.details["queued"]
    words = ngettext("%(n)d run was queued", "%(n)d runs were queued", number) % {"n": number}
    if entry.actor_id is None:
        return _("The system refresh began by its schedule: %(queued_words)s"), {"queued_words": words}
    return _("%(actor)s started the system refresh: %(queued_words)s"), {"queued_words": words}


def _with_reason(done: str | Promise) -> Writer:
    """A sentence with the reason that somebody gave, if they did."""

    def write(entry: AuditEntry) -> Wording:
        return (str(done) + _(": %(reason)s") if entry.details.get("reason") else str(done)), {}

    return write


def _refused(entry: AuditEntry) -> Wording:
    looked = entry.details.get("method", "GET") in ("GET", "HEAD")
    template = (
        _("%(actor)s was not let onto the page %(page_words)s")
        if looked
        else _("%(actor)s was refused %(page_words)s")
    )
    if entry.object_label:
        template += _(' of "%(object)s"')
    return template, {"page_words": readable(entry.details.get("page", "?"))}


def _downloaded(entry: AuditEntry) -> Wording:
    if entry.details.get("filters"):
        return _("%(actor)s downloaded a part of the audit"), {}
    return _("%(actor)s downloaded the audit"), {}


SENTENCES: dict[str, str | Promise | Writer] = {
    "account.signed_in": gettext_lazy("%(actor)s signed in"),
    "account.locked_out": gettext_lazy("Somebody was locked out after wrong passwords"),
    "account.password_changed": gettext_lazy("%(actor)s changed their password"),
    "person.added": _person(gettext_lazy("%(actor)s added %(object)s")),
    "person.changed": _person_changed,
    "person.activated": gettext_lazy("%(actor)s let %(object)s sign in again"),
    "person.deactivated": gettext_lazy("%(actor)s deactivated %(object)s, who cannot sign in any more"),
    "person.password_set": gettext_lazy("%(actor)s set another password for %(object)s"),
    "person.removed": gettext_lazy("%(actor)s removed %(object)s"),
    "group.added": gettext_lazy('%(actor)s added the group "%(object)s"'),
    "group.changed": _group_changed,
    "group.removed": gettext_lazy('%(actor)s removed the group "%(object)s"'),
    "connection.verification_begun": gettext_lazy('%(actor)s began to verify "%(object)s"'),
    "connection.verified": _verified,
    "connection.server_trusted": gettext_lazy('%(actor)s trusted the key of the server of "%(object)s"'),
    "connection.created": _created,
    "connection.edited": _connection_edited,
    "connection.paused": _canceling(gettext_lazy('%(actor)s paused "%(object)s"')),
    "connection.resumed": gettext_lazy('%(actor)s resumed "%(object)s"'),
    "connection.consent_withdrawn": _canceling(
        gettext_lazy('%(actor)s withdrew the agreement to the privacy terms of "%(object)s"')
    ),
    "connection.shared": _shared,
    "connection.share_undone": gettext_lazy('%(actor)s gave "%(object)s" back the access that it had (Undo)'),
    "connection.stopped": _canceling(gettext_lazy('%(actor)s stopped everything on "%(object)s"')),
    "connection.seen_as": gettext_lazy("%(actor)s looked at the connections that %(object)s is offered"),
    "connection.removed": gettext_lazy('%(actor)s removed "%(object)s"'),
    "connection.remove_refused": _remove_refused,
    "connection.restored": gettext_lazy('%(actor)s restored "%(object)s"'),
    "connection.forgotten": gettext_lazy('%(actor)s forgot "%(object)s", which was removed 30 days before'),
    "connection.dependents_moved": gettext_lazy(
        '%(actor)s moved what used "%(object)s" to "%(connection)s" (%(settled)s)'
    ),
    "connection.tidied": _tidied,
    "connection.needs_attention": gettext_lazy(
        '%(actor)s marked "%(object)s" as needing attention (%(code)s)'
    ),
    "connection.well_again": gettext_lazy('%(actor)s found "%(object)s" well again (%(code)s)'),
    "vault.verification_begun": gettext_lazy('%(actor)s began to verify the Key Vault "%(object)s"'),
    "vault.verified": _verified,
    "vault.linked": gettext_lazy('%(actor)s linked the Key Vault "%(object)s"'),
    "vault.link_changed": gettext_lazy('%(actor)s changed the link of the Key Vault "%(object)s"'),
    "vault.unlinked": gettext_lazy('%(actor)s unlinked the Key Vault "%(object)s"'),
    "vault.replaced": gettext_lazy('%(actor)s let "%(object)s" read its secrets from another Key Vault'),
    "vault.check_requested": gettext_lazy('%(actor)s asked for a check of the Key Vault "%(object)s"'),
    "vault.names_requested": gettext_lazy(
        '%(actor)s asked for the names of secrets of the Key Vault "%(object)s"'
    ),
    "vault.names_read": gettext_lazy('%(actor)s read the names of secrets of the Key Vault "%(object)s"'),
    "vault.secret_read": audit_vaults.secret_read,
    "vault.secret_refreshed": gettext_lazy(
        '%(actor)s asked for the latest value of a Key Vault secret of "%(object)s"'
    ),
    "vault.state_changed": audit_vaults.state_changed,
    "vault.secret_state_changed": audit_vaults.secret_state_changed,
    "vault.notice": gettext_lazy('%(actor)s used a secret of the Key Vault "%(object)s" for a new target'),
    "secret.used": _secret_used,
    "secret.key_rotated": _key_rotated,
    "table.sample_viewed": gettext_lazy('%(actor)s looked at sample rows of "%(object)s"'),
    "export.created": _saved(gettext_lazy('%(actor)s created "%(object)s"')),
    "export.edited": _saved(gettext_lazy('%(actor)s edited "%(object)s"')),
    "export.renamed": gettext_lazy('%(actor)s renamed "%(before)s" to "%(object)s"'),
    "export.scheduled": _scheduled,
    "export.detached": gettext_lazy('%(actor)s detached the connection "%(connection)s" from "%(object)s"'),
    "export.detach_undone": gettext_lazy(
        '%(actor)s put the connection "%(connection)s" back on "%(object)s" (Undo)'
    ),
    "export.attached": gettext_lazy('%(actor)s added the connection "%(connection)s" to "%(object)s"'),
    "export.taken_over": gettext_lazy('%(actor)s took "%(object)s" over'),
    "export.moved": gettext_lazy('%(actor)s moved "%(object)s" from "%(before)s" to "%(connection)s"'),
    "export.removed": gettext_lazy('%(actor)s removed "%(object)s"'),
    "export.run_requested": _run_requested,
    "export.run_canceled": _with_reason(gettext_lazy('%(actor)s canceled a run of "%(object)s"')),
    "export.run_requeued": _with_reason(gettext_lazy('%(actor)s queued a lost run of "%(object)s" again')),
    "export.rejected_downloaded": gettext_lazy(
        '%(actor)s downloaded the records that were refused in a run of "%(object)s"'
    ),
    "export.run_finished": _run_finished,
    "enrichment.created": _saved(gettext_lazy('%(actor)s created "%(object)s"')),
    "enrichment.edited": _saved(gettext_lazy('%(actor)s edited "%(object)s"')),
    "enrichment.activated": gettext_lazy('%(actor)s activated "%(object)s"'),
    "enrichment.deactivation_undone": gettext_lazy('%(actor)s activated "%(object)s" again (Undo)'),
    "enrichment.deactivated": gettext_lazy('%(actor)s deactivated "%(object)s"'),
    "enrichment.moved": gettext_lazy('%(actor)s moved "%(object)s" from "%(before)s" to "%(connection)s"'),
    "enrichment.connection_gone": gettext_lazy(
        '%(actor)s took the connection "%(connection)s", which was removed, from the inactive "%(object)s"'
    ),
    "enrichment.deleted": gettext_lazy('%(actor)s deleted "%(object)s"'),
    "enrichment.run_requested": _run_requested,
    "enrichment.run_finished": _run_finished,
    "enrichment.run_canceled": _with_reason(gettext_lazy('%(actor)s canceled a run of "%(object)s"')),
    "enrichment.run_requeued": _with_reason(
        gettext_lazy('%(actor)s queued a lost run of "%(object)s" again')
    ),
    "refresh.scheduled": _refresh_scheduled,
    "refresh.started": _refresh_started,
    "refresh.finished": gettext_lazy("The system refresh of %(object)s is done"),
    "access.requested": gettext_lazy("%(actor)s asked for a connection of the type %(object)s"),
    "access.request_withdrawn": gettext_lazy(
        "%(actor)s withdrew the request for a connection of the type %(object)s"
    ),
    "access.granted": gettext_lazy('%(actor)s granted the request of %(person)s: "%(connection)s"'),
    "access.declined": gettext_lazy("%(actor)s declined the request of %(person)s (%(object)s)"),
    "access.refused": _refused,
    "audit.downloaded": _downloaded,
}
