"""A line search whose result satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """A point on the line: how far along, the value there, its gradient, and its slope along the line."""

    t: float
    value: float
    gradient: Any
    slope: float


def strong_wolfe(
    at: Callable[[float], tuple[float, Any]],
    xp: Any,
    t: float,
    direction: Any,
    value: float,
    gradient: Any,
    slope: float,
    tolerance_change: float = 1e-9,
    max_calls: int = 25,
    *,
    decrease: float = 1e-4,
    curvature: float = 0.9,
) -> tuple[float, Any, float, int]:
    """Find a step at which the value is low enough and the slope flat enough (Nocedal and Wright, algorithm 3.5).

    Steps are chosen and bounded as PyTorch's ``LBFGS`` does, so that both walk the same way.

    Args:
        at: value and gradient at a step.
        xp: functions of the gradient's array library.
        t: the first step to try.
        direction: along which ``at`` moves.
        value, gradient, slope: at step 0.
        tolerance_change: the search ends when the bracket is smaller.
        max_calls: how many steps are tried at most after the first.
        decrease, curvature: the constants of the two conditions.

    Returns:
        Value, gradient and step of the point found, and how often ``at`` was called.

    Example:
        >>> import numpy as np
        >>> line = lambda t: ((t - 3.0) ** 2, np.array([2 * (t - 3.0)]))
        >>> value, gradient, t, calls = strong_wolfe(line, np, 0.1, np.ones(1), 9.0, np.array([-6.0]), -6.0)
        >>> round(t, 6)
        1.0
    """

    def point(t: float) -> Point:
        new_value, new_gradient = at(t)
        return Point(t, new_value, new_gradient, float(xp.matmul(new_gradient, direction)))

    def too_high(p: Point) -> bool:
        return p.value > value + decrease * p.t * slope

    def flat(p: Point) -> bool:
        return abs(p.slope) <= -curvature * slope

    start = before = Point(0.0, value, gradient, slope)
    here = point(t)
    calls, tries, done = 1, 0, False
    while True:  # walk until the way goes up, or the point will do
        if tries >= max_calls:
            low, high = start, here
            break
        if too_high(here) or (tries > 1 and here.value >= before.value):
            low, high = before, here
            break
        if flat(here):
            low = high = here
            done = True
            break
        if here.slope >= 0:
            low, high = before, here
            break
        bounds = (here.t + 0.01 * (here.t - before.t), here.t * 10)
        before, here = here, point(_cubic(before, here, bounds))
        calls, tries = calls + 1, tries + 1
    if low.value > high.value:
        low, high = high, low
    width = float(xp.max(xp.abs(direction)))
    stuck = False
    while not done and tries < max_calls and abs(high.t - low.t) * width >= tolerance_change:  # narrow the bracket
        left, right = sorted((low.t, high.t))
        t = _cubic(*sorted_by_step(low, high))
        edge = 0.1 * (right - left)
        if min(right - t, t - left) < edge:
            # near an end twice in a row, or outside: step away from that end
            if stuck or t >= right or t <= left:
                t = right - edge if abs(t - right) < abs(t - left) else left + edge
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        here = point(t)
        calls, tries = calls + 1, tries + 1
        if too_high(here) or here.value >= low.value:
            high = here
            if low.value > high.value:
                low, high = high, low
        else:
            if flat(here):
                done = True
            elif here.slope * (high.t - low.t) >= 0:
                high = low
            low = here
    return low.value, low.gradient, low.t, calls


def sorted_by_step(a: Point, b: Point) -> tuple[Point, Point]:
    """The two points from left to right."""
    return (a, b) if a.t <= b.t else (b, a)


def _cubic(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through two points with their slopes is least, inside of ``bounds`` (or between the points)."""
    left, right = sorted_by_step(a, b)
    low, high = bounds if bounds is not None else (left.t, right.t)
    d = left.slope + right.slope - 3 * (left.value - right.value) / (left.t - right.t)
    square = d * d - left.slope * right.slope
    if not square >= 0:
        return (low + high) / 2
    root = math.sqrt(square)
    denominator = right.slope - left.slope + 2 * root
    if denominator == 0:
        return (low + high) / 2
    return min(max(right.t - (right.t - left.t) * ((right.slope + root - d) / denominator), low), high)
