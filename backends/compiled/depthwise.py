"""Depthwise convolution by compiled loops, in planes and in channels-last memory; see ``stencils.py``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, pixel_stencils, stencils
from chainrule.backends.compiled.shifts import RUN
from chainrule.backends.pool import parallel, ranges, scratch

Array = np.ndarray
Pair = tuple[int, int]

#: Products in one part of the work, about 100 us.
_PART = 1 << 20

#: Bytes of a channels-last signal: it stays in the second-level cache.
_SIGNAL = 3 << 17

#: Elements of a run in channels-last memory: the filter's and the signal's stay in the first-level cache.
_RUN = 384


class _Signal:
    """How an image becomes signals, for one geometry of a convolution, and where its taps look in them."""

    def __init__(self, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
        (kh, kw), (oh, ow), (sh, sw), (dh, dw) = kernel, out, stride, dilation
        self.rows = -(-((oh - 1) * sh + (kh - 1) * dh + 1) // sh)
        self.columns = -(-((ow - 1) * sw + (kw - 1) * dw + 1) // sw)
        self.geometry = (*padding, self.rows, self.columns, sh, sw)
        self.taps, self.stride, self.padding = kh * kw, stride, padding
        self.size = sh * sw * self.rows * self.columns
        i, j = np.divmod(np.arange(self.taps), kw)
        which = i * dh % sh * sw + j * dw % sw
        down, right = i * dh // sh, j * dw // sw
        self.starts = (which * self.rows + down) * self.columns + right
        #: for the gradient of the images: the taps sorted by the signal they look in, and how far up and left
        self.order = np.argsort(which, kind="stable")
        self.bounds = np.searchsorted(which[self.order], np.arange(sh * sw + 1))
        self.reach = (int(down.max()), int(right.max()))
        self.up, self.left = self.reach[0] - down[self.order], self.reach[1] - right[self.order]


signal_of = functools.lru_cache(maxsize=256)(_Signal)


def is_last(x: Array) -> bool:
    """Whether pixels (N, H, W, C) are contiguous in memory, and planes are not."""
    return x.transpose(0, 2, 3, 1).flags.c_contiguous and not x.flags.c_contiguous


def in_planes(x: Array) -> Array:
    """Images (N, C, H, W) as planes (N * C, H, W)."""
    return np.ascontiguousarray(x).reshape(-1, *x.shape[2:])


def in_pixels(x: Array) -> Array:
    """Images (N, C, H, W) as (N, H, W, C)."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def share(function: Callable[[int, int], object], count: int, work: int) -> None:
    """``function(first, end)`` for ``count`` pieces of so much work, in parts for the threads."""
    parts = ranges(count, max(1, min(count, work // _PART)))
    if len(parts) == 1:
        function(0, count)
    else:
        parallel(lambda i: function(*parts[i]), len(parts))


# ---- planes ---------------------------------------------------------------------------------------------------------


def _forward(images: Array, filters: Array, biases: Array, out: Pair, s: _Signal) -> Array:
    """Planes (P, H, W) with filters (C, T) in turn: (P, *out)."""
    result = np.empty((images.shape[0], *out), images.dtype)
    channels = filters.shape[0]

    def run(a: int, b: int) -> None:
        signal, full = (scratch(name, (s.size + RUN,), images.dtype) for name in ("signal", "full"))
        stencils.forward(images[a:b], s.geometry, s.starts, filters, biases, a % channels, signal, full, result[a:b])

    share(run, len(images), result.size * s.taps)
    return result


def _input(gradients: Array, filters: Array, size: Pair, s: _Signal) -> Array:
    """The gradient for planes (P, *size) from gradients (P, OH, OW)."""
    result = np.empty((gradients.shape[0], *size), gradients.dtype)
    channels, lead = filters.shape[0], s.reach[0] * s.columns + s.reach[1]
    starts, ordered = s.up * s.columns + s.left, np.ascontiguousarray(filters[:, s.order])

    def run(a: int, b: int) -> None:
        signal = scratch("signal", (s.size + RUN,), gradients.dtype)
        full = scratch("full", (lead + s.rows * s.columns + RUN,), gradients.dtype)
        stencils.input_gradient(
            gradients[a:b], s.geometry, starts, s.bounds, ordered, lead, a % channels, signal, full, result[a:b]
        )

    share(run, len(gradients), result.size * s.taps)
    return result


def _weight(images: Array, gradients: Array, s: _Signal) -> Array:
    """The gradient for the filter of each plane (P, T), in float64."""
    sums = np.empty((images.shape[0], s.taps))

    def run(a: int, b: int) -> None:
        signal, full = (scratch(name, (s.size + RUN,), images.dtype) for name in ("signal", "full"))
        some = scratch("sums", (RUN * 2,), images.dtype)
        stencils.weight_gradient(images[a:b], gradients[a:b], s.geometry, s.starts, signal, full, some, sums[a:b])

    share(run, len(images), gradients.size * s.taps)
    return sums


# ---- channels-last memory -------------------------------------------------------------------------------------------


def _tiled(filters: Array, order: Any = slice(None)) -> Array:
    """Filters (C, T) as runs (T, pixels * C): for some pixels one after another."""
    return np.tile(np.ascontiguousarray(filters.T[order]), (1, max(1, _RUN // filters.shape[0])))


def _blocks(images: int, height: int, row: int) -> list[tuple[int, int, int]]:
    """The rows of all images in blocks whose signals, of ``row`` bytes a row, fit the cache."""
    return [(n, a, b) for n in range(images) for a, b in ranges(height, -(-height // max(1, _SIGNAL // row)))]


def _signal_row(s: _Signal, images: Array) -> int:
    return s.stride[0] * s.stride[1] * s.columns * images.shape[3] * images.itemsize


def _forward_last(images: Array, filters: Array, biases: Array, out: Pair, of: Callable[[int], _Signal]) -> Array:
    """Images (N, H, W, C): (N, *out, C); ``of(rows)``: the signal of so many rows of a result."""
    n, c = images.shape[0], images.shape[3]
    flat = images.reshape(n, -1)
    s = of(out[0])
    result = np.empty((n, out[0], out[1] * c), images.dtype)
    tiled = _tiled(filters)
    first = np.tile(biases, tiled.shape[1] // c)
    blocks = _blocks(n, out[0], _signal_row(s, images))

    def run(begin: int, end: int) -> None:
        for i, a, b in blocks[begin:end]:
            s = of(b - a)
            signal = scratch("signal", (s.size * c,), images.dtype)
            geometry = (s.padding[0] - a * s.stride[0], *s.geometry[1:])
            pixel_stencils.forward(
                flat[i], images.shape[1:], geometry, s.starts * c, tiled, first, signal, result[i, a:b]
            )

    share(run, len(blocks), result.size * s.taps)
    return result.reshape(n, *out, c)


def _input_last(gradients: Array, filters: Array, size: Pair, s: _Signal) -> Array:
    """The gradient for images (N, *size, C) from gradients (N, OH, OW, C)."""
    n, c = gradients.shape[0], gradients.shape[3]
    flat = gradients.reshape(n, -1)
    result = np.empty((n, size[0], size[1] * c), gradients.dtype)
    tiled = _tiled(filters, s.order)
    zeros = np.zeros(tiled.shape[1], gradients.dtype)
    (sh, sw), (ph, pw) = s.stride, s.padding
    columns = s.reach[1] + (size[1] - 1 + pw) // sw + 1
    starts = (s.up * columns + s.left) * c
    blocks = _blocks(n, size[0], -(-columns * c * gradients.itemsize // sh))

    def run(begin: int, end: int) -> None:
        for i, a, b in blocks[begin:end]:
            top = (a + ph) // sh - s.reach[0]
            rows = (b - 1 + ph) // sh - top + 1
            signal = scratch("signal", (rows * columns * c,), gradients.dtype)
            line = scratch("full", (columns * c,), gradients.dtype)
            pixel_stencils.input_gradient(
                flat[i],
                gradients.shape[1:],
                (-top, s.reach[1], rows, columns, 1, 1),
                (a + ph, pw),
                s.stride,
                starts,
                s.bounds,
                tiled,
                zeros,
                signal,
                line,
                result[i, a:b],
            )

    share(run, len(blocks), result.size * s.taps)
    return result.reshape(n, *size, c)


def _weight_last(images: Array, gradients: Array, of: Callable[[int], _Signal]) -> Array:
    """The gradient for the filters, (parts, C, T)."""
    n, oh, ow, c = gradients.shape
    flat = images.reshape(n, -1)
    s = of(oh)
    rows = gradients.reshape(n, oh, ow * c)
    pixels = max(1, _RUN // c)
    blocks = _blocks(n, oh, _signal_row(s, images))
    sums = np.zeros((len(blocks), s.taps, pixels * c), images.dtype)

    def run(begin: int, end: int) -> None:
        for block in range(begin, end):
            i, a, b = blocks[block]
            s = of(b - a)
            signal = scratch("signal", (s.size * c,), images.dtype)
            geometry = (s.padding[0] - a * s.stride[0], *s.geometry[1:])
            pixel_stencils.weight_gradient(
                flat[i], images.shape[1:], rows[i, a:b], geometry, s.starts * c, signal, sums[block]
            )

    share(run, len(blocks), gradients.size * s.taps)
    return np.add.reduce(sums.reshape(len(blocks), s.taps, pixels, c), 2).transpose(0, 2, 1)


# ---- both -----------------------------------------------------------------------------------------------------------


def _sound(stride: Pair, padding: Pair, dilation: Pair, *shapes: tuple[int, ...]) -> bool:
    """Whether the loops stay inside their arrays; the plain kernel says what is wrong otherwise."""
    return min(*stride, *dilation) >= 1 and min(padding) >= 0 and len(set(shapes)) == 1


def forward(
    x: Array, weight: Array, bias: Array | None, *, out: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Any:
    """x (N, C, H, W) with one filter for each channel, (C, 1, KH, KW), and a bias (C): (N, C, *out)."""
    channels = x.shape[1:2] if bias is None else bias.shape
    if not _sound(stride, padding, dilation, (x.shape[1], 1), weight.shape[:2], (*channels, 1)):
        return NotImplemented

    def of(rows: int) -> _Signal:
        return signal_of(weight.shape[2:], (rows, out[1]), stride, padding, dilation)

    filters = np.ascontiguousarray(weight).reshape(weight.shape[0], -1)
    biases = np.zeros(weight.shape[0], x.dtype) if bias is None else np.ascontiguousarray(bias)
    if is_last(x):
        return _forward_last(in_pixels(x), filters, biases, out, of).transpose(0, 3, 1, 2)
    return _forward(in_planes(x), filters, biases, out, of(out[0])).reshape(*x.shape[:2], *out)


def input_gradient(g: Array, weight: Array, *, size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    """The gradient for images of height and width ``size`` from g (N, C, OH, OW)."""
    if not _sound(stride, padding, dilation, (g.shape[1], 1), weight.shape[:2]):
        return NotImplemented
    s = signal_of(weight.shape[2:], g.shape[2:], stride, padding, dilation)
    filters = np.ascontiguousarray(weight).reshape(weight.shape[0], -1)
    if is_last(g):
        return _input_last(in_pixels(g), filters, size, s).transpose(0, 3, 1, 2)
    return _input(in_planes(g), filters, size, s).reshape(*g.shape[:2], *size)


def weight_gradient(x: Array, g: Array, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    """The gradient for the filters, (C, 1, KH, KW), from x (N, C, H, W) and g (N, C, OH, OW)."""
    if not _sound(stride, padding, dilation, x.shape[:2], g.shape[:2]):
        return NotImplemented

    def of(rows: int) -> _Signal:
        return signal_of(kernel, (rows, g.shape[3]), stride, padding, dilation)

    c = x.shape[1]
    if is_last(x):
        sums = _weight_last(in_pixels(x), in_pixels(g), of)
    else:
        sums = _weight(in_planes(x), in_planes(g), of(g.shape[2])).reshape(x.shape[0], c, -1)
    return np.add.reduce(sums, 0, np.float64).astype(x.dtype).reshape(c, 1, *kernel)


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    compiled_kernel("depthwise", backend)(forward)
    compiled_kernel("depthwise_input", backend)(input_gradient)
    compiled_kernel("depthwise_weight", backend)(weight_gradient)
