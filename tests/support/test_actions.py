"""S15: the two actions of support staff. Only on runs, only with a reason, only on a run that is as it must be."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from connections.operations.support import NotLost, NotSupport
from connections_portal import audit_story, messages
from connections_portal.errors import FinishingRun, OperationError
from connections_portal.models import Attempt, AuditEntry, RunState, User
from enrichments import tasks as enrichment_tasks
from enrichments.operations import support as enrichment_support
from exports import tasks as export_tasks
from exports.models import ExportRun
from exports.operations import support as export_support
from tests.support.rows import stand

pytestmark = pytest.mark.django_db

KINDS = ("exportrun", "enrichmentrun")
OPERATIONS: dict[str, Any] = {"exportrun": export_support, "enrichmentrun": enrichment_support}
TASKS: dict[str, Any] = {"exportrun": export_tasks.execute, "enrichmentrun": enrichment_tasks.execute}
REASON = "Worker machine was rebuilt"


def url_of(run: Any) -> str:
    return reverse(f"admin:{run._meta.app_label}_{run._meta.model_name}_changelist")


def ask(client: Client, run: Any, action: str, **more: Any) -> Any:
    return client.post(url_of(run), {"action": action, "_selected_action": [run.pk], "index": "0"} | more)


def confirm(client: Client, run: Any, action: str, reason: str = REASON, **more: Any) -> Any:
    form = {"action": action, "_selected_action": [run.pk], "confirmed": "1", "reason": reason} | more
    return client.post(url_of(run), form)


def lose_messages() -> None:
    DBTaskResult.objects.all().delete()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(kind: str, runs: dict[str, Any]) -> Any:
    return runs[kind]


def test_cancel_asks_for_a_reason_and_keeps_it(client: Client, run: Any, kind: str, support: User) -> None:
    page = ask(client, run, "cancel_run")
    assert page.status_code == 200
    assert 'name="reason"' in page.content.decode()
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    assert confirm(client, run, "cancel_run").status_code == 302
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    entry = AuditEntry.objects.get(action=f"{kind.removesuffix('run')}.run_canceled")
    assert entry.actor_id == support.pk
    assert entry.details == {"run": str(run.uuid), "reason": REASON}
    assert audit_story.describe(entry).endswith(f": {REASON}")


def test_a_running_run_is_canceled_with_its_attempt(client: Client, run: Any) -> None:
    stand(run, RunState.RUNNING)
    confirm(client, run, "cancel_run")
    run.refresh_from_db()
    assert (run.state, run.lease_token) == (RunState.CANCELED, None)
    assert run.attempts.get(number=1).outcome == Attempt.Outcome.CANCELED


@pytest.mark.parametrize(
    "reason", ["", "   ", "why", "x" * 301, "a\x00bcdef", "turned \u202e round", "a    b"]
)
@pytest.mark.parametrize("action", ["cancel_run", "requeue_lost"])
def test_no_action_without_a_reason(action: str, reason: str, client: Client, run: Any) -> None:
    lose_messages()
    answer = confirm(client, run, action, reason)
    assert answer.status_code == 422
    assert "nothing has been done yet" in answer.content.decode()
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    assert not DBTaskResult.objects.exists()
    assert (
        not AuditEntry.objects.filter(action__contains=".run_").exclude(action__endswith="requested").exists()
    )


def test_what_was_typed_as_reason_is_kept_and_is_no_markup(client: Client, run: Any) -> None:
    evil = "<b>" + "x" * 300
    page = confirm(client, run, "cancel_run", evil).content.decode()
    assert "&lt;b&gt;xxx" in page
    assert "<b>xxx" not in page
    confirm(client, run, "cancel_run", "because <b>so</b>")
    page = client.get(reverse("admin:connections_portal_auditentry_changelist")).content.decode()
    assert "because &lt;b&gt;so" in page


@pytest.mark.both_databases
def test_a_queued_run_without_message_gets_one(client: Client, run: Any, kind: str) -> None:
    lose_messages()
    confirm(client, run, "requeue_lost")
    assert messages.waiting(TASKS[kind]) == {run.pk}
    entry = AuditEntry.objects.get(action=f"{kind.removesuffix('run')}.run_requeued")
    assert entry.details["reason"] == REASON


def test_a_message_that_a_worker_died_over_is_none(client: Client, run: Any, kind: str) -> None:
    DBTaskResult.objects.update(status=TaskResultStatus.RUNNING, started_at=timezone.now())
    confirm(client, run, "requeue_lost")
    assert messages.waiting(TASKS[kind]) == {run.pk}


def test_the_time_of_the_next_attempt_stays(client: Client, run: Any) -> None:
    lose_messages()
    later = timezone.now() + dt.timedelta(minutes=4)
    type(run).objects.filter(pk=run.pk).update(not_before=later, attempt=1)
    confirm(client, run, "requeue_lost")
    message = DBTaskResult.objects.get()
    assert abs(message.run_after - later) < dt.timedelta(seconds=5)


@pytest.mark.both_databases
@pytest.mark.parametrize("attempt", [1, 3])
def test_a_run_that_its_worker_left_is_queued_again(
    attempt: int, client: Client, run: Any, kind: str
) -> None:
    """Also one that has no attempt left: that is what somebody looks at it for."""
    lose_messages()
    stand(run, RunState.RUNNING, lease_over=True, attempt=attempt)
    confirm(client, run, "requeue_lost")
    run.refresh_from_db()
    assert (run.state, run.lease_token) == (RunState.QUEUED, None)
    assert run.max_attempts == max(3, attempt + 1)
    assert run.attempts.get(number=1).outcome == Attempt.Outcome.LOST
    assert messages.waiting(TASKS[kind]) == {run.pk}


def test_publishing_that_was_left_gets_a_message(client: Client, run: Any, kind: str) -> None:
    lose_messages()
    stand(run, RunState.PUBLISHING, lease_over=True)
    token = run.lease_token
    confirm(client, run, "requeue_lost")
    run.refresh_from_db()
    assert (run.state, run.lease_token) == (RunState.PUBLISHING, token)
    assert messages.waiting(TASKS[kind]) == {run.pk}


@pytest.mark.both_databases
@pytest.mark.parametrize("state", [s for s in RunState if s != RunState.QUEUED] + [RunState.QUEUED])
def test_a_run_that_is_alive_or_over_is_never_queued_again(
    state: RunState, client: Client, run: Any, kind: str, support: User
) -> None:
    if state != RunState.QUEUED:  # which has its message
        lose_messages()
        ended = state not in (RunState.RUNNING, RunState.PUBLISHING)
        stand(run, state, finished_at=timezone.now() if ended else None)
    before = type(run).objects.filter(pk=run.pk).values().get()
    with pytest.raises(NotLost):
        OPERATIONS[kind].requeue_lost(run=run, actor=support, reason=REASON)
    page = client.post(
        url_of(run),
        {"action": "requeue_lost", "_selected_action": [run.pk], "confirmed": "1", "reason": REASON},
        follow=True,
    ).content.decode()
    assert 'class="warning"' in page
    assert type(run).objects.filter(pk=run.pk).values().get() == before
    assert len(messages.waiting(TASKS[kind])) == (1 if state == RunState.QUEUED else 0)
    assert not AuditEntry.objects.filter(action__endswith="requeued").exists()


@pytest.mark.parametrize(
    "state", [RunState.PUBLISHING, RunState.SUCCESSFUL, RunState.FAILED, RunState.CANCELED]
)
def test_what_cannot_be_canceled_says_so(state: RunState, run: Any, kind: str, support: User) -> None:
    stand(run, state, finished_at=None if state == RunState.PUBLISHING else timezone.now())
    refusal = FinishingRun if state == RunState.PUBLISHING else NotLost
    with pytest.raises(refusal):
        OPERATIONS[kind].cancel_run(run=run, actor=support, reason=REASON)
    run.refresh_from_db()
    assert run.state == state
    assert not AuditEntry.objects.filter(action__endswith="canceled").exists()


@pytest.mark.parametrize("action", ["cancel_run", "requeue_lost"])
def test_only_support_staff(
    action: str,
    run: Any,
    kind: str,
    admin: User,
    contributor: User,
    viewer: User,
    client_of: Callable[[User | None], Client],
) -> None:
    """Administrators cancel on the page of the run; a superuser may enter here, and acts no more than they."""
    lose_messages()
    superuser = User.objects.create_superuser("root", password="correct horse battery staple")
    for person in (admin, contributor, viewer, superuser):
        with pytest.raises(NotSupport):
            getattr(OPERATIONS[kind], action)(run=run, actor=person, reason=REASON)
        for post in (ask, confirm):
            # without is_staff to the door of the site, which is closed
            assert post(client_of(person), run, action).status_code == (403 if person == superuser else 302)
            assert client_of(person).get("/admin/login/").status_code == 403
    page = client_of(superuser).get(url_of(run)).content.decode()
    assert 'name="action"' not in page
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    assert not DBTaskResult.objects.exists()
    refused = AuditEntry.objects.filter(action="access.refused", details__method="POST")
    assert set(refused.values_list("actor_id", flat=True)) == {superuser.pk}


def test_a_reason_that_says_nothing_is_refused_below_the_page_too(run: Any, kind: str, support: User) -> None:
    with pytest.raises(OperationError):
        OPERATIONS[kind].cancel_run(run=run, actor=support, reason="  no  ")


@pytest.mark.parametrize("action", ["delete_selected", "cancel", "__class__", "requeue_lost\n", "get_urls"])
def test_any_other_action_is_refused(action: str, client: Client, runs: dict[str, Any]) -> None:
    for run in runs.values():
        for post in (ask, confirm):
            assert post(client, run, action).status_code == 403
        assert not AuditEntry.objects.filter(action__endswith="canceled").exists()
    connection = reverse("admin:connections_connection_changelist")
    assert client.post(connection, {"action": "cancel_run", "_selected_action": ["1"]}).status_code == 403


def test_the_list_offers_the_two_and_no_more(client: Client, run: Any) -> None:
    page = client.get(url_of(run)).content.decode()
    options = page.split('<select name="action"')[1].split("</select>")[0]
    assert options.count("<option") == 3
    assert "Re-queue lost run" in options
    assert "Cancel run" in options
    assert "across all pages" not in page


def test_several_at_once_run_by_run(client: Client, runs: dict[str, Any]) -> None:
    """One that cannot be canceled keeps no other from it; nothing that was not ticked is touched."""
    queued = runs["exportrun"]
    over = ExportRun.objects.get(pk=queued.pk)
    over.pk, over.uuid, over.state, over.finished_at = None, "0" * 31 + "1", RunState.FAILED, timezone.now()
    over.save(force_insert=True)
    other = ExportRun.objects.get(pk=queued.pk)
    other.pk, other.uuid, other.state = None, "0" * 31 + "2", RunState.SUCCESSFUL
    other.save(force_insert=True)
    form = {
        "action": "cancel_run",
        "_selected_action": [queued.pk, over.pk, "x", "-1", "9" * 30],
        "select_across": "1",
        "confirmed": "1",
        "reason": REASON,
    }
    page = client.post(url_of(queued), form, follow=True).content.decode()
    assert "1 run was canceled." in page
    assert "The run has ended already." in page
    assert list(ExportRun.objects.order_by("pk").values_list("state", flat=True)) == [
        "canceled",
        "failed",
        "successful",
    ]


def test_more_than_can_be_meant_is_refused(client: Client, run: Any) -> None:
    answer = confirm(client, run, "cancel_run", _selected_action=[str(n) for n in range(1, 202)])
    assert answer.status_code == 302
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
