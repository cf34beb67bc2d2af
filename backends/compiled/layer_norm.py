"""Layer normalisation: each row is read from memory once, and the rest of the work done while it is cached."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel
from chainrule.backends.compiled.jit import loop
from chainrule.backends.compiled.sums import SUMMED, parts_of, squares_about, sum_of, usable, vector
from chainrule.backends.pool import parallel

Array = np.ndarray


@loop
def _layer_norm(x: Any, weight: Any, bias: Any, eps: float, out: Any) -> None:
    for i in range(x.shape[0]):
        row, target = x[i], out[i]
        mean = row.dtype.type(sum_of(row) / row.size)
        rstd = row.dtype.type(1 / np.sqrt(squares_about(row, mean) / row.size + eps))
        for j in range(row.size):
            target[j] = (row[j] - mean) * rstd * weight[j] + bias[j]


@loop
def _layer_norm_back(g: Any, x: Any, weight: Any, eps: float, out: Any, sums: Any) -> None:
    """``sums``: of g * standardised x and of g over the rows, float64."""
    n = x.shape[1]
    along_weight, along_bias = np.zeros(n, x.dtype), np.zeros(n, x.dtype)
    for i in range(x.shape[0]):
        row, slope, target = x[i], g[i], out[i]
        mean = row.dtype.type(sum_of(row) / n)
        squares, total, total_along = 0.0, 0.0, 0.0
        for a in range(0, n, SUMMED):
            square, part, along = row.dtype.type(0), row.dtype.type(0), row.dtype.type(0)
            for j in range(a, min(a + SUMMED, n)):
                centred, scaled = row[j] - mean, slope[j] * weight[j]
                square += centred * centred
                part += scaled
                along += scaled * centred
            squares += square
            total += part
            total_along += along
        rstd = row.dtype.type(1 / np.sqrt(squares / n + eps))
        part, along = row.dtype.type(total / n), row.dtype.type(total_along * rstd / n)
        for j in range(n):
            target[j] = (slope[j] * weight[j] - part - (row[j] - mean) * rstd * along) * rstd
        for j in range(n):  # a loop that writes to three arrays is not vectorised
            along_weight[j] += slope[j] * ((row[j] - mean) * rstd)
            along_bias[j] += slope[j]
        if i % 64 == 63 or i == x.shape[0] - 1:
            for j in range(n):
                sums[0, j] += along_weight[j]
                sums[1, j] += along_bias[j]
                along_weight[j] = 0
                along_bias[j] = 0


def _row_length(x: Array, axis: tuple[int, ...], *others: Array | None) -> int:
    """The elements that the last axes hold, where the kernels can run; else 0."""
    first = x.ndim - len(axis)
    if tuple(axis) != tuple(range(first, x.ndim)) or not usable(x, *others) or not x.size:
        return 0
    return x[(0,) * first].size


def layer_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    axis: tuple[int, ...] = (-1,),
    eps: float = 1e-5,
) -> Any:
    """The op of this name."""
    columns = _row_length(x, axis, weight, bias)
    if not columns:
        return NotImplemented
    rows = np.ascontiguousarray(x).reshape(-1, columns)
    scale, shift = vector(weight, columns, 1, x.dtype), vector(bias, columns, 0, x.dtype)
    out = np.empty(x.shape, dtype=x.dtype)
    made, parts = out.reshape(rows.shape), parts_of(*rows.shape)

    def run(i: int) -> None:
        a, b = parts[i]
        _layer_norm(rows[a:b], scale, shift, eps, made[a:b])

    parallel(run, len(parts))
    return out


def layer_norm_back(
    g: Array, x: Array, weight: Array | None = None, *, axis: tuple[int, ...] = (-1,), eps: float = 1e-5
) -> Any:
    """The op of this name."""
    columns = _row_length(x, axis, g, weight)
    if not columns:
        return NotImplemented
    rows, slopes = np.ascontiguousarray(x).reshape(-1, columns), np.ascontiguousarray(g).reshape(-1, columns)
    scale = vector(weight, columns, 1, x.dtype)
    out = np.empty(x.shape, dtype=x.dtype)  # not a view: it can become a ``.grad`` as it is
    made, parts = out.reshape(rows.shape), parts_of(*rows.shape)
    sums = np.zeros((len(parts), 2, columns))

    def run(i: int) -> None:
        a, b = parts[i]
        _layer_norm_back(slopes[a:b], rows[a:b], scale, eps, made[a:b], sums[i])

    parallel(run, len(parts))
    shape = x.shape[x.ndim - len(axis) :]
    of_weight, of_bias = np.add.reduce(sums, 0).reshape(2, *shape)
    return out, of_weight.astype(x.dtype), of_bias.astype(x.dtype)


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    for function in (layer_norm, layer_norm_back):
        compiled_kernel(function.__name__, backend)(function)
