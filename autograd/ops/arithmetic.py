"""Elementwise arithmetic of two tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import formula, op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import function
from chainrule.autograd.runtime import result_dtype
from chainrule.autograd.samples import Binary, Sample, Samples, Unary, normal
from chainrule.autograd.tensor import Tensor


@op(
    vjp={"x": lambda xp, g: g, "y": lambda xp, g: g},
    check=Binary(reference=np.add),
    harmonise=True,
    broadcasts=True,
    large=True,
)
def add(xp, x, y):
    """Sum of two tensors, elementwise with broadcasting."""
    return xp.add(x, y)


@op(
    vjp={"x": lambda xp, g: g, "y": lambda xp, g: -g},
    check=Binary(reference=np.subtract),
    harmonise=True,
    broadcasts=True,
    label="sub",
    large=True,
)
def subtract(xp, x, y):
    """Difference of two tensors, elementwise with broadcasting."""
    return xp.subtract(x, y)


@op(
    vjp={"x": lambda xp, g, y: g * y, "y": lambda xp, g, x: g * x},
    check=Binary(reference=np.multiply),
    public="mul multiply",
    harmonise=True,
    broadcasts=True,
    inplace=True,
    large=True,
)
def multiply(xp, x, y):
    """Product of two tensors, elementwise with broadcasting.

    Example:
        >>> import chainrule as cr
        >>> cr.mul(cr.tensor([1.0, 2.0]), 3.0)
        tensor([3., 6.])
    """
    return xp.multiply(x, y)


@op(
    vjp={"x": lambda xp, g, y: g / y, "y": lambda xp, g, x, y: -(g * (x / y)) / y},
    check=Binary(0.5, 2.0, reference=np.divide),
    harmonise=True,
    floating=True,
    broadcasts=True,
    label="div",
    large=True,
)
def divide(xp, x, y):
    """Quotient of two tensors, elementwise with broadcasting."""
    return xp.divide(x, y)


@op(
    vjp={"x": lambda xp, g: xp.zeros_like(g), "y": lambda xp, g: xp.zeros_like(g)},
    check=Binary(-5.0, 5.0, y=(0.7, 2.0), reference=np.floor_divide),
    public="floor_divide",
    harmonise=True,
    broadcasts=True,
    inplace=True,
)
def floor_divide(xp, x, y):
    """Quotient of two tensors, rounded towards minus infinity; its gradient is 0 everywhere.

    Raises RuntimeError for an integer divisor of 0.

    Example:
        >>> import chainrule as cr
        >>> cr.floor_divide(cr.tensor([7.0, -7.0]), 2)
        tensor([ 3., -4.])
    """
    return xp.floor_divide(x, y)


@op(
    vjp={"x": lambda xp, g: xp.zeros_like(g), "y": lambda xp, g: xp.zeros_like(g)},
    check=Binary(-5.0, 5.0, y=(0.7, 2.0), reference=lambda x, y: np.trunc(x / y)),
    harmonise=True,
    broadcasts=True,
    label="div",
)
def divide_truncated(xp, x, y):
    """Quotient of two tensors, rounded towards 0; its gradient is 0 everywhere."""
    if not xp.isdtype(x.dtype, ("bool", "integral")):
        return xp.trunc(x / y)
    down = xp.floor_divide(x, y)
    # one more where the quotient was negative and not whole
    return down + xp.astype((down * y != x) & ((x < 0) != (y < 0)), down.dtype)


@op(
    vjp={"x": lambda xp, g: g, "y": lambda xp, g, x, y: -g * xp.floor_divide(x, y)},
    check=Binary(-5.0, 5.0, y=(0.7, 2.0), reference=np.remainder),
    public="remainder",
    harmonise=True,
    broadcasts=True,
    inplace=True,
)
def remainder(xp, x, y):
    """Remainder of the floored division, with the sign of the divisor.

    Raises RuntimeError for an integer divisor of 0.

    Example:
        >>> import chainrule as cr
        >>> cr.remainder(cr.tensor([7.0, -7.0]), 3)
        tensor([1., 2.])
    """
    return xp.remainder(x, y)


def _power_base(xp: Any, g: Any, x: Any, y: Any) -> Any:
    """``g * y * x ** (y - 1)``"""
    # d/dx x**0 is 0, also at x = 0 where 0 * 0**-1 would be nan
    exponent = xp.where(y == 0, xp.ones_like(y), y - 1)
    return xp.where(y == 0, xp.zeros_like(g), g * y * xp.pow(x, exponent))


def _power_exponent(xp: Any, g: Any, x: Any, y: Any, out: Any) -> Any:
    """``g * out * log(x)``"""
    # d/dy 0**y is 0 for y >= 0, where out * log(0) would be nan
    zero = (x == 0) & ((xp.real(y) if dtypes.is_complex(y.dtype) else y) >= 0)
    return xp.where(zero, xp.zeros_like(g), g * out * xp.log(xp.where(zero, xp.ones_like(x), x)))


@op(
    vjp={"x": _power_base, "y": _power_exponent},
    check=Binary(0.3, 2.0, y=(-2.0, 2.0), reference=np.power),
    harmonise=True,
    broadcasts=True,
)
def pow(xp, x, y):
    """Power of two tensors, elementwise with broadcasting."""
    return xp.pow(x, y)


def _scalar_power_samples(rng: Any) -> Any:
    for exponent in (2, 3, 0.5, -1, 0, 1, 2.5, -2):
        yield Sample((normal(rng, 2, 3, low=0.3, high=2.0),), {"exponent": exponent})


@formula
def power_back(xp: Any, g: Any, x: Any, *, exponent: Any) -> Any:
    """The gradient of :func:`power_by_number`."""
    if exponent == 0:
        return xp.zeros_like(g)
    return g * (x * 2 if exponent == 2 else xp.power_by_number(x, exponent=exponent - 1) * exponent)


def _power_by_number_back(xp: Any, g: Any, x: Any, exponent: Any) -> Any:
    """``g * (x ** (exponent - 1) * exponent)``"""
    return xp.power_back(g, x, exponent=exponent)


@op(
    vjp={"x": _power_by_number_back},
    check=Samples(_scalar_power_samples, reference=lambda x, exponent: np.power(x, exponent)),
    floating=False,
    label="pow",
)
def power_by_number(xp, x, *, exponent):
    """``x ** exponent`` for a Python number; small exponents avoid the slow general power."""
    if exponent == 2:
        return x * x
    if exponent == 1:
        return xp.multiply(x, 1)
    if exponent == 3:
        return x * x * x
    if exponent == 0.5:
        return xp.sqrt(x)
    if exponent == -1:
        return xp.reciprocal(x)
    return xp.pow(x, exponent)


@op(
    vjp={"x": lambda xp, g: -g},
    check=Unary(reference=np.negative),
    public="neg negative",
    inplace=True,
    large=True,
)
def negative(xp, x):
    """The tensor with its sign changed.

    Example:
        >>> import chainrule as cr
        >>> cr.neg(cr.tensor([1.0, -2.0]))
        tensor([-1.,  2.])
    """
    return xp.negative(x)


def _scaled(caller: str, input: Any, other: Any, alpha: Any) -> Any:
    """``other * alpha``; a fraction of integers is refused, as it would change the dtype of the result."""
    if isinstance(alpha, float) and dtypes.category(result_dtype([input, other])) < 2:
        raise RuntimeError(f"{caller}: alpha must be an integer for integer tensors, got {alpha}")
    return other * alpha


@function("add", inplace=True)
def _add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """``input + alpha * other``, elementwise with broadcasting.

    Example:
        >>> import chainrule as cr
        >>> cr.add(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 1.0]), alpha=10)
        tensor([11., 12.])
    """
    return xp_of_tensors.add(input, other if alpha == 1 else _scaled("add", input, other, alpha))


@function("sub subtract", inplace=True)
def _sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """``input - alpha * other``, elementwise with broadcasting.

    Example:
        >>> import chainrule as cr
        >>> cr.sub(cr.tensor([1.0, 2.0]), 1.0)
        tensor([0., 1.])
    """
    return xp_of_tensors.subtract(input, other if alpha == 1 else _scaled("sub", input, other, alpha))


@function("rsub", method=False)
def _rsub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """``other - alpha * input``, elementwise with broadcasting.

    Example:
        >>> import chainrule as cr
        >>> cr.rsub(cr.tensor([1.0, 2.0]), 1.0)
        tensor([ 0., -1.])
    """
    return _sub(other, input, alpha=alpha)


@function("div divide true_divide", inplace=True)
def _div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """``input / other``, elementwise with broadcasting; integers give the default floating dtype.

    Args:
        rounding_mode: None, ``"floor"`` or ``"trunc"``.

    Example:
        >>> import chainrule as cr
        >>> cr.div(cr.tensor([1, 2]), 2)
        tensor([0.5000, 1.0000])
    """
    if rounding_mode is None:
        return xp_of_tensors.divide(input, other)
    if rounding_mode == "floor":
        return xp_of_tensors.floor_divide(input, other)
    if rounding_mode == "trunc":
        return xp_of_tensors.divide_truncated(input, other)
    raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")


@function("pow", inplace=True)
def _pow(input: Any, exponent: Any) -> Tensor:
    """``input ** exponent``, elementwise with broadcasting; one of the two may be a number.

    Raises RuntimeError for integers to negative integer powers.

    Example:
        >>> import chainrule as cr
        >>> cr.pow(cr.tensor([1.0, 2.0, 3.0]), 2)
        tensor([1., 4., 9.])
    """
    if isinstance(input, Tensor) and isinstance(exponent, (int, float)) and not isinstance(exponent, bool):
        if dtypes.category(input._data.dtype) < 2:
            if isinstance(exponent, float):
                input = input.to(dtypes.get_default_dtype())
            elif exponent < 0:
                raise RuntimeError(
                    "pow: integers to negative integer powers are not allowed; convert with .float() first"
                )
        if dtypes.category(input._data.dtype) >= 2:
            return xp_of_tensors.power_by_number(input, exponent=exponent)
    return xp_of_tensors.pow(input, exponent)
