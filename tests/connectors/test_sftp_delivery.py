"""Files over SFTP: complete or absent, never overwritten, whatever happens on the way."""

import hashlib
import os
import random
import secrets
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from connections.connectors import sftp_delivery, sftp_server
from connections.connectors.errors import ConnectorError, NeedsAttention, TryLater
from connections.connectors.files import FileDelivery
from tests.connectors.servers import SandboxFactory, Server

MB = 1024 * 1024


@pytest.fixture
def own() -> str:
    """A name of its own for each test, so that the servers can be shared."""
    return f"case-{secrets.token_hex(4)}"


def put(delivery: FileDelivery, temporary: str, name: str, content: bytes) -> int:
    file = delivery.open(temporary, name)
    file.write(content)
    return file.finish()


def put_many(delivery: FileDelivery, temporary: str, number: int, piece: bytes, taken: list[int]) -> None:
    """Write ``piece`` so many times into a file that will fail, and give up on it; ``taken`` gets what was taken."""
    file = delivery.open(temporary, "half.csv")
    try:
        for _ in range(number):
            file.write(piece)
            taken.append(len(piece))
        file.finish()
    finally:
        file.abort()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def failing(action: object, *args: object) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        action(*args)  # type: ignore[operator]
    return caught.value


def test_64_mb_to_openssh_are_complete_and_memory_stays_flat(openssh_server: Server, own: str):
    block = random.Random(1).randbytes(MB)
    digest = hashlib.sha256()
    with openssh_server.connector().deliver() as delivery:
        delivery.begin(f"{own}/.incoming")
        file = delivery.open(f"{own}/.incoming", "big.csv")
        tracemalloc.start()
        try:
            for number in range(64):
                piece = block[number:] + block[:number]
                digest.update(piece)
                file.write(piece)
            assert file.finish() == 64 * MB
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        delivery.publish(f"{own}/.incoming", f"{own}/final", {"big.csv": 64 * MB})
    assert peak < 4 * sftp_delivery.IN_FLIGHT < 64 * MB, "what is written must not pile up in memory"
    written = openssh_server.files / "exports" / own / "final" / "big.csv"
    with written.open("rb") as arrived:
        assert hashlib.file_digest(arrived, "sha256").digest() == digest.digest()
    assert names(openssh_server.files / "exports" / own) == ["final"]


def test_pieces_of_any_size_arrive_in_order(openssh_server: Server, own: str):
    rng = random.Random(2)
    pieces = [rng.randbytes(rng.choice((0, 1, 100, 32_768, 261_120, 300_001))) for _ in range(40)]
    with openssh_server.connector().deliver() as delivery:
        delivery.begin(own)
        file = delivery.open(own, "a.csv")
        for piece in pieces:
            file.write(piece)
        assert file.finish() == sum(map(len, pieces))
        assert put(delivery, own, "empty.csv", b"") == 0
    folder = openssh_server.files / "exports" / own
    assert (folder / "a.csv").read_bytes() == b"".join(pieces)
    assert (folder / "empty.csv").read_bytes() == b""


def test_nothing_is_seen_under_the_final_name_before_it_is_complete(openssh_server: Server, own: str):
    exports = openssh_server.files / "exports"
    with openssh_server.connector().deliver() as delivery:
        delivery.begin(f"{own}/.incoming-1-a")
        put(delivery, f"{own}/.incoming-1-a", "x.csv", b"one")
        put(delivery, f"{own}/.incoming-1-a", "model.json", b"{}")
        assert names(exports / own) == [".incoming-1-a"]
        delivery.publish(f"{own}/.incoming-1-a", f"{own}/20261124-083000Z-1", {"x.csv": 3, "model.json": 2})
        assert names(exports / own) == ["20261124-083000Z-1"]
    assert names(exports / own / "20261124-083000Z-1") == ["model.json", "x.csv"]


def test_publishing_again_changes_nothing(openssh_server: Server, own: str):
    files = {"x.csv": 3}
    final = openssh_server.files / "exports" / own / "final" / "x.csv"
    with openssh_server.connector().deliver() as delivery:
        delivery.begin(f"{own}/tmp")
        put(delivery, f"{own}/tmp", "x.csv", b"one")
        delivery.publish(f"{own}/tmp", f"{own}/final", files)
        before = final.stat()
        delivery.publish(f"{own}/tmp", f"{own}/final", files)
    with openssh_server.connector().deliver() as delivery:
        delivery.publish(f"{own}/tmp", f"{own}/final", files)
    assert final.stat() == before


def test_publishing_never_overwrites(openssh_server: Server, own: str):
    folder = openssh_server.files / "exports" / own
    with openssh_server.connector().deliver() as delivery:
        delivery.begin(f"{own}/tmp")
        put(delivery, f"{own}/tmp", "x.csv", b"new content")
        (folder / "final").mkdir()
        (folder / "final" / "x.csv").write_text("somebody's")
        error = failing(delivery.publish, f"{own}/tmp", f"{own}/final", {"x.csv": 11})
    assert isinstance(error, NeedsAttention)
    assert error.code == "already_there"
    assert (folder / "final" / "x.csv").read_text() == "somebody's"
    assert (folder / "tmp" / "x.csv").read_text() == "new content"


def test_publishing_what_is_gone(openssh_server: Server, own: str):
    with openssh_server.connector().deliver() as delivery:
        error = failing(delivery.publish, f"{own}/tmp", f"{own}/final", {"x.csv": 3})
    assert error.code == "files_gone"
    assert not (openssh_server.files / "exports" / own / "final").exists()


def test_lost_answer_of_the_rename_is_found_out(sandbox_server: SandboxFactory):
    files = {"x.csv": 3, "model.json": 2}
    with sandbox_server(lose_rename_answer=True) as (server, box):
        with server.connector().deliver() as delivery:
            delivery.begin("e/tmp")
            put(delivery, "e/tmp", "x.csv", b"one")
            put(delivery, "e/tmp", "model.json", b"{}")
            error = failing(delivery.publish, "e/tmp", "e/final", files)
            assert isinstance(error, TryLater)
            assert error.code == "line_cut"
        with server.connector().deliver() as delivery:
            delivery.publish("e/tmp", "e/final", files)
            with pytest.raises(NeedsAttention):
                delivery.publish("e/tmp", "e/final", files | {"x.csv": 4})
        assert names(box.files / "exports" / "e") == ["final"]
        assert names(box.files / "exports" / "e" / "final") == ["model.json", "x.csv"]
        assert box.seen.renamed == ["tmp"]


def test_server_that_renames_no_folders_gets_the_last_file_last(sandbox_server: SandboxFactory):
    files = {"b.csv": 3, "a.csv": 3, "model.json": 2}
    with sandbox_server(refuse_folder_rename=True) as (server, box):
        final = box.files / "exports" / "e" / "final"
        with server.connector().deliver() as delivery:
            delivery.begin("e/tmp")
            for name, size in files.items():
                put(delivery, "e/tmp", name, b"x" * size)
            delivery.publish("e/tmp", "e/final", files)
            assert [name for name in box.seen.renamed if name != "tmp"] == ["b.csv", "a.csv", "model.json"]
            delivery.publish("e/tmp", "e/final", files)
        assert names(final) == ["a.csv", "b.csv", "model.json"]
        assert names(final.parent) == ["final"]


def test_publishing_one_by_one_goes_on_where_it_was_cut(sandbox_server: SandboxFactory):
    files = {"a.csv": 3, "b.csv": 3, "model.json": 2}
    with sandbox_server(refuse_folder_rename=True) as (server, box):
        folder = box.files / "exports" / "e"
        with server.connector().deliver() as delivery:
            delivery.begin("e/tmp")
            for name, size in files.items():
                put(delivery, "e/tmp", name, b"x" * size)
        # As if the line had been cut after the first file.
        (folder / "final").mkdir()
        (folder / "tmp" / "a.csv").rename(folder / "final" / "a.csv")
        with server.connector().deliver() as delivery:
            delivery.publish("e/tmp", "e/final", files)
        assert names(folder / "final") == ["a.csv", "b.csv", "model.json"]
        assert names(folder) == ["final"]


def test_line_cut_in_mid_file_and_the_next_attempt(sandbox_server: SandboxFactory):
    content = os.urandom(MB)
    with sandbox_server(cut_after=4 * MB) as (server, box):
        folder = box.files / "exports" / "e"
        with server.connector().deliver() as delivery:
            delivery.begin("e/.incoming-1-a")
            assert put(delivery, "e/.incoming-1-a", "done.csv", content) == MB
            error = failing(put_many, delivery, "e/.incoming-1-a", 20, content, [])
            assert isinstance(error, TryLater)
            assert error.code == "line_cut"
        assert names(folder) == [".incoming-1-a"]
        box.faults.cut_after = None
        with server.connector().deliver() as delivery:
            keep = {"done.csv": MB, "half.csv": 20 * MB, "never.csv": 5}
            kept = delivery.take_over("e/.incoming-1-a", "e/.incoming-1-b", keep)
            assert kept == {"done.csv"}
            assert names(folder) == [".incoming-1-b"]
            assert names(folder / ".incoming-1-b") == ["done.csv"]
            # An attempt that was itself interrupted here asks again.
            assert delivery.take_over("e/.incoming-1-a", "e/.incoming-1-b", keep) == {"done.csv"}
            # A worker that woke up late has made its folder anew: it goes, what was taken over stays.
            delivery.begin("e/.incoming-1-a")
            assert delivery.take_over("e/.incoming-1-a", "e/.incoming-1-b", keep) == {"done.csv"}
            assert names(folder) == [".incoming-1-b"]
        assert (folder / ".incoming-1-b" / "done.csv").read_bytes() == content


def test_taking_over_what_is_gone_or_cannot_be_renamed(sandbox_server: SandboxFactory):
    with sandbox_server(refuse_folder_rename=True) as (server, box):
        folder = box.files / "exports" / "e"
        with server.connector().deliver() as delivery:
            assert delivery.take_over("e/a", "e/b", {"x.csv": 3}) == frozenset()
            assert names(folder) == ["b"]
            delivery.begin("e/c")
            put(delivery, "e/c", "x.csv", b"one")
            assert delivery.take_over("e/c", "e/d", {"x.csv": 3}) == frozenset()
            assert names(folder) == ["b", "d"]


def test_take_over_on_openssh(openssh_server: Server, own: str):
    folder = openssh_server.files / "exports" / own
    with openssh_server.connector().deliver() as delivery:
        delivery.begin(f"{own}/a")
        put(delivery, f"{own}/a", "x.csv", b"one")
        put(delivery, f"{own}/a", "y.csv", b"unfinished")
        assert delivery.take_over(f"{own}/a", f"{own}/b", {"x.csv": 3, "y.csv": 99}) == {"x.csv"}
    assert names(folder) == ["b"]
    assert names(folder / "b") == ["x.csv"]


def test_discard_removes_the_folder_and_only_it(openssh_server: Server, own: str):
    folder = openssh_server.files / "exports" / own
    with openssh_server.connector().deliver() as delivery:
        delivery.begin(f"{own}/a")
        delivery.begin(f"{own}/b")
        put(delivery, f"{own}/a", "x.csv", b"one")
        put(delivery, f"{own}/b", "x.csv", b"one")
        delivery.discard(f"{own}/a")
        delivery.discard(f"{own}/a")
        assert names(folder) == ["b"]


def test_links_on_the_server_lead_nowhere_when_discarding(openssh_server: Server, own: str, tmp_path: Path):
    kept = tmp_path / "kept.txt"
    kept.write_text("stays")
    with openssh_server.connector().deliver() as delivery:
        delivery.begin(f"{own}/a")
        (openssh_server.files / "exports" / own / "a" / "link").symlink_to(kept)
        delivery.discard(f"{own}/a")
    assert kept.read_text() == "stays"


def test_unfinished_file_is_replaced(openssh_server: Server, own: str):
    with openssh_server.connector().deliver() as delivery:
        delivery.begin(own)
        delivery.begin(own)
        put(delivery, own, "x.csv", b"a longer earlier content")
        assert put(delivery, own, "x.csv", b"new") == 3
    assert (openssh_server.files / "exports" / own / "x.csv").read_bytes() == b"new"


def test_vanished_folder(openssh_server: Server, own: str):
    with openssh_server.connector().deliver() as delivery:
        error = failing(delivery.open, f"{own}/gone", "x.csv")
    assert isinstance(error, NeedsAttention)
    assert error.code == "folder_missing"


def test_folder_that_became_read_only(openssh_account: Server):
    with openssh_account.connector("readonly").deliver() as delivery:
        error = failing(delivery.begin, "e/tmp")
    assert isinstance(error, NeedsAttention)
    assert error.code == "folder_not_writable"
    assert "readonly" not in error.cause


def test_delivery_with_a_password_to_openssh(openssh_account: Server, own: str):
    with openssh_account.connector().deliver() as delivery:
        delivery.begin(f"{own}/tmp")
        put(delivery, f"{own}/tmp", "x.csv", b"one")
        delivery.publish(f"{own}/tmp", f"{own}/final", {"x.csv": 3})
    assert (openssh_account.files / "exports" / own / "final" / "x.csv").read_bytes() == b"one"


def test_wrong_password_opens_no_delivery(sandbox_server: SandboxFactory):
    with sandbox_server() as (server, _box):
        with pytest.raises(NeedsAttention) as caught:
            with server.connector(password="wrong").deliver():
                pytest.fail("nobody signed in")
    assert caught.value.code == "sign_in_refused"


@pytest.fixture
def small_disk(openssh_server: Server) -> Iterator[str]:
    """A folder of the OpenSSH server on a disk of 4 MB of its own."""
    folder = openssh_server.files / "small-disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder.name
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_on_openssh(openssh_server: Server, small_disk: str):
    with openssh_server.connector(small_disk).deliver() as delivery:
        delivery.begin("tmp")
        error = failing(put_many, delivery, "tmp", 16, bytes(MB), [])
        assert isinstance(error, NeedsAttention)
        assert error.code == "no_space"
        delivery.discard("tmp")
    assert names(openssh_server.files / small_disk) == []


def test_quota_that_the_server_does_not_name(sandbox_server: SandboxFactory):
    with sandbox_server(quota=2 * MB) as (server, _box):
        with server.connector().deliver() as delivery:
            delivery.begin("tmp")
            error = failing(put_many, delivery, "tmp", 16, bytes(MB), [])
    assert isinstance(error, TryLater)
    assert error.code == "server_failure"
    assert "quota" in error.remedy


def test_server_that_stops_answering_holds_the_writer_back(
    sandbox_server: SandboxFactory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sftp_server, "PATIENCE_SECONDS", 0.5)
    taken: list[int] = []
    with sandbox_server(stall_after=MB) as (server, _box):
        with server.connector().deliver() as delivery:
            delivery.begin("tmp")
            error = failing(put_many, delivery, "tmp", 10_000, bytes(16_384), taken)
    assert isinstance(error, TryLater)
    assert error.code == "server_silent"
    assert sum(taken) <= MB + sftp_delivery.IN_FLIGHT + sftp_delivery.MAX_BLOCK


def test_size_is_what_the_server_has(sandbox_server: SandboxFactory):
    with sandbox_server(store_only=1000) as (server, box):
        with server.connector().deliver() as delivery:
            delivery.begin("tmp")
            assert put(delivery, "tmp", "x.csv", bytes(5000)) == 1000
            error = failing(delivery.publish, "tmp", "final", {"x.csv": 5000})
        assert error.code == "file_incomplete"
        assert names(box.files / "exports") == ["tmp"], "what is not complete is not published"


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../x", "a//b", "a/./b", ""])
def test_paths_out_of_the_folder_are_our_mistake(sandbox_server: SandboxFactory, path: str):
    with sandbox_server() as (server, box):
        with server.connector().deliver() as delivery:
            for action in (delivery.begin, delivery.discard):
                with pytest.raises(ValueError, match="below the connection's folder"):
                    action(path)
        assert names(box.files) == []


def test_host_down_is_try_later(sandbox_server: SandboxFactory):
    with sandbox_server() as (server, _box):
        pass
    with pytest.raises(TryLater) as caught:
        with server.connector().deliver():
            pytest.fail("nobody listens")
    assert caught.value.code == "server_refused"
