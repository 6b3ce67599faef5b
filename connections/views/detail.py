"""The page of one connection: everything but a secret's value, for administrators."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from connections import connectors, dependents, host_keys, listing, vault_expiry
from connections.connectors.base import Field, FieldKind, is_active
from connections.key_vault import errors
from connections.models import Connection, ConnectionSecret, State, VaultSecretState
from connections.operations.refresh_secret import refresh_secret
from connections.operations.stop import last_stop
from connections.operations.unlink_vault import UNLINKED
from connections.sharing import is_open
from connections.vault_cache import KEEP_SECONDS
from connections.vault_states import EXPIRING, FOUND_BY_CHECKS
from connections.views.lists import STATUS_KINDS, target_of, type_of, who_has_access
from connections.views.steps import for_operator, shown_steps
from connections.views.usage import usage
from connections_portal.errors import OperationError
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, go_to, role_required


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
        "tab": listing.tab_of(connector),
        "is_shared": not is_open(connection.type_key),
        "status_kind": STATUS_KINDS[State(connection.state)],
        "state_text": _state_text(connection),
        "expiry": vault_expiry.expiring([connection.pk]).get(connection.pk),
        "paused": connection.state == State.PAUSED,
        "what_next": _what_next(connection) if "next" in request.GET else [],
        "facts": _facts(connection),
        **_secrets(connection),
        "host_key": _host_key(connection.host_key),
        "steps": shown_steps(connector, connection.verification) if connector else [],
        "operator_text": for_operator(connector, connection.settings, connection.verification)
        if connector
        else "",
        "who": who_has_access([connection])[connection.pk],
        "usage": usage(connection, request.user),
        "stopped": _is_stopped(connection),
    }
    return render(request, "connections/detail.html", context)


def _is_stopped(connection: Connection) -> bool:
    """Whether it is paused because everything was stopped: then the page to print is at hand."""
    if connection.state != State.PAUSED:
        return False
    stop = last_stop(connection)
    return stop is not None and stop.details["epoch"] == connection.epoch


def _state_text(connection: Connection) -> str:
    """Why nothing runs on the connection, and what to do; empty for one that is ready."""
    match State(connection.state):
        case State.READY:
            return ""
        case State.NOT_VERIFIED:
            return _("Nothing runs on it, and nobody is offered it. Edit it, verify and save.")
        case State.PAUSED if connection.consent is None:
            return _("Its agreement was withdrawn. Resuming it asks for a verification and a new agreement.")
        case State.PAUSED if connection.state_code == UNLINKED:
            return _(
                "The Key Vault that its secrets were in was unlinked. Edit it: enter them, or choose them from another "
                "vault, then resume."
            )
        case State.PAUSED:
            return _("Nothing goes over it. Resuming it asks for a verification.")
        case State.NEEDS_ATTENTION:
            cause = _(connection.state_cause) if connection.state_cause else ""
            if connection.state_code in FOUND_BY_CHECKS:
                remedy = _(errors.problem(connection.state_code).remedy)
                by_itself = _(
                    "The portal looks again by itself, and at once by Check now under Settings, Key Vault."
                )
                return f"{cause} {remedy} {by_itself}"
            return " ".join(filter(None, [cause, _("Edit it, verify and save; or let a run succeed.")]))


def _what_next(connection: Connection) -> list[dict[str, Any]]:
    """Offered once, after a connection was set up."""
    like = f"{reverse('connections:set_up', args=[connection.type_key])}?like={connection.uuid}"
    share = {"label": _("Share it"), "url": reverse("connections:share", args=[connection.uuid])}
    return [
        *([] if is_open(connection.type_key) else [share | {"icon": "people", "pane": True}]),
        *(
            {"label": kind.add_label(), "url": kind.add_url(connection), "icon": "add", "pane": False}
            for kind in dependents.kinds_on(connection)
            if connection.state == State.READY
        ),
        {"label": _("Add another like this"), "url": like, "icon": "copy", "pane": True},
    ]


def _facts(connection: Connection) -> list[dict[str, Any]]:
    """The type's fields with their values, secrets apart."""
    facts = []
    for field in _fields(connection):
        if field.secret:
            continue
        fact: dict[str, Any] = {"label": _(field.label)}
        value = str(connection.settings.get(field.key, ""))
        if field.kind is FieldKind.CHOICE:
            fact["value"] = next((_(c.label) for c in field.choices if c.value == value), value)
        else:
            fact["value"] = f"{field.prefix}{value}" if value else ""
        facts.append(fact)
    return facts


def _fields(connection: Connection) -> list[Field]:
    connector = connectors.get(connection.type_key)
    fields = connector.fields if connector else ()
    return [field for field in fields if is_active(field, connection.settings)]


def _secrets(connection: Connection) -> dict[str, Any]:
    """For ``_secrets_panel.html``: of each secret where it is and since when, never its value."""
    rows = {row.field: row for row in connection.secrets.select_related("vault_secret__vault")}
    shown = [
        _secret(connection, field, rows[field.key]) for field in _fields(connection) if field.key in rows
    ]
    kept = _("Kept in the memory of a process for at most %(seconds)s seconds.")
    from_vault = any(secret.get("vault") for secret in shown)
    return {"secrets": shown, "kept_text": kept % {"seconds": round(KEEP_SECONDS)} if from_vault else ""}


def _secret(connection: Connection, field: Field, row: ConnectionSecret) -> dict[str, Any]:
    label, secret = _(field.label), row.vault_secret
    if secret is None:
        return {"label": label, "since": row.created_at}
    state = VaultSecretState(secret.state)
    fixed = secret.pinned or secret.version
    rule = _("fixed") if secret.pinned else _("always the latest")
    return {
        "label": label,
        "vault": secret.vault.name,
        "name": secret.name,
        "version": f"{fixed} ({rule})" if fixed else _("Always the latest"),
        "state": state.label,
        "kind": "ok" if state == VaultSecretState.USABLE else "warn" if state in EXPIRING else "bad",
        "read_at": secret.read_at,
        "refresh": _("Refresh now: %(field)s") % {"field": label},
        "url": reverse("connections:refresh_secret", args=[connection.uuid, field.key]),
    }


@require_POST
@role_required(Role.ADMINISTRATOR)
def refresh(request: PortalRequest, uuid: UUID, field: str) -> HttpResponse:
    """*Refresh now*: a secret of a Key Vault is read anew at its next use."""
    connection = get_object_or_404(Connection.objects.editable_by(request.user), uuid=uuid)
    try:
        row = refresh_secret(connection=connection, field=field, actor=request.user)
    except OperationError as error:
        messages.error(request, error.message)
    else:
        named = {"name": row.vault_secret.name if row.vault_secret else ""}
        messages.success(request, _("%(name)s is read anew at its next use, and looked at now.") % named)
    return go_to(request, reverse("connections:detail", args=[connection.uuid]))


def _host_key(line: str) -> dict[str, str]:
    """Algorithm and fingerprint of the pinned key; empty when none is pinned."""
    fingerprint = host_keys.fingerprint(line)
    return {"algorithm": host_keys.algorithm(line), "fingerprint": fingerprint} if fingerprint else {}
