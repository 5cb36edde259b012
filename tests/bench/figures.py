"""What is measured: figures, their targets, and the functions that yield them."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tests.bench.context import Bench

Phase = Literal["read", "write", "drop"]
PHASES: tuple[Phase, ...] = ("read", "write", "drop")
Measuring = Callable[["Bench"], Iterator["Figure"]]


@dataclass(frozen=True)
class Target:
    """What a figure must reach, in words and as a question to it."""

    words: str
    is_reached: Callable[["Figure"], bool]


def at_most(limit: float) -> Target:
    return Target(f"≤ {limit:,g}", lambda figure: figure.value <= limit)


def below(limit: float) -> Target:
    return Target(f"< {limit:,g}", lambda figure: figure.value < limit)


def at_least(limit: float) -> Target:
    return Target(f"≥ {limit:,g}", lambda figure: figure.value >= limit)


def ratio_at_least(share: float) -> Target:
    return Target(f"≥ {share:g} × baseline", lambda figure: figure.ratio is not None and figure.ratio >= share)


@dataclass(frozen=True)
class Figure:
    """One line of the table. `value` and `baseline` share the unit; `note` is for what a reader should know.

    Without a target the figure is for information. `details` goes to the JSON only.
    """

    name: str
    value: float
    unit: str
    target: Target | None = None
    baseline: float | None = None
    baseline_is: str = ""
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline if self.baseline else None

    @property
    def is_reached(self) -> bool | None:
        return None if self.target is None else self.target.is_reached(self)


@dataclass(frozen=True)
class Measure:
    room: str
    name: str
    phase: Phase
    function: Measuring


REGISTERED: list[Measure] = []
_most_samples: list[int] = []


def limit_samples(most: int) -> None:
    """For a run that only shows that everything runs."""
    _most_samples[:] = [most]


def measure(phase: Phase = "read") -> Callable[[Measuring], Measuring]:
    """Registers a generator of figures; its room is the module that it stands in."""

    def register(function: Measuring) -> Measuring:
        room = function.__module__.rpartition(".")[2]
        REGISTERED.append(Measure(room, function.__name__, phase, function))
        return function

    return register


@dataclass(frozen=True)
class Timings:
    """Durations of equal calls, in milliseconds, sorted."""

    sorted_ms: tuple[float, ...]

    @classmethod
    def of_seconds(cls, seconds: list[float]) -> "Timings":
        return cls(tuple(sorted(value * 1000 for value in seconds)))

    def quantile(self, share: float) -> float:
        """The smallest duration that this share of the calls did not pass."""
        position = min(len(self.sorted_ms) - 1, max(0, -int(-share * len(self.sorted_ms) // 1) - 1))
        return self.sorted_ms[position]

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.sorted_ms)

    @property
    def p95_ms(self) -> float:
        return self.quantile(0.95)

    @property
    def p99_ms(self) -> float:
        return self.quantile(0.99)

    @property
    def details(self) -> dict[str, float]:
        return {
            "calls": len(self.sorted_ms),
            "p50_ms": round(self.p50_ms, 3),
            "p95_ms": round(self.p95_ms, 3),
            "p99_ms": round(self.p99_ms, 3),
            "longest_ms": round(self.sorted_ms[-1], 3),
        }


def time_calls(call: Callable[[], object], *, samples: int = 40, warm: int = 3, budget_seconds: float = 8) -> Timings:
    """Call it `warm` times, then `samples` times with the clock; fewer, but at least 5, when the budget is used up."""
    for most in _most_samples:
        samples, warm = min(samples, most), min(warm, 1)
    for _ in range(warm):
        call()
    taken: list[float] = []
    end = time.perf_counter() + budget_seconds
    while len(taken) < samples and (len(taken) < 5 or time.perf_counter() < end):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return Timings.of_seconds(taken)
