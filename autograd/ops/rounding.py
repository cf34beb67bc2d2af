"""Rounding to integers, the parts of a number, and remainders."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import function
from chainrule.autograd.samples import Binary, Sample, Samples, Unary, normal
from chainrule.autograd.tensor import Tensor


@op(vjp={"x": lambda xp, g: xp.zeros_like(g)}, check=Unary(reference=np.floor), public="floor", inplace=True)
def floor(xp, x):
    """The largest integer that is not larger; its gradient is 0 everywhere.

    Example:
        >>> import chainrule as cr
        >>> cr.floor(cr.tensor([-1.5, 1.5]))
        tensor([-2.,  1.])
    """
    return xp.floor(x)


@op(vjp={"x": lambda xp, g: xp.zeros_like(g)}, check=Unary(reference=np.ceil), public="ceil", inplace=True)
def ceil(xp, x):
    """The smallest integer that is not smaller; its gradient is 0 everywhere.

    Example:
        >>> import chainrule as cr
        >>> cr.ceil(cr.tensor([-1.5, 1.5]))
        tensor([-1.,  2.])
    """
    return xp.ceil(x)


@op(vjp={"x": lambda xp, g: xp.zeros_like(g)}, check=Unary(reference=np.trunc), public="trunc fix", inplace=True)
def trunc(xp, x):
    """The integer part; its gradient is 0 everywhere.

    Example:
        >>> import chainrule as cr
        >>> cr.trunc(cr.tensor([-1.5, 1.5]))
        tensor([-1.,  1.])
    """
    return xp.trunc(x)


@op(vjp={"x": lambda xp, g: xp.zeros_like(g)}, check=Unary(reference=np.round))
def round(xp, x):
    """The nearest integer, the even one where two are equally near."""
    return xp.round(x)


@function("round special.round", inplace=True)
def _round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number with ``decimals`` decimal digits, the even one where two are equally near.

    The gradient is 0 everywhere. Raises RuntimeError for integers with other than 0 decimals.

    Example:
        >>> import chainrule as cr
        >>> cr.round(cr.tensor([0.5, 1.5, -2.4]))
        tensor([ 0.,  2., -2.])
        >>> cr.round(cr.tensor([1234.0]), decimals=-2)
        tensor([1200.])
    """
    if decimals == 0:
        return xp_of_tensors.round(input)
    if dtypes.category(input._data.dtype) < 2:
        raise RuntimeError(f"round: expected a floating-point tensor for decimals={decimals}, got {input.dtype}")
    scale = 10.0 ** abs(decimals)
    if decimals < 0:
        return xp_of_tensors.round(input / scale) * scale
    return xp_of_tensors.round(input * scale) / scale


@op(
    vjp={"x": lambda xp, g: g},
    check=Unary(reference=lambda x: x - np.trunc(x)),
    public="frac",
    inplace=True,
)
def frac(xp, x):
    """What :func:`trunc` leaves over, with the sign of the argument; its gradient is 1 everywhere.

    Example:
        >>> import chainrule as cr
        >>> cr.frac(cr.tensor([-1.5, 2.25]))
        tensor([-0.5000,  0.2500])
    """
    if not xp.isdtype(x.dtype, ("real floating", "complex floating")):
        raise TypeError("expected a floating-point tensor")
    return x - xp.trunc(x)


@op(
    vjp={"x": lambda xp, g: g, "y": lambda xp, g, x, y: -g * xp.trunc(x / y)},
    check=Binary(-5.0, 5.0, y=(0.7, 2.0), reference=np.fmod),
    public="fmod",
    harmonise=True,
    broadcasts=True,
    inplace=True,
)
def fmod(xp, x, y):
    """Remainder of the division rounded towards 0, with the sign of the dividend.

    Raises RuntimeError for an integer divisor of 0.

    Example:
        >>> import chainrule as cr
        >>> cr.fmod(cr.tensor([7.0, -7.0]), 3)
        tensor([ 1., -1.])
    """
    return xp.fmod(x, y)


@op(
    vjp={"x": lambda xp, g, exponent: g / xp.exp2(xp.astype(exponent, dtype=g.dtype))},
    check=Samples(
        lambda rng: [Sample((normal(rng, *shape),)) for shape in ((3,), (2, 3), (), (0,))],
        reference=np.frexp,
    ),
    outputs=("mantissa", "exponent"),
    differentiable_outputs=1,
    label="frexp",
)
def mantissa_and_exponent(xp, x):
    """``x`` as ``mantissa * 2 ** exponent`` with ``0.5 <= abs(mantissa) < 1``."""
    if not xp.isdtype(x.dtype, "real floating"):
        raise TypeError("expected a floating-point tensor")
    return xp.frexp(x)


class MantissaExponent(NamedTuple):
    """The results of :func:`frexp`."""

    mantissa: Tensor
    exponent: Tensor


@function("frexp")
def _frexp(input: Tensor) -> MantissaExponent:
    """``input`` as ``mantissa * 2 ** exponent`` with ``0.5 <= abs(mantissa) < 1``; the exponents are int32.

    Example:
        >>> import chainrule as cr
        >>> cr.frexp(cr.tensor([3.0, 8.0])).mantissa
        tensor([0.7500, 0.5000])
    """
    return MantissaExponent(*xp_of_tensors.mantissa_and_exponent(input))
