"""Addresses of Data > Exports."""

from django.urls import path

from exports.views import connection, detail, form, lists, remove, responsible, runs

app_name = "exports"

urlpatterns = [
    path("", lists.list_exports, name="list"),
    path("new/", form.create, name="create"),
    path("<uuid:uuid>/", detail.detail, name="detail"),
    path("<uuid:uuid>/edit/", form.edit, name="edit"),
    path("<uuid:uuid>/run/", runs.run_now, name="run_now"),
    path("<uuid:uuid>/detach/", connection.detach, name="detach"),
    path("<uuid:uuid>/attach/", connection.attach, name="attach"),
    path("<uuid:uuid>/take-over/", responsible.take_over, name="take_over"),
    path("<uuid:uuid>/remove/", remove.remove, name="remove"),
    path("<uuid:uuid>/runs/<uuid:run_uuid>/", runs.run, name="run"),
    path("<uuid:uuid>/runs/<uuid:run_uuid>/status/", runs.run_status, name="run_status"),
    path("<uuid:uuid>/runs/<uuid:run_uuid>/cancel/", runs.cancel, name="cancel"),
]
