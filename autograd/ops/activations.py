"""Activations with a formula of their own for the gradient; ``nn.functional`` names them as PyTorch does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import formula, op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import FUNCTIONS, function
from chainrule.autograd.runtime import describe
from chainrule.autograd.samples import Binary, Sample, Samples, Unary, normal, special
from chainrule.autograd.tensor import Tensor

_ROOT_HALF = math.sqrt(0.5)
_ROOT_TWO_OVER_PI = math.sqrt(2 / math.pi)
_NORMAL_DENSITY = 1 / math.sqrt(2 * math.pi)
_CUBIC = 0.044715


def _gelu_reference(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(_ROOT_TWO_OVER_PI * (x + _CUBIC * x**3)))
    return x * special.ndtr(x)


def _gelu_back(xp: Any, g: Any, x: Any, approximate: str) -> Any:
    """``g * (normal_cdf(x) + x * normal_pdf(x))``"""
    return xp.gelu_back(g, x, approximate=approximate)


@formula
def gelu_back(xp: Any, g: Any, x: Any, *, approximate: str) -> Any:
    """The gradient of :func:`gelu`."""
    if approximate == "tanh":
        square = x * x
        t = xp.tanh(x * (square * _CUBIC + 1) * _ROOT_TWO_OVER_PI)
        slope = (1 - t * t) * (square * (3 * _CUBIC) + 1) * x
        return g * ((slope * _ROOT_TWO_OVER_PI + t + 1) * 0.5)
    density = xp.exp(x * x * -0.5) * _NORMAL_DENSITY
    return g * ((xp.erf(x * _ROOT_HALF) + 1) * 0.5 + x * density)


@op(
    vjp={"x": _gelu_back},
    check=Unary(-3.0, 3.0, attributes=[{}, {"approximate": "tanh"}], special=[0.0, 30.0], reference=_gelu_reference),
    floating=True,
)
def gelu(xp, x, *, approximate="none"):
    """``x`` times the probability that a normal variable is less than ``x`` (Hendrycks and Gimpel, 2016)."""
    if approximate == "tanh":
        return x * 0.5 * (xp.tanh(x * (x * x * _CUBIC + 1) * _ROOT_TWO_OVER_PI) + 1)
    return x * 0.5 * (xp.erf(x * _ROOT_HALF) + 1)


def _silu_back(xp: Any, g: Any, x: Any) -> Any:
    """``g * (sigmoid(x) * (1 + x * (1 - sigmoid(x))))``."""
    return xp.silu_back(g, x)


@formula
def silu_back(xp: Any, g: Any, x: Any) -> Any:
    """The gradient of :func:`silu`."""
    s = xp.sigmoid(x)
    return g * (s * (x * (1 - s) + 1))


@op(
    vjp={"x": _silu_back},
    check=Unary(-3.0, 3.0, special=[0.0, 1000.0, -1000.0], reference=lambda x: x * special.expit(x)),
    floating=True,
)
def silu(xp, x):
    """``x * sigmoid(x)`` (Elfwing et al., 2018)."""
    return x * xp.sigmoid(x)


def _soft_part(xp: Any, x: Any) -> Any:
    """``tanh(log(1 + exp(x)))``, whose exponentials cannot overflow."""
    return xp.tanh(xp.softplus(x, beta=1.0, threshold=20.0))


def _mish_back(xp: Any, g: Any, x: Any) -> Any:
    """``g * (tanh(softplus(x)) + x * sigmoid(x) * (1 - tanh(softplus(x)) ** 2))``."""
    return xp.mish_back(g, x)


@formula
def mish_back(xp: Any, g: Any, x: Any) -> Any:
    """The gradient of :func:`mish`."""
    t = _soft_part(xp, x)
    return g * (t + x * xp.sigmoid(x) * (1 - t * t))


@op(
    vjp={"x": _mish_back},
    check=Unary(-3.0, 3.0, special=[0.0, 1000.0, -1000.0], reference=lambda x: x * np.tanh(np.logaddexp(x, 0))),
    floating=True,
)
def mish(xp, x):
    """``x * tanh(softplus(x))`` (Misra, 2019)."""
    return x * _soft_part(xp, x)


@formula
def logsigmoid_back(xp: Any, g: Any, x: Any) -> Any:
    """The gradient of :func:`logsigmoid`."""
    return g * xp.sigmoid(-x)


def _logsigmoid_back(xp: Any, g: Any, x: Any) -> Any:
    """``g * sigmoid(-x)``"""
    return xp.logsigmoid_back(g, x)


@op(
    vjp={"x": _logsigmoid_back},
    check=Unary(-3.0, 3.0, special=[0.0, 1000.0, -1000.0], reference=lambda x: -np.logaddexp(-x, 0)),
    floating=True,
)
def logsigmoid(xp, x):
    """``log(sigmoid(x))`` without overflow."""
    return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))


def _soft_sign_back(xp: Any, g: Any, x: Any) -> Any:
    size = xp.abs(x) + 1
    if not dtypes.is_complex(x.dtype):
        return g / xp.square(size)
    return g / size - xp.real(g * x) / xp.square(size) * xp.conj(xp.sgn(x))


@op(
    vjp={"x": _soft_sign_back},
    check=Unary(special=[0.0, 1000.0], reference=lambda x: x / (1 + np.abs(x))),
    label="softsign",
    floating=True,
)
def soft_sign(xp, x):
    """``x / (1 + |x|)``."""
    return x / (xp.abs(x) + 1)


@op(
    vjp={"x": lambda xp, g, x: xp.hardtanh_back(g / 6, x, min=-3, max=3)},
    check=Unary(-5.0, 5.0, reference=lambda x: np.clip(x + 3, 0, 6) / 6),
    floating=True,
)
def hardsigmoid(xp, x):
    """``x / 6 + 1 / 2`` limited to [0, 1]."""
    return xp.clip(x + 3, min=0, max=6) / 6


def _hardswish_back(xp: Any, g: Any, x: Any) -> Any:
    """``where(x <= -3, 0, where(x >= 3, g, g * (x / 3 + 0.5)))``."""
    return xp.hardswish_back(g, x)


@formula
def hardswish_back(xp: Any, g: Any, x: Any) -> Any:
    """The gradient of :func:`hardswish`."""
    inside = xp.where(x >= 3, g, g * (x / 3 + 0.5))
    return xp.where(x <= -3, xp.zeros_like(g), inside)


@op(vjp={"x": _hardswish_back}, check=Unary(-5.0, 5.0, reference=lambda x: x * np.clip(x + 3, 0, 6) / 6), floating=True)
def hardswish(xp, x):
    """``x * hardsigmoid(x)`` (Howard et al., 2019)."""
    return x * (xp.clip(x + 3, min=0, max=6) / 6)


@formula
def hardtanh_back(xp: Any, g: Any, x: Any, *, min: float, max: float) -> Any:
    """The gradient of :func:`hardtanh`."""
    return xp.where((x > min) & (x < max), g, xp.zeros_like(g))


def _hardtanh_back(xp: Any, g: Any, x: Any, min: float, max: float) -> Any:
    """``where((x > min) & (x < max), g, 0)``"""
    return xp.hardtanh_back(g, x, min=min, max=max)


@op(
    vjp={"x": _hardtanh_back},
    check=Unary(attributes=[{"min": -0.5, "max": 0.7}], reference=lambda x, min, max: np.clip(x, min, max)),
)
def hardtanh(xp, x, *, min, max):
    """The elements limited to [min, max]; unlike :func:`clip`'s the gradient on the bounds is 0."""
    return xp.clip(x, min=min, max=max)


@op(
    vjp={"x": lambda xp, g, x, lambd: xp.where((x < -lambd) | (x > lambd), g, xp.zeros_like(g))},
    check=Unary(attributes=[{}, {"lambd": 0.9}], reference=lambda x, lambd=0.5: np.where(np.abs(x) <= lambd, 0, x)),
    public="hardshrink",
)
def hardshrink(xp, x, *, lambd=0.5):
    """``x``, but 0 in [-lambd, lambd].

    Example:
        >>> import chainrule as cr
        >>> cr.hardshrink(cr.tensor([-1.0, 0.3]))
        tensor([-1.,  0.])
    """
    return xp.where((x >= -lambd) & (x <= lambd), xp.zeros_like(x), x)


@op(
    vjp={"x": lambda xp, g, x, lambd: xp.where((x < -lambd) | (x > lambd), g, xp.zeros_like(g))},
    check=Unary(
        attributes=[{}, {"lambd": 0.9}],
        reference=lambda x, lambd=0.5: np.sign(x) * np.maximum(np.abs(x) - lambd, 0),
    ),
)
def softshrink(xp, x, *, lambd=0.5):
    """``x`` moved towards 0 by ``lambd``, and 0 where that would pass it."""
    # x * 0 keeps NaN
    return xp.where(x > lambd, x - lambd, xp.where(x < -lambd, x + lambd, x * 0))


@op(
    vjp={"x": lambda xp, g, x, threshold: xp.where(x <= threshold, xp.zeros_like(g), g)},
    check=Unary(
        attributes=[{"threshold": 0.5, "value": -1.0}],
        reference=lambda x, threshold, value: np.where(x <= threshold, value, x),
    ),
    public="threshold",
    method=False,
    inplace=True,
)
def threshold(xp, x, *, threshold, value):
    """``x`` where it is larger than ``threshold``, else ``value``.

    Example:
        >>> import chainrule as cr
        >>> cr.threshold(cr.tensor([-1.0, 0.5]), 0.0, 20.0)
        tensor([20.0000,  0.5000])
    """
    return xp.where(x <= threshold, xp.full_like(x, value), x)


def _prelu_samples(rng: Any) -> Any:
    for shape, weight in [((3,), (1,)), ((2, 3, 2), (1, 3, 1)), ((), ()), ((0, 2), (1, 2)), ((2, 3), (2, 3))]:
        yield Sample((normal(rng, *shape), normal(rng, *weight)))


@op(
    vjp={
        "x": lambda xp, g, x, weight: xp.where(x > 0, g, g * weight),
        "weight": lambda xp, g, x: xp.where(x > 0, xp.zeros_like(g), g * x),
    },
    check=Samples(_prelu_samples, reference=lambda x, weight: np.where(x > 0, x, weight * x)),
    broadcasts=True,
    label="prelu",
)
def rectify_by_weight(xp, x, weight):
    """``x`` where positive, else ``weight * x`` (He et al., 2015); the weight broadcasts."""
    return xp.where(x > 0, x, x * weight)


@op(
    vjp={
        "x": lambda xp, g, y: g * xp.sigmoid(y),
        "y": lambda xp, g, x, y: g * x * (xp.sigmoid(y) * xp.sigmoid(-y)),
    },
    check=Binary(reference=lambda x, y: x * special.expit(y)),
    harmonise=True,
    floating=True,
    broadcasts=True,
    label="glu",
)
def gated(xp, x, y):
    """``x * sigmoid(y)`` (Dauphin et al., 2017)."""
    return x * xp.sigmoid(y)


@function("selu", method=False, inplace=True)
def _selu(input: Tensor) -> Tensor:
    """The self-normalising ELU of Klambauer et al. (2017).

    Example:
        >>> import chainrule as cr
        >>> cr.selu(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 1.0507])
    """
    return xp_of_tensors.elu(input, alpha=1.6732632423543772, scale=1.0507009873554805)


@function("celu", method=False, inplace=True)
def _celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """``x`` where positive, else ``alpha * (exp(x / alpha) - 1)`` (Barron, 2017).

    Raises RuntimeError when ``alpha`` is 0.

    Example:
        >>> import chainrule as cr
        >>> cr.celu(cr.tensor([0.0, 1.0]), 2.0)
        tensor([0., 1.])
    """
    if alpha == 0:
        raise RuntimeError("celu: alpha must not be 0")
    return xp_of_tensors.elu(input, alpha=alpha, input_scale=1 / alpha)


@function("prelu")
def _prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``x`` where positive, else ``weight * x``; weight of one element, or one for each channel (dimension 1).

    Raises RuntimeError when the number of weights fits neither.

    Example:
        >>> import chainrule as cr
        >>> cr.prelu(cr.tensor([-2.0, 2.0]), cr.tensor([0.25]))
        tensor([-0.5000,  2.0000])
    """
    w: Any = weight
    if w.numel() != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if w.ndim != 1 or w.numel() != channels:
            raise RuntimeError(
                f"prelu: weight must have 1 element or one for each of the {channels} channels, got {describe(weight)}"
            )
        w = w.reshape(1, -1, *(1,) * (input.ndim - 2))
    elif w.ndim:
        w = w.reshape(())
    return xp_of_tensors.rectify_by_weight(input, w)


@function("rrelu", method=False, inplace=True)
def _rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, generator: Any = None
) -> Tensor:
    """``x`` where positive, else ``a * x`` with a slope between ``lower`` and ``upper`` (Xu et al., 2015).

    The slope is drawn anew for each element while ``training``, else the middle of the two.

    Raises ValueError when ``lower`` exceeds ``upper``.

    Example:
        >>> import chainrule as cr
        >>> cr.rrelu(cr.tensor([-2.0, 2.0]), 0.25, 0.25)
        tensor([-0.5000,  2.0000])
    """
    if lower > upper:
        raise ValueError(f"rrelu: lower must not exceed upper, got {lower} and {upper}")
    if not training or lower == upper:
        return xp_of_tensors.leaky_relu(input, negative_slope=(lower + upper) / 2)
    slope = FUNCTIONS["rand"](
        tuple(input.shape), dtype=input.dtype, device=input.device, generator=generator
    ) * (upper - lower)  # fmt: skip
    return xp_of_tensors.rectify_by_weight(input, slope + lower)
