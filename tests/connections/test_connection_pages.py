"""Lists, the page of one connection, removal, and what each choice of access gives."""

import base64
import hashlib
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from connections import sharing
from connections.models import Access, Connection, ConnectionSecret, State
from connections.permissions import can_use
from connections_portal import roles
from connections_portal.models import User
from connections_portal.roles import Role
from exports.models import Export
from tests.factories import make_connection
from tests.fixtures import make_person

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User | None], Client]
LIST = "/settings/connections/exports/"


@pytest.fixture
def page(admin: User, client_of: ClientOf) -> Callable[[str], str]:
    client = client_of(admin)

    def get(address: str) -> str:
        answer = client.get(address)
        assert answer.status_code == 200, answer.status_code
        return answer.content.decode()

    return get


def used(connection: Connection, name: str = "Loyalty mailing") -> Export:
    return Export.objects.create(
        name=name, name_key=name.lower(), connection=connection, type_key="sftp", folder_name=name.lower()
    )


# ---- who can use it ----


@pytest.mark.parametrize(
    ("access", "may"),
    [
        (Access.ADMINISTRATORS, set()),
        (Access.CONTRIBUTORS, {"contributor", "outsider", "member"}),
        (Access.SPECIFIC, {"contributor", "member"}),
    ],
)
def test_each_choice_gives_exactly_this(
    access: Access,
    may: set[str],
    admin: User,
    contributor: User,
    outsider: User,
    viewer: User,
    support: User,
    nobody: User,
) -> None:
    team = Group.objects.create(name="Campaign team")
    member = make_person("mia", Role.CONTRIBUTOR)
    former = make_person("finn", Role.VIEWER)
    team.user_set.add(member, former)
    connection = make_connection(actor=admin, access=access, people=[contributor], groups=[team])
    people = {
        "contributor": contributor,
        "outsider": outsider,
        "member": member,
        "former": former,
        "viewer": viewer,
        "support": support,
        "nobody": nobody,
    }
    assert {name for name, person in people.items() if can_use(person, connection)} == may
    for name, person in people.items():
        assert Connection.objects.usable_by(person).exists() is (name in may)
    assert can_use(admin, connection)


def test_a_former_contributors_grant_lies_idle(admin: User, contributor: User) -> None:
    connection = make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor])
    roles.assign(user=contributor, role=Role.VIEWER)
    assert not can_use(User.objects.get(pk=contributor.pk), connection)
    roles.assign(user=contributor, role=Role.CONTRIBUTOR)
    assert can_use(User.objects.get(pk=contributor.pk), connection)
    User.objects.filter(pk=contributor.pk).update(is_active=False)
    assert not can_use(User.objects.get(pk=contributor.pk), connection)


def test_a_model_wide_permission_opens_nothing(admin: User, contributor: User) -> None:
    connection = make_connection(actor=admin)
    everything = Permission.objects.get(codename="use_connection")
    contributor.user_permissions.add(everything)
    Group.objects.get(name=Role.CONTRIBUTOR).permissions.add(everything)
    assert not can_use(User.objects.get(pk=contributor.pk), connection)


def test_only_contributors_can_be_chosen(
    admin: User, contributor: User, viewer: User, support: User, client_of: ClientOf
) -> None:
    Group.objects.create(name="Empty")
    viewers = Group.objects.create(name="Lookers")
    viewers.user_set.add(viewer)
    team = Group.objects.create(name="Campaign team")
    team.user_set.add(contributor, viewer)
    assert list(sharing.grantable_people()) == [contributor]
    assert list(sharing.grantable_groups()) == [team]
    form = {"action": "save", "name": "x", "access": "specific", "grantees": [f"person:{viewer.pk}"]}
    answer = client_of(admin).post(reverse("connections:set_up", args=["sftp"]), form)
    assert answer.status_code == 422
    assert "id_grantees_error" in answer.content.decode()


def test_specific_people_means_somebody(admin: User, client_of: ClientOf) -> None:
    form = {"action": "save", "name": "x", "access": "specific"}
    answer = client_of(admin).post(reverse("connections:set_up", args=["sftp"]), form)
    assert "Choose at least one person or group." in answer.content.decode()


# ---- lists ----


def test_the_list_says_what_there_is(
    admin: User, contributor: User, outsider: User, page: Callable[[str], str]
) -> None:
    team = Group.objects.create(name="Campaign team")
    team.user_set.add(contributor)
    make_connection(actor=admin, name="Alpha")
    make_connection(actor=admin, name="Beta", access=Access.CONTRIBUTORS)
    shared = make_connection(
        actor=admin, name="Gamma", access=Access.SPECIFIC, people=[contributor, outsider], groups=[team]
    )
    used(shared)
    used(shared, "Second")
    Connection.objects.filter(name="Beta").update(
        state=State.NEEDS_ATTENTION, state_cause="Sign-in was refused."
    )
    text = page(LIST)
    for words in (
        "Display name", "Type", "Status", "Created", "Who has access", "Used by",
        "sftp://files.example.com/in", "Administrators and contributors", "Administrators, Ana Weber and 2 more",
        "Ready", "Needs attention", "Sign-in was refused.", "2 exports", "Not used", "Lena Hofmann",
    ):  # fmt: skip
        assert words in text, words
    assert f'href="/data/exports/?connection={shared.uuid}"' in text


@pytest.mark.parametrize("column", ["name", "type", "status", "created", "access", "used"])
def test_every_column_sorts_both_ways(admin: User, page: Callable[[str], str], column: str) -> None:
    first = make_connection(actor=admin, name="Alpha")
    second = make_connection(actor=admin, name="Beta", access=Access.CONTRIBUTORS)
    used(second)
    Connection.objects.filter(pk=second.pk).update(state=State.PAUSED)
    names = [first.name, second.name]

    def order(address: str) -> list[str]:
        text = page(address)
        return sorted(names, key=lambda name: text.index(f">{name}</a>"))

    up, down = order(f"{LIST}?sort={column}"), order(f"{LIST}?sort=-{column}")
    assert {tuple(up), tuple(down)} <= {tuple(names), tuple(reversed(names))}
    if column != "type":
        assert up != down
    if column in {"name", "created", "used"}:
        assert up == names


def test_search_and_paging_stay_in_the_address(admin: User, page: Callable[[str], str]) -> None:
    for number in range(30):
        make_connection(actor=admin, name=f"Connection {number:02d}")
    first, second = page(LIST), page(f"{LIST}?page=2")
    assert "Connection 24" in first
    assert "Connection 25" not in first
    assert "Connection 25" in second
    found = page(f"{LIST}?q=connection+07")
    assert "Connection 07" in found
    assert "Connection 08" not in found
    assert "Connection 07" in page(f"{LIST}?q=files.example")[:1_000_000]
    assert "Nothing matches your search" in page(f"{LIST}?q=zzz")


def test_the_number_of_queries_does_not_grow(
    admin: User,
    contributor: User,
    client_of: ClientOf,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(20):
        connection = make_connection(
            actor=admin, name=f"Connection {number}", access=Access.SPECIFIC, people=[contributor]
        )
        used(connection, f"Export {number}")
    client = client_of(admin)
    client.get(LIST)
    with django_assert_max_num_queries(14):
        client.get(LIST)


def test_discover_finds_built_and_planned(page: Callable[[str], str]) -> None:
    everything = page("/settings/connections/")
    assert "Export connections" in everything
    assert "Enrichment connections" in everything
    assert "More services planned (" in everything
    assert "Mailchimp" in everything
    found = page("/settings/connections/?q=mailch")
    assert "Mailchimp" in found
    assert "set-up-sftp" not in found
    assert "set-up-sftp" in page("/settings/connections/?q=SFTP")


def test_nothing_yet(page: Callable[[str], str]) -> None:
    assert "It takes about two minutes." in page(LIST)
    assert "No enrichment connections yet" in page("/settings/connections/enrichment/")


# ---- one connection ----


def test_the_page_shows_everything_but_the_secret(admin: User, page: Callable[[str], str]) -> None:
    key = base64.b64encode(b"some key").decode()
    connection = make_connection(
        actor=admin, secrets={"password": "canary-password"}, host_key=f"ssh-ed25519 {key}"
    )
    text = page(reverse("connections:detail", args=[connection.uuid]))
    fingerprint = base64.b64encode(hashlib.sha256(b"some key").digest()).decode().rstrip("=")
    for words in ("files.example.com", "portal", "Stored, never shown", f"SHA256:{fingerprint}", "Agreed by"):
        assert words in text, words
    assert "canary-password" not in text
    secret = ConnectionSecret.objects.get()
    assert secret.ciphertext
    assert bytes(secret.ciphertext).hex() not in text


def test_an_unknown_connection_is_not_there(admin: User, client_of: ClientOf) -> None:
    for name in ("connections:detail", "connections:remove"):
        url = reverse(name, args=["00000000-0000-4000-8000-000000000000"])
        assert client_of(admin).get(url).status_code == 404


# ---- removal ----
