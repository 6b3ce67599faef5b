"""D24: each use of a secret by a run says of what it was a run, and on whose behalf, also where nobody pressed."""

import pytest

from connections_portal import audit_story
from connections_portal.models import AuditEntry, Trigger
from enrichments.operations.run import enqueue_run as enqueue_enrichment
from tests.enrichments.bringing import Bringing
from tests.enrichments.bringing import carry as carry_enrichment
from tests.runs.helpers import Delivery, carry, start


@pytest.mark.parametrize("trigger", [Trigger.PERSON, Trigger.SCHEDULE])
def test_of_an_export(trigger: Trigger, delivery: Delivery) -> None:
    export = delivery.export()
    run = start(export, actor=delivery.admin, trigger=trigger)
    if trigger == Trigger.SCHEDULE:
        type(run).objects.filter(pk=run.pk).update(started_by=None)
    assert carry(run) == "successful"
    entry = AuditEntry.objects.get(action="secret.used", details__purpose="run")
    assert entry.actor_id == delivery.admin.pk
    assert (entry.details["run"], entry.details["item"]) == (str(run.uuid), "Loyal customers")
    assert audit_story.describe(entry) == (
        'The portal used the secrets of "Newsletter, SFTP EU" for a run of "Loyal customers", on behalf of Lena Hofmann'
    )


def test_of_an_enrichment(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    run = enqueue_enrichment(enrichment=enrichment, actor=None, trigger=Trigger.REFRESH)
    carry_enrichment(run)
    entry = AuditEntry.objects.filter(action="secret.used", details__purpose="run").latest("pk")
    assert entry.actor_id == enrichment.responsible_id
    assert entry.details["item"] == enrichment.name
