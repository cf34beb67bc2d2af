"""Activations that shrink or replace small values, with and without chance."""

from __future__ import annotations

from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.module import Module


class Hardshrink(Module):
    """``x``, but 0 in [-lambd, lambd], elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Hardshrink()(cr.tensor([-1.0, 0.3]))
        tensor([-1.,  0.])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softshrink(Module):
    """``x`` moved towards 0 by ``lambd``, and 0 where that would pass it, elementwise.

    Raises RuntimeError, when it is called, for a negative ``lambd``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Softshrink()(cr.tensor([-1.0, 0.3]))
        tensor([-0.5000,  0.0000])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Threshold(Module):
    """``x`` where it is larger than ``threshold``, else ``value``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Threshold(0.0, 20.0)(cr.tensor([-1.0, 0.5]))
        tensor([20.0000,  0.5000])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class RReLU(Module):
    """``x`` where positive, else ``a * x`` with a random slope between ``lower`` and ``upper`` (Xu et al., 2015).

    The slope is drawn anew for each element in training; after ``eval()`` it is the middle of the two.

    Raises ValueError, when it is called, if ``lower`` exceeds ``upper``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.RReLU(0.25, 0.25)(cr.tensor([-2.0, 2.0]))
        tensor([-0.5000,  2.0000])
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")
