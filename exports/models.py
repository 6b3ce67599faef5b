"""Exports: what is sent, over which connection, when, and what happened."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from connections.models import Connection
from connections_portal.models import ACTIVE_STATES, Attempt, Run, User


class Export(models.Model):
    """What to send over a connection. Without one (*No Connection*) it keeps everything and does not run.

    ``type_key`` and ``options`` outlive the connection; ``folder_name`` is set once and names the folder at the
    destination; ``responsible`` is the person whose right scheduled runs and retries need (rule S11).
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    name_key = models.CharField(max_length=200, unique=True, editable=False)
    connection = models.ForeignKey(
        Connection, null=True, blank=True, on_delete=models.PROTECT, related_name="exports"
    )
    type_key = models.CharField(max_length=60)
    options = models.JSONField(default=dict)
    folder_name = models.CharField(max_length=80, unique=True, editable=False)
    responsible = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["name", "id"]
        indexes = [
            models.Index(fields=["updated_at", "name_key"], name="export_updated"),
            # what search and filters look at, in the order of names: no row is read to pass over it
            models.Index(fields=["name_key", "connection", "type_key"], name="export_found"),
        ]
        verbose_name = _("export")
        verbose_name_plural = _("exports")

    def __str__(self) -> str:
        return self.name


class ItemKind(models.TextChoices):
    """What an item of an export is."""

    SEGMENT = "segment", _("Segment")
    TABLE = "table", _("Table")


class ExportItem(models.Model):
    """A segment or table to send, with the stored list of ticked fields (rule S24).

    For a service that takes records ``mapping`` says what fills what: pairs of a target's key and a field, and
    ``added`` pairs of a name somebody gave and a field; ``fields`` are then those that it uses.
    """

    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=7, choices=ItemKind.choices)
    source = models.CharField(max_length=200)
    fields = models.JSONField(default=list)
    mapping = models.JSONField(default=list)
    added = models.JSONField(default=list)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["export", "kind", "source"], name="item_once_per_export")
        ]

    def __str__(self) -> str:
        return self.source


class ScheduleKind(models.TextChoices):
    """How often an export runs by itself."""

    MANUAL = "manual", _("Manual only")
    SYSTEM = "system", _("With system refresh")
    DAY = "day", _("Every day")
    WEEK = "week", _("Every week")
    MONTH = "month", _("Every month")


class ExportSchedule(models.Model):
    """When an export runs by itself.

    ``local_time`` is wall-clock time in ``zone`` (an IANA name); ``weekdays`` are 0 (Monday) to 6, ``days`` 1 to 31
    (a day that the month lacks means its last day); ``next_at`` is null while nothing is due, and always for one that
    follows the system refresh.
    """

    export = models.OneToOneField(Export, on_delete=models.CASCADE, related_name="schedule")
    kind = models.CharField(max_length=6, choices=ScheduleKind.choices, default=ScheduleKind.MANUAL)
    local_time = models.TimeField(null=True, blank=True)
    weekdays = models.JSONField(default=list, blank=True)
    days = models.JSONField(default=list, blank=True)
    zone = models.CharField(max_length=64, default="UTC")
    next_at = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=[ScheduleKind.MANUAL, ScheduleKind.SYSTEM])
                | Q(local_time__isnull=False),
                name="schedule_has_a_time_of_its_own",
            )
        ]

    def __str__(self) -> str:
        return self.get_kind_display()


class ExportRun(Run):
    """One execution of an export.

    Connection and consent are copied as plain columns: the run tells its story after both are gone.
    ``temporary_folder`` and ``final_folder`` are relative to the connection's folder and are set with the step
    to *publishing* (the temporary one from the first attempt on, so that the next can take it over), with ``manifest``:
    ``files`` as pairs of name and size, and the ``place`` (``operations.places``) of both folders. A run that
    ``retries`` another one sends only the records that were rejected there.
    """

    subject_name = "export"

    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="runs")
    connection_uuid = models.UUIDField()
    connection_type = models.CharField(max_length=60)
    connection_name = models.CharField(max_length=100)
    connection_epoch = models.PositiveIntegerField()
    consent_uuid = models.UUIDField(null=True)
    options = models.JSONField(default=dict)
    temporary_folder = models.CharField(max_length=200, blank=True)
    final_folder = models.CharField(max_length=200, blank=True)
    manifest = models.JSONField(default=dict)
    retries = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="retried_by")

    class Meta(Run.Meta):
        verbose_name = _("export run")
        verbose_name_plural = _("export runs")
        constraints = [
            *Run.Meta.constraints,
            models.UniqueConstraint(
                fields=["export"], condition=Q(state__in=ACTIVE_STATES), name="one_active_run_per_export"
            ),
        ]
        # the list of exports sorts by the last run of each: both are read from these indexes alone
        indexes = [
            *Run.Meta.indexes,
            models.Index(fields=["export", "-queued_at", "-id", "state"], name="last_run"),
            models.Index(fields=["export", "-finished_at"], name="last_ended_run"),
            # what went over a connection, whatever has become of its exports since
            models.Index(fields=["connection_uuid", "-finished_at"], name="run_over_connection"),
        ]

    def __str__(self) -> str:
        return f"{self.export} {self.queued_at:%Y-%m-%d %H:%M}"


class TemporaryFolder(models.Model):
    """A folder of unfinished files at a destination, noted before it is made until it was seen gone.

    ``path`` is relative to the connection's folder, as ``place`` (``operations.places``) had it. While its run is under
    way it is the run's; once that has ended, or was removed with its export, it is a leftover and is deleted, as long
    as the connection leads to the same target.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="temporary_folders")
    target_digest = models.CharField(max_length=64)
    place = models.JSONField(default=dict)
    path = models.CharField(max_length=200)
    run = models.ForeignKey(ExportRun, null=True, on_delete=models.SET_NULL, related_name="folders")
    created_at = models.DateTimeField(auto_now_add=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.path


class TaskState(models.TextChoices):
    """Where one item of a run stands."""

    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Processing")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class ExportTask(models.Model):
    """One item of a run, written only under the run's token. ``identity`` is that of its inputs (rule S28).

    ``confirmed`` is how far a service that takes records has confirmed it: ``[number of the next chunk, last key]``, in
    the order of keys, so that the next attempt goes on there while the inputs have their identity.
    """

    run = models.ForeignKey(ExportRun, on_delete=models.CASCADE, related_name="tasks")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=7, choices=ItemKind.choices)
    source = models.CharField(max_length=200)
    fields = models.JSONField(default=list)
    state = models.CharField(max_length=7, choices=TaskState.choices, default=TaskState.WAITING)
    selected = models.BigIntegerField(null=True)
    read = models.BigIntegerField(default=0)
    sent = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    left_out = models.BigIntegerField(default=0)
    reasons = models.JSONField(default=dict)
    bytes_sent = models.BigIntegerField(default=0)
    identity = models.JSONField(default=list)
    confirmed = models.JSONField(default=list)
    mapping = models.JSONField(default=list)
    added = models.JSONField(default=list)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["run", "position"], name="task_once_per_position"),
            models.CheckConstraint(
                condition=~Q(state=TaskState.DONE)
                | Q(read=models.F("sent") + models.F("rejected") + models.F("left_out")),
                name="exporttask_accounts_for_every_row",
            ),
        ]

    def __str__(self) -> str:
        return self.source


class ExportFile(models.Model):
    """A complete file at the destination: ``size`` in bytes as the service reports it, ``sha256`` as sent."""

    task = models.ForeignKey(ExportTask, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=200)
    rows = models.BigIntegerField()
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["task", "name"], name="file_once_per_task")]

    def __str__(self) -> str:
        return self.name


class Rejection(models.Model):
    """Why a service refused records of a task, in its own words, with how many there are."""

    task = models.ForeignKey(ExportTask, on_delete=models.CASCADE, related_name="rejections")
    code = models.CharField(max_length=60)
    reason = models.CharField(max_length=300, blank=True)
    rows = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-rows", "id"]
        constraints = [
            models.UniqueConstraint(fields=["task", "code", "reason"], name="rejection_once_per_reason")
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".strip()


class RejectedRow(models.Model):
    """The customer ID of a record that was refused; deleted after REJECTED_DAYS, when the counts alone stay."""

    rejection = models.ForeignKey(Rejection, on_delete=models.CASCADE, related_name="keys")
    key = models.CharField(max_length=400)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return str(self.pk)


class ExportAttempt(Attempt):
    """One attempt of an export's run."""

    run = models.ForeignKey(ExportRun, on_delete=models.CASCADE, related_name="attempts")

    class Meta(Attempt.Meta):
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="attempt_once_per_run")]
