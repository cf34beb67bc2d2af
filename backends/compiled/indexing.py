"""Reading by index and adding by index: every element is read once and written once.

The loops check no bounds, or tell about an index that is out of them by their result: the plain kernel then raises.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel
from chainrule.backends.compiled.jit import loop
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray

#: elements of one part for the threads, about 100 us
_PART = 1 << 17

#: rows from this length on are summed one target after the other
_WIDE = 4

#: rows from this length on are cut into columns for the threads; pieces of shorter ones would share cache lines
_LONG = 1 << 10

#: the most parts that each look through all row numbers
_LOOKS = 8

_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@loop
def _by_target(rows: Any, ends: Any, order: Any) -> None:
    """Counting sort: ``order`` has the numbers of the rows with target 0, then those with 1, and so on; ``ends[t]`` is
    where those of t end, and ``ends[t - 1]`` where they begin. ``ends`` must be zeros.
    """
    for i in range(rows.size):
        ends[rows[i]] += 1
    total = 0
    for t in range(ends.size):
        total, ends[t] = total + ends[t], total
    for i in range(rows.size):
        t = rows[i]
        order[ends[t]] = i
        ends[t] += 1


@loop
def _sum_targets(block: Any, order: Any, ends: Any, base: Any, has_base: bool, out: Any, first: int, last: int) -> None:
    width = block.shape[1]
    for t in range(first, last):
        if has_base:
            for c in range(width):
                out[t, c] = base[t, c]
        else:
            for c in range(width):
                out[t, c] = 0
        for k in range(ends[t - 1] if t else 0, ends[t]):
            i = order[k]
            for c in range(width):
                out[t, c] += block[i, c]


@loop
def _add_columns(table: Any, rows: Any, block: Any, first: int, last: int) -> None:
    for i in range(rows.size):
        t = rows[i]
        for c in range(first, last):
            table[t, c] += block[i, c]


@loop
def _add_rows(table: Any, rows: Any, block: Any, first: int, last: int) -> None:
    """Those whose target is in the range from first to last."""
    for i in range(rows.size):
        t = rows[i]
        if first <= t < last:
            for c in range(block.shape[1]):
                table[t, c] += block[i, c]


@loop
def _gather(x: Any, index: Any, out: Any, first: int, last: int) -> bool:
    length = x.shape[1]
    for o in range(first, last):
        for i in range(index.shape[1]):
            for c in range(index.shape[2]):
                k = index[o, i, c]
                if k < 0 or k >= length:
                    return False
                out[o, i, c] = x[o, k, c]
    return True


@loop
def _gather_last(x: Any, index: Any, out: Any, first: int, last: int) -> bool:
    length = x.shape[1]
    for o in range(first, last):
        for i in range(index.shape[1]):
            k = index[o, i]
            if k < 0 or k >= length:
                return False
            out[o, i] = x[o, k]
    return True


@loop
def _scatter(out: Any, index: Any, src: Any, first: int, last: int, left: int, right: int) -> bool:
    length = out.shape[1]
    for o in range(first, last):
        for i in range(index.shape[1]):
            for c in range(left, right):
                k = index[o, i, c]
                if k < 0 or k >= length:
                    return False
                out[o, k, c] += src[o, i, c]
    return True


@loop
def _place(out: Any, index: Any, src: Any, first: int, last: int, left: int, right: int) -> bool:
    length = out.shape[1]
    for o in range(first, last):
        for i in range(index.shape[1]):
            for c in range(left, right):
                k = index[o, i, c]
                if k < 0 or k >= length:
                    return False
                out[o, k, c] = src[o, i, c]
    return True


def _rows_summed(block: Array, rows: Array, base: Array | None = None, *, count: int) -> Any:
    width = block.shape[1]
    if block.dtype.char not in "fdlq" or (base is not None and base.dtype != block.dtype):
        return NotImplemented
    block, rows = np.ascontiguousarray(block), np.ascontiguousarray(rows, np.int64)
    if width < _WIDE:
        out = np.zeros((count, width), block.dtype) if base is None else base.copy("C")
        _add_columns(out, rows, block, 0, width)
        return out
    out = np.empty((count, width), block.dtype)
    ends, order = np.zeros(count, np.int64), np.empty(rows.size, np.int64)
    _by_target(rows, ends, order)
    start = out if base is None else np.ascontiguousarray(base)
    work = count * width + block.size
    parts = ranges(count, work // _PART)

    def run(i: int) -> None:
        _sum_targets(block, order, ends, start, base is not None, out, *parts[i])

    parallel(run, len(parts))
    return out


def _rows_added(table: Array, rows: Array, block: Array) -> Any:
    """Row i of ``block`` added to row ``rows[i]`` of a table, in place."""
    if block.dtype.char not in "fdlq" or table.dtype != block.dtype or not table.flags.c_contiguous:
        return NotImplemented
    block, rows = np.ascontiguousarray(block), np.ascontiguousarray(rows, np.int64)
    pieces = block.size // _PART
    if table.shape[1] < _WIDE:  # little to share
        _add_columns(table, rows, block, 0, table.shape[1])
    elif table.shape[1] >= _LONG:
        columns = ranges(table.shape[1], pieces, 16)
        parallel(lambda i: _add_columns(table, rows, block, *columns[i]), len(columns))
    else:  # every part looks at all numbers
        parts = ranges(len(table), min(pieces, _LOOKS))
        parallel(lambda i: _add_rows(table, rows, block, *parts[i]), len(parts))
    return None


def _three(index: Array, axis: int, shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """A shape as (before, along, behind the axis), where an index has the same lengths but along it, and does not name
    whole rows.
    """
    if index.ndim != len(shape) or index.dtype.kind not in "iu" or not index.size:
        return None
    others = [d for d in range(len(shape)) if d != axis]
    if any(index.shape[d] != shape[d] for d in others):
        return None
    if math.prod(shape[axis + 1 :]) > 1 and all(index.strides[d] == 0 or shape[d] == 1 for d in others):
        return None
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def _gathered(x: Array, index: Array, *, axis: int) -> Any:
    three = _three(index, axis, x.shape)
    if three is None or x.dtype.itemsize not in _UNSIGNED:
        return NotImplemented
    outer, _, inner = three
    kind = _UNSIGNED[x.dtype.itemsize]
    table = np.ascontiguousarray(x).view(kind).reshape(three)
    where = np.ascontiguousarray(index, np.int64).reshape(outer, -1, inner)
    out = np.empty(where.shape, kind)
    found = [True]
    if inner == 1:
        if outer == 1:
            return NotImplemented  # NumPy's take is as good
        table, where, flat = table[:, :, 0], where[:, :, 0], out[:, :, 0]
        parts = ranges(outer, where.size // _PART)

        def run(i: int) -> None:
            if not _gather_last(table, where, flat, *parts[i]):
                found[0] = False

    else:
        parts = ranges(outer, where.size // _PART)

        def run(i: int) -> None:
            if not _gather(table, where, out, *parts[i]):
                found[0] = False

    parallel(run, len(parts))
    return out.view(x.dtype).reshape(index.shape) if found[0] else NotImplemented


def _written(write: Any, out: Array, src: Array, index: Array, axis: int, kind: Any) -> Any:
    """Write or add the elements of ``src`` into ``out``, both seen as of another dtype."""
    three = _three(index, axis, out.shape)
    if three is None or src.shape != index.shape or src.dtype != out.dtype:
        return NotImplemented
    outer, _, inner = three
    where = np.ascontiguousarray(index, np.int64).reshape(outer, -1, inner)
    values = np.ascontiguousarray(src).view(kind).reshape(where.shape)
    target = out.view(kind).reshape(three)
    found = [True]
    # different parts write to different elements
    if outer > 1:
        parts = [(a, b, 0, inner) for a, b in ranges(outer, where.size // _PART)]
    else:
        parts = [(0, 1, a, b) for a, b in ranges(inner, min(8, where.size // _PART), 16)]

    def run(i: int) -> None:
        if not write(target, where, values, *parts[i]):
            found[0] = False

    parallel(run, len(parts))
    return out if found[0] else NotImplemented


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    compiled_kernel("rows_summed", backend)(_rows_summed)
    compiled_kernel("rows_added", backend)(_rows_added)
    compiled_kernel("gather", backend)(_gathered)

    @compiled_kernel("gather_back", backend)
    def gather_back(x: Array, index: Array, *, shape: tuple[int, ...], axis: int) -> Any:
        if x.dtype.char not in "fdlq":
            return NotImplemented
        return _written(_scatter, np.zeros(shape, x.dtype), x, index, axis, x.dtype)

    @compiled_kernel("scatter_add", backend)
    def scatter_add(x: Array, index: Array, src: Array, *, axis: int) -> Any:
        if x.dtype.char not in "fdlq":
            return NotImplemented
        return _written(_scatter, x.copy("C"), src, index, axis, x.dtype)

    @compiled_kernel("scatter_put", backend)
    def scatter_put(x: Array, index: Array, src: Array, *, axis: int) -> Any:
        if x.dtype.itemsize not in _UNSIGNED or not x.ndim:
            return NotImplemented
        return _written(_place, x.copy("C"), src, index, axis, _UNSIGNED[x.dtype.itemsize])
