"""Winograd's convolution for the NumPy backend: 3x3 as F(4x4, 3x3), 5x5 as F(2x2, 5x5), stride 1.

Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015). Tiles of 6x6 inputs are transformed,
multiplied channel by channel in 36 small matrix products, and transformed back: a quarter of the products of the
plain sum for 3x3. The transforms are those of ``cpu_winograd_transforms.py``, or compiled ones where there is Numba.
Images are (N, H, W, C) here, filters (KH, KW, C, K). The error in float32 is up to 2e-5 of the largest result (1e-6
for the plain sum), so ``chainrule.backends.cpu.precise = True`` turns it off.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from chainrule.backends import compiled, cpu_winograd_transforms
from chainrule.backends.pool import parallel, ranges, scratch

Array = np.ndarray
Pair = tuple[int, int]

#: images first:end, and of their tiles the rows top:bottom
Block = tuple[int, int, int, int]

_TILE = 6  # inputs to one tile, along each side
_TAPS = _TILE * _TILE

#: Channels from which on it wins (5x5 with 32 to 64 channels took as long as the plain sum).
_CHANNELS = {(3, 3): 16, (5, 5): 48}

#: Tiles in one block: the products stay in the fast range of the BLAS, the block in the second-level cache.
_TILES = 128

#: Filters in one piece, where there are more filters than tiles.
_FILTERS = 64

#: Weights in one piece of the transforms of filters' gradients.
_PIECE = 1 << 13

#: Partial sums of a weight gradient, for few and for many filters (each takes 36 * C * K numbers): fixed, so that
#: the result does not depend on the number of threads.
_PARTIALS = (8, 4)
_MANY = 1 << 13

#: Numbers between the matrices of two taps: else they begin in the same set of the cache. The compiled loops may read
#: as many beyond the last.
_GAP = 48


@cache
def _transforms() -> Any:
    """The module with the transforms: the compiled ones, or those in NumPy."""
    return compiled.module("winograd") or cpu_winograd_transforms


def pays(x_size: tuple[int, ...], filters: int, kernel: Pair, padding: Pair) -> bool:
    """Whether this is faster than the plain sum for x (N, C, H, W): enough channels, and tiles that are used."""
    n, c, h, w = x_size
    if kernel not in _CHANNELS or min(c, filters) < _CHANNELS[kernel]:
        return False
    m = _TILE + 1 - kernel[0]
    oh, ow = h + 2 * padding[0] - kernel[0] + 1, w + 2 * padding[1] - kernel[0] + 1
    tiles = -(-oh // m) * -(-ow // m)
    # a tile takes 36 products for each m * m * r * r of the plain sum
    return n * tiles >= 32 and 1.5 * _TAPS * tiles <= oh * ow * kernel[0] ** 2


class Tiles:
    """How images x (N, H, W, C) with a border are cut into tiles, and these into blocks.

    Attributes:
        m: results of a tile along each side.
        oh, ow: the size of the result.
        th, tw: tiles of an image, down and across.
        blocks: of about 128 tiles, either whole images or rows of one.
        step: of squares of so many pixels along each side each counts as one pixel, of as many more channels.
    """

    def __init__(self, x: Array, kernel: int, padding: Pair, step: int = 1) -> None:
        self.x, self.kernel, self.padding, self.step = x, kernel, padding, step
        self.n, h, w, c = x.shape
        h, w, self.c = -(-h // step), -(-w // step), c * step * step
        self.m = _TILE + 1 - kernel
        self.oh, self.ow = h + 2 * padding[0] - kernel + 1, w + 2 * padding[1] - kernel + 1
        self.th, self.tw = -(-self.oh // self.m), -(-self.ow // self.m)
        self.each = self.th * self.tw
        self.blocks: list[Block]
        if self.each <= _TILES:
            images = ranges(self.n, -(-self.n // max(1, round(_TILES / self.each))))
            self.blocks = [(first, end, 0, self.th) for first, end in images]
        else:
            rows = ranges(self.th, round(self.each / _TILES))
            self.blocks = [(i, i + 1, top, bottom) for i in range(self.n) for top, bottom in rows]

    def count(self, block: Block) -> int:
        """How many tiles there are in a block."""
        first, end, top, bottom = block
        return (end - first) * (bottom - top) * self.tw


def _matrices(memory: Array, rows: int, columns: int) -> Array:
    return memory.reshape(_TAPS, -1)[:, : rows * columns].reshape(_TAPS, rows, columns)


def _shared(rows: int, columns: int) -> Array:
    """36 matrices, uninitialised."""
    return _matrices(np.empty(_TAPS * (rows * columns + _GAP), dtype=np.float32), rows, columns)


def _own(name: str, rows: int, columns: int) -> Array:
    """36 matrices in this thread's memory ``name``."""
    return _matrices(scratch(name, (_TAPS * (rows * columns + _GAP),), np.float32), rows, columns)


def _all_inputs(tiles: Tiles) -> Array:
    """The transformed tiles of all images: (36, tiles, C)."""
    out = _shared(tiles.n * tiles.each, tiles.c)
    images = ranges(tiles.n, 16)
    transform = _transforms().inputs(tiles)

    def run(index: int) -> None:
        first, end = images[index]
        transform((first, end, 0, tiles.th), out[:, first * tiles.each : end * tiles.each])

    parallel(run, len(images))
    return out


def knows_squares() -> bool:
    """Whether the transforms are those that read and write squares of pixels as one pixel."""
    return _transforms() is not cpu_winograd_transforms


def forward(
    x: Array, weight: Array, bias: Array | None, padding: Pair, *, step: int = 1, size: Pair | None = None
) -> Array:
    """x (N, H, W, C) with filters (r, r, C, K) and a bias (K): (N, OH, OW, K).

    Where the transforms know squares, ``step=2`` makes one pixel of each 2x2 of x, and with a ``size`` each pixel of
    the result becomes such a square: (N, *size, K / 4).
    """
    r, _, c, k = weight.shape
    tiles, transforms = Tiles(x, r, padding, step), _transforms()
    doubled = () if size is None else (2,)
    shape = (tiles.oh, tiles.ow, k) if size is None else (*size, k // 4)
    out = np.empty((tiles.n, *shape), dtype=x.dtype)
    pieces = ranges(k, -(-k // _FILTERS))
    if k > tiles.n * tiles.each:  # transformed filters take more memory than transformed tiles
        inputs = _all_inputs(tiles)
        everything = (0, tiles.n, 0, tiles.th)

        def run_filters(index: int) -> None:
            k0, k1 = pieces[index]
            taps = _own("filters", c, k1 - k0)
            transforms.filters(weight[..., k0:k1], taps)
            products = _own("products", inputs.shape[1], k1 - k0)
            np.matmul(inputs, taps, out=products)
            transforms.results(tiles, products, bias, everything, k0, k1, out, *doubled)

        parallel(run_filters, len(pieces))
        return out

    taps = _shared(c, k)
    transform = transforms.inputs(tiles)

    def run_piece(index: int) -> None:
        k0, k1 = pieces[index]
        transforms.filters(weight[..., k0:k1], taps[..., k0:k1])

    def run_block(index: int) -> None:
        block = tiles.blocks[index]
        count = tiles.count(block)
        inputs, products = _own("inputs", count, c), _own("products", count, k)
        transform(block, inputs)
        np.matmul(inputs, taps, out=products)
        transforms.results(tiles, products, bias, block, 0, k, out, *doubled)

    parallel(run_piece, len(pieces))
    parallel(run_block, len(tiles.blocks))
    return out


def weight_gradient(x: Array, g: Array, kernel: Pair, padding: Pair, *, step: int = 1) -> Array:
    """The gradient for the filters, (r, r, C, K), from x (N, H, W, C) and g (N, OH, OW, K); ``step`` as above."""
    tiles, transforms = Tiles(x, kernel[0], padding, step), _transforms()
    r, c, k = kernel[0], tiles.c, g.shape[3]
    out = np.empty((k, c, r, r), dtype=x.dtype).transpose(2, 3, 1, 0)
    pieces = ranges(k, -(-k // _FILTERS))
    spread = transforms.gradients(tiles, g)
    if k > tiles.n * tiles.each:
        inputs = _all_inputs(tiles)
        everything = (0, tiles.n, 0, tiles.th)
        chunks = ranges(tiles.n * tiles.each, -(-tiles.n * tiles.each // _TILES))

        def run_filters(index: int) -> None:
            k0, k1 = pieces[index]
            gradients = _own("gradients", tiles.n * tiles.each, k1 - k0)
            spread(everything, k0, k1, gradients)
            total, product = (scratch(name, (_TAPS, c, k1 - k0), x.dtype) for name in ("total", "product"))
            for begin, stop in chunks:  # long sums are less exact
                target = product if begin else total
                np.matmul(inputs[:, begin:stop].transpose(0, 2, 1), gradients[:, begin:stop], out=target)
                if begin:
                    np.add(total, product, out=total)
            cpu_winograd_transforms.filter_gradient(total[None], out[..., k0:k1])

        parallel(run_filters, len(pieces))
        return out

    parts = ranges(len(tiles.blocks), _PARTIALS[c * k > _MANY])
    sums = np.empty((len(parts), _TAPS, c, k), dtype=x.dtype)
    transform = transforms.inputs(tiles)

    def run_part(part: int) -> None:
        begin, stop = parts[part]
        for index in range(begin, stop):
            block = tiles.blocks[index]
            count = tiles.count(block)
            inputs, gradients = _own("inputs", count, c), _own("gradients", count, k)
            transform(block, inputs)
            spread(block, 0, k, gradients)
            if index == begin:
                np.matmul(inputs.transpose(0, 2, 1), gradients, out=sums[part])
            else:
                product = scratch("product", sums.shape[1:], x.dtype)
                np.matmul(inputs.transpose(0, 2, 1), gradients, out=product)
                np.add(sums[part], product, out=sums[part])

    parallel(run_part, len(parts))
    channels = ranges(c, -(-c * k // _PIECE))

    def run_channels(index: int) -> None:
        c0, c1 = channels[index]
        cpu_winograd_transforms.filter_gradient(sums[:, :, c0:c1], out[:, :, c0:c1])

    parallel(run_channels, len(channels))
    return out
