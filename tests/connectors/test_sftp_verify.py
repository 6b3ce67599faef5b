"""Verification of an SFTP connection: every step and every way it can fail, on real servers."""

import secrets
import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import pytest

from connections.connectors import sftp_verify
from connections.connectors.base import Step, StepStatus
from connections.connectors.sftp import Sftp
from connections.gateway import OutgoingGateway
from tests.connectors.servers import SandboxFactory, Server, free_port, make_key, running_openssh

KEYS = [key for key, _label in Sftp.steps]


def steps_of(connector: Sftp) -> list[Step]:
    """The steps, checked for what holds for all: in order, only the last one not done, times in the limits."""
    steps = list(connector.verify())
    assert [step.key for step in steps] == KEYS[: len(steps)]
    assert all(step.status is StepStatus.DONE for step in steps[:-1])
    assert all(0 <= step.milliseconds < 6_000 for step in steps)
    for step in steps:
        for secret in connector.secrets.values():
            assert secret not in repr(step)
    last = steps[-1]
    if last.status is StepStatus.FAILED:
        assert last.cause
        assert last.code
        host, username = connector.settings["hostname"].partition(":")[0], connector.settings["username"]
        for private in (host, username, connector.settings["export_folder"] or host):
            assert private not in last.cause
    return steps


def failure(connector: Sftp) -> Step:
    last = steps_of(connector)[-1]
    assert last.status is StepStatus.FAILED, last
    return last


def stranger(port: int, **settings: str) -> Sftp:
    """A connector for something at a loopback port of which nothing is known."""
    cleaned = Sftp.clean({"username": "ana", "hostname": f"127.0.0.1:{port}"} | settings)
    return Sftp(cleaned, {"password": "never sent"}, OutgoingGateway([("127.0.0.1", port)]))


@contextmanager
def speaking(words: bytes, answer: bytes = b"") -> Iterator[int]:
    """Something that says ``words`` to whoever connects, ``answer`` to what it hears, and hangs up."""

    def serve() -> None:
        while True:
            try:
                client, _address = server.accept()
            except OSError:
                return
            with client:
                client.sendall(words)
                if answer or not words:
                    client.settimeout(5)
                    client.recv(1000)
                    client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_openssh_with_a_key_passes_every_step(openssh_server: Server):
    folder = f"Verify/{secrets.token_hex(4)}"
    steps = steps_of(openssh_server.connector(folder))
    assert [step.key for step in steps] == KEYS
    assert steps[-1].status is StepStatus.DONE
    assert steps[1].note == f"127.0.0.1, port {openssh_server.port}"
    made = openssh_server.files / folder.lower()
    assert steps[4].note == str(made)
    assert made.is_dir(), "the missing folder is made, in lower case"
    assert list(made.iterdir()) == [], "nothing is left behind"


def test_openssh_in_the_folder_one_signs_in_to(openssh_server: Server):
    before = sorted(openssh_server.files.iterdir())
    steps = steps_of(openssh_server.connector(""))
    assert steps[-1].status is StepStatus.DONE
    assert steps[4].note == str(openssh_server.files)
    assert sorted(openssh_server.files.iterdir()) == before


def test_openssh_with_an_absolute_folder(openssh_server: Server, tmp_path: Path):
    folder = tmp_path / "absolute"
    steps = steps_of(openssh_server.connector(str(folder)))
    assert steps[-1].status is StepStatus.DONE
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("options", [("-t", "rsa", "-b", "2048"), ("-t", "ecdsa"), ("-t", "ed25519")])
def test_openssh_with_protected_keys(openssh_server: Server, tmp_path: Path, options: tuple[str, ...]):
    text = make_key(tmp_path / "key", *options, passphrase="open sesame")
    keys = openssh_server.files.parent / "authorized_keys"
    with keys.open("a") as file:
        file.write((tmp_path / "key.pub").read_text())
    steps = steps_of(openssh_server.connector(private_key=text, passphrase="open sesame"))
    assert steps[-1].status is StepStatus.DONE
    last = failure(openssh_server.connector(private_key=text, passphrase="wrong"))
    assert (last.key, last.code) == ("sign_in", "key_unusable")


def test_openssh_with_a_password(openssh_account: Server):
    steps = steps_of(openssh_account.connector("exports/verified"))
    assert steps[-1].status is StepStatus.DONE
    assert list((openssh_account.files / "exports" / "verified").iterdir()) == []
    last = failure(openssh_account.connector(password="wrong"))
    assert (last.key, last.code) == ("sign_in", "sign_in_refused")
    assert last.reachable


def test_openssh_folder_that_is_not_writable(openssh_account: Server):
    for folder in ("readonly", "readonly/new", "new-at-the-top"):
        last = failure(openssh_account.connector(folder))
        assert (last.key, last.code) == ("folder", "folder_not_writable"), folder
        assert last.reachable


def test_openssh_refuses_a_key_it_does_not_know(openssh_server: Server, tmp_path: Path):
    last = failure(openssh_server.connector(private_key=make_key(tmp_path / "key", "-t", "ed25519")))
    assert (last.key, last.code) == ("sign_in", "sign_in_refused")


def test_file_in_the_place_of_the_folder(openssh_server: Server):
    (openssh_server.files / "a-file").write_text("")
    last = failure(openssh_server.connector("a-file"))
    assert (last.key, last.code) == ("folder", "folder_is_file")


def test_sandbox_passes_every_step(sandbox_server: SandboxFactory):
    with sandbox_server() as (server, box):
        assert steps_of(server.connector("Exports/In"))[-1].status is StepStatus.DONE
        assert (box.files / "exports" / "in").is_dir()
        assert box.seen.passwords == 1


def test_wrong_password_is_sent_once(sandbox_server: SandboxFactory):
    with sandbox_server() as (server, box):
        last = failure(server.connector(password="wrong"))
        assert (last.key, last.code) == ("sign_in", "sign_in_refused")
        assert box.seen.passwords == 1


def test_keyboard_interactive_is_answered_once(sandbox_server: SandboxFactory):
    with sandbox_server(keyboard_interactive=True) as (server, box):
        assert steps_of(server.connector())[-1].status is StepStatus.DONE
        assert box.seen.passwords == 1
        last = failure(server.connector(password="wrong"))
        assert (last.key, last.code) == ("sign_in", "sign_in_refused")
        assert box.seen.passwords == 2


def test_password_method_does_not_offer_keys_nor_the_other_way_round(
    sandbox_server: SandboxFactory, tmp_path: Path
):
    with sandbox_server() as (server, box):
        failure(server.connector(password="wrong"))
        assert box.seen.keys == []
        settings = dict(server.connector().settings) | {"auth_method": "key"}
        key = make_key(tmp_path / "key", "-t", "ed25519")
        connector = Sftp(
            settings,
            {"private_key": key, "password": "sandbox-password"},
            server.connector().gateway,
            host_key=server.public_key,
        )
        last = list(connector.verify())[-1]
        assert last.code == "sign_in_refused"
        assert box.seen.passwords == 1
        assert len(set(box.seen.keys)) == 1


def test_read_only_folder(sandbox_server: SandboxFactory):
    with sandbox_server(read_only=True) as (server, box):
        (box.files / "exports").mkdir()
        last = failure(server.connector())
        assert (last.key, last.code) == ("folder", "folder_not_writable")


def test_folder_that_cannot_be_made(sandbox_server: SandboxFactory):
    with sandbox_server(read_only=True) as (server, _box):
        last = failure(server.connector())
        assert (last.key, last.code) == ("folder", "folder_not_writable")


def test_test_file_is_removed_after_a_failure(sandbox_server: SandboxFactory):
    with sandbox_server(quota=10) as (server, box):
        last = failure(server.connector())
        assert (last.key, last.code) == ("test_file", "server_failure")
        assert last.detail == "Disk quota exceeded"
        assert list((box.files / "exports").iterdir()) == []


def test_server_that_stores_less_than_it_confirms(sandbox_server: SandboxFactory):
    with sandbox_server(store_only=10) as (server, box):
        last = failure(server.connector())
        assert (last.key, last.code) == ("test_file", "file_incomplete")
        assert list((box.files / "exports").iterdir()) == []


def test_server_that_does_not_rename_folders_still_passes(sandbox_server: SandboxFactory):
    with sandbox_server(refuse_folder_rename=True) as (server, box):
        assert steps_of(server.connector())[-1].status is StepStatus.DONE
        assert list((box.files / "exports").iterdir()) == []


def test_line_cut_in_the_test_file(sandbox_server: SandboxFactory):
    with sandbox_server(cut_after=10) as (server, _box):
        last = failure(server.connector())
        assert (last.key, last.code) == ("test_file", "line_cut")


def test_server_without_file_transfer(sandbox_server: SandboxFactory):
    with sandbox_server(no_sftp=True) as (server, _box):
        last = failure(server.connector())
        assert (last.key, last.code) == ("sign_in", "no_sftp")


def test_nobody_listens():
    last = failure(stranger(free_port()))
    assert (last.key, last.code, last.reachable) == ("reach", "server_refused", False)


def test_unknown_name(monkeypatch: pytest.MonkeyPatch):
    def unknown(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    last = failure(stranger(22, hostname="nosuch.example"))
    assert (last.key, last.code, last.reachable) == ("name", "name_unknown", False)


def test_internal_address_that_nobody_listed():
    connector = stranger(22, hostname="169.254.169.254")
    last = failure(connector)
    assert (last.key, last.code, last.reachable) == ("name", "address_refused", True)


def test_silent_server_is_given_up_in_time(sandbox_server: SandboxFactory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sftp_verify, "STEP_SECONDS", 1.5)
    with sandbox_server(silent=True) as (server, _box):
        last = failure(server.connector())
        assert (last.key, last.code, last.reachable) == ("identity", "server_silent", False)
        assert last.milliseconds < 2_500


def test_all_steps_together_have_an_end(sandbox_server: SandboxFactory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sftp_verify, "ALL_SECONDS", 1.0)
    with sandbox_server(stall_after=10) as (server, _box):
        steps = steps_of(server.connector())
        assert (steps[-1].key, steps[-1].code) == ("test_file", "server_silent")
        assert sum(step.milliseconds for step in steps) < 1_500


@pytest.mark.parametrize(
    ("words", "answer", "key"),
    [
        (b"220 files.example FTP server ready\r\n", b"", "reach"),
        (b"\x15\x03\x01\x00\x02\x02\x28", b"", "reach"),
        (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", "identity"),
        (b"SSH-1.5-old\r\n", b"x", "identity"),
    ],
    ids=["ftp", "tls", "http", "ssh1"],
)
def test_what_is_no_ssh_server(words: bytes, answer: bytes, key: str):
    with speaking(words, answer) as port:
        last = failure(stranger(port))
    assert (last.key, last.code) == (key, "not_ssh")
    assert last.reachable
    assert ("looks like FTP" in last.remedy) == words.startswith(b"220")


def test_server_that_hangs_up_at_once():
    with speaking(b"", b"") as port:
        last = failure(stranger(port))
    assert last.code in ("not_ssh", "line_cut")
    assert last.reachable


@pytest.mark.parametrize(
    ("extra", "code"),
    [("Ciphers 3des-cbc", "no_common_method"), ("HostKeyAlgorithms ssh-rsa", "exchange_cut")],
    ids=["cipher", "host key"],
)
def test_openssh_with_old_methods_only(tmp_path: Path, extra: str, code: str):
    with running_openssh(tmp_path, extra=extra) as server:
        for trusted in (None, ""):
            last = failure(server.connector(trusted=trusted))
            assert (last.key, last.code) == ("identity", code)
            assert "too old" in last.remedy


def test_threads_and_sockets_end_with_the_verification(sandbox_server: SandboxFactory):
    with sandbox_server() as (server, _box):
        before = {thread.name for thread in threading.enumerate()}
        for connector in (
            server.connector(),
            server.connector(trusted=""),
            server.connector(password="wrong"),
        ):
            list(connector.verify())
            assert {thread.name for thread in threading.enumerate()} == before
        # A caller that stops half way through.
        with closing(cast(Generator[Step], server.connector().verify())) as steps:
            next(steps)
            next(steps)
        assert {thread.name for thread in threading.enumerate()} == before
