"""Exponentials and logarithms to other bases, and products with logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import formula, op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.arithmetic import _pow
from chainrule.autograd.public import function
from chainrule.autograd.runtime import cast, result_dtype
from chainrule.autograd.samples import Binary, Unary, special
from chainrule.autograd.tensor import Tensor


@op(
    vjp={"x": lambda xp, g, out: g * (out * math.log(2))},
    check=Unary(special=[0.0], reference=np.exp2),
    public="exp2 special.exp2",
    floating=True,
    inplace=True,
)
def exp2(xp, x):
    """``2 ** x``.

    Example:
        >>> import chainrule as cr
        >>> cr.exp2(cr.tensor([0.0, 3.0]))
        tensor([1., 8.])
    """
    return xp.exp2(x)


@formula
def log_back(xp: Any, g: Any, x: Any, *, factor: float) -> Any:
    """The gradient of a logarithm to the base ``exp(factor)``."""
    return g / (x * factor)


def _log2_back(xp: Any, g: Any, x: Any) -> Any:
    """``g / (x * 0.6931471805599453)``"""
    return xp.log_back(g, x, factor=math.log(2))


def _log10_back(xp: Any, g: Any, x: Any) -> Any:
    """``g / (x * 2.302585092994046)``"""
    return xp.log_back(g, x, factor=math.log(10))


@op(
    vjp={"x": _log2_back},
    check=Unary(0.2, 3.0, reference=np.log2),
    public="log2",
    floating=True,
    inplace=True,
)
def log2(xp, x):
    """Logarithm to base 2.

    Example:
        >>> import chainrule as cr
        >>> cr.log2(cr.tensor([1.0, 8.0]))
        tensor([0., 3.])
    """
    return xp.log2(x)


@op(
    vjp={"x": _log10_back},
    check=Unary(0.2, 3.0, reference=np.log10),
    public="log10",
    floating=True,
    inplace=True,
)
def log10(xp, x):
    """Logarithm to base 10.

    Example:
        >>> import chainrule as cr
        >>> cr.log10(cr.tensor([1.0, 100.0]))
        tensor([0., 2.])
    """
    return xp.log10(x)


def _share(xp: Any, x: Any, y: Any, scale: float) -> Any:
    """``exp(x) / (exp(x) + exp(y))`` to base ``exp(scale)``; one half where both are the same infinity."""
    same = x == y
    return xp.sigmoid(xp.where(same, xp.zeros_like(x), x - y) * scale)


@op(
    vjp={"x": lambda xp, g, x, y: g * _share(xp, x, y, 1.0), "y": lambda xp, g, x, y: g * _share(xp, y, x, 1.0)},
    check=Binary(special=[(1000.0, 0.0)], reference=np.logaddexp),
    public="logaddexp",
    harmonise=True,
    floating=True,
    broadcasts=True,
)
def add_exponents(xp, x, y):
    """``log(exp(input) + exp(other))`` without overflow.

    Example:
        >>> import chainrule as cr
        >>> cr.logaddexp(cr.tensor([0.0, 1000.0]), cr.tensor([0.0, 0.0]))
        tensor([6.9315e-01, 1.0000e+03])
    """
    return xp.logaddexp(x, y)


@op(
    vjp={
        "x": lambda xp, g, x, y: g * _share(xp, x, y, math.log(2)),
        "y": lambda xp, g, x, y: g * _share(xp, y, x, math.log(2)),
    },
    check=Binary(special=[(5000.0, 0.0)], reference=np.logaddexp2),
    public="logaddexp2",
    harmonise=True,
    floating=True,
    broadcasts=True,
)
def logaddexp2(xp, x, y):
    """``log2(2 ** input + 2 ** other)`` without overflow.

    Example:
        >>> import chainrule as cr
        >>> cr.logaddexp2(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 2.0]))
        tensor([2., 3.])
    """
    return xp.logaddexp2(x, y)


def _where_log_counts(xp: Any, x: Any, y: Any, log: Any) -> Any:
    """``x * log(y)``, and 0 where x is 0 and the logarithm would be infinite or NaN (but y is not)."""
    zero = (x == 0) & (y == y)
    return xp.where(zero, xp.zeros_like(x * y), x * log(xp.where(zero, xp.ones_like(y), y)))


@op(
    vjp={
        "x": lambda xp, g, x, y: xp.where((x == 0) & (y <= 0), xp.zeros_like(g), xp.xlogy(g, y)),
        "y": lambda xp, g, x, y: g * (x / y),
    },
    check=Binary(0.3, 2.0, special=[(0.0, 2.0)], reference=lambda x, y: special.xlogy(x, y)),
    public="xlogy special.xlogy",
    harmonise=True,
    floating=True,
    broadcasts=True,
    inplace=True,
)
def xlogy(xp, x, y):
    """``input * log(other)``, and 0 where ``input`` is 0, unless ``other`` is NaN.

    Example:
        >>> import chainrule as cr
        >>> cr.xlogy(cr.tensor([0.0, 2.0]), cr.tensor([0.0, 1.0]))
        tensor([0., 0.])
    """
    return _where_log_counts(xp, x, y, xp.log)


@op(
    vjp={
        "x": lambda xp, g, x, y: xp.where((x == 0) & (y <= -1), xp.zeros_like(g), xp.xlog1py(g, y)),
        "y": lambda xp, g, x, y: g * (x / (y + 1)),
    },
    check=Binary(0.3, 2.0, special=[(0.0, 2.0)], reference=lambda x, y: special.xlog1py(x, y)),
    public="special.xlog1py",
    harmonise=True,
    floating=True,
    broadcasts=True,
)
def xlog1py(xp, x, y):
    """``input * log1p(other)``, and 0 where ``input`` is 0, unless ``other`` is NaN.

    Example:
        >>> import chainrule as cr
        >>> cr.special.xlog1py(cr.tensor([0.0, 2.0]), cr.tensor([-1.0, 1.0]))
        tensor([0.0000, 1.3863])
    """
    return _where_log_counts(xp, x, y, xp.log1p)


def _logit_back(xp: Any, g: Any, x: Any, eps: float | None) -> Any:
    inside = (x >= 0) & (x <= 1) if eps is None else (x >= eps) & (x <= 1 - eps)
    outside = xp.zeros_like(x) + (math.nan if eps is None else 0.0)
    return xp.where(inside, g / (x * (1 - x)), outside)


@op(
    vjp={"x": lambda xp, g, x, eps: _logit_back(xp, g, x, eps)},
    check=Unary(0.1, 0.9, attributes=[{}, {"eps": 0.3}], reference=lambda x, eps=None: special.logit(
        x if eps is None else np.clip(x, eps, 1 - eps)
    )),
    public="logit special.logit",
    floating=True,
    inplace=True,
)  # fmt: skip
def logit(xp, x, *, eps=None):
    """``log(x / (1 - x))``, the inverse of :func:`sigmoid`; with ``eps``, of x limited to [eps, 1 - eps].

    Example:
        >>> import chainrule as cr
        >>> cr.logit(cr.tensor([0.5, 0.9]))
        tensor([0.0000, 2.1972])
    """
    if eps is not None:
        x = xp.clip(x, min=eps, max=1 - eps)
    return xp.log(x / (1 - x))


@function("ldexp", inplace=True)
def _ldexp(input: Tensor, other: Any) -> Tensor:
    """``input * 2 ** other``.

    Example:
        >>> import chainrule as cr
        >>> cr.ldexp(cr.tensor([1.0, 3.0]), cr.tensor([2, 1]))
        tensor([4., 6.])
    """
    return xp_of_tensors.multiply(input, _pow(2.0, other))


@function("float_power", inplace=True)
def _float_power(input: Any, exponent: Any) -> Tensor:
    """``input ** exponent`` computed in float64 (complex numbers in complex128), whatever the arguments are.

    Example:
        >>> import chainrule as cr
        >>> cr.float_power(cr.tensor([2, 3]), 2)
        tensor([4., 9.], dtype=chainrule.float64)
    """
    complex_ = dtypes.category(result_dtype([input, exponent])) == 3
    to = (dtypes.complex128 if complex_ else dtypes.float64).dtype
    base, power = [cast(v, to) if isinstance(v, Tensor) else v for v in (input, exponent)]
    return _pow(base, power)
