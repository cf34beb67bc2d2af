"""Loss layers of differences, of distributions, and of two classes; their formulas are in nn/functional."""

from __future__ import annotations

import warnings

from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.functional.reduction import legacy
from chainrule.nn.module import Module


class _Loss(Module):
    """A loss that is reduced by ``"mean"``, ``"sum"`` or ``"none"``."""

    _reductions: tuple[str, ...] = ("mean", "sum", "none")

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        label = type(self).__name__
        if size_average is not None or reduce is not None:
            reduction = legacy(label, size_average, reduce, reduction)
            depth = 1 + sum("__init__" in cls.__dict__ for cls in type(self).__mro__[: type(self).__mro__.index(_Loss)])
            warnings.warn(
                f"{label}: size_average and reduce are deprecated, use reduction={reduction!r} instead",
                stacklevel=depth + 1,  # the line that made the layer
            )
        if reduction not in self._reductions:
            *most, last = [repr(r) for r in self._reductions]
            raise ValueError(f"{label}: reduction must be {', '.join(most)} or {last}, got {reduction!r}")
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with a buffer ``weight``."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class MSELoss(_Loss):
    """Squared difference of two tensors of one shape; see :func:`mse_loss`.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; ``size_average`` and ``reduce`` are its older forms.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MSELoss()(cr.tensor([1.0, 3.0]), cr.tensor([0.0, 0.0]))
        tensor(5.)
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """Absolute difference of two tensors of one shape; see :func:`l1_loss`.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; ``size_average`` and ``reduce`` are its older forms.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.L1Loss()(cr.tensor([1.0, 3.0]), cr.tensor([0.0, 0.0]))
        tensor(2.)
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """``d ** 2 / (2 beta)`` where the absolute difference ``d`` is below ``beta``, else ``d - beta / 2``.

    See :func:`smooth_l1_loss`.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; ``size_average`` and ``reduce`` are its older forms.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.SmoothL1Loss()(cr.tensor([1.0, 3.0]), cr.tensor([0.0, 0.0]))
        tensor(1.5000)
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """``d ** 2 / 2`` where the absolute difference ``d`` is at most ``delta``, else ``delta * (d - delta / 2)``.

    See :func:`huber_loss` (Huber, 1964).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.HuberLoss()(cr.tensor([1.0, 3.0]), cr.tensor([0.0, 0.0]))
        tensor(1.5000)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, self.reduction, self.delta)


class KLDivLoss(_Loss):
    """The Kullback-Leibler divergence of log-probabilities from probabilities; see :func:`kl_div`.

    Args:
        reduction: also ``"batchmean"``, the sum divided by the number of samples.
        log_target: the target holds logarithms too.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.KLDivLoss(reduction="batchmean")(cr.tensor([[0.25, 0.75]]).log(), cr.tensor([[0.5, 0.5]]))
        tensor(0.1438)
    """

    _reductions = ("mean", "sum", "none", "batchmean")

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """Negative log-likelihood of counts under Poisson distributions; see :func:`poisson_nll_loss`.

    Args:
        log_input: the input is the logarithm of the mean; else it is the mean.
        full: add Stirling's approximation of the constant.
        eps: added to the mean in its logarithm, without ``log_input``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.PoissonNLLLoss()(cr.tensor([0.0]), cr.tensor([1.0]))
        tensor(1.)
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(
            log_input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """Negative log-likelihood under normal distributions of given variances; see :func:`gaussian_nll_loss`.

    Args:
        full: add the constant ``log(2 pi) / 2``.
        eps: the least variance.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.GaussianNLLLoss()(cr.tensor([1.0]), cr.tensor([3.0]), cr.tensor([4.0]))
        tensor(1.1931)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class BCELoss(_WeightedLoss):
    """Cross-entropy of probabilities with targets of the same shape; see :func:`binary_cross_entropy`.

    Args:
        weight: multiplied with each element's loss; it may broadcast.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.BCELoss()(cr.tensor([0.5]), cr.tensor([1.0]))
        tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """:class:`BCELoss` of ``sigmoid(input)``, without overflow; see :func:`binary_cross_entropy_with_logits`.

    Args:
        weight: multiplied with each element's loss; it may broadcast.
        pos_weight: multiplied with the positive part of each loss; it may broadcast.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.BCEWithLogitsLoss()(cr.tensor([0.0]), cr.tensor([1.0]))
        tensor(0.6931)
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )
