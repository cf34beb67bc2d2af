"""Runs rows on devices: compares the results first, then measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.benchmarks.rows import Row
from chainrule.benchmarks.timing import Plan, Timing, measure


@dataclass(frozen=True, slots=True)
class Measured:
    """One row on one device.

    Attributes:
        row, what, device: what was measured.
        timing: of the computation, its inputs being on the device.
        transfer: of moving inputs there and the result back; None on the CPU.
        flops: floating-point operations of one run.
        error: largest difference from the reference device, relative to its largest value; None on that device.
        tolerance: what ``error`` may be.
        reference: timing on the reference device; None on that device, and where the results disagree.
    """

    row: str
    what: str
    device: str
    timing: Timing
    transfer: Timing | None
    flops: float | None
    error: float | None
    tolerance: float
    reference: Timing | None

    @property
    def agrees(self) -> bool:
        """Whether the result is that of the reference device; a NaN is not."""
        return self.error is None or self.error <= self.tolerance

    @property
    def speedups(self) -> dict[str, float] | None:
        """How many times faster than the reference device; None where there is nothing to compare, or not the same."""
        if self.reference is None or not self.agrees:
            return None
        base, wall = self.reference.wall.median, self.timing.wall.median
        found = {"wall": base / wall}
        if self.timing.device is not None:
            found["device"] = base / self.timing.device.median
        if self.transfer is not None:
            found["with_transfer"] = base / (wall + self.transfer.wall.median)
        return found

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        device = self.timing.device
        return {
            "row": self.row,
            "what": self.what,
            "device": self.device,
            "dtype": "float32",
            "wall": self.timing.wall.as_dict(),
            "device_time": None if device is None else device.as_dict(),
            "transfer": None if self.transfer is None else self.transfer.wall.as_dict(),
            "gflops": None if self.flops is None else self.flops / self.timing.wall.median / 1e9,
            "error": self.error,
            "tolerance": self.tolerance,
            "agrees": self.agrees,
            "speedup": self.speedups,
        }


def difference(result: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference, relative to the largest value of the reference; infinite for different shapes and NaN.

    Example:
        >>> difference(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
        0.5
    """
    if result.shape != reference.shape:
        return float("inf")
    if not result.size:
        return 0.0
    error = float(np.max(np.abs(result - reference)) / max(float(np.max(np.abs(reference))), 1e-30))
    return error if np.isfinite(error) else float("inf")


def run_rows(
    rows: Iterable[Row], devices: Sequence[str], plan: Plan | None = None, progress: Callable[[str], Any] | None = None
) -> list[Measured]:
    """Measure every row on every device; the first device is the reference.

    Args:
        rows: what to measure.
        devices: names such as ``"cpu"`` and ``"cuda"``.
        plan: how long to measure.
        progress: called with a line of text before each measurement.
    """
    return [measured for row in rows for measured in _run_row(row, devices, plan, progress or (lambda line: None))]


def _run_row(
    row: Row, devices: Sequence[str], plan: Plan | None, progress: Callable[[str], Any]
) -> Iterable[Measured]:
    reference: tuple[np.ndarray, Timing] | None = None
    for name in devices:
        progress(f"{row.name} on {name}")
        device = cr.device(name)
        backend = device.backend
        with backend.device_context(device.index or 0):
            work = row.build(device)
            result = work.result()
            target = _Host() if name == "cpu" else backend
            timing = measure(work.run, target, plan)
            transfer = None
            if name != "cpu":
                transfer = measure(lambda: _transfer(work, device), target, plan)  # noqa: B023 - called at once
        error = None if reference is None else difference(result, reference[0])
        measured = Measured(
            row=row.name,
            what=row.what,
            device=name,
            timing=timing,
            transfer=transfer,
            flops=row.flops,
            error=error,
            tolerance=row.tolerance,
            reference=None if reference is None else reference[1],
        )
        if reference is None:
            reference = result, timing
        yield measured


def _transfer(work: Any, device: Any) -> None:
    for array in work.inputs:
        cr.tensor(array, device=device)
    work.fetch()


class _Host:
    """The CPU has no second clock: its events would only repeat the wall-clock time."""

    event = None

    def synchronize(self) -> None:
        pass
