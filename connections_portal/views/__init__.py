"""Pages of the portal itself: home, account, tables, error pages."""
