"""Who answers for an export, in words: whose right its scheduled runs need, and what to do when it is lost."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from connections.permissions import can_use
from connections_portal.models import RunState, User
from exports.models import Export, ExportRun
from exports.permissions import Rights


@dataclass(frozen=True, kw_only=True)
class Responsibility:
    """The responsible person as the pages show them.

    ``since`` is when they last saved the export; ``lost`` says in a sentence what is missing, empty while they may use
    the connection; ``may_take_over`` whether the reader can do something about it.
    """

    name: str
    since: datetime | None
    lost: str
    may_take_over: bool


def of_export(export: Export, reader: User, allowed: Rights) -> Responsibility:
    """Who is responsible for the export; ``allowed`` is what the reader may do with it (two queries more)."""
    person, connection = export.responsible, export.connection
    lost = ""
    if connection is not None:
        if person is None:
            lost = _("The person responsible for this export has left.")
        elif not can_use(person, connection):
            words = {"name": person}
            lost = (
                _("%(name)s is responsible for this export and may not use its connection any more.") % words
                if person.is_active
                else _("%(name)s is responsible for this export and has left.") % words
            )
    last_saved = person is not None and export.updated_by_id == person.pk
    return Responsibility(
        name=str(person) if person is not None else _("Nobody"),
        since=export.updated_at if last_saved else None,
        lost=lost,
        may_take_over=bool(lost) and allowed.run and export.responsible_id != reader.pk,
    )


def of_failed_run(run: ExportRun, export: Export, reader: User, allowed: Rights) -> Responsibility | None:
    """The same on the page of a run that failed for want of the right; None for any other run."""
    if run.state != RunState.FAILED or run.code != "no_right":
        return None
    return of_export(export, reader, allowed)
