"""Activations that shrink or replace small values, with and without chance."""

from __future__ import annotations

from chainrule.autograd.op import traced as xp
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.tensor import Tensor


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``x`` where it is larger than ``threshold``, else ``value``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.threshold(cr.tensor([-1.0, 0.5]), 0.0, 20.0)
        tensor([20.0000,  0.5000])
    """
    return FUNCTIONS["threshold_" if inplace else "threshold"](input, threshold, value)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``x``, but 0 in [-lambd, lambd], elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.hardshrink(cr.tensor([-1.0, 0.3]))
        tensor([-1.,  0.])
    """
    return xp.hardshrink(input, lambd=lambd)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``x`` moved towards 0 by ``lambd``, and 0 where that would pass it, elementwise.

    Raises RuntimeError for a negative ``lambd``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.softshrink(cr.tensor([-1.0, 0.3]))
        tensor([-0.5000,  0.0000])
    """
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambd must not be negative, got {lambd}")
    return xp.softshrink(input, lambd=lambd)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """``x`` where positive, else ``a * x`` with a random slope between ``lower`` and ``upper`` (Xu et al., 2015).

    The slope is drawn anew for each element while ``training``, else the middle of the two.

    Raises ValueError when ``lower`` exceeds ``upper``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.rrelu(cr.tensor([-2.0, 2.0]), 0.25, 0.25)
        tensor([-0.5000,  2.0000])
    """
    return FUNCTIONS["rrelu_" if inplace else "rrelu"](input, lower, upper, training)
