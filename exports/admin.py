"""Exports and runs as support staff see them; details meant for administrators stay out."""

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections_portal import admin_actions
from connections_portal.admin import (
    RUN_FIELDS,
    RUN_LINKS,
    RUN_LIST,
    ReadOnlyAdmin,
    ReadOnlyInline,
    search_link,
)
from exports.models import Export, ExportAttempt, ExportItem, ExportRun, ExportSchedule, ExportTask
from exports.operations import support


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

    list_display = ("name", "type_key", "connection", "responsible", "updated_at")
    list_filter = ("type_key",)
    list_select_related = ("connection", "responsible")
    search_fields = ("name", "uuid", "connection__uuid", "connection__name")
    fields = (
        "uuid", "name", "type_key", "connection", "responsible", "options",
        "created_at", "created_by", "updated_at", "updated_by", "runs", "audit",
    )  # fmt: skip
    readonly_fields = ("runs", "audit")
    inlines = (ItemInline, ScheduleInline)

    @admin.display(description=gettext_lazy("runs"))
    def runs(self, export: Export) -> SafeString:
        """A link to its runs."""
        return search_link(ExportRun, export.uuid, _("Show runs"))


@admin.register(ExportRun)
class ExportRunAdmin(ReadOnlyAdmin):
    """A run with its tasks and attempts."""

    list_display = ("uuid", "export", *RUN_LIST)
    list_filter = ("state", "trigger")
    list_select_related = ("export",)
    search_fields = (
        "uuid",
        "export__name",
        "export__uuid",
        "connection_name",
        "connection_uuid",
        "refresh__uuid",
    )
    date_hierarchy = "queued_at"
    fields = ("uuid", "export", *RUN_FIELDS)
    readonly_fields = RUN_LINKS
    inlines = (TaskInline, AttemptInline)
    actions = (admin_actions.requeue_lost(support.requeue_lost), admin_actions.cancel_run(support.cancel_run))
