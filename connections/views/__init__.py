"""The pages below Settings > Connections, for administrators only."""
