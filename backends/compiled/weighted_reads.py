"""Weighted sums of elements at arbitrary positions, without an array for each tap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel
from chainrule.backends.compiled.crew import crew, item, share
from chainrule.backends.compiled.flat import SLOW, items_of
from chainrule.backends.compiled.jit import loop
from chainrule.backends.compiled.sums import usable
from chainrule.backends.pool import ranges

Array = np.ndarray

_WORTH_WAKING = 16


@item
def _read_item(x: Any, weights: Any, index: Any, out: Any, rows: Any) -> None:
    for row in range(rows[0], rows[1]):
        n, c = row // x.shape[1], row % x.shape[1]
        for p in range(out.shape[2]):
            out[n, c, p] = 0
        for k in range(index.shape[1]):
            for p in range(out.shape[2]):
                out[n, c, p] += x[n, c, index[n, k, p]] * weights[n, k, p]


@loop
def _read(crew: Any, items: int, arrays: Any, rows: Any) -> None:
    share(crew, items, _read_item(items, (), arrays, (rows,)))


@item
def _write_item(x: Any, weights: Any, index: Any, out: Any, rows: Any) -> None:
    for row in range(rows[0], rows[1]):
        n, c = row // x.shape[1], row % x.shape[1]
        for s in range(out.shape[2]):
            out[n, c, s] = 0
        for k in range(index.shape[1]):
            for p in range(x.shape[2]):
                out[n, c, index[n, k, p]] += x[n, c, p] * weights[n, k, p]


@loop
def _write(crew: Any, items: int, arrays: Any, rows: Any) -> None:
    share(crew, items, _write_item(items, (), arrays, (rows,)))


@item
def _products_item(x: Any, y: Any, index: Any, out: Any, rows: Any) -> None:
    for row in range(rows[0], rows[1]):
        n, k = row // index.shape[1], row % index.shape[1]
        for p in range(index.shape[2]):
            out[n, k, p] = 0
        for c in range(x.shape[1]):
            for p in range(index.shape[2]):
                out[n, k, p] += x[n, c, p] * y[n, c, index[n, k, p]]


@loop
def _products(crew: Any, items: int, arrays: Any, rows: Any) -> None:
    share(crew, items, _products_item(items, (), arrays, (rows,)))


def _run(loop: Callable[..., object], x: Array, y: Array, index: Array, size: int, shape: tuple[int, ...]) -> Any:
    """The result, of that shape, of a loop whose items are rows of the result; ``size``: what the index is below."""
    if not usable(x, y) or type(index) is not np.ndarray or index.dtype.kind != "i" or not x.size or not index.size:
        return NotImplemented
    if index.min() < 0 or index.max() >= size:
        return NotImplemented
    out = np.empty(shape, x.dtype)
    work = index.size * (x.shape[1] if loop is not _products else y.shape[1])
    rows = np.array(ranges(shape[0] * shape[1], items_of(work, SLOW)))
    arrays = (*[np.ascontiguousarray(a) for a in (x, y)], np.ascontiguousarray(index, np.int64), out)
    loop(crew(len(rows), len(rows) >= _WORTH_WAKING), len(rows), arrays, rows)
    return out


def weighted_read(x: Array, weights: Array, index: Array) -> Any:
    """The op of this name."""
    return _run(_read, x, weights, index, x.shape[2], (*x.shape[:2], index.shape[2]))


def weighted_write(x: Array, weights: Array, index: Array, *, size: int) -> Any:
    """The op of this name."""
    return _run(_write, x, weights, index, size, (*x.shape[:2], size))


def products_read(x: Array, y: Array, index: Array) -> Any:
    """The op of this name."""
    return _run(_products, x, y, index, y.shape[2], index.shape)


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    for function in (weighted_read, weighted_write, products_read):
        compiled_kernel(function.__name__, backend)(function)
