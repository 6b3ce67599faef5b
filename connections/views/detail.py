"""The page of one connection: everything but a secret's value, for administrators."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from connections import connectors, host_keys
from connections.connectors.base import FieldKind, is_active
from connections.models import Connection, State
from connections.views.lists import STATUS_KINDS, target_of, type_of, uses_of, who_has_access
from connections.views.steps import shown_steps
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, role_required


@require_safe
@role_required(Role.ADMINISTRATOR)
def detail(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Name, target, state, settings, last verification, agreement, access and use."""
    connections = Connection.objects.editable_by(request.user).select_related(
        "created_by", "updated_by", "verified_by", "consent"
    )
    connection = get_object_or_404(connections, uuid=uuid)
    connector = connectors.get(connection.type_key)
    context = {
        "connection": connection,
        "type": type_of(connection),
        "target": target_of(connection),
        "status_kind": STATUS_KINDS[State(connection.state)],
        "state_cause": _(connection.state_cause) if connection.state_cause else "",
        "facts": _facts(connection),
        "host_key": _host_key(connection.host_key),
        "steps": shown_steps(connector, connection.verification) if connector else [],
        "who": who_has_access([connection])[connection.pk],
        "used": uses_of([connection]).get(connection.pk, []),
    }
    return render(request, "connections/detail.html", context)


def _facts(connection: Connection) -> list[dict[str, Any]]:
    """The type's fields with their values; of a secret only that and since when it is stored."""
    connector = connectors.get(connection.type_key)
    if connector is None:
        return []
    stored = {secret.field: secret.created_at for secret in connection.secrets.all()}
    facts = []
    for field in connector.fields:
        if not is_active(field, connection.settings):
            continue
        fact: dict[str, Any] = {"label": _(field.label)}
        value = str(connection.settings.get(field.key, ""))
        if field.secret:
            if field.key not in stored:
                continue
            fact["since"] = stored[field.key]
        elif field.kind is FieldKind.CHOICE:
            fact["value"] = next((_(c.label) for c in field.choices if c.value == value), value)
        else:
            fact["value"] = f"{field.prefix}{value}" if value else ""
        facts.append(fact)
    return facts


def _host_key(line: str) -> dict[str, str]:
    """Algorithm and fingerprint of the pinned key; empty when none is pinned."""
    fingerprint = host_keys.fingerprint(line)
    return {"algorithm": host_keys.algorithm(line), "fingerprint": fingerprint} if fingerprint else {}
