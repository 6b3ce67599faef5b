"""App configuration of enrichments."""

from django.apps import AppConfig


class EnrichmentsConfig(AppConfig):
    """What is brought in from other services."""

    name = "enrichments"
    verbose_name = "Enrichment"
