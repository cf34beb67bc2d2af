"""The transforms of Winograd's convolution (``cpu_winograd.py``) in NumPy: batched matrix products over strided views.

``compiled/winograd.py`` has the same functions as loops, which take half the time, but for :func:`filter_gradient`,
which it has not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from chainrule.backends.pool import scratch

if TYPE_CHECKING:
    from chainrule.backends.cpu_winograd import Block, Tiles

Array = np.ndarray

_as_strided = np.lib.stride_tricks.as_strided

_TILE = 6

#: Pixels of a row up to which one product with a banded matrix is faster than a copy and small products.
_WIDE = 64
_POINTS = (0, 1, -1, 2, -2)
_NORMS = (1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24)
_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)


@cache
def _matrices(kernel: int) -> tuple[Array, Array, Array]:
    """The transforms of inputs (6, 6), of filters (6, r) and of results (m, 6), for filters of length r = 7 - m."""
    filters = [[n * p**i for i in range(kernel)] for n, p in zip(_NORMS, _POINTS)]
    filters.append([0] * (kernel - 1) + [1])
    results = [[p**j for p in _POINTS] + [0] for j in range(_TILE + 1 - kernel)]
    results[-1][-1] = 1
    made = [np.array(m, dtype=np.float32) for m in (_INPUT, filters, results)]
    return made[0], made[1], made[2]


def _patch(tiles: Tiles, block: Block) -> Array:
    """The bordered images of a block, as large as its tiles: (n, HP, WP, C), contiguous."""
    first, end, top, bottom = block
    w, c = tiles.x.shape[2:]
    m, (ph, pw) = tiles.m, tiles.padding
    height, width = (bottom - top) * m + tiles.kernel - 1, tiles.tw * m + tiles.kernel - 1
    upper = top * m - ph  # the row of the image that the patch begins with, negative in the border
    inside = tiles.x[first:end, max(upper, 0) : upper + height]
    if inside.shape[1:3] == (height, width) and pw == 0 and inside.flags.c_contiguous:
        return inside
    patch = scratch("patch", (end - first, height, width, c), inside.dtype)
    above, rows = max(-upper, 0), inside.shape[1]
    patch[:, :above] = 0
    patch[:, above + rows :] = 0
    patch[:, above : above + rows, :pw] = 0
    patch[:, above : above + rows, pw + w :] = 0
    patch[:, above : above + rows, pw : pw + w] = inside[:, :, : width - pw]
    return patch


@cache
def _band(kernel: int, tw: int, left: int, width: int) -> Array:
    """The transform of all tiles of a row of ``width`` pixels after ``left`` zeros: (6 * tiles, width)."""
    transform = _matrices(kernel)[0]
    out = np.zeros((_TILE, tw, width), np.float32)
    for tile in range(tw):
        first = tile * (_TILE + 1 - kernel) - left
        a, b = max(first, 0), min(first + _TILE, width)
        out[:, tile, a:b] = transform[:, a - first : b - first] if a < b else 0
    return out.reshape(-1, width)


def _planar_inputs(tiles: Tiles) -> Callable[[Block, Array], None]:
    """:func:`inputs` for images in planes: the product along rows brings channels last, with no copy before it."""
    transform, t = _matrices(tiles.kernel)[0], _TILE
    m, tw, (ph, pw) = tiles.m, tiles.tw, tiles.padding
    h, w, c = tiles.x.shape[1:]
    band = _band(tiles.kernel, tw, pw, w)

    def run(block: Block, out: Array) -> None:
        first, end, top, bottom = block
        n, th = end - first, bottom - top
        height, upper = th * m + tiles.kernel - 1, top * m - ph
        a = min(max(-upper, 0), height)  # rows a:b of the block are inside the image
        b = max(min(h - upper, height), a)
        rows = scratch("rows", (n, height, t * tw, c), tiles.x.dtype)
        rows[:, :a] = 0
        rows[:, b:] = 0
        np.matmul(band, tiles.x[first:end, a + upper : b + upper], out=rows[:, a:b])
        s = rows.strides
        windows = _as_strided(rows, (t, n, th, t, tw * c), (tw * s[2], s[0], m * s[1], s[1], s[3]))
        np.matmul(transform, windows, out=out.reshape(t, t, n, th, tw * c).transpose(1, 2, 3, 0, 4))

    return run


def inputs(tiles: Tiles) -> Callable[[Block, Array], None]:
    """A function that puts the transformed tiles of a block of images into an array (36, tiles, C)."""
    w, strides = tiles.x.shape[2], tiles.x.strides
    if strides[2] == tiles.x.itemsize and strides[3] >= w * strides[2] and w <= _WIDE:
        return _planar_inputs(tiles)
    transform = _matrices(tiles.kernel)[0]
    m, tw, t = tiles.m, tiles.tw, _TILE

    def run(block: Block, out: Array) -> None:
        patch = _patch(tiles, block)
        n, _, width, c = patch.shape
        th = block[3] - block[2]
        s = patch.strides
        rows = scratch("rows", (n, th, t, width, c), patch.dtype)
        windows = _as_strided(patch, (n, th, t, width * c), (s[0], m * s[1], s[1], s[3]))
        np.matmul(transform, windows, out=rows.reshape(n, th, t, width * c))
        s = rows.strides
        windows = _as_strided(rows, (t, n, th, tw, t, c), (s[2], s[0], s[1], m * s[3], s[3], s[4]))
        np.matmul(transform, windows, out=out.reshape(t, t, n, th, tw, c).transpose(0, 2, 3, 4, 1, 5))

    return run


def gradients(tiles: Tiles, g: Array) -> Callable[[Block, int, int, Array], None]:
    """A function that puts the transformed gradients g (N, OH, OW, K) of a block and some filters into an array."""
    spread = np.ascontiguousarray(_matrices(tiles.kernel)[2].T)
    m, tw, t = tiles.m, tiles.tw, _TILE

    def run(block: Block, k0: int, k1: int, out: Array) -> None:
        first, end, top, bottom = block
        n, th, k = end - first, bottom - top, k1 - k0
        piece = g[first:end, top * m : bottom * m, :, k0:k1]
        _, height, width, _ = piece.shape
        if (height, width) != (th * m, tw * m) or not piece.flags.c_contiguous:
            padded = scratch("cropped", (n, th * m, tw * m, k), g.dtype)
            padded[:, height:] = 0
            padded[:, :height, width:] = 0
            padded[:, :height, :width] = piece
            piece = padded
        rows = scratch("rows", (n, th, t, tw, m, k), g.dtype)
        np.matmul(spread, piece.reshape(n, th, m, tw * m * k), out=rows.reshape(n, th, t, tw * m * k))
        target = out.reshape(t, t, n, th, tw, k).transpose(0, 2, 3, 4, 1, 5)
        np.matmul(spread, rows.transpose(2, 0, 1, 3, 4, 5), out=target)

    return run


def results(tiles: Tiles, products: Array, bias: Array | None, block: Block, k0: int, k1: int, out: Array) -> None:
    """Put the convolution of a block with the filters k0 to k1 into out (N, OH, OW, K), from (36, tiles, k1 - k0)."""
    combine = _matrices(tiles.kernel)[2]
    first, end, top, bottom = block
    n, th, tw, k, m, t = end - first, bottom - top, tiles.tw, k1 - k0, tiles.m, _TILE
    count = n * th * tw
    products = products.reshape(t, t, count * k)
    if bias is not None:
        products[1, 1].reshape(count, k)[...] += bias[k0:k1]  # the only tap that adds to every result with factor one
    half = scratch("half", (m, t, n, th, tw, k), out.dtype)
    np.matmul(combine, products.transpose(1, 0, 2), out=half.reshape(m, t, count * k).transpose(1, 0, 2))
    target = out[first:end, top * m : bottom * m, :, k0:k1]
    exact = target.shape[1:3] == (th * m, tw * m)
    whole = target if exact else scratch("cropped", (n, th * m, tw * m, k), out.dtype)
    np.matmul(
        combine,
        half.transpose(0, 2, 3, 4, 1, 5),
        out=whole.reshape(n, th, m, tw, m, k).transpose(2, 0, 1, 3, 4, 5),
    )
    if not exact:
        target[...] = whole[:, : target.shape[1], : target.shape[2]]


def filters(weight: Array, out: Array) -> None:
    """Put the transformed filters (r, r, C, K) into an array (36, C, K)."""
    r, _, c, k = weight.shape
    transform = _matrices(r)[1]
    # out may be some columns of a larger array, which no view makes into rows
    out[...] = np.matmul(np.kron(transform, transform), weight.reshape(r * r, c * k)).reshape(-1, c, k)


def filter_gradient(sums: Array, out: Array) -> None:
    """Put the gradient for filters into an array (r, r, C, K), from partial sums (parts, 36, C, K); changes them."""
    r, _, c, k = out.shape
    total = sums[0]
    for part in sums[1:]:
        total += part
    transform = _matrices(r)[1]
    both = np.ascontiguousarray(np.kron(transform, transform).T)
    out[...] = np.matmul(both, total.reshape(-1, c * k)).reshape(r, r, c, k)
