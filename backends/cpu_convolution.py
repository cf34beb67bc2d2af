"""Convolution kernels of the NumPy backend; :func:`choose` says which way is taken when.

Images are logically (N, C, H, W). The kernels read any strides and write channels-last memory. The plain way is that of
``cpu_windows.py``, a matrix product with all windows; filters and layouts that have better ways are in
``cpu_direct.py``, ``cpu_winograd.py``, ``cpu_halving.py``, ``cpu_depthwise.py`` and ``cpu_pointwise.py``. Other dtypes
run the declared forward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends import cpu_depthwise as depthwise
from chainrule.backends import cpu_direct as direct
from chainrule.backends import cpu_halving as halving
from chainrule.backends import cpu_pointwise as pointwise
from chainrule.backends import cpu_winograd as winograd
from chainrule.backends.base import Backend, kernel
from chainrule.backends.cpu_windows import (
    Windows,
    correlate,
    filter_matrix,
    last,
    out_pair,
    overlapping_sums,
    overlaps_fit,
    products,
)
from chainrule.backends.namespace import FORWARDS

Array = np.ndarray
Pair = tuple[int, int]

#: Pixels of the results from which on "halved" has enough tiles to win over the direct sums of many channels.
_HALVED = 2048


def _supported(x: Array, y: Array, bias: Array | None) -> bool:
    """Whether the kernels here take these arrays; the declared forward takes everything else."""
    return (
        x.dtype.char in "fd"
        and x.dtype == y.dtype
        and (bias is None or bias.dtype == x.dtype)
        and x.size > 0
        and y.size > 0
    )


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
    | direct    | sums over windows, in registers      | Numba; a group has up to 131072 weights, or where       |
    |           |                                      | winograd works, or halved with 2048 pixels of results,  |
    |           |                                      | up to 32x32 channels and filters (5x5: 48x48); not 1x1  |
    |           |                                      | of stride 1                                             |
    | winograd  | 36 products of transformed tiles     | quick, stride 1, 3x3 from 16 or 5x5 from 48 channels    |
    | each      | the groups one by one, by winograd   | their channels suffice for it, and are 32 or more       |
    | grouped   | windows by group, a batch of products| there is more than one group                            |
    | halved    | 2x2 pixels as one, then winograd     | quick, stride 2, 5x5 from 32 channels, even padding     |
    | planar    | windows as planes, pixels innermost  | fewer than 8 channels, result rows longer than windows' |
    | rows      | windows as rows of a matrix          | else; for 1x1 the image is that matrix or its transpose |

    Args:
        quick: whether Winograd's algorithm may be used: float32, and ``cpu.precise`` is False.
    """
    (n, c, h, w), (k, _, kh, kw) = x_size, weight_size
    if 1 < groups == c == k:
        return "depthwise"
    out = out_pair(x_size, weight_size, stride, padding, dilation)
    each = (n, c // groups, h, w)
    tiled = quick and stride == dilation == (1, 1) and winograd.pays(each, k // groups, (kh, kw), padding)
    halves = quick and groups == 1 and dilation == (1, 1) and halving.pays(x_size, k, (kh, kw), stride, padding)
    if direct.pays(n, weight_size, out, stride, groups, tiled or (halves and n * out[0] * out[1] >= _HALVED)):
        return "direct"
    if tiled and groups == 1:
        return "winograd"
    if tiled and min(c, k) // groups >= 32:
        return "each"
    if groups > 1:
        return "grouped"
    if halves:
        return "halved"
    if c < 8 and out[1] > c * kw:
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
    if how in ("depthwise", "direct"):
        size = out_pair(x.shape, weight.shape, stride, padding, dilation)
    if how == "depthwise":
        return xp.depthwise(x, weight, bias, out=size, stride=stride, padding=padding, dilation=dilation)
    if how == "direct":
        return direct.images(x, weight, bias, size, stride, padding, dilation, groups)
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
        windows = Windows(image, weight.shape[2:], stride, padding, dilation, groups, how == "planar")
        out = correlate(windows, filter_matrix(weight, groups), bias)
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

    For few channels, what the filters make of each pixel is added up where windows overlap.
    None where that does not work: padding beyond the kernel's reach, stride together with dilation, or other sizes.
    """
    (kh, kw), (ph, pw) = weight.shape[2:], padding
    how = choose(x_size, weight.shape, stride, padding, dilation, groups, quick)
    if how == "depthwise":
        return xp.depthwise_input(g, weight, size=x_size[2:], stride=stride, padding=padding, dilation=dilation)
    if how == "halved":
        return halving.input_gradient(last(g), weight, (x_size[2], x_size[3]), padding).transpose(0, 3, 1, 2)
    if how in ("direct", "planar"):
        k, c = weight.shape[:2]
        expected = (x_size[0], k, *out_pair(x_size, weight.shape, stride, padding, dilation))
        if g.shape != expected or x_size[1] != c * groups or k % groups:
            return None
    border = (dilation[0] * (kh - 1) - ph, dilation[1] * (kw - 1) - pw)
    convolves = stride == (1, 1) and min(border) >= 0
    if how == "direct" and groups == 1 and not (convolves and direct.leads_back(k, c, kw)):
        return direct.images_gradient(g, weight, (x_size[2], x_size[3]), stride, padding, dilation)
    if how == "planar" and overlaps_fit(g, weight):
        return overlapping_sums(g, weight, (x_size[2], x_size[3]), stride, padding, dilation)
    if convolves:
        return conv2d(xp, g, direct.turned(weight, groups), None, (1, 1), border, dilation, groups, quick)
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
            turned, border = direct.turned(taps, groups), (taps.shape[2] - 1, taps.shape[3] - 1)
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
    k, _, kh, kw = weight_size
    sizes = out_pair(x.shape, weight_size, stride, padding, dilation)
    if g.shape[2:] != sizes:
        raise ValueError(f"conv2d_weight: argument 'y' must have height and width {sizes}, got {g.shape[2:]}")
    how = choose(x.shape, weight_size, stride, padding, dilation, groups, quick)
    image, y = last(x), last(g)
    if how == "depthwise":
        return xp.depthwise_weight(x, g, kernel=(kh, kw), stride=stride, padding=padding, dilation=dilation)
    if how == "halved":
        return halving.weight_gradient(image, y, padding)
    if how == "direct":
        return direct.filters_gradient(x, g, (kh, kw), stride, padding, dilation, groups)
    if how in ("each", "winograd"):
        pieces = [
            winograd.weight_gradient(image[..., channels], y[..., filters], (kh, kw), padding)
            for channels, filters in _parts(x.shape[1], k, groups)
        ]
        whole = pieces[0] if groups == 1 else np.concatenate(pieces, axis=3)
        return np.ascontiguousarray(whole.transpose(3, 2, 0, 1))
    if how == "rows" and pointwise.pays(weight_size, stride, padding, x, g):
        return pointwise.weight_gradient(x, g)
    windows = Windows(image, (kh, kw), stride, padding, dilation, groups, how == "planar")
    return products(windows, y, weight_size)


def register(backend: Backend, quick: Callable[[], bool]) -> None:
    """Make these the kernels of ``backend``; ``quick`` says whether Winograd's algorithm may be used."""
    xp = backend.xp
    depthwise.register(backend)
    direct.register(backend, quick)

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
    return min(out_pair(x, weight, stride, padding, dilation)) >= 1
