"""Records that a service refused: the list of them, and sending them again."""

import csv
from collections.abc import Iterator
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_POST

from connections_portal import web
from connections_portal.errors import NotAllowed, OperationError
from connections_portal.web import PortalRequest, role_required
from exports import rejected
from exports.operations.rejected import record_download, retry_rejected
from exports.permissions import EDITING_ROLES
from exports.views.loading import load_run, load_to_change
from exports.views.runs import run_url


class _Echo:
    """What the CSV writer writes to: gives the line back."""

    def write(self, line: str) -> str:
        """The line."""
        return line


@require_POST
@role_required(*EDITING_ROLES)
def download(request: PortalRequest, uuid: UUID, run_uuid: UUID) -> HttpResponse:
    """The refused records of a run as CSV; that somebody took it is recorded."""
    export, _rights = load_to_change(request, uuid)
    run = load_run(export, run_uuid)
    record_download(run=run, actor=request.user)

    def lines() -> Iterator[str]:
        writer = csv.writer(_Echo())
        for row in rejected.rows(run):
            yield writer.writerow(row)

    return StreamingHttpResponse(  # type: ignore[return-value] # an answer, though no HttpResponse
        lines(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="refused-{run.uuid.hex[:8]}.csv"'},
    )


@require_POST
@role_required(*EDITING_ROLES)
def retry(request: PortalRequest, uuid: UUID, run_uuid: UUID) -> HttpResponse:
    """*Send refused records again*: a run of these alone."""
    export, _rights = load_to_change(request, uuid)
    run = load_run(export, run_uuid)
    try:
        again = retry_rejected(run=run, actor=request.user)
    except NotAllowed:
        web.refuse(request, export)
        raise
    except OperationError as refusal:
        messages.error(request, refusal.message)
        return web.go_to(request, run_url(run, export))
    return web.go_to(request, run_url(again, export))
