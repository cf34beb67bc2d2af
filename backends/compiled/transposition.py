"""Transposed copies of matrices: blocks of 16 rows are zipped together by vector instructions, then written in runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.compiled.jit import loop
from chainrule.backends.pool import ranges, scratch

_U = np.uint64
_1, _2, _3, _4, _5, _6, _7, _8 = (_U(i) for i in range(1, 9))  # unsigned, as the loops are vectorised for these alone

#: Columns of a block.
_WIDTH = 64


@loop
def _zip(x: Any, start: int, step: int, width: int, out: Any) -> None:
    """Eight rows of x, ``step`` apart, as the columns of out (width, 8)."""
    r0 = x[start : start + width]
    r1 = x[start + step : start + step + width]
    r2 = x[start + 2 * step : start + 2 * step + width]
    r3 = x[start + 3 * step : start + 3 * step + width]
    r4 = x[start + 4 * step : start + 4 * step + width]
    r5 = x[start + 5 * step : start + 5 * step + width]
    r6 = x[start + 6 * step : start + 6 * step + width]
    r7 = x[start + 7 * step : start + 7 * step + width]
    for i in range(width):
        j = _U(i)
        k = j * _8
        out[k] = r0[j]
        out[k + _1] = r1[j]
        out[k + _2] = r2[j]
        out[k + _3] = r3[j]
        out[k + _4] = r4[j]
        out[k + _5] = r5[j]
        out[k + _6] = r6[j]
        out[k + _7] = r7[j]


@loop
def _put(out: Any, start: Any, rows: Any, k: Any) -> None:
    """Eight elements of ``rows`` from k on, written to out from ``start`` on: read first, as the two might overlap."""
    v0, v1, v2, v3 = rows[k], rows[k + _1], rows[k + _2], rows[k + _3]
    v4, v5, v6, v7 = rows[k + _4], rows[k + _5], rows[k + _6], rows[k + _7]
    out[start] = v0
    out[start + _1] = v1
    out[start + _2] = v2
    out[start + _3] = v3
    out[start + _4] = v4
    out[start + _5] = v5
    out[start + _6] = v6
    out[start + _7] = v7


@loop
def _transpose(out: Any, x: Any, upper: Any, lower: Any, rows: int, columns: int, first: int, end: int) -> None:
    """The columns ``first:end`` of a matrix x (rows, columns) as the rows of out."""
    whole = rows - rows % 16
    for left in range(first, end, _WIDTH):
        width = min(_WIDTH, end - left)
        for top in range(0, whole, 16):
            _zip(x, top * columns + left, columns, width, upper)
            _zip(x, (top + 8) * columns + left, columns, width, lower)
            at = _U((left - first) * rows + top)
            for j in range(width):
                _put(out, at, upper, _U(j) * _8)
                _put(out, at + _8, lower, _U(j) * _8)
                at += _U(rows)
        for j in range(left, left + width):
            for i in range(whole, rows):
                out[_U((j - first) * rows + i)] = x[_U(i * columns + j)]


@loop
def _transpose_all(out: Any, x: Any, upper: Any, lower: Any, rows: int, columns: int) -> None:
    """The same for all columns of matrices that lie one after the other."""
    size = rows * columns
    for start in range(0, x.size, size):
        _transpose(out[start : start + size], x[start : start + size], upper, lower, rows, columns, 0, columns)


def parts(count: int, rows: int, columns: int, elements: int) -> list[tuple[int, int]]:
    """Parts of about so many elements of ``count`` matrices: ranges of matrices, or of the columns of a single one."""
    pieces = count * rows * columns // elements
    return ranges(count, pieces) if count > 1 else ranges(columns, pieces, 16)


def transpose_part(out: np.ndarray, x: np.ndarray, part: tuple[int, int]) -> None:
    """One of the parts of matrices x (count, rows, columns), transposed into out; both contiguous, x unsigned integers.

    With one matrix the part is of its columns, else of the matrices.
    """
    count, rows, columns = x.shape
    upper, lower = (scratch(name, (8 * _WIDTH,), x.dtype) for name in ("upper", "lower"))
    flat, target = x.reshape(-1), out.reshape(-1).view(x.dtype)
    if count > 1:
        size = rows * columns
        _transpose_all(target, flat[part[0] * size : part[1] * size], upper, lower, rows, columns)
    else:
        _transpose(target, flat, upper, lower, rows, columns, *part)
