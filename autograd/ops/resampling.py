"""Linear maps along one dimension in which every result is a weighted sum of a few elements: interpolation, means.

The map is a :class:`Taps`, a sparse matrix. A product with a dense one would be as fast, and would spread an infinity
or NaN over a whole row.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.samples import Sample, Samples, normal


class Taps:
    """A sparse matrix of shape (``rows``, ``columns``): ``weights`` at (``row``, ``column``), sorted by row."""

    def __init__(self, rows: int, columns: int, row: Any, column: Any, weights: Any) -> None:
        order = np.argsort(row, kind="stable")
        self.rows, self.columns = rows, columns
        self.row, self.column, self.weights = row[order], column[order], weights[order]

    def __repr__(self) -> str:
        return f"<{self.rows} x {self.columns} taps>"

    @functools.cached_property
    def transposed(self) -> Taps:
        """The taps of the transpose."""
        return Taps(self.columns, self.rows, self.column, self.row, self.weights)

    @functools.cached_property
    def layers(self) -> list[tuple[Any, Any, Any]]:
        """The entries in layers with at most one for each row: (rows or None for all of them, columns, weights)."""
        counts = np.bincount(self.row, minlength=self.rows)
        rank = np.arange(self.row.size) - np.repeat(np.cumsum(counts) - counts, counts)
        found = []
        for i in range(int(counts.max(initial=0))):
            here = rank == i
            rows = self.row[here]
            found.append((None if rows.size == self.rows else rows, self.column[here], self.weights[here]))
        return found


def transposed(taps: Taps) -> Taps:
    """The taps of the transpose (a rule may read no attribute itself)."""
    return taps.transposed


def _size(taps: Taps) -> int:
    return taps.rows


def _layers(taps: Taps) -> list[tuple[Any, Any, Any]]:
    return taps.layers


@functools.lru_cache(maxsize=256)
def evenly(size: int, count: int) -> Taps:
    """Means over ``count`` windows from floor(i n / count) to ceil((i + 1) n / count)."""
    rows: list[int] = []
    columns: list[int] = []
    weights: list[float] = []
    for i in range(count):
        start, end = i * size // count, -(-(i + 1) * size // count)
        rows += [i] * (end - start)
        columns += range(start, end)
        weights += [1.0 / (end - start)] * (end - start)
    return Taps(count, size, np.array(rows, np.int64), np.array(columns, np.int64), np.array(weights, np.float64))


def _example() -> Taps:
    row, column = np.array([0, 0, 1, 3, 3, 3]), np.array([1, 2, 0, 0, 1, 4])
    return Taps(4, 5, row, column, np.array([0.5, 0.25, 2.0, -1.0, 0.5, 1.5]))


def _samples(rng: Any) -> Any:
    yield Sample((normal(rng, 2, 5),), {"taps": _example(), "axis": 1})
    yield Sample((normal(rng, 5, 3),), {"taps": _example(), "axis": 0})
    yield Sample((normal(rng, 2, 3, 2),), {"taps": evenly(3, 2), "axis": 1})


def _reference(x: Any, taps: Taps, axis: int) -> Any:
    matrix = np.zeros((taps.rows, taps.columns))
    matrix[taps.row, taps.column] = taps.weights
    return np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)


@op(
    vjp={"x": lambda xp, g, taps, axis: xp.resample(g, taps=transposed(taps), axis=axis)},
    check=Samples(_samples, reference=_reference),
    label="interpolate",
)
def resample(xp, x, *, taps, axis):
    """The product of a sparse matrix with ``x`` along one axis."""
    before = (slice(None),) * axis
    shape = (*x.shape[:axis], _size(taps), *x.shape[axis + 1 :])
    after = (1,) * (x.ndim - axis - 1)
    out = None
    for rows, columns, weights in _layers(taps):
        part = xp.take(x, xp.asarray(columns), axis=axis)
        if not np.all(weights == 1):  # else elements are only repeated
            part = part * xp.asarray(np.reshape(weights, (-1, *after)), dtype=x.dtype)
        if out is None and rows is None:
            out = part
            continue
        if out is None:
            out = xp.zeros(shape, dtype=x.dtype)
        if rows is None:
            out += part
        else:
            out[(*before, xp.asarray(rows))] += part
    return xp.zeros(shape, dtype=x.dtype) if out is None else out
