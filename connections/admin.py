"""Connections, consent, grants and requests as support staff see them. Secrets and drafts are not registered at all."""

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections.models import (
    AccessRequest,
    Connection,
    ConnectionGroupObjectPermission,
    ConnectionUserObjectPermission,
    Consent,
    KeyVault,
    RemovedConnection,
    VaultNotice,
)
from connections_portal.admin import ReadOnlyAdmin, search_link


@admin.register(Connection)
class ConnectionAdmin(ReadOnlyAdmin):
    """Name, type, state and dates; where data goes is for administrators (S12)."""

    list_display = ("name", "type_key", "state", "created_at", "access")
    list_filter = ("type_key", "state", "access")
    search_fields = ("name", "uuid")
    fields = (
        "uuid", "name", "type_key", "state", "access", "verified_at", "verified_by", "consent",
        "created_at", "created_by", "updated_at", "updated_by", "version",
        "exports", "export_runs", "enrichments", "enrichment_runs", "people", "groups", "audit",
    )  # fmt: skip
    readonly_fields = (
        "exports", "export_runs", "enrichments", "enrichment_runs", "people", "groups", "audit",
    )  # fmt: skip

    @admin.display(description=gettext_lazy("exports"))
    def exports(self, connection: Connection) -> SafeString:
        """A link to the exports on it."""
        return search_link("exports_export", connection.uuid, _("Show exports"))

    @admin.display(description=gettext_lazy("runs of exports"))
    def export_runs(self, connection: Connection) -> SafeString:
        """A link to the runs over it, those of exports that have another connection now included."""
        return search_link("exports_exportrun", connection.uuid, _("Show runs"))

    @admin.display(description=gettext_lazy("enrichments"))
    def enrichments(self, connection: Connection) -> SafeString:
        """A link to the enrichments on it."""
        return search_link("enrichments_enrichment", connection.uuid, _("Show enrichments"))

    @admin.display(description=gettext_lazy("runs of enrichments"))
    def enrichment_runs(self, connection: Connection) -> SafeString:
        """A link to the runs over it."""
        return search_link("enrichments_enrichmentrun", connection.uuid, _("Show runs"))

    @admin.display(description=gettext_lazy("people who may use it"))
    def people(self, connection: Connection) -> SafeString:
        """A link to the grants to people."""
        return search_link(ConnectionUserObjectPermission, connection.uuid, _("Show grants to people"))

    @admin.display(description=gettext_lazy("groups that may use it"))
    def groups(self, connection: Connection) -> SafeString:
        """A link to the grants to groups."""
        return search_link(ConnectionGroupObjectPermission, connection.uuid, _("Show grants to groups"))


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    """Who agreed to what, without the target."""

    list_display = ("at", "person_label", "action", "connection_name", "type_key", "wording_version")
    list_filter = ("action", "type_key")
    search_fields = ("connection_name", "person_label", "connection_uuid", "uuid")
    date_hierarchy = "at"
    fields = (
        "uuid", "at", "action", "person_label", "connection_name", "connection_uuid", "type_key",
        "wording_version", "wording_hash",
    )  # fmt: skip


@admin.register(ConnectionUserObjectPermission)
class PersonGrantAdmin(ReadOnlyAdmin):
    """Who may use which connection."""

    list_display = ("user", "content_object")
    list_select_related = ("user", "content_object")
    search_fields = (
        "user__username",
        "user__first_name",
        "user__last_name",
        "content_object__name",
        "content_object__uuid",
    )
    fields = ("user", "content_object")


@admin.register(ConnectionGroupObjectPermission)
class GroupGrantAdmin(ReadOnlyAdmin):
    """Which group may use which connection."""

    list_display = ("group", "content_object")
    list_select_related = ("group", "content_object")
    search_fields = ("group__name", "content_object__name", "content_object__uuid")
    fields = ("group", "content_object")


@admin.register(RemovedConnection)
class RemovedConnectionAdmin(ReadOnlyAdmin):
    """What can be restored; where it led is for administrators."""

    list_display = ("name", "type_key", "removed_at", "removed_by_label", "keep_until")
    list_filter = ("type_key",)
    search_fields = ("name", "uuid", "removed_by_label")
    date_hierarchy = "removed_at"
    fields = (
        "uuid",
        "name",
        "type_key",
        "created_at",
        "removed_at",
        "removed_by_label",
        "keep_until",
        "audit",
    )
    readonly_fields = ("audit",)


@admin.register(AccessRequest)
class AccessRequestAdmin(ReadOnlyAdmin):
    """Who asked for a connection, and what came of it."""

    list_display = ("created_at", "person", "type_key", "state", "answered_at", "answered_by_label")
    list_filter = ("state", "type_key")
    list_select_related = ("person",)
    search_fields = ("uuid", "person__username", "person__first_name", "person__last_name", "connection_name")
    date_hierarchy = "created_at"
    fields = (
        "uuid", "person", "type_key", "reason", "state", "created_at", "answer", "answered_at", "answered_by_label",
        "connection_name", "connection_uuid", "audit",
    )  # fmt: skip
    readonly_fields = ("audit",)


@admin.register(KeyVault)
class KeyVaultAdmin(ReadOnlyAdmin):
    """How linked vaults are; addresses, identities, and names of secrets are for administrators (S12)."""

    list_display = ("name", "state", "last_contact_at", "identity", "scope")
    list_filter = ("state", "identity", "scope")
    search_fields = ("uuid", "host")
    fields = (
        "uuid", "name", "state", "state_code", "state_since", "last_contact_at", "checked_at", "identity", "scope",
        "can_list", "verified_at", "verified_by", "consent", "names_at", "names_count",
        "created_at", "created_by", "updated_at", "updated_by", "version", "notices", "audit",
    )  # fmt: skip
    readonly_fields = ("name", "notices", "audit")

    @admin.display(description=gettext_lazy("notices"))
    def notices(self, vault: KeyVault) -> SafeString:
        """A link to what administrators were told of it."""
        return search_link(VaultNotice, vault.uuid, _("Show notices"))


@admin.register(VaultNotice)
class VaultNoticeAdmin(ReadOnlyAdmin):
    """What administrators were told of vaults, without the names of secrets."""

    list_display = ("at", "vault_name", "kind", "before", "after")
    list_filter = ("kind", "after")
    search_fields = ("uuid", "vault_uuid", "vault_name")
    date_hierarchy = "at"
    fields = ("uuid", "at", "kind", "vault_uuid", "vault_name", "before", "after", "expires_at")
