"""Run an export from the command line."""

import time
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext

from connections_portal.models import RunState, Trigger, User
from exports.models import Export, ExportRun
from exports.operations.run import CannotRun, enqueue_run

POLL_SECONDS = 0.5


class Command(BaseCommand):
    """``manage.py run_export UUID --wait``: exit code 0 when it was delivered, 1 when it failed, 2 when canceled."""

    help = (
        "Queue a run of the export for the workers; with --wait, show how it goes and end with its outcome."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("uuid", type=UUID, help="the export's identifier, as in its address")
        parser.add_argument("--wait", action="store_true", help="wait for the end of the run")
        parser.add_argument(
            "--as", dest="username", help="whose right is used (default: the responsible person)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        export = Export.objects.filter(uuid=options["uuid"]).first()
        if export is None:
            raise CommandError("There is no export with this identifier.")
        actor: User | None = export.responsible
        if options["username"]:
            actor = User.objects.filter(username=options["username"]).first()
        if actor is None:
            raise CommandError("Say whose right is used: --as USERNAME.")
        try:
            run = enqueue_run(export=export, actor=actor, trigger=Trigger.COMMAND)
        except CannotRun as refused:
            raise CommandError(refused.message) from None
        self.stdout.write(f"Run {run.uuid} is queued.")
        if options["wait"]:
            self._follow(run)

    def _follow(self, run: ExportRun) -> None:
        told = ""
        while True:
            run = ExportRun.objects.get(pk=run.pk)
            line = (
                f"{run.get_state_display()}: {run.read} rows read, {run.sent} sent, {run.left_out} left out"
            )
            if line != told:
                self.stdout.write(line)
                told = line
            if not run.is_active:
                break
            time.sleep(POLL_SECONDS)
        if run.state == RunState.FAILED:
            raise CommandError(gettext(run.cause), returncode=1)
        if run.state == RunState.CANCELED:
            raise CommandError("The run was canceled.", returncode=2)
        for file in (file for task in run.tasks.all() for file in task.files.all()):
            self.stdout.write(f"{file.name}  {file.rows} rows  {file.size} bytes  sha256 {file.sha256}")
