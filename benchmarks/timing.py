"""Measuring time: warm-up until it is stable, blocks of at least 10 ms, robust statistics."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a set of timings says, in seconds per call.

    Attributes:
        median, iqr, min: of the blocks; ``iqr`` is the distance between the quartiles.
        n: the number of blocks.
        calls: calls in each block.
        outliers: blocks more than 1.5 ``iqr`` outside the quartiles.
    """

    median: float
    iqr: float
    min: float
    n: int
    calls: int
    outliers: int

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Timing:
    """A measured function: by the host's clock, by the device's where it has one, and the wall time of each block."""

    wall: Statistics
    device: Statistics | None = None
    samples: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure.

    Attributes:
        block: at least so many seconds in one block.
        blocks: so many blocks.
        stable: warm up until two medians in a row differ by less than this fraction ...
        warmup: ... or for so many seconds.
        pause: seconds to wait before a block when functions alternate: thread pools spin for a while after work, and
            take the core from whoever comes next.
        settle: seconds of untimed calls after that pause.
    """

    block: float = 0.010
    blocks: int = 15
    stable: float = 0.02
    warmup: float = 2.0
    pause: float = 0.012
    settle: float = 0.030


#: for smoke tests: one short block of everything
QUICK = Plan(block=0.0005, blocks=3, stable=0.5, warmup=0.02, pause=0.0, settle=0.0)


def summarize(samples: Sequence[float], calls: int = 1) -> Statistics:
    """Median, spread and minimum of ``samples``.

    Raises ValueError when there are none.

    Example:
        >>> summarize([3.0, 1.0, 2.0, 2.0, 9.0])
        Statistics(median=2.0, iqr=1.0, min=1.0, n=5, calls=1, outliers=1)
    """
    if not samples:
        raise ValueError("summarize: expected at least one sample, got none")
    if len(samples) == 1:
        return Statistics(samples[0], 0.0, samples[0], 1, calls, 0)
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    iqr = high - low
    outliers = sum(1 for s in samples if not low - 1.5 * iqr <= s <= high + 1.5 * iqr)
    return Statistics(middle, iqr, min(samples), len(samples), calls, outliers)


class Host:
    """Timing on the host alone: nothing to wait for, no second clock."""

    def synchronize(self) -> None:
        """Nothing runs behind our back."""

    event: Callable[[], Any] | None = None

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Never called: there are no events."""
        raise NotImplementedError


class _Subject:
    """A function being measured, with the number of calls that fill a block."""

    def __init__(self, function: Callable[[], Any], target: Any, plan: Plan, clock: Clock) -> None:
        self.function, self.target, self.plan, self.clock = function, target, plan, clock
        self.calls = 1
        self.wall: list[float] = []
        self.device: list[float] = []

    def run(self) -> tuple[float, float | None]:
        """One block: seconds per call by the host's clock and by the device's."""
        function, target, calls = self.function, self.target, self.calls
        target.synchronize()
        start = self.clock()
        before = None if target.event is None else target.event()
        for _ in range(calls):
            function()
        after = None if target.event is None else target.event()
        target.synchronize()
        wall = (self.clock() - start) / calls
        return wall, None if before is None else target.elapsed_ms(before, after) / 1e3 / calls

    def warm_up(self) -> None:
        """Grow the block to its length, then run blocks until they agree."""
        deadline = self.clock() + self.plan.warmup
        while True:
            wall, _ = self.run()
            if wall * self.calls >= self.plan.block:
                break
            # 1.2: a block that just misses its length would otherwise be measured over and over
            self.calls = max(self.calls + 1, min(int(1.2 * self.plan.block / max(wall, 1e-9)) + 1, 10 * self.calls))
        previous = wall
        while self.clock() < deadline:
            current = statistics.median(self.run()[0] for _ in range(3))
            if abs(current - previous) <= self.plan.stable * previous:
                break
            previous = current

    def settle(self) -> None:
        """Let other thread pools fall asleep, then warm the caches again."""
        if self.plan.pause:
            time.sleep(self.plan.pause)
        deadline = self.clock() + self.plan.settle
        while self.clock() < deadline:
            self.function()
        self.target.synchronize()

    def sample(self) -> None:
        wall, device = self.run()
        self.wall.append(wall)
        if device is not None:
            self.device.append(device)

    def timing(self) -> Timing:
        device = summarize(self.device, self.calls) if self.device else None
        return Timing(summarize(self.wall, self.calls), device, tuple(self.wall))


def measure(
    function: Callable[[], Any], target: Any = None, plan: Plan | None = None, clock: Clock = time.perf_counter
) -> Timing:
    """Time one function.

    Args:
        function: called without arguments.
        target: waits for the device (``synchronize``) and, where the device has a clock, marks its stream of work
            (``event``, ``elapsed_ms``); a Backend will do. None: the host alone.
        plan: how long to measure.
        clock: for tests.

    Example:
        >>> measure(lambda: sum(range(100)), plan=QUICK).wall.n
        3
    """
    plan = plan or Plan()
    subject = _Subject(function, target or Host(), plan, clock)
    subject.warm_up()
    for _ in range(plan.blocks):
        subject.sample()
    return subject.timing()


def measure_together(
    functions: Mapping[str, Callable[[], Any]], plan: Plan | None = None, clock: Clock = time.perf_counter
) -> dict[str, Timing]:
    """Time several functions side by side: in each round one block of every function.

    A machine that is slower for a while is so for all of them, and their ratios hold.

    Args:
        functions: by name.
        plan: how long to measure.
        clock: for tests.

    Example:
        >>> sorted(measure_together({"a": lambda: 1, "b": lambda: 2}, QUICK))
        ['a', 'b']
    """
    plan = plan or Plan()
    subjects = {name: _Subject(function, Host(), plan, clock) for name, function in functions.items()}
    for subject in subjects.values():
        subject.settle()
        subject.warm_up()
    for _ in range(plan.blocks):
        for subject in subjects.values():
            subject.settle()
            subject.sample()
    return {name: subject.timing() for name, subject in subjects.items()}


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the ratios, round by round: what slows the machine down for a while cancels out.

    Example:
        >>> ratio([2.0, 8.0, 2.0], [1.0, 4.0, 1.0])
        2.0
    """
    return statistics.median(a / b for a, b in zip(over, under, strict=True))
