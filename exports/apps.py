"""App configuration of exports."""

from django.apps import AppConfig


class ExportsConfig(AppConfig):
    """What is sent out."""

    name = "exports"
    verbose_name = "Exports"

    def ready(self) -> None:
        """Make exports known as something that is built on connections, and what they deliver."""
        from connections import delivered, dependents
        from connections_portal import refresh
        from exports.delivered import facts
        from exports.operations.refresh import FOLLOWER
        from exports.usage import KIND

        refresh.register(FOLLOWER)
        dependents.register(KIND)
        delivered.register(facts)
