"""The clock of the portal: schedules, lost workers, lost messages, pruning."""

import logging
import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import Error, connection

from connections_portal.ticking import tick

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """``manage.py tick``: once every TICK_SECONDS until stopped, or just once."""

    help = "Queue what is due and take back what lost workers left; idempotent, one per machine."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do everything once and say what was done")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            for name, number in tick().items():
                self.stdout.write(f"{name}: {number}")
            return
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        while not stopped.is_set():
            try:
                tick()
            except Error:
                # busy or away: the next round does what this one could not
                logger.warning("tick: the database did not answer", exc_info=True)
                connection.close()
            stopped.wait(settings.TICK_SECONDS)
