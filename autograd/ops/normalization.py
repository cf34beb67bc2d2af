"""Normalisation: dimensions brought to mean 0 and variance 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.samples import Sample, Samples, normal


def _axes(ndim: int) -> tuple[int, ...]:
    """All dimensions but the channels."""
    return (0, *range(2, ndim))


def _per_channel(xp: Any, v: Any, ndim: int) -> Any:
    """(C) so that it broadcasts against (N, C, ...)."""
    return xp.reshape(v, shape=(1, -1, *(1,) * (ndim - 2)))


def _back_x(xp: Any, g: Any, x: Any, weight: Any, mean: Any, var: Any, eps: float) -> Any:
    g_out, g_mean, g_var = g
    axes, n = _axes(x.ndim), math.prod(x.shape) // x.shape[1]
    centred = x - _per_channel(xp, mean, x.ndim)
    total = None
    if g_out is not None:
        rstd = _per_channel(xp, xp.rsqrt(var + eps), x.ndim)
        slope = rstd if weight is None else rstd * _per_channel(xp, weight, x.ndim)
        along = xp.mean(g_out * centred, axis=axes, keepdims=True) * (rstd * rstd)
        total = slope * (g_out - xp.mean(g_out, axis=axes, keepdims=True) - centred * along)
    if g_mean is not None:
        part = xp.broadcast_to(_per_channel(xp, g_mean * (1.0 / n), x.ndim), shape=tuple(x.shape))
        total = part if total is None else total + part
    if g_var is not None:
        part = centred * _per_channel(xp, g_var * (2.0 / n), x.ndim)
        total = part if total is None else total + part
    return total


def _back_weight(xp: Any, g: Any, x: Any, weight_shape: Any, mean: Any, var: Any, eps: float) -> Any:
    """``sum(g * (x - mean) / sqrt(var + eps))``"""
    if g[0] is None:
        return xp.zeros_like(mean)
    centred = x - _per_channel(xp, mean, x.ndim)
    return xp.sum(g[0] * centred, axis=_axes(x.ndim), keepdims=False) * xp.rsqrt(var + eps)


def _back_of_all(xp: Any, g: Any, x: Any, weight: Any, mean: Any, var: Any, eps: float) -> Any:
    if g[0] is None or g[1] is not None or g[2] is not None:
        return None
    return xp.batch_norm_back(g[0], x, mean, var, weight, eps=eps)


def _samples(rng: Any) -> Any:
    for shape in ((4, 3), (3, 2, 2, 2)):
        yield Sample((normal(rng, *shape), normal(rng, shape[1]), normal(rng, shape[1])), {"eps": 1e-3})
    yield Sample((normal(rng, 4, 3), None, None), {"eps": 1e-3})


def _reference(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    axes = _axes(x.ndim)
    shape = (1, -1, *(1,) * (x.ndim - 2))
    mean, var = x.mean(axes), x.var(axes)
    out = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)
    if weight is not None:
        out = out * weight.reshape(shape) + bias.reshape(shape)
    return [out, mean, var]


@op(
    vjp={
        "x": _back_x,
        "weight": _back_weight,
        "bias": lambda xp, g, mean, x_shape: (
            xp.zeros_like(mean) if g[0] is None else xp.sum(g[0], axis=_axes(len(x_shape)), keepdims=False)
        ),
    },
    check=Samples(_samples, reference=_reference, atol=1e-5),
    outputs=["out", "mean", "var"],
    missing="none",
    together=_back_of_all,
)
def batch_norm(xp, x, weight=None, bias=None, *, eps=1e-5):
    """Channels (dimension 1) brought to mean 0 and variance 1 over the batch, then scaled and shifted.

    Gives the result, the mean and the (biased) variance of each channel (Ioffe and Szegedy, 2015).
    """
    axes = _axes(x.ndim)
    mean = xp.mean(x, axis=axes, keepdims=True)
    out = x - mean
    var = xp.mean(out * out, axis=axes, keepdims=True)
    scale = xp.reciprocal(xp.sqrt(var + eps))
    out *= scale if weight is None else scale * _per_channel(xp, weight, x.ndim)
    if bias is not None:
        out += _per_channel(xp, bias, x.ndim)
    return out, xp.reshape(mean, (-1,)), xp.reshape(var, (-1,))


def _back_samples(rng: Any) -> Any:
    for sample in _samples(rng):
        x, weight, _ = sample.args
        axes = _axes(x.ndim)
        yield Sample((normal(rng, *x.shape), x, x.mean(axes), x.var(axes), weight), sample.kwargs)


def _back_reference(g: Any, x: Any, mean: Any, var: Any, weight: Any, eps: float) -> Any:
    axes, shape = _axes(x.ndim), (1, -1, *(1,) * (x.ndim - 2))
    rstd = 1 / np.sqrt(var.reshape(shape) + eps)
    z = (x - mean.reshape(shape)) * rstd
    scaled = rstd if weight is None else rstd * weight.reshape(shape)
    along = (g * z).mean(axes, keepdims=True)
    return [scaled * (g - g.mean(axes, keepdims=True) - z * along), (g * z).sum(axes), g.sum(axes)]


@op(vjp=None, check=Samples(_back_samples, reference=_back_reference, atol=1e-5), outputs=["x", "weight", "bias"])
def batch_norm_back(xp, x, y, mean, var, weight=None, *, eps=1e-5):
    """The gradients of :func:`batch_norm` for its arguments, from that of its result, ``x``; ``y`` is its input."""
    g, axes, n = x, _axes(x.ndim), math.prod(x.shape) // x.shape[1]
    rstd = _per_channel(xp, xp.rsqrt(var + eps), x.ndim)
    z = y - _per_channel(xp, mean, x.ndim)
    z *= rstd
    along, total = xp.sum(g * z, axis=axes, keepdims=True), xp.sum(g, axis=axes, keepdims=True)
    slope = rstd if weight is None else rstd * _per_channel(xp, weight, x.ndim)
    z *= along * (-1.0 / n)
    z += g
    z -= total * (1.0 / n)
    z *= slope
    return z, xp.reshape(along, (-1,)), xp.reshape(total, (-1,))


def _rstd(xp: Any, x: Any, axis: tuple[int, ...], eps: float) -> Any:
    return xp.rsqrt(xp.var(x, axis=axis, correction=0, keepdims=True) + eps)


@op(
    vjp={"x": lambda xp, g, x, out, axis, eps: xp.standardise_back(g, x, out, axis=axis, eps=eps)},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 2, 3, 4),), {"axis": (2,), "eps": 1e-3}),
            Sample((normal(rng, 2, 3, 4),), {"axis": (1, 2), "eps": 1e-5}),
            Sample((normal(rng, 5),), {"axis": (0,), "eps": 0.1}),
        ],
        reference=lambda x, axis, eps: (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps),
        atol=1e-5,
    ),
)
def standardise(xp, x, *, axis, eps):
    """``(x - mean) / sqrt(variance + eps)`` over the given axes."""
    out = x - xp.mean(x, axis=axis, keepdims=True)
    variance = xp.mean(out * out, axis=axis, keepdims=True)
    out *= xp.reciprocal(xp.sqrt(variance + eps))
    return out


def _back_y(xp: Any, g: Any, y: Any, out: Any, axis: tuple[int, ...], eps: float) -> Any:
    """By way of ``1 / sqrt(variance + eps)``, which is a factor of the result."""
    centred, variance = y - xp.mean(y, axis=axis, keepdims=True), xp.var(y, axis=axis, correction=0, keepdims=True)
    return centred * (xp.mean(g * out, axis=axis, keepdims=True) / (variance + eps) * -1.0)


def _back_z(xp: Any, g: Any, x: Any, y: Any, z: Any, axis: tuple[int, ...], eps: float) -> Any:
    both = g * xp.mean(x * z, axis=axis, keepdims=True) + x * xp.mean(g * z, axis=axis, keepdims=True)
    return -_rstd(xp, y, axis, eps) * both


@op(
    vjp={
        "x": lambda xp, g, y, z, axis, eps: xp.standardise_back(g, y, z, axis=axis, eps=eps),
        "y": _back_y,
        "z": _back_z,
    },
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 2, 3, 4), normal(rng, 2, 3, 4), normal(rng, 2, 3, 4)), {"axis": axis, "eps": 1e-3})
            for axis in ((2,), (1, 2))
        ],
        reference=lambda x, y, z, axis, eps: (
            (x - x.mean(axis, keepdims=True) - z * (x * z).mean(axis, keepdims=True))
            / np.sqrt(y.var(axis, keepdims=True) + eps)
        ),
        atol=1e-5,
    ),
)
def standardise_back(xp, x, y, z, *, axis, eps):
    """The gradient of :func:`standardise` for its argument ``y``, from the gradient ``x`` of its result ``z``."""
    along = xp.mean(x * z, axis=axis, keepdims=True)
    return _rstd(xp, y, axis, eps) * (x - xp.mean(x, axis=axis, keepdims=True) - z * along)


# ---- layer normalisation --------------------------------------------------------------------------------------------


def _leading(xp: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """The sum over the dimensions that are not normalised, the first ones."""
    first = x.ndim - len(axis)
    return xp.sum(x, axis=tuple(range(first)), keepdims=False) if first else x


def _layer_back_x(xp: Any, g: Any, x: Any, weight: Any, axis: tuple[int, ...], eps: float) -> Any:
    scaled = g if weight is None else g * weight
    return xp.standardise_back(scaled, x, xp.standardise(x, axis=axis, eps=eps), axis=axis, eps=eps)


def _layer_samples(rng: Any) -> Any:
    for shape, n in (((2, 3, 4), 1), ((2, 3, 4), 2), ((5,), 1)):
        axis = tuple(range(len(shape) - n, len(shape)))
        given = (normal(rng, *shape), normal(rng, *shape[-n:]), normal(rng, *shape[-n:]))
        yield Sample(given, {"axis": axis, "eps": 1e-3})
    yield Sample((given[0], None, None), {"axis": axis, "eps": 1e-3})


def _layer_reference(x: Any, weight: Any, bias: Any, axis: tuple[int, ...], eps: float) -> Any:
    z = (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)
    return z if weight is None else z * weight + bias


@op(
    vjp={
        "x": _layer_back_x,
        "weight": lambda xp, g, x, axis, eps: _leading(xp, g * xp.standardise(x, axis=axis, eps=eps), axis),
        "bias": lambda xp, g, axis: _leading(xp, g, axis),
    },
    check=Samples(_layer_samples, reference=_layer_reference, atol=1e-5),
    together=lambda xp, g, x, weight, axis, eps: xp.layer_norm_back(g, x, weight, axis=axis, eps=eps),
)
def layer_norm(xp, x, weight=None, bias=None, *, axis=(-1,), eps=1e-5):
    """:func:`standardise` over the last dimensions, then scaled and shifted (Ba et al., 2016)."""
    out = xp.standardise(x, axis=axis, eps=eps)
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


def _layer_back_samples(rng: Any) -> Any:
    for sample in _layer_samples(rng):
        yield Sample((normal(rng, *sample.args[0].shape), *sample.args[:2]), sample.kwargs)


def _layer_back_reference(g: Any, x: Any, weight: Any, axis: tuple[int, ...], eps: float) -> Any:
    rstd = 1 / np.sqrt(x.var(axis, keepdims=True) + eps)
    z = (x - x.mean(axis, keepdims=True)) * rstd
    scaled, first = g if weight is None else g * weight, tuple(range(x.ndim - len(axis)))
    along = (scaled * z).mean(axis, keepdims=True)
    return [rstd * (scaled - scaled.mean(axis, keepdims=True) - z * along), (g * z).sum(first), g.sum(first)]


@op(
    vjp=None,
    check=Samples(_layer_back_samples, reference=_layer_back_reference, atol=1e-5),
    outputs=["x", "weight", "bias"],
)
def layer_norm_back(xp, x, y, weight=None, *, axis=(-1,), eps=1e-5):
    """The gradients of :func:`layer_norm` for its arguments, from that of its result, ``x``; ``y`` is its input."""
    z = xp.standardise(y, axis=axis, eps=eps)
    scaled = x if weight is None else x * weight
    of_bias = _leading(xp, x, axis) if len(axis) < x.ndim else xp.copy(x)
    return xp.standardise_back(scaled, y, z, axis=axis, eps=eps), _leading(xp, x * z, axis), of_bias


# ---- root mean square normalisation ---------------------------------------------------------------------------------


def _rms(xp: Any, x: Any, axis: tuple[int, ...], eps: float) -> Any:
    """``1 / sqrt(mean(x * x) + eps)``"""
    return xp.rsqrt(xp.mean(x * x, axis=axis, keepdims=True) + eps)


def _rms_back_x(xp: Any, g: Any, x: Any, weight: Any, axis: tuple[int, ...], eps: float) -> Any:
    scale, scaled = _rms(xp, x, axis, eps), g if weight is None else g * weight
    return scale * (scaled - x * (scale * scale * xp.mean(scaled * x, axis=axis, keepdims=True)))


def _rms_samples(rng: Any) -> Any:
    for sample in _layer_samples(rng):
        yield Sample(sample.args[:2], sample.kwargs)


def _rms_reference(x: Any, weight: Any, axis: tuple[int, ...], eps: float) -> Any:
    return x / np.sqrt((x * x).mean(axis, keepdims=True) + eps) * (1.0 if weight is None else weight)


@op(
    vjp={
        "x": _rms_back_x,
        "weight": lambda xp, g, x, axis, eps: _leading(xp, g * (x * _rms(xp, x, axis, eps)), axis),
    },
    check=Samples(_rms_samples, reference=_rms_reference, atol=1e-5),
    together=lambda xp, g, x, weight, axis, eps: xp.rms_norm_back(g, x, weight, axis=axis, eps=eps),
)
def rms_norm(xp, x, weight=None, *, axis=(-1,), eps=1e-5):
    """The last dimensions divided by the root of their mean square, then scaled (Zhang and Sennrich, 2019)."""
    out = x * _rms(xp, x, axis, eps)
    return out if weight is None else out * weight


def _rms_back_samples(rng: Any) -> Any:
    for sample in _rms_samples(rng):
        yield Sample((normal(rng, *sample.args[0].shape), *sample.args), sample.kwargs)


def _rms_back_reference(g: Any, x: Any, weight: Any, axis: tuple[int, ...], eps: float) -> Any:
    scale, scaled = 1 / np.sqrt((x * x).mean(axis, keepdims=True) + eps), g if weight is None else g * weight
    along = (scaled * x * scale).mean(axis, keepdims=True)
    return [scale * (scaled - x * scale * along), (g * x * scale).sum(tuple(range(x.ndim - len(axis))))]


@op(
    vjp=None,
    check=Samples(_rms_back_samples, reference=_rms_back_reference, atol=1e-5),
    outputs=["x", "weight"],
)
def rms_norm_back(xp, x, y, weight=None, *, axis=(-1,), eps=1e-5):
    """The gradients of :func:`rms_norm` for its arguments, from that of its result, ``x``; ``y`` is its input."""
    return _rms_back_x(xp, x, y, weight, axis, eps), _leading(xp, x * (y * _rms(xp, y, axis, eps)), axis)


# ---- group normalisation --------------------------------------------------------------------------------------------


def _in_groups(xp: Any, x: Any, groups: int) -> Any:
    """x (N, C, ...) as rows (N, groups, L)."""
    return xp.reshape(x, shape=(x.shape[0], groups, math.prod(x.shape[1:]) // groups))


def _grouped(xp: Any, x: Any, groups: int, eps: float) -> Any:
    """The groups standardised, in the shape of x."""
    return xp.reshape(xp.standardise(_in_groups(xp, x, groups), axis=(2,), eps=eps), shape=tuple(x.shape))


def _group_back_x(xp: Any, g: Any, x: Any, weight: Any, groups: int, eps: float) -> Any:
    scaled = g if weight is None else g * _per_channel(xp, weight, x.ndim)
    rows = _in_groups(xp, x, groups)
    z = xp.standardise(rows, axis=(2,), eps=eps)
    slope = xp.standardise_back(_in_groups(xp, scaled, groups), rows, z, axis=(2,), eps=eps)
    return xp.reshape(slope, shape=tuple(x.shape))


def _group_back_weight(xp: Any, g: Any, x: Any, groups: int, eps: float) -> Any:
    return xp.sum(g * _grouped(xp, x, groups, eps), axis=_axes(x.ndim), keepdims=False)


def _group_samples(rng: Any) -> Any:
    for shape, groups in (((2, 4, 3), 2), ((3, 6), 3), ((1, 2, 2, 3), 1)):
        given = (normal(rng, *shape), normal(rng, shape[1]), normal(rng, shape[1]))
        yield Sample(given, {"groups": groups, "eps": 1e-3})
    yield Sample((given[0], None, None), {"groups": 2, "eps": 1e-3})


def _group_reference(x: Any, weight: Any, bias: Any, groups: int, eps: float) -> Any:
    rows = x.reshape(len(x), groups, -1)
    z = ((rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, keepdims=True) + eps)).reshape(x.shape)
    shape = (1, -1, *(1,) * (x.ndim - 2))
    return z if weight is None else z * weight.reshape(shape) + bias.reshape(shape)


@op(
    vjp={
        "x": _group_back_x,
        "weight": _group_back_weight,
        "bias": lambda xp, g: xp.sum(g, axis=_axes(g.ndim), keepdims=False),
    },
    check=Samples(_group_samples, reference=_group_reference, atol=1e-5),
    together=lambda xp, g, x, weight, groups, eps: xp.group_norm_back(g, x, weight, groups=groups, eps=eps),
)
def group_norm(xp, x, weight=None, bias=None, *, groups=1, eps=1e-5):
    """Groups of channels of each sample standardised, then channels scaled and shifted (Wu and He, 2018)."""
    out = _grouped(xp, x, groups, eps)
    if weight is not None:
        out = out * _per_channel(xp, weight, x.ndim)
    return out if bias is None else out + _per_channel(xp, bias, x.ndim)


def _group_back_samples(rng: Any) -> Any:
    for sample in _group_samples(rng):
        yield Sample((normal(rng, *sample.args[0].shape), *sample.args[:2]), sample.kwargs)


def _group_back_reference(g: Any, x: Any, weight: Any, groups: int, eps: float) -> Any:
    shape = (1, -1, *(1,) * (x.ndim - 2))
    rows = x.reshape(len(x), groups, -1)
    rstd = 1 / np.sqrt(rows.var(2, keepdims=True) + eps)
    z = (rows - rows.mean(2, keepdims=True)) * rstd
    scaled = (g if weight is None else g * weight.reshape(shape)).reshape(rows.shape)
    of_x = rstd * (scaled - scaled.mean(2, keepdims=True) - z * (scaled * z).mean(2, keepdims=True))
    return [of_x.reshape(x.shape), (g * z.reshape(x.shape)).sum(_axes(x.ndim)), g.sum(_axes(x.ndim))]


@op(
    vjp=None,
    check=Samples(_group_back_samples, reference=_group_back_reference, atol=1e-5),
    outputs=["x", "weight", "bias"],
)
def group_norm_back(xp, x, y, weight=None, *, groups=1, eps=1e-5):
    """The gradients of :func:`group_norm` for its arguments, from that of its result, ``x``; ``y`` is its input."""
    of_weight = _group_back_weight(xp, x, y, groups, eps)
    return _group_back_x(xp, x, y, weight, groups, eps), of_weight, xp.sum(x, axis=_axes(x.ndim), keepdims=False)
