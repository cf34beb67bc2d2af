"""Pooling over windows of images: x is (N, C, H, W)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.samples import Sample, Samples, normal

Pair = tuple[int, int]


def pooled_size(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows fit along one dimension; PyTorch's rule: the last one must start inside the input."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (math.ceil(span / stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return count


def _bordered(
    xp: Any, x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out: Pair, value: float
) -> Any:
    """x with its border of ``value``, wide enough for windows that ceil_mode lets stick out."""
    n, c, h, w = x.shape
    need = [(out[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
    height, width = max(need[0], h + 2 * padding[0]), max(need[1], w + 2 * padding[1])
    if (height, width) == (h, w):
        return x
    full = xp.full((n, c, height, width), value, dtype=x.dtype)
    full[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w] = x
    return full


def _taps(kernel: Pair, stride: Pair, dilation: Pair, out: Pair) -> Iterator[tuple[slice, slice]]:
    """For each position in the window, the rows and columns it visits."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            yield (
                slice(top, top + (out[0] - 1) * stride[0] + 1, stride[0]),
                slice(left, left + (out[1] - 1) * stride[1] + 1, stride[1]),
            )


def _sizes(x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool) -> Pair:
    return (
        pooled_size(x[2], kernel[0], stride[0], padding[0], dilation[0], ceil_mode),
        pooled_size(x[3], kernel[1], stride[1], padding[1], dilation[1], ceil_mode),
    )


def _empty_image(xp: Any, like: Any, shape: tuple[int, ...]) -> Any:
    """Zeros (N, C, H, W) in the memory order of ``like``, so that elementwise work runs over contiguous memory."""
    n, c, h, w = shape
    if like.strides[1] < like.strides[3]:
        return xp.permute_dims(xp.zeros((n, h, w, c), dtype=like.dtype), axes=(0, 3, 1, 2))
    return xp.zeros(shape, dtype=like.dtype)


# ---- max ------------------------------------------------------------------------------------------------------------

_MAX_DEFAULTS: dict[str, Any] = {"padding": (0, 0), "dilation": (1, 1), "ceil_mode": False}
_MAX_CASES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 2, 4, 4), {"kernel": (2, 2), "stride": (2, 2)}),
    ((1, 2, 5, 5), {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}),
    ((1, 1, 5, 6), {"kernel": (2, 3), "stride": (2, 2), "ceil_mode": True}),
    ((1, 1, 7, 7), {"kernel": (2, 2), "stride": (2, 2), "dilation": (2, 2)}),
]


def _max_samples(rng: Any) -> Any:
    for shape, given in _MAX_CASES:
        yield Sample((normal(rng, *shape),), {**_MAX_DEFAULTS, **given})


def _max_reference(x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool) -> Any:
    oh, ow = _sizes(x.shape, kernel, stride, padding, dilation, ceil_mode)
    out = np.full((*x.shape[:2], oh, ow), -np.inf)
    for a in range(oh):
        for b in range(ow):
            for i in range(kernel[0]):
                for j in range(kernel[1]):
                    r, s = a * stride[0] + i * dilation[0] - padding[0], b * stride[1] + j * dilation[1] - padding[1]
                    if 0 <= r < x.shape[2] and 0 <= s < x.shape[3]:
                        out[:, :, a, b] = np.maximum(out[:, :, a, b], x[:, :, r, s])
    return out


def _lowest(dtype: Any) -> Any:
    return -math.inf if np.dtype(dtype).kind in "fV" else int(np.iinfo(dtype).min)


@op(
    vjp={
        # the maxima are computed again: a saved result would forbid relu_() on it, which PyTorch allows
        "x": lambda xp, g, x, kernel, stride, padding, dilation, ceil_mode: xp.max_pool2d_back(
            g,
            x,
            xp.max_pool2d(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode),
            kernel=kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
        )
    },
    check=Samples(_max_samples, reference=_max_reference),
)
def max_pool2d(xp, x, *, kernel, stride, padding=(0, 0), dilation=(1, 1), ceil_mode=False):
    """The maximum of each window; of equal maxima the first gets the gradient."""
    out = _sizes(x.shape, kernel, stride, padding, dilation, ceil_mode)
    x = _bordered(xp, x, kernel, stride, padding, dilation, out, _lowest(x.dtype))
    best = None
    for rows, cols in _taps(kernel, stride, dilation, out):
        tap = x[:, :, rows, cols]
        best = xp.copy(tap) if best is None else xp.maximum(best, tap)
    return best


def _back_samples(rng: Any) -> Any:
    for shape, given in _MAX_CASES:
        attributes = {**_MAX_DEFAULTS, **given}
        x = normal(rng, *shape)
        out = _max_reference(x, **attributes)
        attributes.pop("ceil_mode")
        yield Sample((normal(rng, *out.shape), x, out), attributes)


@op(
    vjp={
        "x": lambda xp, g, y, values_out, kernel, stride, padding, dilation: xp.max_pool2d_pick(
            g, y, values_out, kernel=kernel, stride=stride, padding=padding, dilation=dilation
        )
    },
    check=Samples(_back_samples),
)
def max_pool2d_back(xp, x, y, values_out, *, kernel, stride, padding, dilation):
    """The gradient of :func:`max_pool2d`: ``x`` at the first maximum of each window of ``y``."""
    size = values_out.shape[2:]
    image = _bordered(xp, y, kernel, stride, padding, dilation, size, _lowest(y.dtype))
    full = _empty_image(xp, image, image.shape)
    overlaps = any(kernel[i] > stride[i] or dilation[i] > 1 for i in (0, 1))
    taken = None
    for rows, cols in _taps(kernel, stride, dilation, size):
        here = image[:, :, rows, cols] == values_out
        if taken is None:
            taken = xp.copy(here)
        else:
            here &= ~taken
            taken |= here
        if overlaps:
            full[:, :, rows, cols] += x * here
        else:
            full[:, :, rows, cols] = x * here
    h, w = y.shape[2:]
    return xp.copy(full[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w])


@op(
    vjp={
        "x": lambda xp, g, y, values_out, kernel, stride, padding, dilation: xp.max_pool2d_back(
            g, y, values_out, kernel=kernel, stride=stride, padding=padding, dilation=dilation
        )
    },
    check=Samples(
        lambda rng: [
            Sample((normal(rng, *s.args[1].shape), s.args[1], s.args[2]), s.kwargs) for s in _back_samples(rng)
        ]
    ),
)
def max_pool2d_pick(xp, x, y, values_out, *, kernel, stride, padding, dilation):
    """The elements of ``x`` where the windows of ``y`` have their first maximum."""
    size = values_out.shape[2:]
    image = _bordered(xp, y, kernel, stride, padding, dilation, size, _lowest(y.dtype))
    values = _bordered(xp, x, kernel, stride, padding, dilation, size, 0.0)
    total, taken = None, None
    for rows, cols in _taps(kernel, stride, dilation, size):
        here = image[:, :, rows, cols] == values_out
        if taken is None:
            taken = xp.copy(here)
            total = values[:, :, rows, cols] * here
        else:
            here &= ~taken
            taken |= here
            total += values[:, :, rows, cols] * here
    return total


# ---- average --------------------------------------------------------------------------------------------------------

_AVERAGE_DEFAULTS: dict[str, Any] = {
    "padding": (0, 0),
    "ceil_mode": False,
    "count_include_pad": True,
    "divisor_override": None,
}
_AVERAGE_CASES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 2, 4, 4), {"kernel": (2, 2), "stride": (2, 2)}),
    ((1, 2, 5, 5), {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1), "count_include_pad": False}),
    ((1, 1, 5, 6), {"kernel": (2, 3), "stride": (2, 2), "ceil_mode": True}),
    ((1, 1, 5, 6), {"kernel": (2, 3), "stride": (2, 2), "divisor_override": 3}),
]


def divisors(x: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, out: Pair, include_pad: bool) -> Any:
    """The number of elements each window counts, (OH, OW); windows never count what lies beyond the padding."""
    counts = []
    for i in (0, 1):
        size, pad = x[2 + i], padding[i]
        starts = np.arange(out[i]) * stride[i] - pad
        if include_pad:
            counts.append(np.minimum(starts + kernel[i], size + pad) - starts)
        else:
            counts.append(np.minimum(starts + kernel[i], size) - np.maximum(starts, 0))
    return np.outer(counts[0], counts[1])


def _average_samples(rng: Any) -> Any:
    for shape, given in _AVERAGE_CASES:
        yield Sample((normal(rng, *shape),), {**_AVERAGE_DEFAULTS, **given})


def _average_reference(
    x: Any, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool, divisor_override: Any
) -> Any:
    oh, ow = _sizes(x.shape, kernel, stride, padding, (1, 1), ceil_mode)
    out = np.zeros((*x.shape[:2], oh, ow))
    for a in range(oh):
        for b in range(ow):
            r, s = a * stride[0] - padding[0], b * stride[1] - padding[1]
            window = x[:, :, max(r, 0) : r + kernel[0], max(s, 0) : s + kernel[1]]
            within = (min(r + kernel[0], x.shape[2] + padding[0]) - r) * (
                min(s + kernel[1], x.shape[3] + padding[1]) - s
            )
            count = divisor_override or (within if count_include_pad else window.shape[2] * window.shape[3])
            out[:, :, a, b] = window.sum((2, 3)) / count
    return out


def _scale(
    xp: Any,
    x: Any,
    shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    out: Pair,
    pad: bool,
    override: Any,
) -> Any:
    """x divided by the windows' counts."""
    if override:
        return x if override == 1 else x * (1.0 / override)  # integers stay integers
    counts = divisors(shape, kernel, stride, padding, out, pad)
    if 0 in counts.shape:
        return x
    if np.min(counts) == np.max(counts):
        return x * (1.0 / float(np.max(counts)))
    return x * xp.asarray(1.0 / counts, dtype=x.dtype)


@op(
    vjp={
        "x": lambda xp, g, x_shape, kernel, stride, padding, count_include_pad, divisor_override: xp.avg_pool2d_back(
            g,
            x_size=x_shape,
            kernel=kernel,
            stride=stride,
            padding=padding,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )
    },
    check=Samples(_average_samples, reference=_average_reference),
)
def avg_pool2d(
    xp, x, *, kernel, stride, padding=(0, 0), ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window."""
    out = _sizes(x.shape, kernel, stride, padding, (1, 1), ceil_mode)
    full = _bordered(xp, x, kernel, stride, padding, (1, 1), out, 0.0)
    total = None
    for rows, cols in _taps(kernel, stride, (1, 1), out):
        tap = full[:, :, rows, cols]
        total = xp.copy(tap) if total is None else total + tap
    return _scale(xp, total, x.shape, kernel, stride, padding, out, count_include_pad, divisor_override)


def _average_back_samples(rng: Any) -> Any:
    for shape, given in _AVERAGE_CASES:
        attributes = {**_AVERAGE_DEFAULTS, **given}
        ceil_mode = attributes.pop("ceil_mode")
        oh, ow = _sizes(shape, attributes["kernel"], attributes["stride"], attributes["padding"], (1, 1), ceil_mode)
        yield Sample((normal(rng, *shape[:2], oh, ow),), {"x_size": shape, **attributes})


@op(
    vjp={
        "x": lambda xp, g, x_shape, kernel, stride, padding, count_include_pad, divisor_override: xp.avg_pool2d_like(
            g,
            out_size=tuple(x_shape[2:]),
            kernel=kernel,
            stride=stride,
            padding=padding,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )
    },
    check=Samples(_average_back_samples),
)
def avg_pool2d_back(xp, x, *, x_size, kernel, stride, padding, count_include_pad, divisor_override):
    """The gradient of :func:`avg_pool2d`: each element of ``x`` spread evenly over its window."""
    size = x.shape[2:]
    need = [max((size[i] - 1) * stride[i] + kernel[i], x_size[2 + i] + 2 * padding[i]) for i in (0, 1)]
    full = _empty_image(xp, x, (*x_size[:2], *need))
    part = _scale(xp, x, x_size, kernel, stride, padding, size, count_include_pad, divisor_override)
    for rows, cols in _taps(kernel, stride, (1, 1), size):
        full[:, :, rows, cols] += part
    return xp.copy(full[:, :, padding[0] : padding[0] + x_size[2], padding[1] : padding[1] + x_size[3]])


@op(
    vjp={
        "x": lambda xp, g, x_shape, kernel, stride, padding, count_include_pad, divisor_override: xp.avg_pool2d_back(
            g,
            x_size=x_shape,
            kernel=kernel,
            stride=stride,
            padding=padding,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )
    },
    check=Samples(
        lambda rng: [
            Sample(
                (normal(rng, 1, 1, 5, 6),),
                {
                    "out_size": (3, 3),
                    "kernel": (2, 3),
                    "stride": (2, 2),
                    "padding": (0, 0),
                    "count_include_pad": True,
                    "divisor_override": None,
                },
            )
        ]
    ),
)
def avg_pool2d_like(xp, x, *, out_size, kernel, stride, padding, count_include_pad, divisor_override):
    """:func:`avg_pool2d` to a stated size (which ceil_mode may have rounded up)."""
    full = _bordered(xp, x, kernel, stride, padding, (1, 1), out_size, 0.0)
    total = None
    for rows, cols in _taps(kernel, stride, (1, 1), out_size):
        tap = full[:, :, rows, cols]
        total = xp.copy(tap) if total is None else total + tap
    return _scale(xp, total, x.shape, kernel, stride, padding, out_size, count_include_pad, divisor_override)
