"""App configuration of exports."""

from django.apps import AppConfig


class ExportsConfig(AppConfig):
    """What is sent out."""

    name = "exports"
    verbose_name = "Exports"
