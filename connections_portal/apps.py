"""App configuration of the kernel."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


def _after_migrate(**kwargs: Any) -> None:
    """Put roles and append-only triggers in place; permissions and tables do not exist any earlier."""
    from connections_portal import append_only, roles

    roles.sync(using=kwargs["using"])
    append_only.install(using=kwargs["using"])


class PortalConfig(AppConfig):
    """People, roles, audit, runs and customer data: what the three apps share."""

    name = "connections_portal"
    verbose_name = "Portal"

    def ready(self) -> None:
        """Register the start checks and the one signal that we use."""
        from connections_portal import checks  # noqa: F401  (registers itself)

        # dispatch_uid: once, although the sender differs per app; the last app's call sees every table
        post_migrate.connect(_after_migrate, dispatch_uid="portal-after-migrate")
