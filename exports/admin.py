"""Exports and runs as support staff see them; details meant for administrators stay out."""

from django.contrib import admin

from connections_portal.admin import ReadOnlyAdmin, ReadOnlyInline
from exports.models import Export, ExportAttempt, ExportItem, ExportRun, ExportSchedule, ExportTask


class ItemInline(ReadOnlyInline):
    """What is sent."""

    model = ExportItem
    fields = ("kind", "source", "fields")


class ScheduleInline(ReadOnlyInline):
    """When it runs."""

    model = ExportSchedule
    fields = ("kind", "local_time", "weekdays", "days", "zone", "next_at")


class TaskInline(ReadOnlyInline):
    """Row counts per item."""

    model = ExportTask
    fields = ("kind", "source", "state", "selected", "read", "sent", "rejected", "left_out")


class AttemptInline(ReadOnlyInline):
    """How each attempt ended, in the words that everybody may read."""

    model = ExportAttempt
    fields = ("number", "outcome", "started_at", "ended_at", "code", "cause", "next_at")


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    """An export with its items and schedule."""

    list_display = ("name", "type_key", "responsible", "updated_at")
    list_filter = ("type_key",)
    search_fields = ("name", "uuid")
    fields = (
        "uuid", "name", "type_key", "connection", "responsible", "options",
        "created_at", "created_by", "updated_at", "updated_by",
    )  # fmt: skip
    inlines = (ItemInline, ScheduleInline)


@admin.register(ExportRun)
class ExportRunAdmin(ReadOnlyAdmin):
    """A run with its tasks and attempts."""

    list_display = ("export", "state", "trigger", "queued_at", "finished_at", "sent", "attempt")
    list_filter = ("state", "trigger")
    search_fields = ("uuid", "export__name")
    fields = (
        "uuid", "export", "state", "trigger", "started_by_label", "queued_at", "started_at", "finished_at",
        "attempt", "max_attempts", "connection_name", "connection_type", "selected", "read", "sent", "rejected",
        "left_out", "code", "cause", "remedy", "who_acts",
    )  # fmt: skip
    inlines = (TaskInline, AttemptInline)
