"""Activations that combine several elements: gates, choices among pieces, and sums of hinges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd.creation import empty
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter


class GLU(Module):
    """``a * sigmoid(b)`` of the halves a and b of the input along ``dim`` (Dauphin et al., 2017).

    Raises RuntimeError when the dimension has no halves.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.GLU()(cr.tensor([2.0, 0.0]))
        tensor([1.])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Maxout(Module):
    """The largest of every ``pieces`` neighbours along ``dim``, which becomes that much shorter.

    After a linear or convolutional layer with ``pieces`` times the features it makes units that learn their activation
    (Goodfellow, Warde-Farley, Mirza, Courville and Bengio, "Maxout networks", 2013).

    Raises ValueError, when it is called, where ``pieces`` does not divide the length of the dimension.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Maxout(2)(cr.tensor([[1.0, 3.0, -2.0, -1.0]]))
        tensor([[ 3., -1.]])
    """

    def __init__(self, pieces: int, dim: int = 1) -> None:
        super().__init__()
        self.pieces = pieces
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.maxout(input, self.pieces, self.dim)

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}, dim={self.dim}"


class AdaptivePiecewiseLinear(Module):
    """``max(0, x) + sum(a[s] * max(0, -x + b[s]) for s in range(S))`` with learnt slopes ``a`` and hinges ``b``.

    Each unit has its own (Agostinelli, Hoffman, Sadowski and Baldi, "Learning activation functions to improve deep
    neural networks", 2014). Slopes start small and hinges normal, so the unit starts close to a ReLU.

    Args:
        shape: of the units, (F) or (C, 1, 1) or any that broadcasts with the input; ``()`` for one that all share.
        hinges: their number S.

    Raises:
        ValueError: ``hinges`` is less than 1.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.AdaptivePiecewiseLinear(3, hinges=2)
        >>> layer(cr.ones(5, 3)).shape, layer.slopes.shape
        ((5, 3), (2, 3))
    """

    slopes: Parameter
    hinges: Parameter

    def __init__(self, shape: int | Sequence[int], hinges: int = 5, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        if hinges < 1:
            raise ValueError(f"AdaptivePiecewiseLinear: hinges must be positive, got {hinges}")
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.slopes = Parameter(empty((hinges, *self.shape), device=device, dtype=dtype))
        self.hinges = Parameter(empty((hinges, *self.shape), device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw slopes and hinges anew."""
        init.normal_(self.slopes, 0.0, 0.01)
        init.normal_(self.hinges)

    def forward(self, input: Tensor) -> Tensor:
        return F.apl(input, self.slopes, self.hinges)

    def extra_repr(self) -> str:
        return f"{self.shape}, hinges={self.hinges.shape[0]}"
