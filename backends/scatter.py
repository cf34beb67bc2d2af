"""Adding values into an array by index on the CPU, faster than ``np.add.at``."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Below this many values np.add.at costs less than the detour.
_FEW = 512

#: Rows from this length on are added up as rows in a table much larger than them.
_WIDE = 8

#: The dtypes that SciPy's sparse products are compiled for; others are added up in a wider one.
NATIVE = "fdFDilqILQ"


def scatter_add(array: np.ndarray, index: Any, values: Any) -> None:
    """``array[index] += values`` in place, where an element that the index names twice gets both values.

    Example:
        >>> x = np.zeros(3)
        >>> scatter_add(x, np.array([0, 2, 0]), np.array([1.0, 2.0, 4.0]))
        >>> x
        array([5., 0., 2.])
    """
    if not np.isscalar(values):
        values = np.asarray(values)
        if values.dtype != array.dtype:
            values = values.astype(array.dtype)
    items = index if isinstance(index, tuple) else (index,)
    if len(items) > 1 and items[-1] is Ellipsis:
        items = items[:-1]
    if not any(isinstance(i, (list, np.ndarray)) and np.asarray(i).dtype.kind != "b" for i in items):
        array[index] += values  # slices, numbers and masks name every element once
        return
    values = np.asarray(values, array.dtype)
    width = int(np.prod(array.shape[len(items) :]))
    most = array.size <= 8 * values.size  # most of the array is added to
    rows = _rows(array, items) if values.size >= _FEW and (most or width >= _WIDE) else None
    if rows is None:
        _add_at(array, index, values)
        return
    block = np.broadcast_to(values, rows.shape + array.shape[len(items) :]).reshape(rows.size, width)
    if most:
        array += sum_rows(rows.ravel(), block, array.size // width).reshape(array.shape)
    else:  # a few rows of a large table
        named, numbers = np.unique(rows.ravel(), return_inverse=True)
        where = np.unravel_index(named, array.shape[: len(items)])
        array[where] += sum_rows(numbers, block, named.size).reshape(named.size, *array.shape[len(items) :])


def _add_at(array: np.ndarray, index: Any, values: np.ndarray) -> None:
    if array.dtype.kind in "?bV":  # bfloat16 has no loop for add.at, and bools add as logical_or
        wide = array.astype(np.float32)
        np.add.at(wide, index, values.astype(np.float32))
        array[...] = wide.astype(array.dtype)
    else:
        np.add.at(array, index, values)


def _rows(array: np.ndarray, items: tuple[Any, ...]) -> np.ndarray | None:
    """Row numbers, where the index is integer arrays for the leading axes and nothing else."""
    if len(items) > array.ndim or not all(isinstance(i, np.ndarray) and i.dtype.kind in "iu" for i in items):
        return None
    lengths = array.shape[: len(items)]
    if array.size == 0 or any(i.size == 0 for i in items):
        return None
    numbers = []
    for axis, (item, length) in enumerate(zip(items, lengths, strict=True)):
        low, high = int(item.min()), int(item.max())
        if low < -length or high >= length:
            wrong = low if low < -length else high
            raise IndexError(f"scatter_add: index {wrong} is out of bounds for axis {axis} with size {length}")
        numbers.append(np.where(item < 0, item + length, item) if low < 0 else item)
    if len(numbers) == 1:
        first: np.ndarray = numbers[0]
        return first
    flat: np.ndarray = np.ravel_multi_index(tuple(np.broadcast_arrays(*numbers)), lengths)
    return flat


def sum_rows(rows: np.ndarray, block: np.ndarray, count: int) -> np.ndarray:
    """Sum the rows of ``block`` by number: the product of a sparse 0-1 matrix with it.

    In SciPy's CSC format that matrix needs no preparation, and the product is a C loop of row additions
    (0.15 ms where np.add.at takes 4.9 ms, on 2048 rows of 128 floats).
    """
    from scipy.sparse import csc_matrix

    native = block.dtype.char in NATIVE
    wide = block.dtype if native else np.dtype(np.int64 if block.dtype.kind in "iu" else np.float32)
    ones = np.ones(rows.size, wide)
    kind = np.int32 if max(count, rows.size) < 2**31 else np.int64
    matrix = csc_matrix((ones, rows.astype(kind), np.arange(rows.size + 1, dtype=kind)), shape=(count, rows.size))
    total: np.ndarray = matrix @ (block if native else block.astype(wide))
    return total if native else total.astype(block.dtype)
