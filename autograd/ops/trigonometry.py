"""Trigonometric and hyperbolic functions, their inverses, and angles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd.op import formula, op
from chainrule.autograd.samples import Binary, Unary


@op(
    vjp={"x": lambda xp, g, out: g * (out * out + 1)},
    check=Unary(-1.2, 1.2, special=[0.0], reference=np.tan),
    public="tan",
    floating=True,
    inplace=True,
)
def tan(xp, x):
    """Tangent; the argument in radians.

    Example:
        >>> import chainrule as cr
        >>> cr.tan(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 1.5574])
    """
    return xp.tan(x)


@op(
    vjp={"x": lambda xp, g, x: -g * xp.rsqrt(1 - x * x)},
    check=Unary(-0.9, 0.9, special=[0.0], reference=np.arccos),
    public="acos arccos",
    floating=True,
    inplace=True,
)
def acos(xp, x):
    """Inverse cosine, in [0, pi]; NaN outside of [-1, 1].

    Example:
        >>> import chainrule as cr
        >>> cr.acos(cr.tensor([1.0, 0.0]))
        tensor([0.0000, 1.5708])
    """
    return xp.acos(x)


@op(
    vjp={"x": lambda xp, g, x: g * xp.rsqrt(1 - x * x)},
    check=Unary(-0.9, 0.9, special=[0.0], reference=np.arcsin),
    public="asin arcsin",
    floating=True,
    inplace=True,
)
def asin(xp, x):
    """Inverse sine, in [-pi / 2, pi / 2]; NaN outside of [-1, 1].

    Example:
        >>> import chainrule as cr
        >>> cr.asin(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 1.5708])
    """
    return xp.asin(x)


@formula
def atan_back(xp: Any, g: Any, x: Any) -> Any:
    """The gradient of :func:`atan`."""
    return g / (x * x + 1)


def _atan_back(xp: Any, g: Any, x: Any) -> Any:
    """``g / (x * x + 1)``"""
    return xp.atan_back(g, x)


@op(
    vjp={"x": _atan_back},
    check=Unary(special=[0.0], reference=np.arctan),
    public="atan arctan",
    floating=True,
    inplace=True,
)
def atan(xp, x):
    """Inverse tangent, in [-pi / 2, pi / 2].

    Example:
        >>> import chainrule as cr
        >>> cr.atan(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7854])
    """
    return xp.atan(x)


def _over_square(xp: Any, a: Any, x: Any, y: Any) -> Any:
    """``a / (x * x + y * y)``, and 0 where both are 0."""
    total = x * x + y * y
    zero = total == 0
    return xp.where(zero, xp.zeros_like(total), a / xp.where(zero, xp.ones_like(total), total))


@op(
    vjp={
        "x": lambda xp, g, x, y: g * _over_square(xp, y, x, y),
        "y": lambda xp, g, x, y: g * _over_square(xp, -x, x, y),
    },
    check=Binary(0.3, 2.0, y=(-2.0, 2.0), reference=np.arctan2),
    public="atan2 arctan2",
    harmonise=True,
    floating=True,
    broadcasts=True,
    inplace=True,
)
def atan2(xp, x, y):
    """Angle of the point with ordinate ``input`` and abscissa ``other``, in [-pi, pi]; its gradient at the origin is 0.

    Example:
        >>> import chainrule as cr
        >>> cr.atan2(cr.tensor([1.0, -1.0]), cr.tensor([1.0, -1.0]))
        tensor([ 0.7854, -2.3562])
    """
    return xp.atan2(x, y)


@formula
def sinh_back(xp: Any, g: Any, x: Any) -> Any:
    """The gradient of :func:`sinh`."""
    return g * xp.cosh(x)


def _sinh_back(xp: Any, g: Any, x: Any) -> Any:
    """``g * cosh(x)``"""
    return xp.sinh_back(g, x)


@op(
    vjp={"x": _sinh_back},
    check=Unary(special=[0.0], reference=np.sinh),
    public="sinh",
    floating=True,
    inplace=True,
)
def sinh(xp, x):
    """Hyperbolic sine.

    Example:
        >>> import chainrule as cr
        >>> cr.sinh(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 1.1752])
    """
    return xp.sinh(x)


@formula
def cosh_back(xp: Any, g: Any, x: Any) -> Any:
    """The gradient of :func:`cosh`."""
    return g * xp.sinh(x)


def _cosh_back(xp: Any, g: Any, x: Any) -> Any:
    """``g * sinh(x)``"""
    return xp.cosh_back(g, x)


@op(
    vjp={"x": _cosh_back},
    check=Unary(special=[0.0], reference=np.cosh),
    public="cosh",
    floating=True,
    inplace=True,
)
def cosh(xp, x):
    """Hyperbolic cosine.

    Example:
        >>> import chainrule as cr
        >>> cr.cosh(cr.tensor([0.0, 1.0]))
        tensor([1.0000, 1.5431])
    """
    return xp.cosh(x)


@op(
    vjp={"x": lambda xp, g, x: g * xp.rsqrt(x * x + 1)},
    check=Unary(special=[0.0], reference=np.arcsinh),
    public="asinh arcsinh",
    floating=True,
    inplace=True,
)
def asinh(xp, x):
    """Inverse hyperbolic sine.

    Example:
        >>> import chainrule as cr
        >>> cr.asinh(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8814])
    """
    return xp.asinh(x)


@op(
    # two roots, as the root of x * x - 1 is on the wrong branch for half of the complex plane
    vjp={"x": lambda xp, g, x: g * (xp.rsqrt(x - 1) * xp.rsqrt(x + 1))},
    check=Unary(1.2, 3.0, reference=np.arccosh),
    public="acosh arccosh",
    floating=True,
    inplace=True,
)
def acosh(xp, x):
    """Inverse hyperbolic cosine; NaN below 1.

    Example:
        >>> import chainrule as cr
        >>> cr.acosh(cr.tensor([1.0, 2.0]))
        tensor([0.0000, 1.3170])
    """
    return xp.acosh(x)


@op(
    vjp={"x": lambda xp, g, x: g / (1 - x * x)},
    check=Unary(-0.9, 0.9, special=[0.0], reference=np.arctanh),
    public="atanh arctanh",
    floating=True,
    inplace=True,
)
def atanh(xp, x):
    """Inverse hyperbolic tangent; NaN outside of [-1, 1].

    Example:
        >>> import chainrule as cr
        >>> cr.atanh(cr.tensor([0.0, 0.5]))
        tensor([0.0000, 0.5493])
    """
    return xp.atanh(x)


@op(
    vjp={"x": lambda xp, g, x, out: g * (x / out), "y": lambda xp, g, y, out: g * (y / out)},
    check=Binary(0.3, 2.0, reference=np.hypot),
    public="hypot",
    harmonise=True,
    floating=True,
    broadcasts=True,
    inplace=True,
)
def hypot(xp, x, y):
    """``sqrt(input ** 2 + other ** 2)`` without overflow.

    Example:
        >>> import chainrule as cr
        >>> cr.hypot(cr.tensor([3.0]), cr.tensor([4.0]))
        tensor([5.])
    """
    return xp.hypot(x, y)


@op(
    vjp={"x": lambda xp, g: g * (math.pi / 180)},
    check=Unary(reference=np.deg2rad),
    public="deg2rad",
    floating=True,
    inplace=True,
)
def deg2rad(xp, x):
    """Degrees as radians.

    Example:
        >>> import chainrule as cr
        >>> cr.deg2rad(cr.tensor([180.0, 90.0]))
        tensor([3.1416, 1.5708])
    """
    return x * (math.pi / 180)


@op(
    vjp={"x": lambda xp, g: g * (180 / math.pi)},
    check=Unary(reference=np.rad2deg),
    public="rad2deg",
    floating=True,
    inplace=True,
)
def rad2deg(xp, x):
    """Radians as degrees.

    Example:
        >>> import chainrule as cr
        >>> cr.rad2deg(cr.tensor([1.0]))
        tensor([57.2958])
    """
    return x * (180 / math.pi)


def sine_ratio_slope(xp: Any, x: Any) -> Any:
    """The derivative of ``sin(x) / x``; by its series near 0, where the formula loses all digits."""
    near = xp.abs(x) < 0.5
    zero = xp.zeros_like(x)
    small, far = xp.where(near, x, zero), xp.where(near, xp.ones_like(x), x)
    square, series = small * small, zero
    for n in range(8, 0, -1):
        series = series * square + (-1) ** n * 2 * n / math.factorial(2 * n + 1)
    return xp.where(near, series * small, (xp.cos(far) - xp.sin(far) / far) / far)


@op(
    vjp={"x": lambda xp, g, x: g * (sine_ratio_slope(xp, x * math.pi) * math.pi)},
    check=Unary(special=[0.0, 1.0, 1e-9], reference=np.sinc),
    public="sinc special.sinc",
    floating=True,
    inplace=True,
)
def sinc(xp, x):
    """``sin(pi * x) / (pi * x)``, and 1 at 0.

    Example:
        >>> import chainrule as cr
        >>> cr.sinc(cr.tensor([0.0, 0.5]))
        tensor([1.0000, 0.6366])
    """
    zero = x == 0
    angle = xp.where(zero, xp.ones_like(x), x) * math.pi
    return xp.where(zero, xp.ones_like(x), xp.sin(angle) / angle)
