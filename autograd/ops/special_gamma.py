"""The gamma function's logarithm, its derivatives, and its incomplete integrals."""

from __future__ import annotations

import math
from typing import Any

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import function
from chainrule.autograd.runtime import to_floating
from chainrule.autograd.samples import Binary, Unary, special
from chainrule.autograd.tensor import Tensor


def no_derivative(caller: str, argument: str) -> Any:
    """A rule that refuses: there is no formula for the gradient, and none is not the same as 0."""

    def refuse(xp: Any, g: Any) -> Any:
        raise RuntimeError(
            f"{caller}: no formula for the derivative with respect to {argument!r} is known; detach() that argument"
        )

    return refuse


@op(
    vjp={"x": lambda xp, g, x: g * xp.digamma(x)},
    check=Unary(0.3, 4.0, reference=lambda x: special.gammaln(x)),
    public="lgamma special.gammaln",
    floating=True,
    inplace=True,
)
def lgamma(xp, x):
    """The logarithm of the absolute value of the gamma function.

    Example:
        >>> import chainrule as cr
        >>> cr.lgamma(cr.tensor([1.0, 5.0]))
        tensor([0.0000, 3.1781])
    """
    return xp.where(x == -math.inf, xp.full_like(x, math.inf), xp.log_gamma(x))


@op(
    vjp={"x": lambda xp, g, x: g * xp.polygamma_of_order(x, n=1)},
    check=Unary(0.3, 4.0, reference=lambda x: special.psi(x)),
    public="digamma special.digamma special.psi",
    floating=True,
    inplace=True,
)
def digamma(xp, x):
    """The logarithmic derivative of the gamma function; infinite at 0, NaN at the negative integers.

    Example:
        >>> import chainrule as cr
        >>> cr.digamma(cr.tensor([1.0, 2.0]))
        tensor([-0.5772,  0.4228])
    """
    pole = xp.copysign(xp.full_like(x, math.inf), -x)
    return xp.where(x == 0, pole, xp.psi(x))


@op(
    vjp={"x": lambda xp, g, x, n: g * xp.polygamma_of_order(x, n=n + 1)},
    check=Unary(
        0.5, 4.0, attributes=[{"n": 0}, {"n": 1}, {"n": 2}, {"n": 5}], reference=lambda x, n: special.polygamma(n, x)
    ),
    floating=True,
    label="polygamma",
)
def polygamma_of_order(xp, x, *, n):
    """The derivative of order ``n`` of :func:`digamma`."""
    if n == 0:
        return xp.digamma(x)
    order = xp.full_like(x, n + 1)
    if n == 1:
        # reflected: the zeta function has no fast sum for negative arguments
        low = x < 0.5
        right = xp.zeta(order, xp.where(low, 1 - x, x))
        sine = xp.sin(xp.where(low, x, xp.full_like(x, 0.5)) * math.pi)
        return xp.where(low, (math.pi / sine) ** 2 - right, right)
    return xp.zeta(order, x) * ((-1.0) ** (n + 1) * math.gamma(n + 1))


def _polygamma(n: Any, input: Any) -> Tensor:
    """The derivative of order ``n`` of :func:`digamma`.

    Raises RuntimeError for a negative order.

    Example:
        >>> import chainrule as cr
        >>> cr.polygamma(1, cr.tensor([1.0, 2.0]))
        tensor([1.6449, 0.6449])
    """
    if isinstance(n, Tensor):
        n, input = input, n  # as a method the tensor comes first
    if n < 0:
        raise RuntimeError(f"polygamma: n must not be negative, got {n}")
    return xp_of_tensors.polygamma_of_order(input, n=int(n))


function("polygamma", inplace=True)(_polygamma)
function("special.polygamma")(_polygamma)


@function("mvlgamma special.multigammaln", inplace=True)
def _mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the gamma function of ``p`` dimensions.

    Raises RuntimeError when ``p`` is less than 1.

    Example:
        >>> import chainrule as cr
        >>> cr.mvlgamma(cr.tensor([2.0, 3.0]), 2)
        tensor([0.4516, 1.5502])
    """
    if p < 1:
        raise RuntimeError(f"mvlgamma: p must be at least 1, got {p}")
    x = to_floating(input)
    total = xp_of_tensors.lgamma(x)
    for j in range(1, p):
        total = total + xp_of_tensors.lgamma(x - 0.5 * j)
    return total + math.log(math.pi) * (p * (p - 1) / 4)


def _gamma_density(xp: Any, a: Any, x: Any) -> Any:
    """The derivative of the regularised lower incomplete gamma function with respect to its bound."""
    return xp.exp((a - 1) * xp.log(x) - x - xp.lgamma(a))


def _by_shape(xp: Any, g: Any, a: Any, x: Any) -> Any:
    """``g`` times the derivative of the regularised lower incomplete gamma function by its shape; 0 at the ends."""
    inside = (x > 0) & (x < math.inf)
    bound = xp.where(inside, x, xp.ones_like(x))
    slope = xp.gamma_shape_ratio(a, xp.log(bound), n=1) * (bound * _gamma_density(xp, a, bound))
    return g * xp.where(inside, slope, xp.zeros_like(slope))


@op(
    vjp={
        "x": lambda xp, g, x, y: _by_shape(xp, g, x, y),
        "y": lambda xp, g, x, y: g * _gamma_density(xp, x, y),
    },
    check=Binary(0.5, 3.0, y=(0.5, 3.0), reference=lambda a, x: special.gammainc(a, x)),
    public="igamma special.gammainc",
    harmonise=True,
    floating=True,
    broadcasts=True,
    inplace=True,
)
def igamma(xp, x, y):
    """The regularised lower incomplete gamma function of shape ``input`` and bound ``other``.

    Example:
        >>> import chainrule as cr
        >>> cr.igamma(cr.tensor([1.0]), cr.tensor([1.0]))
        tensor([0.6321])
    """
    return xp.igamma(x, y)


@op(
    vjp={
        "x": lambda xp, g, x, y: _by_shape(xp, -g, x, y),
        "y": lambda xp, g, x, y: -g * _gamma_density(xp, x, y),
    },
    check=Binary(0.5, 3.0, y=(0.5, 3.0), reference=lambda a, x: special.gammaincc(a, x)),
    public="igammac special.gammaincc",
    harmonise=True,
    floating=True,
    broadcasts=True,
    inplace=True,
)
def igammac(xp, x, y):
    """The regularised upper incomplete gamma function of shape ``input`` and bound ``other``.

    Example:
        >>> import chainrule as cr
        >>> cr.igammac(cr.tensor([1.0]), cr.tensor([1.0]))
        tensor([0.3679])
    """
    return xp.igammac(x, y)


@op(
    vjp={"x": no_derivative("zeta", "input"), "y": lambda xp, g, x, y: g * (-x * xp.zeta(x + 1, y))},
    check=Binary(1.5, 4.0, y=(0.5, 3.0), reference=lambda x, q: special.zeta(x, q), constant=("x",)),
    public="special.zeta",
    harmonise=True,
    floating=True,
    broadcasts=True,
)
def zeta(xp, x, y):
    """The Hurwitz zeta function, the sum of ``(k + other) ** -input`` over k = 0, 1, 2, ...

    There is no gradient with respect to ``input``.

    Example:
        >>> import chainrule as cr
        >>> cr.special.zeta(cr.tensor([2.0]), cr.tensor([1.0]))
        tensor([1.6449])
    """
    return xp.zeta(x, y)
