"""Losses of differences and their gradients: one pass over memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, flat
from chainrule.backends.compiled.crew import crew, item, share
from chainrule.backends.compiled.flat import QUICK, over
from chainrule.backends.compiled.jit import at, inlined, loop
from chainrule.backends.compiled.sums import SUMMED


@inlined
def _limited(v: Any, bound: Any) -> Any:
    v = -bound if v < -bound else v
    return bound if v > bound else v


@inlined
def _huber_of(difference: Any, bound: Any, half: Any, scale: Any) -> Any:
    limited = _limited(difference, bound)
    return (difference - limited * half) * (limited * scale)


@item
def _huber_item(x: Any, y: Any, out: Any, bound: Any, scale: Any) -> None:
    half = out.dtype.type(0.5)
    for i in range(out.size):
        out[i] = _huber_of(at(x, i) - y[i], bound, half, scale)


@loop
def _huber(crew: Any, items: Any, bound: Any, scale: Any, x: Any, y: Any, out: Any) -> None:
    share(crew, items, _huber_item(items, (x, y, out), (bound, scale), ()))


@item
def _huber_back_item(g: Any, x: Any, y: Any, out: Any, bound: Any, scale: Any) -> None:
    for i in range(out.size):
        out[i] = at(g, i) * (_limited(x[i] - y[i], bound) * scale)


@loop
def _huber_back(crew: Any, items: Any, bound: Any, scale: Any, g: Any, x: Any, y: Any, out: Any) -> None:
    share(crew, items, _huber_back_item(items, (g, x, y, out), (bound, scale), ()))


@item
def _difference_item(x: Any, y: Any, out: Any, factor: Any) -> None:
    for i in range(out.size):
        out[i] = (at(x, i) - y[i]) * factor


@loop
def _difference(crew: Any, items: Any, factor: Any, x: Any, y: Any, out: Any) -> None:
    share(crew, items, _difference_item(items, (x, y, out), (factor,), ()))


@item
def _squares_item(x: Any, y: Any, sums: Any) -> None:
    """A few thousand are added up in their own dtype, the sums of these in float64."""
    total = 0.0
    for a in range(0, x.size, SUMMED):
        part = x.dtype.type(0)
        for i in range(a, min(a + SUMMED, x.size)):
            difference = x[i] - y[i]
            part += difference * difference
        total += part
    sums[0] = total


@loop
def _squares(crew: Any, items: Any, x: Any, y: Any) -> float:
    sums = np.empty((items, 1))
    share(crew, items, _squares_item(items, (x, y), (), (sums,)))
    total = 0.0
    for i in range(items):
        total += sums[i, 0]
    return total


def _mean_squared_error(x: Any, y: Any) -> Any:
    if not flat.alike("fd", x, y) or not x.size:
        return NotImplemented
    arrays = flat.flat(x, y)
    if arrays is None:
        return NotImplemented
    items = flat.items_of(x.size, QUICK)
    return x.dtype.type(_squares(crew(items, items >= flat.WORTH_WAKING), items, *arrays) / x.size)


def _scaled_difference(g: Any, x: Any, y: Any) -> Any:
    if not flat.alike("fd", x, y) or np.ndim(g) or g.dtype != x.dtype:
        return NotImplemented
    return over(_difference, QUICK, x, y, before=(x.dtype.type(g),))


def _huber_numbers(bound: float, relative: bool) -> tuple[float, float]:
    return bound, 1 / bound if relative else 1.0


KERNELS: dict[str, tuple[Any, ...]] = {
    "huber": (_huber, QUICK, "fd", _huber_numbers),
    "huber_back": (_huber_back, QUICK, "fd", _huber_numbers),
}


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    flat.register(backend, KERNELS)
    compiled_kernel("mean_squared_error", backend)(_mean_squared_error)
    compiled_kernel("scaled_difference", backend)(_scaled_difference)
