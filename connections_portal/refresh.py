"""The system refresh: one schedule for the whole portal; enrichments first, then the exports that follow it.

A due refresh makes a row in stage *enrichments*; when all it started are final, or after six hours, it goes on to
*exports*, and then it is *done*. Each app says once what it starts in which stage; nobody here knows which there are.
"""

import datetime as dt
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections_portal import audit, local_times, roles
from connections_portal.errors import NotAllowed, OperationError, Stale
from connections_portal.models import (
    Refresh,
    RefreshKind,
    RefreshSchedule,
    RefreshStage,
    Trigger,
    User,
)

logger = logging.getLogger(__name__)

MOST_TIMES = 4
# how long a stage waits for what it started
LONGEST_STAGE = dt.timedelta(hours=6)
# rule S31: nothing runs more often
SHORTEST = dt.timedelta(minutes=15)


class UnderWay(OperationError):
    """A refresh is under way already."""

    status = 409


@dataclass(frozen=True)
class Follower:
    """What one app starts in a stage, and whether anything that a refresh started there has not ended yet.

    ``start`` queues the runs of this refresh inside the caller's transaction and returns how many.
    """

    stage: RefreshStage
    start: Callable[[Refresh, dt.datetime], int]
    is_active: Callable[[Refresh], bool]


_followers: list[Follower] = []


def register(follower: Follower) -> None:
    """Make an app's part known; called once from its ``ready``."""
    _followers.append(follower)


class Schedule(Protocol):
    """What ``next_refresh_at`` reads; ``RefreshSchedule`` has it."""

    kind: str
    weekdays: list[int]
    times: list[str]
    zone: str


def stored() -> RefreshSchedule:
    """The portal's one schedule, as it is; off before anybody set it."""
    return RefreshSchedule.objects.select_related("updated_by").first() or RefreshSchedule(version=0)


def is_on() -> bool:
    """Whether the system refresh runs by itself."""
    return RefreshSchedule.objects.exclude(kind=RefreshKind.OFF).exists()


def next_at() -> dt.datetime | None:
    """When the next system refresh begins by itself; None while it is off."""
    return RefreshSchedule.objects.values_list("next_at", flat=True).first()


def following(*, refresh_on: bool) -> str:
    """How an item that follows the system refresh says when it runs."""
    return _("With system refresh") if refresh_on else _("Follows the system refresh (off)")


def next_refresh_at(schedule: Schedule, after: dt.datetime) -> dt.datetime | None:
    """The first moment later than ``after`` (aware) at which the refresh is due, in UTC; None while it is off."""
    if schedule.kind == RefreshKind.OFF or not schedule.times:
        return None
    zone = ZoneInfo(schedule.zone)
    # start a day early: a gap can move yesterday's local time into today
    day = after.astimezone(zone).date() - dt.timedelta(days=1)
    for _step in range(10):
        if schedule.kind == RefreshKind.DAILY or day.weekday() in schedule.weekdays:
            moments = [local_times.moment(day, dt.time.fromisoformat(time), zone) for time in schedule.times]
            if later := [moment for moment in moments if moment > after]:
                return min(later)
        day += dt.timedelta(days=1)
    return None


def set_schedule(
    *,
    kind: RefreshKind,
    weekdays: Sequence[int],
    times: Sequence[str],
    zone: str,
    version: int,
    actor: User,
    now: dt.datetime | None = None,
) -> RefreshSchedule:
    """Store when the system refresh runs, from the page that showed ``version``.

    ``times`` are one to four of ``HH:MM``, at least 15 minutes apart; both lists are not looked at while it is off.
    Raises Stale, and OperationError with messages at ``weekdays``, ``times`` or ``zone``; 403 for others than
    administrators.
    """
    if not roles.is_administrator(actor):
        raise NotAllowed(_("Only administrators set the system refresh."))
    kept_days, kept_times = _checked(kind, weekdays, times, zone)
    with transaction.atomic():
        RefreshSchedule.objects.get_or_create(number=1, defaults={"version": 0})
        schedule = RefreshSchedule.objects.select_for_update().get(number=1)
        if schedule.version != version:
            raise Stale(
                _("%(person)s changed the schedule after you opened this page.")
                % {"person": schedule.updated_by or _("Somebody")}
            )
        schedule.kind, schedule.weekdays, schedule.times = kind, kept_days, kept_times
        schedule.zone = zone
        schedule.next_at = next_refresh_at(schedule, now or timezone.now())
        schedule.version += 1
        schedule.updated_by = actor
        schedule.save()
        audit.record(
            "refresh.scheduled", actor=actor, kind=kind.value, weekdays=kept_days, times=kept_times, zone=zone
        )
    return schedule


def _checked(
    kind: RefreshKind, weekdays: Sequence[int], times: Sequence[str], zone: str
) -> tuple[list[int], list[str]]:
    if kind == RefreshKind.OFF:
        return [], []
    wrong: dict[str, str] = {}
    days = sorted({day for day in weekdays if 0 <= day <= 6}) if kind == RefreshKind.WEEKLY else []
    if kind == RefreshKind.WEEKLY and not days:
        wrong["weekdays"] = _("Choose at least one day of the week.")
    moments = sorted(set(times))
    if not moments or not all(re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", time) for time in moments):
        wrong["times"] = _("Type at least one time between 00:00 and 23:59.")
    elif len(moments) > MOST_TIMES:
        wrong["times"] = _("At most four times a day are possible.")
    elif _closest(moments) < SHORTEST:
        wrong["times"] = _("Leave at least 15 minutes between two times.")
    if zone not in local_times.zones():
        wrong["zone"] = _("Choose a time zone from the list.")
    if wrong:
        raise OperationError(_("The schedule is not saved yet."), fields=wrong)
    return days, moments


def _closest(moments: Sequence[str]) -> dt.timedelta:
    """The shortest time between two of these times of the day, midnight included."""
    minutes = [int(moment[:2]) * 60 + int(moment[3:]) for moment in moments]
    gaps = [
        later - earlier for earlier, later in zip(minutes, [*minutes[1:], minutes[0] + 1440], strict=True)
    ]
    return dt.timedelta(minutes=min(gaps))


def start(*, actor: User | None, trigger: Trigger, now: dt.datetime | None = None) -> Refresh:
    """Begin a refresh with its first stage. By hand it needs an administrator. Raises UnderWay, NotAllowed."""
    if trigger is Trigger.PERSON and not (actor and roles.is_administrator(actor)):
        raise NotAllowed(_("Only administrators start the system refresh."))
    now = now or timezone.now()
    try:
        with transaction.atomic():
            refresh = Refresh.objects.create(
                trigger=trigger,
                started_by=actor,
                started_by_label=str(actor)[:150] if actor else "",
                stage_at=now,
            )
            queued = _start_stage(refresh, RefreshStage.ENRICHMENTS, now)
            audit.record("refresh.started", actor=actor, target=refresh, trigger=trigger, queued=queued)
            return refresh
    except IntegrityError:
        raise UnderWay(_("A system refresh is under way already.")) from None


def tick(*, now: dt.datetime) -> dict[str, int]:
    """Begin what is due and move on what is under way; any number of machines may do so at the same time."""
    return {"refreshes": _begin_due(now), "refresh_stages": _move_on(now)}


def _begin_due(now: dt.datetime) -> int:
    schedule = RefreshSchedule.objects.filter(next_at__lte=now).first()
    if schedule is None or schedule.next_at is None:
        return 0
    try:
        following = next_refresh_at(schedule, now)
        missed = next_refresh_at(schedule, schedule.next_at)
    except (KeyError, ValueError):
        # a time zone that this machine does not know
        logger.exception("the schedule of the system refresh cannot be read")
        return 0
    late = missed is not None and missed <= now
    with transaction.atomic():
        due = RefreshSchedule.objects.filter(pk=schedule.pk, next_at=schedule.next_at)
        if not due.update(next_at=following):
            return 0
        if Refresh.objects.exclude(stage=RefreshStage.DONE).exists():
            return 0  # only moved on
        try:
            start(actor=None, trigger=Trigger.CATCH_UP if late else Trigger.SCHEDULE, now=now)
        except UnderWay:
            return 0  # somebody began one at this moment
    return 1


def _move_on(now: dt.datetime) -> int:
    moved = 0
    following = {RefreshStage.ENRICHMENTS: RefreshStage.EXPORTS, RefreshStage.EXPORTS: RefreshStage.DONE}
    for refresh in Refresh.objects.exclude(stage=RefreshStage.DONE):
        stage = RefreshStage(refresh.stage)
        if now - refresh.stage_at < LONGEST_STAGE and _is_active(refresh, stage):
            continue
        after = following[stage]
        with transaction.atomic():
            rows = Refresh.objects.filter(pk=refresh.pk, stage=stage)
            done = {"finished_at": now} if after is RefreshStage.DONE else {}
            if not rows.update(stage=after, stage_at=now, **done):
                continue
            moved += 1
            if after is RefreshStage.DONE:
                audit.record("refresh.finished", actor=None, target=refresh)
            else:
                _start_stage(refresh, after, now)
    return moved


def _start_stage(refresh: Refresh, stage: RefreshStage, now: dt.datetime) -> int:
    return sum(follower.start(refresh, now) for follower in _followers if follower.stage is stage)


def _is_active(refresh: Refresh, stage: RefreshStage) -> bool:
    return any(follower.is_active(refresh) for follower in _followers if follower.stage is stage)
