"""5x5 convolution with stride 2 for the NumPy backend, as a 3x3 one of an image of half the size.

Each 2x2 square of pixels becomes one pixel of 4 * C channels (space to depth). The filters, padded to 6x6, become 3x3
of as many channels, and the stride becomes 1, so that Winograd's algorithm applies. Compiled transforms do that while
they read and write; else it is a copy. Images are (N, H, W, C) here.
"""

from __future__ import annotations

import numpy as np

from chainrule.backends import cpu_winograd as winograd
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray
Pair = tuple[int, int]

_KERNEL = (5, 5)
_STRIDE = (2, 2)

#: Channels from which on it wins.
_CHANNELS = 32

#: Tasks of a copy.
_TASKS = 8


def pays(x_size: tuple[int, ...], filters: int, kernel: Pair, stride: Pair, padding: Pair) -> bool:
    """Whether this applies to images (N, C, H, W) and is faster: even padding, enough channels and tiles."""
    n, c, h, w = x_size
    if kernel != _KERNEL or stride != _STRIDE or min(c, filters) < _CHANNELS:
        return False
    if padding[0] % 2 or padding[1] % 2 or max(padding) > 4:
        return False
    half = (n, 4 * c, -(-h // 2), -(-w // 2))
    return winograd.pays(half, filters, (3, 3), (padding[0] // 2, padding[1] // 2))


def _halved(x: Array) -> Array:
    """(N, H, W, C) as (N, H / 2, W / 2, 4 * C), rounded up."""
    n, h, w, c = x.shape
    out = np.empty((n, -(-h // 2), -(-w // 2), 2, 2, c), dtype=x.dtype)
    if h % 2:
        out[:, -1, :, 1] = 0
    if w % 2:
        out[:, :, -1, :, 1] = 0
    parts = ranges(n, _TASKS)

    def run(part: int) -> None:
        images = slice(*parts[part])
        for a in (0, 1):
            for b in (0, 1):
                pixels = x[images, a::2, b::2]
                out[images, : pixels.shape[1], : pixels.shape[2], a, b] = pixels

    parallel(run, len(parts))
    return out.reshape(*out.shape[:3], 4 * c)


def _doubled(x: Array, size: Pair) -> Array:
    """The opposite: (N, H / 2, W / 2, 4 * C) as (N, H, W, C)."""
    n, c = x.shape[0], x.shape[3] // 4
    out = np.empty((n, *size, c), dtype=x.dtype)
    squares = x.reshape(*x.shape[:3], 2, 2, c)
    parts = ranges(n, _TASKS)

    def run(part: int) -> None:
        images = slice(*parts[part])
        for a in (0, 1):
            for b in (0, 1):
                target = out[images, a::2, b::2]
                target[...] = squares[images, : target.shape[1], : target.shape[2], a, b]

    parallel(run, len(parts))
    return out


def _filters(weight: Array) -> Array:
    """(K, C, 5, 5) as (3, 3, 4 * C, K)."""
    k, c = weight.shape[:2]
    wide = np.zeros((3, 2, 3, 2, c, k), dtype=weight.dtype)
    wide.reshape(6, 6, c, k)[:5, :5] = weight.transpose(2, 3, 1, 0)
    return np.ascontiguousarray(wide.transpose(0, 2, 1, 3, 4, 5)).reshape(3, 3, 4 * c, k)


def forward(x: Array, weight: Array, bias: Array | None, padding: Pair) -> Array:
    """x (N, H, W, C) with filters (K, C, 5, 5) and a bias (K): (N, OH, OW, K)."""
    half = (padding[0] // 2, padding[1] // 2)
    if winograd.knows_squares():
        return winograd.forward(x, _filters(weight), bias, half, step=2)
    return winograd.forward(_halved(x), _filters(weight), bias, half)


def input_gradient(g: Array, weight: Array, size: Pair, padding: Pair) -> Array:
    """The gradient for images of height and width ``size``, (N, H, W, C), from g (N, OH, OW, K)."""
    turned = _filters(weight)[::-1, ::-1].transpose(0, 1, 3, 2)
    border = (2 - padding[0] // 2, 2 - padding[1] // 2)
    if winograd.knows_squares():
        return winograd.forward(g, turned, None, border, size=size)
    return _doubled(winograd.forward(g, turned, None, border), size)


def weight_gradient(x: Array, g: Array, padding: Pair) -> Array:
    """The gradient for the filters, (K, C, 5, 5), from x (N, H, W, C) and g (N, OH, OW, K)."""
    c, k = x.shape[3], g.shape[3]
    half = (padding[0] // 2, padding[1] // 2)
    if winograd.knows_squares():
        total = winograd.weight_gradient(x, g, (3, 3), half, step=2)
    else:
        total = winograd.weight_gradient(_halved(x), g, (3, 3), half)
    wide = total.reshape(3, 3, 2, 2, c, k).transpose(0, 2, 1, 3, 4, 5).reshape(6, 6, c, k)
    return np.ascontiguousarray(wide[:5, :5].transpose(3, 2, 0, 1))
