"""Batch normalisation of the NumPy backend, forward and backward, of channels-first and channels-last memory.

The work is done in blocks that stay in the cache from the first pass to the last, shared by the threads. Sums are
products with ones, which BLAS adds up at the speed of memory. Other layouts, dtypes and small arrays run the declared
forward.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends import layout
from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import parallel, ranges, scratch

Array = np.ndarray

#: Elements from which on the kernels are used, those of one block (in shorter calls threads wait for the interpreter
#: lock), the shortest row that pays, and rows of one sum.
_WORTH = 1 << 15
_BLOCK = 1 << 19
_SHORTEST = 16
_SUMMED = 8192


# ---- channels-first memory: (N, C, L) -------------------------------------------------------------------------------


def _planes(x: Array) -> Array | None:
    """x (N, C, ...) as (N, C, L), a view; None where planes are too small to pay."""
    if x.ndim < 3 or not x.flags.c_contiguous or x.size < x.shape[0] * x.shape[1] * _SHORTEST:
        return None
    return x.reshape(*x.shape[:2], -1)


def _channels(x: Array) -> list[tuple[int, int]]:
    """The channels in blocks that depend on the shape alone; they do not depend on each other."""
    return ranges(x.shape[1], max(1, -(-x.size // _BLOCK)))


def _close_to_zero(mean: Array, var: Array | float) -> bool:
    """Whether sums need not be taken about the mean: their rounding then costs a bit at most."""
    return bool((mean * mean <= var).all())


def _planes_forward(
    x: Array, weight: Array | None, bias: Array | None, eps: float, out: Array, mean: Array, var: Array
) -> None:
    n, _, length = x.shape
    ones = np.ones(length, dtype=x.dtype)
    blocks = _channels(x)

    def run(block: int) -> None:
        a, b = blocks[block]
        source, target, middle = x[:, a:b], out[:, a:b], mean[a:b]
        np.divide(np.add.reduce(np.matmul(source, ones), 0), n * length, out=middle)
        with np.errstate(over="ignore", invalid="ignore"):  # squares of numbers far from zero, which are not used
            np.divide(np.add.reduce(np.vecdot(source, source), 0), n * length, out=var[a:b])
            var[a:b] -= middle * middle
            centred = not _close_to_zero(middle, var[a:b])
        if centred:
            source = np.subtract(source, middle[:, None], out=target)
            np.divide(np.add.reduce(np.vecdot(target, target), 0), n * length, out=var[a:b])
        scale = 1 / np.sqrt(var[a:b] + x.dtype.type(eps))
        if weight is not None:
            scale *= weight[a:b]
        np.multiply(source, scale[:, None], out=target)
        shift = None if bias is None else bias[a:b]
        if not centred:
            shift = middle * -scale if shift is None else shift - middle * scale
        if shift is not None:
            np.add(target, shift[:, None], out=target)

    parallel(run, len(blocks))


def _planes_back(
    g: Array, x: Array, mean: Array, rstd: Array, scale: Array, out: Array, of_weight: Array, of_bias: Array
) -> None:
    n, _, length = x.shape
    count = n * length
    ones = np.ones(length, dtype=x.dtype)
    blocks = _channels(x)

    def run(block: int) -> None:
        a, b = blocks[block]
        slopes, source, target, middle = g[:, a:b], x[:, a:b], out[:, a:b], mean[a:b]
        total = np.add.reduce(np.matmul(slopes, ones), 0)
        if _close_to_zero(middle * rstd[a:b], 1):
            along = np.add.reduce(np.vecdot(slopes, source), 0) - middle * total
        else:
            source, middle = np.subtract(source, middle[:, None], out=target), np.zeros_like(middle)
            along = np.add.reduce(np.vecdot(slopes, target), 0)
        along *= rstd[a:b]
        factor = along * rstd[a:b] * x.dtype.type(-1 / count)
        np.multiply(source, factor[:, None], out=target)
        np.add(target, slopes, out=target)
        np.subtract(target, (total / count + middle * factor)[:, None], out=target)
        np.multiply(target, scale[a:b, None], out=target)
        of_weight[a:b], of_bias[a:b] = along, total

    parallel(run, len(blocks))


# ---- channels-last memory: (rows, C) --------------------------------------------------------------------------------


def _rows(x: Array) -> Array | None:
    """x (N, C, ...) as a matrix with a column for each channel, a view; None where channels do not lie side by side."""
    last = np.moveaxis(x, 1, -1)
    return last.reshape(-1, x.shape[1]) if last.flags.c_contiguous else None


class _Rows:
    """A matrix cut into blocks of rows; vectors of a number for each column go with as many rows as make them long."""

    def __init__(self, rows: int, columns: int) -> None:
        self.columns = columns
        self.joined = max(1, 1024 // columns)
        length = min(_SUMMED, max(1, _BLOCK // columns))
        self.blocks = ranges(rows, max(1, -(-rows // length)), self.joined)

    def wide(self, block: Array) -> Array:
        """A block of rows with several of them in one, where its length allows."""
        return block.reshape(-1, self.columns * self.joined) if len(block) % self.joined == 0 else block

    def tiled(self, v: Array, block: Array) -> Array:
        """What a vector for the columns is for :meth:`wide` of a block."""
        return np.tile(v, self.joined) if len(block) % self.joined == 0 else v


def _rows_forward(
    x: Array, weight: Array | None, bias: Array | None, eps: float, out: Array, mean: Array, var: Array
) -> None:
    count, columns = x.shape
    cut = _Rows(count, columns)
    means, squares = (np.empty((len(cut.blocks), columns)) for _ in range(2))
    ones = np.ones(cut.blocks[0][1], dtype=x.dtype)

    def measure(i: int) -> None:
        a, b = cut.blocks[i]
        block, centred = x[a:b], scratch("centred", (b - a, columns), x.dtype)
        about = np.matmul(ones[: b - a], block) / (b - a)
        with np.errstate(over="ignore", invalid="ignore"):
            np.multiply(block, block, out=centred)
            square = np.matmul(ones[: b - a], centred) / (b - a) - about * about
            if _close_to_zero(about, square):
                means[i], squares[i] = about, square * (b - a)
                return
        np.subtract(cut.wide(block), cut.tiled(about, block), out=cut.wide(centred))
        rest = np.matmul(ones[: b - a], centred) / (b - a)  # of a mean that was rounded: it counts far from zero
        np.multiply(centred, centred, out=centred)
        means[i], squares[i] = rest, np.matmul(ones[: b - a], centred)
        means[i] += about
        squares[i] -= rest * rest * (b - a)

    parallel(measure, len(cut.blocks))
    # blocks are merged as Chan et al. (1979) do
    share = np.array([[b - a] for a, b in cut.blocks]) / count
    middle = np.add.reduce(share * means, 0)
    mean[:] = middle
    var[:] = np.add.reduce(squares, 0) / count + np.add.reduce(share * (means - middle) ** 2, 0)
    scale = 1 / np.sqrt(var + x.dtype.type(eps))
    if weight is not None:
        scale *= weight
    centred, shift = not _close_to_zero(mean, var), bias
    if not centred:
        shift = mean * -scale if bias is None else bias - mean * scale

    def apply(i: int) -> None:
        a, b = cut.blocks[i]
        target, block = cut.wide(out[a:b]), x[a:b]
        source = cut.wide(block)
        if centred:
            source = np.subtract(source, cut.tiled(mean, block), out=target)
        np.multiply(source, cut.tiled(scale, block), out=target)
        if shift is not None:
            np.add(target, cut.tiled(shift, block), out=target)

    parallel(apply, len(cut.blocks))


def _rows_back(
    g: Array, x: Array, mean: Array, rstd: Array, scale: Array, out: Array, of_weight: Array, of_bias: Array
) -> None:
    count, columns = x.shape
    cut = _Rows(count, columns)
    sums = np.empty((2, len(cut.blocks), columns))
    ones = np.ones(cut.blocks[0][1], dtype=x.dtype)
    centred = not _close_to_zero(mean * rstd, 1)

    def measure(i: int) -> None:
        a, b = cut.blocks[i]
        block, product = x[a:b], scratch("centred", (b - a, columns), x.dtype)
        if centred:
            np.subtract(cut.wide(block), cut.tiled(mean, block), out=cut.wide(product))
        np.multiply(product if centred else block, g[a:b], out=product)
        sums[0, i], sums[1, i] = np.matmul(ones[: b - a], g[a:b]), np.matmul(ones[: b - a], product)

    parallel(measure, len(cut.blocks))
    total, along = np.add.reduce(sums, 1)
    if not centred:
        along -= mean * total
    along *= rstd
    of_weight[:], of_bias[:] = along, total
    slope = along * rstd / -count
    part = (total / count if centred else total / count + mean * slope).astype(x.dtype)
    slope = slope.astype(x.dtype)

    def apply(i: int) -> None:
        a, b = cut.blocks[i]
        target, block = cut.wide(out[a:b]), x[a:b]
        source = cut.wide(block)
        if centred:
            source = np.subtract(source, cut.tiled(mean, block), out=target)
        np.multiply(source, cut.tiled(slope, block), out=target)
        np.add(target, cut.wide(g[a:b]), out=target)
        np.subtract(target, cut.tiled(part, block), out=target)
        np.multiply(target, cut.tiled(scale, block), out=target)

    parallel(apply, len(cut.blocks))


# ---- the ops --------------------------------------------------------------------------------------------------------


def _pays(x: Array, *others: Array | None) -> bool:
    same = all(v is None or v.dtype == x.dtype for v in others)
    return same and x.dtype in (np.float32, np.float64) and x.size >= _WORTH and x.ndim > 1


def forward(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array] | None:
    """The result, the mean and the variance of each channel of x (N, C, ...); None where the declared forward does."""
    if not _pays(x, weight, bias):
        return None
    out = np.empty_like(x)  # in the same memory order
    mean, var = (np.empty(x.shape[1], dtype=x.dtype) for _ in range(2))
    for view, compute in ((_planes, _planes_forward), (_rows, _rows_forward)):
        source, target = view(x), view(out)
        if source is not None and target is not None:
            compute(source, weight, bias, eps, target, mean, var)
            return out, mean, var
    return None


def backward(
    g: Array, x: Array, mean: Array, var: Array, weight: Array | None, eps: float
) -> tuple[Array, Array, Array] | None:
    """The gradients for x, weight and bias; None where the declared forward does the work."""
    if not _pays(x, g, mean, var, weight):
        return None
    out = np.empty_like(x)  # not a view: it can become a ``.grad`` as it is
    rstd = 1 / np.sqrt(var + x.dtype.type(eps))
    scale = rstd if weight is None else rstd * weight
    of_weight, of_bias = np.empty_like(mean), np.empty_like(mean)
    for view, compute in ((_planes, _planes_back), (_rows, _rows_back)):
        source, target = view(x), view(out)
        if source is not None and target is not None:
            slopes = view(layout.like(g, x))
            if slopes is None:
                return None
            compute(slopes, source, mean, rstd, scale, target, of_weight, of_bias)
            return out, of_weight, of_bias
    return None


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    xp = backend.xp

    @kernel("batch_norm", backend)
    def batch_norm(x: Array, weight: Array | None = None, bias: Array | None = None, *, eps: float = 1e-5) -> Any:
        found = forward(x, weight, bias, eps)
        return FORWARDS["batch_norm"](xp, x, weight, bias, eps=eps) if found is None else found

    @kernel("batch_norm_back", backend)
    def batch_norm_back(
        x: Array, y: Array, mean: Array, var: Array, weight: Array | None = None, *, eps: float = 1e-5
    ) -> Any:
        found = backward(x, y, mean, var, weight, eps)
        return FORWARDS["batch_norm_back"](xp, x, y, mean, var, weight, eps=eps) if found is None else found
