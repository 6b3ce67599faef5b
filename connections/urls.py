"""Addresses below Settings > Connections."""

from django.urls import path

from connections.views import access, detail, discover, edit, lists, remove, requests, set_up, share, stop
from connections.views import help as help_page
from connections.views import move as move_page
from connections.views import removed as removed_page

app_name = "connections"

urlpatterns = [
    path("", discover.discover, name="discover"),
    path("enrichment/", lists.enrichment, name="enrichment"),
    path("exports/", lists.exports, name="exports"),
    path("help/<slug:type_key>/", help_page.type_help, name="help"),
    path("requests/", requests.requests, name="requests"),
    path("requests/<uuid:uuid>/grant/", requests.grant, name="grant"),
    path("requests/<uuid:uuid>/decline/", requests.decline, name="decline"),
    path("new/<slug:type_key>/", set_up.set_up, name="set_up"),
    path("<uuid:uuid>/", detail.detail, name="detail"),
    path("<uuid:uuid>/secrets/<slug:field>/refresh/", detail.refresh, name="refresh_secret"),
    path("<uuid:uuid>/access/", access.of_connection, name="access"),
    path("<uuid:uuid>/edit/", edit.edit, name="edit"),
    path("<uuid:uuid>/pause/", edit.pause, name="pause"),
    path("<uuid:uuid>/withdraw/", edit.withdraw, name="withdraw"),
    path("<uuid:uuid>/stop/", stop.stop, name="stop"),
    path("<uuid:uuid>/stopped/", stop.stopped, name="stopped"),
    path("undo/share/", share.undo_sharing, name="undo_share"),
    path("<uuid:uuid>/share/", share.share, name="share"),
    path("<uuid:uuid>/remove/", remove.remove, name="remove"),
    path("<uuid:uuid>/move/", move_page.move, name="move"),
    path("removed/", removed_page.removed, name="removed"),
    path("removed/<uuid:uuid>/restore/", removed_page.restore, name="restore"),
    path("<slug:tab>/remove/", remove.remove_several, name="remove_several"),
]
