"""What benchmarks share: the result and its line, and measuring in turns."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MIN_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Result:
    """One benchmark's outcome; beyond ``floor`` it is a defect, ``goal`` is the aim.

    More of ``value`` is better, unless ``less_is_better``: then ``floor`` is the most it may be.
    """

    name: str
    rows: int
    value: float
    unit: str
    goal: float
    floor: float
    compared_with: str
    less_is_better: bool = False

    @property
    def holds(self) -> bool:
        """Whether the floor is kept."""
        return self.value <= self.floor if self.less_is_better else self.value >= self.floor

    def line(self) -> str:
        """One line of JSON."""
        return json.dumps(
            {
                "name": self.name,
                "rows": self.rows,
                "value": round(self.value, 3),
                "unit": self.unit,
                "goal": self.goal,
                "floor": self.floor,
                "holds": self.holds,
                "compared_with": self.compared_with,
            }
        )


def medians_in_turn(cases: Mapping[str, Callable[[], object]], rounds: int = MIN_ROUNDS) -> dict[str, float]:
    """Median seconds of each case. They run in turn, round by round, after one round that does not count.

    A case that returns a float has taken its own time in seconds, all others are timed from outside. Raises
    ValueError for fewer than three rounds, of which a median says nothing.
    """
    if rounds < MIN_ROUNDS:
        raise ValueError(f"A median needs at least {MIN_ROUNDS} rounds.")
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for round_number in range(rounds + 1):
        for name, case in cases.items():
            begun = time.perf_counter()
            own = case()
            if round_number:
                seconds[name].append(own if isinstance(own, float) else time.perf_counter() - begun)
    return {name: statistics.median(times) for name, times in seconds.items()}
