"""Convolution kernels of the NumPy backend: blocks of windows, one matrix product per block, on all threads.

Images are logically (N, C, H, W). The kernels read any strides and write channels-last memory, where a row of
``KW * C`` neighbours is contiguous and a result block is a plain matrix. A block is about 1 MB of windows, which
stays in a core's second-level cache from the copy to the product. Filters and layouts that have better ways are in
``cpu_winograd.py``, ``cpu_halving.py``, ``cpu_depthwise.py`` and ``cpu_pointwise.py``; :func:`choose` says which when.
Other dtypes run the declared forward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends import cpu_depthwise as depthwise
from chainrule.backends import cpu_halving as halving
from chainrule.backends import cpu_pointwise as pointwise
from chainrule.backends import cpu_winograd as winograd
from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import ranges, scratch

Array = np.ndarray
Pair = tuple[int, int]

_as_strided = np.lib.stride_tricks.as_strided

#: Bytes of windows in one block.
_BLOCK = 1 << 20

#: Partial sums of a weight gradient: fixed, so that the result does not depend on the number of threads.
_PARTIALS = 8


def _supported(x: Array, y: Array, bias: Array | None) -> bool:
    """Whether the kernels here take these arrays; the declared forward takes everything else."""
    return (
        x.dtype.char in "fd"
        and x.dtype == y.dtype
        and (bias is None or bias.dtype == x.dtype)
        and x.size > 0
        and y.size > 0
    )


def last(x: Array) -> Array:
    """(N, C, H, W) as (N, H, W, C), a view."""
    return x.transpose(0, 2, 3, 1)


def _out_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


class _Windows:
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


def _correlate(x: Array, matrix: Array, bias: Array | None, windows: _Windows) -> Array:
    """Every window times ``matrix`` (KH * KW * C, K), plus ``bias``: (N, OH, OW, K).

    With more than one group the matrix is (groups, KH * KW * C / groups, K / groups).
    """
    k = matrix.shape[-1] * windows.groups
    out = np.empty((x.shape[0], windows.oh, windows.ow, k), dtype=x.dtype)
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

    pointwise.for_all(run, len(windows.blocks), out.size * windows.width)
    return out


def _by_group(rows: Array, groups: int) -> Array:
    """(pixels, K) as (groups, pixels, K / groups), a view."""
    return rows.reshape(rows.shape[0], groups, -1).transpose(1, 0, 2)


def _matrix(weight: Array, groups: int) -> Array:
    """(K, C / groups, KH, KW) as (KH * KW * C, K), or (groups, KH * KW * C / groups, K / groups)."""
    k, c, kh, kw = weight.shape
    if groups == 1:
        return np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).reshape(-1, k)
    grouped = weight.reshape(groups, k // groups, c, kh, kw).transpose(0, 3, 4, 2, 1)
    return np.ascontiguousarray(grouped).reshape(groups, kh * kw * c, k // groups)


def _turned(weight: Array, groups: int) -> Array:
    """The filters that lead back: (K, C / groups, KH, KW) as (C, K / groups, KH, KW), turned around."""
    k, c, kh, kw = weight.shape
    grouped = weight.reshape(groups, k // groups, c, kh, kw).transpose(0, 2, 1, 3, 4)
    return grouped.reshape(groups * c, k // groups, kh, kw)[:, :, ::-1, ::-1]


def choose(
    x_size: tuple[int, ...],
    weight_size: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    quick: bool,
) -> str:
    """How a convolution and its gradients are computed: the first of these whose condition holds.

    | how       | what                                 | when                                                    |
    |-----------|--------------------------------------|---------------------------------------------------------|
    | depthwise | rows times banded matrices           | one filter for each channel, and nothing else           |
    | each      | the groups one by one, by winograd   | their channels suffice for it, and are 32 or more       |
    | grouped   | windows by group, a batch of products| there is more than one group                            |
    | winograd  | 36 products of transformed tiles     | quick, stride 1, 3x3 from 16 or 5x5 from 48 channels    |
    | halved    | 2x2 pixels as one, then winograd     | quick, stride 2, 5x5 from 32 channels, even padding     |
    | planar    | windows as planes, pixels innermost  | fewer than 8 channels, result rows longer than windows' |
    | rows      | windows as rows of a matrix          | else; for 1x1 the image is that matrix or its transpose |

    Args:
        quick: whether Winograd's algorithm may be used: float32, and ``cpu.precise`` is False.
    """
    (_, c, _, w), (k, _, kh, kw) = x_size, weight_size
    if 1 < groups == c == k:
        return "depthwise"
    each = (x_size[0], c // groups, *x_size[2:])
    if quick and stride == dilation == (1, 1) and winograd.pays(each, k // groups, (kh, kw), padding):
        if groups == 1:
            return "winograd"
        if min(c, k) // groups >= 32:
            return "each"
    if groups > 1:
        return "grouped"
    if quick and dilation == (1, 1) and halving.pays(x_size, k, (kh, kw), stride, padding):
        return "halved"
    if c < 8 and _out_size(w, kw, stride[1], padding[1], dilation[1]) > c * kw:
        return "planar"
    return "rows"


def _parts(channels: int, filters: int, groups: int) -> list[tuple[slice, slice]]:
    """The channels and the filters of each group."""
    c, k = channels // groups, filters // groups
    return [(slice(i * c, (i + 1) * c), slice(i * k, (i + 1) * k)) for i in range(groups)]


def conv2d(
    xp: Any,
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    quick: bool,
) -> Array:
    """Images x (N, C, H, W) with filters (K, C / groups, KH, KW): (N, K, OH, OW) in channels-last memory.

    A depthwise convolution keeps the memory order of the images, and so does 1x1.
    """
    how = choose(x.shape, weight.shape, stride, padding, dilation, groups, quick)
    if how == "rows" and pointwise.pays(weight.shape, stride, padding, x):
        return pointwise.forward(x, weight, bias)
    image = last(x)
    if how == "depthwise":
        size = tuple(_out_size(x.shape[2 + i], weight.shape[2 + i], stride[i], padding[i], dilation[i]) for i in (0, 1))
        return xp.depthwise(x, weight, bias, out=size, stride=stride, padding=padding, dilation=dilation)
    if how == "each":
        pieces = [
            winograd.forward(
                image[..., channels],
                weight[filters].transpose(2, 3, 1, 0),
                None if bias is None else bias[filters],
                padding,
            )
            for channels, filters in _parts(x.shape[1], weight.shape[0], groups)
        ]
        out = np.concatenate(pieces, axis=3)
    elif how == "winograd":
        out = winograd.forward(image, weight.transpose(2, 3, 1, 0), bias, padding)
    elif how == "halved":
        out = halving.forward(image, weight, bias, padding)
    else:
        windows = _Windows(image, weight.shape[2:], stride, padding, dilation, groups, how == "planar")
        out = _correlate(image, _matrix(weight, groups), bias, windows)
    return out.transpose(0, 3, 1, 2)


def conv2d_input(
    xp: Any,
    g: Array,
    weight: Array,
    x_size: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    quick: bool,
) -> Array | None:
    """The gradient for the images from g (N, K, OH, OW): a convolution of g with the filters turned around.

    None where that does not work: padding beyond the kernel's reach, stride together with dilation.
    """
    (kh, kw), (ph, pw) = weight.shape[2:], padding
    how = choose(x_size, weight.shape, stride, padding, dilation, groups, quick)
    if how == "depthwise":
        return xp.depthwise_input(g, weight, size=x_size[2:], stride=stride, padding=padding, dilation=dilation)
    if how == "halved":
        return halving.input_gradient(last(g), weight, (x_size[2], x_size[3]), padding).transpose(0, 3, 1, 2)
    turned = _turned(weight, groups)
    border = (dilation[0] * (kh - 1) - ph, dilation[1] * (kw - 1) - pw)
    if stride == (1, 1) and min(border) >= 0:
        return conv2d(xp, g, turned, None, (1, 1), border, dilation, groups, quick)
    if dilation != (1, 1) or stride == (1, 1):
        return None
    # Row u of the bordered image is s * q + a: of all kernel rows only a, a + s, a + 2s, .. meet it.
    n, c, h, w = x_size
    (sh, sw), (oh, ow) = stride, g.shape[2:]
    out = np.zeros((n, h, w, c), dtype=g.dtype)
    for a in range(min(sh, kh)):
        for b in range(min(sw, kw)):
            taps = weight[:, :, a::sh, b::sw]
            # the first and last q whose row lies inside the image
            q0, q1 = -((a - ph) // sh), (h - 1 + ph - a) // sh + 1
            r0, r1 = -((b - pw) // sw), (w - 1 + pw - b) // sw + 1
            q0, r0 = max(q0, 0), max(r0, 0)
            q1, r1 = min(q1, oh + taps.shape[2] - 1), min(r1, ow + taps.shape[3] - 1)
            if q1 <= q0 or r1 <= r0:
                continue
            turned, border = _turned(taps, groups), (taps.shape[2] - 1, taps.shape[3] - 1)
            part = conv2d(xp, g, turned, None, (1, 1), border, (1, 1), groups, quick)
            top, left = sh * q0 + a - ph, sw * r0 + b - pw
            out[:, top : top + sh * (q1 - q0) : sh, left : left + sw * (r1 - r0) : sw] = last(part)[:, q0:q1, r0:r1]
    return out.transpose(0, 3, 1, 2)


def conv2d_weight(
    xp: Any,
    x: Array,
    g: Array,
    weight_size: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    quick: bool,
) -> Array:
    """The gradient for the filters from images x (N, C, H, W) and g (N, K, OH, OW): (K, C / groups, KH, KW)."""
    k, c, kh, kw = weight_size
    sizes = tuple(_out_size(x.shape[2 + i], weight_size[2 + i], stride[i], padding[i], dilation[i]) for i in (0, 1))
    if g.shape[2:] != sizes:
        raise ValueError(f"conv2d_weight: argument 'y' must have height and width {sizes}, got {g.shape[2:]}")
    how = choose(x.shape, weight_size, stride, padding, dilation, groups, quick)
    image, y = last(x), last(g)
    if how == "depthwise":
        return xp.depthwise_weight(x, g, kernel=(kh, kw), stride=stride, padding=padding, dilation=dilation)
    if how == "halved":
        return halving.weight_gradient(image, y, padding)
    if how in ("each", "winograd"):
        pieces = [
            winograd.weight_gradient(image[..., channels], y[..., filters], (kh, kw), padding)
            for channels, filters in _parts(x.shape[1], k, groups)
        ]
        whole = pieces[0] if groups == 1 else np.concatenate(pieces, axis=3)
        return np.ascontiguousarray(whole.transpose(3, 2, 0, 1))
    if how == "rows" and pointwise.pays(weight_size, stride, padding, x, g):
        return pointwise.weight_gradient(x, g)
    windows = _Windows(image, (kh, kw), stride, padding, dilation, groups, how == "planar")
    parts = ranges(len(windows.blocks), _PARTIALS)
    shape = (windows.width, k) if groups == 1 else (groups, windows.width, k // groups)
    sums = np.zeros((len(parts), *shape), dtype=x.dtype)

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

    pointwise.for_all(run, len(parts), g.size * windows.width)
    total = np.add.reduce(sums, 0)
    if groups > 1:
        total = total.reshape(groups, kh, kw, c, k // groups).transpose(0, 4, 3, 1, 2)
        return np.ascontiguousarray(total.reshape(k, c, kh, kw))
    return np.ascontiguousarray(total.reshape(kh, kw, c, k).transpose(3, 2, 0, 1))


def register(backend: Backend, quick: Callable[[], bool]) -> None:
    """Make these the kernels of ``backend``; ``quick`` says whether Winograd's algorithm may be used."""
    xp = backend.xp
    depthwise.register(backend)

    def quickly(x: Array) -> bool:
        return quick() and x.dtype == np.float32

    @kernel("conv2d", backend)
    def forward(
        x: Array,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Any:
        if _supported(x, weight, bias) and _fits(x.shape, weight.shape, stride, padding, dilation, groups):
            return conv2d(xp, x, weight, bias, stride, padding, dilation, groups, quickly(x))
        return FORWARDS["conv2d"](xp, x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)

    @kernel("conv2d_input", backend)
    def input_gradient(
        x: Array, weight: Array, *, x_size: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
    ) -> Any:
        if _supported(x, weight, None):
            out = conv2d_input(xp, x, weight, x_size, stride, padding, dilation, groups, quickly(x))
            if out is not None:
                return out
        return FORWARDS["conv2d_input"](
            xp, x, weight, x_size=x_size, stride=stride, padding=padding, dilation=dilation, groups=groups
        )

    @kernel("conv2d_weight", backend)
    def weight_gradient(
        x: Array, y: Array, *, weight_size: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
    ) -> Any:
        if _supported(x, y, None) and _fits(x.shape, weight_size, stride, padding, dilation, groups):
            return conv2d_weight(xp, x, y, weight_size, stride, padding, dilation, groups, quickly(x))
        return FORWARDS["conv2d_weight"](
            xp, x, y, weight_size=weight_size, stride=stride, padding=padding, dilation=dilation, groups=groups
        )


def _fits(
    x: tuple[int, ...], weight: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> bool:
    """Whether the arguments make sense; the declared forward says what is wrong otherwise."""
    if min(stride) < 1 or min(dilation) < 1 or min(padding) < 0 or min(weight) < 1 or groups < 1:
        return False
    if x[1] != weight[1] * groups or weight[0] % groups:
        return False
    return all(_out_size(x[2 + i], weight[2 + i], stride[i], padding[i], dilation[i]) >= 1 for i in (0, 1))
