"""App configuration of connections."""

from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    """What the company may talk to."""

    name = "connections"
    verbose_name = "Connections"

    def ready(self) -> None:
        """Make known what is written to people about requests for access and about Key Vaults."""
        from connections import letters
        from connections.operations.requests import ANSWERED, REQUESTED
        from connections.operations.vault_health import NOTICE
        from connections_portal import mail

        mail.register(REQUESTED, letters.requested)
        mail.register(ANSWERED, letters.answered)
        mail.register(NOTICE, letters.of_vault)
