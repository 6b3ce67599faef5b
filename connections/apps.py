"""App configuration of connections."""

from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    """What the company may talk to."""

    name = "connections"
    verbose_name = "Connections"

    def ready(self) -> None:
        """Make known what is written to people about requests for access and about Key Vaults; who hears of reads."""
        from connections import letters, vault_access
        from connections.operations.requests import ANSWERED, REQUESTED
        from connections.operations.vault_health import NOTICE
        from connections.operations.vault_watch import Watch
        from connections_portal import mail

        mail.register(REQUESTED, letters.requested)
        mail.register(ANSWERED, letters.answered)
        mail.register(NOTICE, letters.of_vault)
        vault_access.report_to(Watch())
