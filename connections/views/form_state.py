"""What the page that sets up or edits a connection says of its form: which agreement covers it, what it still needs."""

from collections.abc import Mapping
from typing import Any

from connections import host_keys
from connections.forms import SetUpForm
from connections.models import ConnectionDraft
from connections.operations.edit import changes


def agreement_in_force(form: SetUpForm, values: Mapping[str, str]) -> Any:
    """The agreement that covers what is typed now, None where a new one is needed."""
    connection, connector = form.connection, form.connector
    if connection is None or connection.consent is None:
        return None
    named = [connector.consent_target(settings) for settings in (values, connection.settings)]
    return connection.consent if named[0] == named[1] else None


def is_new(draft: ConnectionDraft) -> bool:
    """Whether there is anything in the draft that could be saved as not verified."""
    return draft.connection is None or bool(changes(draft.connection, draft, draft.settings))


def pinned_key(form: SetUpForm) -> str:
    """Algorithm and fingerprint of the key that the connection trusts, as long as its target stays."""
    connection, draft = form.connection, form.draft
    if connection is None or draft is None or draft.target_digest != connection.target_digest:
        return ""
    key = connection.host_key
    return f"{host_keys.algorithm(key)} {host_keys.fingerprint(key)}" if key else ""


def needs_verify(form: SetUpForm) -> bool:
    """Whether saving what the form shows now asks for a verification."""
    if form.connection is None or form.draft is not None:
        return True
    return form.is_bound and form.settings_are_valid and form.changes_settings
