"""*Save*: a new export, or changes to one. Saving starts no run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import connectors
from connections.models import Connection, State
from connections_portal import audit
from connections_portal.errors import NotAllowed, OperationError, Stale
from connections_portal.models import User
from connections_portal.names import clean_name, folder_slug, name_key
from exports.item import Item
from exports.models import Export, ExportItem, ExportSchedule, ItemKind, ScheduleKind
from exports.operations.run import cancel_active_runs
from exports.permissions import may_create, require_edit
from exports.schedules import next_run_at


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A schedule as it is stored: see ``ExportSchedule`` for the meaning of each part."""

    kind: ScheduleKind = ScheduleKind.MANUAL
    local_time: time | None = None
    weekdays: tuple[int, ...] = ()
    days: tuple[int, ...] = ()
    zone: str = "UTC"


def create_export(
    *,
    name: str,
    connection: Connection,
    options: Mapping[str, str],
    items: Sequence[Item],
    schedule: Timing,
    actor: User,
    copy_of: Export | None = None,
    press: str = "",
    now: datetime | None = None,
) -> Export:
    """Save a new export on a ready connection that ``actor`` may use; it waits for its schedule or for *Run*.

    ``options`` answers the connector's ``export_options``; what is missing gets its default. ``copy_of`` is the export
    whose settings these are and ``press`` the button that made the copy, for the audit. ``now`` is the time after which
    the schedule counts (default: this moment). Raises NotAllowed, and OperationError with messages at ``name``,
    ``connection``, ``items`` or ``option_KEY``.
    """
    if not may_create(actor):
        raise NotAllowed(_("You can look at exports and not create them."))
    name = valid_name(name)
    _require_items(items, connection.type_key)
    try:
        with transaction.atomic():
            connection = lock_connection(connection)
            _require_usable(connection, actor)
            export = Export(
                name=name,
                name_key=free_name_key(name, except_for=None),
                connection=connection,
                type_key=connection.type_key,
                options=valid_options(connection.type_key, options),
                folder_name=free_folder_name(name),
                responsible=actor,
                created_by=actor,
                updated_by=actor,
            )
            export.save(force_insert=True)
            _write_items(export, items)
            write_schedule(export, schedule, now or timezone.now())
            facts = _facts(export, items, schedule)
            if copy_of:
                facts |= {"copy_of": copy_of.name, "press": press}
            audit.record("export.created", actor=actor, target=export, **facts)
            return export
    except IntegrityError:
        # two people saved the same name, or the same folder, at the same moment
        raise OperationError(_("The export is not saved yet."), fields={"name": name_taken()}) from None


def edit_export(
    *,
    export: Export,
    version: int,
    name: str,
    connection: Connection | None,
    options: Mapping[str, str],
    items: Sequence[Item],
    schedule: Timing,
    actor: User,
    now: datetime | None = None,
) -> Export:
    """Save changes to the export made on the page that showed ``version``; ``actor`` becomes responsible for it.

    ``connection`` is of the export's type; None leaves an export without connection as it is. The folder at the
    destination keeps its name. Another connection cancels the run under way. Raises Stale (also when removed
    meanwhile), FinishingRun, NotAllowed, and OperationError as ``create_export``.
    """
    name = valid_name(name)
    _require_items(items, export.type_key)
    try:
        with transaction.atomic():
            connection = lock_connection(connection) if connection else None
            locked = lock(export)
            if locked.version != version:
                raise changed_since(locked, actor)
            require_edit(actor, locked)
            _change_connection(locked, connection, actor)
            locked.name, locked.name_key = name, free_name_key(name, except_for=locked)
            locked.options = valid_options(locked.type_key, options)
            locked.responsible = locked.updated_by = actor
            locked.version += 1
            locked.save()
            _write_items(locked, items)
            write_schedule(locked, schedule, now or timezone.now())
            audit.record("export.edited", actor=actor, target=locked, **_facts(locked, items, schedule))
            return locked
    except IntegrityError:
        raise OperationError(_("The export is not saved yet."), fields={"name": name_taken()}) from None


def lock_connection(connection: Connection) -> Connection:
    """The connection as it is now, locked for the rest of the transaction; to be called before ``lock``.

    One that was removed meanwhile comes back as it was given: nobody may choose it any more.
    """
    return Connection.objects.select_for_update().filter(pk=connection.pk).first() or connection


def lock(export: Export) -> Export:
    """The export as it is now, locked for the rest of the transaction. Raises Stale when it was removed."""
    locked = Export.objects.select_for_update(of=("self",)).filter(pk=export.pk).first()
    if locked is None:
        raise Stale(_("The export was removed meanwhile."))
    return locked


def changed_since(export: Export, actor: User) -> Stale:
    """What is said to ``actor``, whose page shows an earlier version of the export: who saved it since, and when."""
    words = {
        "person": export.updated_by or _("Somebody"),
        "time": timezone.localtime(export.updated_at).strftime("%H:%M"),
    }
    if export.updated_by_id == actor.pk:
        return Stale(_("You saved this export at %(time)s, on another page.") % words)
    return Stale(_("%(person)s saved this export at %(time)s, after you opened it.") % words)


def set_next_run(export: Export, now: datetime) -> None:
    """Let the schedule count from ``now`` on, without catch-up.

    Nothing is due without a connection or while it is paused: the caller has it locked, and read it after that.
    """
    schedule, connection = export.schedule, export.connection
    runs = connection is not None and connection.state != State.PAUSED
    due = next_run_at(schedule, now) if runs else None
    ExportSchedule.objects.filter(pk=schedule.pk).update(next_at=due)


def is_ready_for(connection: Connection, user: User) -> bool:
    """Whether the person may choose this connection for an export: right to use, verified, neither paused nor
    waiting for an administrator.
    """
    return Connection.objects.filter(pk=connection.pk, state=State.READY).usable_by(user).exists()


def valid_options(type_key: str, options: Mapping[str, str]) -> dict[str, str]:
    """The answers to the export options of this connection type; raises OperationError for any other answer."""
    connector = connectors.get(type_key)
    if connector is None:
        raise OperationError(_("This type of connection is no longer available."))
    answers: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for field in connector.export_options:
        answer = options.get(field.key, field.default)
        if field.choices and answer not in {choice.value for choice in field.choices}:
            wrong[f"option_{field.key}"] = _("Choose one of the answers.")
        elif field.required and not answer:
            wrong[f"option_{field.key}"] = _("This is needed.")
        elif len(answer) > field.max_length:
            wrong[f"option_{field.key}"] = _("%(length)d characters are allowed.") % {
                "length": field.max_length
            }
        elif answer:
            try:
                answer = connector.clean_option(field, answer)
            except ValueError as error:
                wrong[f"option_{field.key}"] = _(str(error))
        answers[field.key] = answer
    if wrong:
        raise OperationError(_("The export is not saved yet."), fields=wrong)
    return answers


def free_folder_name(name: str) -> str:
    """A folder name made from the export's name that no other export has: ``mailing``, else ``mailing-2`` (S23)."""
    slug = folder_slug(name)
    taken = set(Export.objects.filter(folder_name__startswith=slug).values_list("folder_name", flat=True))
    if slug not in taken:
        return slug
    number = 2
    while f"{slug}-{number}" in taken:
        number += 1
    return f"{slug}-{number}"


def valid_name(name: str) -> str:
    """The name as it is stored (rule S23); raises OperationError with the message at ``name``."""
    try:
        return clean_name(name)
    except ValidationError as error:
        raise OperationError(_("The export is not saved yet."), fields={"name": error.messages[0]}) from None


def free_name_key(name: str, *, except_for: Export | None) -> str:
    """The key of a name that no other export has; raises OperationError with the message at ``name``."""
    key = name_key(name)
    others = Export.objects.filter(name_key=key)
    if except_for is not None:
        others = others.exclude(pk=except_for.pk)
    if others.exists():
        raise OperationError(_("The export is not saved yet."), fields={"name": name_taken()})
    return key


def name_taken() -> str:
    """What is said at a name that another export has."""
    return _("An export already has this name. Choose another one.")


def _require_items(items: Sequence[Item], type_key: str) -> None:
    wrong: dict[str, str] = {}
    connector = connectors.get(type_key)
    names = connector.attribute_names if connector else None
    if not items:
        wrong["items"] = _("Choose at least one segment or table.")
    elif len({(item.kind, item.source) for item in items}) != len(items):
        wrong["items"] = _("Choose each segment and table once.")
    elif any(not item.fields for item in items):
        wrong["items"] = _("Choose at least one field of everything that is sent.")
    elif names and not all(names.allows(name) for item in items for name, _field in item.added):
        wrong["items"] = _(names.rule)
    if wrong:
        raise OperationError(_("The export is not saved yet."), fields=wrong)


def _require_usable(connection: Connection, actor: User) -> None:
    # unknown, forbidden and not ready look the same (rule S13)
    if not is_ready_for(connection, actor):
        raise OperationError(
            _("The export is not saved yet."), fields={"connection": _("Choose a connection from the list.")}
        )


def _change_connection(export: Export, connection: Connection | None, actor: User) -> None:
    if connection is None:
        if export.connection_id is not None:
            raise OperationError(
                _("The export is not saved yet."), fields={"connection": _("Choose a connection.")}
            )
        return
    if connection.pk == export.connection_id:
        return
    _require_usable(connection, actor)
    if connection.type_key != export.type_key:
        raise OperationError(
            _("The export is not saved yet."),
            fields={"connection": _("Choose a connection of the same type.")},
        )
    cancel_active_runs(export=export, actor=actor)
    export.connection = connection


def items_of(export: Export) -> list[Item]:
    """What the export sends, as the operations take it."""
    return [
        Item(
            kind=ItemKind(item.kind),
            source=item.source,
            fields=tuple(item.fields),
            mapping=tuple((key, field) for key, field in item.mapping),
            added=tuple((name, field) for name, field in item.added),
        )
        for item in export.items.all()
    ]


def _write_items(export: Export, items: Sequence[Item]) -> None:
    export.items.all().delete()
    ExportItem.objects.bulk_create(
        ExportItem(
            export=export,
            position=position,
            kind=item.kind,
            source=item.source,
            fields=list(item.fields),
            mapping=[list(pair) for pair in item.mapping],
            added=[list(pair) for pair in item.added],
        )
        for position, item in enumerate(items)
    )


def write_schedule(export: Export, timing: Timing, now: datetime) -> None:
    """Store the schedule and when it is due next; an unchanged one keeps its due time."""
    values = schedule_values(timing)
    before = ExportSchedule.objects.filter(export=export).first()
    if before is not None and before.next_at and all(getattr(before, k) == v for k, v in values.items()):
        return  # what is due at this very moment stays due
    export.schedule, _created = ExportSchedule.objects.update_or_create(export=export, defaults=values)
    set_next_run(export, now)


def schedule_values(timing: Timing) -> dict[str, Any]:
    """The columns of ``ExportSchedule`` for this timing."""
    return {
        "kind": timing.kind,
        "local_time": timing.local_time,
        "weekdays": sorted(set(timing.weekdays)),
        "days": sorted(set(timing.days)),
        "zone": timing.zone,
    }


def _facts(export: Export, items: Sequence[Item], schedule: Timing) -> dict[str, Any]:
    """What the audit keeps of the settings: names and numbers, no data."""
    return {
        "type": export.type_key,
        "connection": str(export.connection) if export.connection else "",
        "items": [f"{item.kind.value} {item.source}: {len(item.fields)} fields" for item in items],
        "options": dict(export.options),
        "schedule": schedule.kind.value,
        "version": export.version,
    }
