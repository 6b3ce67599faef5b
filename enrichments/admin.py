"""Enrichments and their runs as support staff see them; details meant for administrators stay out."""

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
from enrichments.models import Enrichment, EnrichmentAttempt, EnrichmentRun
from enrichments.operations import support


class AttemptInline(ReadOnlyInline):
    """How each attempt ended, in the words that everybody may read."""

    model = EnrichmentAttempt
    fields = ("number", "outcome", "started_at", "ended_at", "code", "cause", "next_at")


@admin.register(Enrichment)
class EnrichmentAdmin(ReadOnlyAdmin):
    """An enrichment; what it reads at the service is not shown."""

    list_display = ("name", "type_key", "connection", "active", "table_name", "responsible", "updated_at")
    list_filter = ("type_key", "active")
    list_select_related = ("connection", "responsible")
    search_fields = ("name", "uuid", "table_name", "connection__uuid", "connection__name")
    fields = (
        "uuid", "name", "type_key", "connection", "active", "segment", "table_name", "responsible",
        "created_at", "created_by", "updated_at", "updated_by", "runs", "audit",
    )  # fmt: skip
    readonly_fields = ("runs", "audit")

    @admin.display(description=gettext_lazy("runs"))
    def runs(self, enrichment: Enrichment) -> SafeString:
        """A link to its runs."""
        return search_link(EnrichmentRun, enrichment.uuid, _("Show runs"))


@admin.register(EnrichmentRun)
class EnrichmentRunAdmin(ReadOnlyAdmin):
    """A run with its attempts."""

    list_display = ("uuid", "enrichment", *RUN_LIST)
    list_filter = ("state", "trigger")
    list_select_related = ("enrichment",)
    search_fields = (
        "uuid", "enrichment__name", "enrichment__uuid", "connection_name", "connection_uuid", "refresh__uuid",
    )  # fmt: skip
    date_hierarchy = "queued_at"
    fields = ("uuid", "enrichment", *RUN_FIELDS)
    readonly_fields = RUN_LINKS
    inlines = (AttemptInline,)
    actions = (admin_actions.requeue_lost(support.requeue_lost), admin_actions.cancel_run(support.cancel_run))
