"""Rewrite stored secrets with the newest key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from connections import secret_store


class Command(BaseCommand):
    """``manage.py rotate_secret_key``: put the new key first in CONNECTION_SECRET_KEYS, then run this."""

    help = "Encrypt every stored secret with the first key of CONNECTION_SECRET_KEYS; safe to run again."

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate and say how many rows were rewritten; afterwards the old key may be taken out."""
        try:
            count = secret_store.rotate()
        except secret_store.SecretError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"{count} stored secrets were encrypted with the newest key.")
