"""``vault``: choosing among ``rows`` secrets of a Key Vault, and a run whose secret is read from one.

The vault is our double of it, on this machine; in a run it answers each request ``LATENCY`` later. The token is there
in all cases, as it is for all but one use an hour. *Use Key Vault* is opened in process through the whole middleware,
first while no worker has read the list of names yet, then a name is typed letter by letter over the list. What a run
waits for is taken where it opens its connection, with a stored password and with one from the vault; the time that the
answers are held back for is told apart by doing both without holding them back. Details go to standard error.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from benchmarks.harness import Result, medians_in_turn
from benchmarks.pages import own_database
from benchmarks.portal import make_administrator
from connections import consent, vault_access, vault_clients
from connections.models import Connection, KeyVault, VaultIdentity, VaultName, VaultScope
from connections.operations.connector import open_connector
from connections.operations.link_vault import VaultLink, link_vault
from connections.operations.read_names import read_names
from connections.vault_cache import cache
from connections_portal.models import User
from connections_portal.sandbox.key_vault import KeyVaultDouble
from tests.factories import make_connection

ROWS = 10_000
LATENCY = 0.2
ROUNDS = 9
TYPED = "secret-0421"
OPEN_MS = 100.0
# What a machine that does other things adds to waiting.
WAITS, WAITS_AT_MOST = 1.05, 1.2


def measure(rows: int) -> list[Result]:
    """Requests and milliseconds of choosing; requests and round trips of a run."""
    with own_database(Path(settings.VAR_DIR) / "vault.sqlite3"), azure() as double:
        admin = make_administrator()
        call_command("collectstatic", interactive=False, verbosity=0)
        vault = linked(double, rows, admin)
        return [*choosing(double, vault, rows, admin), *use(double, vault, admin)]


@contextmanager
def azure() -> Iterator[KeyVaultDouble]:
    """The double in a thread, with an application that is the portal's own identity."""
    with KeyVaultDouble(Path(settings.VAR_DIR) / "key-vault") as double:
        portal = double.cloud.application()
        os.environ |= {
            "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
            "AZURE_TENANT_ID": portal.tenant_id,
            "AZURE_CLIENT_ID": portal.client_id,
            "AZURE_CLIENT_SECRET": portal.secret,
        }
        settings.OUTGOING_PROXY, settings.OUTGOING_CA_FILE = double.proxy, str(double.ca_file)
        settings.AZURE_TENANT_ID = portal.tenant_id
        vault_clients.forget_all()
        try:
            yield double
        finally:
            vault_clients.forget_all()
            cache.clear()
            settings.OUTGOING_PROXY = settings.OUTGOING_CA_FILE = ""


def linked(double: KeyVaultDouble, rows: int, actor: User) -> KeyVault:
    """A vault with so many secrets, linked as an administrator does; its token is in memory."""
    stocked = double.cloud.add_vault("contoso-kv")
    stocked.stock(rows)
    link = VaultLink(host=stocked.host, identity=VaultIdentity.PORTAL, scope=VaultScope.ALL)
    shown = consent.vault_wording(link.host)
    vault = link_vault(link=link, agreed=True, wording_hash=shown.hash, actor=actor)
    for patient in (False, True):
        vault_clients.client_of(vault, patient=patient).names()
    return vault


def choosing(double: KeyVaultDouble, vault: KeyVault, rows: int, actor: User) -> list[Result]:
    """Opening the chooser before there is a list, and typing over the list that a worker has read since."""
    client = Client(headers={"Host": "localhost", "HX-Request": "true"})
    client.force_login(actor, backend="django.contrib.auth.backends.ModelBackend")
    address = reverse("connections:set_up", args=["sftp"])

    def look(words: str, found: str) -> None:
        """Ask as the page does; ``found`` is a name that has to be offered."""
        sent = {"auth_method": "password", "password-source": "vault", "password-vault": str(vault.uuid)}
        answer = client.post(address, sent | {"password-name": words, "action": "secrets:password"})
        assert answer.status_code == 200, answer.status_code
        assert found in answer.content.decode(), (words, found)

    opened = asked(double, lambda: look("", "secret-00024"))
    first = medians_in_turn({"open": lambda: look("", "secret-00024")}, rounds=ROUNDS)["open"]
    vault.refresh_from_db()
    begun = time.perf_counter()
    pages = asked(double, lambda: read_names(vault_id=vault.pk, token=vault.names_token))
    took = time.perf_counter() - begun
    assert VaultName.objects.filter(vault=vault).count() == rows
    letters = [TYPED[:length] for length in range(len(TYPED) + 1)]
    searches = {words: partial(look, words, "secret-0") for words in letters}
    typed = sum(asked(double, search) for search in searches.values())
    seconds = medians_in_turn(searches, rounds=ROUNDS)
    slowest = max(seconds, key=lambda words: seconds[words])
    for words, each in {"before the list": first, **seconds}.items():
        print(f"{words or 'open':16} {1000 * each:7.1f} ms", file=sys.stderr)
    print(f"list             {took:7.1f} s in a worker, {pages} requests", file=sys.stderr)
    return [
        Result(
            name="vault_chooser_requests", rows=rows, value=opened, unit="requests to the service to open the chooser",
            goal=1, floor=1, less_is_better=True,
            compared_with=f"{pages} pages that the whole list has, read once by a worker",
        ),
        Result(
            name="vault_typing_requests", rows=rows, value=typed, unit="requests to the service while a name is typed",
            goal=0, floor=0, less_is_better=True,
            compared_with=f"{len(letters)} searches, a letter more each time",
        ),
        Result(
            name="vault_chooser", rows=rows, value=1000 * max(first, *seconds.values()),
            unit="ms for the slowest answer (median)", goal=OPEN_MS / 2, floor=OPEN_MS, less_is_better=True,
            compared_with=(
                f"{1000 * first:.1f} ms to open with one page from the service, {1000 * seconds['']:.1f} ms with the "
                f"list, {1000 * seconds[slowest]:.1f} ms for {slowest!r}, the slowest search"
            ),
        ),
    ]  # fmt: skip


def asked(double: KeyVaultDouble, what: Callable[[], object]) -> int:
    """How many requests the service gets meanwhile."""
    before = len(double.cloud.seen)
    what()
    return len(double.cloud.seen) - before


def use(double: KeyVaultDouble, vault: KeyVault, actor: User) -> list[Result]:
    """What a run waits for longer, with its secret in the vault, than with a stored one."""
    stored, read = (
        make_connection(actor=actor, name=name, host_key="ssh-ed25519 AAAA") for name in ("Stored", "Read")
    )
    secret = vault_access.reference(vault=vault, name="secret-00042")
    read.secrets.update(vault_secret=secret, nonce=None, ciphertext=None, key_version=None)

    def opened(connection: Connection, *, kept: bool = False) -> float:
        if not kept:
            cache.clear()
        begun = time.perf_counter()
        with open_connector(connection, purpose="run", actor=actor) as connector:
            assert connector.secrets["password"]
            return time.perf_counter() - begun

    opened(read)
    requests = asked(double, lambda: opened(read))
    from_memory = asked(double, lambda: opened(read, kept=True))
    cases = {"stored": lambda: opened(stored), "read": lambda: opened(read)}
    at_once = medians_in_turn(cases, rounds=ROUNDS)
    double.cloud.troubles.latency = LATENCY
    later = medians_in_turn(cases, rounds=ROUNDS)
    double.cloud.troubles.latency = 0.0
    for name, each in at_once.items():
        print(f"{name:16} {1000 * each:7.1f} ms, held back {1000 * later[name]:7.1f} ms", file=sys.stderr)
    return [
        Result(
            name="vault_run_requests", rows=1, value=requests, unit="requests to the service for each run",
            goal=1, floor=1, less_is_better=True,
            compared_with=f"none with a stored secret, {from_memory} while the value is in memory",
        ),
        Result(
            name="vault_run", rows=1, value=(later["read"] - at_once["read"]) / LATENCY,
            unit="round trips that a run waits for", goal=WAITS, floor=WAITS_AT_MOST, less_is_better=True,
            compared_with=(
                f"a service that answers {1000 * LATENCY:.0f} ms later: {1000 * later['read']:.1f} ms, without that "
                f"{1000 * at_once['read']:.1f} ms, with a stored secret {1000 * at_once['stored']:.1f} ms"
            ),
        ),
    ]  # fmt: skip
