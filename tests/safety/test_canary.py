"""A canary secret, and a canary place, through every page, log, row, message and file.

The secret may be nowhere but in its encrypted row, for an export as for an import. Host, port, account and folder may
be on pages for administrators and in the rows that have to hold them, and nowhere that anybody else can look (rules
S6, S12; D9, D13, D19). A value in a file that is brought in is shown to those who may look at rows, and stands nowhere
else.
"""

import base64
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib import admin as admin_site
from django.contrib.sessions.models import Session
from django.db import connection as database
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from connections.models import Connection, KeyVault, VaultNotice
from connections.operations.vault_checks import look_at
from connections_portal.models import Trigger, User
from connections_portal.sandbox.server import Faults, SandboxServer
from enrichments.models import Enrichment
from enrichments.operations.edit import create_enrichment
from enrichments.operations.execute import execute_run as execute_enrichment
from enrichments.operations.run import enqueue_run as enqueue_enrichment
from exports.models import Export, ExportRun
from exports.operations.execute import execute_run
from exports.operations.run import enqueue_run
from tests.enrichments.bringing import model_json
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import read_from
from tests.runs.helpers import make_export
from tests.support.rows import make_the_rest
from tests.test_access_matrix import MATRIX, address

SECRET = "c4nary-Secret-9f3b7e"
ACCOUNT = "canaryaccount"
FOLDER = "canaryfolder"
# where it is kept, where it is not typed
VAULT, VAULT_SECRET = "canary-kv", "canary-secret-name"
# a value in a file that is brought in
ROW = "canary-value-4711"
ENCODED = (SECRET, base64.b64encode(SECRET.encode()).decode().rstrip("="), SECRET.encode().hex())
# Where the place of a connection has to be kept.
KEEPS_THE_PLACE = {
    "connections_connection",
    "connections_connectiondraft",
    "connections_consent",
    "connections_removedconnection",
    "connections_portal_auditentry",
    "django_session",
    # in the column with details, which only administrators are shown
    "exports_exportrun",
    "exports_exportattempt",
    "enrichments_enrichmentrun",
    "enrichments_enrichmentattempt",
    # linked vaults
    "connections_keyvault",
    "connections_vaultsecret",
    "connections_vaultname",
    "connections_vaultnotice",
}


def set_up(client: Client, port: int, said: list[bytes], *, type_key: str = "sftp") -> Connection:
    """Through the pages, as a person does, with a wrong password first."""
    url = reverse("connections:set_up", args=[type_key])
    form = {
        "name": "Newsletter",
        "access": "contributors",
        "auth_method": "password",
        "username": ACCOUNT,
        "hostname": f"127.0.0.1:{port}",
        "export_folder": FOLDER,
        "password": SECRET + "-wrong",
    }

    def post(**more: str) -> str:
        answer = client.post(url, form | more, headers={"HX-Request": "true"})
        said.append(answer.content)
        return answer.content.decode()

    page = post(action="verify")
    form["draft"] = page.split('name="draft" value="')[1].split('"')[0]
    form["fingerprint"] = page.split('name="fingerprint" value="')[1].split('"')[0]
    assert "Sign-in" in post(action="trust") or "sign" in said[-1].decode()
    form["password"] = SECRET
    post(action="verify")
    form["password"] = ""
    page = post(action="save")
    form["wording"] = page.split('name="wording" value="')[1].split('"')[0]
    answer = client.post(url, form | {"action": "save", "agree": "on"})
    assert answer.status_code == 303, answer.content.decode()
    return Connection.objects.get(type_key=type_key)


def bring_in(connection: Connection, actor: User, at_server: Path, said: Faults) -> None:
    """An import that succeeds and one that is refused."""
    (at_server / "scores.csv").write_text(f"customer_id,score,channel\nc1,1,{ROW}\n{ROW},2,b\nc2,{ROW},c\n")
    (at_server / "model.json").write_text(model_json("scores.csv"))
    enrichment = create_enrichment(
        name="Churn scores",
        type_key=connection.type_key,
        table_name="Churn_scores",
        connection=connection,
        segment="",
        options={"path": "", "filename": "scores.csv"},
        actor=actor,
    )
    for refused, outcome in ((False, "warnings"), (True, "failed")):
        said.refuse_sign_in = refused
        run = enqueue_enrichment(enrichment=enrichment, actor=actor, trigger=Trigger.PERSON)
        assert execute_enrichment(run_id=run.pk, worker="test") == outcome
    said.refuse_sign_in = False
    connection.refresh_from_db()


def fail_at_the_vault(double: Double, export: Export, actor: User, client: Client, said: list[bytes]) -> None:
    """*Refresh now*, and then each way in which the vault refuses, one run and one look by a worker each."""
    vault = double.cloud.vaults[f"{VAULT}.vault.azure.net"]
    url = reverse("connections:refresh_secret", args=[export.connection.uuid, "password"])  # type: ignore[union-attr]
    for trouble in (
        lambda: vault.change(VAULT_SECRET, enabled=False),
        lambda: vault.put(VAULT_SECRET, f"{SECRET}\n{SECRET}"),
        vault.forbid,
    ):
        trouble()
        said.append(client.post(url, follow=True).content)
        run = enqueue_run(export=export, actor=actor, trigger=Trigger.PERSON)
        assert execute_run(run_id=run.pk, worker="test") == "failed"
        look_at(vault_id=KeyVault.objects.get().pk)
    assert VaultNotice.objects.count() >= 2


def rows() -> dict[str, str]:
    """Every row of every table as text, by table."""
    found = {}
    with database.cursor() as cursor:
        for table in database.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            found[table] = repr(cursor.fetchall())
    return found


def look_everywhere(client: Client, export: Export) -> Iterator[bytes]:
    """Every page of the portal, and every run of the export."""
    for name in MATRIX:
        yield b"".join(client.get(address(name, export)))  # a download comes in pieces
    for run in ExportRun.objects.all():
        for name in ("exports:run", "exports:run_status"):
            yield client.get(reverse(name, args=[export.uuid, run.uuid])).content
    yield client.get(reverse("tables:detail", args=["table", "Churn_scores"]) + "?sample=1").content
    for enrichment in Enrichment.objects.all():
        yield client.get(reverse("enrichments:detail", args=[enrichment.uuid]) + "?preview=1").content
        for import_run in enrichment.runs.all():
            for name in ("enrichments:run", "enrichments:run_status"):
                yield client.get(reverse(name, args=[enrichment.uuid, import_run.uuid])).content


def look_into_the_admin(client: Client) -> Iterator[bytes]:
    """What support staff see of each row of each table that is shown to them, its search and its history included."""
    seen = set()
    for model in admin_site.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield client.get(reverse(f"{name}_changelist")).content
        for words in (ACCOUNT, FOLDER, SECRET):
            found = client.get(f"{reverse(f'{name}_changelist')}?q={words}")
            assert found.status_code == 200, name
            # the words stand in the search box alone: nothing is found by them
            yield found.content.replace(f'value="{words}"'.encode(), b"").replace(f"q={words}".encode(), b"")
            assert b"field-" not in found.content.replace(b"field-groups", b""), (name, words)
        for row in model._default_manager.all()[:60]:
            seen.add(model.__name__)
            for page in ("change", "history"):
                answer = client.get(reverse(f"{name}_{page}", args=[row.pk]))
                assert answer.status_code == 200, (name, page)
                yield answer.content
    assert seen >= {
        "AccessRequest", "AuditEntry", "Connection", "ConnectionUserObjectPermission", "Consent", "Enrichment",
        "EnrichmentRun", "Export", "ExportRun", "Refresh", "RemovedConnection", "User",
    }  # fmt: skip


def move_into_the_vault(double: Double, link: LinkVault, *connections: Connection) -> None:
    """Let the connections read their password from a vault; what was typed is gone."""
    host = double.cloud.add_vault(VAULT).host
    double.cloud.vaults[host].put(VAULT_SECRET, SECRET)
    vault = link(host=host)
    for connection in connections:
        read_from(connection, vault, VAULT_SECRET)


def in_no_file(folder: Path) -> None:
    """The secret is in no file of this test's, nor in the database's."""
    here = Path(str(database.settings_dict["NAME"])).parent
    for path in [*here.glob("portal-test-*"), *folder.rglob("*")]:
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), f"the secret is in {path.name}"


def nowhere_else(pages: str, to_support: str, logged: str, port: str) -> None:
    """Where data goes, and where secrets are kept, is for administrators; support staff know vaults by name."""
    places = (ACCOUNT, FOLDER, port, "127.0.0.1", VAULT, VAULT_SECRET)
    others = {"pages for others": pages, "logs": logged}
    others |= {table: text for table, text in rows().items() if table not in KEEPS_THE_PLACE}
    for place, text in others.items():
        for canary in places:
            assert canary not in text, f"{canary} is in {place}"
    for canary in (*places[:4], f"{VAULT}.", VAULT_SECRET):
        assert canary not in to_support, f"{canary} is in pages for support staff"


@pytest.mark.parametrize("kept", ["typed", "vault"])
@pytest.mark.django_db(transaction=True)
def test_nothing_sings(
    kept: str,
    admin: User,
    contributor: User,
    viewer: User,
    support: User,
    customer_data: Path,
    tmp_path: Path,
    settings: Settings,
    allow_outgoing: Callable[[int], None],
    client_of: Callable[[User | None], Client],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    double: Double,
    linked_vault: LinkVault,
) -> None:
    settings.ENRICHMENTS_DIR = tmp_path / "enrichments"
    caplog.set_level(logging.DEBUG)
    to_admin: list[bytes] = []
    to_others: list[bytes] = []
    box = SandboxServer(tmp_path / "box", username=ACCOUNT, password=SECRET, faults=Faults())
    with box:
        allow_outgoing(box.port)
        connection = set_up(client_of(admin), box.port, to_admin)
        reading = set_up(client_of(admin), box.port, to_admin, type_key="sftp_custom_import")
        if kept == "vault":
            settings.KEY_VAULT_HOSTS = [f"{VAULT}.vault.azure.net"]
            move_into_the_vault(double, linked_vault, connection, reading)
        export = make_export(connection, actor=contributor)
        client_of(contributor).post(reverse("exports:run_now", args=[export.uuid]))
        assert execute_run(run_id=ExportRun.objects.get().pk, worker="test") == "successful"
        delivered = b"".join(path.read_bytes() for path in box.files.rglob("*") if path.is_file())
        bring_in(reading, contributor, box.files, box.faults)
        box.faults.refuse_sign_in = True
        client_of(contributor).post(reverse("exports:run_now", args=[export.uuid]))
        assert execute_run(run_id=ExportRun.objects.order_by("pk").last().pk, worker="test") == "failed"  # type: ignore[union-attr]
        if kept == "vault":
            fail_at_the_vault(double, export, contributor, client_of(admin), to_admin)

    make_the_rest(connection, admin, contributor)
    for user in (admin, contributor, viewer, support):
        (to_admin if user is admin else to_others).extend(look_everywhere(client_of(user), export))
    to_support = b"".join(look_into_the_admin(client_of(support)))

    printed = "".join(capfd.readouterr())
    logged = caplog.text + printed
    assert "Newsletter" in b"".join(to_others).decode()
    assert ACCOUNT in b"".join(to_admin).decode()

    everywhere = {
        "pages": b"".join([*to_admin, *to_others, to_support]).decode(),
        "logs": logged,
        "delivered files": delivered.decode("latin-1"),
        "sessions": repr([session.get_decoded() for session in Session.objects.all()]),
        **rows(),
    }
    for place, text in everywhere.items():
        for form_of_it in ENCODED:
            assert form_of_it not in text, f"the secret is in {place}"
    to_the_viewer = b"".join(look_everywhere(client_of(viewer), export)).decode()
    assert "Churn_scores" in to_the_viewer
    assert ROW in b"".join(look_everywhere(client_of(contributor), export)).decode()
    for place, text in {"pages for viewers": to_the_viewer, "logs": logged, **rows()}.items():
        assert ROW not in text, f"a row is in {place}"
    in_no_file(tmp_path)
    nowhere_else(b"".join(to_others).decode(), to_support.decode(), logged, f":{box.port}")
