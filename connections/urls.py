"""Addresses below Settings > Connections."""

from django.urls import path

from connections.views import detail, discover, lists, remove, set_up

app_name = "connections"

urlpatterns = [
    path("", discover.discover, name="discover"),
    path("enrichment/", lists.enrichment, name="enrichment"),
    path("exports/", lists.exports, name="exports"),
    path("new/<slug:type_key>/", set_up.set_up, name="set_up"),
    path("<uuid:uuid>/", detail.detail, name="detail"),
    path("<uuid:uuid>/remove/", remove.remove, name="remove"),
]
