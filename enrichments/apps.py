"""App configuration of enrichments."""

from django.apps import AppConfig


class EnrichmentsConfig(AppConfig):
    """What is brought in from other services."""

    name = "enrichments"
    verbose_name = "Enrichment"

    def ready(self) -> None:
        """Make enrichments known as something that is built on connections, and as a stage of the system refresh."""
        from connections import dependents
        from connections_portal import answering, refresh
        from enrichments.answering import KIND as ANSWERING
        from enrichments.operations.refresh import FOLLOWER
        from enrichments.usage import KIND

        refresh.register(FOLLOWER)
        answering.register(ANSWERING)
        dependents.register(KIND)
