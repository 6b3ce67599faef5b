"""Enrichments in every state, as ``tests.browser.states`` makes connections and exports."""

import datetime as dt
from typing import Any
from uuid import uuid4

from django.utils import timezone

from connections.models import Connection
from connections_portal.models import RunState, Trigger, User, WhoActs
from enrichments.models import Enrichment, EnrichmentAttempt, EnrichmentRun
from enrichments.operations.edit import create_enrichment
from enrichments.operations.run import enqueue_run
from enrichments.operations.state import deactivate
from tests.enrichments.results import write_result
from tests.factories import make_connection

TYPE = "sftp_custom_import"
LABELS = (
    "Churn score", "Tier", "Lifetime value", "Preferred store", "Next best offer", "Household size",
    "Distance to store", "Newsletter affinity", "Discount affinity", "Language", "Region", "Returns share",
    "Last contact", "A label that somebody wrote as a whole sentence about the field",
)  # fmt: skip
NAMES = {
    "scored": "Churn scores",
    "reading": "Store affinity",
    "retrying_enrichment": "Household facts",
    "failed_enrichment": "Newsletter affinity, Bestandskundinnen und Bestandskunden in Süd und Österreich",
    "never": "Language by region",
    "resting": "Winter campaign tiers",
    "waiting": "Returns share",
}


def enrichments(admin: User, contributor: User) -> dict[str, Any]:
    """A connection to read from, and one enrichment for each way it can stand."""
    source = make_connection(
        actor=admin,
        name="Scores, data science",
        type_key=TYPE,
        settings={"auth_method": "password", "username": "portal", "hostname": "files.example.com"},
    )
    made = {key: _enrichment(name, source, contributor) for key, name in NAMES.items()}
    runs = {
        "scored_run": _results(made["scored"], contributor),
        "reading_run": _stand(
            made["reading"],
            contributor,
            RunState.RUNNING,
            attempt=1,
            read=12_400,
            bytes_sent=1_440_000,
            **_lease(),
        ),
        "retrying_enrichment_run": _stand(
            made["retrying_enrichment"],
            contributor,
            RunState.QUEUED,
            attempt=1,
            not_before=_later(),
            **_cause(),
        ),
        "failed_enrichment_run": _stand(
            made["failed_enrichment"], contributor, RunState.FAILED, attempt=3, **_cause()
        ),
    }
    deactivate(enrichment=made["resting"], actor=contributor)
    Enrichment.objects.filter(pk=made["waiting"].pk).update(active=False, connection=None)
    return {f"{key}_uuid": str(value.uuid) for key, value in (made | runs | {"source": source}).items()}


def _enrichment(name: str, source: Connection, actor: User) -> Enrichment:
    return create_enrichment(
        name=name,
        type_key=TYPE,
        table_name=name.split(",", maxsplit=1)[0].replace(" ", "_"),
        connection=source,
        segment="loyalty_gold" if name.startswith("Winter") else "",
        options={"path": "scores", "filename": "CustomEnrichmentData.csv"},
        actor=actor,
    )


def _results(enrichment: Enrichment, actor: User) -> EnrichmentRun:
    """Results of the last week, and a table of five people."""
    now = timezone.now()
    for days in (40, 19, 6, 5, 4, 3, 2, 1, 0):
        enriched = 31_904 - 211 * days + 90 * (days % 3)
        run = _stand(
            enrichment,
            actor,
            RunState.WARNINGS,
            attempt=1,
            selected=40_000,
            read=enriched + 731 + 41,
            sent=enriched,
            left_out=731,
            rejected=41,
            reasons={"unknown_customer": 731, "no_customer_id": 38, "duplicate": 3},
            coverage=[[f"f{n}", label, "text", enriched - n * 2_100] for n, label in enumerate(LABELS)],
            bytes_sent=2_300_000,
        )
        moment = now - dt.timedelta(days=days, minutes=5)
        EnrichmentRun.objects.filter(pk=run.pk).update(
            queued_at=moment - dt.timedelta(seconds=75),
            started_at=moment - dt.timedelta(seconds=74),
            finished_at=moment,
        )
    people = [f"C-1042{n}" for n in range(33, 38)]
    write_result(
        enrichment.table_name,
        {
            "CustomerId": people,
            "churn_score": [12, 48, None, 7, 91],
            "tier": ["gold", "gold", None, "base", "base"],
        },
    )
    return enrichment.runs.latest("queued_at")


def _later() -> dt.datetime:
    return timezone.now() + dt.timedelta(days=1)


def _lease() -> dict[str, Any]:
    """Of a worker that will not be missed while anybody looks."""
    return {"lease_token": uuid4(), "lease_until": _later(), "heartbeat_at": timezone.now(), "worker": "one"}


def _cause() -> dict[str, str]:
    return {
        "code": "no_file",
        "cause": "There is no file CustomEnrichmentData.csv in the folder.",
        "remedy": "Put it there, or correct path and filename in the enrichment.",
        "detail": "No such file",
        "who_acts": WhoActs.EDITOR,
    }


def _stand(enrichment: Enrichment, actor: User, state: RunState, **columns: Any) -> EnrichmentRun:
    """A run as a worker left it; one that is woken finds nothing to do."""
    run = enqueue_run(enrichment=enrichment, actor=actor, trigger=Trigger.PERSON)
    now = timezone.now()
    ended = state not in (RunState.QUEUED, RunState.RUNNING)
    started = {"started_at": now - dt.timedelta(seconds=74), "finished_at": now if ended else None}
    EnrichmentRun.objects.filter(pk=run.pk).update(state=state, **started | columns)
    texts = {key: columns.get(key, "") for key in ("code", "cause", "remedy", "detail")}
    for number in range(1, columns["attempt"] + 1):
        last = number == columns["attempt"] and state is RunState.RUNNING
        outcome = "running" if last else "done" if state is RunState.WARNINGS else "failed"
        EnrichmentAttempt.objects.create(
            run=run, number=number, started_at=now - dt.timedelta(minutes=9 - number), outcome=outcome,
            ended_at=None if last else now - dt.timedelta(minutes=8 - number), **texts,
        )  # fmt: skip
    return EnrichmentRun.objects.get(pk=run.pk)
