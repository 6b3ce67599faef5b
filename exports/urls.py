"""Addresses of Data > Exports."""

from django.urls import path

from exports.views import (
    bulk,
    connection,
    detail,
    dialogs,
    form,
    lists,
    rejected,
    remove,
    responsible,
    run_all,
    runs,
    undo,
    waiting,
)

app_name = "exports"

urlpatterns = [
    path("", lists.list_exports, name="list"),
    path("new/", form.create, name="create"),
    path("run-all/", run_all.run_all, name="run_all"),
    path("waiting/", waiting.waiting, name="waiting"),
    path("waiting/<slug:type_key>/", waiting.attach_waiting, name="attach_waiting"),
    path("undo/", undo.detach, name="undo_detach"),
    path("bulk/run/", bulk.run, name="bulk_run"),
    path("bulk/schedule/", bulk.schedule, name="bulk_schedule"),
    path("bulk/detach/", bulk.detach, name="bulk_detach"),
    path("bulk/remove/", bulk.remove, name="bulk_remove"),
    path("<uuid:uuid>/", detail.detail, name="detail"),
    path("<uuid:uuid>/edit/", form.edit, name="edit"),
    path("<uuid:uuid>/run/", runs.run_now, name="run_now"),
    path("<uuid:uuid>/rename/", dialogs.rename, name="rename"),
    path("<uuid:uuid>/schedule/", dialogs.schedule, name="schedule"),
    path("<uuid:uuid>/duplicate/", dialogs.duplicate, name="duplicate"),
    path("<uuid:uuid>/detach/", connection.detach, name="detach"),
    path("<uuid:uuid>/attach/", connection.attach, name="attach"),
    path("<uuid:uuid>/take-over/", responsible.take_over, name="take_over"),
    path("<uuid:uuid>/remove/", remove.remove, name="remove"),
    path("<uuid:uuid>/runs/<uuid:run_uuid>/", runs.run, name="run"),
    path("<uuid:uuid>/runs/<uuid:run_uuid>/status/", runs.run_status, name="run_status"),
    path("<uuid:uuid>/runs/<uuid:run_uuid>/cancel/", runs.cancel, name="cancel"),
    path("<uuid:uuid>/runs/<uuid:run_uuid>/refused/", rejected.download, name="rejected"),
    path("<uuid:uuid>/runs/<uuid:run_uuid>/refused/retry/", rejected.retry, name="retry_rejected"),
]
