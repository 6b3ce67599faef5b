"""What reads of Key Vault secrets tell of vaults and secrets, passed on to whoever keeps their states."""

from connections.connectors.errors import ConnectorError
from connections.key_vault.base import SecretFacts
from connections.models import Connection, ConnectionDraft, VaultSecret, VaultSecretState, VaultState
from connections.operations import vault_health
from connections_portal.models import User


class Watch:
    """See ``vault_access.Watch``."""

    def failed(self, secret: VaultSecret, error: ConnectorError) -> None:
        """The state that the error tells of, of the secret or of its vault; a throttled vault is in no other one."""
        vault_health.record_failure(secret, error)

    def was_read(self, secret: VaultSecret, facts: SecretFacts) -> None:
        """The secret can be used, and the vault works."""
        if secret.vault.state != VaultState.WORKING or secret.vault.state_code:
            vault_health.record_vault_state(secret.vault_id, VaultState.WORKING)
        vault_health.record_secret_state(secret.pk, VaultSecretState.USABLE, facts=facts)

    def is_used(
        self, secret: VaultSecret, *, owner: Connection | ConnectionDraft, actor: User | None
    ) -> None:
        """All administrators are told of the first use for a target."""
        vault_health.record_new_target(secret, owner=owner, actor=actor)
