"""The support admin: people and audit, to read. Passwords, roles, grants and sessions are not changed here (S15)."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django_tasks_db.models import DBTaskResult

from connections_portal.audit_story import describe
from connections_portal.models import AuditEntry, User

# rights are given by the portal's own operations, the queue belongs to the workers
admin.site.unregister([Group, DBTaskResult])


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


class ReadOnlyAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows to read."""

    actions = None

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Only the filters that are offered. Any column could be asked for otherwise, a password's hash included."""
        offered = {*map(str, self.list_filter), self.date_hierarchy}
        return lookup.split("__", maxsplit=1)[0] in offered


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    """People as support sees them: no password hash, no rights to edit."""

    list_display = ("username", "first_name", "last_name", "is_active", "last_login")
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
    )


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """What happened, newest first."""

    list_display = ("at", "sentence", "outcome")
    list_filter = ("outcome", "action")
    search_fields = ("actor_label", "object_label", "object_uuid")
    date_hierarchy = "at"

    @admin.display(description="what happened")
    def sentence(self, entry: AuditEntry) -> str:
        """The entry in words."""
        return describe(entry)
