"""What a process keeps of a vault: values of secrets, in memory, for a minute at most (rule S4).

A value is found again only under everything that it was read for; whatever grows since makes it unfindable. While it
is kept it is masked in all that the process writes (rule S6), and it is dropped on time even if nobody asks again.
"""

import os
import threading
import time
from dataclasses import dataclass
from typing import NamedTuple, NoReturn
from uuid import UUID

from connections_portal import redaction

KEEP_SECONDS = 60.0
MOST = 64


class Key(NamedTuple):
    """What a value was read for: the owner as it was, its field, the secret as it was referred to, the link."""

    owner: UUID
    epoch: int
    field: str
    secret: int
    pinned: str
    generation: int
    vault: int
    vault_version: int


@dataclass(frozen=True, repr=False, slots=True)
class _Kept:
    value: str
    version: str
    until: float

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets cannot be pickled")


class Cache:
    """Values by key. Prints as ``***``, cannot be pickled; may be used from any thread."""

    def __init__(self, seconds: float = KEEP_SECONDS, most: int = MOST) -> None:
        self._seconds, self._most = seconds, most
        self._lock = threading.Lock()
        self._kept: dict[Key, _Kept] = {}
        self._timer: threading.Timer | None = None

    def __repr__(self) -> str:
        return "Cache(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets cannot be pickled")

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key) -> tuple[str, str] | None:
        """The value and its version, if it is kept and not over."""
        with self._lock:
            self._drop_ended()
            kept = self._kept.get(key)
        return (kept.value, kept.version) if kept else None

    def put(self, key: Key, value: str, version: str) -> None:
        """Keep a value; what was kept of the same field of the same owner goes, then the oldest above the limit."""
        kept = _Kept(value, version, time.monotonic() + self._seconds)
        redaction.mask([value])
        with self._lock:
            self._drop_ended()
            for old in [old for old in self._kept if (old.owner, old.field) == (key.owner, key.field)]:
                self._drop(old)
            while len(self._kept) >= self._most:
                self._drop(next(iter(self._kept)))
            self._kept[key] = kept
            self._wait_for_next()

    def left(self, secret: int) -> int | None:
        """For how many more seconds a value of the secret with this id is kept; None if none is."""
        with self._lock:
            self._drop_ended()
            ends = [kept.until for key, kept in self._kept.items() if key.secret == secret]
        return max(1, round(max(ends) - time.monotonic())) if ends else None

    def clear(self, *, owner: UUID | None = None, secret: int | None = None) -> None:
        """Forget everything, or what is kept for this owner, or of this secret."""
        with self._lock:
            for key in list(self._kept):
                if owner in (None, key.owner) and secret in (None, key.secret):
                    self._drop(key)

    def _drop(self, key: Key) -> None:
        redaction.unmask([self._kept.pop(key).value])

    def _drop_ended(self) -> None:
        now = time.monotonic()
        for key in [key for key, kept in self._kept.items() if kept.until <= now]:
            self._drop(key)

    def _wait_for_next(self) -> None:
        """Have the next value to end dropped in time, whether or not somebody asks; under the lock."""
        if self._timer is None and self._kept:
            wait = min(kept.until for kept in self._kept.values()) - time.monotonic()
            self._timer = threading.Timer(max(0.0, wait), self._on_time)
            self._timer.daemon = True
            self._timer.start()

    def _on_time(self) -> None:
        with self._lock:
            self._timer = None
            self._drop_ended()
            self._wait_for_next()

    def after_fork(self) -> None:
        """Begin empty in a new process, which has neither the timer nor a right to what its parent read."""
        self._lock = threading.Lock()
        self._timer = None
        self.clear()


cache = Cache()
os.register_at_fork(after_in_child=cache.after_fork)
