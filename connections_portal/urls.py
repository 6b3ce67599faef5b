"""Every address of the portal."""

from django.contrib import admin
from django.urls import include, path

from connections.views import access, my_requests
from connections_portal.views import (
    account,
    audit,
    errors,
    groups,
    home,
    permission_dialogs,
    permissions,
    system,
    tables,
)
from exports.views import see_as

table_patterns = (
    [
        path("", tables.list_tables, name="list"),
        path("<str:kind>/<str:name>/", tables.table, name="detail"),
    ],
    "tables",
)

request_patterns = (
    [
        path("", my_requests.my_requests, name="list"),
        path("new/", my_requests.ask, name="ask"),
        path("<uuid:uuid>/withdraw/", my_requests.withdraw, name="withdraw"),
    ],
    "requests",
)

system_patterns = (
    [
        path("", system.schedule, name="schedule"),
        path("status/", system.status, name="status"),
        path("refresh/", system.refresh_now, name="refresh_now"),
        path("status/<uuid:uuid>/", system.one_refresh, name="refresh"),
    ],
    "system",
)

permission_patterns = (
    [
        path("", permissions.list_people, name="people"),
        path("add/", permissions.add, name="add"),
        path("remove/", permission_dialogs.bulk_remove, name="bulk_remove"),
        path("deactivate/", permission_dialogs.bulk_deactivate, name="bulk_deactivate"),
        path("groups/", groups.list_groups, name="groups"),
        path("groups/add/", groups.add, name="group_add"),
        path("groups/<int:pk>/", groups.edit, name="group_edit"),
        path("groups/<int:pk>/remove/", groups.remove, name="group_remove"),
        # people have no uuid: they are told apart by number, user names may hold anything
        path("<int:pk>/access/", access.of_person, name="access"),
        path("<int:pk>/edit/", permissions.edit, name="edit"),
        path("<int:pk>/password/", permissions.set_password, name="password"),
        path("<int:pk>/deactivate/", permission_dialogs.deactivate, name="deactivate"),
        path("<int:pk>/activate/", permission_dialogs.activate, name="activate"),
        path("<int:pk>/remove/", permission_dialogs.remove, name="remove"),
    ],
    "permissions",
)

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in/", account.sign_in, name="sign_in"),
    path("sign-out/", account.sign_out, name="sign_out"),
    path("password/", account.change_password, name="password_change"),
    path("theme/", account.set_theme, name="theme"),
    path("healthz/", home.health, name="health"),
    path("data/tables/", include(table_patterns)),
    path("data/exports/", include("exports.urls")),
    path("data/enrichment/", include("enrichments.urls")),
    path("data/requests/", include(request_patterns)),
    # a page of Settings that shows a piece of the export form: connections must not know exports
    path("settings/connections/see-as/", see_as.see_as, name="see_as"),
    path("settings/connections/", include("connections.urls")),
    path("settings/key-vault/", include("connections.vault_urls")),
    path("settings/permissions/", include(permission_patterns)),
    path("settings/audit/", audit.audit_page, name="audit"),
    path("settings/audit/download/", audit.download, name="audit_download"),
    path("settings/system/", include(system_patterns)),
    path("admin/", admin.site.urls),
]

handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.server_error
