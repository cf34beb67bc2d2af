"""Bessel functions, plain, modified, scaled and spherical, and the Airy function."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.trigonometry import sine_ratio_slope
from chainrule.autograd.public import function
from chainrule.autograd.samples import Unary, special
from chainrule.autograd.tensor import Tensor


def _over(xp: Any, y: Any, x: Any, at_zero: float) -> Any:
    """``y / x``, and its limit at 0."""
    zero = x == 0
    return xp.where(zero, xp.zeros_like(x) + at_zero, y / xp.where(zero, xp.ones_like(x), x))


@op(
    vjp={"x": lambda xp, g, x: -g * xp.bessel_j1(x)},
    check=Unary(-4.0, 4.0, special=[0.0], reference=lambda x: special.j0(x)),
    public="special.bessel_j0",
    floating=True,
)
def bessel_j0(xp, x):
    """Bessel function of the first kind of order 0.

    Example:
        >>> import chainrule as cr
        >>> cr.special.bessel_j0(cr.tensor([0.0, 1.0]))
        tensor([1.0000, 0.7652])
    """
    return xp.bessel_j0(x)


@op(
    vjp={"x": lambda xp, g, x, out: g * (xp.bessel_j0(x) - _over(xp, out, x, 0.5))},
    check=Unary(-4.0, 4.0, special=[0.0], reference=lambda x: special.j1(x)),
    public="special.bessel_j1",
    floating=True,
)
def bessel_j1(xp, x):
    """Bessel function of the first kind of order 1.

    Example:
        >>> import chainrule as cr
        >>> cr.special.bessel_j1(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.4401])
    """
    return xp.bessel_j1(x)


@op(
    vjp={"x": lambda xp, g, x: -g * xp.bessel_y1(x)},
    check=Unary(0.4, 4.0, reference=lambda x: special.y0(x)),
    public="special.bessel_y0",
    floating=True,
)
def bessel_y0(xp, x):
    """Bessel function of the second kind of order 0.

    Example:
        >>> import chainrule as cr
        >>> cr.special.bessel_y0(cr.tensor([1.0, 2.0]))
        tensor([0.0883, 0.5104])
    """
    return xp.bessel_y0(x)


@op(
    vjp={"x": lambda xp, g, x, out: g * (xp.bessel_y0(x) - out / x)},
    check=Unary(0.4, 4.0, reference=lambda x: special.y1(x)),
    public="special.bessel_y1",
    floating=True,
)
def bessel_y1(xp, x):
    """Bessel function of the second kind of order 1.

    Example:
        >>> import chainrule as cr
        >>> cr.special.bessel_y1(cr.tensor([1.0, 2.0]))
        tensor([-0.7812, -0.1070])
    """
    return xp.bessel_y1(x)


@op(
    vjp={"x": lambda xp, g, x: g * xp.i1(x)},
    check=Unary(special=[0.0], reference=lambda x: special.i0(x)),
    public="i0 special.i0 special.modified_bessel_i0",
    floating=True,
    inplace=True,
)
def i0(xp, x):
    """Modified Bessel function of the first kind of order 0.

    Example:
        >>> import chainrule as cr
        >>> cr.special.i0(cr.tensor([0.0, 1.0]))
        tensor([1.0000, 1.2661])
    """
    return xp.i0(x)


@op(
    vjp={"x": lambda xp, g, x, out: g * (xp.i0(x) - _over(xp, out, x, 0.5))},
    check=Unary(special=[0.0], reference=lambda x: special.i1(x)),
    public="special.i1 special.modified_bessel_i1",
    floating=True,
)
def i1(xp, x):
    """Modified Bessel function of the first kind of order 1.

    Example:
        >>> import chainrule as cr
        >>> cr.special.i1(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.5652])
    """
    return xp.i1(x)


@op(
    vjp={"x": lambda xp, g, x, out: g * (xp.i1e(x) - xp.sign(x) * out)},
    check=Unary(special=[0.0, 800.0], reference=lambda x: special.i0e(x)),
    public="special.i0e",
    floating=True,
)
def i0e(xp, x):
    """``exp(-abs(x)) * i0(x)``, without overflow.

    Example:
        >>> import chainrule as cr
        >>> cr.special.i0e(cr.tensor([0.0, 1.0]))
        tensor([1.0000, 0.4658])
    """
    return xp.i0e(x)


@op(
    vjp={"x": lambda xp, g, x, out: g * (xp.i0e(x) - xp.sign(x) * out - _over(xp, out, x, 0.5))},
    check=Unary(special=[0.0, 800.0], reference=lambda x: special.i1e(x)),
    public="special.i1e",
    floating=True,
)
def i1e(xp, x):
    """``exp(-abs(x)) * i1(x)``, without overflow.

    Example:
        >>> import chainrule as cr
        >>> cr.special.i1e(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.2079])
    """
    return xp.i1e(x)


@op(
    vjp={"x": lambda xp, g, x: -g * xp.bessel_k1(x)},
    check=Unary(0.4, 4.0, reference=lambda x: special.k0(x)),
    public="special.modified_bessel_k0",
    floating=True,
)
def bessel_k0(xp, x):
    """Modified Bessel function of the second kind of order 0.

    Example:
        >>> import chainrule as cr
        >>> cr.special.modified_bessel_k0(cr.tensor([1.0, 2.0]))
        tensor([0.4210, 0.1139])
    """
    return xp.bessel_k0(x)


@op(
    vjp={"x": lambda xp, g, x, out: -g * (xp.bessel_k0(x) + out / x)},
    check=Unary(0.4, 4.0, reference=lambda x: special.k1(x)),
    public="special.modified_bessel_k1",
    floating=True,
)
def bessel_k1(xp, x):
    """Modified Bessel function of the second kind of order 1.

    Example:
        >>> import chainrule as cr
        >>> cr.special.modified_bessel_k1(cr.tensor([1.0, 2.0]))
        tensor([0.6019, 0.1399])
    """
    return xp.bessel_k1(x)


@op(
    vjp={"x": lambda xp, g, x, out: g * (out - xp.bessel_k1e(x))},
    check=Unary(0.4, 4.0, special=[1000.0], reference=lambda x: special.k0e(x)),
    public="special.scaled_modified_bessel_k0",
    floating=True,
)
def bessel_k0e(xp, x):
    """``exp(x)`` times the modified Bessel function of the second kind of order 0.

    Example:
        >>> import chainrule as cr
        >>> cr.special.scaled_modified_bessel_k0(cr.tensor([1.0, 2.0]))
        tensor([1.1445, 0.8416])
    """
    return xp.bessel_k0e(x)


@op(
    vjp={"x": lambda xp, g, x, out: g * (out - xp.bessel_k0e(x) - out / x)},
    check=Unary(0.4, 4.0, special=[1000.0], reference=lambda x: special.k1e(x)),
    public="special.scaled_modified_bessel_k1",
    floating=True,
)
def bessel_k1e(xp, x):
    """``exp(x)`` times the modified Bessel function of the second kind of order 1.

    Example:
        >>> import chainrule as cr
        >>> cr.special.scaled_modified_bessel_k1(cr.tensor([1.0, 2.0]))
        tensor([1.6362, 1.0335])
    """
    return xp.bessel_k1e(x)


@op(
    vjp={"x": lambda xp, g, x: g * sine_ratio_slope(xp, x)},
    check=Unary(-4.0, 4.0, special=[0.0, 1e-9], reference=lambda x: np.sinc(x / np.pi)),
    public="special.spherical_bessel_j0",
    floating=True,
)
def spherical_bessel_j0(xp, x):
    """Spherical Bessel function of the first kind of order 0: ``sin(x) / x``, 1 at 0 and 0 at infinity.

    Example:
        >>> import chainrule as cr
        >>> cr.special.spherical_bessel_j0(cr.tensor([0.0, 1.0]))
        tensor([1.0000, 0.8415])
    """
    infinite, zero = xp.isinf(x), x == 0
    angle = xp.where(infinite | zero, xp.ones_like(x), x)
    return xp.where(infinite, xp.zeros_like(x), xp.where(zero, xp.ones_like(x), xp.sin(angle) / angle))


@op(
    # the function solves y'' = x * y
    vjp={
        "x": lambda xp, g, x, derivative: g * (x * xp.airy(x, derivative=0) if derivative else xp.airy(x, derivative=1))
    },
    check=Unary(
        -3.0,
        3.0,
        attributes=[{}, {"derivative": 1}],
        special=[0.0],
        reference=lambda x, derivative=0: special.airy(x)[derivative],
    ),
    floating=True,
    label="airy_ai",
)
def airy(xp, x, *, derivative=0):
    """The Airy function Ai, or its first derivative."""
    # the libraries give NaN far out, where both are long 0
    far = x > 200
    return xp.where(far, xp.zeros_like(x), xp.airy_functions(xp.where(far, xp.zeros_like(x), x))[derivative])


@function("special.airy_ai")
def _airy_ai(input: Tensor) -> Tensor:
    """The Airy function Ai.

    Example:
        >>> import chainrule as cr
        >>> cr.special.airy_ai(cr.tensor([0.0, 1.0]))
        tensor([0.3550, 0.1353])
    """
    return xp_of_tensors.airy(input)
