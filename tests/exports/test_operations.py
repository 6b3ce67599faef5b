"""Creating and editing exports: rights, names, options, items, schedule."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from connections.models import Connection, State
from connections.operations.attention import mark_needs_attention
from connections_portal.errors import FinishingRun, NotAllowed, OperationError, Stale
from connections_portal.models import AuditEntry, RunState, User
from exports.item import Item
from exports.models import Export, ExportItem, ExportRun, ItemKind, ScheduleKind
from exports.operations.edit import Timing, create_export, edit_export
from exports.permissions import may_edit, may_run, with_edit_right
from tests.exports.conftest import LOYAL, ORDERS
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

NOON = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="Europe/Berlin")


def edit(export: Export, actor: User, **changes: Any) -> Export:
    values: dict[str, Any] = {
        "version": export.version,
        "name": export.name,
        "connection": export.connection,
        "options": export.options,
        "items": [LOYAL],
        "schedule": Timing(),
    }
    return edit_export(export=export, actor=actor, **values | changes)


def test_a_new_export_stores_exactly_what_was_chosen(connection: Connection, contributor: User) -> None:
    export = create_export(
        name="  Loyalty mailing ",
        connection=connection,
        options={"compression": "none"},
        items=[LOYAL, ORDERS],
        schedule=DAILY,
        actor=contributor,
        now=NOON,
    )
    export = Export.objects.get(pk=export.pk)
    assert export.name == "Loyalty mailing"
    assert export.folder_name == "loyalty-mailing"
    assert export.type_key == "sftp"
    assert export.options == {"compression": "none", "delimiter": "comma", "formulas": "keep"}
    assert export.responsible == export.created_by == export.updated_by == contributor
    assert [(i.kind, i.source, i.fields) for i in export.items.all()] == [
        ("segment", "loyal", ["customer_id", "email"]),
        ("table", "orders", ["order_id", "amount"]),
    ]
    assert export.schedule.next_at == dt.datetime(2026, 11, 24, 5, 0, tzinfo=dt.UTC)
    entry = AuditEntry.objects.get(action="export.created")
    assert (entry.actor_id, entry.object_uuid) == (contributor.pk, export.uuid)
    assert not ExportRun.objects.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Enter a name."),
        ("   ", "Enter a name."),
        ("x" * 101, "101 characters"),
        ("in\u202evoice", "cannot be seen"),
        ("zero\u200bwidth", "cannot be seen"),
        ("LOYALTY mailing", "already has this name"),
    ],
)
def test_a_name_that_cannot_be(
    export: Export, connection: Connection, contributor: User, name: str, message: str
) -> None:
    with pytest.raises(OperationError) as refusal:
        create_export(
            name=name, connection=connection, options={}, items=[LOYAL], schedule=Timing(), actor=contributor
        )
    assert message in refusal.value.fields["name"]
    assert Export.objects.count() == 1


def test_folder_names_are_made_once_are_unique_and_hold_no_path(
    make_export: Callable[..., Export], contributor: User
) -> None:
    first = make_export("../../etc/passwd")
    second = make_export("etc passwd!")
    third = make_export("ETC: passwd")
    assert [e.folder_name for e in (first, second, third)] == ["etcpasswd", "etc-passwd", "etc-passwd-2"]
    renamed = edit(first, contributor, name="Another name")
    assert (renamed.name, renamed.folder_name) == ("Another name", "etcpasswd")
    assert make_export("你好").folder_name == "export"


def test_a_contributor_cannot_build_on_what_is_not_shared_with_them(
    hidden: Connection, contributor: User, viewer: User, data: object
) -> None:
    values: dict[str, Any] = {"options": {}, "items": [LOYAL], "schedule": Timing()}
    with pytest.raises(OperationError) as refusal:
        create_export(name="A", connection=hidden, actor=contributor, **values)
    assert refusal.value.fields == {"connection": "Choose a connection from the list."}
    with pytest.raises(NotAllowed):
        create_export(name="A", connection=hidden, actor=viewer, **values)
    assert not Export.objects.exists()


def test_a_connection_that_is_not_ready_is_offered_to_nobody(connection: Connection, admin: User) -> None:
    mark_needs_attention(connection_id=connection.pk, cause="Sign-in was refused", code="sign_in_refused")
    assert Connection.objects.get().state == State.NEEDS_ATTENTION
    with pytest.raises(OperationError) as refusal:
        create_export(
            name="A", connection=connection, options={}, items=[LOYAL], schedule=Timing(), actor=admin
        )
    assert "connection" in refusal.value.fields


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"items": []}, "items"),
        ({"items": [LOYAL, LOYAL]}, "items"),
        ({"items": [Item(kind=ItemKind.SEGMENT, source="loyal", fields=())]}, "items"),
        ({"options": {"compression": "zip"}}, "option_compression"),
        ({"options": {"delimiter": ""}}, "option_delimiter"),
        ({"options": {"formulas": "yes"}}, "option_formulas"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    make_export: Callable[..., Export], changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(OperationError) as refusal:
        make_export(**changes)
    assert list(refusal.value.fields) == [field]
    assert not ExportItem.objects.exists()


def test_unknown_options_are_not_stored(make_export: Callable[..., Export]) -> None:
    assert make_export(options={"host": "evil.example.com"}).options == {
        "compression": "gzip",
        "delimiter": "comma",
        "formulas": "keep",
    }


def test_an_edit_replaces_the_settings_and_makes_its_author_responsible(export: Export, admin: User) -> None:
    saved = edit(
        export, admin, name="New", items=[ORDERS], options={"delimiter": "tab"}, schedule=DAILY, now=NOON
    )
    saved = Export.objects.get(pk=saved.pk)
    assert (saved.name, saved.version, saved.responsible, saved.updated_by) == ("New", 2, admin, admin)
    assert [item.source for item in saved.items.all()] == ["orders"]
    assert saved.options["delimiter"] == "tab"
    assert saved.schedule.next_at == dt.datetime(2026, 11, 24, 5, 0, tzinfo=dt.UTC)
    assert AuditEntry.objects.filter(action="export.edited", actor_id=admin.pk).count() == 1


def test_saving_an_unchanged_schedule_does_not_move_what_is_due(
    make_export: Callable[..., Export], contributor: User
) -> None:
    export = make_export(schedule=DAILY, now=NOON)
    due = Export.objects.get().schedule.next_at
    assert due is not None
    edit(export, contributor, schedule=DAILY, now=due + dt.timedelta(seconds=1))
    assert Export.objects.get().schedule.next_at == due
    edit(Export.objects.get(), contributor, schedule=Timing(), now=NOON)
    assert Export.objects.get().schedule.next_at is None


def test_a_stale_page_changes_nothing(export: Export, contributor: User, admin: User) -> None:
    edit(export, admin, name="By the administrator")
    with pytest.raises(Stale):
        edit(export, contributor, name="By the contributor")
    assert Export.objects.get().name == "By the administrator"


def test_only_who_may_use_the_connection_may_edit(export: Export, outsider: User, viewer: User) -> None:
    for person in (outsider, viewer):
        with pytest.raises(NotAllowed):
            edit(export, person, name="Mine")
    assert Export.objects.get().name == "Loyalty mailing"


def test_another_connection_cancels_the_run_under_way(
    export: Export, admin: User, make_run: Callable[..., ExportRun]
) -> None:
    run = make_run(export, RunState.RUNNING)
    other = make_connection(actor=admin, name="Second")
    edit(export, admin, connection=other)
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    assert Export.objects.get().connection == other
    ExportRun.objects.filter(pk=run.pk).delete()
    make_run(export, RunState.PUBLISHING)
    with pytest.raises(FinishingRun):
        edit(Export.objects.get(), admin, connection=make_connection(actor=admin, name="Third"))
    assert Export.objects.get().connection == other


def test_the_connection_cannot_be_dropped_or_borrowed_by_an_edit(
    export: Export, contributor: User, hidden: Connection
) -> None:
    for connection in (None, hidden):
        with pytest.raises(OperationError) as refusal:
            edit(export, contributor, connection=connection)
        assert "connection" in refusal.value.fields
    assert Export.objects.get().connection == export.connection


def test_rights_follow_the_connection(
    export: Export, admin: User, contributor: User, outsider: User, viewer: User, support: User, nobody: User
) -> None:
    for person, allowed in [
        (admin, True), (contributor, True), (outsider, False), (viewer, False), (support, False), (nobody, False),
    ]:  # fmt: skip
        assert may_edit(person, export) is allowed, person
        assert may_run(person, export) is allowed, person


def test_a_detached_export_belongs_to_whoever_may_use_a_connection_of_its_type(
    export: Export, admin: User, contributor: User, outsider: User, connection: Connection
) -> None:
    Export.objects.update(connection=None)
    export = Export.objects.get()
    assert may_edit(contributor, export)
    assert not may_run(contributor, export)
    assert not may_edit(outsider, export)
    Export.objects.update(type_key="another")
    assert not may_edit(contributor, export)
    assert may_edit(admin, export)


def test_rights_of_many_exports_are_one_query(
    make_export: Callable[..., Export],
    contributor: User,
    admin: User,
    hidden: Connection,
    django_assert_num_queries: Any,
) -> None:
    for number in range(5):
        make_export(f"Mine {number}")
        make_export(f"Hidden {number}", connection=hidden, actor=admin)
    contributor = User.objects.get(pk=contributor.pk)
    with_edit_right(
        Export.objects.all(), contributor
    ).exists()  # the role and content type are known from here on
    with django_assert_num_queries(1):
        found = {e.name: e.can_edit for e in with_edit_right(Export.objects.all(), contributor)}  # type: ignore[attr-defined]
    assert all(may == name.startswith("Mine") for name, may in found.items())
    assert len(found) == 10
