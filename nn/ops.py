"""Ops that exist for the losses: one node where a composition has four, and PyTorch's gradients at the edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd.op import formula, op
from chainrule.autograd.samples import Sample, Samples, normal


def _pairs(rng: Any, low: float, high: float, empty: bool = True) -> Any:
    for shape in ((4,), (2, 3), (), (0, 2))[: None if empty else -1]:
        yield Sample((normal(rng, *shape, low=low, high=high), normal(rng, *shape, low=0.05, high=0.95)))


def _binary_reference(x: Any, y: Any) -> Any:
    return -(y * np.log(x) + (1 - y) * np.log1p(-x))


def _log(xp: Any, v: Any) -> Any:
    """``max(log(v), -100)`` without computing ``log(0)``."""
    zero = v == 0  # not `v > 0` the other way round: a NaN must stay one
    log = xp.log(xp.where(zero, xp.ones_like(v), v))
    return xp.clip(xp.where(zero, xp.zeros_like(v) - 100.0, log), min=-100.0)


@op(
    vjp={
        # PyTorch's: the true denominator x * (1 - x) is 0 at x = 0 and x = 1
        "x": lambda xp, g, x, y: g * (x - y) / xp.clip(x * (1 - x), min=1e-12),
        "y": lambda xp, g, x: g * (_log(xp, 1 - x) - _log(xp, x)),
    },
    check=Samples(lambda rng: _pairs(rng, 0.1, 0.9), reference=_binary_reference),
    harmonise=True,
    floating=True,
)
def binary_cross_entropy(xp, x, y):
    """``-(y * log(x) + (1 - y) * log(1 - x))``, elementwise, with logarithms of at least -100."""
    return -(y * _log(xp, x) + (1 - y) * _log(xp, 1 - x))


@formula
def logistic_cross_entropy_back(xp: Any, g: Any, x: Any, y: Any) -> Any:
    """The gradient of :func:`logistic_cross_entropy` for x."""
    return g * (xp.sigmoid(x) - y)


def _logistic_back(xp: Any, g: Any, x: Any, y: Any) -> Any:
    """``g * (sigmoid(x) - y)``"""
    return xp.logistic_cross_entropy_back(g, x, y)


@op(
    vjp={
        "x": _logistic_back,
        "y": lambda xp, g, x: -g * x,
    },
    check=Samples(
        lambda rng: _pairs(rng, -3.0, 3.0),
        reference=lambda x, y: np.logaddexp(0, x) - x * y,
        special=[(1000.0, 0.0), (-1000.0, 1.0), (0.0, 0.5)],
    ),
    harmonise=True,
    floating=True,
    label="binary_cross_entropy_with_logits",
)
def logistic_cross_entropy(xp, x, y):
    """``binary_cross_entropy(sigmoid(x), y)``, elementwise, without overflow."""
    return xp.maximum(x, 0) - x * y + xp.log1p(xp.exp(-xp.abs(x)))


@formula
def scaled_difference(xp: Any, g: Any, x: Any, y: Any) -> Any:
    """``(x - y) * g`` for a number g."""
    return (x - y) * g


def _squared_error_back(xp: Any, g: Any, x: Any, y: Any) -> Any:
    """``(x - y) * (g * 2 / n)``"""
    return xp.scaled_difference(g * (2.0 / max(math.prod(x.shape), 1)), x, y)


@op(
    vjp={"x": _squared_error_back, "y": lambda xp, g, x, y: _squared_error_back(xp, g, y, x)},
    check=Samples(lambda rng: _pairs(rng, -2.0, 2.0, False), reference=lambda x, y: np.mean((x - y) ** 2)),
    harmonise=True,
    floating=True,
    label="mse_loss",
)
def mean_squared_error(xp, x, y):
    """``mean((x - y) ** 2)`` over all elements of two tensors of one shape."""
    error = x - y
    return xp.mean(error * error)


def _limit(xp: Any, difference: Any, bound: float, relative: bool) -> Any:
    """Within [-bound, bound]; the slope at the bounds themselves is PyTorch's, 0 of smooth_l1 and 1 of huber."""
    return (xp.hardtanh if relative else xp.clip)(difference, min=-bound, max=bound)


@formula
def huber_back(xp: Any, g: Any, x: Any, y: Any, *, bound: float, relative: bool) -> Any:
    """The gradient of :func:`huber` for x."""
    return g * (_limit(xp, x - y, bound, relative) * (1 / bound if relative else 1.0))


def _huber_back(xp: Any, g: Any, x: Any, y: Any, bound: float, relative: bool) -> Any:
    """``g * clip(x - y, -bound, bound)``, over bound if relative"""
    return xp.huber_back(g, x, y, bound=bound, relative=relative)


def _huber_reference(x: Any, y: Any, bound: float, relative: bool) -> Any:
    d = np.abs(x - y)
    return np.where(d < bound, d * d / 2, (d - bound / 2) * bound) / (bound if relative else 1)


@op(
    vjp={"x": _huber_back, "y": lambda xp, g, x, y, bound, relative: _huber_back(xp, g, y, x, bound, relative)},
    check=Samples(
        lambda rng: [
            Sample(pair.args, {"bound": bound, "relative": relative})
            for pair in _pairs(rng, -2.0, 2.0)
            for bound, relative in ((0.7, False), (0.6, True))
        ],
        reference=_huber_reference,
    ),
    harmonise=True,
    floating=True,
    label="huber_loss",
)
def huber(xp, x, y, *, bound, relative):
    """``d ** 2 / 2`` of the difference d within [-bound, bound], else ``bound * (|d| - bound / 2)``, elementwise.

    Divided by ``bound`` if ``relative``. (Huber, 1964; as ``c * (d - c / 2)`` with ``c = clip(d, -bound, bound)``.)
    """
    difference = x - y
    limited = xp.clip(difference, min=-bound, max=bound)
    rest = difference - limited * 0.5
    return rest * (limited * (1 / bound) if relative else limited)


@op(
    vjp={"x": lambda xp, g, mask, scale: xp.masked_scale(g, mask, scale=scale)},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, *s), np.asarray(rng.random(s) > 0.5)), {"scale": 2.0}) for s in ((4,), (2, 3))
        ],
        reference=lambda x, mask, scale: x * mask * scale,
    ),
)
def masked_scale(xp, x, mask, *, scale):
    """``x * scale`` where the bool ``mask`` (of the same shape) holds, else 0; it keeps the mask only."""
    out = x * scale
    out *= mask  # five times faster than `where`
    return out
