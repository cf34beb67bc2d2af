"""CuPy's rules for indices: integer arrays wrap around, and an element must not be assigned twice."""

from __future__ import annotations

from typing import Any

import numpy as np


def prepare(index: Any, shape: tuple[int, ...], array_type: Any) -> tuple[tuple[Any, ...], bool]:
    """The index for NumPy, with integer arrays taken modulo the length of their axis; and whether it has arrays.

    A plain integer out of range stays one, so that NumPy raises as CuPy does. Lists and NumPy arrays are
    taken in an index, as CuPy takes them.
    """
    items: list[Any] = []
    has_arrays = False
    for item in index if isinstance(index, tuple) else (index,):
        if isinstance(item, array_type):
            item = item._array
        elif isinstance(item, list):
            item = np.asarray(item) if len(item) else np.empty(0, np.int32)
        elif isinstance(item, (bool, np.bool_)):
            item = np.asarray(item)
        elif isinstance(item, np.integer):
            item = int(item)
        if isinstance(item, np.ndarray):
            has_arrays = True
            if item.dtype.kind not in "iub":
                raise IndexError(f"arrays used as indices must be of integer or boolean type. (actual: {item.dtype})")
        items.append(item)
    axis = 0
    taken = sum(_axes(i) for i in items)
    for position, item in enumerate(items):
        if item is Ellipsis:
            axis += len(shape) - taken
            continue
        if isinstance(item, np.ndarray) and item.dtype.kind != "b" and axis < len(shape) and shape[axis]:
            items[position] = np.remainder(item.astype(np.int64), shape[axis])
        axis += _axes(item)
    return tuple(items), has_arrays


def _axes(item: Any) -> int:
    """How many axes one item of an index uses up."""
    if item is None or item is Ellipsis:
        return 0
    if isinstance(item, np.ndarray) and item.dtype.kind == "b":
        return item.ndim
    return 1


def conflict(shape: tuple[int, ...], index: tuple[Any, ...], value: Any, dtype: Any) -> tuple[int, ...] | None:
    """The first element that ``x[index] = value`` would write twice with different values, or None."""
    if all(not isinstance(i, np.ndarray) or i.dtype.kind == "b" for i in index):
        return None
    size = int(np.prod(shape))
    targets = np.asarray(np.arange(size).reshape(shape)[index])
    flat = targets.ravel()
    if not flat.size or np.bincount(flat).max() < 2:
        return None
    values = np.broadcast_to(np.asarray(value).astype(dtype), targets.shape).ravel()
    stored = np.empty(size, dtype=dtype)
    stored[flat] = values
    kept = stored[flat]
    wrong = (kept != values) & ~(_is_nan(kept) & _is_nan(values))
    if not wrong.any():
        return None
    return tuple(int(i) for i in np.unravel_index(flat[wrong][0], shape))


def _is_nan(x: np.ndarray) -> np.ndarray:
    return np.isnan(x) if x.dtype.kind not in "iub" else np.zeros(x.shape, bool)
