"""Elementwise functions of one tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import formula, op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import function
from chainrule.autograd.runtime import cast
from chainrule.autograd.samples import Sample, Samples, Unary, normal, special
from chainrule.autograd.tensor import Tensor


@formula
def abs_back(xp: Any, g: Any, x: Any) -> Any:
    """The gradient of :func:`abs`."""
    return g * (xp.conj(xp.sgn(x)) if dtypes.is_complex(x.dtype) else xp.sign(x))


def _abs_back(xp: Any, g: Any, x: Any) -> Any:
    """``g * sign(x)``"""
    return xp.abs_back(g, x)


@op(
    vjp={"x": _abs_back},
    check=Unary(special=[0.0], reference=np.abs),
    public="abs absolute",
    inplace=True,
)
def abs(xp, x):
    """Absolute value; its gradient at 0 is 0.

    Example:
        >>> import chainrule as cr
        >>> cr.abs(cr.tensor([1.0, -2.0]))
        tensor([1., 2.])
    """
    return xp.abs(x)


@op(vjp={"x": lambda xp, g: xp.zeros_like(g)}, check=Unary(reference=np.sign), public="sign", inplace=True)
def sign(xp, x):
    """-1, 0 or 1; its gradient is 0 everywhere.

    Example:
        >>> import chainrule as cr
        >>> cr.sign(cr.tensor([-3.0, 0.0, 2.0]))
        tensor([-1.,  0.,  1.])
    """
    return xp.sign(x)


@op(vjp={"x": lambda xp, g, out: g * out}, check=Unary(reference=np.exp), public="exp", floating=True, inplace=True)
def exp(xp, x):
    """Exponential.

    Example:
        >>> import chainrule as cr
        >>> cr.exp(cr.tensor([0.0, 1.0]))
        tensor([1.0000, 2.7183])
    """
    return xp.exp(x)


@formula
def expm1_back(xp: Any, g: Any, y: Any) -> Any:
    """The gradient of :func:`expm1` from that of its result y."""
    return g * (y + 1)


def _expm1_back(xp: Any, g: Any, out: Any) -> Any:
    """``g * (out + 1)``"""
    return xp.expm1_back(g, out)


@op(
    vjp={"x": _expm1_back},
    check=Unary(special=[0.0, 1e-10], reference=np.expm1),
    public="expm1",
    floating=True,
    inplace=True,
)
def expm1(xp, x):
    """``exp(x) - 1``, exact near 0.

    Example:
        >>> import chainrule as cr
        >>> cr.expm1(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 1.7183])
    """
    return xp.expm1(x)


@op(
    vjp={"x": lambda xp, g, x: g / x},
    check=Unary(0.2, 3.0, reference=np.log),
    public="log",
    floating=True,
    inplace=True,
)
def log(xp, x):
    """Natural logarithm.

    Example:
        >>> import chainrule as cr
        >>> cr.log(cr.tensor([1.0, 10.0]))
        tensor([0.0000, 2.3026])
    """
    return xp.log(x)


@formula
def log1p_back(xp: Any, g: Any, x: Any) -> Any:
    """The gradient of :func:`log1p`."""
    return g / (x + 1)


def _log1p_back(xp: Any, g: Any, x: Any) -> Any:
    """``g / (x + 1)``"""
    return xp.log1p_back(g, x)


@op(
    vjp={"x": _log1p_back},
    check=Unary(-0.8, 3.0, special=[0.0, 1e-10], reference=np.log1p),
    public="log1p",
    floating=True,
    inplace=True,
)
def log1p(xp, x):
    """``log(1 + x)``, exact near 0.

    Example:
        >>> import chainrule as cr
        >>> cr.log1p(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.6931])
    """
    return xp.log1p(x)


@op(
    vjp={"x": lambda xp, g, out: g * 0.5 / out},
    check=Unary(0.2, 3.0, reference=np.sqrt),
    public="sqrt",
    floating=True,
    inplace=True,
)
def sqrt(xp, x):
    """Square root.

    Example:
        >>> import chainrule as cr
        >>> cr.sqrt(cr.tensor([4.0, 9.0]))
        tensor([2., 3.])
    """
    return xp.sqrt(x)


@op(
    vjp={"x": lambda xp, g, out: g * -0.5 * (out * out * out)},
    check=Unary(0.2, 3.0, reference=lambda x: 1 / np.sqrt(x)),
    public="rsqrt",
    floating=True,
    inplace=True,
)
def rsqrt(xp, x):
    """Reciprocal of the square root.

    Example:
        >>> import chainrule as cr
        >>> cr.rsqrt(cr.tensor([4.0, 1.0]))
        tensor([0.5000, 1.0000])
    """
    return xp.reciprocal(xp.sqrt(x))


@op(vjp={"x": lambda xp, g, x: g * (x + x)}, check=Unary(reference=np.square))
def square(xp, x):
    """The square of each element."""
    return xp.square(x)


@function("square", inplace=True)
def _square(input: Tensor) -> Tensor:
    """The square of each element; bools give int64.

    Example:
        >>> import chainrule as cr
        >>> cr.square(cr.tensor([1.0, -3.0]))
        tensor([1., 9.])
    """
    if isinstance(input, Tensor) and input._data.dtype.kind == "b":
        input = cast(input, dtypes.int64.dtype)
    return xp_of_tensors.square(input)


@op(
    vjp={"x": lambda xp, g, out: -g * (out * out)},
    check=Unary(0.3, 3.0, reference=np.reciprocal),
    public="reciprocal",
    floating=True,
    inplace=True,
)
def reciprocal(xp, x):
    """``1 / x``.

    Example:
        >>> import chainrule as cr
        >>> cr.reciprocal(cr.tensor([4.0, 2.0]))
        tensor([0.2500, 0.5000])
    """
    return xp.reciprocal(x)


@op(vjp={"x": lambda xp, g, x: g * xp.cos(x)}, check=Unary(reference=np.sin), public="sin", floating=True, inplace=True)
def sin(xp, x):
    """Sine; the argument in radians.

    Example:
        >>> import chainrule as cr
        >>> cr.sin(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8415])
    """
    return xp.sin(x)


@op(
    vjp={"x": lambda xp, g, x: -g * xp.sin(x)}, check=Unary(reference=np.cos), public="cos", floating=True, inplace=True
)
def cos(xp, x):
    """Cosine; the argument in radians.

    Example:
        >>> import chainrule as cr
        >>> cr.cos(cr.tensor([0.0, 1.0]))
        tensor([1.0000, 0.5403])
    """
    return xp.cos(x)


def _pair(rng: Any) -> Any:
    """A gradient and the result that it belongs to."""
    for shape in ((), (3,), (2, 3)):
        yield Sample((normal(rng, *shape), normal(rng, *shape, low=-0.9, high=0.9)))


@op(
    vjp={"x": lambda xp, g, y: xp.tanh_back(g, y), "y": lambda xp, g, x, y: g * x * (y * -2)},
    check=Samples(_pair, reference=lambda x, y: x * (1 - y * y)),
)
def tanh_back(xp, x, y):
    """The gradient of tanh from that of its result y: ``x * (1 - y * y)``."""
    return x * (1 - y * y)


def _tanh_back(xp: Any, g: Any, out: Any) -> Any:
    """``g * (1 - out * out)``"""
    return xp.tanh_back(g, out)


@op(
    vjp={"x": _tanh_back},
    check=Unary(special=[0.0, 1000.0, -1000.0], reference=np.tanh),
    public="tanh",
    floating=True,
    inplace=True,
)
def tanh(xp, x):
    """Hyperbolic tangent.

    Example:
        >>> import chainrule as cr
        >>> cr.tanh(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616])
    """
    return xp.tanh(x)


@op(
    vjp={"x": lambda xp, g, y: xp.sigmoid_back(g, y), "y": lambda xp, g, x, y: g * x * (1 - y * 2)},
    check=Samples(_pair, reference=lambda x, y: x * (y * (1 - y))),
)
def sigmoid_back(xp, x, y):
    """The gradient of the logistic function from that of its result y: ``x * (y * (1 - y))``."""
    return x * (y * (1 - y))


def _sigmoid_back(xp: Any, g: Any, out: Any) -> Any:
    """``g * (out * (1 - out))``"""
    return xp.sigmoid_back(g, out)


@op(
    vjp={"x": _sigmoid_back},
    check=Unary(special=[0.0, 1000.0, -1000.0], reference=lambda x: special.expit(x)),
    public="sigmoid",
    floating=True,
    inplace=True,
)
def sigmoid(xp, x):
    """Logistic function ``1 / (1 + exp(-x))``, without overflow and exact in both tails.

    Example:
        >>> import chainrule as cr
        >>> cr.sigmoid(cr.tensor([0.0, 2.0]))
        tensor([0.5000, 0.8808])
    """
    if dtypes.is_complex(x.dtype):
        right = xp.real(x) >= 0
        e = xp.exp(xp.where(right, -x, x))
        return xp.where(right, xp.ones_like(e), e) / (e + 1)
    return xp.exp(xp.minimum(x, 0)) / (xp.exp(-xp.abs(x)) + 1)
