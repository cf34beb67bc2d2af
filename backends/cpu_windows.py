"""Convolution as a matrix product with all windows: blocks of them, one product per block, on all threads.

In channels-last memory a row of ``KW * C`` neighbours is contiguous and a result block is a plain matrix. A block is
about 1 MB of windows, which stays in a core's second-level cache from the copy to the product.
"""

from __future__ import annotations

import numpy as np

from chainrule.backends.cpu_pointwise import for_all
from chainrule.backends.pool import ranges, scratch

Array = np.ndarray
Pair = tuple[int, int]

_as_strided = np.lib.stride_tricks.as_strided

#: Bytes of windows in one block.
_BLOCK = 1 << 20

#: Partial sums of a weight gradient: fixed, so that the result does not depend on the number of threads.
_PARTIALS = 8


def last(x: Array) -> Array:
    """(N, C, H, W) as (N, H, W, C), a view."""
    return x.transpose(0, 2, 3, 1)


def _out_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def out_pair(x: tuple[int, ...], weight: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Height and width of the result from the sizes of images (N, C, H, W) and filters (K, C, KH, KW)."""
    height = _out_size(x[2], weight[2], stride[0], padding[0], dilation[0])
    return height, _out_size(x[3], weight[3], stride[1], padding[1], dilation[1])


class Windows:
    """The windows of images x (N, H, W, C), in blocks of whole images or of rows of one image."""

    def __init__(
        self, x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int, planar: bool
    ) -> None:
        n, h, w, c = x.shape
        self.groups = groups
        self.x, self.kernel, self.stride, self.padding, self.dilation = x, kernel, stride, padding, dilation
        self.oh = _out_size(h, kernel[0], stride[0], padding[0], dilation[0])
        self.ow = _out_size(w, kernel[1], stride[1], padding[1], dilation[1])
        self.width = kernel[0] * kernel[1] * c // groups
        #: channels before pixels: for few channels, where runs of pixels are longer than runs of channels
        self.planar = planar
        rows = max(1, _BLOCK // (x.itemsize * self.width * groups * max(self.ow, 1)))
        if rows >= self.oh:
            images = max(1, min(rows // max(self.oh, 1), -(-n // _PARTIALS)))
            self.blocks = [(i, min(i + images, n), 0, self.oh) for i in range(0, n, images)]
        else:
            self.blocks = [(i, i + 1, a, b) for i in range(n) for a, b in ranges(self.oh, -(-self.oh // rows))]

    def _patch(self, first: int, end: int, top: int, bottom: int) -> Array:
        """The bordered input (n, rows, W + 2 * padding, C) that the output rows ``top:bottom`` look at."""
        h, w, c = self.x.shape[1:]
        (kh, _), (sh, _), (ph, pw), (dh, _) = self.kernel, self.stride, self.padding, self.dilation
        a, b = top * sh - ph, (bottom - 1) * sh - ph + (kh - 1) * dh + 1
        inside = self.x[first:end, max(a, 0) : max(min(b, h), 0)]
        whole = a >= 0 and b <= h and pw == 0
        if whole and (self.planar or inside.strides[3] == inside.itemsize):
            return inside
        shape = (end - first, b - a, w + 2 * pw, c)
        if self.planar:
            patch = scratch("patch", (shape[0], c, *shape[1:3]), self.x.dtype).transpose(0, 2, 3, 1)
        else:
            patch = scratch("patch", shape, self.x.dtype)
        if not whole:
            patch.fill(0)
        patch[:, max(-a, 0) : max(-a, 0) + inside.shape[1], pw : pw + w] = inside
        return patch

    def block(self, index: int, ones: bool = False) -> Array:
        """The windows of one block as rows: (pixels, width), or (images, pixels, width + ones) where planar.

        With more than one group: (groups, pixels, width).
        """
        first, end, top, bottom = self.blocks[index]
        patch = self._patch(first, end, top, bottom)
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.stride, self.dilation
        n, rows, c = end - first, bottom - top, self.x.shape[3]
        s = patch.strides
        if self.planar:
            columns = scratch("columns", (n, self.width + ones, rows * self.ow), self.x.dtype)
            view = _as_strided(
                patch, (n, kh, kw, c, rows, self.ow), (s[0], s[1] * dh, s[2] * dw, s[3], s[1] * sh, s[2] * sw)
            )
            columns[:, : self.width].reshape(view.shape)[...] = view
            if ones:
                columns[:, self.width] = 1
            return columns.transpose(0, 2, 1)
        if self.groups > 1:
            each = c // self.groups
            columns = scratch("columns", (self.groups, n, rows, self.ow, kh, kw, each), self.x.dtype)
            strides = (each * s[3], s[0], s[1] * sh, s[2] * sw, s[1] * dh, s[2] * dw, s[3])
            columns[...] = _as_strided(patch, columns.shape, strides)
            return columns.reshape(self.groups, -1, self.width)
        if self.width == c and sh == sw == 1 and patch.flags.c_contiguous:
            return patch.reshape(-1, c)
        columns = scratch("columns", (n, rows, self.ow, kh, kw, c), self.x.dtype)
        columns[...] = _as_strided(patch, columns.shape, (s[0], s[1] * sh, s[2] * sw, s[1] * dh, s[2] * dw, s[3]))
        return columns.reshape(-1, self.width)


def correlate(windows: Windows, matrix: Array, bias: Array | None) -> Array:
    """Every window times ``matrix`` (KH * KW * C, K), plus ``bias``: (N, OH, OW, K).

    With more than one group the matrix is (groups, KH * KW * C / groups, K / groups).
    """
    k = matrix.shape[-1] * windows.groups
    out = np.empty((windows.x.shape[0], windows.oh, windows.ow, k), dtype=windows.x.dtype)
    ones = windows.planar and bias is not None
    if ones:
        matrix = np.concatenate([matrix, bias[None]])  # type: ignore[index]  # a column of ones adds the bias for free

    def run(index: int) -> None:
        first, end, top, bottom = windows.blocks[index]
        rows = windows.block(index, ones)
        if windows.groups > 1:
            target = out[first:end, top:bottom].reshape(-1, k)
            np.matmul(rows, matrix, out=_by_group(target, windows.groups))
        else:
            target = out[first:end, top:bottom].reshape(*rows.shape[:-1], k)
            np.matmul(rows, matrix, out=target)
        if bias is not None and not ones:
            np.add(target, bias, out=target)

    for_all(run, len(windows.blocks), out.size * windows.width)
    return out


def _by_group(rows: Array, groups: int) -> Array:
    """(pixels, K) as (groups, pixels, K / groups), a view."""
    return rows.reshape(rows.shape[0], groups, -1).transpose(1, 0, 2)


def filter_matrix(weight: Array, groups: int) -> Array:
    """(K, C / groups, KH, KW) as (KH * KW * C, K), or (groups, KH * KW * C / groups, K / groups)."""
    k, c, kh, kw = weight.shape
    if groups == 1:
        return np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).reshape(-1, k)
    grouped = weight.reshape(groups, k // groups, c, kh, kw).transpose(0, 3, 4, 2, 1)
    return np.ascontiguousarray(grouped).reshape(groups, kh * kw * c, k // groups)


def products(windows: Windows, y: Array, weight_size: tuple[int, ...]) -> Array:
    """The gradient for filters (K, C / groups, KH, KW) from that of the result, y (N, OH, OW, K)."""
    k, c, kh, kw = weight_size
    groups = windows.groups
    parts = ranges(len(windows.blocks), _PARTIALS)
    shape = (windows.width, k) if groups == 1 else (groups, windows.width, k // groups)
    sums = np.zeros((len(parts), *shape), dtype=y.dtype)

    def run(part: int) -> None:
        begin, end = parts[part]
        for index in range(begin, end):
            first, stop, top, bottom = windows.blocks[index]
            rows = windows.block(index)
            piece = y[first:stop, top:bottom]
            if not piece.flags.c_contiguous:
                copy = scratch("gradient", piece.shape, piece.dtype)
                copy[...] = piece
                piece = copy
            if groups > 1:
                product = scratch("product", shape, sums.dtype)
                np.matmul(rows.transpose(0, 2, 1), _by_group(piece.reshape(-1, k), groups), out=product)
                sums[part] += product
                continue
            piece = piece.reshape(*rows.shape[:-1], k)
            if index == begin and rows.ndim == 2:
                np.matmul(rows.T, piece, out=sums[part])
            elif rows.ndim == 2:
                product = scratch("product", sums.shape[1:], sums.dtype)
                np.matmul(rows.T, piece, out=product)
                sums[part] += product
            else:
                for a, b in zip(rows, piece):
                    product = scratch("product", sums.shape[1:], sums.dtype)
                    np.matmul(a.T, b, out=product)
                    sums[part] += product

    for_all(run, len(parts), y.size * windows.width)
    total = np.add.reduce(sums, 0)
    if groups > 1:
        total = total.reshape(groups, kh, kw, c, k // groups).transpose(0, 4, 3, 1, 2)
        return np.ascontiguousarray(total.reshape(k, c, kh, kw))
    return np.ascontiguousarray(total.reshape(kh, kw, c, k).transpose(3, 2, 0, 1))
