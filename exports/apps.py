"""App configuration of exports."""

from django.apps import AppConfig


class ExportsConfig(AppConfig):
    """What is sent out."""

    name = "exports"
    verbose_name = "Exports"

    def ready(self) -> None:
        """Make exports known as something that is built on connections."""
        from connections import dependents
        from exports.usage import KIND

        dependents.register(KIND)
