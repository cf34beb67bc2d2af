"""Elements of two arrays by a condition, limits, and running sums along rows.

NumPy's ``where`` branches for each element, which takes several times as long where the condition has no pattern; its
limits and running sums go element by element.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel
from chainrule.backends.compiled.crew import item, share
from chainrule.backends.compiled.flat import QUICK, alike, over
from chainrule.backends.compiled.jit import inlined, loop
from chainrule.backends.cpu_choices import chosen
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray

#: elements of one part for the threads
_PART = 1 << 18


@loop
def _choose(condition: Any, x: Any, y: Any, out: Any) -> None:
    """Of integers, as nothing is done with the numbers; an array of one element stands for all."""
    if x.size == 1 and y.size == 1:
        first, second = x[0], y[0]
        for i in range(out.size):
            out[i] = first if condition[i] else second
    elif x.size == 1:
        first = x[0]
        for i in range(out.size):
            b = y[i]
            out[i] = first if condition[i] else b
    elif y.size == 1:
        second = y[0]
        for i in range(out.size):
            a = x[i]
            out[i] = a if condition[i] else second
    else:
        for i in range(out.size):
            a, b = x[i], y[i]
            out[i] = a if condition[i] else b


def _where(condition: Any, *pair: Any) -> Any:
    return chosen(_choose, condition, *pair)


@inlined
def _at_least(x: Any, low: Any) -> Any:
    return low if x < low else x


@inlined
def _at_most(x: Any, high: Any) -> Any:
    return high if x > high else x


@item
def _limit_item(x: Any, out: Any, low: Any, high: Any) -> None:
    """NaN stays NaN, as it is neither below nor above."""
    for i in range(x.size):
        out[i] = _at_most(_at_least(x[i], low), high)


@loop
def _limit(crew: Any, items: Any, low: Any, high: Any, x: Any, out: Any) -> None:
    share(crew, items, _limit_item(items, (x, out), (low, high), ()))


def _clip(x: Array, min: Any = None, max: Any = None) -> Any:
    limits = [v for v in (min, max) if v is not None]
    if not alike("fd", x) or not all(type(v) in (int, float) and not math.isnan(v) for v in limits):
        return NotImplemented
    low = x.dtype.type(-math.inf if min is None else min)
    high = x.dtype.type(math.inf if max is None else max)
    return over(_limit, QUICK, x, before=(low, high))


@loop
def _running(x: Any, out: Any) -> None:
    """Four rows at a time: each addition of a row waits for the one before it."""
    rows, length = x.shape
    whole = rows // 4 * 4
    for r in range(0, whole, 4):
        a, b, c, d = x[r, 0], x[r + 1, 0], x[r + 2, 0], x[r + 3, 0]
        out[r, 0], out[r + 1, 0], out[r + 2, 0], out[r + 3, 0] = a, b, c, d
        for j in range(1, length):
            a += x[r, j]
            b += x[r + 1, j]
            c += x[r + 2, j]
            d += x[r + 3, j]
            out[r, j] = a
            out[r + 1, j] = b
            out[r + 2, j] = c
            out[r + 3, j] = d
    for r in range(whole, rows):
        total = x[r, 0]
        out[r, 0] = total
        for j in range(1, length):
            total += x[r, j]
            out[r, j] = total


@loop
def _running_down(x: Any, out: Any, left: int, right: int) -> None:
    for c in range(left, right):
        out[0, c] = x[0, c]
    for r in range(1, x.shape[0]):
        for c in range(left, right):
            out[r, c] = out[r - 1, c] + x[r, c]


def _cumulative_sum(x: Array, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    if axis is None or dtype is not None or include_initial or not -x.ndim <= axis < x.ndim:
        return NotImplemented
    if x.dtype.char not in "fd" or not x.flags.c_contiguous or not x.flags.behaved or not x.size:
        return NotImplemented
    axis %= x.ndim
    length, inner = x.shape[axis], math.prod(x.shape[axis + 1 :])
    outer = x.size // (length * inner)
    out = np.empty_like(x)
    if inner == 1:
        rows, target = x.reshape(outer, length), out.reshape(outer, length)
        parts = ranges(outer, x.size // _PART, 4)
        parallel(lambda i: _running(rows[slice(*parts[i])], target[slice(*parts[i])]), len(parts))
        return out
    if outer > 1 or inner < 64:
        return NotImplemented
    table, sums = x.reshape(length, inner), out.reshape(length, inner)
    columns = ranges(inner, x.size // _PART, 64)
    parallel(lambda i: _running_down(table, sums, *columns[i]), len(columns))
    return out


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    kernels: dict[str, Callable[..., Any]] = {"where": _where, "clip": _clip, "cumulative_sum": _cumulative_sum}
    for op, function in kernels.items():
        compiled_kernel(op, backend)(function)
