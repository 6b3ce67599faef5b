"""How fast a service may be asked: windows that are known beforehand, and what its answers say."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """At most ``requests`` in any ``seconds``."""

    requests: int
    seconds: float


class Pace:
    """Lets requests through as fast as all windows allow. Thread-safe; one per connection and process.

    ``hold`` stops everybody until a moment that the service named. A wait is cut into pieces of at most ``BEAT``
    seconds, with ``check`` in between, so that a run that was canceled does not sit it out.
    """

    BEAT = 1.0

    def __init__(
        self, windows: Sequence[Window] = (), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._windows = tuple(windows)
        self._clock = clock
        self._sent: list[deque[float]] = [deque() for _window in self._windows]
        self._until = 0.0
        self._lock = threading.Lock()

    def enter(
        self, check: Callable[[], None] = lambda: None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Wait for the turn of one request."""
        while (wait := self._turn()) > 0:
            check()
            sleep(min(wait, self.BEAT))

    def hold(self, seconds: float) -> None:
        """Let nobody through for so long."""
        with self._lock:
            self._until = max(self._until, self._clock() + seconds)

    def _turn(self) -> float:
        """0 and the request is counted, or the seconds until it is worth asking again."""
        with self._lock:
            now = self._clock()
            wait = self._until - now
            for window, sent in zip(self._windows, self._sent, strict=True):
                while sent and sent[0] <= now - window.seconds:
                    sent.popleft()
                if len(sent) >= window.requests:
                    wait = max(wait, sent[0] + window.seconds - now)
            if wait > 0:
                return wait
            for sent in self._sent:
                sent.append(now)
            return 0.0
