"""Batch normalisation, forward and backward, of channels-first and channels-last memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel
from chainrule.backends.compiled.jit import loop
from chainrule.backends.compiled.layout import rows_of_channels
from chainrule.backends.compiled.sums import SUMMED, parts_of, squares_about, sum_of, usable, vector
from chainrule.backends.pool import parallel

Array = np.ndarray

#: elements of a block of rows that stays in the cache between two passes, and the most rows, for the sake of precision
_BLOCK = 1 << 14
_ROWS = 256


# ---- channels-first memory: (N, C, L), where a channel is a row of planes -------------------------------------------


@loop
def _batch_norm_planes(
    first: int, last: int, x: Any, weight: Any, bias: Any, eps: float, out: Any, means: Any, variances: Any
) -> None:
    """The channels from ``first`` to ``last``: arrays are whole, as the loops know that only these are contiguous."""
    n, _, length = x.shape
    count = n * length
    for c in range(first, last):
        total = 0.0
        for i in range(n):
            total += sum_of(x[i, c])
        mean = x.dtype.type(total / count)
        total = 0.0
        for i in range(n):
            total += squares_about(x[i, c], mean)
        variance = x.dtype.type(total / count)
        means[c], variances[c] = mean, variance
        scale, shift = x.dtype.type(1 / np.sqrt(variance + eps)) * weight[c], bias[c]
        for i in range(n):
            row, target = x[i, c], out[i, c]
            for j in range(length):
                target[j] = (row[j] - mean) * scale + shift


@loop
def _batch_norm_planes_back(
    first: int, last: int, g: Any, x: Any, weight: Any, means: Any, rstds: Any, out: Any, of_weight: Any, of_bias: Any
) -> None:
    n, _, length = x.shape
    count = n * length
    for c in range(first, last):
        mean, rstd = means[c], rstds[c]
        total, total_along = 0.0, 0.0
        for i in range(n):
            row, slope = x[i, c], g[i, c]
            for a in range(0, length, SUMMED):
                part, along = x.dtype.type(0), x.dtype.type(0)
                for j in range(a, min(a + SUMMED, length)):
                    part += slope[j]
                    along += slope[j] * (row[j] - mean)
                total += part
                total_along += along
        of_weight[c], of_bias[c] = total_along * rstd, total
        part, along = x.dtype.type(total / count), x.dtype.type(total_along * rstd * rstd / count)
        scale = rstd * weight[c]
        for i in range(n):
            row, slope, target = x[i, c], g[i, c], out[i, c]
            for j in range(length):
                target[j] = (slope[j] - part - (row[j] - mean) * along) * scale


# ---- batch normalisation, channels-last memory: (rows, C) -----------------------------------------------------------


@loop
def _moments(x: Any, found: Any) -> None:
    """The mean of each column and the sum of squares about it, by blocks that are merged as Chan et al. (1979) do."""
    rows, columns = x.shape
    step = max(1, min(_ROWS, _BLOCK // columns))
    mean, squares, rest = np.zeros(columns, x.dtype), np.zeros(columns, x.dtype), np.zeros(columns, x.dtype)
    for a in range(0, rows, step):
        b = min(a + step, rows)
        for j in range(columns):
            mean[j] = 0
            squares[j] = 0
            rest[j] = 0
        for i in range(a, b):
            for j in range(columns):
                mean[j] += x[i, j]
        for j in range(columns):
            mean[j] /= b - a
        for i in range(a, b):
            for j in range(columns):
                centred = x[i, j] - mean[j]
                squares[j] += centred * centred
                rest[j] += centred
        for j in range(columns):  # the mean was rounded; where numbers are far from zero that counts
            off = float(mean[j]) + float(rest[j]) / (b - a) - found[0, j]
            found[0, j] += off * (b - a) / b
            found[1, j] += squares[j] - rest[j] * rest[j] / (b - a) + off * off * a * (b - a) / b


@loop
def _scale_columns(x: Any, mean: Any, scale: Any, shift: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - mean[j]) * scale[j] + shift[j]


@loop
def _column_sums(g: Any, x: Any, mean: Any, sums: Any) -> None:
    """``sums``: of g and of g * (x - mean) over the rows, float64."""
    rows, columns = x.shape
    total, along = np.zeros(columns, x.dtype), np.zeros(columns, x.dtype)
    for i in range(rows):
        for j in range(columns):
            total[j] += g[i, j]
            along[j] += g[i, j] * (x[i, j] - mean[j])
        if i % 64 == 63 or i == rows - 1:
            for j in range(columns):
                sums[0, j] += total[j]
                sums[1, j] += along[j]
                total[j] = 0
                along[j] = 0


@loop
def _columns_back(g: Any, x: Any, mean: Any, part: Any, along: Any, scale: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = (g[i, j] - part[j] - (x[i, j] - mean[j]) * along[j]) * scale[j]


# ---- the two kinds of memory ----------------------------------------------------------------------------------------


def _rows(x: Array) -> Array | None:
    """x (N, C, ...) as a matrix with a column for each channel, a view; None where channels do not lie side by side."""
    if x.ndim == 2:
        return x if x.flags.c_contiguous else None
    last = np.moveaxis(x, 1, -1)
    return last.reshape(-1, x.shape[1]) if last.flags.c_contiguous else None


def batch_norm(x: Array, weight: Array | None = None, bias: Array | None = None, *, eps: float = 1e-5) -> Any:
    """The op of this name."""
    if not usable(x, weight, bias) or not x.size:
        return NotImplemented
    channels = x.shape[1]
    scale, shift = vector(weight, channels, 1, x.dtype), vector(bias, channels, 0, x.dtype)
    out = np.empty_like(x)  # in the same memory order
    rows, made = _rows(x), _rows(out)
    if rows is not None and made is not None:
        return out, *_of_rows(rows, scale, shift, eps, made)
    if not x.flags.c_contiguous:
        return NotImplemented
    planes = x.reshape(x.shape[0], channels, -1)
    made = out.reshape(planes.shape)
    mean, var = np.empty_like(scale), np.empty_like(scale)
    parts = parts_of(channels, planes.size // channels)

    def run(i: int) -> None:
        _batch_norm_planes(*parts[i], planes, scale, shift, eps, made, mean, var)

    parallel(run, len(parts))
    return out, mean, var


def _of_rows(x: Array, weight: Array, bias: Array, eps: float, out: Array) -> tuple[Array, Array]:
    parts = parts_of(*x.shape)
    moments = np.zeros((len(parts), 2, x.shape[1]))

    def measure(i: int) -> None:
        a, b = parts[i]
        _moments(x[a:b], moments[i])

    parallel(measure, len(parts))
    counts = np.array([[b - a] for a, b in parts]) / len(x)
    means, squares = moments[:, 0], moments[:, 1]
    mean = np.add.reduce(counts * means, 0)
    var = np.add.reduce(squares, 0) / len(x) + np.add.reduce(counts * (means - mean) ** 2, 0)
    mean, var = mean.astype(x.dtype), var.astype(x.dtype)
    scale = weight / np.sqrt(var + x.dtype.type(eps))

    def apply(i: int) -> None:
        a, b = parts[i]
        _scale_columns(x[a:b], mean, scale, bias, out[a:b])

    parallel(apply, len(parts))
    return mean, var


def batch_norm_back(
    g: Array, x: Array, mean: Array, var: Array, weight: Array | None = None, *, eps: float = 1e-5
) -> Any:
    """The op of this name."""
    if not usable(x, g, mean, var, weight) or not x.size:
        return NotImplemented
    channels = x.shape[1]
    scale = vector(weight, channels, 1, x.dtype)
    rstd = 1 / np.sqrt(var + x.dtype.type(eps))
    out = np.empty_like(x)  # not a view: it can become a ``.grad`` as it is
    rows, made = _rows(x), _rows(out)
    if rows is not None and made is not None:
        return out, *_back_of_rows(rows_of_channels(g), rows, scale, mean, rstd, made)
    if not x.flags.c_contiguous:
        return NotImplemented
    planes = x.reshape(x.shape[0], channels, -1)
    slopes = np.ascontiguousarray(g).reshape(planes.shape)
    made = out.reshape(planes.shape)
    of_weight, of_bias = np.empty_like(mean), np.empty_like(mean)
    parts = parts_of(channels, planes.size // channels)

    def run(i: int) -> None:
        _batch_norm_planes_back(*parts[i], slopes, planes, scale, mean, rstd, made, of_weight, of_bias)

    parallel(run, len(parts))
    return out, of_weight, of_bias


def _back_of_rows(g: Array, x: Array, weight: Array, mean: Array, rstd: Array, out: Array) -> tuple[Array, Array]:
    parts = parts_of(*x.shape)
    sums = np.zeros((len(parts), 2, x.shape[1]))

    def measure(i: int) -> None:
        a, b = parts[i]
        _column_sums(g[a:b], x[a:b], mean, sums[i])

    parallel(measure, len(parts))
    total, along = np.add.reduce(sums, 0)
    part, slope = (total / len(x)).astype(x.dtype), (along * rstd * rstd / len(x)).astype(x.dtype)
    scale = weight * rstd

    def apply(i: int) -> None:
        a, b = parts[i]
        _columns_back(g[a:b], x[a:b], mean, part, slope, scale, out[a:b])

    parallel(apply, len(parts))
    return (along * rstd).astype(x.dtype), total.astype(x.dtype)


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    for function in (batch_norm, batch_norm_back):
        compiled_kernel(function.__name__, backend)(function)
