"""The kernel's tables: people, the audit, and what every kind of run has in common."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from connections_portal import first_password


class User(AbstractUser):
    """A person. Their role is the group they are in (roles.py)."""

    time_zone = models.CharField(max_length=64, default="UTC")
    language = models.CharField(max_length=10, default="en")
    theme = models.CharField(max_length=5, default="auto")

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    @property
    def must_change_password(self) -> bool:
        """Whether somebody else chose the password, so that another one has to be chosen before anything else."""
        return first_password.is_first(self.password)

    def check_password(self, raw_password: str | None) -> bool:
        """Whether this is the password; a first one stays one until it is changed."""
        if raw_password is not None and self.must_change_password:
            return first_password.is_correct(raw_password, self.password)
        return super().check_password(raw_password)


class AuditEntry(models.Model):
    """Who did what to which object. Append-only: triggers refuse update and delete (append_only.py).

    Actor and object are plain ids and labels, so that an entry outlives both.
    """

    class Outcome(models.TextChoices):
        """Whether the action was carried out."""

        DONE = "done", _("Done")
        REFUSED = "refused", _("Refused")

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    action = models.CharField(max_length=60, db_index=True)
    outcome = models.CharField(max_length=7, choices=Outcome.choices, default=Outcome.DONE)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=150)
    object_type = models.CharField(max_length=40, blank=True)
    object_uuid = models.UUIDField(null=True)
    object_label = models.CharField(max_length=150, blank=True)
    details = models.JSONField(default=dict)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes = [
            models.Index(fields=["object_type", "object_uuid"], name="audit_object"),
            models.Index(fields=["actor_id", "-at", "-id"], name="audit_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_label}".strip()


class RunState(models.TextChoices):
    """Where a run stands; the order of life is in the design's table of runs."""

    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Processing")
    PUBLISHING = "publishing", _("Finishing")
    SUCCESSFUL = "successful", _("Successful")
    WARNINGS = "warnings", _("Completed with warnings")
    FAILED = "failed", _("Failed")
    CANCELED = "canceled", _("Canceled")


ACTIVE_STATES = (RunState.QUEUED, RunState.RUNNING, RunState.PUBLISHING)
LEASED_STATES = (RunState.RUNNING, RunState.PUBLISHING)


class Trigger(models.TextChoices):
    """What started a run."""

    PERSON = "person", _("By hand")
    SCHEDULE = "schedule", _("Schedule")
    CATCH_UP = "catch_up", _("Schedule (catch-up)")
    COMMAND = "command", _("Command line")
    REFRESH = "refresh", _("System refresh")


class RefreshKind(models.TextChoices):
    """How often the system refresh runs."""

    OFF = "off", _("Off")
    DAILY = "daily", _("Daily")
    WEEKLY = "weekly", _("Weekly")


class RefreshSchedule(models.Model):
    """When the system refresh runs: one row for the whole portal (``number`` is always 1).

    ``weekdays`` are 0 (Monday) to 6, ``times`` up to four wall-clock times ``HH:MM`` in ``zone`` (an IANA name);
    ``next_at`` is null while it is off.
    """

    number = models.PositiveSmallIntegerField(default=1, unique=True)
    kind = models.CharField(max_length=6, choices=RefreshKind.choices, default=RefreshKind.OFF)
    weekdays = models.JSONField(default=list, blank=True)
    times = models.JSONField(default=list, blank=True)
    zone = models.CharField(max_length=64, default="UTC")
    next_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(
        "connections_portal.User", null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(number=1), name="one_refresh_schedule"),
            models.CheckConstraint(
                condition=~Q(kind=RefreshKind.OFF) | Q(next_at__isnull=True), name="no_refresh_while_off"
            ),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()


class RefreshStage(models.TextChoices):
    """Where a system refresh stands: enrichments first, then the exports that follow it."""

    ENRICHMENTS = "enrichments", _("Enrichments")
    EXPORTS = "exports", _("Exports")
    DONE = "done", _("Done")


class Refresh(models.Model):
    """One system refresh; the runs that it started point at it. ``stage_at`` is when its stage began.

    ``slot`` is always 1: there is one refresh at a time.
    """

    slot = models.PositiveSmallIntegerField(default=1, editable=False)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    stage = models.CharField(max_length=11, choices=RefreshStage.choices, default=RefreshStage.ENRICHMENTS)
    trigger = models.CharField(max_length=10, choices=Trigger.choices)
    started_by = models.ForeignKey(
        "connections_portal.User", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    started_by_label = models.CharField(max_length=150, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    stage_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        verbose_name = _("system refresh")
        verbose_name_plural = _("system refreshes")
        constraints = [
            models.UniqueConstraint(
                fields=["slot"], condition=~Q(stage=RefreshStage.DONE), name="one_refresh_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(stage=RefreshStage.DONE, finished_at__isnull=False)
                | Q(~Q(stage=RefreshStage.DONE), finished_at__isnull=True),
                name="refresh_done_means_finished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"


class WhoActs(models.TextChoices):
    """Who can do something about a failed run."""

    NOBODY = "nobody", _("Nothing to do")
    EDITOR = "editor", _("Whoever may edit the export")
    ADMINISTRATOR = "administrator", _("An administrator")
    OPERATOR = "operator", _("Whoever operates the portal")


class Run(models.Model):
    """One execution, as its own row: the queue only wakes workers, this row is the truth.

    Written by conditional updates only (runs.py), never by ``save()`` once it exists. ``attempt`` counts from 1;
    ``lease_token`` fences: only the holder may write. ``cause`` may be read by all who may view, ``detail`` by
    people who may edit the connection. ``read = sent + rejected + left_out`` in a finished run.
    """

    # the field that leads to what it is a run of, which has a connection and a responsible person
    subject_name: ClassVar[str]

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    state = models.CharField(max_length=10, choices=RunState.choices, default=RunState.QUEUED)
    trigger = models.CharField(max_length=10, choices=Trigger.choices)
    started_by = models.ForeignKey(
        "connections_portal.User", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    started_by_label = models.CharField(max_length=150, blank=True)
    refresh = models.ForeignKey(Refresh, null=True, on_delete=models.SET_NULL, related_name="%(class)ss")

    queued_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    not_before = models.DateTimeField()

    attempt = models.PositiveIntegerField(default=0)
    max_attempts = models.PositiveIntegerField(default=3)
    publish_attempt = models.PositiveIntegerField(default=0)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    worker = models.CharField(max_length=80, blank=True)

    selected = models.BigIntegerField(null=True)
    read = models.BigIntegerField(default=0)
    sent = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    left_out = models.BigIntegerField(default=0)
    bytes_sent = models.BigIntegerField(default=0)

    code = models.CharField(max_length=40, blank=True)
    cause = models.CharField(max_length=300, blank=True)
    remedy = models.CharField(max_length=300, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    who_acts = models.CharField(max_length=13, choices=WhoActs.choices, blank=True)

    class Meta:
        abstract = True
        ordering = ["-queued_at", "-id"]
        indexes = [models.Index(fields=["state", "lease_until"])]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state__in=[RunState.SUCCESSFUL, RunState.WARNINGS])
                | Q(read=models.F("sent") + models.F("rejected") + models.F("left_out")),
                name="%(class)s_accounts_for_every_row",
            ),
            models.CheckConstraint(
                condition=Q(state__in=LEASED_STATES, lease_token__isnull=False)
                | Q(~Q(state__in=LEASED_STATES), lease_token__isnull=True),
                name="%(class)s_lease_only_while_running",
            ),
        ]

    @property
    def subject(self) -> Any:
        """What it is a run of."""
        return getattr(self, self.subject_name)

    @property
    def is_active(self) -> bool:
        """Whether the run has not ended yet."""
        return self.state in ACTIVE_STATES

    @property
    def is_retrying(self) -> bool:
        """Whether the run waits for its next attempt after one that failed."""
        return self.state == RunState.QUEUED and self.attempt > 0

    def counts(self) -> dict[str, Any]:
        """The row counts by their names."""
        return {name: getattr(self, name) for name in ("selected", "read", "sent", "rejected", "left_out")}


class Attempt(models.Model):
    """One attempt of a run and how it ended; the texts are as on the run. Each kind of run adds ``run``."""

    class Outcome(models.TextChoices):
        """How an attempt ended."""

        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        LOST = "lost", _("The worker was lost")
        CANCELED = "canceled", _("Canceled")

    number = models.PositiveIntegerField()
    outcome = models.CharField(max_length=8, choices=Outcome.choices, default=Outcome.RUNNING)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    code = models.CharField(max_length=40, blank=True)
    cause = models.CharField(max_length=300, blank=True)
    remedy = models.CharField(max_length=300, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    next_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True
        ordering = ["-number"]

    def __str__(self) -> str:
        return str(self.number)
