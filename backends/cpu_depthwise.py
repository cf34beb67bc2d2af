"""Depthwise convolution for the NumPy backend: every row of an image times a banded matrix, channel by channel.

A convolution along a row is the product of the row with a matrix that has the filter on its diagonals. The rows that
one result row looks at, side by side, times these matrices below each other give the whole convolution in one batched
product, whose multiplications by zero cost less than the many passes over memory of the plain sum. The gradients are
such products too, with the same error as the plain sum. Wide images are cut into blocks of columns.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.pool import parallel, ranges, scratch

Array = np.ndarray
Pair = tuple[int, int]

_as_strided = np.lib.stride_tricks.as_strided

#: Result columns of one block: with more of them most of a band is zeros, with fewer the products are too small.
_COLUMNS = 32

#: Bytes of windows in one task, and multiplications from which on the threads share them.
_BLOCK = 1 << 19
_WORTH = 5_000_000

#: Partial sums of a weight gradient: fixed, so that the result does not depend on the number of threads.
_PARTIALS = 8


def _placed(size: int, start: int, step: int, length: int) -> tuple[slice, slice]:
    """Of ``size`` elements at ``start``, ``start + step``, ..: those inside ``range(length)``, and where they are."""
    first = max(0, -(start // step))
    end = max(first, min(size, -(-(length - start) // step)))
    return slice(first, end), slice(first * step + start, max((end - 1) * step + start + 1, 0), step)


class _Rows:
    """What the results (OH, OW) of a convolution look at, as rows for banded matrices.

    Args:
        x: images (N, C, H, W).
        apart: the distance of their pixels; the pixels between are zeros (the gradient of a strided convolution).
        padding: zeros above and to the left; negative where that many pixels are left out.
    """

    def __init__(
        self, x: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair, apart: Pair = (1, 1)
    ) -> None:
        self.x, self.kernel, self.out, self.stride = x, kernel, out, stride
        self.padding, self.dilation, self.apart = padding, dilation, apart
        n, c = x.shape[:2]
        oh, ow = out
        self.count = -(-ow // _COLUMNS)  # blocks of columns
        self.step = -(-ow // self.count)  # columns of one block
        self.span = (self.step - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1
        self.width = kernel[0] * self.span
        size = c * self.count * oh * self.width
        images = max(1, min(_BLOCK // (size * x.itemsize), -(-n // _PARTIALS)))
        self.tasks = ranges(n, -(-n // images))
        self.large = n * size * self.step >= _WORTH

    def run(self, function: Callable[[int], object], count: int) -> None:
        """``parallel`` where there is enough work, else a loop."""
        if self.large:
            parallel(function, count)
        else:
            for i in range(count):
                function(i)

    def windows(self, first: int, end: int) -> Array:
        """Images first:end, as (n, C, blocks, OH, KH * span)."""
        x = self.x[first:end]
        n, c, h, w = x.shape
        oh = self.out[0]
        if _channels_last(x):
            planes = scratch("planes", x.shape, x.dtype)
            planes[...] = x
            x = planes
        rows = scratch("depthwise", (n, c, self.count, oh, self.kernel[0], self.span), x.dtype)
        dense = self.apart == (1, 1)
        if not dense:
            rows.fill(0)
        for i in range(self.kernel[0]):
            # result row r looks at row r * stride + i * dilation - padding, which image row q * apart may be
            top = i * self.dilation[0] - self.padding[0]
            from_rows, to_rows = self._met(h, top, oh)
            for b in range(self.count):
                left = self.padding[1] - b * self.step * self.stride[1]
                from_columns, to_columns = _placed(w, left, self.apart[1], self.span)
                if dense:
                    target = rows[:, :, b, :, i]
                    target[:, :, : to_rows.start] = target[:, :, to_rows.stop :] = 0
                    target[..., : to_columns.start] = target[..., to_columns.stop :] = 0
                rows[:, :, b, to_rows, i, to_columns] = x[:, :, from_rows, from_columns]
        return rows.reshape(n, c, self.count, oh, self.width)

    def _met(self, h: int, top: int, oh: int) -> tuple[slice, slice]:
        """Which image rows q and result rows r meet: ``q * apart == r * stride + top``; one of both steps is 1."""
        if self.apart[0] == 1:
            to, where = _placed(oh, top, self.stride[0], h)
            return where, to
        where, to = _placed(h, -top, self.apart[0], oh)
        return where, to


def _bands(weight: Array, rows: _Rows) -> Array:
    """Filters (C, KH, KW) as banded matrices (C, KH * span, step)."""
    out = np.zeros((weight.shape[0], rows.width, rows.step), dtype=weight.dtype)
    _diagonals(out, rows)[...] = weight[..., None]
    return out


def _diagonals(bands: Array, rows: _Rows) -> Array:
    """The diagonals of banded matrices that hold the filters, a view: (C, KH, KW, step)."""
    (kh, kw), step, size = rows.kernel, rows.step, bands.itemsize
    strides = (bands.strides[0], rows.span * step * size, rows.dilation[1] * step * size)
    return _as_strided(bands, (bands.shape[0], kh, kw, step), (*strides, (rows.stride[1] * step + 1) * size))


def _product(windows: Array, bands: Array, out: Array) -> None:
    """windows (n, C, blocks, OH, K) times bands (C, K, step) into ``out`` (n, C, blocks, OH, step)."""
    sizes = {axis: out.shape[axis] for axis in (0, 2, 3)}
    long = max(sizes, key=lambda axis: sizes[axis])  # the rows of the products: images, blocks or rows
    order = [axis for axis in (1, 0, 2, 3) if axis != long] + [long, 4]
    np.matmul(windows.transpose(order), bands[:, None, None], out=out.transpose(order))


def _channels_last(x: Array) -> bool:
    return x.strides[1] < x.strides[3]


def _correlate(rows: _Rows, weight: Array, bias: Array | None = None) -> Array:
    """The images of ``rows`` with filters (C, KH, KW) and a bias (C): (N, C, OH, OW), in the images' memory order."""
    n, c = rows.x.shape[:2]
    oh, ow = rows.out
    last = _channels_last(rows.x)
    out = np.empty((n, oh, ow, c) if last else (n, c, oh, ow), dtype=rows.x.dtype)
    if last:
        out = out.transpose(0, 3, 1, 2)
    bands = _bands(weight, rows)
    exact = rows.count * rows.step == ow and not last

    def run(task: int) -> None:
        first, end = rows.tasks[task]
        if exact:
            target = out[first:end].reshape(end - first, c, oh, rows.count, rows.step).transpose(0, 1, 3, 2, 4)
        else:
            target = scratch("banded", (end - first, c, rows.count, oh, rows.step), out.dtype)
        _product(rows.windows(first, end), bands, target)
        if bias is not None:
            np.add(target, bias[:, None, None, None], out=target)
        if not exact:
            for b in range(rows.count):
                left, right = b * rows.step, min((b + 1) * rows.step, ow)
                out[first:end, :, :, left:right] = target[:, :, b, :, : right - left]

    rows.run(run, len(rows.tasks))
    return out


def forward(
    x: Array, weight: Array, bias: Array | None, *, out: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """x (N, C, H, W) with one filter for each channel, (C, 1, KH, KW), and a bias (C): (N, C, *out)."""
    return _correlate(_Rows(x, weight.shape[2:], out, stride, padding, dilation), weight[:, 0], bias)


def input_gradient(g: Array, weight: Array, *, size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """The gradient for images of height and width ``size`` from g (N, C, OH, OW)."""
    kernel = weight.shape[2:]
    border = (dilation[0] * (kernel[0] - 1) - padding[0], dilation[1] * (kernel[1] - 1) - padding[1])
    rows = _Rows(g, kernel, size, (1, 1), border, dilation, apart=stride)
    return _correlate(rows, weight[:, 0, ::-1, ::-1])


def weight_gradient(x: Array, g: Array, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """The gradient for the filters, (C, 1, KH, KW), from x (N, C, H, W) and g (N, C, OH, OW)."""
    c, (oh, ow) = x.shape[1], g.shape[2:]
    rows = _Rows(x, kernel, (oh, ow), stride, padding, dilation)
    parts = ranges(len(rows.tasks), _PARTIALS)
    sums = np.zeros((len(parts), c, rows.width, rows.step), dtype=x.dtype)

    def run(part: int) -> None:
        for task in range(*parts[part]):
            first, end = rows.tasks[task]
            windows = rows.windows(first, end)
            pieces = scratch("banded", (c, end - first, rows.count, oh, rows.step), x.dtype)
            for b in range(rows.count):
                left, right = b * rows.step, min((b + 1) * rows.step, ow)
                pieces[:, :, b, :, right - left :] = 0
                pieces[:, :, b, :, : right - left] = g[first:end, :, :, left:right].transpose(1, 0, 2, 3)
            product = scratch("product", sums.shape[1:], x.dtype)
            for i in range(end - first):
                inputs = windows[i].reshape(c, rows.count * oh, rows.width).transpose(0, 2, 1)
                np.matmul(inputs, pieces[:, i].reshape(c, rows.count * oh, rows.step), out=product)
                np.add(sums[part], product, out=sums[part])

    rows.run(run, len(parts))
    total = sums[0]
    for part in range(1, len(parts)):
        total += sums[part]
    filters: Array = np.add.reduce(_diagonals(total, rows), 3)
    return filters[:, None]


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``; they are no ops, but what its convolution kernels call."""
    backend.xp.depthwise = forward
    backend.xp.depthwise_input = input_gradient
    backend.xp.depthwise_weight = weight_gradient
