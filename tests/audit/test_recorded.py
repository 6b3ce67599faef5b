"""What operations really keep: each entry that they write has a sentence that fits, and reads as it should."""

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Group

from connections.models import Access, Connection
from connections.operations.attention import mark_needs_attention
from connections.operations.pause import pause_connection, withdraw_consent
from connections.operations.share import share_connection
from connections_portal import audit_story
from connections_portal.models import AuditEntry, RunState, Trigger, User
from exports.models import Export, ExportRun, ScheduleKind
from exports.operations.connection import attach_connection, detach_connection
from exports.operations.edit import Timing
from exports.operations.execute import CARRIER
from exports.operations.remove import remove_export
from exports.operations.rename import rename_export
from exports.operations.run import cancel_run, enqueue_run
from exports.operations.schedule import set_schedule
from tests.exports.conftest import connection, data, export, make_export, make_run
from tests.factories import make_connection

__all__ = ["connection", "data", "export", "make_export", "make_run"]  # fixtures

pytestmark = pytest.mark.django_db

NAME = "Newsletter, SFTP EU"


@pytest.fixture(autouse=True)
def every_entry_fits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """At the end of each test: no entry is told by the words of its action alone."""
    yield
    fallen: list[str] = []

    def plainly(entry: AuditEntry, values: object) -> audit_story.Sentence:
        fallen.append(f"{entry.action}: {entry.details}")
        return audit_story.Sentence("", {})

    monkeypatch.setattr(audit_story, "_plainly", plainly)
    entries = list(AuditEntry.objects.all())
    assert entries
    for entry in entries:
        audit_story.describe(entry)
    assert not fallen, fallen


def last(action: str) -> str:
    return audit_story.describe(AuditEntry.objects.filter(action=action).latest("pk"))


def test_connections(admin: User, contributor: User, outsider: User, connection: Connection) -> None:
    assert last("connection.created") == f'Lena Hofmann set up "{NAME}" and shared it with Ana Weber'
    teams = [Group.objects.create(name=name) for name in ("Campaign team", "Store openings")]
    for team in teams:
        outsider.groups.add(team)
    share_connection(
        connection=connection,
        version=connection.version,
        access=Access.SPECIFIC,
        people=[contributor, outsider],
        groups=teams,
        actor=admin,
    )
    assert (
        last("connection.shared") == f'Lena Hofmann shared "{NAME}" with Ana Weber, Ben Okafor and 2 groups'
    )
    mark_needs_attention(connection_id=connection.pk, cause="The server refuses this.", code="sign_in")
    assert last("connection.needs_attention") == f'The portal marked "{NAME}" as needing attention (sign_in)'
    connection.refresh_from_db()
    pause_connection(connection=connection, version=connection.version, actor=admin)
    assert last("connection.paused") == f'Lena Hofmann paused "{NAME}"'
    connection.refresh_from_db()
    withdraw_consent(connection=connection, version=connection.version, actor=admin)
    assert "withdrew the agreement" in last("connection.consent_withdrawn")


def test_exports(
    admin: User, contributor: User, export: Export, connection: Connection, make_run: Callable[..., ExportRun]
) -> None:
    assert last("export.created") == f'Ana Weber created "Loyalty mailing", on the connection "{NAME}"'
    rename_export(export=export, name="Spring mailing", version=export.version, actor=contributor)
    assert last("export.renamed") == 'Ana Weber renamed "Loyalty mailing" to "Spring mailing"'
    export.refresh_from_db()
    daily = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="Europe/Berlin")
    set_schedule(export=export, schedule=daily, version=export.version, actor=contributor)
    assert last("export.scheduled").endswith('"Spring mailing": every day at 06:00 (Europe/Berlin)')
    run = enqueue_run(export=export, actor=contributor, trigger=Trigger.PERSON)
    assert last("export.run_requested") == 'Ana Weber started a run of "Spring mailing"'
    cancel_run(run=run, actor=contributor)
    enqueue_run(export=export, actor=None, trigger=Trigger.SCHEDULE)
    assert last("export.run_requested") == 'The schedule started a run of "Spring mailing"'
    run = export.runs.latest("pk")
    ExportRun.objects.filter(pk=run.pk).update(state=RunState.SUCCESSFUL, read=1200, sent=1100, left_out=100)
    CARRIER.record_end(run, RunState.SUCCESSFUL, "")
    assert last("export.run_finished") == 'A run of "Spring mailing" was successful: 1,100 of 1,200 rows sent'
    detach_connection(export=export, actor=contributor)
    assert last("export.detached") == f'Ana Weber detached the connection "{NAME}" from "Spring mailing"'
    other = make_connection(actor=admin, name="Print shop", access=Access.CONTRIBUTORS)
    export.refresh_from_db()
    attach_connection(export=export, connection=other, actor=contributor)
    assert last("export.attached") == 'Ana Weber added the connection "Print shop" to "Spring mailing"'
    export.refresh_from_db()
    remove_export(export=export, actor=contributor)
    assert last("export.removed") == 'Ana Weber removed "Spring mailing"'
