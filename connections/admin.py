"""Connections and consent as support staff see them. Secrets and drafts are not registered at all."""

from django.contrib import admin

from connections.models import Connection, Consent
from connections_portal.admin import ReadOnlyAdmin


@admin.register(Connection)
class ConnectionAdmin(ReadOnlyAdmin):
    """Name, type, state and dates; where data goes is for administrators (S12)."""

    list_display = ("name", "type_key", "state", "created_at", "access")
    list_filter = ("type_key", "state")
    search_fields = ("name", "uuid")
    fields = (
        "uuid", "name", "type_key", "state", "access", "verified_at", "verified_by",
        "created_at", "created_by", "updated_at", "updated_by", "version",
    )  # fmt: skip


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    """Who agreed to what, without the target."""

    list_display = ("at", "person_label", "action", "connection_name", "type_key", "wording_version")
    search_fields = ("connection_name", "person_label", "connection_uuid")
    fields = (
        "uuid", "at", "action", "person_label", "connection_name", "connection_uuid", "type_key",
        "wording_version", "wording_hash",
    )  # fmt: skip
