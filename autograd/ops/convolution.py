"""Two-dimensional convolution and its two gradients, each an op whose gradients are the other two.

Convolution here is cross-correlation, as in PyTorch. x is (N, C, H, W), weight (K, C / groups, KH, KW), the result
(N, K, OH, OW) with OH = (H + 2 * padding - dilation * (KH - 1) - 1) // stride + 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.samples import Sample, Samples, normal, signal

Pair = tuple[int, int]


def out_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many positions a window takes along one dimension."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def pad_spatial(xp: Any, x: Any, padding: Pair, value: float = 0.0) -> Any:
    """(N, C, H, W) with a border of ``value``; itself where there is none."""
    ph, pw = padding
    if ph == 0 and pw == 0:
        return x
    n, c, h, w = x.shape
    out = xp.full((n, c, h + 2 * ph, w + 2 * pw), value, dtype=x.dtype)
    out[:, :, ph : ph + h, pw : pw + w] = x
    return out


def columns(xp: Any, x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
    """Every window as a row: (groups, N * OH * OW, KH * KW * C / groups), channels innermost."""
    x = pad_spatial(xp, x, padding)
    n, c = x.shape[:2]
    windows = xp.sliding_windows(x, kernel, stride, dilation)  # (N, C, OH, OW, KH, KW)
    oh, ow = windows.shape[2:4]
    windows = xp.reshape(windows, (n, groups, c // groups, oh, ow, *kernel)) if groups > 1 else windows[:, None]
    rows = xp.permute_dims(windows, axes=(1, 0, 3, 4, 5, 6, 2))  # (groups, N, OH, OW, KH, KW, C / groups)
    return xp.reshape(rows, (groups, n * oh * ow, kernel[0] * kernel[1] * (c // groups)))


def weight_matrix(xp: Any, weight: Any, groups: int) -> Any:
    """(K, C / groups, KH, KW) as (groups, KH * KW * C / groups, K / groups)."""
    k, c, kh, kw = weight.shape
    grouped = xp.permute_dims(xp.reshape(weight, (groups, k // groups, c, kh, kw)), axes=(0, 3, 4, 2, 1))
    return xp.reshape(grouped, (groups, kh * kw * c, k // groups))


def rows_of(xp: Any, g: Any, groups: int) -> Any:
    """(N, K, OH, OW) as (groups, N * OH * OW, K / groups)."""
    n, k, oh, ow = g.shape
    grouped = xp.reshape(g, (n, groups, k // groups, oh, ow)) if groups > 1 else g[:, None]
    return xp.reshape(xp.permute_dims(grouped, axes=(1, 0, 3, 4, 2)), (groups, n * oh * ow, k // groups))


def image_of(xp: Any, rows: Any, n: int, oh: int, ow: int) -> Any:
    """(groups, N * OH * OW, K / groups) as (N, K, OH, OW), in channels-last memory where there is one group."""
    groups, _, k = rows.shape
    image = xp.permute_dims(xp.reshape(rows, (groups, n, oh, ow, k)), axes=(1, 0, 4, 2, 3))
    return image[:, 0] if groups == 1 else xp.reshape(image, (n, groups * k, oh, ow))


# ---- samples --------------------------------------------------------------------------------------------------------

_CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 2, 4, 5), (3, 2, 2, 3), {}),
    ((1, 2, 5, 5), (2, 2, 3, 3), {"padding": (1, 1)}),
    ((2, 1, 6, 5), (2, 1, 3, 2), {"stride": (2, 2), "padding": (1, 0)}),
    ((1, 1, 7, 7), (1, 1, 3, 3), {"dilation": (2, 2)}),
    ((1, 4, 4, 4), (4, 2, 3, 3), {"groups": 2, "padding": (1, 1)}),
    ((1, 3, 4, 4), (3, 1, 2, 2), {"groups": 3}),
    ((2, 2, 3, 3), (2, 2, 1, 1), {}),
]
_DEFAULTS: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}


def _out_shape(
    x: tuple[int, ...], weight: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[int, ...]:
    spatial = [out_size(x[2 + i], weight[2 + i], stride[i], padding[i], dilation[i]) for i in (0, 1)]
    return (x[0], weight[0], *spatial)


def _samples(rng: Any) -> Any:
    for x, w, given in _CASES:
        yield Sample((normal(rng, *x), normal(rng, *w), normal(rng, w[0])), {**_DEFAULTS, **given})
    x, w, given = _CASES[0]
    yield Sample((normal(rng, *x), normal(rng, *w), None), {**_DEFAULTS, **given})


def _reference(x: Any, weight: Any, bias: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
    """SciPy's correlation, one pair of channels at a time."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    k, c, kh, kw = weight.shape
    wide = np.zeros((k, c, (kh - 1) * dilation[0] + 1, (kw - 1) * dilation[1] + 1))
    wide[:, :, :: dilation[0], :: dilation[1]] = weight
    images = []
    for image in x:
        maps = []
        for o in range(k):
            first = o // (k // groups) * c
            total = sum(signal.correlate2d(image[first + i], wide[o, i], "valid") for i in range(c))
            maps.append(total[:: stride[0], :: stride[1]] + (0.0 if bias is None else bias[o]))
        images.append(np.stack(maps))
    return np.stack(images)


def _input_samples(rng: Any) -> Any:
    for x, w, given in _CASES:
        attributes = {**_DEFAULTS, **given}
        yield Sample((normal(rng, *_out_shape(x, w, **attributes)), normal(rng, *w)), {"x_size": x, **attributes})


def _weight_samples(rng: Any) -> Any:
    for x, w, given in _CASES:
        attributes = {**_DEFAULTS, **given}
        yield Sample((normal(rng, *x), normal(rng, *_out_shape(x, w, **attributes))), {"weight_size": w, **attributes})


# ---- the three ops --------------------------------------------------------------------------------------------------


@op(
    vjp={
        "x": lambda xp, g, weight, x_shape, stride, padding, dilation, groups: xp.conv2d_input(
            g, weight, x_size=x_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        "weight": lambda xp, g, x, weight_shape, stride, padding, dilation, groups: xp.conv2d_weight(
            x, g, weight_size=weight_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        "bias": lambda xp, g: xp.sum(g, axis=(0, 2, 3), keepdims=False),
    },
    check=Samples(_samples, reference=_reference),
)
def conv2d(xp, x, weight, bias=None, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """Convolution of images with a bank of filters."""
    n, k, oh, ow = _out_shape(x.shape, weight.shape, stride, padding, dilation, groups)
    rows = columns(xp, x, weight.shape[2:], stride, padding, dilation, groups)
    out = xp.matmul(rows, weight_matrix(xp, weight, groups))
    if bias is not None:
        out += xp.reshape(bias, (groups, 1, k // groups))
    return image_of(xp, out, n, oh, ow)


@op(
    vjp={
        "x": lambda xp, g, weight, stride, padding, dilation, groups: xp.conv2d(
            g, weight, None, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        "weight": lambda xp, g, x, weight_shape, stride, padding, dilation, groups: xp.conv2d_weight(
            g, x, weight_size=weight_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    },
    check=Samples(_input_samples),
)
def conv2d_input(xp, x, weight, *, x_size, stride, padding, dilation, groups):
    """The gradient of :func:`conv2d` for its images, from the gradient ``x`` (N, K, OH, OW) of its result."""
    n, c, h, w = x_size
    kh, kw = weight.shape[2:]
    oh, ow = x.shape[2:]
    matrix = weight_matrix(xp, weight, groups)
    spread = xp.matmul(rows_of(xp, x, groups), xp.matrix_transpose(matrix))
    spread = xp.reshape(spread, (groups, n, oh, ow, kh, kw, c // groups))
    # channels-last, so that every addition below runs over contiguous memory
    out = xp.zeros((n, h + 2 * padding[0], w + 2 * padding[1], groups, c // groups), dtype=x.dtype)
    for i in range(kh):
        for j in range(kw):
            top, left = i * dilation[0], j * dilation[1]
            rows, cols = slice(top, top + stride[0] * oh, stride[0]), slice(left, left + stride[1] * ow, stride[1])
            out[:, rows, cols] += xp.permute_dims(spread[:, :, :, :, i, j], axes=(1, 2, 3, 0, 4))
    out = xp.reshape(out[:, padding[0] : padding[0] + h, padding[1] : padding[1] + w], (n, h, w, c))
    return xp.permute_dims(out, axes=(0, 3, 1, 2))


@op(
    vjp={
        "x": lambda xp, g, y, x_shape, stride, padding, dilation, groups: xp.conv2d_input(
            y, g, x_size=x_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        "y": lambda xp, g, x, stride, padding, dilation, groups: xp.conv2d(
            x, g, None, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    },
    check=Samples(_weight_samples),
)
def conv2d_weight(xp, x, y, *, weight_size, stride, padding, dilation, groups):
    """The gradient of :func:`conv2d` for its weight, from images ``x`` and the gradient ``y`` of its result."""
    k, c, kh, kw = weight_size
    rows = columns(xp, x, (kh, kw), stride, padding, dilation, groups)
    out = xp.matmul(xp.matrix_transpose(rows), rows_of(xp, y, groups))  # (groups, KH * KW * C, K / groups)
    out = xp.permute_dims(xp.reshape(out, (groups, kh, kw, c, k // groups)), axes=(0, 4, 3, 1, 2))
    return xp.ascontiguousarray(xp.reshape(out, (k, c, kh, kw)))
