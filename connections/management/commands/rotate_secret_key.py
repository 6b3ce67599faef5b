"""Rewrite stored secrets with the newest key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from connections import secret_store


class Command(BaseCommand):
    """``manage.py rotate_secret_key``: put the new key first in CONNECTION_SECRET_KEYS, then run this."""

    help = "Encrypt every stored secret with the first key of CONNECTION_SECRET_KEYS; safe to run again."

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate and say how many rows were rewritten; once all could be, the old key may be taken out.

        Rows that cannot be read are named at the end, without their values, and make it end with 1.
        """
        count, unread = secret_store.rotate()
        self.stdout.write(f"{count} stored secrets were encrypted with the newest key.")
        if not unread:
            return
        lines = [
            f"secret {row.secret} ({row.field} of {row.owner}), key version {row.key_version}: {row.why.message}"
            for row in unread
        ]
        raise CommandError("\n".join([f"{len(unread)} stored secrets could not be read:", *lines]))
