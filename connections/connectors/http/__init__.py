"""The base of every service that is spoken to over HTTPS."""
