"""Layers of two inputs: products and distances of vectors."""

from __future__ import annotations

from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.module import Module


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along ``dim``, of two tensors that broadcast.

    Args:
        eps: the least length that is divided by.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.CosineSimilarity(dim=0)(cr.tensor([3.0, 4.0]), cr.tensor([3.0, 4.0]))
        tensor(1.)
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of the difference of vectors, the last dimension of two tensors that broadcast.

    Args:
        eps: added to each difference, so that the norm of equal vectors has a gradient.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.PairwiseDistance(eps=0.0)(cr.tensor([[3.0, 4.0]]), cr.zeros(1, 2))
        tensor([5.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
