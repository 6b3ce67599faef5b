"""``manage.py people``: who is added, changed, deactivated and listed, and that no password is typed into a command."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command

from connections_portal import roles
from connections_portal.models import AuditEntry, User
from connections_portal.roles import Role

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

GOOD = "wool carrot tractor 9"


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PASSWORD", GOOD)
    return GOOD


def people(*words: str, **options: Any) -> str:
    out = StringIO()
    call_command("people", *words, stdout=out, **options)
    return out.getvalue()


def test_somebody_new(password: str) -> None:
    said = people(
        *("add", "a.weber", "--role", "contributor", "--name", "Ana Weber", "--email", "ana@example.com"),
        *("--group", "Campaign team", "--group", "Loyalty"),
    )
    person = User.objects.get()
    assert (str(person), person.email, roles.role_of(person)) == (
        "Ana Weber",
        "ana@example.com",
        Role.CONTRIBUTOR,
    )
    assert person.check_password(GOOD)
    assert {group.name for group in person.groups.all()} == {"Contributor", "Campaign team", "Loyalty"}
    assert "New group: Loyalty" in said
    assert GOOD not in said
    entry = AuditEntry.objects.get(action="person.added")
    assert (entry.actor_label, entry.object_label) == ("system", "Ana Weber")
    assert GOOD not in str(entry.details)
    with pytest.raises(CommandError, match="is there already"):
        people("add", "A.Weber", "--role", "viewer")


def test_a_password_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PASSWORD", raising=False)
    file = tmp_path / "password"
    file.write_text(f"{GOOD}\nnot this\n")
    people("add", "tomas", "--role", "viewer", "--password-file", str(file))
    assert User.objects.get().check_password(GOOD)
    file.write_text("another good one 7")
    people("change", "tomas", "--password-file", str(file))
    assert User.objects.get().check_password("another good one 7")
    with pytest.raises(CommandError, match="cannot be read"):
        people("change", "tomas", "--password-file", str(tmp_path / "missing"))


@pytest.mark.parametrize("word", ["", "short", "1234567890123", "tomas.ribeiro"])
def test_a_password_that_is_too_weak(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("PASSWORD", word)
    with pytest.raises(CommandError):
        people("add", "tomas.ribeiro", "--role", "viewer", "--name", "Tomas Ribeiro")
    assert not User.objects.exists()


def test_a_password_is_never_an_argument(password: str) -> None:
    for words in (("--password", GOOD), (GOOD,)):
        with pytest.raises(CommandError):
            people("add", "tomas", "--role", "viewer", *words)
    assert not User.objects.exists()


def test_without_a_terminal_somebody_has_to_say_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", StringIO())
    with pytest.raises(CommandError, match="Set PASSWORD"):
        people("add", "tomas", "--role", "viewer")


def test_role_groups_and_leaving(password: str, admin: User, contributor: User) -> None:
    people("change", "ana", "--group", "Campaign team", "--role", "viewer", "--name", "Ana Maria Weber")
    person = User.objects.get(pk=contributor.pk)
    assert (str(person), roles.role_of(person)) == ("Ana Maria Weber", Role.VIEWER)
    assert {group.name for group in person.groups.all()} == {"Viewer", "Campaign team"}
    people("change", "ana", "--leave", "Campaign team", "--deactivate")
    person = User.objects.get(pk=contributor.pk)
    assert not person.is_active
    assert [group.name for group in person.groups.all()] == ["Viewer"]
    assert "(deactivated)" in people("list")
    people("change", "ana", "--activate")
    assert User.objects.get(pk=contributor.pk).is_active
    assert AuditEntry.objects.filter(action="person.changed").count() == 2
    assert AuditEntry.objects.filter(action__in=["person.activated", "person.deactivated"]).count() == 2
    with pytest.raises(CommandError, match="is a role"):
        people("change", "ana", "--group", "Administrator")
    with pytest.raises(CommandError, match="no group called"):
        people("change", "ana", "--leave", "Viewer")
    with pytest.raises(CommandError, match="nobody called"):
        people("change", "otto", "--deactivate")


def test_the_last_administrator_stays(password: str, admin: User) -> None:
    for words in (("--deactivate",), ("--role", "viewer")):
        with pytest.raises(CommandError, match="Nobody would be an administrator"):
            people("change", "lena", *words)
    assert roles.role_of(User.objects.get()) is Role.ADMINISTRATOR
    people("add", "otto", "--role", "administrator")
    people("change", "lena", "--deactivate")
    assert not User.objects.get(username="lena").is_active


def test_names_that_cannot_be(password: str) -> None:
    for words in (
        ("add", "a b", "--role", "viewer"),
        ("add", "ana", "--role", "viewer", "--name", "A\u202ena"),
        ("add", "ana", "--role", "viewer", "--email", "nowhere"),
        ("add", "ana", "--role", "viewer", "--group", "zero\u200bwidth"),
        ("add", "ana", "--role", "chief"),
    ):
        with pytest.raises(CommandError):
            people(*words)
    assert not User.objects.exists()
    assert not Group.objects.exclude(name__in=[role.value for role in Role]).exists()


def test_the_list(admin: User, contributor: User) -> None:
    contributor.groups.add(Group.objects.create(name="Campaign team"))
    assert "lena  Lena Hofmann  Administrator" in people("list")
    only = people("list", "--group", "Campaign team")
    assert "ana  Ana Weber  Contributor  Campaign team" in only
    assert "lena" not in only


def test_the_demonstration_has_people_to_share_with(settings: Any, tmp_path: Path) -> None:
    settings.DEV, settings.DEMO_PASSWORD = True, GOOD
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'data'}"
    for _twice in range(2):
        call_command("seed_demo")
    contributors = User.objects.filter(groups__name=Role.CONTRIBUTOR)
    assert contributors.count() == 14
    assert {user.username for user in User.objects.all() if user.has_usable_password()} == {
        "admin",
        "contributor",
        "viewer",
    }
    assert Group.objects.filter(user__in=contributors).exclude(name=Role.CONTRIBUTOR).distinct().count() == 3
