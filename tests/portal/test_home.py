"""Home: what needs each person, nothing their role may not see, the way to a first delivery, constant queries."""

import datetime as dt
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from connections.models import Access, AccessRequest, Connection
from connections.operations.attention import mark_needs_attention
from connections.operations.pause import pause_connection
from connections.operations.requests import decline_request, grant_access, request_access
from connections.operations.share import share_connection
from connections_portal.models import AuditEntry, RunState, Trigger, User
from connections_portal.roles import Role
from exports.item import Item
from exports.models import Export, ExportRun, ItemKind
from exports.operations.connection import detach_connection
from exports.operations.edit import Timing, create_export
from exports.operations.run import enqueue_run
from tests.data import write_customers
from tests.factories import make_connection
from tests.fixtures import make_person

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
LOYAL = Item(kind=ItemKind.SEGMENT, source="loyal", fields=("email",))
REASON = "The agency needs the loyalty segment for the autumn mailing."


@pytest.fixture(autouse=True)
def customers(tmp_path: Path, settings: Settings) -> None:
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'data')}"


@pytest.fixture
def connection(admin: User, contributor: User) -> Connection:
    return make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor])


@pytest.fixture
def seen(client_of: Clients) -> Callable[[User], str]:
    """What is read on somebody's Home, with single blanks."""

    def read(user: User) -> str:
        answer = client_of(User.objects.get(pk=user.pk)).get(reverse("home"))
        assert answer.status_code == 200
        main = re.sub(r"(?s).*<main[^>]*>|</main>.*", "", answer.content.decode())
        return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", main)))

    return read


Seen = Callable[[User], str]


def export_on(connection: Connection, actor: User, name: str = "Loyalty mailing") -> Export:
    return create_export(
        name=name, connection=connection, options={}, items=[LOYAL], schedule=Timing(), actor=actor
    )


def ran(export: Export, state: RunState = RunState.SUCCESSFUL, **columns: Any) -> ExportRun:
    run = enqueue_run(export=export, actor=export.responsible, trigger=Trigger.PERSON)
    ExportRun.objects.filter(pk=run.pk).update(state=state, finished_at=timezone.now(), **columns)
    return run


# ---- a new portal ----


def test_a_new_portal_leads_administrators_to_the_first_delivery(admin: User, seen: Seen) -> None:
    page = seen(admin)
    assert "Three steps to the first delivery" in page
    assert "Choose a service" in page
    assert "(done)" not in page
    assert "Needs your attention" not in page
    connection = make_connection(actor=admin)
    page = seen(admin)
    assert "Set up a connection (done)" in page
    assert "Choose a service" not in page
    export = export_on(connection, admin)
    page = seen(admin)
    assert "Add an export (done)" in page
    assert "Open exports" in page
    ran(export, RunState.FAILED)
    assert "Three steps" in seen(admin)
    ran(export)
    assert "Three steps" not in seen(admin)


def test_a_new_portal_says_something_useful_to_everybody(
    contributor: User, viewer: User, support: User, nobody: User, seen: Seen
) -> None:
    page = seen(contributor)
    assert "Get a connection" in page
    assert "Request access" in page
    page = seen(viewer)
    assert "As soon as contributors send data, you see here what went where" in page
    assert "Three steps" not in page
    assert "Open Support" in seen(support)
    assert "You have no role yet" in seen(nobody)


def test_a_contributor_who_comes_late_is_told_whom_to_ask(
    admin: User, outsider: User, connection: Connection, seen: Seen
) -> None:
    ran(export_on(connection, admin))
    page = seen(outsider)
    assert "No connection has been shared with you. Ask an administrator: Lena Hofmann" in page
    User.objects.create_superuser("root", first_name="Ada", last_name="Ito")
    assert "Ask an administrator: Ada Ito, Lena Hofmann" in seen(outsider)
    assert "Request access" in page
    assert "Three steps" not in page


# ---- what needs whom ----


def test_failed_runs_are_shown_to_those_who_can_do_something(
    admin: User, contributor: User, outsider: User, viewer: User, connection: Connection, seen: Seen
) -> None:
    well = export_on(connection, contributor, "Goes well")
    ran(well, RunState.FAILED)
    ran(well)
    broken = export_on(connection, contributor, "Goes wrong")
    ran(broken)
    ran(broken, RunState.FAILED, cause="The server did not answer.", detail="10.0.0.1 says no")
    for person in (admin, contributor):
        attention = seen(person).split("Recent runs")[0]
        assert "The last run of 1 export failed" in attention
        assert "Goes wrong Just now The server did not answer." in attention
        assert "Goes well" not in attention
    for person in (outsider, viewer):
        assert "export failed" not in seen(person)
    assert "Last run failed 1" in seen(viewer)
    for person in (contributor, outsider, viewer):
        assert "10.0.0.1" not in seen(person)


@pytest.mark.parametrize("who", ["admin", "contributor", "outsider", "viewer"])
def test_what_is_counted_is_what_its_link_shows(
    who: str,
    request: pytest.FixtureRequest,
    admin: User,
    contributor: User,
    connection: Connection,
    client_of: Clients,
) -> None:
    """Numbers and lists agree about failed, retrying, running and waiting exports, and about connections."""
    hidden = make_connection(actor=admin, name="Hidden")
    for number, place in enumerate((connection, connection, hidden)):
        ran(export_on(place, admin, f"Failed {number}"), RunState.FAILED)
        retrying = ran(export_on(place, admin, f"Retrying {number}"), RunState.QUEUED)
        ExportRun.objects.filter(pk=retrying.pk).update(attempt=1, finished_at=None)
        enqueue_run(export=export_on(place, admin, f"Runs {number}"), actor=admin, trigger=Trigger.PERSON)
        ran(export_on(place, admin, f"Well {number}"))
        detach_connection(export=export_on(place, admin, f"Waits {number}"), actor=admin)
    for number, type_key in enumerate(("sftp", "sftp_custom_import", "sftp_custom_import")):
        broken = make_connection(actor=admin, name=f"Broken {number}", type_key=type_key)
        mark_needs_attention(connection_id=broken.pk, cause="No.", code="x")

    client = client_of(request.getfixturevalue(who))
    home = client.get(reverse("home")).context
    counted = {number.url: number.value for number in home["counts"]}
    counted |= {notice.url: notice.total for notice in home["notices"] if "?" in notice.url}
    for url, number in counted.items():
        assert client.get(url).context["page_obj"].paginator.count == number, url
    titles = " ".join(notice.title for notice in home["notices"])
    assert ("The last runs of 6 exports failed" in titles) is (who == "admin")
    assert ("The last runs of 4 exports failed" in titles) is (who == "contributor")
    assert ("2 enrichment connections need attention" in titles) is (who == "admin")
    assert counted[f"{reverse('exports:list')}?status=processing"] == 3


def test_connections_that_need_attention_are_for_administrators_with_the_cause(
    admin: User, contributor: User, viewer: User, connection: Connection, seen: Seen
) -> None:
    cause = "The server refuses this username and password."
    mark_needs_attention(connection_id=connection.pk, cause=cause, code="sign_in")
    ran(export_on(make_connection(actor=admin, name="Other"), admin))
    page = seen(admin)
    assert "1 connection needs attention" in page
    assert f"Newsletter, SFTP EU {cause}" in page
    for person in (contributor, viewer):
        assert "needs attention" not in seen(person)
        assert cause not in seen(person)


def test_requests_are_for_administrators_and_answers_for_whoever_asked(
    admin: User, contributor: User, outsider: User, viewer: User, connection: Connection, seen: Seen
) -> None:
    ran(export_on(connection, contributor))
    first = request_access(type_key="sftp", reason=f"{REASON} <b>{'x' * 200}", actor=outsider)
    page = seen(admin)
    assert "1 request for access" in page
    assert f"Ben Okafor, SFTP Just now {REASON} <b>xxx" in page
    assert "x" * 120 not in page
    assert "You asked for access Show requests : You asked for access SFTP Just now" in seen(outsider)
    for person in (contributor, viewer):
        assert "request for access" not in seen(person)
        assert REASON not in seen(person)
    decline_request(request=first, answer="Not for the agency.", actor=admin)
    assert "request for access" not in seen(admin)
    page = seen(outsider)
    assert "Your request was declined" in page
    assert "Not for the agency." in page
    second = request_access(type_key="sftp", reason=REASON, actor=outsider)
    grant_access(request=second, connection=connection, actor=admin)
    page = seen(outsider)
    assert "Your request was granted" in page
    assert "Lena Hofmann shared Newsletter, SFTP EU" in page
    assert "Your request" not in seen(contributor)
    AccessRequest.objects.update(answered_at=timezone.now() - dt.timedelta(days=15))
    assert "Your request was" not in seen(outsider)


def test_what_waits_for_a_connection_is_shown_to_those_who_can_give_one(
    admin: User, contributor: User, outsider: User, viewer: User, connection: Connection, seen: Seen
) -> None:
    ran(export_on(connection, contributor, "Runs"))
    detach_connection(export=export_on(connection, contributor, "Waits"), actor=contributor)
    for person in (admin, contributor):
        assert "1 export waits for a connection" in seen(person)
    for person in (outsider, viewer):
        assert "waits for a connection" not in seen(person)


def test_nothing_needs_anybody(admin: User, contributor: User, connection: Connection, seen: Seen) -> None:
    ran(export_on(connection, contributor))
    for person in (admin, contributor):
        assert "Needs your attention Nothing at the moment." in seen(person)


# ---- shared lately ----


def shared(page: str) -> str:
    return page.partition("Shared with you lately")[2]


def test_a_contributor_sees_what_was_shared_with_them_by_name_and_type(
    admin: User, contributor: User, outsider: User, viewer: User, connection: Connection, seen: Seen
) -> None:
    assert "Newsletter, SFTP EU SFTP · Just now" in shared(seen(contributor))
    for person in (admin, outsider, viewer):
        assert not shared(seen(person))
    team = Group.objects.create(name="Campaign team")
    team.user_set.add(outsider)
    other = make_connection(actor=admin, name="Print shop")
    share_connection(
        connection=other, version=other.version, access=Access.SPECIFIC, groups=[team], actor=admin
    )
    page = shared(seen(outsider))
    assert "Print shop SFTP" in page
    assert "Newsletter" not in page
    # shared with the other one as well: no news for who had it
    assert "Print shop" not in shared(seen(contributor))
    other.refresh_from_db()
    share_connection(connection=other, version=other.version, access=Access.CONTRIBUTORS, actor=admin)
    assert shared(seen(contributor)).index("Print shop") < shared(seen(contributor)).index("Newsletter")
    for person in (contributor, outsider):
        assert "files.example.com" not in seen(person)


def test_sharing_with_somebody_else_is_no_news(
    admin: User, contributor: User, outsider: User, connection: Connection, seen: Seen
) -> None:
    make_connection(actor=admin, name="Print shop", access=Access.SPECIFIC, people=[contributor])
    share_connection(
        connection=connection,
        version=connection.version,
        access=Access.SPECIFIC,
        people=[contributor, outsider],
        actor=admin,
    )
    page = shared(seen(contributor))
    assert page.index("Print shop") < page.index("Newsletter")


def test_what_cannot_be_used_any_more_is_not_named(
    admin: User, contributor: User, connection: Connection, seen: Seen
) -> None:
    share_connection(
        connection=connection, version=connection.version, access=Access.ADMINISTRATORS, actor=admin
    )
    assert "Newsletter" not in seen(contributor)
    paused = make_connection(actor=admin, name="Print shop", access=Access.CONTRIBUTORS)
    assert "Print shop" in seen(contributor)
    pause_connection(connection=paused, version=paused.version, actor=admin)
    assert "Print shop" not in seen(contributor)


# ---- size ----


@pytest.mark.parametrize("role", ["admin", "contributor", "viewer", "support"])
def test_home_costs_the_same_queries_however_much_there_is(
    role: str,
    request: pytest.FixtureRequest,
    admin: User,
    contributor: User,
    connection: Connection,
    client_of: Clients,
    django_assert_max_num_queries: Any,
) -> None:
    person = request.getfixturevalue(role)

    def more(number: int) -> None:
        for n in range(number):
            name = f"{number}-{n}"
            other = make_connection(actor=admin, name=f"C{name}", access=Access.CONTRIBUTORS)
            mark_needs_attention(
                connection_id=make_connection(actor=admin, name=f"N{name}").pk, cause="No.", code="x"
            )
            ran(export_on(other, contributor, f"F{name}"), RunState.FAILED)
            detach_connection(export=export_on(connection, contributor, f"W{name}"), actor=contributor)
            for who in (make_person(f"p{name}", Role.CONTRIBUTOR), contributor):
                asked = request_access(type_key="sftp", reason=REASON, actor=who)
                if who == contributor:
                    AccessRequest.objects.filter(pk=asked.pk).update(
                        state="declined", answered_at=timezone.now(), created_at=asked.created_at
                    )

    def cost() -> int:
        client = client_of(User.objects.get(pk=person.pk))
        client.get(reverse("home"))
        with django_assert_max_num_queries(40) as captured:
            assert client.get(reverse("home")).status_code == 200
        return len(captured)

    more(4)
    ran(export_on(connection, contributor))
    few = cost()
    more(5)
    assert cost() == few


def test_looking_at_home_is_not_recorded(admin: User, connection: Connection, seen: Seen) -> None:
    entries = AuditEntry.objects.count()
    seen(admin)
    assert AuditEntry.objects.count() == entries
