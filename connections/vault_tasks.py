"""The messages of the queue about Key Vaults. They hold an id and nothing else."""

from django_tasks import task


@task(priority=-5)  # runs come first
def check(vault_id: int) -> str:
    """Look at the vault and at the secrets in use; returns what came of it.

    Losing or doubling this message does no harm.
    """
    from connections.operations.vault_checks import look_at

    return look_at(vault_id=vault_id)
