"""The support admin: people, system refreshes and audit, to read. Passwords, roles and sessions are not changed here.

What support staff may do to runs is in ``admin_actions``; there is no other action, for nobody (rule S15).
"""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_tasks_db.models import DBTaskResult

from connections_portal import audit_listing, audit_story, roles
from connections_portal.audit import WORDS
from connections_portal.models import AuditEntry, Refresh, Run, User
from connections_portal.names import search_words
from connections_portal.roles import Role

# rights are given by the portal's own operations, the queue belongs to the workers
admin.site.unregister([Group, DBTaskResult])
admin.site.disable_action("delete_selected")


def search_link(model: type[Model] | str, text: object, words: str) -> SafeString:
    """A link to the list of a model (or *app_model*), searched for ``text``."""
    name = model if isinstance(model, str) else f"{model._meta.app_label}_{model._meta.model_name}"
    url = reverse(f"admin:{name}_changelist")
    return format_html('<a href="{}?{}">{}</a>', url, urlencode({"q": str(text)}), words)


def row_link(row: Model) -> SafeString:
    """A link to the row's own page."""
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, str(row))


# What support staff see of every kind of run; details meant for administrators stay out (rule S12).
RUN_LIST = ("state", "trigger", "queued_at", "finished_at", "sent", "attempt")
RUN_LINKS = ("over", "audit")
RUN_FIELDS = (
    "state", "trigger", "started_by_label", "refresh", "queued_at", "not_before", "started_at", "finished_at",
    "attempt", "max_attempts", "worker", "heartbeat_at", "lease_until", "connection_type", "connection_uuid",
    "selected", "read", "sent", "rejected", "left_out", "code", "cause", "remedy", "who_acts", *RUN_LINKS,
)  # fmt: skip


class _ReadOnly:
    """View rights only, whoever asks."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Never."""
        return False


class ReadOnlyInline(_ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """Rows that belong to another one, to read."""

    can_delete = False
    extra = 0
    template = "admin/rows.html"


class ReadOnlyAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows to read. ``actions`` are offered to support staff alone, and only those that it names."""

    actions: Sequence[Any] | None = None
    show_full_result_count = False

    @admin.display(description=gettext_lazy("audit"))
    def audit(self, row: Any) -> SafeString:
        """A link to the audit entries about the row, or about what it is a run of."""
        about: Any = row.subject if isinstance(row, Run) else row
        return search_link(AuditEntry, about.uuid, _("Show in the audit"))

    @admin.display(description=gettext_lazy("connection"))
    def over(self, run: Any) -> str:
        """The connection that a run was over, with a link as long as it is that of the export or enrichment."""
        connection = run.subject.connection
        ours = connection is not None and connection.uuid == run.connection_uuid
        return row_link(connection) if ours else run.connection_name

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Only the filters that are offered. Any column could be asked for otherwise, a password's hash included."""
        offered = {str(getattr(name, "parameter_name", name)) for name in self.list_filter}
        return lookup.split("__", maxsplit=1)[0] in {*offered, self.date_hierarchy}

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The actions of this page for support staff, none for anybody else who may enter."""
        if roles.role_of(request.user) is not Role.SUPPORT:  # type: ignore[arg-type] # signed in: the site's door
            return {}
        return super().get_actions(request)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list; a post that is none of its actions is refused. Raises PermissionDenied."""
        if request.method == "POST":
            asked = [name for name in request.POST.getlist("action") if name]
            if not self.has_view_permission(request) or not set(asked) <= set(self.get_actions(request)):
                raise PermissionDenied
        return super().changelist_view(request, extra_context)


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    """People as support sees them: no password hash, no rights to edit."""

    list_display = ("username", "first_name", "last_name", "is_active", "last_login")
    list_filter = ("is_active",)
    search_fields = ("username", "first_name", "last_name")
    fields = (
        "username",
        "first_name",
        "last_name",
        "email",
        "is_active",
        "groups",
        "last_login",
        "time_zone",
        "audit",
    )
    readonly_fields = ("audit",)

    @admin.display(description=gettext_lazy("audit"))
    def audit(self, person: User) -> SafeString:
        """A link to what the person did."""
        return search_link(AuditEntry, str(person)[:100], _("Show in the audit"))


@admin.register(Refresh)
class RefreshAdmin(ReadOnlyAdmin):
    """System refreshes."""

    list_display = ("started_at", "stage", "trigger", "started_by_label", "finished_at")
    list_filter = ("stage", "trigger")
    search_fields = ("uuid", "started_by_label")
    date_hierarchy = "started_at"
    fields = (
        "uuid", "stage", "trigger", "started_by_label", "started_at", "stage_at", "finished_at", "exports",
        "enrichments", "audit",
    )  # fmt: skip
    readonly_fields = ("exports", "enrichments", "audit")

    @admin.display(description=gettext_lazy("runs of exports"))
    def exports(self, refresh: Refresh) -> SafeString:
        """A link to the runs it started."""
        return search_link("exports_exportrun", refresh.uuid, _("Show runs"))

    @admin.display(description=gettext_lazy("runs of enrichments"))
    def enrichments(self, refresh: Refresh) -> SafeString:
        """A link to the runs it started."""
        return search_link("enrichments_enrichmentrun", refresh.uuid, _("Show runs"))


class ActionFilter(admin.SimpleListFilter):
    """Groups of actions, as Settings > Audit has them: read from the code, not from a million rows."""

    title = gettext_lazy("action")
    parameter_name = "group"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Key and words of each group."""
        return list(audit_listing.groups().items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """The entries of the group."""
        of_group = [action for action in WORDS if action.split(".")[0] == self.value()]
        return queryset.filter(action__in=of_group) if of_group else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """What happened, newest first."""

    list_display = ("at", "sentence", "outcome")
    list_filter = ("outcome", ActionFilter, "at")
    search_fields = ("actor_label", "object_label", "object_uuid")
    fields = ("at", "sentence", "action", "outcome", "actor", "object", "object_uuid", "run", "kept")
    readonly_fields = ("sentence", "actor", "object", "run", "kept")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """By identifier where one is searched for, which has an index; else by the names of person and object."""
        try:
            return queryset.filter(audit_listing.about([UUID(search_term.strip())])), False
        except ValueError:
            words = search_words(search_term)
            named = Q(actor_label__icontains=words) | Q(object_label__icontains=words)
            return (queryset.filter(named) if words else queryset), False

    @admin.display(description=gettext_lazy("what happened"))
    def sentence(self, entry: AuditEntry) -> str:
        """The entry in words."""
        return audit_story.describe(entry)

    @admin.display(description=gettext_lazy("person"))
    def actor(self, entry: AuditEntry) -> str:
        """Who did it, with a link as long as there is an account."""
        person = User.objects.filter(pk=entry.actor_id).first() if entry.actor_id else None
        return row_link(person) if person else audit_story.actor(entry)

    @admin.display(description=gettext_lazy("object"))
    def object(self, entry: AuditEntry) -> str:
        """What it is about, with a link as long as it exists and has a page here."""
        rows = _rows(entry.object_uuid, lambda model: model._meta.model_name == entry.object_type)
        return next((row_link(row) for row in rows), entry.object_label or "-")

    @admin.display(description=gettext_lazy("run"))
    def run(self, entry: AuditEntry) -> str:
        """The run that it belongs to, if there is one."""
        try:
            identifier = UUID(str(entry.details.get("run", "")))
        except ValueError:
            return "-"
        rows = _rows(identifier, lambda model: issubclass(model, Run))
        return next((row_link(row) for row in rows), str(identifier))

    @admin.display(description=gettext_lazy("details"))
    def kept(self, entry: AuditEntry) -> str:
        """What else the entry keeps, without what says where a connection leads."""
        lines = audit_story.details(entry, for_administrators=False)
        return format_html_join("", "{}: {}<br>", ((line.label, line.value) for line in lines)) or "-"


def _rows(identifier: UUID | None, wanted: Any) -> Iterator[Model]:
    """The row with this uuid in those models with a page here that ``wanted`` takes."""
    if identifier is None:
        return
    for model in admin.site._registry:
        if wanted(model) and any(column.name == "uuid" for column in model._meta.fields):
            yield from model._default_manager.filter(uuid=identifier)[:1]
