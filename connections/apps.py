"""App configuration of connections."""

from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    """What the company may talk to."""

    name = "connections"
    verbose_name = "Connections"
