"""Why a queued run of an enrichment must not start: checked when a worker takes it up, before any secret is read."""

from connections.connectors.base import N_
from connections.operations.refusals import of_run_on
from connections_portal.models import Trigger, WhoActs
from connections_portal.runs import Refusal
from enrichments.models import EnrichmentRun
from enrichments.permissions import may_edit

EDITOR = WhoActs.EDITOR.value


def of_run(run: EnrichmentRun) -> Refusal | None:
    """What is wrong with the run's connection, its agreement or the person's right (rules S4, S10, S11, S16)."""
    enrichment, connection = run.enrichment, run.enrichment.connection
    if not enrichment.active:
        return Refusal("inactive", N_("The enrichment is inactive."), N_("Activate it."), EDITOR)
    if connection is None:
        return Refusal(
            "no_connection",
            N_("The enrichment has no connection."),
            N_("Add a connection to the enrichment."),
            EDITOR,
        )
    return of_run_on(run, connection) or _no_right(run)


def _no_right(run: EnrichmentRun) -> Refusal | None:
    """A first attempt by hand needs the right of whoever pressed, all others that of the responsible person."""
    by_hand = run.trigger in (Trigger.PERSON, Trigger.COMMAND) and run.attempt == 0
    person = run.started_by if by_hand else run.enrichment.responsible
    if person is not None and may_edit(person):
        return None
    if by_hand:
        cause = N_("Whoever started the run may not run enrichments any more.")
        remedy = N_("Somebody who may edit the enrichment starts it again.")
    else:
        cause = N_("The person responsible for the enrichment has left or may not run enrichments any more.")
        remedy = N_("Somebody who may edit the enrichment saves it again and becomes responsible.")
    return Refusal("no_right", cause, remedy, EDITOR)
