"""Pooling kernels of the NumPy backend, for windows that lie inside the image.

A maximum or sum over a window is taken over its rows and then over its columns: kh + kw passes, the first of them
over contiguous memory, instead of kh * kw strided ones. Gradients are quick for windows that do not overlap.
Padding, dilation, rounding up, and other dtypes run the declared forward.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import parallel, ranges, scratch

Array = np.ndarray
Pair = tuple[int, int]

#: Elements from which on the threads share the work, and elements of one block.
_WORTH = 1 << 19
_BLOCK = 1 << 18


def _channels_last(x: Array) -> bool:
    """Whether the channels of x (N, C, H, W) are innermost in memory."""
    return x.strides[1] < x.strides[3]


def _inside(x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool) -> bool:
    """Whether this is a case for the kernels here."""
    if x.dtype.char not in "fd" or padding != (0, 0) or dilation != (1, 1) or x.ndim != 4 or not x.size:
        return False
    for size, k, s in zip(x.shape[2:], kernel, stride):
        if k < 1 or s < 1 or k > size or (ceil_mode and (size - k) % s):
            return False
    return True


def _blocks(x: Array) -> list[tuple[int, int]]:
    """The images of x in blocks for the threads; one block where there is little work."""
    if x.size < _WORTH:
        return [(0, x.shape[0])]
    return ranges(x.shape[0], max(2, x.size // _BLOCK))


def _new(like: Array, shape: tuple[int, ...], zero: bool = False) -> Array:
    """A new (N, C, H, W) array in the memory order of ``like``."""
    make = np.zeros if zero else np.empty
    n, c, h, w = shape
    if _channels_last(like):
        return make((n, h, w, c), dtype=like.dtype).transpose(0, 3, 1, 2)
    return make(shape, dtype=like.dtype)


def _scratch(name: str, like: Array, shape: tuple[int, ...], dtype: Any = None) -> Array:
    """Scratch memory (N, C, H, W) in the memory order of ``like``."""
    n, c, h, w = shape
    dtype = like.dtype if dtype is None else dtype
    if _channels_last(like):
        return scratch(name, (n, h, w, c), dtype).transpose(0, 3, 1, 2)
    return scratch(name, shape, dtype)


def _fold(function: Any, x: Array, axis: int, kernel: int, stride: int, out: Array) -> None:
    """``out`` = the windows along one axis folded with ``function``."""
    count = out.shape[axis]

    def tap(i: int) -> Array:
        cut = slice(i, i + stride * (count - 1) + 1, stride)
        return x[:, :, cut] if axis == 2 else x[:, :, :, cut]

    if kernel == 1:
        out[...] = tap(0)
        return
    function(tap(0), tap(1), out=out)
    for i in range(2, kernel):
        function(out, tap(i), out=out)


def _pool(function: Any, x: Array, kernel: Pair, stride: Pair, factor: float | None = None) -> Array:
    """Every window of x (N, C, H, W) folded with ``function``, times ``factor``: (N, C, OH, OW)."""
    n, c, h, w = x.shape
    oh, ow = (h - kernel[0]) // stride[0] + 1, (w - kernel[1]) // stride[1] + 1
    out = _new(x, (n, c, oh, ow))
    blocks = _blocks(x)

    def run(index: int) -> None:
        first, end = blocks[index]
        rows = _scratch("rows", x, (end - first, c, oh, w))
        _fold(function, x[first:end], 2, kernel[0], stride[0], rows)
        target = out[first:end]
        _fold(function, rows, 3, kernel[1], stride[1], target)
        if factor is not None:
            np.multiply(target, np.asarray(factor, dtype=x.dtype), out=target)

    parallel(run, len(blocks))
    return out


def _same_order(name: str, x: Array, like: Array) -> Array:
    """x in the memory order of ``like``: an elementwise operation on mixed orders takes several times as long."""
    if _channels_last(x) == _channels_last(like):
        return x
    copy = _scratch(name, like, x.shape, x.dtype)
    copy[...] = x
    return copy


def max_pool2d_back(g: Array, x: Array, y: Array, kernel: Pair, stride: Pair) -> Array:
    """g (N, C, OH, OW) at the first maximum of each window of x (N, C, H, W), whose maxima are y."""
    oh, ow = y.shape[2:]
    covered = kernel == stride and (oh * stride[0], ow * stride[1]) == x.shape[2:]
    out = _new(x, x.shape, zero=not covered)
    blocks = _blocks(x)

    def run(index: int) -> None:
        first, end = blocks[index]
        image, target = x[first:end], out[first:end]
        gradient = _same_order("gradient", g[first:end], x)
        best = _same_order("best", y[first:end], x)
        here = _scratch("here", x, best.shape, np.bool_)
        taken = _scratch("taken", x, best.shape, np.bool_)
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                rows = slice(i, i + stride[0] * (oh - 1) + 1, stride[0])
                columns = slice(j, j + stride[1] * (ow - 1) + 1, stride[1])
                np.equal(image[:, :, rows, columns], best, out=here)
                if i == j == 0:
                    taken[...] = here
                else:
                    np.greater(here, taken, out=here)  # here and not taken
                    np.logical_or(taken, here, out=taken)
                np.multiply(gradient, here, out=target[:, :, rows, columns])

    parallel(run, len(blocks))
    return out


def avg_pool2d_back(g: Array, x_size: tuple[int, ...], kernel: Pair, factor: float) -> Array:
    """``factor * g`` (N, C, OH, OW) spread over windows that lie side by side: ``x_size``."""
    oh, ow = g.shape[2:]
    kh, kw = kernel
    out = _new(g, x_size, zero=(oh * kh, ow * kw) != x_size[2:])
    part = g * np.asarray(factor, dtype=g.dtype)
    for i in range(kh):
        for j in range(kw):
            out[:, :, i : i + kh * (oh - 1) + 1 : kh, j : j + kw * (ow - 1) + 1 : kw] = part
    return out


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    xp = backend.xp

    @kernel("max_pool2d", backend)
    def max_forward(
        x: Array,
        *,
        kernel: Pair,
        stride: Pair,
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
        ceil_mode: bool = False,
    ) -> Any:
        if _inside(x, kernel, stride, padding, dilation, ceil_mode):
            return _pool(np.maximum, x, kernel, stride)
        return FORWARDS["max_pool2d"](
            xp, x, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
        )

    @kernel("max_pool2d_back", backend)
    def max_back(
        x: Array, y: Array, values_out: Array, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
    ) -> Any:
        apart = kernel[0] <= stride[0] and kernel[1] <= stride[1]
        if apart and _inside(y, kernel, stride, padding, dilation, False) and x.dtype == y.dtype == values_out.dtype:
            sizes = tuple([(y.shape[2 + i] - kernel[i]) // stride[i] + 1 for i in (0, 1)])
            if sizes == values_out.shape[2:]:  # else some windows stick out (ceil_mode)
                return max_pool2d_back(x, y, values_out, kernel, stride)
        return FORWARDS["max_pool2d_back"](
            xp, x, y, values_out, kernel=kernel, stride=stride, padding=padding, dilation=dilation
        )

    @kernel("avg_pool2d", backend)
    def average_forward(
        x: Array,
        *,
        kernel: Pair,
        stride: Pair,
        padding: Pair = (0, 0),
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        if _inside(x, kernel, stride, padding, (1, 1), ceil_mode):
            return _pool(np.add, x, kernel, stride, 1.0 / (divisor_override or kernel[0] * kernel[1]))
        return FORWARDS["avg_pool2d"](
            xp,
            x,
            kernel=kernel,
            stride=stride,
            padding=padding,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )

    @kernel("avg_pool2d_back", backend)
    def average_back(
        x: Array,
        *,
        x_size: tuple[int, ...],
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        count_include_pad: bool,
        divisor_override: int | None,
    ) -> Any:
        fits = all(x.shape[2 + i] * kernel[i] <= x_size[2 + i] for i in (0, 1))
        if kernel == stride and fits and padding == (0, 0) and x.dtype.char in "fd" and x.size:
            return avg_pool2d_back(x, tuple(x_size), kernel, 1.0 / (divisor_override or kernel[0] * kernel[1]))
        return FORWARDS["avg_pool2d_back"](
            xp,
            x,
            x_size=x_size,
            kernel=kernel,
            stride=stride,
            padding=padding,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )
