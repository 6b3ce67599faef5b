"""Addresses below Settings > Key Vault."""

from django.urls import path

from connections.views import vault_replace as replace_page
from connections.views import vault_secrets, vaults
from connections.views import vault_unlink as unlink_page

app_name = "key_vault"

urlpatterns = [
    path("", vaults.list_vaults, name="list"),
    path("link/", vaults.link, name="link"),
    path("<uuid:uuid>/edit/", vaults.edit, name="edit"),
    path("<uuid:uuid>/check/", vaults.check, name="check"),
    path("<uuid:uuid>/unlink/", unlink_page.unlink, name="unlink"),
    path("<uuid:uuid>/replace/", replace_page.replace, name="replace"),
    path("<uuid:uuid>/secrets/", vault_secrets.list_state, name="names"),
    path("<uuid:uuid>/secrets/refresh/", vault_secrets.refresh_list, name="refresh_names"),
]
