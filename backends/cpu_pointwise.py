"""1x1 convolution of images in planes, for the NumPy backend: no change of layout.

Where the channels are outermost in memory, an image is a matrix (C, H * W), and a 1x1 convolution is the product of the
filters (K, C) with it, which has its channels outermost too. So are the gradients: ``W.T @ g`` for the images and the
sum of ``g @ x.T`` for the filters. (In channels-last memory the image is the matrix (H * W, C), and
``cpu_convolution.py`` does the same without a special case.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule.backends.pool import parallel, ranges, scratch

Array = np.ndarray
Pair = tuple[int, int]

#: Pixels of an image from which on its products are as fast as those of all images' pixels in one matrix.
_PIXELS = 64

#: Pixels of one product, and elements of the products of one task: they stay in the cache until the bias is added,
#: and keep a thread from asking for the interpreter lock all the time.
_COLUMNS = 4096
_BLOCK = 1 << 17

#: Products smaller than this run on the caller alone: waking a helper takes as long.
_WORTH = 10_000_000

#: Partial sums of a weight gradient: fixed, so that the result does not depend on the number of threads.
_PARTIALS = 8


def pays(weight_size: tuple[int, ...], stride: Pair, padding: Pair, *images: Array) -> bool:
    """Whether this is a convolution for the kernels here."""
    plain = weight_size[2:] == stride == (1, 1) and padding == (0, 0)
    return plain and all(_planes(x) is not None for x in images)


def _planes(x: Array) -> Array | None:
    """Images (N, C, H, W) as matrices (N, C, H * W), a view; None for other memory than whole planes, or small ones."""
    n, c, h, w = x.shape
    size, strides = x.itemsize, x.strides
    if h * w < _PIXELS or c < 2 or strides[3] != size or (h > 1 and strides[2] != w * size):
        return None
    return np.lib.stride_tricks.as_strided(x, (n, c, h * w), (strides[0], strides[1], size))


def for_all(function: Callable[[int], object], count: int, work: int) -> None:
    """``parallel`` where there is enough work, else a loop."""
    if work >= _WORTH:
        parallel(function, count)
    else:
        for i in range(count):
            function(i)


def forward(images: Array, weight: Array, bias: Array | None) -> Array:
    """Images (N, C, H, W) with filters (K, C, 1, 1), plus a bias (K): (N, K, H, W)."""
    x, matrix = _planes(images), weight[:, :, 0, 0]
    assert x is not None
    (n, c, p), k = x.shape, matrix.shape[0]
    out = np.empty((n, k, p), dtype=x.dtype)
    column = None if bias is None else bias[:, None]
    images_each = max(1, min(_BLOCK // (k * p), -(-n // _PARTIALS)))
    tasks = [
        (i, min(i + images_each, n), a, b)
        for i in range(0, n, images_each)
        for a, b in ranges(p, max(-(-p // _COLUMNS), _PARTIALS // n), 16)
    ]

    def run(task: int) -> None:
        first, end, a, b = tasks[task]
        target = out[first:end, :, a:b]
        np.matmul(matrix, x[first:end, :, a:b], out=target)
        if column is not None:
            np.add(target, column, out=target)

    for_all(run, len(tasks), out.size * c)
    return out.reshape(n, k, *images.shape[2:])


def weight_gradient(images: Array, gradients: Array) -> Array:
    """The gradient for the filters, (K, C, 1, 1), from images (N, C, H, W) and gradients (N, K, H, W)."""
    x, g = _planes(images), _planes(gradients)
    assert x is not None
    assert g is not None
    (n, c, p), k = x.shape, g.shape[1]
    blocks = [(i, a, b) for i in range(n) for a, b in ranges(p, max(-(-p // _COLUMNS), _PARTIALS // n), 16)]
    parts = ranges(len(blocks), _PARTIALS)
    sums = np.empty((len(parts), k, c), dtype=x.dtype)

    def run(part: int) -> None:
        begin, end = parts[part]
        for block in range(begin, end):
            i, a, b = blocks[block]
            target = sums[part] if block == begin else scratch("product", (k, c), x.dtype)
            np.matmul(g[i, :, a:b], x[i, :, a:b].T, out=target)
            if block > begin:
                np.add(sums[part], target, out=sums[part])

    for_all(run, len(parts), g.size * c)
    total: Array = np.add.reduce(sums, 0)
    return total[:, :, None, None]
