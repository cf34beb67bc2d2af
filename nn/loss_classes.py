"""Loss layers of classes; their formulas are in nn/functional."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any

from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.linear import Linear
from chainrule.nn.loss import _Loss, _WeightedLoss


class NLLLoss(_WeightedLoss):
    """Negative log-likelihood of integer classes: (N, C), (N, C, ...) or (C) log-probabilities; see :func:`nll_loss`.

    Args:
        weight: one number for each class.
        ignore_index: a class whose samples do not count.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.NLLLoss()(cr.tensor([[-0.5, -1.0]]), cr.tensor([1]))
        tensor(1.)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class NLLLoss2d(NLLLoss):
    """The older name of :class:`NLLLoss`, with a FutureWarning.

    Example:
        >>> import warnings
        >>> from chainrule import nn
        >>> with warnings.catch_warnings(action="ignore"):
        ...     nn.NLLLoss2d()
        NLLLoss2d()
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        warnings.warn("NLLLoss2d is deprecated; use NLLLoss, which is the same", FutureWarning, stacklevel=2)
        super().__init__(weight, size_average, ignore_index, reduce, reduction)


class CrossEntropyLoss(_WeightedLoss):
    """Cross-entropy of logits with integer classes or probabilities; see :func:`cross_entropy`.

    Args:
        weight: one number for each class.
        ignore_index: a class whose samples do not count.
        label_smoothing: how much of each target is spread evenly over all classes, in [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.CrossEntropyLoss()(cr.tensor([[0.0, 0.0]]), cr.tensor([1]))
        tensor(0.6931)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


@dataclasses.dataclass
class LinearCrossEntropyOptions:
    """How PyTorch cuts :class:`LinearCrossEntropyLoss` into chunks; accepted here, where it makes no difference.

    Example:
        >>> from chainrule import nn
        >>> nn.LinearCrossEntropyOptions(batch_chunk_size=64).chunking_method
        'auto'
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None


class LinearCrossEntropyLoss(_WeightedLoss):
    """A linear layer to the logits of classes and their cross-entropy; see :func:`linear_cross_entropy`.

    Args:
        in_features: features of the input (N, in_features) or (in_features).
        num_classes: C.
        out_features: further dimensions of the loss: logits are (N, C, *out_features).
        bias: whether the linear layer has one.
        weight: one number for each class.
        ignore_index: a class whose samples do not count (-100 by default); for class targets only.
        label_smoothing: how much of each target is spread evenly over all classes, in [0, 1].
        options: accepted as in PyTorch, where they decide about chunks; the result is the same.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.LinearCrossEntropyLoss(3, 5)(cr.zeros(2, 3), cr.tensor([0, 4]))
        tensor(1.6094, grad_fn=<MeanBackward0>)
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.num_classes = num_classes
        self.out_features = tuple(out_features)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.options = options
        rows = num_classes * math.prod(self.out_features)
        self.linear = Linear(in_features, rows, bias=bias, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw the linear layer anew."""
        self.linear.reset_parameters()

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        outer, bias = (self.num_classes, *self.out_features), self.linear.bias
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape(*outer, self.linear.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(outer),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
            f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )


class MultiLabelMarginLoss(_Loss):
    """Margin loss of several classes for each sample; see :func:`multilabel_margin_loss`.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; ``size_average`` and ``reduce`` are its older forms.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MultiLabelMarginLoss()(cr.tensor([[0.1, 0.2, 0.4, 0.8]]), cr.tensor([[3, 0, -1, 1]]))
        tensor(0.8500)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """The mean over classes of the binary cross-entropy of logits; see :func:`multilabel_soft_margin_loss`.

    Args:
        weight: one number for each class.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MultiLabelSoftMarginLoss()(cr.tensor([[0.0, 0.0]]), cr.tensor([[1.0, 0.0]]))
        tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """Margin loss of one class for each sample; see :func:`multi_margin_loss`.

    Args:
        p: the power, 1 or 2.
        margin: by how much the target's score is to exceed the others.
        weight: one number for each class.

    Raises:
        ValueError: another p, or a weight of other than one dimension.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MultiMarginLoss()(cr.tensor([[0.1, 0.2, 0.4, 0.8]]), cr.tensor([3]))
        tensor(0.3250)
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p must be 1 or 2, got {p}")
        if isinstance(weight, Tensor) and weight._data.ndim != 1:
            raise ValueError(f"MultiMarginLoss: weight must have 1 dimension, got {describe(weight)}")
        super().__init__(weight, size_average, reduce, reduction)
        self.p = p
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class CTCLoss(_Loss):
    """Connectionist temporal classification (Graves et al., 2006); see :func:`ctc_loss`.

    Args:
        blank: the class that stands for no label.
        reduction: ``"mean"`` divides each loss by its target's length first.
        zero_infinity: give 0 where an input is too short for its target.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.CTCLoss()(cr.full((2, 1, 2), 0.5).log(), cr.tensor([[1]]), [2], [1])
        tensor(0.2877)
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
