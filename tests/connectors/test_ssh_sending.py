"""Large writes take a short way through asyncssh: every byte arrives all the same, whatever happens on the way.

The short way reaches into asyncssh. These tests say so when a version of it is another one inside.
"""

import logging
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import Any

import asyncssh
import pytest
from asyncssh.crypto import cipher as ciphers_of_asyncssh
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connections.connectors import ssh_sending, ssh_session
from tests.connectors.servers import SandboxFactory, Server, running_openssh

MB = 1024 * 1024
SHORT = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")


@pytest.fixture(scope="module")
def forgetful_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """OpenSSH that wants new keys every 5 MB."""
    with running_openssh(
        tmp_path_factory.mktemp("forgetful"), kinds=("ed25519",), extra="RekeyLimit 5M"
    ) as server:
        yield server


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many bytes and packets of data go the short way."""
    counted: Counter[str] = Counter()
    taken = ssh_sending._ShortWay._taken

    def count(way: Any, size: int) -> list[memoryview]:
        counted.update(bytes=size, packets=1)
        return taken(way, size)

    monkeypatch.setattr(ssh_sending._ShortWay, "_taken", count)
    return counted


@pytest.fixture
def content() -> bytes:
    """16 MB that no two blocks of are the same."""
    return random.Random(5).randbytes(16 * MB + 12_345)


class Line:
    """Inside of an open delivery."""

    def __init__(self, delivery: Any) -> None:
        self.session = delivery._session
        self.connection = self.session._clients[-1].connection
        self.channel = self.session.sftp._handler._writer.channel
        self.ciphers: list[Any] = []
        renewed = self.connection._send_kexinit

        def renew() -> None:
            self.ciphers.append(self.connection._send_encryption)
            renewed()

        self.connection._send_kexinit = renew
        self.before = self.connection._send_seq
        self.packets = 0
        send = self.connection._send

        def count(packet: bytes) -> None:
            self.packets += 1
            send(packet)

        self.connection._send = count

    @property
    def numbered(self) -> int:
        """How many packets have got a number of their own."""
        return int(self.connection._send_seq - self.before)


def deliver(server: Server, content: bytes, **changed: Any) -> Line:
    """Write ``content`` in pieces of all sizes, with these attributes of the connection; every byte must arrive."""
    own, rng, rest = secrets.token_hex(4), random.Random(6), memoryview(content)
    with server.connector().deliver() as delivery:
        line = Line(delivery)
        for name, value in changed.items():
            assert hasattr(line.connection, name)
            setattr(line.connection, name, value)
        delivery.begin(own)
        file = delivery.open(own, "a.csv")
        while rest:
            size = rng.choice((1, 1_000, 32_768, 261_120, 300_001, 2 * MB))
            file.write(bytes(rest[:size]))
            rest = rest[size:]
        assert file.finish() == len(content)
        delivery.publish(own, f"{own}-final", {"a.csv": len(content)})
    assert (server.files / "exports" / f"{own}-final" / "a.csv").read_bytes() == content
    return line


@pytest.mark.parametrize("cipher", ssh_session.CIPHERS)
def test_every_cipher_delivers_through_changes_of_keys_to_openssh(
    cipher: str,
    forgetful_server: Server,
    short: Counter[str],
    content: bytes,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(ssh_session, "CIPHERS", (cipher,))
    line = deliver(forgetful_server, content)
    assert line.connection.get_extra_info("send_cipher") == cipher
    assert len(set(line.ciphers)) >= 2, "the server wanted new keys on the way"
    line = deliver(forgetful_server, content, _rekey_bytes=3 * MB)
    assert len(set(line.ciphers)) >= 4, "so did we"
    # what waits for new keys goes asyncssh's way, at most a window of 2 MB each time
    assert short["bytes"] > len(content) if cipher in SHORT else not short


@pytest.mark.parametrize("cipher", ssh_session.CIPHERS)
def test_every_cipher_delivers_through_changes_of_keys_to_asyncssh(
    cipher: str,
    sandbox_server: SandboxFactory,
    short: Counter[str],
    content: bytes,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(ssh_session, "CIPHERS", (cipher,))
    with sandbox_server() as (server, _box):
        line = deliver(server, content, _rekey_bytes=5 * MB)
    assert len(set(line.ciphers)) >= 2
    assert short["bytes"] > len(content) / 2 if cipher in SHORT else not short


def test_without_new_keys_all_data_goes_the_short_way_in_full_packets(
    openssh_server: Server, short: Counter[str], content: bytes
):
    line = deliver(openssh_server, content)
    assert short["bytes"] > len(content)
    assert line.packets == line.numbered >= short["packets"]
    assert short["packets"] < 1.5 * len(content) / 32_768


def test_keys_that_are_too_old_are_renewed(openssh_server: Server, short: Counter[str], content: bytes):
    line = deliver(openssh_server, content, _rekey_seconds=3_600, _rekey_time=0.0)
    assert len(line.ciphers) == 1
    assert short["bytes"] > len(content) / 2


def test_no_nonce_is_used_twice_with_a_key(
    openssh_server: Server, content: bytes, monkeypatch: pytest.MonkeyPatch
):
    used: Counter[tuple[bytes, bytes]] = Counter()
    real = AESGCM

    class Recording:
        def __init__(self, key: bytes) -> None:
            self.key, self.real = key, real(key)

        def encrypt(self, nonce: bytes, *rest: Any) -> bytes:
            used[self.key, nonce] += 1
            return self.real.encrypt(nonce, *rest)

        def encrypt_into(self, nonce: bytes, *rest: Any) -> int:
            used[self.key, nonce] += 1
            return self.real.encrypt_into(nonce, *rest)

        def decrypt(self, *rest: Any) -> bytes:
            return self.real.decrypt(*rest)

    monkeypatch.setattr(ssh_sending, "AESGCM", Recording)
    monkeypatch.setattr(ciphers_of_asyncssh, "AESGCM", Recording)
    deliver(openssh_server, content, _rekey_bytes=5 * MB)
    assert len({key for key, _nonce in used}) >= 3
    assert len(used) > len(content) / 32_768
    assert set(used.values()) == {1}


def test_packets_of_every_length_are_padded_right(openssh_server: Server, short: Counter[str]):
    block = random.Random(7).randbytes(100_000)
    with openssh_server.connector().deliver() as delivery:
        line, own = Line(delivery), secrets.token_hex(4)
        delivery.begin(own)
        for size in range(1_000, 1_040):
            line.channel._send_pktsize = size
            file = delivery.open(own, str(size))
            file.write(block)
            assert file.finish() == len(block)
    written = openssh_server.files / "exports" / own
    assert all((written / str(size)).read_bytes() == block for size in range(1_000, 1_040))
    assert short["packets"] > 40 * 90


@pytest.mark.timeout(30)
def test_writing_nothing_is_answered(openssh_server: Server, short: Counter[str]):
    with openssh_server.connector().deliver() as delivery:
        session, own = Line(delivery).session, secrets.token_hex(4)
        delivery.begin(own)
        file: Any = delivery.open(own, "a.csv")
        for piece in (b"", b"one", b""):
            session.call(file._file.write(piece, 0), 5)
        assert file.finish() == 3
    assert short["packets"] < 20


def test_no_more_is_sent_than_the_server_has_room_for(
    sandbox_server: SandboxFactory, content: bytes, monkeypatch: pytest.MonkeyPatch
):
    left: list[int] = []
    taken = ssh_sending._ShortWay._taken

    def look(way: Any, size: int) -> list[memoryview]:
        left.append(way._channel._send_window - size)
        return taken(way, size)

    monkeypatch.setattr(ssh_sending._ShortWay, "_taken", look)
    with sandbox_server() as (server, _box):
        # asyncssh's server ends the line when more comes
        deliver(server, content)
    assert min(left) == 0


def test_whoever_logs_packets_gets_asyncsshs_own_way(
    openssh_server: Server, short: Counter[str], caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.DEBUG, "asyncssh"):
        deliver(openssh_server, random.Random(9).randbytes(MB))
    assert "Sending write for" in caplog.text
    assert not short


def test_a_version_that_nobody_tried_is_left_alone(
    openssh_server: Server, short: Counter[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(asyncssh, "__version__", "2.99.0")
    deliver(openssh_server, random.Random(10).randbytes(MB))
    assert not short
