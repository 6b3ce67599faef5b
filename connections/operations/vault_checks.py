"""Looking at Key Vaults and their secrets without anybody asking."""


def look_at(*, vault_id: int) -> str:
    """Look at the vault and at the secrets in use. Returns what came of it."""
    return "not yet"
