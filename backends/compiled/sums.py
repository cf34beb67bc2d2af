"""Sums along a row, and what the kernels of rows have in common.

A few thousand numbers are added up in their own dtype, which vector instructions need, and from there on in float64.
Work is cut by shape alone, so that no result depends on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.compiled.jit import loop
from chainrule.backends.pool import ranges

Array = np.ndarray

#: numbers that are added up in their own dtype
SUMMED = 4096
#: elements of one part for the threads, about 100 us of work; and the most parts whose sums are kept apart
_PART = 1 << 17
_PARTS = 64


def parts_of(rows: int, columns: int) -> list[tuple[int, int]]:
    """The rows of a matrix in parts for the threads."""
    return ranges(rows, min(_PARTS, max(1, rows * columns // _PART)))


def usable(x: Array, *others: Array | None) -> bool:
    """Whether these are NumPy arrays of one dtype, float32 or float64."""
    return x.dtype in (np.float32, np.float64) and all(
        type(a) is np.ndarray and a.dtype == x.dtype for a in (x, *others) if a is not None
    )


def vector(v: Array | None, size: int, missing: float, dtype: Any) -> Array:
    """A parameter as contiguous memory; where there is none, what changes nothing."""
    return np.full(size, missing, dtype=dtype) if v is None else np.ascontiguousarray(v).reshape(-1)


@loop
def sum_of(row: Any) -> float:
    """The sum of a row."""
    total = 0.0
    for a in range(0, row.size, SUMMED):
        part = row.dtype.type(0)
        for j in range(a, min(a + SUMMED, row.size)):
            part += row[j]
        total += part
    return total


@loop
def squares_about(row: Any, mean: Any) -> float:
    """The sum of ``(x - mean) ** 2`` over a row."""
    total = 0.0
    for a in range(0, row.size, SUMMED):
        part = row.dtype.type(0)
        for j in range(a, min(a + SUMMED, row.size)):
            centred = row[j] - mean
            part += centred * centred
        total += part
    return total
