"""S15: support staff look, and do what is on an explicit list; who may do what is not theirs to change."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection as database
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, reverse

from connections.models import Connection
from connections_portal import roles
from connections_portal.admin import ReadOnlyAdmin, ReadOnlyInline, UserAdmin
from connections_portal.models import AuditEntry, User
from connections_portal.roles import PERMISSIONS, Role
from exports.models import Export, ExportRun
from tests.support.rows import make_everything

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("customer_data")]

Clients = Callable[[User | None], Client]

# What support staff may do with rows, by model. Adding to it is a decision: every action is recorded in the audit.
ACTIONS: dict[str, set[str]] = {
    "ExportRun": {"requeue_lost", "cancel_run"},
    "EnrichmentRun": {"requeue_lost", "cancel_run"},
}

# What may be seen of a person. Everything else about people is for nobody's eyes, or for those who hold the rights.
OF_A_PERSON = {
    "username",
    "first_name",
    "last_name",
    "email",
    "is_active",
    "groups",
    "last_login",
    "time_zone",
    "audit",  # a link
}


@pytest.fixture
def superuser(db: None) -> User:
    """Somebody who may do everything and enters the admin: even they change nothing there."""
    return User.objects.create_superuser("root", password="correct horse battery staple")


@pytest.fixture(autouse=True)
def rows(admin: User, contributor: User, support: User) -> ExportRun:
    """A row in every table that the admin shows."""
    return make_everything(admin, contributor)[0]


def registered() -> Iterator[tuple[type[Model], admin.ModelAdmin]]:
    yield from admin.site._registry.items()


def everything() -> dict[str, object]:
    found: dict[str, object] = {}
    with database.cursor() as cursor:
        for table in database.introspection.table_names():
            if table not in ("connections_portal_auditentry", "django_session"):
                cursor.execute(f'SELECT * FROM "{table}"')
                found[table] = sorted(map(repr, cursor.fetchall()))
    return found


def test_every_model_there_is_read_only() -> None:
    """Also those that a package of somebody else registers."""
    for model, model_admin in registered():
        assert isinstance(model_admin, ReadOnlyAdmin), model
        assert all(issubclass(inline, ReadOnlyInline) for inline in model_admin.inlines), model


def test_no_model_of_rights_or_secrets_is_registered() -> None:
    shown = {model for model, _admin in registered()}
    assert not shown & {Group, Permission, ContentType, Session}
    names = {model.__name__ for model in shown}
    assert not {name for name in names if "Secret" in name or "Draft" in name}


def test_support_is_given_view_rights_alone() -> None:
    assert {name.split(".")[1].split("_")[0] for name in PERMISSIONS[Role.SUPPORT]} == {"view"}


@pytest.mark.parametrize("who", ["support", "superuser"])
def test_nobody_writes_there(who: str, request: pytest.FixtureRequest) -> None:
    person = User.objects.get(pk=request.getfixturevalue(who).pk)
    asked = RequestFactory().get("/admin/")
    asked.user = person
    for model, model_admin in registered():
        row = model._default_manager.first()
        assert row is not None, model
        assert not model_admin.has_add_permission(asked), model
        assert not model_admin.has_change_permission(asked, row), model
        assert not model_admin.has_delete_permission(asked, row), model
        allowed = ACTIONS.get(model.__name__, set()) if who == "support" else set()
        assert set(model_admin.get_actions(asked)) == allowed, model
        for inline in model_admin.get_inline_instances(asked, row):
            assert not inline.has_add_permission(asked, row), (model, inline)
            assert not inline.has_change_permission(asked, row), (model, inline)
            assert not inline.has_delete_permission(asked, row), (model, inline)


@pytest.mark.parametrize("who", ["support", "superuser"])
def test_whatever_is_posted_changes_nothing(
    who: str, request: pytest.FixtureRequest, client_of: Clients
) -> None:
    person = request.getfixturevalue(who)
    client = client_of(person)
    client.raise_request_exception = False
    form = {
        "username": "taken-over",
        "password": "pbkdf2_sha256$1$x$x",
        "is_staff": "on",
        "is_superuser": "on",
        "is_active": "on",
        "groups": [str(group.pk) for group in Group.objects.all()],
        "user_permissions": ["1", "2"],
        "state": "paused",
        "name": "taken over",
        "_save": "Save",
        "post": "yes",
        "confirm": "yes",
    }
    before = everything()
    for model, _admin in registered():
        row = model._default_manager.first()
        assert row is not None
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        for suffix, arguments in (
            ("add", []),
            ("change", [row.pk]),
            ("delete", [row.pk]),
            ("changelist", []),
        ):
            url = reverse(f"{name}_{suffix}", args=arguments)
            chosen = {"action": "delete_selected", "_selected_action": [str(row.pk)], "index": "0"}
            for body in (form, form | chosen):
                status = client.post(url, body).status_code
                # a list is shown again, filtered by what was posted
                assert status in (302, 400, 403) or (suffix == "changelist" and status == 200), (url, status)
    for url in ("/admin/password_change/", "/admin/logout/", "/admin/login/"):
        client.post(url, form)
    assert everything() == before
    assert roles.role_of(User.objects.get(username="sami")) is Role.SUPPORT


def test_nothing_but_these_columns_of_a_person(support: User, admin: User, client_of: Clients) -> None:
    assert set(UserAdmin.fields or ()) == OF_A_PERSON
    page = (
        client_of(support)
        .get(reverse("admin:connections_portal_user_change", args=[admin.pk]))
        .content.decode()
    )
    assert admin.username in page
    assert admin.password not in page
    assert "<select" not in page
    assert 'name="groups"' not in page
    with pytest.raises(NoReverseMatch):
        reverse("admin:auth_user_password_change", args=[admin.pk])


def test_a_password_is_not_found_by_searching_for_it(support: User, admin: User, client_of: Clients) -> None:
    """Filters in the address reach columns that are not shown: letter by letter a hash could be asked for."""
    client = client_of(support)
    client.raise_request_exception = False
    url = reverse("admin:connections_portal_user_changelist")
    for query in (
        f"password__startswith={admin.password[:4]}",
        "is_superuser__exact=1",
        "user_permissions__codename__startswith=use",
        "groups__permissions__codename=use_connection",
    ):
        answer = client.get(f"{url}?{query}")
        assert answer.status_code in (302, 400), (query, answer.status_code)
    url = reverse("admin:connections_connection_changelist")
    for query in (
        "secrets__ciphertext__startswith=a",
        "settings__hostname=files.example.com",
        "host_key__startswith=s",
    ):
        answer = client.get(f"{url}?{query}")
        assert answer.status_code in (302, 400), (query, answer.status_code)


def test_support_uses_no_connection_and_opens_no_page_of_settings(
    support: User, rows: ExportRun, client_of: Clients
) -> None:
    client = client_of(support)
    connection, export = Connection.objects.get(), Export.objects.get()
    before = everything()
    for url in (
        f"/settings/connections/{connection.uuid}/",
        "/settings/connections/",
        f"/data/exports/{export.uuid}/",
        "/data/tables/",
    ):
        assert client.get(url).status_code == 403
    for url in (
        f"/data/exports/{export.uuid}/run/",
        f"/data/exports/{export.uuid}/runs/{rows.uuid}/cancel/",
        f"/settings/connections/{connection.uuid}/remove/",
    ):
        assert client.post(url).status_code == 403
    assert everything() == before
    assert AuditEntry.objects.filter(action="access.refused", actor_id=support.pk).count() >= 7
