"""Pooling by compiled loops, in planes and in channels-last memory, for all windows: overlapping, padded, spread."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, depthwise, maxima, places
from chainrule.backends.compiled.depthwise import in_pixels, in_planes, is_last, share, signal_of
from chainrule.backends.pool import scratch

Array = np.ndarray
Pair = tuple[int, int]

#: Taps of the largest window, and the least results of a plane: else the loops over results are too short.
_TAPS, _RESULTS = 121, 12


def _count(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows fit; the last one must start inside the image or its left border."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return count


def _usable(x: Array, out: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> bool:
    return (
        x.dtype.char in "fd"
        and x.ndim == 4
        and min(*stride, *dilation, *kernel, *out, *x.shape) >= 1
        and min(padding) >= 0
        and kernel[0] * kernel[1] <= _TAPS
        and (is_last(x) or out[0] * out[1] >= _RESULTS)
    )


# ---- max ------------------------------------------------------------------------------------------------------------


def max_pool2d(
    x: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> Any:
    if x.ndim != 4 or min(stride) < 1:
        return NotImplemented
    (n, c, h, w) = x.shape
    oh, ow = (_count(x.shape[2 + i], kernel[i], stride[i], padding[i], dilation[i], ceil_mode) for i in (0, 1))
    if not _usable(x, (oh, ow), kernel, stride, padding, dilation):
        return NotImplemented
    lowest, work = x.dtype.type(-np.inf), n * c * oh * ow * kernel[0] * kernel[1]
    if is_last(x):
        images, result = in_pixels(x).reshape(n, -1), np.empty((n, oh * ow * c), x.dtype)
        sizes, window = (h, w, c, oh, ow), (*kernel, *stride, *padding, *dilation)

        def run_last(a: int, b: int) -> None:
            maxima.forward_last(images[a:b], sizes, window, lowest, result[a:b])

        share(run_last, n, work)
        return result.reshape(n, oh, ow, c).transpose(0, 3, 1, 2)
    s = signal_of(kernel, (oh, ow), stride, padding, dilation)
    planes, result = in_planes(x), np.empty((n * c, oh, ow), x.dtype)

    def run(a: int, b: int) -> None:
        signal, full = scratch("signal", (s.size,), x.dtype), scratch("full", (s.size,), x.dtype)
        maxima.forward(planes[a:b], s.geometry, s.starts, lowest, signal, full, result[a:b])

    share(run, n * c, work)
    return result.reshape(n, c, oh, ow)


def max_pool2d_back(
    x: Array, y: Array, values_out: Array, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Any:
    if values_out.ndim != 4 or x.shape != values_out.shape or not x.dtype == y.dtype == values_out.dtype:
        return NotImplemented
    oh, ow = values_out.shape[2:]
    if y.shape[:2] != x.shape[:2] or not _usable(y, (oh, ow), kernel, stride, padding, dilation):
        return NotImplemented
    n, c, h, w = y.shape
    lowest, work = y.dtype.type(-np.inf), 2 * x.size * kernel[0] * kernel[1]
    if is_last(y):
        images, values, gradients = (in_pixels(a).reshape(n, -1) for a in (y, values_out, x))
        result = np.empty((n, h * w * c), y.dtype)
        sizes, window = (h, w, c, oh, ow), (*kernel, *stride, *padding, *dilation)

        def run_last(a: int, b: int) -> None:
            rest = scratch("full", (c,), y.dtype)
            maxima.input_gradient_last(
                images[a:b], values[a:b], gradients[a:b], sizes, window, lowest, rest, result[a:b]
            )

        share(run_last, n, work)
        return result.reshape(n, h, w, c).transpose(0, 3, 1, 2)
    s = signal_of(kernel, (oh, ow), stride, padding, dilation)
    planes, best, rest = in_planes(y), in_planes(values_out), in_planes(x)
    length, back = (oh - 1) * s.columns + ow, np.empty((n * c, h, w), y.dtype)

    def run(a: int, b: int) -> None:
        memory = [scratch(name, (s.size,), y.dtype) for name in ("signal", "back")]
        memory += [scratch(name, (length,), y.dtype) for name in ("full", "rest")]
        maxima.input_gradient(planes[a:b], best[a:b], rest[a:b], s.geometry, s.starts, lowest, *memory, back[a:b])

    share(run, n * c, work)
    return back.reshape(n, c, h, w)


# ---- average --------------------------------------------------------------------------------------------------------


def _shares(
    x_size: tuple[int, ...], out: Pair, kernel: Pair, stride: Pair, padding: Pair, pad: bool, override: int | None
) -> tuple[float, Array | None]:
    """What each element of a window counts: one number for all windows, or 1 and an array (OH, OW)."""
    if override:
        return 1.0 / override, None
    counts = []
    for i in (0, 1):
        starts = np.arange(out[i]) * stride[i] - padding[i]
        size = x_size[2 + i] + padding[i] * pad
        counts.append(np.minimum(starts + kernel[i], size) - (starts if pad else np.maximum(starts, 0)))
    table = np.outer(*counts)
    if table.min() == table.max():
        return 1.0 / float(table.max()), None
    return 1.0, 1.0 / table


def _filters(x: Array, kernel: Pair, value: float) -> Array:
    return np.full((x.shape[1], 1, *kernel), value, x.dtype)


def avg_pool2d(
    x: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    if x.ndim != 4 or min(stride) < 1:
        return NotImplemented
    out = tuple(_count(x.shape[2 + i], kernel[i], stride[i], padding[i], 1, ceil_mode) for i in (0, 1))
    if not _usable(x, out, kernel, stride, padding, (1, 1)):
        return NotImplemented
    value, table = _shares(x.shape, out, kernel, stride, padding, count_include_pad, divisor_override)
    filters = _filters(x, kernel, value)
    result = depthwise.forward(x, filters, None, out=out, stride=stride, padding=padding, dilation=(1, 1))
    if table is not None:
        np.multiply(result, table.astype(x.dtype), out=result)
    return result


def avg_pool2d_back(
    x: Array,
    *,
    x_size: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    if x.ndim != 4 or tuple(x_size[:2]) != x.shape[:2]:
        return NotImplemented
    if not _usable(x, x.shape[2:], kernel, stride, padding, (1, 1)):
        return NotImplemented
    value, table = _shares(x_size, x.shape[2:], kernel, stride, padding, count_include_pad, divisor_override)
    if table is not None:
        x = x * table.astype(x.dtype)
    filters, size = _filters(x, kernel, value), tuple(x_size[2:])
    return depthwise.input_gradient(x, filters, size=size, stride=stride, padding=padding, dilation=(1, 1))


# ---- places of maxima -----------------------------------------------------------------------------------------------


def window_argmax(x: Array, *, windows: tuple[Any, ...]) -> Any:
    tables = [np.asarray(w, dtype=np.int64) for w in windows]
    if x.dtype.char not in "fd" or len(tables) not in (1, 2) or x.ndim != len(tables) + 2 or not x.size:
        return NotImplemented
    if any(t.ndim != 2 or not t.size or t.min() < -1 or t.max() >= s for t, s in zip(tables, x.shape[2:])):
        return NotImplemented
    n, c = x.shape[:2]
    planes = np.ascontiguousarray(x).reshape(n * c, -1)
    rows, columns = tables if len(tables) == 2 else (np.zeros((1, 1), np.int64), tables[0])
    found = np.empty((n * c, len(rows) * len(columns)), np.int64)

    def run(a: int, b: int) -> None:
        places.argmax(planes[a:b], rows, columns, x.shape[-1], found[a:b])

    share(run, n * c, 4 * found.size * rows.shape[1] * columns.shape[1])
    return found.reshape(n, c, *[len(t) for t in tables])


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    for function in (max_pool2d, max_pool2d_back, avg_pool2d, avg_pool2d_back, window_argmax):
        compiled_kernel(function.__name__, backend)(function)
