"""The list of a vault's secrets: read by a worker page by page, kept while it is read anew, searched in the tables."""

import datetime as dt
import json
from collections.abc import Callable

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from connections.models import KeyVault, VaultName
from connections.operations import read_names as reading
from connections.operations.read_names import ask_for_names, queue_old, read_names, refresh_if_old
from connections.vault_names import offer_names, offer_versions
from connections_portal.models import AuditEntry, User
from tests.key_vault.double import Double, LinkVault

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def vault(linked_vault: LinkVault) -> KeyVault:
    """A linked vault; what was queued meanwhile is gone."""
    vault = linked_vault()
    assert DBTaskResult.objects.filter(task_path__endswith="read_names").count() == 1, "queued after linking"
    return _unread(vault)


def _unread(vault: KeyVault) -> KeyVault:
    DBTaskResult.objects.all().delete()
    KeyVault.objects.update(names_token="", names_begun_at=None)
    vault.refresh_from_db()
    return vault


def read(vault: KeyVault) -> str:
    """Read the whole list, as many messages as it takes."""
    assert ask_for_names(vault=vault, actor=None)
    came_of_it = "goes on"
    while came_of_it == "goes on":
        message = DBTaskResult.objects.filter(task_path__endswith="read_names").latest("enqueued_at")
        vault_id, token, *rest = message.args_kwargs["args"]
        more = dict(zip(("after", "pauses"), rest, strict=False))
        came_of_it = read_names(vault_id=vault_id, token=token, **more)
    vault.refresh_from_db()
    return came_of_it


def names(vault: KeyVault, words: str = "", after: str = "", host: str = "") -> list[str]:
    return [option.value for option in offer_names(vault, words=words, after=after, host=host).options]


@pytest.mark.both_databases
def test_the_whole_list_is_read(vault: KeyVault, double: Double) -> None:
    double.vault.stock(130)
    assert read(vault) == "done"
    assert vault.names_count == VaultName.objects.count() == 130
    assert vault.names_at is not None
    assert vault.names_token == ""
    assert len(double.cloud.requests(path="/secrets")) - 1 <= 6, (
        "one request a page, and one to learn where to sign in"
    )
    message = json.dumps(list(DBTaskResult.objects.values_list("args_kwargs", flat=True)))
    assert double.portal.secret not in message
    assert AuditEntry.objects.get(action="vault.names_read").details["count"] == 130


@pytest.mark.both_databases
def test_what_is_gone_goes_only_when_the_new_list_is_whole(
    vault: KeyVault, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.vault.stock(60)
    read(vault)
    double.vault.delete("secret-00000")
    double.vault.put("zz-new", "x")
    monkeypatch.setattr(reading, "BATCH", 25)
    assert ask_for_names(vault=vault, actor=None)
    double.troubles.latency = 0.0
    vault.refresh_from_db()
    # the worker dies after its first page
    assert read_names(vault_id=vault.pk, token=vault.names_token, seconds=0.0) == "goes on"
    vault.refresh_from_db()
    assert reading.names_so_far(vault) == 25
    assert "secret-00000" in names(vault, "secret-0000")
    assert VaultName.objects.count() == 60
    assert not ask_for_names(vault=vault, actor=None), "one is under way"
    later = timezone.now() + reading.LOST_AFTER + dt.timedelta(seconds=1)
    assert ask_for_names(vault=vault, actor=None, now=later)
    vault.refresh_from_db()
    assert read_names(vault_id=vault.pk, token=vault.names_token) == "done"
    assert not VaultName.objects.filter(name="secret-00000").exists()
    assert VaultName.objects.filter(name="zz-new").exists()


def test_two_readings_do_not_disturb_each_other(vault: KeyVault, double: Double) -> None:
    double.vault.stock(60)
    ask_for_names(vault=vault, actor=None)
    first = vault.names_token
    ask_for_names(vault=vault, actor=None, now=timezone.now() + dt.timedelta(hours=1))
    second = vault.names_token
    assert first != second
    assert read_names(vault_id=vault.pk, token=first) == "superseded"
    assert not VaultName.objects.exists()
    assert read_names(vault_id=vault.pk, token=second) == "done"
    assert read_names(vault_id=vault.pk, token=second) == "superseded", "a message that came twice"


def test_a_throttled_vault_is_asked_again_later(vault: KeyVault, double: Double) -> None:
    double.vault.stock(30)
    ask_for_names(vault=vault, actor=None)
    read_names(vault_id=vault.pk, token=vault.names_token, seconds=0.0)
    double.troubles.throttled, double.troubles.retry_after = 50, 120
    message = DBTaskResult.objects.filter(task_path__endswith="read_names").latest("enqueued_at")
    _id, token, after, pauses = message.args_kwargs["args"]
    before = timezone.now()
    assert read_names(vault_id=vault.pk, token=token, after=after, pauses=pauses) == "goes on"
    again = DBTaskResult.objects.filter(task_path__endswith="read_names").latest("enqueued_at")
    assert again.args_kwargs["args"] == [vault.pk, token, after, 1]
    assert again.run_after is not None
    assert 110 < (again.run_after - before).total_seconds() < 130


def test_a_vault_that_refuses_leaves_the_list_as_it_was(vault: KeyVault, double: Double) -> None:
    double.vault.stock(30)
    read(vault)
    double.vault.forbid("list")
    assert ask_for_names(vault=vault, actor=None)
    assert read_names(vault_id=vault.pk, token=vault.names_token) == "vault_forbidden"
    vault.refresh_from_db()
    assert vault.names_token == ""
    assert len(names(vault)) == 25


@pytest.mark.both_databases
def test_the_clock_reads_what_is_older_than_a_day(vault: KeyVault, double: Double) -> None:
    now = timezone.now()
    assert queue_old(now=now) == 1
    assert queue_old(now=now) == 0
    read_names(vault_id=vault.pk, token=KeyVault.objects.get().names_token)
    assert queue_old(now=now + dt.timedelta(hours=23)) == 0
    assert queue_old(now=now + dt.timedelta(hours=25)) == 1


def test_opening_has_an_old_list_read(vault: KeyVault) -> None:
    read(vault)
    assert not refresh_if_old(vault=vault)
    assert refresh_if_old(vault=vault, now=timezone.now() + dt.timedelta(minutes=11))


@pytest.mark.parametrize("before", ["no list", "an old list"])
def test_a_reading_that_failed_is_told_and_not_asked_for_with_every_search(
    vault: KeyVault, double: Double, admin: User, client_of: Callable[[User | None], Client], before: str
) -> None:
    double.vault.stock(30)
    if before == "an old list":
        read(vault)
        long_ago = timezone.now() - dt.timedelta(hours=1)
        KeyVault.objects.update(names_at=long_ago, names_begun_at=long_ago)
        vault.refresh_from_db()
    double.vault.forbid("list")
    assert refresh_if_old(vault=vault)
    assert read_names(vault_id=vault.pk, token=vault.names_token) == "vault_forbidden"
    vault.refresh_from_db()
    client, url = client_of(admin), f"/settings/key-vault/{vault.uuid}/secrets/"
    answer = client.get(url)
    assert "could not be read at the last try" in answer.content.decode()
    assert "HX-Trigger" not in answer.headers
    assert not refresh_if_old(vault=vault)
    assert refresh_if_old(vault=vault, now=timezone.now() + dt.timedelta(minutes=2))
    double.vault.permit()
    read_names(vault_id=vault.pk, token=vault.names_token)
    answer = client.get(url)
    assert "could not be read" not in answer.content.decode()
    assert answer.headers["HX-Trigger"] == "combobox:read"


def test_before_there_is_a_list_one_request_shows_a_page(vault: KeyVault, double: Double) -> None:
    double.vault.stock(60)
    names(vault)  # signs in
    double.cloud.seen.clear()
    offer = offer_names(vault, words="", after="", host="")
    assert [option.value for option in offer.options] == [f"secret-{n:05d}" for n in range(25)]
    assert len(double.cloud.requests(host=double.vault.host)) == 1
    more = offer_names(vault, words="", after=offer.after, host="")
    assert more.options[0].value == "secret-00025"
    double.cloud.seen.clear()
    assert names(vault, "secret-00059") == ["secret-00059"]
    assert len(double.cloud.requests(host=double.vault.host)) == 1
    assert names(vault, "secret-0") == []


def test_with_a_list_no_key_asks_the_vault(vault: KeyVault, double: Double) -> None:
    double.vault.stock(60)
    read(vault)
    double.cloud.seen.clear()
    for words in ("", "s", "se", "sec", "secret-00059", "0005"):
        names(vault, words)
    assert not double.cloud.seen


@pytest.mark.both_databases
def test_what_begins_with_the_words_comes_first(vault: KeyVault, double: Double) -> None:
    for name in ("a-crm", "CRM-two", "crm-one", "x-100-percent", "under-score"):
        double.vault.put(name, "x")
    read(vault)
    assert sorted(names(vault, "crm")[:2], key=str.lower) == ["crm-one", "CRM-two"]
    assert names(vault, "crm")[2:] == ["a-crm"]
    assert names(vault, "%") == names(vault, "_") == []


@pytest.mark.parametrize("after", ["", "zz", "-1", "9" * 30, "٣"])
def test_pages_that_do_not_exist(vault: KeyVault, double: Double, after: str) -> None:
    double.vault.stock(3)
    read(vault)
    assert len(names(vault, after=after)) == 3


def test_greyed_with_the_reason(double: Double, linked_vault: LinkVault) -> None:
    put = double.vault.put
    put("portal-fine", "x")
    put("portal-disabled", "x", enabled=False)
    put("portal-expired", "x", expires=-86400)
    put("portal-future", "x", not_before=86400)
    put("portal-other", "x", tags={"portal-target": "a.example, b.example"})
    put("somebody-elses", "x")
    vault = _unread(linked_vault(scope="prefix", scope_value="portal-"))
    for whole in (False, True):
        if whole:
            read(vault)
        offer = offer_names(vault, words="", after="", host="files.example.com")
        reasons = {option.value: option.reason for option in offer.options}
        assert reasons.pop("portal-expired").startswith("Expired on ")
        assert reasons.pop("portal-future").startswith("Not valid before ")
        assert reasons == {
            "portal-fine": "",
            "portal-disabled": "Disabled",
            "portal-other": "For another target",
        }
        (typed,) = offer_names(vault, words="Somebody-Elses", after="", host="").options
        assert typed.reason == "Not among the secrets that may be used here"
        (b,) = offer_names(vault, words="portal-other", after="", host="B.example").options
        assert not b.reason


def test_errors_become_a_sentence(vault: KeyVault, double: Double) -> None:
    double.vault.forbid("list")
    assert "no permission" in offer_names(vault, words="", after="", host="").note
    double.vault.permit()
    double.troubles.throttled = 1
    double.cloud.seen.clear()
    assert "too many requests" in offer_names(vault, words="", after="", host="").note
    assert len([s for s in double.cloud.seen if s.status == 429]) == 1, "a page does not try again"
    assert "Choose a secret first" in offer_versions(vault, "../x", host="").note


def test_versions_with_their_dates(vault: KeyVault, double: Double) -> None:
    old = double.vault.put("two", "x", enabled=False)
    new = double.vault.put("two", "y")
    offer = offer_versions(vault, "two", host="")
    assert [(option.value, option.reason) for option in offer.options] == [(new, ""), (old, "Disabled")]
    assert all(option.note.startswith("made ") for option in offer.options)


@pytest.mark.both_databases
def test_ten_thousand_names_are_searched_at_once(vault: KeyVault) -> None:
    VaultName.objects.bulk_create(
        VaultName(vault=vault, name=f"team-{n % 97}-secret-{n:05d}", seen="x") for n in range(10_000)
    )
    KeyVault.objects.update(names_at=timezone.now(), names_count=10_000)
    vault.refresh_from_db()
    for words in ("", "team-9", "secret-09999", "99", "nothing-like-it"):
        with CaptureQueriesContext(database) as queries:
            offered = names(vault, words)
        assert len(queries) <= 2
        assert len(offered) <= 25


def test_refresh_now_shows_how_far_it_is(
    vault: KeyVault, double: Double, admin: User, client_of: Callable[[User | None], Client]
) -> None:
    double.vault.stock(60)
    client = client_of(admin)
    url = f"/settings/key-vault/{vault.uuid}/secrets/"
    answer = client.post(f"{url}refresh/", headers={"HX-Request": "true"}).content.decode()
    assert "The list is being read" in answer
    assert 'hx-trigger="every 2s"' in answer
    vault.refresh_from_db()
    read_names(vault_id=vault.pk, token=vault.names_token, seconds=0.0)
    assert "25 names so far" in client.get(url).content.decode()
    assert AuditEntry.objects.filter(action="vault.names_requested", actor_id=admin.pk).count() == 1
