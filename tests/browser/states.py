"""Connections, exports and runs in every state, made inside a running portal: what its pages look like then.

Runs there as ``manage.py shell -c`` (see ``Portal.manage``): ``main`` prints the identifiers as one line of JSON.
"""

import datetime as dt
import json
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import Group
from django.db import transaction
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.utils import timezone

from connections.models import Access, AccessRequest, Connection, State
from connections.operations.attention import mark_needs_attention
from connections.operations.pause import pause_connection, withdraw_consent
from connections.operations.remove import impact_of, remove_connection
from connections.operations.requests import decline_request, grant_access, request_access
from connections.operations.stop import stop_everything
from connections_portal import audit, roles
from connections_portal.models import Refresh, RefreshStage, RunState, Trigger, User, WhoActs
from connections_portal.roles import Role
from connections_portal.views.errors import unavailable
from exports.item import Item
from exports.models import (
    Export,
    ExportAttempt,
    ExportFile,
    ExportRun,
    ExportTask,
    ItemKind,
    ScheduleKind,
    TaskState,
)
from exports.operations.connection import detach_connection
from exports.operations.edit import Timing, create_export
from exports.operations.run import enqueue_run
from tests.browser.enriching import enrichments
from tests.browser.vault_states import vaults
from tests.factories import make_connection

LONG = "Bestandskundinnen und Bestandskunden mit Einwilligung, Filialen Süd und Österreich (wöchentlich)"
# another server's key: what a connection trusts whose server has a new one
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx0pzRmBX1rXq7R2rD3yOWmA0bTT1m0m7SoKcWb1Y9k"
FIELDS = ("customer_id", "email", "first_name")
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="Europe/Berlin")


def main() -> None:
    """Make everything, and print where it is."""
    admin = User.objects.get(username="admin")
    contributor = User.objects.get(username="contributor")
    ready = Connection.objects.get()
    made: dict[str, Any] = people(contributor)
    with transaction.atomic():
        made |= connections(ready, admin)
        made |= exports(ready, admin, contributor)
        made |= requests(ready, admin, contributor)
        made |= enrichments(admin, contributor)
        made |= {"refresh": system_refresh(admin)}
        made |= vaults(admin)
    print(json.dumps(made | error_pages()))


def people(contributor: User) -> dict[str, Any]:
    """Somebody of support and somebody without a role, both with the demonstration's password."""
    for username, role in (("support", Role.SUPPORT), ("nobody", None)):
        person = User(username=username, first_name=username.title(), last_name="Example")
        person.password = contributor.password
        person.save()
        if role:
            roles.assign(user=person, role=role)
    return {"contributor": contributor.pk, "group": Group.objects.get(name="Campaign team").pk}


def system_refresh(admin: User) -> str:
    """One that ran some of the exports, long done."""
    now = timezone.now()
    refresh = Refresh.objects.create(
        trigger=Trigger.SCHEDULE, stage=RefreshStage.DONE, stage_at=now, finished_at=now, started_by=admin
    )
    shown = ExportRun.objects.exclude(finished_at=None).values("pk")[:6]
    ExportRun.objects.filter(pk__in=list(shown.values_list("pk", flat=True))).update(refresh=refresh)
    return str(refresh.uuid)


def connections(ready: Connection, admin: User) -> dict[str, Any]:
    """One in each state, and one that nothing uses."""
    made = {
        name: make_connection(actor=admin, name=title)
        for name, title in (
            ("needs", "CRM intake"),
            ("paused", "Print shop"),
            ("stopped", "Lost laptop"),
            ("withdrawn", "Call centre"),
            ("unverified", "Agency, not reached yet"),
            ("unused", LONG),
        )
    }
    made["changed_key"] = make_connection(
        actor=admin, name="Moved to a new server", settings=ready.settings, host_key=OTHER_KEY,
        secrets={"password": "of-no-use"},
    )  # fmt: skip
    contributors = Group.objects.exclude(name__in=[role.value for role in Role]).first()
    make_connection(
        actor=admin, name="Shared with few", access=Access.SPECIFIC,
        groups=[contributors] if contributors else [], people=[User.objects.get(username="contributor")],
    )  # fmt: skip
    mark_needs_attention(
        connection_id=made["needs"].pk, cause="The server refuses this username and password.", code="sign_in"
    )
    pause_connection(connection=made["paused"], version=made["paused"].version, actor=admin)
    audit.record("secret.used", actor=admin, target=made["stopped"], purpose="run")
    stop_everything(connection=made["stopped"], actor=admin)
    gone = make_connection(actor=admin, name="Summer festival 2025")
    remove_connection(connection=gone, impact=impact_of(gone), actor=admin)
    removed = {"removed": str(gone.uuid)}
    withdraw_consent(connection=made["withdrawn"], version=made["withdrawn"].version, actor=admin)
    for connection in made.values():
        Connection.objects.filter(pk=connection.pk).update(verification=ready.verification)
    failed = dict(ready.verification[2]) | {
        "status": "failed", "cause": "The server refuses this username and password.",
        "remedy": "Check both.", "detail": "Permission denied", "code": "sign_in",
    }  # fmt: skip
    Connection.objects.filter(pk=made["needs"].pk).update(verification=[*ready.verification[:2], failed])
    Connection.objects.filter(pk=made["unverified"].pk).update(
        state=State.NOT_VERIFIED, verified_at=None, verification=[]
    )
    return removed | {name: str(connection.uuid) for name, connection in made.items()}


def requests(ready: Connection, admin: User, contributor: User) -> dict[str, Any]:
    """One with each answer, one that is open, and one of somebody who is no contributor any more."""

    def ask(person: User, reason: str) -> AccessRequest:
        return request_access(type_key="sftp", reason=reason, actor=person)

    former = User.objects.create(username="former", first_name="Tomas", last_name="Ribeiro")
    roles.assign(user=former, role=Role.CONTRIBUTOR)
    made = {
        "granted_request": ask(contributor, "The agency needs the loyalty segment for the autumn mailing."),
        "former_request": ask(former, "Invoices for the print shop in Lisbon, once a month."),
    }
    roles.assign(user=former, role=Role.VIEWER)
    grant_access(
        request=made["granted_request"], connection=ready, answer="Please use the folder autumn.", actor=admin
    )
    made["declined_request"] = ask(contributor, "A folder of our own at the call centre.")
    decline_request(
        request=made["declined_request"], actor=admin,
        answer="The call centre takes its customers from the loyalty export. Ask them for the folder.",
    )  # fmt: skip
    made["open_request"] = ask(
        contributor,
        "The new print shop wants names and addresses of everybody who moved house since January, every Monday "
        "before eight, and takes nothing but SFTP. The contract is signed and lies with Lena.",
    )
    return {name: str(request.uuid) for name, request in made.items()}


def exports(ready: Connection, admin: User, contributor: User) -> dict[str, Any]:
    """One for each way a run stands, one without a connection, one that nobody is responsible for."""
    names = {
        "running": "Weekly offers", "retrying": "Store openings", "failed": "Birthday cards",
        "canceled": "Winter catalogue", "warnings": LONG, "detached": "Postal mailing",
        "unowned": "Left behind", "daily": "Every morning",
    }  # fmt: skip
    made = {
        name: create_export(
            name=title,
            connection=ready,
            options={},
            items=[
                Item(kind=ItemKind.SEGMENT, source="loyalty_gold", fields=FIELDS),
                Item(kind=ItemKind.TABLE, source="orders", fields=("order_id", "customer_id")),
            ],
            schedule=DAILY if name in ("daily", "detached", "unowned") else Timing(),
            actor=contributor,
        )
        for name, title in names.items()
    }
    detach_connection(export=made["detached"], actor=contributor)
    Export.objects.filter(pk=made["unowned"].pk).update(responsible=None)
    runs = {
        "running": stand(made["running"], contributor, RunState.RUNNING, **lease(), attempt=1),
        "retrying": stand(
            made["retrying"], contributor, RunState.QUEUED, attempt=1, not_before=later(), **reason("network")
        ),
        "failed": stand(made["failed"], contributor, RunState.FAILED, attempt=3, **reason("sign_in")),
        "canceled": stand(made["canceled"], contributor, RunState.CANCELED, attempt=1),
        "warnings": stand(made["warnings"], contributor, RunState.WARNINGS, attempt=1),
        "unowned": stand(made["unowned"], contributor, RunState.FAILED, attempt=1, **reason("right")),
    }
    return {f"{name}_export": str(export.uuid) for name, export in made.items()} | {
        f"{name}_run": str(run.uuid) for name, run in runs.items()
    }


def later() -> dt.datetime:
    return timezone.now() + dt.timedelta(days=1)


def lease() -> dict[str, Any]:
    """Of a worker that will not be missed while anybody looks."""
    return {"lease_token": uuid4(), "lease_until": later(), "heartbeat_at": timezone.now(), "worker": "one"}


def reason(code: str) -> dict[str, str]:
    return {
        "code": code,
        "cause": "The server refuses the connection's username and password.",
        "remedy": "An administrator can edit the connection and verify it.",
        "detail": "Permission denied (password), asked twice by the server before it closed the connection",
        "who_acts": WhoActs.ADMINISTRATOR,
    }


def stand(export: Export, actor: User, state: RunState, **columns: Any) -> ExportRun:
    """A run of two items: the first is done, the second half way. A worker that is woken finds nothing to do."""
    run = enqueue_run(export=export, actor=actor, trigger=Trigger.PERSON)
    now = timezone.now()
    counts = {"selected": 77_150, "read": 55_810, "sent": 55_252, "left_out": 558, "bytes_sent": 2_300_000}
    ended = state not in (RunState.QUEUED, RunState.RUNNING)
    columns |= {"started_at": now - dt.timedelta(seconds=183), "finished_at": now if ended else None}
    ExportRun.objects.filter(pk=run.pk).update(state=state, **counts, **columns)
    done, half = run.tasks.all()
    ExportTask.objects.filter(pk=done.pk).update(
        state=TaskState.DONE, selected=24_310, read=24_310, sent=23_752, left_out=558, bytes_sent=1_100_000,
        reasons={"no profile": 558}, started_at=now - dt.timedelta(seconds=118), finished_at=now,
    )  # fmt: skip
    ExportTask.objects.filter(pk=half.pk).update(
        state=TaskState.FAILED if ended else TaskState.RUNNING, selected=52_840, read=31_500, sent=31_500,
        started_at=now,
    )  # fmt: skip
    ExportFile.objects.create(
        task=done, name="loyalty_gold_1.csv.gz", rows=23_752, size=1_100_000, sha256="4f" * 32
    )
    texts = {key: columns.get(key, "") for key in ("code", "cause", "remedy", "detail")}
    for number in range(1, columns["attempt"] + 1):
        last = number == columns["attempt"] and state is RunState.RUNNING
        ExportAttempt.objects.create(
            run=run, number=number, started_at=now - dt.timedelta(minutes=9 - number),
            outcome="running" if last else "canceled" if state is RunState.CANCELED else "failed",
            ended_at=None if last else now - dt.timedelta(minutes=8 - number), **texts,
        )  # fmt: skip
    return ExportRun.objects.get(pk=run.pk)


def error_pages() -> dict[str, str]:
    """The pages of errors that cannot be brought about by asking: our fault, and the database away."""
    asked = RequestFactory().post("/data/exports/new/", {"name": "Typed before"})
    return {
        "busy_page": unavailable(asked).content.decode(),
        "fault_page": render_to_string("500.html"),
        "bad_page": render_to_string("400.html"),
    }
