"""Kernels of the NumPy backend that work along rows: cross-entropy and layer normalisation.

Rows are taken in blocks that stay in the cache from the first pass to the last, shared by the threads. Sums along rows
are products with ones, which BLAS adds up at the speed of memory. Other layouts, dtypes and small arrays run the
declared forward.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends import cpu_cross_entropy
from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import parallel, ranges, scratch

Array = np.ndarray

#: Elements from which on the kernels are used, those of one block (in shorter calls threads wait for the interpreter
#: lock), and the shortest row that pays.
_WORTH = 1 << 15
_BLOCK = 1 << 19
_SHORTEST = 16


def blocks_of(rows: int, columns: int) -> list[tuple[int, int]]:
    """The rows in blocks that depend on the shape alone."""
    return ranges(rows, max(1, -(-rows * columns // _BLOCK)))


def _rows_of(x: Array, columns: int) -> Array | None:
    """x as a matrix with so many columns, a view; None where the kernels here do not pay."""
    if x.dtype.char not in "fd" or x.size < _WORTH or columns < _SHORTEST or not x.flags.c_contiguous:
        return None
    return x.reshape(-1, columns)


def _shifted(x: Array, out: Array) -> None:
    """``x - max(x)`` of each row, whose exponentials are at most 1."""
    np.subtract(x, np.maximum.reduce(x, 1, keepdims=True), out=out)


def class_cross_entropy(x: Array, target: Array) -> Array:
    """``-log(softmax(x))`` at the target class, of logits (N, C)."""
    n, c = x.shape
    out = np.empty(n, dtype=x.dtype)
    ones = np.ones(c, dtype=x.dtype)
    blocks = blocks_of(n, c)

    def run(block: int) -> None:
        a, b = blocks[block]
        e = scratch("exponentials", (b - a, c), x.dtype)
        _shifted(x[a:b], e)
        picked = e[np.arange(b - a), target[a:b]]
        np.exp(e, out=e)
        np.subtract(np.log(np.matmul(e, ones)), picked, out=out[a:b])

    parallel(run, len(blocks))
    return out


def class_cross_entropy_back(x: Array, target: Array, y: Array) -> Array:
    """``y * (softmax(x) - one_hot(target))`` of logits (N, C) and y (N)."""
    n, c = x.shape
    out = np.empty(x.shape, dtype=x.dtype)
    ones = np.ones(c, dtype=x.dtype)
    blocks = blocks_of(n, c)

    def run(block: int) -> None:
        a, b = blocks[block]
        e, g = out[a:b], y[a:b]
        _shifted(x[a:b], e)
        np.exp(e, out=e)
        total = np.matmul(e, ones)
        places = (np.arange(b - a), target[a:b])
        picked = (e[places] / total - 1) * g
        np.multiply(e, (g / total)[:, None], out=e)
        e[places] = picked

    parallel(run, len(blocks))
    return out


def centred(x: Array, ones: Array, eps: float, out: Array) -> Array:
    """x less the mean of each row, into ``out``; returns ``1 / sqrt(variance + eps)`` as a column."""
    length = x.shape[1]
    np.subtract(x, (np.matmul(x, ones) / length)[:, None], out=out)
    spread = np.vecdot(out, out) / length
    return (1 / np.sqrt(spread + np.asarray(eps, dtype=x.dtype)))[:, None]


def standardise(x: Array, eps: float) -> Array:
    """The rows of a matrix brought to mean 0 and variance 1."""
    out = np.empty(x.shape, dtype=x.dtype)
    ones = np.ones(x.shape[1], dtype=x.dtype)
    blocks = blocks_of(*x.shape)

    def run(block: int) -> None:
        a, b = blocks[block]
        target = out[a:b]
        np.multiply(target, centred(x[a:b], ones, eps, target), out=target)

    parallel(run, len(blocks))
    return out


def standardise_back(g: Array, x: Array, z: Array, eps: float) -> Array:
    """The gradient for the rows x from the gradient g of their standardised form z."""
    out = np.empty(x.shape, dtype=x.dtype)
    length = x.shape[1]
    ones = np.ones(length, dtype=x.dtype)
    blocks = blocks_of(*x.shape)

    def run(block: int) -> None:
        a, b = blocks[block]
        target, gradient = out[a:b], g[a:b]
        slope = centred(x[a:b], ones, eps, target)
        mean = np.matmul(gradient, ones) / length
        along = np.vecdot(gradient, z[a:b]) / length
        np.multiply(z[a:b], along[:, None], out=target)
        target += mean[:, None]
        np.subtract(gradient, target, out=target)
        target *= slope

    parallel(run, len(blocks))
    return out


def layer_norm(x: Array, weight: Array | None, bias: Array | None, eps: float) -> Array:
    """The rows of a matrix brought to mean 0 and variance 1, then scaled and shifted."""
    out = np.empty(x.shape, dtype=x.dtype)
    ones = np.ones(x.shape[1], dtype=x.dtype)
    blocks = blocks_of(*x.shape)

    def run(block: int) -> None:
        a, b = blocks[block]
        target = out[a:b]
        np.multiply(target, centred(x[a:b], ones, eps, target), out=target)
        if weight is not None:
            np.multiply(target, weight, out=target)
        if bias is not None:
            np.add(target, bias, out=target)

    parallel(run, len(blocks))
    return out


def layer_norm_back(g: Array, x: Array, weight: Array | None, eps: float, out: Array) -> tuple[Array, Array]:
    """The gradient of :func:`layer_norm` for x, into ``out``, and those for weight and bias, which it returns."""
    rows, length = x.shape
    blocks = blocks_of(rows, length)
    ones, column = np.ones(length, dtype=x.dtype), np.ones(blocks[0][1], dtype=x.dtype)
    sums = np.empty((2, len(blocks), length))

    def run(block: int) -> None:
        a, b = blocks[block]
        target, gradient, z = out[a:b], g[a:b], scratch("standardised", (b - a, length), x.dtype)
        slope = centred(x[a:b], ones, eps, z)
        np.multiply(z, slope, out=z)
        np.multiply(gradient, z, out=target)
        sums[0, block] = np.matmul(column[: b - a], target)
        sums[1, block] = np.matmul(column[: b - a], gradient)
        if weight is not None:
            gradient = np.multiply(gradient, weight, out=target)
        mean = np.matmul(gradient, ones) / length
        np.multiply(z, (np.vecdot(gradient, z) / length)[:, None], out=z)
        np.subtract(gradient, z, out=target)
        np.subtract(target, mean[:, None], out=target)
        np.multiply(target, slope, out=target)

    parallel(run, len(blocks))
    of_weight, of_bias = np.add.reduce(sums, 1)
    return of_weight.astype(x.dtype), of_bias.astype(x.dtype)


def _last(x: Array, axis: tuple[int, ...]) -> int:
    """The length of a row where the axes are the last ones of x, in order; else 0."""
    first = x.ndim - len(axis)
    if tuple(axis) != tuple(range(first, x.ndim)):
        return 0
    length = 1
    for size in x.shape[first:]:
        length *= size
    return length


def _same_dtype(x: Array, *others: Array | None) -> bool:
    return all(a is None or a.dtype == x.dtype for a in others)


def _flat(v: Array | None) -> Array | None:
    return None if v is None else v.reshape(-1)


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    xp = backend.xp

    @kernel("class_cross_entropy", backend)
    def loss(x: Array, target: Array) -> Any:
        rows = _rows_of(x, x.shape[1]) if x.ndim == 2 else None
        if rows is not None:
            return class_cross_entropy(rows, target)
        if x.ndim == 2 and x.shape[1] <= cpu_cross_entropy.MOST:
            return cpu_cross_entropy.class_cross_entropy(x, target)
        return FORWARDS["class_cross_entropy"](xp, x, target)

    @kernel("class_cross_entropy_back", backend)
    def loss_back(x: Array, target: Array, y: Array) -> Any:
        rows = _rows_of(x, x.shape[1]) if x.ndim == 2 and y.dtype == x.dtype else None
        if rows is not None:
            return class_cross_entropy_back(rows, target, y)
        if x.ndim == 2 and x.shape[1] <= cpu_cross_entropy.MOST:
            return cpu_cross_entropy.class_cross_entropy_back(x, target, y)
        return FORWARDS["class_cross_entropy_back"](xp, x, target, y)

    @kernel("standardise", backend)
    def normalised(x: Array, *, axis: tuple[int, ...], eps: float) -> Any:
        rows = _rows_of(x, _last(x, axis))
        if rows is None:
            return FORWARDS["standardise"](xp, x, axis=axis, eps=eps)
        return standardise(rows, eps).reshape(x.shape)

    @kernel("standardise_back", backend)
    def normalised_back(x: Array, y: Array, z: Array, *, axis: tuple[int, ...], eps: float) -> Any:
        length = _last(y, axis)
        rows = [_rows_of(a, length) if a.dtype == y.dtype else None for a in (x, y, z)]
        if rows[0] is None or rows[1] is None or rows[2] is None:
            return FORWARDS["standardise_back"](xp, x, y, z, axis=axis, eps=eps)
        return standardise_back(rows[0], rows[1], rows[2], eps).reshape(y.shape)

    @kernel("layer_norm", backend)
    def scaled(
        x: Array,
        weight: Array | None = None,
        bias: Array | None = None,
        *,
        axis: tuple[int, ...] = (-1,),
        eps: float = 1e-5,
    ) -> Any:
        rows = _rows_of(x, _last(x, axis)) if _same_dtype(x, weight, bias) else None
        if rows is None:
            return FORWARDS["layer_norm"](xp, x, weight, bias, axis=axis, eps=eps)
        return layer_norm(rows, _flat(weight), _flat(bias), eps).reshape(x.shape)

    @kernel("layer_norm_back", backend)
    def scaled_back(
        x: Array, y: Array, weight: Array | None = None, *, axis: tuple[int, ...] = (-1,), eps: float = 1e-5
    ) -> Any:
        length = _last(y, axis)
        slopes, rows = [_rows_of(a, length) if _same_dtype(a, x, y, weight) else None for a in (x, y)]
        if slopes is None or rows is None:
            return FORWARDS["layer_norm_back"](xp, x, y, weight, axis=axis, eps=eps)
        out = np.empty(y.shape, dtype=y.dtype)  # not a view: it can become a ``.grad`` as it is
        of_weight, of_bias = layer_norm_back(slopes, rows, _flat(weight), eps, out.reshape(rows.shape))
        shape = y.shape[y.ndim - len(axis) :]
        return out, of_weight.reshape(shape), of_bias.reshape(shape)
