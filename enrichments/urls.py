"""Addresses of Data > Enrichment."""

from django.urls import path

from enrichments.views import bulk, commands, detail, discover, lists, runs, undo, waiting, wizard

app_name = "enrichments"

urlpatterns = [
    path("", discover.discover, name="discover"),
    path("mine/", lists.mine, name="mine"),
    path("new/", wizard.create, name="create"),
    path("new/<slug:type_key>/", wizard.set_up, name="set_up"),
    path("waiting/", waiting.waiting, name="waiting"),
    path("waiting/<slug:type_key>/", waiting.attach_waiting, name="attach_waiting"),
    path("undo/", undo.deactivate, name="undo_deactivate"),
    path("bulk/run/", bulk.run, name="bulk_run"),
    path("bulk/activate/", bulk.activate_several, name="bulk_activate"),
    path("bulk/deactivate/", bulk.deactivate_several, name="bulk_deactivate"),
    path("bulk/delete/", bulk.delete, name="bulk_delete"),
    path("<uuid:uuid>/", detail.detail, name="detail"),
    path("<uuid:uuid>/edit/", wizard.edit, name="edit"),
    path("<uuid:uuid>/run/", commands.run_now, name="run_now"),
    path("<uuid:uuid>/activate/", commands.activate_one, name="activate"),
    path("<uuid:uuid>/deactivate/", commands.deactivate_one, name="deactivate"),
    path("<uuid:uuid>/delete/", commands.delete, name="delete"),
    path("<uuid:uuid>/runs/<uuid:run_uuid>/", runs.run, name="run"),
    path("<uuid:uuid>/runs/<uuid:run_uuid>/status/", runs.run_status, name="run_status"),
    path("<uuid:uuid>/runs/<uuid:run_uuid>/cancel/", runs.cancel, name="cancel"),
]
