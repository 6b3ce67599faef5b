"""Saving, activating, deactivating and deleting enrichments: what is refused, and what stays true."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError

from connections.models import Connection, State
from connections_portal.errors import NotAllowed, OperationError, Stale
from connections_portal.models import AuditEntry, RunState, User
from connections_portal.names import name_key
from enrichments.models import Enrichment
from enrichments.operations import edit
from enrichments.operations.delete import delete_enrichment
from enrichments.operations.edit import create_enrichment, edit_enrichment
from enrichments.operations.state import NeedsConnection, activate, deactivate
from tests.enrichments.bringing import Bringing
from tests.factories import make_connection

pytestmark = pytest.mark.both_databases


def changed(bringing: Bringing, enrichment: Enrichment, **more: Any) -> Enrichment:
    values: dict[str, Any] = {
        "enrichment": enrichment,
        "version": enrichment.version,
        "name": enrichment.name,
        "connection": bringing.connection,
        "segment": enrichment.segment,
        "options": enrichment.options,
        "actor": bringing.admin,
    }
    return edit_enrichment(**(values | more))


def other_connection(admin: User, **more: Any) -> Connection:
    settings = {"auth_method": "password", "username": "portal", "hostname": "files.example.com"}
    values: dict[str, Any] = {"type_key": "sftp_custom_import", "name": "Other", "settings": settings}
    return make_connection(actor=admin, **(values | more))


@pytest.mark.parametrize(
    ("more", "field", "says"),
    [
        ({"name": " "}, "name", "Enter a name"),
        ({"name": "a\u202eb"}, "name", "cannot be seen"),
        ({"table_name": ""}, "table_name", "Enter a name"),
        ({"table_name": "1st"}, "table_name", "begin with a letter"),
        ({"table_name": "../x"}, "table_name", "letters"),
        ({"table_name": "Customer"}, "table_name", "has a table with this name"),
        ({"table_name": "ORDERS"}, "table_name", "has a table with this name"),
        ({"connection": None}, "connection", "Choose a connection"),
        ({"options": {"path": "..", "filename": "a.csv"}}, "option_path", ""),
        ({"options": {"path": "", "filename": ""}}, "option_filename", ""),
        ({"options": {"path": "", "filename": "a/b.csv"}}, "option_filename", ""),
    ],
)
def test_what_cannot_be_is_told_at_its_field(
    bringing: Bringing, more: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(OperationError) as refused:
        bringing.enrichment(**more)
    assert list(refused.value.fields) == [field]
    assert says in refused.value.fields[field]
    assert refused.value.fields[field]
    assert not Enrichment.objects.exists()


def test_names_and_tables_are_taken_ignoring_case(bringing: Bringing) -> None:
    bringing.enrichment()
    with pytest.raises(OperationError) as refused:
        bringing.enrichment(name="SCORES", table_name="Other")
    assert list(refused.value.fields) == ["name"]
    with pytest.raises(OperationError) as refused:
        bringing.enrichment(name="Other", table_name="sCORES")
    assert list(refused.value.fields) == ["table_name"]


@pytest.mark.parametrize(
    ("more", "field"), [({"name": "Other"}, "table_name"), ({"table_name": "Other"}, "name")]
)
def test_what_somebody_took_at_the_same_moment_is_told_at_its_field(
    bringing: Bringing, more: dict[str, Any], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look finds nothing: the other one is not committed yet. The database refuses the second row."""
    bringing.enrichment()
    looks = {name: getattr(edit, name) for name in ("free_name_key", "free_table_key")}

    def first_look(name: str, key: Callable[[str], str]) -> Callable[..., str]:
        def look(text: str, **_more: Any) -> str:
            monkeypatch.setattr(edit, name, looks[name])
            return key(text)

        return look

    monkeypatch.setattr(edit, "free_name_key", first_look("free_name_key", name_key))
    monkeypatch.setattr(edit, "free_table_key", first_look("free_table_key", str.lower))
    with pytest.raises(OperationError) as refused:
        bringing.enrichment(**more)
    assert list(refused.value.fields) == [field]


def test_there_are_ten_of_a_type_at_most(bringing: Bringing) -> None:
    for number in range(10):
        bringing.enrichment(name=f"Scores {number}", table_name=f"Scores_{number}")
    with pytest.raises(OperationError, match="all it allows"):
        bringing.enrichment(name="One more", table_name="One_more")


def test_viewers_change_nothing(bringing: Bringing, viewer: User) -> None:
    enrichment = bringing.enrichment()
    with pytest.raises(NotAllowed):
        bringing.enrichment(name="Other", table_name="Other", actor=viewer)
    with pytest.raises(NotAllowed):
        changed(bringing, enrichment, actor=viewer)
    for operation in (activate, deactivate, delete_enrichment):
        with pytest.raises(NotAllowed):
            operation(enrichment=enrichment, actor=viewer)


def test_contributors_use_enrichment_connections_without_a_grant(
    bringing: Bringing, contributor: User, outsider: User
) -> None:
    enrichment = bringing.enrichment(actor=outsider)
    assert changed(bringing, enrichment, name="Better", actor=contributor).responsible == contributor


def test_a_connection_for_exports_is_no_choice(bringing: Bringing, admin: User) -> None:
    exports_only = make_connection(actor=admin)
    with pytest.raises(OperationError) as refused:
        bringing.enrichment(connection=exports_only)
    assert list(refused.value.fields) == ["connection"]


@pytest.mark.parametrize("state", [State.PAUSED, State.NOT_VERIFIED, State.NEEDS_ATTENTION])
def test_a_connection_that_is_not_ready_is_no_choice(bringing: Bringing, state: State) -> None:
    Connection.objects.filter(pk=bringing.connection.pk).update(state=state)
    with pytest.raises(OperationError) as refused:
        bringing.enrichment()
    assert list(refused.value.fields) == ["connection"]


def test_an_older_page_is_refused(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    changed(bringing, enrichment, name="Better")
    with pytest.raises(Stale, match="on another page"):
        changed(bringing, enrichment, name="Worse")
    assert Enrichment.objects.get().name == "Better"


def test_one_that_was_deleted_meanwhile(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    delete_enrichment(enrichment=enrichment, actor=bringing.admin)
    for operation in (activate, deactivate, delete_enrichment):
        with pytest.raises(Stale, match="deleted meanwhile"):
            operation(enrichment=enrichment, actor=bringing.admin)
    with pytest.raises(Stale):
        changed(bringing, enrichment)


def test_another_connection_cancels_the_run_under_way(bringing: Bringing, admin: User) -> None:
    enrichment = bringing.enrichment()
    run = bringing.start(enrichment)
    changed(bringing, enrichment, connection=other_connection(admin))
    run.refresh_from_db()
    assert run.state == RunState.CANCELED


def test_deactivating_keeps_the_connection_and_cancels_the_run(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    run = bringing.start(enrichment)
    off = deactivate(enrichment=enrichment, actor=bringing.admin)
    assert (off.active, off.connection) == (False, bringing.connection)
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    with pytest.raises(OperationError, match="inactive already"):
        deactivate(enrichment=enrichment, actor=bringing.admin)
    on = activate(enrichment=enrichment, actor=bringing.admin)
    assert (on.active, on.connection) == (True, bringing.connection)
    actions = AuditEntry.objects.filter(object_uuid=enrichment.uuid).values_list("action", flat=True)
    assert {"enrichment.deactivated", "enrichment.activated"} <= set(actions)


def test_activating_without_a_connection_asks_for_one(bringing: Bringing, admin: User) -> None:
    enrichment = bringing.enrichment()
    deactivate(enrichment=enrichment, actor=admin)
    Enrichment.objects.update(connection=None)
    with pytest.raises(NeedsConnection):
        activate(enrichment=enrichment, actor=admin)
    with pytest.raises(OperationError) as refused:
        activate(enrichment=enrichment, actor=admin, connection=make_connection(actor=admin))
    assert list(refused.value.fields) == ["connection"]
    found = activate(enrichment=enrichment, actor=admin, connection=bringing.connection)
    assert (found.active, found.connection) == (True, bringing.connection)


@pytest.mark.parametrize("active", [True, False])
def test_a_connection_that_somebody_added_meanwhile_is_kept(
    bringing: Bringing, admin: User, active: bool
) -> None:
    """Two people give the same enrichment that waits a connection at the same moment: the first one counts."""
    enrichment = bringing.enrichment()
    Enrichment.objects.update(active=active)
    with pytest.raises(OperationError, match="has a connection already"):
        activate(enrichment=enrichment, actor=admin, connection=other_connection(admin))
    enrichment.refresh_from_db()
    assert (enrichment.active, enrichment.connection) == (active, bringing.connection)


def test_the_database_refuses_an_active_one_without_its_connection(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    with pytest.raises(IntegrityError):
        Enrichment.objects.filter(pk=enrichment.pk).update(connection=None)


def test_a_type_that_is_gone(bringing: Bringing) -> None:
    with pytest.raises(OperationError, match="no longer available"):
        create_enrichment(
            name="X",
            type_key="nothing",
            table_name="X",
            connection=bringing.connection,
            segment="",
            options={},
            actor=bringing.admin,
        )
