"""The support admin: people and audit, to read. Passwords, roles, grants and sessions are not changed here (S15)."""

from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest

from connections_portal.audit import describe
from connections_portal.models import AuditEntry, User

admin.site.unregister(Group)


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """View rights only, whoever asks."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Never."""
        return False


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
