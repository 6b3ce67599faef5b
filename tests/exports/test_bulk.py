"""Several exports at once: what is asked, what is done, who is left out and why; *Run all*."""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from connections.models import Connection, State
from connections_portal.models import AuditEntry, RunState, User
from exports.models import Export, ExportRun, ScheduleKind
from exports.operations.connection import detach_connection
from exports.operations.edit import Timing
from exports.views import run_all
from tests.exports.conftest import LOYAL, ORDERS

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

LIST = "/data/exports/"
HTMX = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{LIST}?q=a&page=2"}
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="Europe/Berlin")
NOT_YOURS = "You cannot change it, or it was removed meanwhile."
Clients = Callable[[User | None], Client]
Make = Callable[..., Export]


def post(
    client: Client, action: str, exports: Iterable[Any], *, confirmed: bool = True, **values: Any
) -> Any:
    headers = values.pop("headers", {})
    data = {"selected": [str(getattr(e, "uuid", e)) for e in exports], **values}
    if confirmed:
        data["confirmed"] = "1"
    return client.post(reverse(f"exports:bulk_{action}"), data, headers=headers)


def text(answer: Any) -> str:
    """What a person reads."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def toasts(answer: Any) -> list[str]:
    found = re.findall(r"<p data-toast[^>]*>(.*?)</p>", answer.content.decode(), re.DOTALL)
    return [words.strip() for words in found]


def is_done(answer: Any) -> bool:
    """Whether the dialog closes and the list is fetched anew."""
    events = json.loads(answer["HX-Trigger"])
    return bool(events["closeDialogs"] and events["listChanged"]) and "<form" not in answer.content.decode()


@pytest.fixture
def mixed(make_export: Make, admin: User, contributor: User, hidden: Connection) -> dict[str, Export]:
    """Two exports that the contributor may change, one that they may not, and one without a connection."""
    loose = make_export("Loose")
    detach_connection(export=loose, actor=contributor)
    return {
        "one": make_export("One"),
        "two": make_export("Two"),
        "other": make_export("Other", connection=hidden, actor=admin),
        "loose": loose,
    }


@pytest.mark.parametrize("action", ["run", "schedule", "detach", "remove"])
def test_the_first_answer_says_what_will_happen_and_changes_nothing(
    client_of: Clients, contributor: User, mixed: dict[str, Export], action: str
) -> None:
    before = AuditEntry.objects.count()
    answer = post(client_of(contributor), action, mixed.values(), confirmed=False)
    assert answer.status_code == 200
    said = text(answer)
    assert "One, Two" in said
    assert f"Other {NOT_YOURS}" in said
    kept = re.findall(r'name="selected" value="([^"]+)"', answer.content.decode())
    ends_without_loose = action in ("run", "detach")
    assert ("Loose It has no connection." in said) == ends_without_loose
    assert len(kept) == (2 if ends_without_loose else 3)
    assert str(mixed["other"].uuid) not in kept
    assert AuditEntry.objects.count() == before
    assert not ExportRun.objects.exists()


def test_only_the_first_names_are_listed(client_of: Clients, contributor: User, make_export: Make) -> None:
    exports = [make_export(f"Export {number}") for number in range(7)]
    said = text(post(client_of(contributor), "remove", exports, confirmed=False))
    assert "Export 0, Export 1, Export 2, Export 3, Export 4 and 2 more" in said
    assert "Export 5" not in said


def test_run_queues_what_can_run_and_says_what_could_not(
    client_of: Clients, contributor: User, mixed: dict[str, Export], make_run: Callable[..., ExportRun]
) -> None:
    make_run(mixed["two"], RunState.RUNNING)
    answer = post(client_of(contributor), "run", mixed.values(), headers=HTMX)
    assert answer.status_code == 200
    said = text(answer)
    assert "1 run is queued." in said
    assert "3 are left out" in said
    for words in ("Two It is running already.", f"Other {NOT_YOURS}", "Loose It has no connection."):
        assert words in said
    assert list(ExportRun.objects.filter(state="queued").values_list("export__name", flat=True)) == ["One"]
    assert json.loads(answer["HX-Trigger"])["listChanged"]
    assert AuditEntry.objects.filter(action="access.refused", object_label="Other").exists()


@pytest.mark.parametrize("state", [State.PAUSED, State.NOT_VERIFIED])
def test_nothing_is_queued_on_a_connection_that_is_not_ready(
    client_of: Clients, contributor: User, export: Export, state: State
) -> None:
    Connection.objects.update(state=state)
    said = text(post(client_of(contributor), "run", [export]))
    assert "Its connection is paused or not verified. Ask an administrator." in said
    assert "queued" not in said
    assert not ExportRun.objects.exists()


def test_remove_deletes_them_one_by_one_and_goes_back_to_the_list_as_it_was(
    client_of: Clients, contributor: User, make_export: Make
) -> None:
    exports = [make_export("One"), make_export("Two"), make_export("Three")]
    client = client_of(contributor)
    answer = post(client, "remove", exports[:2], headers=HTMX)
    assert is_done(answer)
    assert toasts(answer) == ["2 exports were removed."]
    removed = AuditEntry.objects.filter(action="export.removed").values_list("object_label", flat=True)
    assert sorted(removed) == ["One", "Two"]
    answer = post(client, "remove", exports[2:], query="q=three&sort=-status&page=1")
    assert answer.status_code == 303
    assert answer["Location"] == f"{LIST}?q=three&sort=-status&page=1"
    assert not Export.objects.exists()


def test_the_way_back_cannot_lead_elsewhere(client_of: Clients, contributor: User, export: Export) -> None:
    answer = post(client_of(contributor), "remove", [export], query="//evil.example/\r\nX: 1#a=b")
    assert answer.status_code == 303
    assert re.fullmatch(r"/data/exports/\?[\w%=&+.-]*", answer["Location"])


def test_detach_keeps_the_settings_and_waits_while_a_run_is_finishing(
    client_of: Clients, contributor: User, make_export: Make, make_run: Callable[..., ExportRun]
) -> None:
    one, two = make_export("One", schedule=DAILY), make_export("Two")
    make_run(two, RunState.PUBLISHING)
    answer = post(client_of(contributor), "detach", [one, two])
    assert answer.status_code == 200
    said = text(answer)
    assert "1 export has no connection any more." in said
    assert "Two The run is just finishing. Try again in a moment." in said
    one.refresh_from_db()
    assert one.connection is None
    assert one.schedule.kind == ScheduleKind.DAY
    assert one.schedule.next_at is None
    assert Export.objects.get(name="Two").connection is not None


def test_one_schedule_for_all(
    client_of: Clients, contributor: User, admin: User, make_export: Make, connection: Connection
) -> None:
    one, two = make_export("One", actor=admin), make_export("Two", schedule=DAILY)
    loose = make_export("Loose")
    detach_connection(export=loose, actor=contributor)
    values: dict[str, Any] = {
        "schedule": "week",
        "weekdays": ["0", "4"],
        "time": "07:30",
        "zone": "Europe/Berlin",
    }
    answer = post(client_of(contributor), "schedule", [one, two, loose], headers=HTMX, **values)
    assert is_done(answer)
    assert toasts(answer) == ["3 exports are scheduled."]
    for export in Export.objects.select_related("schedule"):
        assert (export.schedule.kind, export.schedule.weekdays) == ("week", [0, 4])
        assert export.schedule.local_time == dt.time(7, 30)
        assert (export.schedule.next_at is None) == (export.name == "Loose")
        assert export.responsible == export.updated_by == contributor
    assert AuditEntry.objects.filter(action="export.scheduled").count() == 3
    one.refresh_from_db()
    assert one.version == 2


def test_a_schedule_that_is_wrong_is_asked_for_again_with_what_was_typed(
    client_of: Clients, contributor: User, make_export: Make
) -> None:
    one, two = make_export("One"), make_export("Two")
    client = client_of(contributor)
    answer = post(client, "schedule", [one, two], schedule="month", days="1, 99", time="08:15", zone="UTC")
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "Type numbers from 1 to 31" in page
    assert 'value="1, 99"' in page
    assert page.count('name="selected"') == 2
    assert not AuditEntry.objects.filter(action="export.scheduled").exists()


def test_the_schedule_begins_with_what_all_of_them_have(
    client_of: Clients, contributor: User, make_export: Make
) -> None:
    weekly = Timing(kind=ScheduleKind.WEEK, local_time=dt.time(9, 45), weekdays=(2,), zone="Asia/Tokyo")
    same = [make_export("One", schedule=weekly), make_export("Two", schedule=weekly)]
    client = client_of(contributor)
    page = post(client, "schedule", same, confirmed=False).content.decode()
    assert 'value="09:45"' in page
    assert re.search(r'value="Asia/Tokyo"\s+selected', page)
    other = post(client, "schedule", [*same, make_export("Three")], confirmed=False).content.decode()
    assert 'value="06:00"' in other


@pytest.mark.parametrize("action", ["run", "schedule", "detach", "remove"])
def test_unknown_and_forbidden_give_the_same_reason(
    client_of: Clients, outsider: User, export: Export, action: str
) -> None:
    values: dict[str, Any] = {"schedule": "manual"} if action == "schedule" else {}
    answer = post(client_of(outsider), action, [export, uuid4()], **values)
    assert answer.status_code == 200
    assert text(answer).count(NOT_YOURS) == 2
    assert "2 are left out" in text(answer)
    assert Export.objects.get().connection is not None
    assert not ExportRun.objects.exists()


@pytest.mark.parametrize("selected", [[], ["nonsense", "", "\x00", "²"]])
def test_nothing_selected_is_said(client_of: Clients, contributor: User, selected: list[str]) -> None:
    answer = post(client_of(contributor), "remove", selected)
    assert answer.status_code == 422
    assert "Nothing is selected. Tick the rows first." in text(answer)


def test_no_more_than_two_hundred_at_once(client_of: Clients, contributor: User) -> None:
    answer = post(client_of(contributor), "remove", [uuid4() for _number in range(201)])
    assert answer.status_code == 422
    assert "At most 200 rows can be selected at once." in text(answer)


def test_asking_costs_the_same_for_one_and_for_many(
    client_of: Clients, contributor: User, make_export: Make, django_assert_num_queries: Any
) -> None:
    exports = [make_export(f"Export {number}") for number in range(12)]
    client = client_of(contributor)
    post(client, "run", exports[:1], confirmed=False)
    with django_assert_num_queries(12, exact=False) as few:
        post(client, "run", exports[:1], confirmed=False)
    with django_assert_num_queries(12, exact=False) as many:
        post(client, "run", exports, confirmed=False)
    assert len(few.captured_queries) == len(many.captured_queries)


def test_the_list_is_a_form_without_script(
    client_of: Clients, contributor: User, viewer: User, export: Export
) -> None:
    page = client_of(contributor).get(f"{LIST}?q=loyal&sort=-name").content.decode()
    form = re.search(r'<form id="selection" method="post">.*?</form>', page, re.DOTALL)
    assert form
    assert "csrfmiddlewaretoken" in form[0]
    assert 'name="query" value="q=loyal&amp;sort=-name"' in form[0]
    assert f'data-select name="selected" form="selection" value="{export.uuid}"' in page
    for action in ("run", "schedule", "detach", "remove"):
        assert f'form="selection" formaction="{reverse(f"exports:bulk_{action}")}"' in page
    assert "data-bulk" not in client_of(viewer).get(LIST).content.decode()


# ---- Run all


@pytest.fixture
def everything(
    mixed: dict[str, Export], make_export: Make, make_run: Callable[..., ExportRun]
) -> dict[str, Export]:
    """One export for each reason, and two that run."""
    make_run(make_export("Busy", schedule=DAILY), RunState.QUEUED)
    return mixed | {
        "daily": make_export("Daily", schedule=DAILY, items=[LOYAL, ORDERS]),
        "again": make_export("Again", schedule=DAILY),
    }


def test_run_all_counts_who_runs_and_who_does_not(
    client_of: Clients, contributor: User, everything: dict[str, Export]
) -> None:
    client = client_of(contributor)
    said = text(client.get(reverse("exports:run_all")))
    assert "Runs of 2 exports are queued: Again, Daily." in said
    left_out = (
        "5 are left out: 2 without a schedule, 1 without a connection, 1 that is running already, "
        "1 that you may not run."
    )
    assert left_out in said
    assert ExportRun.objects.count() == 1
    answer = client.post(reverse("exports:run_all"), headers=HTMX)
    assert is_done(answer)
    assert toasts(answer) == [f"2 runs are queued. {left_out}"]
    queued = ExportRun.objects.filter(started_by=contributor).values_list("export__name", flat=True)
    assert sorted(queued) == ["Again", "Daily"]
    assert AuditEntry.objects.filter(action="export.run_requested", actor_id=contributor.pk).count() == 2


def test_run_all_passes_over_connections_that_are_not_ready(
    client_of: Clients, admin: User, make_export: Make
) -> None:
    make_export("Daily", schedule=DAILY)
    Connection.objects.update(state=State.PAUSED)
    client = client_of(admin)
    said = text(client.get(reverse("exports:run_all")))
    assert "No export can be run now." in said
    assert "1 is left out: 1 whose connection is paused or not verified." in said
    assert client.post(reverse("exports:run_all")).status_code == 303
    assert not ExportRun.objects.exists()


def test_run_all_says_when_it_takes_several_times(
    client_of: Clients, contributor: User, make_export: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_all, "MOST", 2)
    for name in "abc":
        make_export(name, schedule=DAILY)
    client = client_of(contributor)
    rest = "At most 2 are queued at once: press Run all again for the other 1."
    assert rest in text(client.get(reverse("exports:run_all")))
    client.post(reverse("exports:run_all"))
    assert ExportRun.objects.count() == 2
    assert "Runs of 1" not in text(client.get(reverse("exports:run_all")))
    client.post(reverse("exports:run_all"))
    assert ExportRun.objects.count() == 3


def test_run_all_asks_as_many_questions_for_many_as_for_one(
    client_of: Clients,
    contributor: User,
    make_export: Make,
    django_assert_num_queries: Any,
    settings: Settings,
) -> None:
    client = client_of(contributor)
    make_export("First", schedule=DAILY)
    client.get(reverse("exports:run_all"))
    with django_assert_num_queries(12, exact=False) as few:
        client.get(reverse("exports:run_all"))
    for number in range(10):
        make_export(f"Export {number}", schedule=DAILY)
    with django_assert_num_queries(12, exact=False) as many:
        client.get(reverse("exports:run_all"))
    assert len(few.captured_queries) == len(many.captured_queries)
