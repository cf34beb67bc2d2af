"""Dropout layers: elements or whole channels left out at random in training."""

from __future__ import annotations

from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.module import Module


class _DropoutNd(Module):
    """What is dropped with probability ``p`` in training."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"{type(self).__name__}: p must be in [0, 1], got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """In training, elements set to 0 with probability ``p`` and the others multiplied by ``1 / (1 - p)``.

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Dropout(0.5).eval()(cr.ones(2))
        tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """In training, channels of (N, C, L) or (C, L) set to 0 with probability ``p``, the others times ``1 / (1 - p)``.

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Dropout1d(1.0)(cr.ones(1, 1, 2))
        tensor([[[0., 0.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """In training, channels of (N, C, H, W) set to 0 with probability ``p``, the others times ``1 / (1 - p)``.

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Dropout2d(1.0)(cr.ones(1, 1, 1, 2))
        tensor([[[[0., 0.]]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """In training, channels of volumes (N, C, D, H, W) or (C, D, H, W) dropped with probability ``p``, others scaled.

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Dropout3d(1.0)(cr.ones(1, 1, 1, 1, 2)).sum()
        tensor(0.)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout after SELU that keeps mean 0 and variance 1 (Klambauer et al., 2017).

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AlphaDropout(0.5).eval()(cr.ones(2))
        tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_DropoutNd):
    """:class:`AlphaDropout` of whole channels of (N, C, ...).

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.FeatureAlphaDropout(0.5).eval()(cr.ones(1, 2))
        tensor([[1., 1.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
