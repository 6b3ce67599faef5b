"""Reading files over SFTP: every byte in order or an error that says who acts, whatever happens on the way."""

import hashlib
import os
import random
import secrets
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from connections.connectors import sftp_server, sftp_source, sftp_verify
from connections.connectors.base import StepStatus
from connections.connectors.errors import (
    ConnectorError,
    FileUnusable,
    IdentityChanged,
    NeedsAttention,
    TryLater,
)
from connections.connectors.files import FileIdentity, RemoteSource
from connections.connectors.sftp_custom_import import SftpCustomImport
from tests.connectors.servers import SandboxFactory, Server, make_key

MB = 1024 * 1024


@pytest.fixture
def own(openssh_server: Server) -> Path:
    """A folder of its own for each test at the shared server."""
    folder = openssh_server.files / f"case-{secrets.token_hex(4)}"
    folder.mkdir()
    return folder


@pytest.fixture(params=["openssh", "asyncssh"])
def place(request: pytest.FixtureRequest, sandbox_server: SandboxFactory) -> Iterator[tuple[Server, Path]]:
    """Each of the two servers with a folder ``in`` at it."""
    if request.param == "openssh":
        server: Server = request.getfixturevalue("openssh_server")
        yield server, request.getfixturevalue("own")
        return
    with sandbox_server() as (server, box):
        (box.files / "in").mkdir()
        yield server, box.files / "in"


def failing(action: object, *args: object, **options: object) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        action(*args, **options)  # type: ignore[operator]
    return caught.value


def whole(source: RemoteSource, path: str) -> bytes:
    return b"".join(source.stream(path))


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 5 * MB + 7])
def test_every_byte_comes_in_order(place: tuple[Server, Path], size: int):
    server, folder = place
    content = random.Random(size).randbytes(size)
    (folder / "scores.csv").write_bytes(content)
    os.utime(folder / "scores.csv", (1_700_000_000, 1_700_000_123))
    with server.importer().fetch() as source:
        path = f"{folder.name}/scores.csv"
        assert source.stat(path) == FileIdentity(size=size, modified=1_700_000_123)
        assert whole(source, path) == content
        assert source.read(path, most=size) == content
        assert whole(source, path) == content  # as often as wanted over one line


def test_a_large_file_is_read_in_constant_memory(openssh_server: Server, own: Path):
    block = random.Random(1).randbytes(MB)
    digest = hashlib.sha256()
    with (own / "large.csv").open("wb") as file:
        for number in range(64):
            piece = block[number:] + block[:number]
            file.write(piece)
            digest.update(piece)
    seen = hashlib.sha256()
    with openssh_server.importer().fetch() as source:
        blocks = source.stream(f"{own.name}/large.csv")
        seen.update(next(blocks))
        tracemalloc.start()
        try:
            for piece in blocks:
                seen.update(piece)
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert seen.hexdigest() == digest.hexdigest()
    assert peak < 3 * sftp_source.IN_FLIGHT


def test_a_slow_reader_makes_the_server_wait(sandbox_server: SandboxFactory):
    with sandbox_server() as (server, box), server.importer().fetch() as source:
        (box.files / "large.csv").write_bytes(bytes(16 * MB))
        blocks = source.stream("large.csv")
        taken = len(next(blocks))
        # what is on its way may still come, but nothing more is asked for
        assert source.stat("large.csv").size == 16 * MB
        assert box.seen.bytes_read <= sftp_source.IN_FLIGHT + taken
        assert taken + sum(len(piece) for piece in blocks) == 16 * MB


def test_servers_may_answer_with_less_than_was_asked_for(sandbox_server: SandboxFactory):
    content = random.Random(5).randbytes(2 * MB + 5)
    with sandbox_server(short_reads=100_000) as (server, box), server.importer().fetch() as source:
        (box.files / "scores.csv").write_bytes(content)
        assert whole(source, "scores.csv") == content


def test_a_stream_that_is_given_up_leaves_the_line_usable(place: tuple[Server, Path]):
    server, folder = place
    (folder / "large.csv").write_bytes(bytes(16 * MB))
    (folder / "model.json").write_bytes(b"{}")
    with server.importer().fetch() as source:
        blocks = source.stream(f"{folder.name}/large.csv")
        next(blocks)
        blocks.close()  # type: ignore[attr-defined]
        assert source.read(f"{folder.name}/model.json", most=100) == b"{}"


@pytest.mark.parametrize("verb", ["stat", "read", "stream"])
def test_a_missing_file_is_for_whoever_named_it(place: tuple[Server, Path], verb: str):
    server, folder = place
    with server.importer().fetch() as source:
        for path in (f"{folder.name}/Scores.csv", "nowhere/scores.csv"):
            error = failing(ask, source, verb, path)
            assert isinstance(error, FileUnusable)
            assert error.code == "file_missing"
            assert folder.name not in error.cause + error.remedy
            assert server.host not in error.cause + error.remedy


def ask(source: RemoteSource, verb: str, path: str) -> object:
    if verb == "stat":
        return source.stat(path)
    return source.read(path, most=MB) if verb == "read" else whole(source, path)


@pytest.mark.parametrize("verb", ["stat", "read", "stream"])
def test_a_folder_or_a_pipe_in_place_of_the_file_is_said_at_once(place: tuple[Server, Path], verb: str):
    server, folder = place
    (folder / "scores.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")
    with server.importer().fetch() as source:
        for name in ("scores.csv", "pipe.csv"):
            error = failing(ask, source, verb, f"{folder.name}/{name}")
            assert isinstance(error, FileUnusable)
            assert error.code == "not_a_file"


def test_a_file_without_the_right_to_it(openssh_account: Server):
    secret = openssh_account.files / "readonly" / "secret.csv"
    secret.write_text("CustomerId\n")
    secret.chmod(0o600)
    closed = openssh_account.files / "closed"
    closed.mkdir(mode=0o700)
    with openssh_account.importer().fetch() as source:
        for path in ("readonly/secret.csv", "closed/secret.csv"):
            error = failing(whole, source, path)
            assert isinstance(error, FileUnusable)
            assert error.code == "file_not_readable"


def test_a_small_file_that_is_not_small(place: tuple[Server, Path]):
    server, folder = place
    (folder / "model.json").write_bytes(bytes(MB + 1))
    with server.importer().fetch() as source:
        error = failing(source.read, f"{folder.name}/model.json", most=MB)
        assert isinstance(error, FileUnusable)
        assert error.code == "file_too_large"
        assert len(source.read(f"{folder.name}/model.json", most=MB + 1)) == MB + 1


def test_a_sparse_file_of_a_terabyte_is_not_read_whole(openssh_server: Server, own: Path):
    with (own / "model.json").open("wb") as file:
        file.truncate(2**40)
    with openssh_server.importer().fetch() as source:
        assert failing(source.read, f"{own.name}/model.json", most=MB).code == "file_too_large"


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"one more line\r\n")


def shrink(path: Path) -> None:
    os.truncate(path, 9 * MB)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"another beginning")
    os.utime(path, (1, 1))


@pytest.mark.parametrize("change", [grow, shrink, rewrite])
def test_a_file_that_changes_while_it_is_read_is_tried_again(place: tuple[Server, Path], change: object):
    server, folder = place
    path = folder / "scores.csv"
    path.write_bytes(bytes(12 * MB))
    with server.importer().fetch() as source:
        blocks = source.stream(f"{folder.name}/scores.csv")
        next(blocks)
        change(path)  # type: ignore[operator]
        error = failing(b"".join, blocks)
        assert isinstance(error, TryLater)
        assert error.code == "file_changed"


def test_a_file_that_is_renamed_over_is_read_as_it_was(place: tuple[Server, Path]):
    server, folder = place
    path = folder / "scores.csv"
    path.write_bytes(b"a" * 12 * MB)
    with server.importer().fetch() as source:
        blocks = source.stream(f"{folder.name}/scores.csv")
        first = next(blocks)
        (folder / "new.csv").write_bytes(b"b" * 12 * MB)
        (folder / "new.csv").rename(path)
        assert first + b"".join(blocks) == b"a" * 12 * MB


def test_a_cut_line_is_tried_again(sandbox_server: SandboxFactory):
    with sandbox_server(cut_reading_after=6 * MB) as (server, box):
        (box.files / "scores.csv").write_bytes(bytes(12 * MB))
        with server.importer().fetch() as source:
            error = failing(whole, source, "scores.csv")
    assert isinstance(error, TryLater)
    assert error.code == "line_cut"


def test_a_server_that_falls_silent_is_not_waited_for(
    sandbox_server: SandboxFactory, monkeypatch: pytest.MonkeyPatch
):
    with sandbox_server(stall_reading_after=6 * MB) as (server, box):
        (box.files / "scores.csv").write_bytes(bytes(12 * MB))
        with server.importer().fetch() as source:
            monkeypatch.setattr(sftp_server, "PATIENCE_SECONDS", 0.3)
            error = failing(whole, source, "scores.csv")
    assert isinstance(error, TryLater)
    assert error.code == "server_silent"


def test_whoever_waits_is_told_when_the_line_is_closed_meanwhile(sandbox_server: SandboxFactory):
    with sandbox_server(hold_reading_after=2 * MB) as (server, box):
        (box.files / "scores.csv").write_bytes(bytes(12 * MB))
        with server.importer().fetch() as source:
            errors: list[ConnectorError] = []
            reader = threading.Thread(target=lambda: errors.append(failing(whole, source, "scores.csv")))
            reader.start()
            assert box.holding.wait(10)
            for connection in tuple(box.connections):
                connection.abort()
            reader.join(10)
            assert not reader.is_alive()
    assert [error.code for error in errors] == ["line_cut"]


def test_another_server_key_stops_it_before_any_credential(sandbox_server: SandboxFactory, tmp_path: Path):
    make_key(tmp_path / "other", "-t", "ed25519")
    with sandbox_server() as (server, box):
        error = failing(server.importer(trusted=(tmp_path / "other.pub").read_text()).fetch().__enter__)
        assert isinstance(error, IdentityChanged)
        assert box.seen.requests == []


@pytest.mark.parametrize("path", ["/etc/passwd", "../scores.csv", "in/../../x", "in//x", "", "."])
def test_a_path_that_leads_out_is_never_asked_for(sandbox_server: SandboxFactory, path: str):
    with sandbox_server() as (server, _box), server.importer().fetch() as source:
        with pytest.raises(ValueError, match="below"):
            source.stat(path)
        with pytest.raises(ValueError, match="below"):
            whole(source, path)


def test_verification_ends_with_a_list_of_the_folder(place: tuple[Server, Path]):
    server, _folder = place
    steps = list(server.importer().verify())
    assert [step.key for step in steps] == [key for key, _label in SftpCustomImport.steps]
    assert all(step.status is StepStatus.DONE for step in steps)
    assert steps[-1].note.startswith("/")


def test_verification_writes_nothing(sandbox_server: SandboxFactory):
    with sandbox_server(read_only=True) as (server, box):
        (box.files / "scores.csv").write_bytes(b"")
        assert [step.status for step in server.importer().verify()] == [StepStatus.DONE] * 5
        assert box.seen.bytes_written == 0
        assert [path.name for path in box.files.iterdir()] == ["scores.csv"]


def test_verification_asks_before_a_new_server_is_trusted(sandbox_server: SandboxFactory):
    with sandbox_server() as (server, box):
        last = list(server.importer(trusted="").verify())[-1]
        assert (last.key, last.status) == ("identity", StepStatus.ASKS)
        assert box.seen.requests == []


def test_verification_says_when_the_folder_cannot_be_listed(openssh_account: Server):
    mode = openssh_account.files.stat().st_mode
    openssh_account.files.chmod(0o311)
    try:
        last = list(openssh_account.importer().verify())[-1]
    finally:
        openssh_account.files.chmod(mode)
    assert (last.key, last.status, last.code) == ("folder", StepStatus.FAILED, "folder_not_readable")
    assert last.cause
    assert str(openssh_account.files) not in last.cause + last.remedy


def test_verification_does_not_wait_for_a_silent_server(
    sandbox_server: SandboxFactory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sftp_verify, "STEP_SECONDS", 0.5)
    with sandbox_server(silent=True) as (server, _box):
        last = list(server.importer().verify())[-1]
    assert (last.key, last.status) == ("identity", StepStatus.FAILED)
    assert isinstance(last.cause, str)


def test_what_is_wrong_with_a_file_is_no_fault_of_the_connection():
    kinds = {type(error) for error in sftp_source.failures()}
    assert kinds == {FileUnusable, TryLater, NeedsAttention}
