"""Winograd's convolution for the NumPy backend: 3x3 as F(4x4, 3x3), 5x5 as F(2x2, 5x5), stride 1.

Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015). Tiles of 6x6 inputs are transformed,
multiplied channel by channel in 36 small matrix products, and transformed back: a quarter of the products of the
plain sum for 3x3. Every transform is a batched matrix product over strided views, which costs as much as one
elementwise pass. Images are (N, H, W, C) here, filters (KH, KW, C, K). The error in float32 is up to 2e-5 of the
largest result (1e-6 for the plain sum), so ``chainrule.backends.cpu.precise = True`` turns it off.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from chainrule.backends.pool import parallel, ranges, scratch

Array = np.ndarray
Pair = tuple[int, int]

_as_strided = np.lib.stride_tricks.as_strided

_TILE = 6  # inputs to one tile, along each side
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

#: Channels from which on it wins (5x5 with 32 to 64 channels took as long as the plain sum).
_CHANNELS = {(3, 3): 16, (5, 5): 48}

#: Tiles in one block: the products stay in the fast range of the BLAS, the block in the second-level cache.
_TILES = 128

#: Partial sums of a weight gradient, for few and for many filters (each takes 36 * C * K numbers): fixed, so that
#: the result does not depend on the number of threads.
_PARTIALS = (8, 4)
_MANY = 1 << 13


@cache
def _matrices(kernel: int) -> tuple[Array, Array, Array]:
    """The transforms of inputs (6, 6), of filters (6, r) and of results (m, 6), for filters of length r = 7 - m."""
    filters = [[n * p**i for i in range(kernel)] for n, p in zip(_NORMS, _POINTS)]
    filters.append([0] * (kernel - 1) + [1])
    results = [[p**j for p in _POINTS] + [0] for j in range(_TILE + 1 - kernel)]
    results[-1][-1] = 1
    made = [np.array(m, dtype=np.float32) for m in (_INPUT, filters, results)]
    return made[0], made[1], made[2]


def pays(x_size: tuple[int, ...], filters: int, kernel: Pair, padding: Pair) -> bool:
    """Whether this is faster than the plain sum for x (N, C, H, W): enough channels, and tiles that are used."""
    n, c, h, w = x_size
    if kernel not in _CHANNELS or min(c, filters) < _CHANNELS[kernel]:
        return False
    m = _TILE + 1 - kernel[0]
    oh, ow = h + 2 * padding[0] - kernel[0] + 1, w + 2 * padding[1] - kernel[0] + 1
    tiles = -(-oh // m) * -(-ow // m)
    # a tile takes 36 products for each m * m * r * r of the plain sum
    return n * tiles >= 32 and 1.5 * 36 * tiles <= oh * ow * kernel[0] ** 2


class _Tiles:
    """How images x (N, H, W, C) with a border are cut into tiles, in blocks of images."""

    def __init__(self, x: Array, kernel: int, padding: Pair) -> None:
        self.x, self.kernel, self.padding = x, kernel, padding
        self.n, h, w, self.c = x.shape
        self.m = _TILE + 1 - kernel
        self.oh, self.ow = h + 2 * padding[0] - kernel + 1, w + 2 * padding[1] - kernel + 1
        self.th, self.tw = -(-self.oh // self.m), -(-self.ow // self.m)
        images = max(1, round(_TILES / (self.th * self.tw)))
        self.blocks = ranges(self.n, -(-self.n // images))
        self.exact = self.oh == self.th * self.m and self.ow == self.tw * self.m

    def _patch(self, first: int, end: int) -> Array:
        """The bordered images first:end, as large as their tiles: (n, HP, WP, C), contiguous."""
        inside = self.x[first:end]
        if self.exact and self.padding == (0, 0) and inside.flags.c_contiguous:
            return inside
        _, h, w, c = inside.shape
        border = self.kernel - 1
        patch = scratch("patch", (end - first, self.th * self.m + border, self.tw * self.m + border, c), inside.dtype)
        ph, pw = self.padding
        patch[:, :ph] = 0
        patch[:, ph + h :] = 0
        patch[:, ph : ph + h, :pw] = 0
        patch[:, ph : ph + h, pw + w :] = 0
        patch[:, ph : ph + h, pw : pw + w] = inside
        return patch

    def transformed(self, first: int, end: int) -> Array:
        """The transformed tiles of images first:end, tap by tap: (36, tiles, C)."""
        patch, n = self._patch(first, end), end - first
        transform = _matrices(self.kernel)[0]
        m, th, tw, c, t = self.m, self.th, self.tw, self.c, _TILE
        s, width = patch.strides, patch.shape[2]
        rows = scratch("rows", (n, th, t, width, c), patch.dtype)
        windows = _as_strided(patch, (n, th, t, width * c), (s[0], m * s[1], s[1], s[3]))
        np.matmul(transform, windows, out=rows.reshape(n, th, t, width * c))
        s = rows.strides
        windows = _as_strided(rows, (t, n, th, tw, t, c), (s[2], s[0], s[1], m * s[3], s[3], s[4]))
        out = scratch("inputs", (t, t, n, th, tw, c), patch.dtype)
        np.matmul(transform, windows, out=out.transpose(0, 2, 3, 4, 1, 5))
        return out.reshape(t * t, n * th * tw, c)


def forward(x: Array, weight: Array, bias: Array | None, padding: Pair) -> Array:
    """x (N, H, W, C) with filters (r, r, C, K) and a bias (K): (N, OH, OW, K)."""
    r, _, c, k = weight.shape
    tiles = _Tiles(x, r, padding)
    _, filters, results = _matrices(r)
    taps = np.matmul(np.kron(filters, filters), weight.reshape(r * r, c * k)).reshape(_TILE * _TILE, c, k)
    out = np.empty((tiles.n, tiles.oh, tiles.ow, k), dtype=x.dtype)
    m, th, tw, t = tiles.m, tiles.th, tiles.tw, _TILE

    def run(index: int) -> None:
        first, end = tiles.blocks[index]
        n = end - first
        count = n * th * tw
        products = scratch("products", (t, t, count, k), x.dtype)
        np.matmul(tiles.transformed(first, end), taps, out=products.reshape(t * t, count, k))
        if bias is not None:
            products[1, 1] += bias  # the only tap that adds to every result with factor one
        half = scratch("half", (m, t, n, th, tw, k), x.dtype)
        flat = half.reshape(m, t, count * k)
        np.matmul(results, products.reshape(t, t, count * k).transpose(1, 0, 2), out=flat.transpose(1, 0, 2))
        block = out[first:end]
        target = block if tiles.exact else scratch("cropped", (n, th * m, tw * m, k), x.dtype)
        np.matmul(
            results,
            half.transpose(0, 2, 3, 4, 1, 5),
            out=target.reshape(n, th, m, tw, m, k).transpose(2, 0, 1, 3, 4, 5),
        )
        if not tiles.exact:
            block[...] = target[:, : tiles.oh, : tiles.ow]

    parallel(run, len(tiles.blocks))
    return out


def weight_gradient(x: Array, g: Array, kernel: Pair, padding: Pair) -> Array:
    """The gradient for the filters, (r, r, C, K), from x (N, H, W, C) and g (N, OH, OW, K)."""
    r, c, k, t = kernel[0], x.shape[3], g.shape[3], _TILE
    tiles = _Tiles(x, r, padding)
    _, filters, results = _matrices(r)
    spread = np.ascontiguousarray(results.T)
    m, th, tw = tiles.m, tiles.th, tiles.tw
    parts = ranges(len(tiles.blocks), _PARTIALS[c * k > _MANY])
    sums = np.empty((len(parts), t * t, c, k), dtype=x.dtype)

    def run(part: int) -> None:
        begin, stop = parts[part]
        for index in range(begin, stop):
            first, end = tiles.blocks[index]
            n = end - first
            count = n * th * tw
            block = g[first:end]
            if not (tiles.exact and block.flags.c_contiguous):
                padded = scratch("cropped", (n, th * m, tw * m, k), x.dtype)
                padded[:, tiles.oh :] = 0
                padded[:, : tiles.oh, tiles.ow :] = 0
                padded[:, : tiles.oh, : tiles.ow] = block
                block = padded
            middle = scratch("rows", (n, th, t, tw, m, k), x.dtype)
            np.matmul(spread, block.reshape(n, th, m, tw * m * k), out=middle.reshape(n, th, t, tw * m * k))
            products = scratch("products", (t, t, n, th, tw, k), x.dtype)
            np.matmul(spread, middle.transpose(2, 0, 1, 3, 4, 5), out=products.transpose(0, 2, 3, 4, 1, 5))
            inputs = tiles.transformed(first, end).transpose(0, 2, 1)
            if index == begin:
                np.matmul(inputs, products.reshape(t * t, count, k), out=sums[part])
            else:
                product = scratch("product", sums.shape[1:], x.dtype)
                np.matmul(inputs, products.reshape(t * t, count, k), out=product)
                np.add(sums[part], product, out=sums[part])

    parallel(run, len(parts))
    total = sums[0]
    for part in range(1, len(parts)):
        total += sums[part]
    both = np.ascontiguousarray(np.kron(filters, filters).T)
    return np.matmul(both, total.reshape(t * t, c * k)).reshape(r, r, c, k)
