"""Values of Key Vault secrets, read for a run, a verification or a list, and kept in memory for a minute at most."""
