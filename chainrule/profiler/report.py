"""``cr.why_slow``: one step profiled, and what to do about it."""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chainrule.profiler.advice import Advice, advise
from chainrule.profiler.averages import seconds, size
from chainrule.profiler.recording import profile


@dataclass
class Report:
    """What :func:`chainrule.why_slow` found; printed it shows the advice and where the time goes."""

    advice: list[Advice]  #: that with the largest share first
    profile: profile
    steps: int

    def __str__(self) -> str:
        p = self.profile
        forward = sum(e.self_time for e in p.events if e.kind == "op" and e.direction == "forward")
        backward = sum(e.self_time for e in p.events if e.direction == "backward")
        lines = [
            f"{seconds(p.total_time / self.steps)} a step: forward {self._share(forward)}, backward "
            f"{self._share(backward)}, Python outside of operations {self._share(p.outside)}; "
            f"{size(p.saved_bytes // self.steps)} saved"
        ]
        lines += [str(a) for a in self.advice] or ["no advice: nothing that is known to be slow takes much of the time"]
        return "\n".join([*lines, "", p.table(row_limit=8)])

    def _share(self, time: float) -> str:
        return f"{100 * time / self.profile.total_time:.0f}%" if self.profile.total_time > 0 else "-"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def why_slow(
    step: Callable[..., Any],
    *args: Any,
    warmup: int = 3,
    steps: int = 1,
    synchronize: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """Profile ``step(*args)``, and give advice in the order of the time that it concerns.

    Each piece of advice has a threshold, and is given where its measured share of the time is above it
    (``chainrule/profiler/advice.py`` has the table). The shares overlap: a small operation may also be part of a loop.

    Args:
        step: a function that does what is slow, such as a training step with its optimizer and its loader.
        args: what it is called with.
        warmup: calls before the one that is profiled. The step changes parameters in these too.
        steps: how many calls to profile.
        synchronize: wait for the device after each operation, so that times are the device's.
        clock: gives seconds.

    Raises:
        TypeError: ``step`` cannot be called. ValueError: ``steps`` or ``warmup`` is too small. What ``step`` raises.

    Example:
        >>> import chainrule as cr
        >>> model = cr.nn.Linear(4, 2)
        >>> optimizer = cr.optim.SGD(model.parameters(), lr=0.1)
        >>> def step(x):
        ...     optimizer.zero_grad()
        ...     model(x).square().mean().backward()
        ...     optimizer.step()
        >>> report = cr.why_slow(step, cr.ones(8, 4))
        >>> print(report)  # doctest: +SKIP
        >>> isinstance(report.advice, list)
        True
    """
    if not callable(step):
        raise TypeError(f"why_slow: step must be a function, got {type(step).__name__}")
    if warmup < 0 or steps < 1:
        raise ValueError(f"why_slow: expected warmup >= 0 and steps >= 1, got warmup={warmup}, steps={steps}")
    for _ in range(warmup):
        step(*args)
    with profile(record_shapes=True, with_stack=True, synchronize=synchronize, clock=clock) as p:
        for _ in range(steps):
            step(*args)
    return Report(advise(p), p, steps)
