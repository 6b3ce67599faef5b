"""Every request that a connector makes, checked against the service's own description."""
