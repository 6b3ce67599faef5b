"""A connection type's help page, made from its declaration: nothing on it is written down a second time."""

from collections.abc import Iterable
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from connections import connectors, delivered
from connections.connectors.base import Connector, Field
from connections.connectors.errors import ConnectorError, FileUnusable, RemoteRejected, TryLater
from connections.operations.drafts import VERIFIED_FOR
from connections.operations.limits import PER_MINUTE, REFUSED_PAUSE, REFUSED_SIGN_INS
from connections.views.steps import type_facts
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, role_required


@require_safe
@role_required(Role.ADMINISTRATOR)
def type_help(request: PortalRequest, type_key: str) -> HttpResponse:
    """What the type does and needs, its fields, what Verify tries and what its answers mean, what is delivered."""
    connector = connectors.get(type_key)
    if connector is None:
        raise Http404
    context = {
        "type": type_facts(connector),
        "provider": _(connector.provider),
        "fields": [_field(field, connector) for field in connector.fields],
        "vault_fields": [_(field.label) for field in connector.fields if field.secret],
        "export_options": [_field(field, connector) for field in connector.export_options],
        "enrichment_options": [_field(field, connector) for field in connector.enrichment_options],
        "steps": [
            {"label": _(label), "failures": _failures(connector.failures.get(key, ()))}
            for key, label in connector.steps
        ],
        "run_failures": _failures(connector.failures.get("", ())),
        "host_key_pinned": connector.host_key_pinned,
        "delivered": delivered.of(connector),
        "limits": [*_limits(connector), *_verification_limits()],
    }
    return render(request, "connections/help.html", context)


def _field(field: Field, connector: type[Connector]) -> dict[str, Any]:
    """A field in words; sentences that do not apply are left out."""
    sentences = [_(field.help) if field.help else "", _(field.rule) if field.rule else ""]
    if field.choices:
        default = next((_(c.label) for c in field.choices if c.value == field.default), "")
        listed = ", ".join(_(choice.label) for choice in field.choices)
        sentences.append(_("One of: %(choices)s.") % {"choices": listed})
        if default:
            sentences.append(_("%(choice)s at first.") % {"choice": default})
    else:
        number = number_format(field.max_length, force_grouping=True)
        sentences.append(_("At most %(number)s characters.") % {"number": number})
    return {
        "label": _(field.label),
        "when": _shown_when(field, connector),
        "sentences": [sentence for sentence in sentences if sentence],
        "required": field.required,
        "tags": [
            text
            for applies, text in (
                (field.target, _("Part of the target")),
                (field.secret, _("Secret")),
                (field.secret, _("Supports Key Vault")),
            )
            if applies
        ],
    }


def _shown_when(field: Field, connector: type[Connector]) -> str:
    if field.shown_when is None:
        return ""
    key, value = field.shown_when
    fields = (*connector.fields, *connector.export_options, *connector.enrichment_options)
    other = next(f for f in fields if f.key == key)
    answer = next((_(choice.label) for choice in other.choices if choice.value == value), value)
    return _("When %(field)s is %(answer)s") % {"field": _(other.label), "answer": answer}


def _failures(errors: Iterable[ConnectorError]) -> list[dict[str, str]]:
    return [
        {
            "cause": _(error.cause),
            "remedy": _(error.remedy) if error.remedy else _("Said beside the answer."),
            "acts": _who_acts(error),
        }
        for error in errors
    ]


def _who_acts(error: ConnectorError) -> str:
    if isinstance(error, TryLater):
        return _("Nobody at first: a run tries again by itself")
    if isinstance(error, RemoteRejected):
        return _("Whoever may edit the export: the row is counted as rejected")
    if isinstance(error, FileUnusable):
        return _("Whoever may edit the enrichment, with whoever brings the file")
    return _("An administrator, with whoever runs the service")


def _limits(connector: type[Connector]) -> list[str]:
    """What the service, or our way of using it, allows."""
    limits, sentences = connector.limits, []
    if limits.min_profiles:
        sentences.append(
            ngettext("At least %(number)s profile.", "At least %(number)s profiles.", limits.min_profiles)
            % {"number": number_format(limits.min_profiles, force_grouping=True)}
        )
    if limits.max_profiles:
        sentences.append(
            ngettext("At most %(number)s profile.", "At most %(number)s profiles.", limits.max_profiles)
            % {"number": number_format(limits.max_profiles, force_grouping=True)}
        )
    if limits.max_files_per_table:
        sentences.append(
            ngettext(
                "At most %(number)s file for each segment or table.",
                "At most %(number)s files for each segment or table.",
                limits.max_files_per_table,
            )
            % {"number": number_format(limits.max_files_per_table, force_grouping=True)}
        )
    if limits.max_enrichments:
        sentences.append(
            ngettext(
                "At most %(number)s enrichment of this type, over all connections.",
                "At most %(number)s enrichments of this type, over all connections.",
                limits.max_enrichments,
            )
            % {"number": number_format(limits.max_enrichments, force_grouping=True)}
        )
    return sentences


def _verification_limits() -> list[str]:
    """What rules S16 and S20 allow, whatever the type."""
    return [
        _("%(number)d verifications a minute for one person, and for one host.") % {"number": PER_MINUTE},
        _("After %(number)d refused sign-ins at one account nobody tries it for %(minutes)d minutes.")
        % {"number": REFUSED_SIGN_INS, "minutes": REFUSED_PAUSE.total_seconds() / 60},
        _("A verification counts for %(minutes)d minutes; save within them.")
        % {"minutes": VERIFIED_FOR.total_seconds() / 60},
    ]
