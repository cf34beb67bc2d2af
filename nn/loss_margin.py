"""Loss layers with a margin: pairs and triplets; their formulas are in nn/functional."""

from __future__ import annotations

from collections.abc import Callable

from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.distance import PairwiseDistance
from chainrule.nn.loss import _Loss


class HingeEmbeddingLoss(_Loss):
    """The input where the target is 1, ``max(0, margin - input)`` where it is -1.

    See :func:`hinge_embedding_loss`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.HingeEmbeddingLoss()(cr.tensor([2.0, 0.5]), cr.tensor([1.0, -1.0]))
        tensor(1.2500)
    """

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(input, target, reduction=self.reduction, margin=self.margin)


class SoftMarginLoss(_Loss):
    """``log(1 + exp(-target * input))`` of targets 1 and -1; see :func:`soft_margin_loss`.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; ``size_average`` and ``reduce`` are its older forms.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.SoftMarginLoss()(cr.tensor([0.0]), cr.tensor([1.0]))
        tensor(0.6931)
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """``max(0, margin - target * (input1 - input2))``: which of two is to rank higher.

    See :func:`margin_ranking_loss`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MarginRankingLoss(margin=0.5)(cr.tensor([1.0]), cr.tensor([2.0]), cr.tensor([1.0]))
        tensor(1.5000)
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """``1 - cos`` of two vectors where the target is 1, ``max(0, cos - margin)`` where it is -1.

    See :func:`cosine_embedding_loss`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.CosineEmbeddingLoss()(cr.tensor([[1.0, 0.0]]), cr.tensor([[0.0, 1.0]]), cr.tensor([1]))
        tensor(1.)
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` of p-norm distances.

    See :func:`triplet_margin_loss` (Balntas et al., 2016).

    Args:
        swap: use the distance of positive and negative where it is less than that of anchor and negative.

    Raises:
        ValueError: the margin is not positive.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> a, p, n = cr.zeros(1, 2), cr.zeros(1, 2), cr.tensor([[0.5, 0.0]])
        >>> nn.TripletMarginLoss()(a, p, n)
        tensor(0.5000)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        if margin <= 0:
            raise ValueError(f"TripletMarginLoss: margin must be positive, got {margin}")
        super().__init__(size_average, reduce, reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction
        )


class TripletMarginWithDistanceLoss(_Loss):
    """:class:`TripletMarginLoss` with a distance of one's own; see :func:`triplet_margin_with_distance_loss`.

    Args:
        distance_function: of two tensors; the euclidean distance unless given.

    Raises:
        ValueError: the margin is not positive.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> a, p, n = cr.zeros(1, 2), cr.zeros(1, 2), cr.tensor([[0.5, 0.0]])
        >>> nn.TripletMarginWithDistanceLoss(distance_function=lambda x, y: (x - y).abs().sum(-1))(a, p, n)
        tensor(0.5000)
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        if margin <= 0:
            raise ValueError(f"TripletMarginWithDistanceLoss: margin must be positive, got {margin}")
        super().__init__(reduction=reduction)
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
