"""Kernels of the NumPy backend that work along rows: cross-entropy and normalisation.

Rows are taken in blocks that stay in the cache from the first pass to the last, shared by the threads. Sums along rows
are products with ones, which BLAS adds up at the speed of memory. Other layouts, dtypes and small arrays run the
declared forward.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import parallel, ranges, scratch

Array = np.ndarray

#: Elements from which on the kernels are used, those of one block, and the shortest row that pays.
_WORTH = 1 << 15
_BLOCK = 1 << 18
_SHORTEST = 16


def _blocks(rows: int, columns: int) -> list[tuple[int, int]]:
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
    blocks = _blocks(n, c)

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
    blocks = _blocks(n, c)

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


def _centred(x: Array, ones: Array, eps: float, out: Array) -> Array:
    """x less the mean of each row, into ``out``; returns ``1 / sqrt(variance + eps)`` as a column."""
    length = x.shape[1]
    np.subtract(x, (np.matmul(x, ones) / length)[:, None], out=out)
    spread = np.vecdot(out, out) / length
    return (1 / np.sqrt(spread + np.asarray(eps, dtype=x.dtype)))[:, None]


def standardise(x: Array, eps: float) -> Array:
    """The rows of a matrix brought to mean 0 and variance 1."""
    out = np.empty(x.shape, dtype=x.dtype)
    ones = np.ones(x.shape[1], dtype=x.dtype)
    blocks = _blocks(*x.shape)

    def run(block: int) -> None:
        a, b = blocks[block]
        target = out[a:b]
        np.multiply(target, _centred(x[a:b], ones, eps, target), out=target)

    parallel(run, len(blocks))
    return out


def standardise_back(g: Array, x: Array, z: Array, eps: float) -> Array:
    """The gradient for the rows x from the gradient g of their standardised form z."""
    out = np.empty(x.shape, dtype=x.dtype)
    length = x.shape[1]
    ones = np.ones(length, dtype=x.dtype)
    blocks = _blocks(*x.shape)

    def run(block: int) -> None:
        a, b = blocks[block]
        target, gradient = out[a:b], g[a:b]
        slope = _centred(x[a:b], ones, eps, target)
        mean = np.matmul(gradient, ones) / length
        along = np.vecdot(gradient, z[a:b]) / length
        np.multiply(z[a:b], along[:, None], out=target)
        target += mean[:, None]
        np.subtract(gradient, target, out=target)
        target *= slope

    parallel(run, len(blocks))
    return out


def batch_norm(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    """Channels of x (N, C, L), whose planes are contiguous, brought to mean 0 and variance 1; with their statistics.

    Channels do not depend on each other, so that threads share them.
    """
    n, c, length = x.shape
    out = np.empty(x.shape, dtype=x.dtype)
    mean, var = np.empty(c, dtype=x.dtype), np.empty(c, dtype=x.dtype)
    ones = np.ones(length, dtype=x.dtype)
    blocks = _blocks(c, n * length)

    def run(block: int) -> None:
        a, b = blocks[block]
        target = out[:, a:b]
        np.divide(np.add.reduce(np.matmul(x[:, a:b], ones), 0), n * length, out=mean[a:b])
        np.subtract(x[:, a:b], mean[a:b, None], out=target)
        np.divide(np.add.reduce(np.vecdot(target, target), 0), n * length, out=var[a:b])
        scale = 1 / np.sqrt(var[a:b] + np.asarray(eps, dtype=x.dtype))
        if weight is not None:
            scale *= weight[a:b]
        np.multiply(target, scale[:, None], out=target)
        if bias is not None:
            np.add(target, bias[a:b, None], out=target)

    parallel(run, len(blocks))
    return out, mean, var


def _last(x: Array, axis: tuple[int, ...]) -> int:
    """The length of a row where the axes are the last ones of x, in order; else 0."""
    first = x.ndim - len(axis)
    if tuple(axis) != tuple(range(first, x.ndim)):
        return 0
    length = 1
    for size in x.shape[first:]:
        length *= size
    return length


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    xp = backend.xp

    @kernel("class_cross_entropy", backend)
    def loss(x: Array, target: Array) -> Any:
        rows = _rows_of(x, x.shape[1]) if x.ndim == 2 else None
        return FORWARDS["class_cross_entropy"](xp, x, target) if rows is None else class_cross_entropy(rows, target)

    @kernel("class_cross_entropy_back", backend)
    def loss_back(x: Array, target: Array, y: Array) -> Any:
        rows = _rows_of(x, x.shape[1]) if x.ndim == 2 and y.dtype == x.dtype else None
        if rows is None:
            return FORWARDS["class_cross_entropy_back"](xp, x, target, y)
        return class_cross_entropy_back(rows, target, y)

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

    @kernel("batch_norm", backend)
    def over_the_batch(x: Array, weight: Array | None = None, bias: Array | None = None, *, eps: float = 1e-5) -> Any:
        plain = all(v is None or v.dtype == x.dtype for v in (weight, bias))
        if not plain or x.ndim < 3 or not x.size or _rows_of(x, x.size // (x.shape[0] * x.shape[1])) is None:
            return FORWARDS["batch_norm"](xp, x, weight, bias, eps=eps)
        out, mean, var = batch_norm(x.reshape(*x.shape[:2], -1), weight, bias, eps)
        return out.reshape(x.shape), mean, var
