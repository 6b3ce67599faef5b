"""Trying an SFTP connection step by step, over the code that runs use."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from connections.connectors import ssh_errors
from connections.connectors.base import N_, ServerIdentity, Step, StepStatus
from connections.connectors.errors import ConnectorError
from connections.connectors.sftp_delivery import SftpDelivery
from connections.connectors.sftp_source import SftpSource
from connections.connectors.ssh_session import SshSession

if TYPE_CHECKING:
    from connections.connectors.sftp_server import SftpServer

STEP_SECONDS = 5.0
ALL_SECONDS = 10.0
CLEAN_UP_SECONDS = 1.0
TEST_CONTENT = b"This file tests a connection and is removed at once.\r\n"

# With these nothing was learnt of the service: it may be right and only be down.
_UNREACHED = {"name_unknown", "name_no_answer", "server_refused", "server_silent"}


def steps(trial: "Trial") -> Iterator[Step]:
    """See ``Connector.verify``; for every step that the type declares the trial has a method of that name."""
    with closing(trial):
        for key, _label in trial.sftp.steps:
            step = trial.run(key, getattr(trial, key))
            yield step
            if step.status is not StepStatus.DONE:
                return


class Trial:
    """One verification: the line to the server, the step under way and the time left for it."""

    def __init__(self, sftp: "SftpServer") -> None:
        self.sftp = sftp
        self._target = sftp.target(sftp.settings)
        self._session: SshSession | None = None
        self._key = ""
        self._end = time.monotonic() + ALL_SECONDS - sftp.spent
        self._started = time.monotonic()

    def run(self, key: str, attempt: Callable[[], Step]) -> Step:
        """The outcome of one step; a failure is one, too."""
        self._key, self._started = key, time.monotonic()
        try:
            return attempt()
        except ConnectorError as error:
            early = key in ("name", "reach", "identity")
            return Step(
                key=key,
                status=StepStatus.FAILED,
                milliseconds=self._took(),
                cause=error.cause,
                remedy=error.remedy,
                detail=error.detail,
                code=error.code,
                reachable=not (early and error.code in _UNREACHED),
            )

    def close(self) -> None:
        """End the line."""
        if self._session is not None:
            self._session.close()

    def name(self) -> Step:
        """Look the name up."""
        found = self.sftp.gateway.resolve(self._target["host"], int(self._target["port"]))
        return self._done(", ".join(found))

    def reach(self) -> Step:
        """Connect to the port."""
        self._session = self.sftp.session()
        self._session.reach(self._left())
        return self._done(f"{self._target['host']}, port {self._target['port']}")

    def identity(self) -> Step:
        """See the server's key; ask a person unless it is the trusted one."""
        identity, trusted = self._open.identify(self._left())
        if trusted:
            return self._done(f"{identity.algorithm} {identity.fingerprint}", identity)
        changed = bool(self.sftp.host_key)
        return Step(
            key=self._key,
            status=StepStatus.ASKS,
            milliseconds=self._took(),
            identity=identity,
            code="identity_changed" if changed else "identity_unknown",
            cause=N_("The server shows another key than the trusted one. Nothing was sent.")
            if changed
            else N_("This server is new here. No password is sent before you trust it."),
            remedy=N_("Compare the fingerprint with the one that whoever runs the server gave you."),
        )

    def sign_in(self) -> Step:
        """Sign in and start SFTP."""
        self._open.sign_in(self.sftp.credential(), self._left())
        return self._done(self.sftp.settings["username"])

    @property
    def _open(self) -> SshSession:
        assert self._session is not None
        return self._session

    def _left(self) -> float:
        """Seconds left for the step under way."""
        return max(min(self._started + STEP_SECONDS, self._end) - time.monotonic(), 0.01)

    def _took(self) -> int:
        return round((time.monotonic() - self._started) * 1000)

    def _done(self, note: str = "", identity: ServerIdentity | None = None) -> Step:
        return Step(
            key=self._key, status=StepStatus.DONE, milliseconds=self._took(), note=note, identity=identity
        )


class WritingTrial(Trial):
    """Tries ``folder`` as a run uses it that delivers files."""

    def __init__(self, sftp: "SftpServer", folder: str) -> None:
        super().__init__(sftp)
        self._folder = folder
        self._probe = f".portal-check-{secrets.token_hex(8)}"
        self._probing = False

    def close(self) -> None:
        """Remove what a failed test left behind, as far as the line allows, and end it."""
        if self._session is not None and self._probing:
            deadline = time.monotonic() + CLEAN_UP_SECONDS
            delivery = self._delivery(lambda: max(deadline - time.monotonic(), 0.01))
            for folder in (self._probe, self._published):
                with suppress(ConnectorError):
                    delivery.discard(folder)
        super().close()

    def folder(self) -> Step:
        """Make the export folder if it is missing, and a folder in it, as a run does."""
        delivery = self._delivery(self._left)
        path = delivery.prepare()
        self._probing = True
        delivery.begin(self._probe)
        return self._done(path)

    def test_file(self) -> Step:
        """Write a small file, publish it as a run does, and remove everything."""
        delivery = self._delivery(self._left)
        file = delivery.open(self._probe, "test.csv")
        file.write(TEST_CONTENT)
        size = file.finish()
        if size != len(TEST_CONTENT):
            raise ssh_errors.short_test_file(f"{size} of {len(TEST_CONTENT)} bytes")
        delivery.publish(self._probe, self._published, {"test.csv": size})
        delivery.discard(self._published)
        self._probing = False
        return self._done()

    @property
    def _published(self) -> str:
        return f"{self._probe}-done"

    def _delivery(self, patience: Callable[[], float]) -> SftpDelivery:
        return SftpDelivery(self._open, self._folder, patience)


class ReadingTrial(Trial):
    """Tries the folder that one signs in to as a run uses it that fetches files."""

    def folder(self) -> Step:
        """List the folder."""
        source = SftpSource(self._open, self._left)
        return self._done(source.look_around())
