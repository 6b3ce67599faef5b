"""Exports as dependents of a connection: what *Used by* counts, *Remove* stops at and *Share* tells of."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Expression, OuterRef, Subquery
from django.db.models.functions import Coalesce, Now
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections.dependents import Dependent, Kind, Withdrawal
from connections.models import Connection
from connections_portal.models import LEASED_STATES, User
from exports import settle, use
from exports.models import Export, ExportRun, ExportSchedule, ScheduleKind
from exports.operations.edit import set_next_run
from exports.operations.responsible import answer_for, bring_back, remember, turn_off
from exports.operations.settle import cancel_all
from exports.operations.settle import settle as settle_removal
from exports.operations.settle import unfit as unfit_for

# What the question before access is withdrawn reads of each export.
CONCERNED = ("uuid", "name", "version", "responsible_id", "schedule__kind")


def _phrase(number: int) -> str:
    return ngettext("%(number)d export", "%(number)d exports", number) % {"number": number}


def _count(connection_ids: Iterable[int]) -> dict[int, int]:
    rows = (
        Export.objects.filter(connection__in=list(connection_ids))
        .order_by()
        .values("connection_id")
        .annotate(number=Count("pk"))
    )
    return {row["connection_id"]: row["number"] for row in rows}


def _total() -> Expression:
    exports = Export.objects.filter(connection=OuterRef("pk")).order_by().values("connection")
    return Coalesce(Subquery(exports.annotate(number=Count("pk")).values("number")), 0)


def _find(connection: Connection, user: User) -> list[Dependent]:
    """Every export on the connection; whoever may remove a connection may see them all."""
    return [_dependent(export) for export in Export.objects.filter(connection=connection)]


def _dependent(export: Export) -> Dependent:
    return Dependent(name=export.name, url=reverse("exports:detail", args=[export.uuid]), uuid=export.uuid)


def _list_url(connection: Connection) -> str:
    return f"{reverse('exports:list')}?connection={connection.uuid}"


def _interrupt(connection: Connection, actor: User, leave_finishing: bool) -> int:
    exports = Export.objects.filter(connection=connection)
    return cancel_all(exports, actor=actor, leave_finishing=leave_finishing)


def _hold(connection: Connection) -> int:
    due = ExportSchedule.objects.filter(export__connection=connection, next_at__isnull=False)
    return due.update(next_at=None)


def _go_on(connection: Connection, now: datetime) -> int:
    exports = list(Export.objects.filter(connection=connection).select_related("schedule", "connection"))
    for export in exports:
        set_next_run(export, now)
    return len(exports)


def _running(connection: Connection) -> int:
    leased = ExportRun.objects.filter(
        export__connection=connection, state__in=LEASED_STATES, lease_until__gte=Now()
    )
    return leased.count()


def _withdrawn(connection: Connection, losing: Sequence[User]) -> Withdrawal | None:
    """*2 exports keep running. Ana and Ben can no longer change them.*"""
    rows = Export.objects.filter(connection=connection).order_by("name_key", "pk")
    exports = list(rows.select_related("schedule").only(*CONCERNED))
    if not exports:
        return None
    ids = {person.pk for person in losing}
    left = [export for export in exports if export.responsible_id in ids]
    return Withdrawal(
        sentences=[
            *_what_goes_on(sum(map(_is_scheduled, exports)), len(exports)),
            ngettext(
                "%(people)s can no longer change it.", "%(people)s can no longer change them.", len(exports)
            )
            % {"people": people_phrase(losing)},
        ],
        concerned=[_dependent(export) for export in exports],
        left=[_dependent(export) for export in left],
        asks=any(map(_is_scheduled, left)),
        marks=[(export.uuid, export.version) for export in exports],
        list_url=_list_url(connection),
    )


def _is_scheduled(export: Export) -> bool:
    return export.schedule.kind != ScheduleKind.MANUAL


def _what_goes_on(scheduled: int, total: int) -> list[str]:
    """*2 exports keep running.* *1 export stays and runs by hand only.*"""
    by_hand = total - scheduled
    running = ngettext("%(number)d export keeps running.", "%(number)d exports keep running.", scheduled)
    staying = ngettext(
        "%(number)d export stays and runs by hand only.",
        "%(number)d exports stay and run by hand only.",
        by_hand,
    )
    sentences = ((running, scheduled), (staying, by_hand))
    return [sentence % {"number": number} for sentence, number in sentences if number]


def people_phrase(people: Sequence[User], most: int = 3) -> str:
    """*Ana Weber*, *Ana Weber and Ben Okafor*, *Ana Weber, Ben Okafor, Maja Lind and 4 more*."""
    names = [str(person) for person in people]
    if len(names) > most + 1:
        more = len(names) - most
        rest = ngettext("%(n)d more", "%(n)d more", more) % {"n": more}
        names = [*names[:most], rest]
    if len(names) == 1:
        return names[0]
    return _("%(names)s and %(last)s") % {"names": ", ".join(names[:-1]), "last": names[-1]}


def _settle_withdrawal(connection: Connection, losing: Sequence[User], keep: bool, actor: User) -> list[UUID]:
    left = Export.objects.filter(connection=connection, responsible__in=losing)
    return answer_for(left, actor=actor) if keep else turn_off(left, actor=actor)


KIND = Kind(
    key="exports",
    direction="export",
    phrase=_phrase,
    count=_count,
    total=_total,
    find=_find,
    list_url=_list_url,
    add_label=lambda: _("Add export"),
    add_url=lambda connection: f"{reverse('exports:create')}?connection={connection.uuid}",
    interrupt=_interrupt,
    hold=_hold,
    go_on=_go_on,
    running=_running,
    withdrawn=_withdrawn,
    settle_withdrawal=_settle_withdrawal,
    icon="arrow_export",
    blocks=_count,
    blocking=settle.blocking,
    loose=lambda connection, user: [],  # an export runs or is detached: each one blocks
    lock=settle.lock,
    marks=settle.marks,
    choices=settle.choices,
    unfit=unfit_for,
    settle=settle_removal,
    let_go=lambda connection, actor: 0,
    use=use.use,
    under_way=use.under_way,
    remember=remember,
    bring_back=bring_back,
)
