"""Reading rows by number and adding into them on the CPU.

``x[i]``, ``x[:, i]``, embeddings, ``index_add``, ``gather`` and ``scatter_add``, and their gradients, all are one of
two things: rows of a table taken by number, or rows added up by number (:func:`rows_summed`). The kernels here bring
what they are given to these forms; anything else goes to NumPy's indexing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.backends import scatter
from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray

#: numbers from which on a closer look at an index costs less than it saves
_FEW = 256

#: elements of a block that is zero-filled and written into before it leaves the cache
_BLOCK = 1 << 16

_ALL = slice(None)


def slot_axis(layout: tuple[Any, ...], count: int, ndim: int) -> int | None:
    """The first of the neighbouring axes that ``count`` index arrays stand for, where every other axis is taken whole.

    None for any other layout (see ``autograd/ops/indexing.py``: what is no slice, Ellipsis, None or int is a slot).
    """
    axis, found = 0, 0
    for part in layout:
        if part is Ellipsis:
            if found in (0, count):
                axis += 0 if found else ndim - count - sum([isinstance(p, slice) for p in layout])
                continue
            return None
        if isinstance(part, slice):
            if part != _ALL or found not in (0, count):
                return None
            axis += not found
        elif part is None or isinstance(part, int):
            return None
        else:
            found += 1
    return axis if found == count else None


def row_numbers(indices: tuple[Array, ...], lengths: tuple[int, ...]) -> Array | None:
    """Index arrays of neighbouring axes as numbers, from 0, of rows of these axes joined; None where one is out of
    bounds.
    """
    flat: Any = None
    for index, length in zip(indices, lengths, strict=True):
        if index.size:
            low = index.min()
            if low < -length or index.max() >= length:
                return None
            if low < 0:
                index = np.where(index < 0, index + length, index)
        flat = index.astype(np.int64, copy=False) if flat is None else flat * length + index
    return flat  # type: ignore[no-any-return]


def rows_summed(block: Array, rows: Array, base: Array | None = None, *, count: int) -> Array:
    """``count`` rows, those of ``base`` or zeros, with row i of ``block`` added to row ``rows[i]``; a new array.

    The numbers must be in ``range(count)``: nothing here checks them.

    Example:
        >>> rows_summed(np.ones((3, 1)), np.array([2, 0, 2]), count=3)
        array([[1.],
               [0.],
               [2.]])
    """
    if block.shape[1] == 1 and block.dtype.char in scatter.NATIVE:
        out = np.zeros(count, block.dtype) if base is None else base.reshape(-1).astype(block.dtype)
        np.add.at(out, rows, block.reshape(-1))  # of one dimension, it is fast
        return out.reshape(count, 1)
    if base is not None and count > 4 * rows.size:
        out = base.copy()
        scatter.scatter_add(out, rows, block)
        return out
    total = scatter.sum_rows(rows, block, count)
    if base is not None:
        total += base
    return total


def _joined(index: Array, outer: int, length: int) -> Array:
    """Numbers along an axis as numbers of rows of all axes up to it, of which there are ``outer`` times as many."""
    if outer == 1:
        return index.reshape(-1)
    return (np.arange(outer, dtype=np.int64)[:, None] * length + index.reshape(-1)).reshape(-1)


def _as_rows(
    x: Array, indices: tuple[Array, ...], layout: tuple[Any, ...], shape: tuple[int, ...]
) -> tuple[Array, Array, int] | None:
    """x, which is to be added at an index to an array of a shape: as rows, their numbers, and how many rows there are.

    None where that is no addition of rows, or is wrong.
    """
    if not indices or not x.size or not all(i.dtype.kind == "i" for i in indices):
        return None
    if sum([i.size for i in indices]) < _FEW and x.size < 16 * _FEW:
        return None
    axis, count = slot_axis(layout, len(indices), len(shape)), len(indices)
    if axis is None:
        return None
    numbers = row_numbers(np.broadcast_arrays(*indices) if count > 1 else indices, shape[axis : axis + count])
    if numbers is None:
        return None
    outer, rest = shape[:axis], shape[axis + count :]
    lead, width, length = math.prod(outer), math.prod(rest), math.prod(shape[axis : axis + count])
    wanted = (*outer, *numbers.shape, *rest)
    if x.shape != wanted:
        try:
            x = np.broadcast_to(x, wanted)
        except ValueError:  # the plain kernel tells what does not fit
            return None
    return x.reshape(lead * numbers.size, width), _joined(numbers, lead, length), lead * length


def _summed(
    xp: Any, x: Array, indices: tuple[Array, ...], layout: Any, shape: tuple[int, ...], base: Array | None
) -> Array | None:
    """Rows of x added at an index to zeros of a shape, or to ``base``; None where this is no addition of rows."""
    rows = _as_rows(x, indices, layout, shape)
    if rows is None:
        return None
    block, numbers, count = rows
    start = None if base is None else base.reshape(count, block.shape[1])
    total: Array = xp.rows_summed(block, numbers, start, count=count)
    return total.reshape(shape)


def add_in_place(xp: Any, array: Array, index: Any, values: Any) -> None:
    """``array[index] += values``, where an element that the index names twice gets both values."""
    parts = index if isinstance(index, tuple) else (index,)
    indices = tuple([p for p in parts if isinstance(p, np.ndarray)])
    if indices and type(values) is np.ndarray and values.dtype == array.dtype and array.flags.c_contiguous:
        rows = _as_rows(values, indices, parts, array.shape)
        if rows is not None:
            block, numbers, count = rows
            xp.rows_added(array.reshape(count, block.shape[1]), numbers, block)
            return
    scatter.scatter_add(array, index, values)


def getitem_back(x: Array, shape: tuple[int, ...], index: tuple[Any, ...]) -> Array | None:
    """Zeros of a shape with x at an index: a long array block by block, so that its zeros are still in the cache."""
    first = index[0] if index else None
    size, width = math.prod(shape), math.prod(shape[1:])
    if type(first) is not slice or None in index or size < 4 * _BLOCK:
        return None
    start, stop, step = first.indices(shape[0])
    if step != 1 or x.shape[0] != stop - start:
        return None
    out = np.empty(shape, x.dtype)
    rest = index[1:]
    parts = ranges(shape[0], -(-shape[0] // max(1, _BLOCK // width)))

    def fill(i: int) -> None:
        a, b = parts[i]
        out[a:b] = 0
        low, high = max(a, start), min(b, stop)
        if low < high:
            out[(slice(low, high), *rest)] = x[low - start : high - start]

    parallel(fill, len(parts))
    return out


def _whole_rows(index: Array, axis: int, shape: tuple[int, ...]) -> Array | None:
    """The numbers in an index along one axis which is the same all along the others, so that it names whole rows."""
    for d, (n, m) in enumerate(zip(index.shape, shape, strict=True)):
        if d != axis and (n != m or (n > 1 and index.strides[d])):
            return None
    return index[tuple([_ALL if d == axis else 0 for d in range(index.ndim)])]


def _positions(index: Array, axis: int, shape: tuple[int, ...]) -> Array | None:
    """An index along one axis as positions in the flattened array; None where it is out of bounds."""
    if any(n != m for d, (n, m) in enumerate(zip(index.shape, shape, strict=True)) if d != axis):
        return None
    numbers = row_numbers((index,), (shape[axis],))
    if numbers is None:
        return None
    inner, outer = math.prod(shape[axis + 1 :]), math.prod(shape[:axis])
    flat = numbers.reshape(outer, index.shape[axis], inner)
    if inner > 1:
        flat = flat * inner
        flat += np.arange(inner)
    if outer > 1:
        flat = flat + (np.arange(outer) * (shape[axis] * inner))[:, None, None]
    return flat


def gather(x: Array, index: Array, axis: int) -> Array | None:
    """The elements that an index selects along one axis, by one number each; None for what NumPy does as well."""
    if not x.flags.c_contiguous or index.size < _FEW or x.size == 0 or index.dtype.kind != "i":
        return None
    rows = _whole_rows(index, axis, x.shape)
    if rows is not None:
        return x.take(rows, axis=axis)
    flat = _positions(index, axis, x.shape)
    return None if flat is None else x.reshape(-1).take(flat, mode="clip").reshape(index.shape)


def scattered(xp: Any, src: Array, index: Array, shape: tuple[int, ...], axis: int, base: Array | None) -> Array | None:
    """``base``, or zeros of a shape, with ``src`` added where an index points along one axis."""
    if index.size < _FEW or index.shape != src.shape or index.dtype.kind != "i":
        return None
    if base is not None and base.dtype != src.dtype:
        return None
    rows = _whole_rows(index, axis, shape)
    inner, outer = math.prod(shape[axis + 1 :]), math.prod(shape[:axis])
    if rows is not None and inner > 1:
        numbers = row_numbers((rows,), (shape[axis],))
        if numbers is None:
            return None
        block, count = src.reshape(outer * rows.size, inner), outer * shape[axis]
        start = None if base is None else base.reshape(count, inner)
        total: Array = xp.rows_summed(block, _joined(numbers, outer, shape[axis]), start, count=count)
        return total.reshape(shape)
    flat = _positions(index, axis, shape)
    if flat is None:
        return None
    start = None if base is None else base.reshape(-1, 1)
    total = xp.rows_summed(src.reshape(-1, 1), flat.reshape(-1), start, count=math.prod(shape))
    return total.reshape(shape)


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    xp = backend.xp
    xp.rows_summed = rows_summed
    xp.rows_added = scatter.scatter_add

    @kernel("take_at", backend)
    def take_at(x: Array, *indices: Array, layout: tuple[Any, ...]) -> Any:
        if len(indices) == 1 and indices[0].size >= _FEW and x.flags.c_contiguous and indices[0].dtype.kind == "i":
            axis = slot_axis(layout, 1, x.ndim)
            if axis is not None:
                return x.take(indices[0], axis=axis)
        return FORWARDS["take_at"](xp, x, *indices, layout=layout)

    @kernel("take_at_back", backend)
    def take_at_back(x: Array, *indices: Array, shape: tuple[int, ...], layout: tuple[Any, ...]) -> Any:
        out = _summed(xp, x, indices, layout, shape, None)
        return FORWARDS["take_at_back"](xp, x, *indices, shape=shape, layout=layout) if out is None else out

    @kernel("put_at", backend)
    def put_at(x: Array, y: Array, *indices: Array, layout: tuple[Any, ...], accumulate: bool = False) -> Any:
        out = _summed(xp, y, indices, layout, x.shape, x) if accumulate and x.dtype == y.dtype else None
        return FORWARDS["put_at"](xp, x, y, *indices, layout=layout, accumulate=accumulate) if out is None else out

    @kernel("add_rows", backend)
    def add_rows(x: Array, index: Array, *, shape: tuple[int, ...]) -> Any:
        out = _summed(xp, x, (index,), (index, ...), shape, None)
        return FORWARDS["add_rows"](xp, x, index, shape=shape) if out is None else out

    @kernel("getitem_back", backend)
    def slice_back(x: Array, *, shape: tuple[int, ...], index: tuple[Any, ...]) -> Any:
        out = getitem_back(x, shape, index)
        return FORWARDS["getitem_back"](xp, x, shape=shape, index=index) if out is None else out

    @kernel("gather", backend)
    def gathered(x: Array, index: Array, *, axis: int) -> Any:
        out = gather(x, index, axis)
        return FORWARDS["gather"](xp, x, index, axis=axis) if out is None else out

    @kernel("gather_back", backend)
    def gather_back(x: Array, index: Array, *, shape: tuple[int, ...], axis: int) -> Any:
        out = scattered(xp, x, index, shape, axis, None)
        return FORWARDS["gather_back"](xp, x, index, shape=shape, axis=axis) if out is None else out

    @kernel("scatter_add", backend)
    def scatter_add(x: Array, index: Array, src: Array, *, axis: int) -> Any:
        out = scattered(xp, src, index, x.shape, axis, x)
        return FORWARDS["scatter_add"](xp, x, index, src, axis=axis) if out is None else out
