"""Windows of images as columns, and columns added back into images."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.ops.convolution import out_size, pad_spatial
from chainrule.autograd.samples import Sample, Samples, normal

Pair = tuple[int, int]

_CASES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 2, 3, 4), {"kernel": (2, 3), "dilation": (1, 1), "padding": (0, 0), "stride": (1, 1)}),
    ((1, 2, 4, 5), {"kernel": (2, 2), "dilation": (2, 1), "padding": (1, 0), "stride": (1, 2)}),
]


def windows_of(size: tuple[int, ...], kernel: Pair, dilation: Pair, padding: Pair, stride: Pair) -> Pair:
    """How many windows fit along height and width."""
    return (
        out_size(size[0], kernel[0], stride[0], padding[0], dilation[0]),
        out_size(size[1], kernel[1], stride[1], padding[1], dilation[1]),
    )


def _unfold_reference(x: Any, kernel: Pair, dilation: Pair, padding: Pair, stride: Pair) -> Any:
    oh, ow = windows_of(x.shape[2:], kernel, dilation, padding, stride)
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    columns = []
    for a in range(oh):
        for b in range(ow):
            top, left = a * stride[0], b * stride[1]
            rows = slice(top, top + (kernel[0] - 1) * dilation[0] + 1, dilation[0])
            cols = slice(left, left + (kernel[1] - 1) * dilation[1] + 1, dilation[1])
            columns.append(x[:, :, rows, cols].reshape(x.shape[0], -1))
    return np.stack(columns, 2)


@op(
    vjp={
        "x": lambda xp, g, x_shape, kernel, dilation, padding, stride: xp.fold(
            g, size=tuple(x_shape[2:]), kernel=kernel, dilation=dilation, padding=padding, stride=stride
        )
    },
    check=Samples(
        lambda rng: [Sample((normal(rng, *shape),), given) for shape, given in _CASES], reference=_unfold_reference
    ),
)
def unfold_windows(xp, x, *, kernel, dilation, padding, stride):
    """Every window of (N, C, H, W) as a column: (N, C * KH * KW, OH * OW)."""
    n, c = x.shape[:2]
    windows = xp.sliding_windows(pad_spatial(xp, x, padding), kernel, stride, dilation)
    oh, ow = windows.shape[2:4]
    columns = xp.permute_dims(windows, axes=(0, 1, 4, 5, 2, 3))
    return xp.copy(xp.reshape(columns, (n, c * kernel[0] * kernel[1], oh * ow)))


def _fold_samples(rng: Any) -> Any:
    for shape, given in _CASES:
        oh, ow = windows_of(shape[2:], **given)
        kernel = given["kernel"]
        columns = normal(rng, shape[0], shape[1] * kernel[0] * kernel[1], oh * ow)
        yield Sample((columns,), {"size": shape[2:], **given})


@op(
    vjp={
        "x": lambda xp, g, kernel, dilation, padding, stride: xp.unfold_windows(
            g, kernel=kernel, dilation=dilation, padding=padding, stride=stride
        )
    },
    check=Samples(_fold_samples),
)
def fold(xp, x, *, size, kernel, dilation, padding, stride):
    """The transpose of :func:`unfold_windows`: columns added into images (N, C, *size)."""
    n, rows, _ = x.shape
    (kh, kw), (h, w) = kernel, size
    oh, ow = windows_of(size, kernel, dilation, padding, stride)
    c = rows // (kh * kw)
    windows = xp.reshape(x, (n, c, kh, kw, oh, ow))
    out = xp.zeros((n, c, h + 2 * padding[0], w + 2 * padding[1]), dtype=x.dtype)
    for i in range(kh):
        for j in range(kw):
            top, left = i * dilation[0], j * dilation[1]
            down = slice(top, top + (oh - 1) * stride[0] + 1, stride[0])
            right = slice(left, left + (ow - 1) * stride[1] + 1, stride[1])
            out[:, :, down, right] += windows[:, :, i, j]
    return xp.copy(out[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w])
