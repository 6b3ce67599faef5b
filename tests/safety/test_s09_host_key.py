"""Rule S9: no authentication message leaves before the server's key is pinned on purpose."""

from pathlib import Path

import asyncssh
import pytest

from connections.connectors.base import StepStatus
from connections.connectors.errors import IdentityChanged
from tests.connectors.servers import SandboxFactory, running_openssh


def test_unknown_server_gets_no_sign_in_message(sandbox_server: SandboxFactory):
    with sandbox_server() as (server, box):
        steps = list(server.connector(trusted="").verify())
        assert [step.key for step in steps] == ["name", "reach", "identity"]
        assert steps[-1].status is StepStatus.ASKS
        assert steps[-1].code == "identity_unknown"
        assert steps[-1].identity is not None
        assert steps[-1].identity.public_key == box.public_key
        assert steps[-1].identity.fingerprint == box.host_key.get_fingerprint()
        with pytest.raises(IdentityChanged):
            with server.connector(trusted="").deliver():
                pytest.fail("a server that nobody trusts must not be used")
        assert box.seen.requests == []
    # The recorder works: with the key trusted the same calls do reach it.
    with sandbox_server() as (server, box):
        assert list(server.connector().verify())[-1].status is StepStatus.DONE
        assert box.seen.requests == ["sandbox"]
        assert box.seen.passwords == 1


def test_reading_waits_for_the_trusted_key_as_well(sandbox_server: SandboxFactory):
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with sandbox_server() as (server, box):
        for trusted in ("", other):
            assert list(server.importer(trusted=trusted).verify())[-1].status is StepStatus.ASKS
            with pytest.raises(IdentityChanged):
                with server.importer(trusted=trusted).fetch():
                    pytest.fail("a server that nobody trusts must not be used")
        assert box.seen.requests == []
        with server.importer().fetch():
            assert box.seen.requests == ["sandbox"]


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"])
def test_another_key_than_the_trusted_one_gets_no_sign_in_message(sandbox_server: SandboxFactory, kind: str):
    other = asyncssh.generate_private_key(kind).export_public_key().decode()
    with sandbox_server() as (server, box):
        last = list(server.connector(trusted=other).verify())[-1]
        assert (last.key, last.status, last.code) == ("identity", StepStatus.ASKS, "identity_changed")
        assert last.identity is not None
        assert last.identity.public_key == box.public_key
        with pytest.raises(IdentityChanged) as caught:
            with server.connector(trusted=other).deliver():
                pytest.fail("a server that shows another key must not be used")
        assert caught.value.code == "identity_changed"
        assert box.host_key.get_fingerprint() in caught.value.detail
        assert "SHA256" not in caught.value.cause
        assert box.seen.requests == []


def test_key_of_the_trusted_kind_is_asked_for(tmp_path: Path):
    with running_openssh(tmp_path) as server:
        for kind in ("rsa", "ecdsa", "ed25519"):
            steps = list(server.connector(trusted=server.host_keys[kind]).verify())
            assert steps[-1].status is StepStatus.DONE, steps[-1]
            assert steps[2].identity is not None
            assert server.host_keys[kind].startswith(steps[2].identity.public_key)
        # A server that has the trusted kind, but with another key, is another server.
        other = asyncssh.generate_private_key("ssh-rsa").export_public_key().decode()
        assert list(server.connector(trusted=other).verify())[-1].code == "identity_changed"


def test_server_without_a_key_of_the_trusted_kind_is_another_server(tmp_path: Path):
    with running_openssh(tmp_path, kinds=("ed25519",)) as server:
        for kind in ("ssh-rsa", "ecdsa-sha2-nistp384"):
            other = asyncssh.generate_private_key(kind).export_public_key().decode()
            last = list(server.connector(trusted=other).verify())[-1]
            assert last.code == "identity_changed"
            assert last.identity is not None
            assert server.public_key.startswith(last.identity.public_key)
            with pytest.raises(IdentityChanged):
                with server.connector(trusted=other).deliver():
                    pytest.fail("a server that shows another key must not be used")


def test_host_certificate_is_no_way_around_the_pin(sandbox_server: SandboxFactory):
    authority = asyncssh.generate_private_key("ssh-ed25519")
    key = asyncssh.generate_private_key("ssh-ed25519")
    certificate = authority.generate_host_certificate(key, "host", principals=["127.0.0.1"])
    with sandbox_server(host_key=key, host_certificate=certificate) as (server, box):
        assert list(server.connector(trusted="").verify())[-1].code == "identity_unknown"
        trusted = authority.export_public_key().decode()
        assert list(server.connector(trusted=trusted).verify())[-1].code == "identity_changed"
        assert box.seen.requests == []
