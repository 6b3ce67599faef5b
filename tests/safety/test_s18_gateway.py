"""Rule S18: one gateway, its own address table, every answer checked, connected to the address that was checked."""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings

from connections.connectors.errors import NeedsAttention, TryLater
from connections.gateway import OutgoingGateway, is_inside, parse_allow
from connections.outgoing import gateway as portal_gateway
from tests.connectors.servers import free_port

PUBLIC = "9.9.9.9"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Say what the name server answers: addresses by name, or an error to raise. Records the names asked for."""

    def prepare(**names: list[str] | Exception) -> list[str]:
        asked: list[str] = []

        def getaddrinfo(host: str, port: int, **_kind: object) -> list[tuple[object, ...]]:
            asked.append(host)
            answer = names[host.replace(".", "_")]
            if isinstance(answer, Exception):
                raise answer
            return [
                (socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port))
                for a in answer
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return prepare


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A loopback socket that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.254",
        "127.0.0.1",
        "127.9.9.9",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:a9fe:a9fe",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_inside_addresses_are_refused(address: str):
    assert is_inside(address)
    with pytest.raises(NeedsAttention) as caught:
        OutgoingGateway().resolve(address, 22)
    assert caught.value.code == "address_refused"
    assert "OUTGOING_ALLOW" in caught.value.remedy
    assert address not in caught.value.cause
    assert address not in caught.value.remedy


@pytest.mark.parametrize(
    "address",
    [
        PUBLIC,
        "172.32.0.1",
        "100.128.0.1",
        "11.0.0.1",
        "2606:4700::1111",
        "::ffff:9.9.9.9",
        "64:ff9b::909:909",
    ],
)
def test_addresses_of_the_world_pass(address: str):
    assert not is_inside(address)
    assert OutgoingGateway().resolve(address, 22) == (str(ipaddress.ip_address(address)),)


def test_own_addresses_are_refused_even_public_ones(monkeypatch: pytest.MonkeyPatch):
    class OwnSocket(socket.socket):
        """As on a machine that has 9.9.9.9: a packet to it would have it as its source."""

        def connect(self, address: object) -> None:
            self.went_to = address

        def getsockname(self) -> object:
            return self.went_to

    monkeypatch.setattr(socket, "socket", OwnSocket)
    assert is_inside(PUBLIC)


def test_every_answer_of_a_name_must_pass(answers):
    answers(two_example=[PUBLIC, "10.0.0.1"])
    with pytest.raises(NeedsAttention) as caught:
        OutgoingGateway().resolve("two.example", 22)
    assert caught.value.code == "address_refused"
    answers(one_example=[PUBLIC, "2606:4700::1111"])
    assert OutgoingGateway().resolve("one.example", 22) == (PUBLIC, "2606:4700::1111")


def test_permission_is_for_host_and_port():
    gateway = OutgoingGateway([("127.0.0.1", 2222)])
    assert gateway.resolve("127.0.0.1", 2222) == ("127.0.0.1",)
    for host, port in (("127.0.0.1", 22), ("127.0.0.2", 2222), ("::1", 2222), ("10.0.0.1", 2222)):
        with pytest.raises(NeedsAttention):
            gateway.resolve(host, port)


def test_permission_by_name_and_by_the_address_behind_a_name(answers):
    answers(files_internal=["10.0.0.5"], other_internal=["10.0.0.6"])
    by_name = OutgoingGateway([("files.internal", 22)])
    assert by_name.resolve("FILES.internal.", 22) == ("10.0.0.5",)
    with pytest.raises(NeedsAttention):
        by_name.resolve("other.internal", 22)
    with pytest.raises(NeedsAttention):
        by_name.resolve("files.internal", 5432)
    assert OutgoingGateway([("10.0.0.6", 22)]).resolve("other.internal", 22) == ("10.0.0.6",)


OTHER = "11.0.0.1"
UNKNOWN = socket.gaierror(socket.EAI_NONAME, "unknown")
BUSY = socket.gaierror(socket.EAI_AGAIN, "try again")


def test_the_database_is_refused_wherever_it_is(answers):
    answers(db_example=[PUBLIC], evil_example=[OTHER, PUBLIC], other_example=[OTHER])
    gateway = OutgoingGateway(refuse=["DB.example."])
    for host in ("db.example", "DB.EXAMPLE", "evil.example", PUBLIC):
        for port in (5432, 22):
            with pytest.raises(NeedsAttention) as caught:
                gateway.resolve(host, port)
            assert caught.value.code == "address_refused"
    assert gateway.resolve("other.example", 22) == (OTHER,)
    allowed = OutgoingGateway([("evil.example", 22), (PUBLIC, 23)], refuse=["db.example"])
    assert allowed.resolve("evil.example", 22) == (OTHER, PUBLIC)
    assert allowed.resolve(PUBLIC, 23) == (PUBLIC,)


@pytest.mark.parametrize("away", [UNKNOWN, BUSY])
def test_a_database_whose_name_has_no_answer_bars_everything_that_could_be_it(answers, away: OSError):
    """As when the portal starts before its name server: nothing but what the operator lists is reached."""
    answers(db_example=away, evil_example=[PUBLIC], other_example=[OTHER])
    gateway = OutgoingGateway([("evil.example", 22)], refuse=["db.example"])
    for host in ("other.example", PUBLIC):
        with pytest.raises(TryLater) as caught:
            gateway.resolve(host, 22)
        assert caught.value.code == "name_no_answer"
        assert "db.example" not in caught.value.detail
    assert gateway.resolve("evil.example", 22) == (PUBLIC,)
    with pytest.raises(NeedsAttention):
        gateway.resolve("10.0.0.1", 22)
    # looked up again each time: known now, and still known while there is no answer once more
    for answer in ([PUBLIC], away):
        answers(db_example=answer, other_example=[OTHER])
        assert gateway.resolve("other.example", 22) == (OTHER,)
        with pytest.raises(NeedsAttention):
            gateway.resolve(PUBLIC, 22)
    # and it moves
    answers(db_example=[OTHER])
    assert gateway.resolve(PUBLIC, 22) == (PUBLIC,)
    with pytest.raises(NeedsAttention):
        gateway.resolve(OTHER, 22)


@pytest.fixture
def portals_gateway() -> Iterator[Callable[[], OutgoingGateway]]:
    """The gateway as connections get it."""
    portal_gateway.cache_clear()
    yield portal_gateway
    portal_gateway.cache_clear()


@pytest.mark.parametrize(
    ("host", "options", "refused"),
    [
        ("db.example", {}, ["db.example"]),
        ("db.example,replica.example", {}, ["db.example", "replica.example"]),
        ("", {"host": "db.example, replica.example"}, ["db.example", "replica.example"]),
        # the name is only that of the certificate then
        ("cert.example", {"hostaddr": PUBLIC}, [PUBLIC]),
        (PUBLIC, {}, [PUBLIC]),
    ],
)
def test_the_portals_gateway_knows_the_portals_database(
    answers,
    portals_gateway: Callable[[], OutgoingGateway],
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    options: dict[str, str],
    refused: list[str],
):
    answers(db_example=[PUBLIC], replica_example=["11.0.0.2"], other_example=[OTHER])
    monkeypatch.setitem(settings.DATABASES["default"], "HOST", host)
    monkeypatch.setitem(settings.DATABASES["default"], "OPTIONS", options)
    for name in refused:
        with pytest.raises(NeedsAttention) as caught:
            portals_gateway().resolve(name, 22)
        assert caught.value.code == "address_refused"
    assert portals_gateway().resolve("other.example", 22) == (OTHER,)


@pytest.mark.parametrize("host", ["", "/var/run/postgresql", "@portal"])
def test_a_database_in_the_file_system_bars_nothing(
    portals_gateway: Callable[[], OutgoingGateway], monkeypatch: pytest.MonkeyPatch, host: str
):
    monkeypatch.setitem(settings.DATABASES["default"], "HOST", host)
    monkeypatch.setitem(settings.DATABASES["default"], "OPTIONS", {})
    assert portals_gateway().resolve(OTHER, 22) == (OTHER,)


def test_connects_to_the_address_that_was_checked(answers, listener):
    port = listener.getsockname()[1]
    asked = answers(files_internal=["127.0.0.1"])
    with OutgoingGateway([("files.internal", port)]).connect("files.internal", port, timeout=2) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    # Asked once: a second answer, which nobody checked, cannot come between.
    assert asked == ["files.internal"]


def test_the_next_address_is_tried(answers, listener):
    port = listener.getsockname()[1]
    answers(two_internal=["::1", "127.0.0.1"])
    with OutgoingGateway([("two.internal", port)]).connect("two.internal", port, timeout=2) as sock:
        assert sock.getpeername()[0] == "127.0.0.1"


@pytest.mark.parametrize("kind", [socket.EAI_NONAME, socket.EAI_NODATA])
def test_unknown_name(answers, kind: int):
    answers(nosuch_example=socket.gaierror(kind, "not known"))
    with pytest.raises(NeedsAttention) as caught:
        OutgoingGateway().resolve("nosuch.example", 22)
    assert caught.value.code == "name_unknown"
    assert "nosuch" not in caught.value.cause
    assert "nosuch.example" in caught.value.detail


def test_name_server_that_fails_for_now(answers):
    answers(busy_example=socket.gaierror(socket.EAI_AGAIN, "try again"))
    with pytest.raises(TryLater) as caught:
        OutgoingGateway().resolve("busy.example", 22)
    assert caught.value.code == "name_no_answer"


def test_name_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: release.wait(20) and [])
    gateway = OutgoingGateway(resolve_seconds=0.05)
    try:
        for _ in range(20):  # more than the gateway lets wait at once: the rest is refused, not queued
            with pytest.raises(TryLater) as caught:
                gateway.connect("slow.example", 22, timeout=5)
            assert caught.value.code == "name_no_answer"
    finally:
        release.set()


def test_names_of_host_and_database_have_one_time_together(monkeypatch: pytest.MonkeyPatch):
    release = threading.Event()

    def getaddrinfo(host: str, port: int, **_kind: object) -> list[tuple[object, ...]]:
        release.wait(0.8 if host == "slow.example" else 20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    began = time.monotonic()
    try:
        with pytest.raises(TryLater):
            OutgoingGateway(refuse=["db.example"], resolve_seconds=1).resolve("slow.example", 22)
    finally:
        release.set()
    assert time.monotonic() - began < 1.5


def test_a_name_that_cannot_be_one_is_unknown():
    with pytest.raises(NeedsAttention) as caught:
        OutgoingGateway().resolve("x" * 70 + ".example", 22)
    assert caught.value.code == "name_unknown"


def test_refused_and_silent_connections_are_told_apart():
    port = free_port()
    with pytest.raises(TryLater) as caught:
        OutgoingGateway([("127.0.0.1", port)]).connect("127.0.0.1", port, timeout=2)
    assert caught.value.code == "server_refused"
    assert str(port) in caught.value.detail
    assert "127.0.0.1" not in caught.value.cause
    # A full queue of connections leaves the next one without any answer.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for client in waiting:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
            with pytest.raises(TryLater) as caught:
                OutgoingGateway([("127.0.0.1", port)]).connect("127.0.0.1", port, timeout=0.3)
        finally:
            for client in waiting:
                client.close()
    assert caught.value.code == "server_silent"


def test_permissions_are_read():
    assert parse_allow("") == frozenset()
    assert parse_allow(" 127.0.0.1:2222, Files.Example.internal:22 ,[FD00::1]:22,") == {
        ("127.0.0.1", 2222),
        ("files.example.internal", 22),
        ("fd00::1", 22),
    }


@pytest.mark.parametrize(
    "text",
    [
        "files",
        "files:",
        "files:x",
        "files:0",
        "*:22",
        "10.0.0.0/8:22",
        "a@files:22",
        "sftp://files:22",
        "127.1:22",
    ],
)
def test_permission_that_cannot_be_read_is_named(text: str):
    with pytest.raises(ValueError, match="OUTGOING_ALLOW") as caught:
        parse_allow(f"127.0.0.1:2222,{text}")
    assert text in str(caught.value)
