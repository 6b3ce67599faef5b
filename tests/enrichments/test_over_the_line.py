"""Whole runs: the sandbox's sample file as *make run* lays it there, and a file at OpenSSH with a key."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings

from connections.models import Connection, State
from connections_portal.customer_data.sample_data import write_sample
from connections_portal.customer_data.sample_import import COLUMNS, FILE, FOLDER, UNKNOWN, write_sample_import
from connections_portal.models import RunState, WhoActs
from tests.connectors.servers import Server
from tests.enrichments.bringing import FILE as SCORES
from tests.enrichments.bringing import Bringing, carry, model_json, shown
from tests.factories import make_connection

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_sample_file_enriches_the_sample_customers(
    bringing: Bringing, tmp_path: Path, settings: Settings
) -> None:
    write_sample(tmp_path / "sample", people=400)
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'sample'}"
    write_sample_import(bringing.box.files / FOLDER, people=400)
    enrichment = bringing.enrichment(options={"path": FOLDER, "filename": FILE}, segment="loyalty_gold")
    run = bringing.start(enrichment)
    assert carry(run) == "successful"
    table = shown("Scores")
    assert table is not None
    assert run.sent == len(table) > 10
    assert run.read == run.sent + run.left_out
    assert run.left_out > UNKNOWN  # those who are in no such segment, too
    assert set(next(iter(table.values()))) == {name for name, _label, _kind in COLUMNS[1:]}


@pytest.fixture
def at_openssh(
    bringing: Bringing, openssh_server: Server, allow_outgoing: Callable[[int], None]
) -> tuple[Connection, Path]:
    """A connection with a key to OpenSSH, and a folder there with the file."""
    allow_outgoing(openssh_server.port)
    connection = make_connection(
        actor=bringing.admin,
        type_key="sftp_custom_import",
        name="Scores at OpenSSH",
        settings={
            "auth_method": "key",
            "username": openssh_server.username,
            "hostname": f"{openssh_server.host}:{openssh_server.port}",
        },
        secrets={"private_key": openssh_server.private_key},
        host_key=openssh_server.public_key,
    )
    folder = openssh_server.files / f"case-{secrets.token_hex(4)}"
    folder.mkdir()
    (folder / "scores.csv").write_text(SCORES, newline="")
    (folder / "model.json").write_text(model_json("scores.csv"))
    return connection, folder


def test_a_file_at_openssh(bringing: Bringing, at_openssh: tuple[Connection, Path]) -> None:
    connection, folder = at_openssh
    options = {"path": folder.name, "filename": "scores.csv"}
    run = bringing.start(bringing.enrichment(connection=connection, options=options))
    assert carry(run) == "warnings"  # c2 stands there twice
    assert (run.sent, run.left_out, run.rejected) == (2, 1, 2)
    assert shown("Scores") == {"c1": {"score": 10, "channel": "mail"}, "c3": {"score": 30, "channel": None}}


def test_a_wrong_name_is_for_whoever_edits_and_the_connection_stays_ready(
    bringing: Bringing, at_openssh: tuple[Connection, Path]
) -> None:
    connection, folder = at_openssh
    options = {"path": folder.name, "filename": "Scores.csv"}
    run = bringing.start(bringing.enrichment(connection=connection, options=options))
    assert carry(run) == "failed"
    assert (run.state, run.code, run.who_acts) == (RunState.FAILED, "file_missing", WhoActs.EDITOR)
    assert folder.name not in run.cause + run.remedy
    connection.refresh_from_db()
    assert connection.state == State.READY


def test_a_refused_sign_in_is_for_an_administrator(bringing: Bringing) -> None:
    other = make_connection(
        actor=bringing.admin,
        type_key="sftp_custom_import",
        name="Wrong password",
        settings=bringing.connection.settings,
        secrets={"password": "not this one"},
        host_key=bringing.connection.host_key,
    )
    run = bringing.start(bringing.enrichment(connection=other))
    assert carry(run) == "failed"
    assert (run.code, run.who_acts) == ("sign_in_refused", WhoActs.ADMINISTRATOR)
    other.refresh_from_db()
    assert other.state == State.NEEDS_ATTENTION
