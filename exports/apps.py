"""App configuration of exports."""

from django.apps import AppConfig


class ExportsConfig(AppConfig):
    """What is sent out."""

    name = "exports"
    verbose_name = "Exports"

    def ready(self) -> None:
        """Make exports known as something that is built on connections, and what they deliver."""
        from connections import delivered, dependents
        from connections_portal import answering, refresh
        from exports.answering import KIND as ANSWERING
        from exports.delivered import facts
        from exports.operations.refresh import FOLLOWER
        from exports.usage import KIND

        refresh.register(FOLLOWER)
        answering.register(ANSWERING)
        dependents.register(KIND)
        delivered.register(facts)
