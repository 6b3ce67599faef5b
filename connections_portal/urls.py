"""Every address of the portal."""

from django.contrib import admin
from django.urls import include, path

from connections_portal.views import account, audit, errors, home, system, tables
from exports.views import see_as

table_patterns = (
    [
        path("", tables.list_tables, name="list"),
        path("<str:kind>/<str:name>/", tables.table, name="detail"),
    ],
    "tables",
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

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in/", account.sign_in, name="sign_in"),
    path("sign-out/", account.sign_out, name="sign_out"),
    path("password/", account.change_password, name="password_change"),
    path("theme/", account.set_theme, name="theme"),
    path("healthz/", home.health, name="health"),
    path("data/tables/", include(table_patterns)),
    path("data/exports/", include("exports.urls")),
    # a page of Settings that shows a piece of the export form: connections must not know exports
    path("settings/connections/see-as/", see_as.see_as, name="see_as"),
    path("settings/connections/", include("connections.urls")),
    path("settings/audit/", audit.audit_page, name="audit"),
    path("settings/audit/download/", audit.download, name="audit_download"),
    path("settings/system/", include(system_patterns)),
    path("admin/", admin.site.urls),
]

handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.server_error
