"""Sines and cosines of float32 numbers, and their gradients: one pass over memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, elementary
from chainrule.backends.compiled.crew import crew, item, share
from chainrule.backends.compiled.flat import QUICK, SLOW, WORTH_WAKING, alike, items_of, kernel
from chainrule.backends.compiled.jit import at, loop
from chainrule.backends.cpu_elementwise import flat


@item
def _sin_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = elementary.sin(x[i])


@loop
def _sin(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _sin_item(items, (x, out), (), ()))


@item
def _cos_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = elementary.cos(x[i])


@loop
def _cos(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _cos_item(items, (x, out), (), ()))


@item
def _sin_back_item(g: Any, x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = at(g, i) * elementary.cos(x[i])


@loop
def _sin_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _sin_back_item(items, (g, x, out), (), ()))


@item
def _cos_back_item(g: Any, x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = -at(g, i) * elementary.sin(x[i])


@loop
def _cos_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _cos_back_item(items, (g, x, out), (), ()))


@item
def _too_large_item(x: Any, found: Any) -> None:
    count = 0
    for i in range(x.size):
        count += abs(x[i]) > elementary.LARGEST_ANGLE
    found[0] = count


@loop
def _too_large(crew: Any, items: int, x: Any) -> int:
    found = np.zeros((items, 1), np.int64)
    share(crew, items, _too_large_item(items, (x,), (), (found,)))
    return found.sum()


def _of_angles(compute: Callable[..., object]) -> Callable[..., Any]:
    """The op of an array of angles, which comes last; NumPy's where one of them is too large."""
    run = kernel(compute, SLOW, "f")

    def of_angles(*arrays: Any) -> Any:
        x = flat(arrays[-1]) if alike("f", *arrays) else None
        if x is None:
            return NotImplemented
        items = items_of(x[0].size, QUICK)
        if _too_large(crew(items, items >= WORTH_WAKING), items, x[0]):
            return NotImplemented
        return run(*arrays)

    return of_angles


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    for op, compute in {"sin": _sin, "cos": _cos, "sin_back": _sin_back, "cos_back": _cos_back}.items():
        compiled_kernel(op, backend)(_of_angles(compute))
