"""Convolution of volumes and its two gradients, as sums over the kernel's depth of convolutions of images.

x is (N, C, D, H, W), weight (K, C / groups, KD, KH, KW). Each plane of the kernel meets a range of the volume's planes;
these are convolved as so many images, so that every backend's convolution of images serves volumes too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.ops.convolution import out_size
from chainrule.autograd.samples import Sample, Samples, normal, signal

Triple = tuple[int, int, int]


def _planes(xp: Any, x: Any) -> Any:
    """(N, C, D, H, W) as (N * D, C, H, W)."""
    n, c, d, h, w = x.shape
    return xp.reshape(xp.permute_dims(x, axes=(0, 2, 1, 3, 4)), (n * d, c, h, w))


def _volume(xp: Any, planes: Any, n: int, d: int) -> Any:
    """(N * D, C, H, W) as (N, C, D, H, W)."""
    _, c, h, w = planes.shape
    return xp.permute_dims(xp.reshape(planes, (n, d, c, h, w)), axes=(0, 2, 1, 3, 4))


def _met(i: int, count: int, stride: int, dilation: int) -> slice:
    """The planes of the padded volume that plane ``i`` of the kernel meets."""
    return slice(i * dilation, i * dilation + (count - 1) * stride + 1, stride)


def _deepened(xp: Any, x: Any, padding: int) -> Any:
    """The volume with ``padding`` planes of zeros at both ends."""
    if not padding:
        return x
    n, c, d, h, w = x.shape
    out = xp.zeros((n, c, d + 2 * padding, h, w), dtype=x.dtype)
    out[:, :, padding : padding + d] = x
    return out


def _out_shape(
    x: tuple[int, ...], weight: tuple[int, ...], stride: Triple, padding: Triple, dilation: Triple, groups: int
) -> tuple[int, ...]:
    spatial = [out_size(x[2 + i], weight[2 + i], stride[i], padding[i], dilation[i]) for i in range(3)]
    return (x[0], weight[0], *spatial)


_CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 1, 3, 3, 4), (2, 1, 2, 2, 3), {}),
    ((1, 2, 4, 3, 3), (2, 2, 3, 2, 2), {"stride": (2, 1, 2), "padding": (1, 0, 1)}),
    ((1, 2, 5, 3, 3), (2, 1, 2, 2, 2), {"dilation": (3, 1, 2), "groups": 2}),
]
_DEFAULTS: dict[str, Any] = {"stride": (1, 1, 1), "padding": (0, 0, 0), "dilation": (1, 1, 1), "groups": 1}


def _samples(rng: Any) -> Any:
    for x, w, given in _CASES:
        yield Sample((normal(rng, *x), normal(rng, *w), normal(rng, w[0])), {**_DEFAULTS, **given})
    x, w, given = _CASES[0]
    yield Sample((normal(rng, *x), normal(rng, *w), None), {**_DEFAULTS, **given})


def _input_samples(rng: Any) -> Any:
    for x, w, given in _CASES:
        attributes = {**_DEFAULTS, **given}
        yield Sample((normal(rng, *_out_shape(x, w, **attributes)), normal(rng, *w)), {"x_size": x, **attributes})


def _weight_samples(rng: Any) -> Any:
    for x, w, given in _CASES:
        attributes = {**_DEFAULTS, **given}
        yield Sample((normal(rng, *x), normal(rng, *_out_shape(x, w, **attributes))), {"weight_size": w, **attributes})


def _reference(x: Any, weight: Any, bias: Any, stride: Triple, padding: Triple, dilation: Triple, groups: int) -> Any:
    """SciPy's correlation, one pair of channels at a time."""
    x = np.pad(x, ((0, 0), (0, 0), *[(p, p) for p in padding]))
    k, c, *kernel = weight.shape
    wide = np.zeros((k, c, *[(n - 1) * d + 1 for n, d in zip(kernel, dilation, strict=True)]))
    wide[:, :, :: dilation[0], :: dilation[1], :: dilation[2]] = weight
    volumes = []
    for volume in x:
        maps = []
        for o in range(k):
            first = o // (k // groups) * c
            total = sum(signal.correlate(volume[first + i], wide[o, i], "valid", "direct") for i in range(c))
            maps.append(total[:: stride[0], :: stride[1], :: stride[2]] + (0.0 if bias is None else bias[o]))
        volumes.append(np.stack(maps))
    return np.stack(volumes)


@op(
    vjp={
        "x": lambda xp, g, weight, x_shape, stride, padding, dilation, groups: xp.conv3d_input(
            g, weight, x_size=x_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        "weight": lambda xp, g, x, weight_shape, stride, padding, dilation, groups: xp.conv3d_weight(
            x, g, weight_size=weight_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        "bias": lambda xp, g: xp.sum(g, axis=(0, 2, 3, 4), keepdims=False),
    },
    check=Samples(_samples, reference=_reference),
)
def conv3d(xp, x, weight, bias=None, *, stride=(1, 1, 1), padding=(0, 0, 0), dilation=(1, 1, 1), groups=1):
    """Convolution of volumes with a bank of filters."""
    n, depth = x.shape[0], _out_shape(x.shape, weight.shape, stride, padding, dilation, groups)[2]
    x = _deepened(xp, x, padding[0])
    total = None
    for i in range(weight.shape[2]):
        part = xp.conv2d(
            _planes(xp, x[:, :, _met(i, depth, stride[0], dilation[0])]),
            weight[:, :, i],
            bias if i == 0 else None,
            stride=stride[1:],
            padding=padding[1:],
            dilation=dilation[1:],
            groups=groups,
        )
        total = part if total is None else total + part
    return _volume(xp, total, n, depth)


@op(
    vjp={
        "x": lambda xp, g, weight, stride, padding, dilation, groups: xp.conv3d(
            g, weight, None, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        "weight": lambda xp, g, x, weight_shape, stride, padding, dilation, groups: xp.conv3d_weight(
            g, x, weight_size=weight_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    },
    check=Samples(_input_samples),
)
def conv3d_input(xp, x, weight, *, x_size, stride, padding, dilation, groups):
    """The gradient of :func:`conv3d` for its volumes, from the gradient ``x`` (N, K, OD, OH, OW) of its result."""
    n, c, d, h, w = x_size
    depth = x.shape[2]
    planes = _planes(xp, x)
    # channels-last, as the parts are
    out = xp.permute_dims(xp.zeros((n, d + 2 * padding[0], h, w, c), dtype=x.dtype), axes=(0, 4, 1, 2, 3))
    for i in range(weight.shape[2]):
        part = xp.conv2d_input(
            planes,
            weight[:, :, i],
            x_size=(n * depth, c, h, w),
            stride=stride[1:],
            padding=padding[1:],
            dilation=dilation[1:],
            groups=groups,
        )
        out[:, :, _met(i, depth, stride[0], dilation[0])] += _volume(xp, part, n, depth)
    return out[:, :, padding[0] : padding[0] + d]


@op(
    vjp={
        "x": lambda xp, g, y, x_shape, stride, padding, dilation, groups: xp.conv3d_input(
            y, g, x_size=x_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        "y": lambda xp, g, x, stride, padding, dilation, groups: xp.conv3d(
            x, g, None, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    },
    check=Samples(_weight_samples),
)
def conv3d_weight(xp, x, y, *, weight_size, stride, padding, dilation, groups):
    """The gradient of :func:`conv3d` for its weight, from volumes ``x`` and the gradient ``y`` of its result."""
    depth = y.shape[2]
    planes = _planes(xp, y)
    x = _deepened(xp, x, padding[0])
    parts = [
        xp.conv2d_weight(
            _planes(xp, x[:, :, _met(i, depth, stride[0], dilation[0])]),
            planes,
            weight_size=(*weight_size[:2], *weight_size[3:]),
            stride=stride[1:],
            padding=padding[1:],
            dilation=dilation[1:],
            groups=groups,
        )
        for i in range(weight_size[2])
    ]
    return xp.stack(parts, axis=2)
