"""Stable orders on the CPU by sorting numbers that hold a value and its place.

NumPy's stable sorts take ten times as long as its sort of 64-bit integers, which uses vector instructions and
partitions without sorting. A value of up to 32 bits, as an integer of the same order, and below it the place where it
stands are one such integer: no two are equal, so any sort of them is stable.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray

#: elements from which on the detour pays
_WORTH = 1 << 10

#: elements of one part for the threads
_PART = 1 << 16

_LOW = np.int64(0xFFFFFFFF)


def _ranks(x: Array, descending: bool) -> tuple[Array, int] | None:
    """x as int64 numbers of the same order, equal where x is, and the bits below them that are free; None where it
    takes more than 32 bits. NaN is the largest.
    """
    kind, size = x.dtype.kind, x.dtype.itemsize
    if kind == "f" and size == 2:
        x, size = x.astype(np.float32), 4
    if kind == "f" and size == 4:
        bits = (x + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0
        ranks = np.right_shift(bits, 31)
        ranks &= 0x7FFFFFFF
        ranks ^= bits
        missing = x != x
        if missing.any():
            ranks[missing] = 0x7FFFFFFF
        shift = 32
    elif kind in "biu" and size <= 4:
        ranks, shift = x.astype(np.int64), 32
        if kind == "u" and size == 4:
            ranks -= 1 << 31
    elif kind in "iu" and x.size:
        low, high = int(x.min()), int(x.max())
        shift = max(1, (x.shape[-1] - 1).bit_length())
        if (high - low).bit_length() + shift > 62 or high >= 1 << 63:
            return None
        ranks = x.astype(np.int64) - low
    else:
        return None
    if descending:
        np.invert(ranks, out=ranks)
    return ranks.astype(np.int64, copy=False), shift


def _packed(x: Array, descending: bool) -> tuple[Array, int] | None:
    """For each value of (rows, n) a number: its rank among the values and, below, its place in the row; and the bits
    of the place.
    """
    ranked = _ranks(x, descending)
    if ranked is None:
        return None
    numbers, shift = ranked
    numbers = numbers << shift
    numbers |= np.arange(x.shape[1])
    return numbers, (1 << shift) - 1


def _order(x: Array, descending: bool) -> Array:
    """The stable order of each row of (rows, n)."""
    packed = _packed(x, descending)
    if packed is not None:
        numbers, mask = packed
        numbers.sort(axis=1)
        numbers &= mask
        return numbers
    if descending:  # as the order of the reversed row, reversed
        return x.shape[1] - 1 - _order(np.ascontiguousarray(x[:, ::-1]), False)[:, ::-1]
    order = np.argsort(x, axis=1)
    ordered = np.take_along_axis(x, order, 1)
    new = ordered[:, 1:] != ordered[:, :-1]
    new &= (ordered[:, 1:] == ordered[:, 1:]) | (ordered[:, :-1] == ordered[:, :-1])  # NaN are equal here
    if not new.all():  # sort the places of equal values
        runs = np.zeros(x.shape, np.int64)
        np.cumsum(new, axis=1, out=runs[:, 1:])
        runs <<= 32
        runs |= order
        runs.sort(axis=1)
        runs &= _LOW
        return runs
    return order


def _part_of_order(x: Array, descending: bool, first: int, last: int) -> Array:
    """Ranks first to last - 1 of the stable order of each row."""
    length = x.shape[1]
    packed = _packed(x, descending) if last - first <= length // 2 else None
    if packed is None:
        return _order(x, descending)[:, first:last]
    numbers, mask = packed
    bounds = {first, last - 1} - {0}
    if bounds:
        numbers.partition(sorted(bounds), axis=1)
    if first == 0 and last == 1:
        chosen = numbers.min(axis=1, keepdims=True)
    else:
        chosen = numbers[:, first:last].copy()
        chosen.sort(axis=1)
    chosen &= mask
    return chosen


def _along(x: Array, axis: int, first: int, last: int, descending: bool) -> Array | None:
    """Ranks first to last - 1 of the stable order along an axis; None for what the plain kernel does as well."""
    if x.dtype.kind == "V":  # bfloat16
        x = x.astype(np.float32)
    if x.size < _WORTH or x.dtype.kind not in "biuf" or x.dtype.itemsize > 8 or x.shape[axis] >= 1 << 31:
        return None
    moved = np.moveaxis(x, axis, -1)
    length = moved.shape[-1]
    rows = np.ascontiguousarray(moved).reshape(-1, length)
    count = last - first
    out = np.empty((rows.shape[0], count), np.int64)
    parts = ranges(rows.shape[0], max(1, x.size // _PART))

    def run(i: int) -> None:
        a, b = parts[i]
        if count == length:
            out[a:b] = _order(rows[a:b], descending)
        elif count:
            out[a:b] = _part_of_order(rows[a:b], descending, first, last)

    parallel(run, len(parts))
    return np.ascontiguousarray(np.moveaxis(out.reshape(*moved.shape[:-1], count), -1, axis))


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    xp = backend.xp
    plain = xp.argsort

    @kernel("argsort", backend)
    def argsort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
        inside = -x.ndim <= axis < x.ndim
        out = _along(x, axis % x.ndim, 0, x.shape[axis], descending) if inside else None
        return plain(x, axis=axis, descending=descending, stable=stable) if out is None else out

    @kernel("part_of_order", backend)
    def part_of_order(x: Array, *, axis: int, first: int, last: int, descending: bool) -> Any:
        out = _along(x, axis, first, last, descending)
        if out is not None:
            return out
        return FORWARDS["part_of_order"](xp, x, axis=axis, first=first, last=last, descending=descending)

    @kernel("argument_of_median", backend)
    def argument_of_median(x: Array, *, axis: int, skip_nan: bool) -> Any:
        n = x.shape[axis]
        if x.size >= _WORTH and not (x != x).any():
            return part_of_order(x, axis=axis, first=(n - 1) // 2, last=(n - 1) // 2 + 1, descending=False)
        return FORWARDS["argument_of_median"](xp, x, axis=axis, skip_nan=skip_nan)
