"""A row in every table that the admin shows to support staff."""

import datetime as dt
import uuid
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from connections.models import (
    Access,
    AccessRequest,
    Connection,
    ConnectionGroupObjectPermission,
    ConnectionUserObjectPermission,
    RemovedConnection,
    VaultNotice,
    VaultState,
)
from connections_portal.models import LEASED_STATES, Attempt, Refresh, RefreshStage, RunState, Trigger, User
from connections_portal.names import name_key
from enrichments.models import Enrichment, EnrichmentAttempt, EnrichmentRun
from enrichments.operations.run import enqueue_run as enqueue_enrichment
from exports.models import ExportAttempt, ExportRun
from exports.operations.run import enqueue_run
from tests.factories import make_connection
from tests.key_vault.health_data import make_vault
from tests.runs.helpers import make_export


def make_everything(admin: User, contributor: User) -> tuple[ExportRun, EnrichmentRun]:
    """The runs, both queued with a message, as they are after *Run*."""
    team = Group.objects.create(name="Campaign team")
    contributor.groups.add(team)
    connection = make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor], groups=[team])
    export = make_export(connection, actor=contributor)
    run = enqueue_run(export=export, actor=contributor, trigger=Trigger.PERSON)
    ExportAttempt.objects.create(run=run, number=9, started_at=timezone.now(), outcome=Attempt.Outcome.DONE)
    return run, make_the_rest(connection, admin, contributor)


def make_the_rest(connection: Connection, admin: User, contributor: User) -> EnrichmentRun:
    """What there is besides a connection and an export on it; returns the run of an enrichment on the connection."""
    now = timezone.now()
    team, _new = Group.objects.get_or_create(name="Campaign team")
    grant: dict[str, Any] = {
        "permission": Permission.objects.get(codename="use_connection"),
        "content_object": connection,
    }
    ConnectionGroupObjectPermission.objects.get_or_create(group=team, **grant)
    ConnectionUserObjectPermission.objects.get_or_create(user=contributor, **grant)
    run = make_enrichment_run(connection, admin)
    EnrichmentAttempt.objects.create(run=run, number=9, started_at=now, outcome=Attempt.Outcome.DONE)
    Refresh.objects.create(trigger=Trigger.SCHEDULE, stage=RefreshStage.DONE, stage_at=now, finished_at=now)
    RemovedConnection.objects.create(
        uuid=uuid.uuid4(),
        type_key="sftp",
        name="Print shop",
        settings=connection.settings,
        host_key=connection.host_key,
        created_at=now,
        removed_by_label="Lena",
        keep_until=now + dt.timedelta(days=30),
    )
    vault = make_vault()
    VaultNotice.objects.create(
        kind=VaultNotice.Kind.VAULT,
        vault_uuid=vault.uuid,
        vault_name=vault.name,
        before=VaultState.WORKING,
        after=VaultState.UNREACHABLE,
    )
    AccessRequest.objects.create(type_key="sftp", person=contributor, reason="For the spring campaign")
    return run


def make_enrichment_run(connection: Connection, actor: User, name: str = "Store visits") -> EnrichmentRun:
    """A queued run of a new enrichment on the connection."""
    enrichment = Enrichment.objects.create(
        name=name,
        name_key=name_key(name),
        type_key="sftp_custom_import",
        connection=connection,
        options={"path": "visits", "file": "visits.csv"},
        table_name=name,
        table_key=name_key(name),
        responsible=actor,
    )
    return enqueue_enrichment(enrichment=enrichment, actor=actor, trigger=Trigger.PERSON)


def stand(run: Any, state: RunState, *, lease_over: bool = False, **columns: Any) -> Any:
    """The run in this state, as a worker leaves it: with a lease that holds, or that is over."""
    now = timezone.now()
    if state in LEASED_STATES:
        until = now + dt.timedelta(seconds=-30 if lease_over else 60)
        columns = {
            "lease_token": uuid.uuid4(),
            "lease_until": until,
            "attempt": 1,
            "started_at": now,
        } | columns
    type(run).objects.filter(pk=run.pk).update(state=state, **columns)
    if state == RunState.RUNNING:
        run.attempts.create(number=1, started_at=now)
    run.refresh_from_db()
    return run
