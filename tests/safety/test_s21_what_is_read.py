"""S21: everything that is read has a limit: keys, lines, queries, forms, and what a stranger's server says."""

import base64
import gzip
import re
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from django.test import Client

from connections.connectors.errors import ConnectorError, InvalidSettings, NeedsAttention, printable
from connections.connectors.sftp import Sftp
from connections_portal.customer_data import BrokenItem, Kind
from connections_portal.customer_data.engine import SQL_LIMIT, DuckDBEngine, Limits
from connections_portal.models import User
from connections_portal.sandbox import server as sandbox
from tests.connectors.servers import SandboxFactory, make_key
from tests.connectors.test_sftp_verify import speaking, steps_of, stranger
from tests.data import write_customers

Clients = Callable[[User | None], Client]

# ---- keys


def refusal(text: str, passphrase: str = "open sesame") -> dict[str, str]:
    began = time.monotonic()
    with pytest.raises(InvalidSettings) as caught:
        Sftp.clean_secret("private_key", text, {"private_key": text, "passphrase": passphrase})
    assert time.monotonic() - began < 1, "it was opened first"
    return caught.value.errors


@pytest.mark.parametrize("rounds", [257, 10_000, 2**31, 2**32 - 1])
def test_a_key_that_takes_long_to_open_is_not_opened(tmp_path: Path, rounds: int) -> None:
    text = make_key(tmp_path / "key", "-t", "ed25519", "-a", "16", passphrase="open sesame")
    lines = text.strip().splitlines()
    data = base64.b64decode("".join(lines[1:-1]))
    assert data.count(struct.pack(">I", 16)) >= 1
    at = data.index(b"bcrypt") + len(b"bcrypt") + 4 + 4 + 16  # options: length, salt's length, salt, rounds
    assert data[at : at + 4] == struct.pack(">I", 16)
    slow = base64.b64encode(data[:at] + struct.pack(">I", rounds) + data[at + 4 :]).decode()
    assert "takes too long" in refusal("\n".join([lines[0], slow, lines[-1]]))["private_key"]


def test_a_key_of_more_than_16_kb_is_not_read(tmp_path: Path) -> None:
    text = make_key(tmp_path / "key", "-t", "ed25519")
    assert "16 KB" in refusal(text + "x" * 16_384)["private_key"]


# ---- customer data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_customers(tmp_path / "data")


@pytest.mark.parametrize(("length", "fits"), [(900_000, True), (1_000_100, False), (5_000_000, False)])
def test_a_line_of_a_csv_file_has_at_most_a_megabyte(folder: Path, length: int, fits: bool) -> None:
    path = folder / "tables" / "long.csv"
    path.write_text("a,b\n1,2\n" + "1," + "x" * length + "\n3,4\n")
    with DuckDBEngine(folder, Limits()) as engine:
        if fits:
            assert engine.rows(f'SELECT count(*) FROM "{engine.view(Kind.TABLE, "long")}"') == [(3,)]
            return
        with pytest.raises(BrokenItem) as caught:
            engine.rows(f'SELECT count(*) FROM "{engine.view(Kind.TABLE, "long")}"')
    assert "xxx" not in caught.value.message


def test_a_query_has_at_most_100_000_characters(folder: Path) -> None:
    (folder / "segments" / "long.sql").write_text("SELECT customer_id FROM customer --" + "x" * SQL_LIMIT)
    with DuckDBEngine(folder, Limits()) as engine, pytest.raises(BrokenItem, match="too long"):
        engine.view(Kind.SEGMENT, "long")


def test_what_is_compressed_is_not_unpacked_in_passing(folder: Path) -> None:
    """A kilobyte that becomes a gigabyte: files are CSV or Parquet, whatever they are called."""
    bomb = gzip.compress(b"customer_id\n" + b"x" * 50_000_000)
    assert len(bomb) < 100_000
    (folder / "tables" / "bomb.csv").write_bytes(bomb)
    (folder / "tables" / "bomb.csv.gz").write_bytes(bomb)
    with DuckDBEngine(folder, Limits()) as engine:
        assert {item.name for item in engine.items() if "bomb" in item.name} == {"bomb"}
        try:
            rows = engine.rows(f'SELECT * FROM "{engine.view(Kind.TABLE, "bomb")}"')
        except BrokenItem:
            pass
        else:
            assert sum(len(str(row)) for row in rows) < 1_000_000
        assert engine.rows("SELECT count(*) FROM customer") == [(4,)]


# ---- what a server says


def test_a_servers_words_are_cut_and_printable() -> None:
    assert len(printable("x" * 10_000)) == 300
    for kind in (ConnectorError, NeedsAttention):
        error = kind("Cause.", code="x", detail="a\x1b[31m\r\n\u202eb" + "y" * 1_000_000)
        assert len(error.detail) <= 300
        assert error.detail.isprintable()


@pytest.mark.parametrize(
    "words",
    [b"220 ready\r\n" * 2_000, b"x" * 1_000_000, b"hello\r\n" * 100_000, b"SSH-2.0-" + b"x" * 100_000],
    ids=["ftp", "one line", "many lines", "long greeting"],
)
def test_a_server_that_talks_much_is_not_listened_to(words: bytes) -> None:
    began = time.monotonic()
    with speaking(words) as port:
        last = steps_of(stranger(port))[-1]
    assert last.status == "failed"
    assert len(last.detail) <= 300
    assert time.monotonic() - began < 10


def test_a_server_that_never_stops_talking(request: pytest.FixtureRequest) -> None:
    import socket

    stop = threading.Event()

    def talk() -> None:
        client, _address = listening.accept()
        with client:
            while not stop.is_set():
                try:
                    client.sendall(b"still talking\r\n" * 100)
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        talker = threading.Thread(target=talk, daemon=True)
        talker.start()
        began = time.monotonic()
        last = steps_of(stranger(listening.getsockname()[1]))[-1]
        stop.set()
        talker.join(10)
    assert last.status == "failed"
    assert time.monotonic() - began < 10


def endless(name: bytes) -> Any:
    async def scandir(self: Any, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        number = 0
        while True:
            number += 1
            yield asyncssh.SFTPName(name + str(number).encode(), attrs=asyncssh.SFTPAttrs(size=1))

    return scandir


@pytest.mark.parametrize("name", [b"n", b"n" * 1_000], ids=["many names", "long names"])
def test_a_folder_without_end_is_not_read_to_its_end(
    sandbox_server: SandboxFactory, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    with sandbox_server() as (server, box):
        monkeypatch.setattr(sandbox._Files, "scandir", endless(name), raising=False)
        (server.files / "exports" / ".incoming-x").mkdir(parents=True)
        with server.connector().deliver() as delivery:
            with pytest.raises(NeedsAttention) as caught:
                delivery.discard(".incoming-x")
    assert caught.value.code == "too_many_files"
    assert not [r for r in box.seen.requests if re.search("remove", str(r))]


# ---- what a browser sends


@pytest.mark.django_db
@pytest.mark.parametrize(
    "form",
    [{"name": "x" * 1_100_000}, {f"field{number}": "1" for number in range(5_100)}],
    ids=["a megabyte", "five thousand fields"],
)
def test_a_form_has_an_end(form: dict[str, str], admin: User, client_of: Clients) -> None:
    client = client_of(admin)
    client.raise_request_exception = False
    for url in ("/data/exports/new/", "/settings/connections/new/sftp/"):
        answer = client.post(url, form)
        assert answer.status_code in (400, 413)
        assert len(answer.content) < 20_000
