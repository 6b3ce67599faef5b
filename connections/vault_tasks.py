"""The messages of the queue about Key Vaults. They hold ids, and of a list the place where to go on."""

from django_tasks import task


@task(priority=-5)  # runs come first
def check(vault_id: int) -> str:
    """Look at the vault and at the secrets in use; returns what came of it.

    Losing or doubling this message does no harm.
    """
    from connections.operations.vault_checks import look_at

    return look_at(vault_id=vault_id)


@task(priority=-5)  # as above
def read_names(vault_id: int, token: str, after: str = "", pauses: int = 0) -> str:
    """Read the list of the vault's secrets on from a page; ``token`` and ``after`` are no secrets.

    Losing or doubling this message does no harm.
    """
    from connections.operations import read_names as reading

    return reading.read_names(vault_id=vault_id, token=token, after=after, pauses=pauses)
