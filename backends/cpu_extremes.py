"""Positions of maxima and minima along an axis that is not innermost in memory, for the NumPy backend.

NumPy copies such an array to have the axis last, element by element. Here the extreme is found first, row by row, and
then the first place that has it: the largest of the numbers that count the places down, where the element is equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.base import Backend, kernel
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray

#: elements from which on this pays, those of one part for the threads, and the shortest rows
_WORTH = 1 << 12
_PART = 1 << 17
_SHORTEST = 16


def _first(x: Array, extreme: Any, out: Array) -> None:
    """The first place along the middle axis of x (outer, n, inner) that has the extreme; the first NaN if there is one.

    Into ``out`` (outer, inner).
    """
    length = x.shape[1]
    best = extreme.reduce(x, 1, keepdims=True)
    found = x == best
    if x.dtype.kind == "f" and (best != best).any():
        found |= x != x
    count = np.uint8 if length < 1 << 8 else np.uint16 if length < 1 << 16 else np.int64
    ahead = np.arange(length, 0, -1, dtype=count)[:, None]
    np.subtract(length, np.maximum.reduce(found * ahead, 1), out=out, dtype=np.int64)


def _place(x: Array, axis: int, extreme: Any) -> Array | None:
    """The places of the extremes of x along an axis, in an array without it; None where NumPy does as well."""
    if type(x) is not np.ndarray or x.size < _WORTH or x.dtype.kind not in "fiu" or not x.flags.c_contiguous:
        return None
    axis %= x.ndim
    length, inner = x.shape[axis], math.prod(x.shape[axis + 1 :])
    if inner < _SHORTEST:
        return None
    table = x.reshape(-1, length, inner)
    out = np.empty((len(table), inner), np.int64)
    parts = max(1, x.size // _PART)
    whole = ranges(len(table), min(parts, len(table)))
    columns = ranges(inner, max(1, min(parts // len(whole), inner // _SHORTEST)), _SHORTEST)

    def run(i: int) -> None:
        (a, b), (left, right) = whole[i // len(columns)], columns[i % len(columns)]
        _first(table[a:b, :, left:right], extreme, out[a:b, left:right])

    parallel(run, len(whole) * len(columns))
    return out.reshape(*x.shape[:axis], *x.shape[axis + 1 :])


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""

    def position(name: str, plain: Callable[..., Any], extreme: Any) -> None:
        @kernel(name, backend)
        def place(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
            if axis is not None and -x.ndim <= axis < x.ndim - 1:
                found = _place(x, axis, extreme)
                if found is not None:
                    return np.expand_dims(found, axis % x.ndim) if keepdims else found
            return plain(x, axis=axis, keepdims=keepdims)

    position("argmax", backend.xp.argmax, np.maximum)
    position("argmin", backend.xp.argmin, np.minimum)
