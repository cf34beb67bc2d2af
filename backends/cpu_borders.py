"""Joining, padding and triangles of large arrays in parts, for the NumPy backend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray

#: elements of the result from which on threads share the work, and those of one part
_WORTH = 1 << 19
_PART = 1 << 18

#: elements from which on triangles are cut out in blocks, and the rows of a block
_TRIANGLES = 1 << 15
_ROWS = 128


def _concat(arrays: Any, axis: Any) -> Array | None:
    """The arrays joined, where each part of the work writes to a range of the result's first dimension.

    None where NumPy does as well, or has an error to tell.
    """
    first = arrays[0]
    if sum([a.size for a in arrays]) < _WORTH or type(axis) is not int or not -first.ndim <= axis < first.ndim:
        return None
    if any(type(a) is not np.ndarray or a.dtype != first.dtype or a.ndim != first.ndim for a in arrays):
        return None
    if any(not a.flags.c_contiguous and any(a.strides) for a in arrays):  # NumPy chooses the memory order
        return None
    axis %= first.ndim
    lengths = [a.shape[axis] for a in arrays]
    if any((*a.shape[:axis], *a.shape[axis + 1 :]) != (*first.shape[:axis], *first.shape[axis + 1 :]) for a in arrays):
        return None
    out = np.empty((*first.shape[:axis], sum(lengths), *first.shape[axis + 1 :]), first.dtype)
    ends = np.cumsum(lengths).tolist()
    targets = [out[(slice(None),) * axis + (slice(b - n, b),)] for n, b in zip(lengths, ends, strict=True)]
    tasks = []
    for array, target in zip(arrays, targets, strict=True):
        pieces = ranges(len(array), max(1, array.size // _PART))
        tasks += [(array[a:b], target[a:b]) for a, b in pieces]

    def run(i: int) -> None:
        source, target = tasks[i]
        target[...] = source

    parallel(run, len(tasks))
    return out


def _padded(x: Array, widths: Sequence[tuple[int, int]], value: Any) -> Array:
    """x with a border, in parts along the first dimension that has several elements."""
    shape = tuple([n + low + high for n, (low, high) in zip(x.shape, widths, strict=True)])
    out = np.empty(shape, x.dtype)
    axis = next(i for i, n in enumerate(x.shape) if n > 1)
    inner = (slice(None),) * (axis + 1)
    ahead = tuple([slice(low, low + n) for n, (low, _) in zip(x.shape[:axis], widths, strict=False)])
    after = tuple([slice(low, low + n) for n, (low, _) in zip(x.shape, widths, strict=True)][axis + 1 :])
    parts = ranges(shape[axis], math.prod(shape) // _PART)
    start, length = widths[axis][0], x.shape[axis]

    def run(i: int) -> None:
        a, b = parts[i]
        out[(*inner[:-1], slice(a, b))] = value
        a, b = max(a, start), min(b, start + length)
        if a < b:
            out[(*ahead, slice(a, b), *after)] = x[(*inner[:-1], slice(a - start, b - start))]

    parallel(run, len(parts))
    return out


def _triangle(x: Array, k: int, lower: bool) -> Array:
    """What is on one side of diagonal k (and on it), zeros on the other; in blocks of rows."""
    rows, columns = x.shape[-2:]
    out = np.empty(x.shape, x.dtype)
    blocks = ranges(rows, max(1, -(-rows // _ROWS)))

    def run(i: int) -> None:
        a, b = blocks[i]
        source, target = x[..., a:b, :], out[..., a:b, :]
        # columns before `left` are below the diagonal in all these rows, those from `right` on above
        left, right = (min(max(edge, 0), columns) for edge in ((a + k + 1, b + k) if lower else (a + k, b + k - 1)))
        kept, cleared = (slice(0, left), slice(right, columns)) if lower else (slice(right, columns), slice(0, left))
        target[..., kept] = source[..., kept]
        target[..., cleared] = 0
        if left < right:
            here = np.tri(b - a, right - left, a + k - left - (not lower), dtype=bool)
            middle = target[..., left:right]
            middle[...] = 0
            np.copyto(middle, source[..., left:right], where=here if lower else ~here)

    if x.size < _WORTH:
        for i in range(len(blocks)):
            run(i)
    else:
        parallel(run, len(blocks))
    return out


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    xp: Any = backend.xp
    plain = xp.concat

    def concat(arrays: Any, /, *, axis: Any = 0) -> Any:
        out = _concat(arrays, axis) if len(arrays) > 1 else None
        return plain(arrays, axis=axis) if out is None else out

    xp.concat = concat

    @kernel("pad_constant", backend)
    def pad_constant(x: Array, *, widths: Any, value: Any) -> Any:
        if x.size < _WORTH or type(x) is not np.ndarray:
            return FORWARDS["pad_constant"](xp, x, widths=widths, value=value)
        return _padded(x, widths, value)

    def triangle(name: str, whole: Any, lower: bool) -> None:
        @kernel(name, backend)
        def part(x: Array, /, *, k: int = 0) -> Any:
            if x.size < _TRIANGLES or x.ndim < 2 or x.dtype.kind not in "fiu":
                return whole(x, k=k)
            return _triangle(x, k, lower)

    triangle("tril", xp.tril, True)
    triangle("triu", xp.triu, False)
