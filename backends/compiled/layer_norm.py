"""Layer and root mean square normalisation: a row is read from memory once, and worked on while it is cached."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, flat
from chainrule.backends.compiled.crew import crew, item, share
from chainrule.backends.compiled.jit import loop
from chainrule.backends.compiled.sums import SUMMED, squares_about, sum_of, usable, vector

Array = np.ndarray


@item
def _layer_norm_item(x: Any, out: Any, weight: Any, bias: Any, eps: float) -> None:
    for i in range(x.shape[0]):
        row, target = x[i], out[i]
        mean = row.dtype.type(sum_of(row) / row.size)
        rstd = row.dtype.type(1 / np.sqrt(squares_about(row, mean) / row.size + eps))
        for j in range(row.size):
            target[j] = (row[j] - mean) * rstd * weight[j] + bias[j]


@loop
def _layer_norm(crew: Any, items: Any, rows: Any, constants: Any) -> None:
    share(crew, items, _layer_norm_item(items, rows, constants, ()))


@item
def _layer_norm_back_item(g: Any, x: Any, out: Any, weight: Any, eps: float, sums: Any) -> None:
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


@loop
def _layer_norm_back(crew: Any, items: Any, rows: Any, constants: Any, sums: Any) -> None:
    share(crew, items, _layer_norm_back_item(items, rows, constants, (sums,)))


@item
def _standardise_back_item(g: Any, x: Any, z: Any, out: Any, eps: float) -> None:
    n = x.shape[1]
    for i in range(x.shape[0]):
        row, slope, result, target = x[i], g[i], z[i], out[i]
        mean = row.dtype.type(sum_of(row) / n)
        rstd = row.dtype.type(1 / np.sqrt(squares_about(row, mean) / n + eps))
        total, total_along = 0.0, 0.0
        for a in range(0, n, SUMMED):
            part, along = row.dtype.type(0), row.dtype.type(0)
            for j in range(a, min(a + SUMMED, n)):
                part += slope[j]
                along += slope[j] * result[j]
            total += part
            total_along += along
        part, along = row.dtype.type(total / n), row.dtype.type(total_along / n)
        for j in range(n):
            target[j] = (slope[j] - part - result[j] * along) * rstd


@loop
def _standardise_back(crew: Any, items: Any, rows: Any, constants: Any) -> None:
    share(crew, items, _standardise_back_item(items, rows, constants, ()))


@item
def _rms_norm_item(x: Any, out: Any, weight: Any, eps: float) -> None:
    for i in range(x.shape[0]):
        row, target = x[i], out[i]
        scale = row.dtype.type(1 / np.sqrt(squares_about(row, row.dtype.type(0)) / row.size + eps))
        for j in range(row.size):
            target[j] = row[j] * scale * weight[j]


@loop
def _rms_norm(crew: Any, items: Any, rows: Any, constants: Any) -> None:
    share(crew, items, _rms_norm_item(items, rows, constants, ()))


@item
def _rms_norm_back_item(g: Any, x: Any, out: Any, weight: Any, eps: float, sums: Any) -> None:
    """``sums``: of g * normalised x over the rows, float64."""
    n = x.shape[1]
    along_weight = np.zeros(n, x.dtype)
    for i in range(x.shape[0]):
        row, slope, target = x[i], g[i], out[i]
        squares, total_along = 0.0, 0.0
        for a in range(0, n, SUMMED):
            square, along = row.dtype.type(0), row.dtype.type(0)
            for j in range(a, min(a + SUMMED, n)):
                square += row[j] * row[j]
                along += slope[j] * weight[j] * row[j]
            squares += square
            total_along += along
        scale = row.dtype.type(1 / np.sqrt(squares / n + eps))
        along = row.dtype.type(total_along * scale * scale / n)
        for j in range(n):
            target[j] = (slope[j] * weight[j] - row[j] * along) * scale
        for j in range(n):
            along_weight[j] += slope[j] * (row[j] * scale)
        if i % 64 == 63 or i == x.shape[0] - 1:
            for j in range(n):
                sums[j] += along_weight[j]
                along_weight[j] = 0


@loop
def _rms_norm_back(crew: Any, items: Any, rows: Any, constants: Any, sums: Any) -> None:
    share(crew, items, _rms_norm_back_item(items, rows, constants, (sums,)))


def _row_length(x: Array, axis: tuple[int, ...], *others: Array | None) -> int:
    """The elements that the last axes hold, where the kernels can run; else 0."""
    first = x.ndim - len(axis)
    if tuple(axis) != tuple(range(first, x.ndim)) or not usable(x, *others) or not x.size:
        return 0
    return x[(0,) * first].size


def _in_rows(
    loop: Any, x: Array, columns: int, inputs: list[Array], *constants: Any, sums: tuple[int, ...] | None = None
) -> tuple[Array, Array]:
    """``loop(crew, items, inputs, constants, result)`` on matrices: the result, in the shape of x.

    With ``sums`` each item also adds to a float64 array (*sums, columns), of which those of all items are added up.
    """
    rows = [np.ascontiguousarray(a).reshape(-1, columns) for a in inputs]
    out = np.empty(x.shape, dtype=x.dtype)  # not a view: it can become a ``.grad`` as it is
    made = out.reshape(rows[0].shape)
    # each item has sums of its own, which should be few against its rows
    items = min(flat.items_of(x.size, flat.SLOW), max(1, len(made) // (1 if sums is None else 16)))
    found = np.zeros((items, *(sums or ()), columns))
    loop(crew(items, items >= 16), items, (*rows, made), constants, *([] if sums is None else [found]))
    return out, np.add.reduce(found, 0)


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
    scale, shift = vector(weight, columns, 1, x.dtype), vector(bias, columns, 0, x.dtype)
    return _in_rows(_layer_norm, x, columns, [x], scale, shift, eps)[0]


def layer_norm_back(
    g: Array, x: Array, weight: Array | None = None, *, axis: tuple[int, ...] = (-1,), eps: float = 1e-5
) -> Any:
    """The op of this name."""
    columns = _row_length(x, axis, g, weight)
    if not columns:
        return NotImplemented
    scale = vector(weight, columns, 1, x.dtype)
    out, sums = _in_rows(_layer_norm_back, x, columns, [g, x], scale, eps, sums=(2,))
    of_weight, of_bias = sums.reshape(2, *x.shape[x.ndim - len(axis) :])
    return out, of_weight.astype(x.dtype), of_bias.astype(x.dtype)


def standardise(x: Array, *, axis: tuple[int, ...], eps: float) -> Any:
    """The op of this name."""
    return layer_norm(x, axis=axis, eps=eps)


def standardise_back(g: Array, x: Array, z: Array, *, axis: tuple[int, ...], eps: float) -> Any:
    """The op of this name."""
    columns = _row_length(x, axis, g, z)
    return _in_rows(_standardise_back, x, columns, [g, x, z], eps)[0] if columns else NotImplemented


def rms_norm(x: Array, weight: Array | None = None, *, axis: tuple[int, ...] = (-1,), eps: float = 1e-5) -> Any:
    """The op of this name."""
    columns = _row_length(x, axis, weight)
    if not columns:
        return NotImplemented
    return _in_rows(_rms_norm, x, columns, [x], vector(weight, columns, 1, x.dtype), eps)[0]


def rms_norm_back(
    g: Array, x: Array, weight: Array | None = None, *, axis: tuple[int, ...] = (-1,), eps: float = 1e-5
) -> Any:
    """The op of this name."""
    columns = _row_length(x, axis, g, weight)
    if not columns:
        return NotImplemented
    scale = vector(weight, columns, 1, x.dtype)
    out, sums = _in_rows(_rms_norm_back, x, columns, [g, x], scale, eps, sums=())
    return out, sums.reshape(x.shape[x.ndim - len(axis) :]).astype(x.dtype)


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    for function in (layer_norm, layer_norm_back, rms_norm, rms_norm_back, standardise, standardise_back):
        compiled_kernel(function.__name__, backend)(function)
