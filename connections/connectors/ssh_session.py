"""One SSH line to one server: who it is, then signing in, then SFTP.

asyncssh runs in an event loop in a thread of its own, one per session, and touches nothing else; the rest of the
program calls the plain methods here. Every wait has an end.

Nothing ambient is used (rule S7): no agent, no configuration, no key, known host or certificate from a home
folder. No credential leaves before the server has shown the trusted key (rule S9): asyncssh is given none, it asks
for it when the server is known, and is answered only after ``sign_in`` was called.
"""

import asyncio
import getpass
import os
import socket
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncssh

from connections.connectors.base import N_, Gateway, ServerIdentity
from connections.connectors.errors import ConnectorError, NeedsAttention
from connections.connectors.ssh_errors import (
    LINE_CUT,
    exchange_cut,
    garbled,
    no_sftp,
    not_ssh,
    sign_in_refused,
    silent,
    translate,
)
from connections.connectors.ssh_sending import send_nothing_empty, shorten_the_way

T = TypeVar("T")

# Measured: with aes128-gcm a file leaves 1.7 times as fast as with chacha20, asyncssh's own first choice.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)
# No certificates (there is no authority to trust) and no SHA-1 signatures.
HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
GREETING_SECONDS = 1.0
# How often Linux is told not to wait with acknowledgements while somebody signs in; it forgets (tcp(7)).
ACKNOWLEDGE_SECONDS = 0.002
KEEPALIVE_SECONDS = 15
KEEPALIVE_MISSES = 3


@dataclass(frozen=True, kw_only=True, repr=False)
class Credential:
    """What to sign in with: a password or a key; the other one is None."""

    password: str | None = None
    key: asyncssh.SSHKey | None = None


class _Client(asyncssh.SSHClient):
    """Answers asyncssh's questions: is this the server, and what to sign in with."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.connection: asyncssh.SSHClientConnection | None = None
        self.shown: asyncssh.SSHKey | None = None
        self.asked: asyncio.Future[None] = loop.create_future()
        self.credential: asyncio.Future[Credential] = loop.create_future()
        self.must_change = False
        self._used = False

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        send_nothing_empty(conn)
        self.connection = conn

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        # Asked for keys other than the trusted one only; none is ever accepted on the way.
        self.shown = key
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return False

    async def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
        credential = await self._once()
        return credential.key if credential else None

    async def password_auth_requested(self) -> str | None:
        credential = await self._once()
        return credential.password if credential else None

    async def kbdint_auth_requested(self) -> str | None:
        # Many servers ask for the password in this way only. Where it was sent already, sending it again would
        # count as one more failure there.
        credential = await self._wait()
        return None if self._used or credential.password is None else ""

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> Sequence[str] | None:
        if not prompts:
            return []
        if len(prompts) > 1 or prompts[0][1]:
            return None
        credential = await self._once()
        return [credential.password] if credential and credential.password is not None else None

    def password_change_requested(self, prompt: str, lang: str) -> tuple[str, str]:
        self.must_change = True
        return NotImplemented  # type: ignore[no-any-return]

    async def _wait(self) -> Credential:
        if not self.asked.done():
            self.asked.set_result(None)
        return await asyncio.shield(self.credential)

    async def _once(self) -> Credential | None:
        """The credential the first time, then None: a refused one is not sent again."""
        credential = await self._wait()
        if self._used:
            return None
        self._used = True
        return credential


class SshSession:
    """A line to ``host`` and ``port``, opened through ``gateway``, for ``username``.

    ``methods`` are SSH's names of the ways to sign in that may be used, no others are. ``trusted`` is the server's
    key in OpenSSH's one-line form, or empty. Call ``reach``, ``identify``, ``sign_in`` in
    this order, then ``call`` with coroutines that use ``sftp``; ``close`` always. All raise ConnectorError.
    """

    def __init__(
        self, gateway: Gateway, host: str, port: int, *, username: str, methods: Sequence[str], trusted: str
    ) -> None:
        self._gateway = gateway
        self._host = host
        self._port = port
        self._username = username
        self._methods = methods
        self._trusted = asyncssh.import_public_key(trusted) if trusted else None
        self._socket: socket.socket | None = None
        self._clients: list[_Client] = []
        self._opening: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _loop, _context: None)
        self._thread = threading.Thread(target=self.loop.run_forever, name="ssh", daemon=True)
        self._thread.start()

    @property
    def sftp(self) -> asyncssh.SFTPClient:
        """The SFTP client of asyncssh, for coroutines given to ``call``; there is one after ``sign_in``."""
        assert self._sftp is not None
        return self._sftp

    def call(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Run ``work`` in the session's loop for at most ``seconds`` and return what it returns."""
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, max(seconds, 0.01)), self.loop)
        try:
            return future.result(seconds + 5)
        except (FutureTimeout, TimeoutError, CancelledError):
            future.cancel()
            raise silent() from None
        except (asyncssh.Error, OSError, EOFError) as error:
            raise translate(error) from None
        except (ValueError, LookupError) as error:
            # how asyncssh meets packets that follow no rule
            raise garbled(type(error).__name__) from None

    def reach(self, seconds: float) -> None:
        """Connect, and see that the server does not speak something else than SSH. Nothing is sent."""
        self._socket = self._gateway.connect(self._host, self._port, timeout=seconds)
        words = _first_words(self._socket, min(GREETING_SECONDS, seconds))
        if words and not _is_ssh(words):
            raise not_ssh(words.decode("ascii", "replace"))

    def identify(self, seconds: float) -> tuple[ServerIdentity, bool]:
        """The key that the server shows, and whether it is the trusted one; otherwise the line has ended.

        No credential is needed and no request to sign in is answered.
        """
        deadline = time.monotonic() + seconds
        try:
            shown = self.call(self._exchange(self._trusted), seconds)
        except ConnectorError as error:
            if self._trusted is None or error.code not in ("no_common_method", "exchange_cut"):
                raise
            # The server may have no key of the trusted kind: look which ones it has.
            self.reach(deadline - time.monotonic())
            shown = self.call(self._exchange(None), deadline - time.monotonic())
        return identity_of(shown), shown == self._trusted

    def sign_in(self, credential: Credential, seconds: float) -> None:
        """Sign in and start SFTP; ``identify`` must have found the trusted server."""
        try:
            self._sftp = self.call(self._open_sftp(credential), seconds)
        except NeedsAttention as error:
            if error.code == "sign_in_refused" and self._clients[-1].must_change:
                error.remedy = N_("The server wants a new password: change it there, then enter it here.")
            raise

    def close(self) -> None:
        """End the line, the loop and its thread; never raises."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self.loop)
            self._thread.join(5)
        if not self.loop.is_running():
            self.loop.close()
        if self._socket is not None:
            self._socket.close()

    async def _exchange(self, trusted: asyncssh.SSHKey | None) -> asyncssh.SSHKey:
        """Exchange keys with the server; the key that it showed."""
        assert self._socket is not None
        sock, self._socket = self._socket, None
        client = _Client(self.loop)
        self._clients.append(client)
        opening = self._opening = self.loop.create_task(self._connect(sock, client, trusted))
        await asyncio.wait((opening, client.asked), return_when=asyncio.FIRST_COMPLETED)
        if client.shown is not None:
            return client.shown
        connection = client.connection
        if trusted is not None and connection is not None and connection.get_server_host_key() is not None:
            # The trusted key was shown and proved. If the line ended since, signing in will say so.
            return trusted
        error = opening.exception()
        assert error is not None
        if connection is None or connection.get_extra_info("server_version") is None:
            raise not_ssh(str(error))
        if isinstance(error, LINE_CUT):
            raise exchange_cut(str(error))
        if not isinstance(error, ConnectorError | asyncssh.Error | OSError):
            # nothing of ours runs in there: it is what the server sent
            raise garbled(type(error).__name__)
        raise error

    async def _open_sftp(self, credential: Credential) -> asyncssh.SFTPClient:
        client = self._clients[-1]
        assert client.connection is not None
        acknowledging = self.loop.create_task(_acknowledge(client.connection.get_extra_info("socket")))
        try:
            return await self._signed_in(client, credential)
        finally:
            acknowledging.cancel()

    async def _signed_in(self, client: _Client, credential: Credential) -> asyncssh.SFTPClient:
        assert self._opening is not None
        client.credential.set_result(credential)
        try:
            connection = await self._opening
        except asyncssh.ProtocolError as error:
            # How OpenSSH says "Too many authentication failures".
            raise sign_in_refused(str(error)) from None
        try:
            sftp = await connection.start_sftp_client()
        except (asyncssh.ChannelOpenError, asyncssh.SFTPError, asyncssh.ConnectionLost) as error:
            raise no_sftp(str(error)) from None
        shorten_the_way(connection, sftp)
        return sftp

    async def _connect(
        self, sock: socket.socket, client: _Client, trusted: asyncssh.SSHKey | None
    ) -> asyncssh.SSHClientConnection:
        """An SSH connection over ``sock``; ends with an error unless the server shows ``trusted``."""
        algorithms: Sequence[str] = HOST_KEY_ALGORITHMS
        if trusted is not None:
            own = {name.decode("ascii") for name in trusted.sig_algorithms}
            algorithms = tuple(name for name in HOST_KEY_ALGORITHMS if name in own)
        return await asyncssh.connect(
            sock=sock,
            config=None,
            client_factory=lambda: client,
            client_version="ConnectionsPortal",
            known_hosts=([trusted] if trusted else [], [], []),
            server_host_key_algs=algorithms,
            x509_trusted_certs=None,
            x509_trusted_cert_paths=[],
            username=self._username,
            preferred_auth=self._methods,
            client_keys=None,
            client_host_keysign=False,
            client_host_keys=None,
            agent_path=None,
            agent_forwarding=False,
            pkcs11_provider=None,
            host_based_auth=False,
            gss_host=None,
            gss_kex=False,
            gss_auth=False,
            encryption_algs=CIPHERS,
            compression_algs=["none"],
            proxy_command=None,
            tunnel=None,
            connect_timeout=None,
            login_timeout=0,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVE_MISSES,
        )

    async def _end(self) -> None:
        """Cut the line, then stop the loop once every task has seen it."""
        for client in self._clients:
            if client.connection is not None:
                client.connection.abort()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for client in self._clients:
            if client.connection is not None:
                await client.connection.wait_closed()
        await asyncio.sleep(0)  # sockets close in the round after the one they were told to
        self.loop.stop()


def identity_of(key: asyncssh.SSHKey) -> ServerIdentity:
    """What is shown and stored of a server's key."""
    line = " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])
    return ServerIdentity(
        algorithm=key.get_algorithm(), fingerprint=key.get_fingerprint("sha256"), public_key=line
    )


async def _acknowledge(sock: socket.socket) -> None:
    """Acknowledge at once: OpenSSH holds its next short answer back until then, and Linux takes 40 ms of its own."""
    while hasattr(socket, "TCP_QUICKACK"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        await asyncio.sleep(ACKNOWLEDGE_SECONDS)


def _first_words(sock: socket.socket, seconds: float) -> bytes | None:
    """What the server says before it is spoken to, left in the socket; None if it waits for us.

    Raises TryLater if it hangs up at once.
    """
    deadline = time.monotonic() + seconds
    sock.settimeout(max(seconds, 0.01))
    try:
        while True:
            words = sock.recv(255, socket.MSG_PEEK)
            if not words:
                raise translate(ConnectionResetError())
            if _is_ssh(words) or time.monotonic() >= deadline:
                return words
            time.sleep(0.02)
    except TimeoutError:
        return None
    except OSError as error:
        raise translate(error) from None


def _is_ssh(words: bytes) -> bool:
    """Whether SSH's version line has begun; lines may come before it (RFC 4253 §4.2)."""
    return words.startswith(b"SSH-") or b"\nSSH-" in words or b"SSH-".startswith(words)


def _give_the_process_a_name() -> None:
    """Where the local user has none: asyncssh asks for it, though it is not used, and fails without."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "portal"


_give_the_process_a_name()
