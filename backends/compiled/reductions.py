"""Sums of all elements and of rows, on all threads.

A few thousand numbers are added up in their own dtype, the sums of these in float64. Work is cut by shape alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.compiled.crew import crew, item, share
from chainrule.backends.compiled.flat import QUICK, items_of
from chainrule.backends.compiled.jit import loop
from chainrule.backends.compiled.sums import sum_of
from chainrule.backends.cpu_elementwise import flat

Array = np.ndarray


@item
def _total_item(x: Any, sums: Any) -> None:
    sums[0] = sum_of(x)


@loop
def _total(crew: Any, items: int, x: Any) -> float:
    sums = np.empty((items, 1))
    share(crew, items, _total_item(items, (x,), (), (sums,)))
    total = 0.0
    for i in range(items):
        total += sums[i, 0]
    return total


def total(x: Array) -> Any:
    """The sum of all elements of float32 or float64 numbers, a scalar of this dtype; None where x has gaps."""
    arrays = flat(x)
    if arrays is None:
        return None
    items = items_of(x.size, QUICK)
    return x.dtype.type(_total(crew(items, items >= 16), items, arrays[0]))


@item
def _rows_item(x: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        out[i] = sum_of(x[i])


@loop
def _rows(crew: Any, items: int, x: Any, out: Any) -> None:
    share(crew, items, _rows_item(items, (x, out), (), ()))


def row_sums(x: Array) -> Array:
    """The sums of the rows of a contiguous float32 or float64 matrix."""
    out = np.empty(len(x), x.dtype)
    items = min(items_of(x.size, QUICK), max(1, len(x)))
    _rows(crew(items, items >= 16), items, x, out)
    return out
