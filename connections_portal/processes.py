"""Child processes that end with their parent; used by the launcher, which has no threads.

Signals are blocked and waited for (``sigtimedwait``), so that none is lost between two steps and nothing is done
inside a signal handler. Every child leads a process group of its own: Ctrl-C in a terminal reaches the parent only,
which passes it on once, as SIGTERM; and what a child leaves behind can be ended with its group. Linux ends the
children when the parent is killed (``PR_SET_PDEATHSIG``, prctl(2)).
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
LIBC = ctypes.CDLL(None)
GRACE_SECONDS = 20
# A stop can arrive twice (from the terminal and through make); a later one is somebody who does not want to wait.
REPEATED_SECONDS = 2
STEADY_SECONDS = 30
LONGEST_PAUSE_SECONDS = 30


def end_with_parent() -> None:
    """Let Linux send this process a SIGTERM when the one that started it is gone."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Stopped(Exception):
    """Somebody asked the parent to stop: SIGINT, SIGTERM or SIGHUP."""


class Ended(Exception):
    """A process that is needed is not there; the message is a sentence."""


@dataclass(kw_only=True)
class Child:
    """One process that is kept running; ``pause`` is how long to wait before it is started again."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    quiet: bool
    process: subprocess.Popen[bytes]
    started: float
    pause: float = 0.0
    restart_at: float | None = None


class Family:
    """The children of this process; as a context manager it leaves none behind.

    ``folder`` is their working directory, ``environment`` what each of them gets (and may get more of).
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._children: dict[str, Child] = {}
        self._parent = os.getpid()
        self._stops = {signal.SIGINT, signal.SIGTERM}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asks to outlive the terminal
            self._stops.add(signal.SIGHUP)

    def __enter__(self) -> Self:
        signal.pthread_sigmask(signal.SIG_BLOCK, self._stops | {signal.SIGCHLD})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def complete(self, name: str, command: Sequence[str], more: Mapping[str, str] | None = None) -> None:
        """Run ``command`` to its end; raises Ended when it fails and Stopped when told to stop meanwhile."""
        self.start(name, command, more)
        process = self._children[name].process
        while process.poll() is None:
            self._pause(1)
        del self._children[name]
        if process.returncode:
            raise Ended(f"{name} {_ending(process.returncode)}.")

    def start(
        self, name: str, command: Sequence[str], more: Mapping[str, str] | None = None, *, quiet: bool = False
    ) -> None:
        """Start a child; ``more`` is environment for it alone, ``quiet`` drops its standard output."""
        environment = {**self._environment, **(more or {})}
        process = self._spawn(command, environment, quiet)
        self._children[name] = Child(
            name=name,
            command=command,
            environment=environment,
            quiet=quiet,
            process=process,
            started=time.monotonic(),
        )

    def wait_for(self, what: str, ready: Callable[[], bool], seconds: float) -> None:
        """Return once ``ready``; raises Ended after ``seconds`` or when a child ends, Stopped when told to stop."""
        deadline = time.monotonic() + seconds
        while not ready():
            for child in self._children.values():
                if child.process.poll() is not None:
                    raise Ended(f"{child.name} {_ending(child.process.returncode)}.")
            if time.monotonic() > deadline:
                raise Ended(f"{what} did not answer within {seconds:.0f} seconds.")
            self._pause(0.1)

    def watch(self, *, essential: str = "") -> NoReturn:
        """Start children again that end; raises Ended when ``essential`` (if named) does, Stopped when told to stop."""
        while True:
            now = time.monotonic()
            for child in self._children.values():
                if child.restart_at is not None and now >= child.restart_at:
                    child.process = self._spawn(child.command, child.environment, child.quiet)
                    child.started, child.restart_at = now, None
                elif child.restart_at is None and child.process.poll() is not None:
                    if child.name == essential:
                        raise Ended(f"{child.name} {_ending(child.process.returncode)}.")
                    self._plan_restart(child, now)
            self._pause(0.5)

    def stop(self) -> None:
        """Ask every child to end, wait, and kill what is left after the grace or a later second request."""
        running = [child.process for child in self._children.values() if child.process.poll() is None]
        for process in running:
            process.terminate()
        begun = time.monotonic()
        while any(process.poll() is None for process in running):
            elapsed = time.monotonic() - begun
            if elapsed > GRACE_SECONDS:
                break
            received = signal.sigtimedwait(self._stops | {signal.SIGCHLD}, 0.5)
            if received and received.si_signo in self._stops and elapsed > REPEATED_SECONDS:
                break
        for child in self._children.values():
            if child.restart_at is None:  # else it is long gone, and its number may be another's
                _kill_group(child.process)
                child.process.wait()
        self._children.clear()

    def _plan_restart(self, child: Child, now: float) -> None:
        _kill_group(child.process)
        steady = now - child.started > STEADY_SECONDS
        child.pause = 1.0 if steady or not child.pause else min(child.pause * 2, LONGEST_PAUSE_SECONDS)
        child.restart_at = now + child.pause
        ending = _ending(child.process.returncode)
        print(f"{child.name} {ending}; it is started again.", file=sys.stderr, flush=True)

    def _spawn(
        self, command: Sequence[str], environment: Mapping[str, str], quiet: bool
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if quiet else None,
            start_new_session=True,
            preexec_fn=self._tie_to_parent,  # noqa: PLW1509  # there are no threads here
        )

    def _tie_to_parent(self) -> None:
        """Runs in the child before its program: end with the parent, and receive signals as usual."""
        end_with_parent()
        if os.getppid() != self._parent:  # it died before the line above took effect
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _pause(self, seconds: float) -> None:
        """Wait until a child ends or ``seconds`` have passed; raises Stopped when told to stop."""
        received = signal.sigtimedwait(self._stops | {signal.SIGCHLD}, seconds)
        if received and received.si_signo in self._stops:
            raise Stopped


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End whatever is left of the child's process group, itself included."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _ending(code: int) -> str:
    """``ended with code 1`` or ``was ended by SIGKILL``."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
