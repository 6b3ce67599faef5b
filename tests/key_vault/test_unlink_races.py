"""Unlinking a vault while somebody else chooses, saves or reads what is in it, or unlinks it as well."""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections import connectors, consent, vault_access, vault_clients
from connections.models import (
    Access,
    Connection,
    ConnectionDraft,
    ConnectionSecret,
    KeyVault,
    VaultName,
    VaultSecret,
)
from connections.operations import choose_secret, create, unlink_vault, vault_references
from connections.operations.change_link import change_link
from connections.operations.create import create_connection
from connections.operations.drafts import verified_digest
from connections.operations.edit import Agreement
from connections.operations.link_vault import VaultLink
from connections.operations.refresh_secret import refresh_secret
from connections.operations.replace_vault import plan_replacement, replace_vault
from connections.views import flow
from connections.views import vault_unlink as page
from connections_portal.errors import OperationError, Stale
from connections_portal.models import User
from tests.connections.filling import SetUp, error_at, text_of
from tests.connectors.servers import Server
from tests.factories import make_draft
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.linking import read_from
from tests.runs.helpers import PATIENCE, in_a_session, somebody_waits, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
NAME = "portal-sftp"
GONE = "The Key Vault is not linked any more. Link the vault again, or type the secret."


@pytest.fixture
def vault(double: Double, linked_vault: LinkVault) -> KeyVault:
    double.vault.put(NAME, "value")
    return linked_vault()


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(2) as made:
        yield made


def unlink(vault: KeyVault, actor: User, **choices: Any) -> Any:
    impact = vault_references.impact_of(vault, vault_references.references(vault))
    return unlink_vault.unlink_vault(
        vault=vault, impact=impact, choices=choices.get("choices", {}), actor=actor
    )


def pause_at(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> tuple[threading.Event, threading.Event]:
    """Let a function say that it was reached, and wait there until it may go on."""
    reached, go_on = threading.Event(), threading.Event()
    real = getattr(module, name)

    def slowly(*args: Any, **more: Any) -> Any:
        reached.set()
        assert go_on.wait(PATIENCE)
        return real(*args, **more)

    monkeypatch.setattr(module, name, slowly)
    return reached, go_on


def set_up_with(vault: KeyVault, actor: User) -> ConnectionDraft:
    """A set-up that passed its verification with a secret of the vault."""
    draft = make_draft(actor=actor)
    facts = vault_clients.client_of(vault, patient=False).facts(NAME)
    referred = vault_access.reference(vault=vault, name=NAME, facts=facts)
    draft.secrets.update(vault_secret=referred, nonce=None, ciphertext=None, key_version=None)
    draft.verified_digest, draft.verified_at = verified_digest(draft), timezone.now()
    draft.save()
    return draft


def save(draft: ConnectionDraft, actor: User) -> Connection:
    connector = connectors.get("sftp")
    assert connector is not None
    shown = consent.wording(connector, connector.consent_target(draft.settings))
    return create_connection(
        draft=draft,
        name="Saved at this moment",
        access=Access.ADMINISTRATORS,
        agreed=True,
        wording_hash=shown.hash,
        actor=actor,
    )


def together(pool: ThreadPoolExecutor, *works: Callable[[], Any]) -> list[Any]:
    """What each of them returns, or the OperationError that it raises; all begin at once."""
    begin = threading.Barrier(len(works))

    def work(one: Callable[[], Any]) -> Any:
        begin.wait(PATIENCE)
        try:
            return one()
        except OperationError as refused:
            return refused

    return [
        each.result(PATIENCE)
        for each in [pool.submit(in_a_session, functools.partial(work, one)) for one in works]
    ]


def test_a_set_up_that_is_saved_while_its_vault_is_unlinked_says_what_is_missing(
    vault: KeyVault, admin: User, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = set_up_with(vault, admin)
    reached, go_on = pause_at(monkeypatch, unlink_vault, "_settle")
    unlinking: Future[Any] = pool.submit(in_a_session, lambda: unlink(vault, admin))
    assert reached.wait(PATIENCE)
    saving: Future[Any] = pool.submit(in_a_session, lambda: save(draft, admin))
    until(somebody_waits)
    go_on.set()
    unlinking.result(PATIENCE)
    with pytest.raises(OperationError) as refused:
        saving.result(PATIENCE)
    assert "password" in refused.value.fields
    assert not Connection.objects.exists()
    assert not KeyVault.objects.exists()
    assert ConnectionDraft.objects.exists()


def test_a_vault_that_is_unlinked_while_a_set_up_is_saved_is_asked_about_afresh(
    vault: KeyVault, admin: User, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = set_up_with(vault, admin)
    reached, go_on = pause_at(monkeypatch, create, "set_grants")
    saving: Future[Any] = pool.submit(in_a_session, lambda: save(draft, admin))
    assert reached.wait(PATIENCE)
    unlinking: Future[Any] = pool.submit(in_a_session, lambda: unlink(vault, admin))
    until(somebody_waits)
    go_on.set()
    connection = saving.result(PATIENCE)
    with pytest.raises(Stale):
        unlinking.result(PATIENCE)
    row = ConnectionSecret.objects.select_related("vault_secret").get(connection=connection)
    assert row.vault_secret is not None
    assert row.vault_secret.vault_id == vault.pk


@pytest.mark.parametrize("when", ["asked", "kept"])
def test_a_secret_that_is_chosen_while_its_vault_is_unlinked(
    set_up: SetUp,
    double: Double,
    vault: KeyVault,
    admin: User,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    module, name = (choose_secret, "_facts") if when == "asked" else (flow, "keep_draft")
    real = getattr(module, name)

    def meanwhile(*args: Any, **more: Any) -> Any:
        found = real(*args, **more) if when == "asked" else None
        if KeyVault.objects.exists():
            unlink(vault, admin)
        return found if when == "asked" else real(*args, **more)

    monkeypatch.setattr(module, name, meanwhile)
    set_up.typed.pop("password")
    set_up.typed |= {"password-source": "vault", "password-name": NAME}
    assert set_up.verify().status_code == 422
    assert error_at(set_up.page, "password-name") == GONE
    assert "portal" in text_of(set_up.page)
    assert not VaultSecret.objects.exists()


def test_refresh_now_and_unlink_do_not_wait_for_each_other(
    vault: KeyVault, admin: User, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = read_from(vault, actor=admin)
    reached, go_on = pause_at(monkeypatch, vault_access, "refresh")
    refreshing: Future[Any] = pool.submit(
        in_a_session, lambda: refresh_secret(connection=connection, field="password", actor=admin)
    )
    assert reached.wait(PATIENCE)
    unlinking: Future[Any] = pool.submit(
        in_a_session, lambda: unlink(vault, admin, choices={connection.uuid: None})
    )
    until(somebody_waits)
    go_on.set()
    refreshing.result(PATIENCE)
    assert unlinking.result(PATIENCE).paused == 1


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_two_people_unlink_at_once(
    vault: KeyVault,
    admin: User,
    client_of: Callable[[User | None], Client],
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    htmx: bool,
) -> None:
    url = reverse("key_vault:unlink", args=[vault.uuid])
    data = {
        "action": "unlink",
        "impact": vault_references.impact_of(vault, vault_references.references(vault)),
    }
    both, real = threading.Barrier(2), unlink_vault.unlink_vault

    def at_once(**more: Any) -> Any:
        both.wait(PATIENCE)
        return real(**more)

    monkeypatch.setattr(page, "unlink_vault", at_once)
    headers = {"HX-Request": "true"} if htmx else {}
    clients = [client_of(admin), client_of(admin)]
    answers = together(
        pool,
        *(lambda client=client: client.post(url, data, headers=headers).status_code for client in clients),
    )
    assert answers == [204 if htmx else 303] * 2
    said = sorted("unlinked meanwhile" in c.get("/settings/key-vault/").content.decode() for c in clients)
    assert said == [False, True]


def test_two_people_change_a_link_at_once(vault: KeyVault, admin: User, pool: ThreadPoolExecutor) -> None:
    def change(group: str) -> KeyVault:
        link = VaultLink(host=vault.host, identity="portal", scope="all", resource_group=group)
        agreement = Agreement(ticked=False, wording_hash="")
        return change_link(vault=vault, version=1, link=link, agreement=agreement, actor=admin)

    answers = together(pool, lambda: change("one"), lambda: change("other"))
    assert sorted(type(answer).__name__ for answer in answers) == ["KeyVault", "Stale"]
    assert KeyVault.objects.get().version == 2


def test_two_vaults_are_replaced_by_each_other_at_once(
    vault: KeyVault, double: Double, admin: User, linked_vault: LinkVault, pool: ThreadPoolExecutor
) -> None:
    there = double.cloud.add_vault("fabrikam-kv")
    there.put(NAME, "value there")
    other = linked_vault(host=there.host)
    read_from(vault, actor=admin, name="Here")
    read_from(other, actor=admin, name="There")
    ways = [(vault, other), (other, vault)]
    impacts = [plan_replacement(*way).impact for way in ways]

    def work(number: int) -> Callable[[], int]:
        before, after = ways[number]
        return lambda: replace_vault(vault=before, other=after, impact=impacts[number], actor=admin)

    answers = together(pool, work(0), work(1))
    assert 1 in answers
    assert all(answer == 1 or isinstance(answer, Stale) for answer in answers)


def test_a_list_of_names_that_is_written_meanwhile_goes_as_well(
    vault: KeyVault, admin: User, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connections.operations import read_names

    KeyVault.objects.update(names_token="of this reading")
    reached, go_on = pause_at(monkeypatch, unlink_vault, "_settle")
    unlinking: Future[Any] = pool.submit(in_a_session, lambda: unlink(vault, admin))
    assert reached.wait(PATIENCE)
    reading: Future[Any] = pool.submit(
        in_a_session, lambda: read_names.read_names(vault_id=vault.pk, token="of this reading")
    )
    until(somebody_waits)
    go_on.set()
    unlinking.result(PATIENCE)
    assert reading.result(PATIENCE) == "superseded"
    assert not VaultName.objects.exists()
