"""Direct convolution for the NumPy backend where there is Numba: which convolutions it takes, and volumes.

The loops are those of ``compiled/direct.py``; ``cpu_convolution.py`` calls them for images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from chainrule.backends import compiled
from chainrule.backends import cpu_winograd as winograd
from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS

Array = np.ndarray
Pair = tuple[int, int]
Triple = tuple[int, int, int]

#: Weights of a group up to which it wins: with more of them a library's product, which keeps them in the cache for
#: blocks of pixels, is worth its copies of windows.
_WEIGHTS = 1 << 17

#: Channels times filters up to which it wins over Winograd's algorithm.
_SMALL = {(3, 3): 32 * 32, (5, 5): 48 * 48}

#: Multiplications from which on it is worth loading a compiled module.
_WORTH = 1 << 18

#: Channels of images from which on their gradient is a convolution too, where it can be: it fills most of a register.
FEW = 5


@cache
def loops() -> Any:
    """The module with the compiled loops; None where there is no Numba."""
    return compiled.module("direct")


def pays(
    n: int, weight_size: tuple[int, ...], out: tuple[int, ...], stride: tuple[int, ...], groups: int, rival: bool
) -> bool:
    """Whether it is the quickest way for filters (K, C / groups, ..) with results (N, K, *out).

    Args:
        rival: whether Winograd's algorithm is another way.
    """
    (k, c, *sizes), weights = weight_size, math.prod(weight_size)
    if weights // groups > _WEIGHTS or (rival and c * k // groups > _SMALL[sizes[-2], sizes[-1]]):
        return False
    if groups == 1 and max(*sizes, *stride) == 1:  # the image is a matrix
        return False
    return n * math.prod(out) * weights >= _WORTH and loops() is not None


def images(
    x: Array, weight: Array, bias: Array | None, out: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Images (N, C, H, W) with filters (K, C / groups, KH, KW), plus a bias (K): (N, K, *out)."""
    sizes = ((1, *out), (1, *stride), (0, *padding), (1, *dilation))
    result: Array = loops().forward(x[:, :, None], weight[:, :, None], bias, *sizes, groups)[:, :, 0]
    return result


def images_gradient(g: Array, weight: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """The gradient for images of height and width ``size`` from g (N, K, OH, OW), with one group."""
    result: Array = loops().input_gradient(g, weight, size, stride, padding, dilation)
    return result


def filters_gradient(
    x: Array, g: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """The gradient for filters (K, C / groups, *kernel) from images x (N, C, H, W) and g (N, K, OH, OW)."""
    sizes = ((1, *kernel), (1, *stride), (0, *padding), (1, *dilation))
    result: Array = loops().weight_gradient(x[:, :, None], g[:, :, None], *sizes, groups)[:, :, 0]
    return result


# ---- volumes --------------------------------------------------------------------------------------------------------


def _out(size: tuple[int, ...], weight: tuple[int, ...], stride: Triple, padding: Triple, dilation: Triple) -> Triple:
    d, h, w = (
        (size[2 + i] + 2 * padding[i] - dilation[i] * (weight[2 + i] - 1) - 1) // stride[i] + 1 for i in range(3)
    )
    return d, h, w


def _takes(
    arrays: tuple[Array | None, ...],
    x_size: tuple[int, ...],
    weight_size: tuple[int, ...],
    stride: Triple,
    padding: Triple,
    dilation: Triple,
    groups: int,
    quick: bool,
) -> Triple | None:
    """The size of the result; None where the declared forward does the work, or says what is wrong."""
    given = [a for a in arrays if a is not None]
    if given[0].dtype.char not in "fd" or any(a.dtype != given[0].dtype or not a.size for a in given):
        return None
    if min(*stride, *dilation, *weight_size, groups) < 1 or min(padding) < 0:
        return None
    if x_size[1] != weight_size[1] * groups or weight_size[0] % groups:
        return None
    out = _out(x_size, weight_size, stride, padding, dilation)
    if min(out) < 1:
        return None
    (n, c, d, h, w), k = x_size, weight_size[0] // groups
    rival = quick and given[0].dtype == np.float32 and max(*stride, *dilation) == 1
    rival = rival and winograd.pays((n * d, c // groups, h, w), k, weight_size[3:], padding[1:])
    return out if pays(n, weight_size, out, stride, groups, rival) else None


def turned(weight: Array, groups: int) -> Array:
    """The filters that lead back: (K, C / groups, ..) as (C, K / groups, ..), turned around."""
    k, c, *sizes = weight.shape
    grouped = weight.reshape(groups, k // groups, c, *sizes).swapaxes(1, 2).reshape(groups * c, k // groups, *sizes)
    return grouped[(slice(None), slice(None), *[slice(None, None, -1)] * len(sizes))]


def register(backend: Backend, quick: Callable[[], bool]) -> None:
    """Make these the kernels of ``backend`` for volumes; ``quick`` says whether Winograd's algorithm may be used."""
    xp = backend.xp

    @kernel("conv3d", backend)
    def forward(
        x: Array,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: Triple = (1, 1, 1),
        padding: Triple = (0, 0, 0),
        dilation: Triple = (1, 1, 1),
        groups: int = 1,
    ) -> Any:
        out = _takes((x, weight, bias), x.shape, weight.shape, stride, padding, dilation, groups, quick())
        if out is not None:
            return loops().forward(x, weight, bias, out, stride, padding, dilation, groups)
        return FORWARDS["conv3d"](xp, x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)

    @kernel("conv3d_input", backend)
    def input_gradient(
        x: Array,
        weight: Array,
        *,
        x_size: tuple[int, ...],
        stride: Triple,
        padding: Triple,
        dilation: Triple,
        groups: int,
    ) -> Any:
        border = [dilation[i] * (weight.shape[2 + i] - 1) - padding[i] for i in range(3)]
        if max(stride) == 1 and min(border) >= 0:
            out = _takes((x, weight), x_size, weight.shape, stride, padding, dilation, groups, quick())
            if out is not None and x.shape == (x_size[0], weight.shape[0], *out):
                size, edge = (x_size[2], x_size[3], x_size[4]), (border[0], border[1], border[2])
                return loops().forward(x, turned(weight, groups), None, size, stride, edge, dilation, groups)
        return FORWARDS["conv3d_input"](
            xp, x, weight, x_size=x_size, stride=stride, padding=padding, dilation=dilation, groups=groups
        )

    @kernel("conv3d_weight", backend)
    def weight_gradient(
        x: Array,
        y: Array,
        *,
        weight_size: tuple[int, ...],
        stride: Triple,
        padding: Triple,
        dilation: Triple,
        groups: int,
    ) -> Any:
        out = _takes((x, y), x.shape, weight_size, stride, padding, dilation, groups, quick())
        if out is not None and y.shape == (x.shape[0], weight_size[0], *out):
            size = (weight_size[2], weight_size[3], weight_size[4])
            return loops().weight_gradient(x, y, size, stride, padding, dilation, groups)
        return FORWARDS["conv3d_weight"](
            xp, x, y, weight_size=weight_size, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
