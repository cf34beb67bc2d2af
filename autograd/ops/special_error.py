"""The error function, the normal distribution's probabilities, and entropy."""

from __future__ import annotations

import math

from chainrule.autograd.op import op
from chainrule.autograd.samples import Unary, special

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
_ONE_OVER_ROOT_TWO_PI = 1 / math.sqrt(2 * math.pi)


@op(
    vjp={"x": lambda xp, g, x: g * (xp.exp(-(x * x)) * _TWO_OVER_ROOT_PI)},
    check=Unary(special=[0.0, 30.0], reference=lambda x: special.erf(x)),
    public="erf special.erf",
    floating=True,
    inplace=True,
)
def erf(xp, x):
    """The error function ``2 / sqrt(pi) * integral of exp(-t ** 2) from 0 to x``.

    Example:
        >>> import chainrule as cr
        >>> cr.erf(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8427])
    """
    return xp.erf(x)


@op(
    vjp={"x": lambda xp, g, x: g * (xp.exp(-(x * x)) * -_TWO_OVER_ROOT_PI)},
    check=Unary(special=[0.0, 30.0], reference=lambda x: special.erfc(x)),
    public="erfc special.erfc",
    floating=True,
    inplace=True,
)
def erfc(xp, x):
    """``1 - erf(x)``, exact for large x.

    Example:
        >>> import chainrule as cr
        >>> cr.erfc(cr.tensor([0.0, 1.0]))
        tensor([1.0000, 0.1573])
    """
    return xp.erfc(x)


@op(
    vjp={"x": lambda xp, g, out: g * (xp.exp(out * out) * (1 / _TWO_OVER_ROOT_PI))},
    check=Unary(-0.9, 0.9, special=[0.0], reference=lambda x: special.erfinv(x)),
    public="erfinv special.erfinv",
    floating=True,
    inplace=True,
)
def erfinv(xp, x):
    """The inverse of :func:`erf`; NaN outside of [-1, 1].

    Example:
        >>> import chainrule as cr
        >>> cr.erfinv(cr.tensor([0.0, 0.5]))
        tensor([0.0000, 0.4769])
    """
    return xp.erfinv(x)


@op(
    vjp={"x": lambda xp, g, x, out: g * (x * out * 2 - _TWO_OVER_ROOT_PI)},
    check=Unary(special=[0.0, 10.0], reference=lambda x: special.erfcx(x)),
    public="special.erfcx",
    floating=True,
)
def erfcx(xp, x):
    """``exp(x ** 2) * erfc(x)``, without underflow for large x.

    Example:
        >>> import chainrule as cr
        >>> cr.special.erfcx(cr.tensor([0.0, 1.0]))
        tensor([1.0000, 0.4276])
    """
    return xp.erfcx(x)


@op(
    vjp={"x": lambda xp, g, x: g * (xp.exp(x * x * -0.5) * _ONE_OVER_ROOT_TWO_PI)},
    check=Unary(special=[0.0, 40.0, -40.0], reference=lambda x: special.ndtr(x)),
    public="special.ndtr",
    floating=True,
)
def ndtr(xp, x):
    """The probability that a standard normal variable is less than x.

    Example:
        >>> import chainrule as cr
        >>> cr.special.ndtr(cr.tensor([0.0, 1.0]))
        tensor([0.5000, 0.8413])
    """
    return xp.ndtr(x)


@op(
    vjp={"x": lambda xp, g, out: g * (xp.exp(out * out * 0.5) / _ONE_OVER_ROOT_TWO_PI)},
    check=Unary(0.1, 0.9, special=[0.5], reference=lambda x: special.ndtri(x)),
    public="special.ndtri",
    floating=True,
)
def ndtri(xp, x):
    """The inverse of :func:`ndtr`: the value that a standard normal variable stays below with probability x.

    Example:
        >>> import chainrule as cr
        >>> cr.special.ndtri(cr.tensor([0.5, 0.9]))
        tensor([0.0000, 1.2816])
    """
    return xp.ndtri(x)


@op(
    # the density over the probability, both times exp(x * x / 2): neither underflows
    vjp={"x": lambda xp, g, x: g * (math.sqrt(2 / math.pi) / xp.erfcx(x * -math.sqrt(0.5)))},
    check=Unary(special=[0.0, 10.0, -1000.0], reference=lambda x: special.log_ndtr(x)),
    public="special.log_ndtr",
    floating=True,
)
def log_ndtr(xp, x):
    """``log(ndtr(x))``, without underflow.

    Example:
        >>> import chainrule as cr
        >>> cr.special.log_ndtr(cr.tensor([0.0, -4.0]))
        tensor([ -0.6931, -10.3601])
    """
    return xp.log_ndtr(x)


@op(
    vjp={"x": lambda xp, g, x: g * -(xp.log(x) + 1)},
    check=Unary(0.2, 3.0, reference=lambda x: special.entr(x)),
    public="special.entr",
    floating=True,
)
def entr(xp, x):
    """``-x * log(x)``; 0 at 0, minus infinity below.

    Example:
        >>> import chainrule as cr
        >>> cr.special.entr(cr.tensor([0.0, 0.5]))
        tensor([0.0000, 0.3466])
    """
    safe = xp.where(x > 0, x, xp.ones_like(x))
    inside = xp.where(x == 0, xp.zeros_like(x), -x * xp.log(safe))
    return xp.where(x < 0, xp.full_like(x, -math.inf), inside)
