"""Workers and tick of one machine under one parent."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from connections_portal.checks import refuse_unsafe_start
from connections_portal.processes import Ended, Family, Stopped

WORKER = ["db_worker", "--interval", "0.2", "--queue-name", "*", "--no-startup-delay", "--no-reload"]


class Command(BaseCommand):
    """``manage.py portal_worker --processes N``: N workers, one tick; dead ones are started again."""

    help = "Run N workers (one run at a time each) and one tick; stops all of them on SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--processes", type=int, default=1, help="how many runs at the same time")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["processes"] < 1:
            raise CommandError("--processes must be 1 or more.")
        try:
            refuse_unsafe_start()
        except ImproperlyConfigured as unsafe:
            raise CommandError(str(unsafe)) from None
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        with Family(settings.BASE_DIR, dict(os.environ)) as family:
            try:
                family.start("tick", [*manage, "tick"])
                for number in range(1, options["processes"] + 1):
                    family.start(f"worker {number}", [*manage, *WORKER])
                family.watch()
            except Stopped:
                return
            except Ended as ended:
                raise CommandError(str(ended)) from None
