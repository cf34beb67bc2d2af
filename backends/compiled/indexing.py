"""Reading by index and adding by index: every element is read once and written once.

The loops check no bounds, or tell about an index that is out of them by their result: the plain kernel then raises.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel
from chainrule.backends.compiled.crew import crew, item, share
from chainrule.backends.compiled.flat import SLOW, items_of
from chainrule.backends.compiled.jit import loop
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray

#: elements of one part for the threads, about 100 us
_PART = 1 << 17

#: rows from this length on are summed one target after the other
_WIDE = 4

#: rows from this length on are cut into columns for the threads; pieces of shorter ones would share cache lines
_LONG = 1 << 10

#: items of work that are worth waking a helper that sleeps
_WORTH_WAKING = 16

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


@item
def _gather_item(index: Any, out: Any, x: Any, found: Any, bounds: Any) -> None:
    """Rows (outer, i) of ``out`` from ``bounds[0]`` to ``bounds[1]``, all rows (outer, k) of x being at hand."""
    length, width = x.shape[1], index.shape[2]
    for row in range(bounds[0], bounds[1]):
        o, i = row // index.shape[1], row % index.shape[1]
        for c in range(width):
            k = index[o, i, c]
            if k < 0 or k >= length:
                found[0] = 0
                return
            out[o, i, c] = x[o, k, c]


@loop
def _gather(crew: Any, items: int, whole: Any, each: Any) -> None:
    share(crew, items, _gather_item(items, (), whole, each))


@item
def _gather_last_item(index: Any, out: Any, x: Any, found: Any) -> None:
    length = x.shape[1]
    for o in range(index.shape[0]):
        for i in range(index.shape[1]):
            k = index[o, i]
            if k < 0 or k >= length:
                found[0] = 0
                return
            out[o, i] = x[o, k]


@loop
def _gather_last(crew: Any, items: int, split: Any, each: Any) -> None:
    share(crew, items, _gather_last_item(items, split, (), each))


@item
def _scatter_item(out: Any, base: Any, index: Any, src: Any, has_base: bool, adds: bool, found: Any, at: Any) -> None:
    """``out`` (outer, k, inner) as ``base`` or zeros, with ``src`` added or put in; a block of outer rows and columns.

    What is filled is still in the cache when it is written into.
    """
    length = out.shape[1]
    for o in range(at[0], at[1]):
        if has_base:
            for k in range(length):
                for c in range(at[2], at[3]):
                    out[o, k, c] = base[o, k, c]
        else:
            for k in range(length):
                for c in range(at[2], at[3]):
                    out[o, k, c] = 0
        for i in range(index.shape[1]):
            for c in range(at[2], at[3]):
                k = index[o, i, c]
                if k < 0 or k >= length:
                    found[0] = 0
                    return
                if adds:
                    out[o, k, c] += src[o, i, c]
                else:
                    out[o, k, c] = src[o, i, c]


@loop
def _scatter(crew: Any, items: int, whole: Any, each: Any) -> None:
    share(crew, items, _scatter_item(items, (), whole, each))


@item
def _scatter_last_item(out: Any, base: Any, index: Any, src: Any, has_base: bool, adds: bool, found: Any) -> None:
    """The same along the last axis."""
    length = out.shape[1]
    for o in range(out.shape[0]):
        for k in range(length):
            out[o, k] = base[o, k] if has_base else out.dtype.type(0)
        for i in range(index.shape[1]):
            k = index[o, i]
            if k < 0 or k >= length:
                found[0] = 0
                return
            if adds:
                out[o, k] += src[o, i]
            else:
                out[o, k] = src[o, i]


@loop
def _scatter_last(crew: Any, items: int, split: Any, whole: Any, each: Any) -> None:
    share(crew, items, _scatter_last_item(items, split, whole, each))


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
    if inner == 1:
        if outer == 1:
            return NotImplemented  # NumPy's take is as good
        items = min(outer, items_of(where.size, SLOW))
        found = np.ones((items, 1), np.int64)
        split = (where.reshape(outer, -1), out.reshape(outer, -1), table.reshape(outer, -1))
        _gather_last(crew(items, items >= _WORTH_WAKING), items, split, (found,))
    else:
        blocks = ranges(outer * where.shape[1], items_of(where.size, SLOW))
        items, found = len(blocks), np.ones((len(blocks), 1), np.int64)
        _gather(crew(items, items >= _WORTH_WAKING), items, (where, out, table), (found, np.array(blocks)))
    return out.view(x.dtype).reshape(index.shape) if found.all() else NotImplemented


def _written(
    base: Array | None, shape: tuple[int, ...], src: Array, index: Array, axis: int, kind: Any, adds: bool
) -> Any:
    """A copy of ``base``, or zeros of a shape, with the elements of ``src``, as of a dtype, written or added into it.

    NotImplemented where that is nothing for the loops.
    """
    three = _three(index, axis, shape)
    if three is None or src.shape != index.shape or (base is not None and base.dtype != src.dtype):
        return NotImplemented
    outer, _, inner = three
    where = np.ascontiguousarray(index, np.int64).reshape(outer, -1, inner)
    values = np.ascontiguousarray(src).view(kind).reshape(where.shape)
    out = np.empty(shape, src.dtype)
    target = out.view(kind).reshape(three)
    start = target if base is None else np.ascontiguousarray(base).view(kind).reshape(three)
    items = items_of(where.size + out.size, SLOW)
    arrays, modes = (target, start, where, values), (base is not None, adds)
    if inner == 1 and outer > 1:
        items = min(items, outer)
        found = np.ones((items, 1), np.int64)
        split = tuple([a.reshape(outer, -1) for a in arrays])
        _scatter_last(crew(items, items >= _WORTH_WAKING), items, split, modes, (found,))
    else:  # different items write to different elements
        rows = ranges(outer, items) if outer > 1 else [(0, 1)]
        columns = ranges(inner, min(8, items), 16) if outer == 1 else [(0, inner)]
        blocks = np.array([(*pair, *sides) for pair in rows for sides in columns])
        found = np.ones((len(blocks), 1), np.int64)
        helpers = crew(len(blocks), items >= _WORTH_WAKING)
        _scatter(helpers, len(blocks), (*arrays, *modes), (found, blocks))
    return out if found.all() else NotImplemented


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    compiled_kernel("rows_summed", backend)(_rows_summed)
    compiled_kernel("rows_added", backend)(_rows_added)
    compiled_kernel("gather", backend)(_gathered)

    @compiled_kernel("gather_back", backend)
    def gather_back(x: Array, index: Array, *, shape: tuple[int, ...], axis: int) -> Any:
        if x.dtype.char not in "fdlq":
            return NotImplemented
        return _written(None, shape, x, index, axis, x.dtype, True)

    @compiled_kernel("scatter_add", backend)
    def scatter_add(x: Array, index: Array, src: Array, *, axis: int) -> Any:
        if x.dtype.char not in "fdlq":
            return NotImplemented
        return _written(x, x.shape, src, index, axis, x.dtype, True)

    @compiled_kernel("scatter_put", backend)
    def scatter_put(x: Array, index: Array, src: Array, *, axis: int) -> Any:
        if x.dtype.itemsize not in _UNSIGNED or not x.ndim:
            return NotImplemented
        return _written(x, x.shape, src, index, axis, _UNSIGNED[x.dtype.itemsize], False)
