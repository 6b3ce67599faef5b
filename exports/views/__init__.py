"""Data > Exports."""
