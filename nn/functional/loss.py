"""Losses of differences, of divergences between distributions, and of two classes.

They refuse an input and a target whose shapes would only broadcast against each other.
"""

from __future__ import annotations

import math
from typing import Any

from chainrule.autograd.op import traced as xp
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn import ops as ops  # declares the losses' ops
from chainrule.nn.functional.arguments import need_tensor
from chainrule.nn.functional.reduction import asynchronous, check_pair, legacy, reduce_loss, weighted


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared difference of two tensors of one shape, reduced by ``"mean"``, ``"sum"`` or ``"none"``.

    With ``weight`` each square is multiplied by it, and the mean is divided by the sum of the weights.

    Raises ValueError when the shapes differ, TypeError for anything but Tensors.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.mse_loss(cr.tensor([1.0, 3.0]), cr.tensor([0.0, 0.0]))
        tensor(5.)
    """
    reduction = legacy("mse_loss", size_average, reduce, reduction)
    check_pair("mse_loss", input, target)
    if reduction == "mean" and weight is None:
        return xp.mean_squared_error(input, target)
    return weighted_mean("mse_loss", xp.square(input - target), weight, reduction)


def weighted_mean(caller: str, loss: Any, weight: Tensor | None, reduction: str) -> Tensor:
    out = weighted(caller, loss, weight)
    if weight is not None and reduction == "mean":
        return xp.sum(out) / xp.sum(xp.broadcast_to(weight, shape=loss._data.shape))
    return reduce_loss(caller, out, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Absolute difference of two tensors of one shape, reduced by ``"mean"``, ``"sum"`` or ``"none"``.

    With ``weight`` each difference is multiplied by it, and the mean is divided by the sum of the weights.

    Raises ValueError when the shapes differ, TypeError for anything but Tensors.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.l1_loss(cr.tensor([1.0, -3.0]), cr.tensor([0.0, 0.0]))
        tensor(2.)
    """
    reduction = legacy("l1_loss", size_average, reduce, reduction)
    check_pair("l1_loss", input, target)
    return weighted_mean("l1_loss", xp.abs(input - target), weight, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """``d ** 2 / (2 beta)`` where the absolute difference ``d`` is below ``beta``, else ``d - beta / 2``.

    Raises ValueError when the shapes differ or ``beta`` is negative.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.smooth_l1_loss(cr.tensor([1.0, 3.0]), cr.tensor([0.0, 0.0]), reduction="none")
        tensor([0.5000, 2.5000])
    """
    reduction = legacy("smooth_l1_loss", size_average, reduce, reduction)
    check_pair("smooth_l1_loss", input, target)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta < 1e-30:  # whose reciprocal float32 cannot hold
        return l1_loss(input, target, reduction=reduction)
    return reduce_loss("smooth_l1_loss", xp.huber(input, target, bound=beta, relative=True), reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """``d ** 2 / 2`` where the absolute difference ``d`` is at most ``delta``, else ``delta * (d - delta / 2)``.

    Args:
        weight: multiplied with each element's loss; of the same shape.

    Raises ValueError when the shapes differ or ``delta`` is not positive.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.huber_loss(cr.tensor([1.0, 3.0]), cr.tensor([0.0, 0.0]), "none")
        tensor([0.5000, 2.5000])
    """
    check_pair("huber_loss", input, target)
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    loss = xp.huber(input, target, bound=delta, relative=False)
    if weight is not None and weight._data.shape != input._data.shape:
        raise ValueError(
            f"huber_loss: weight must have the input's shape {tuple(input.shape)}, got {tuple(weight.shape)}"
        )
    return reduce_loss("huber_loss", weighted("huber_loss", loss, weight), reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """``t * (log(t) - x)`` of log-probabilities x and probabilities t of one shape: the Kullback-Leibler divergence.

    Args:
        reduction: also ``"batchmean"``, the sum divided by the number of samples, which is the divergence proper.
        log_target: the target holds logarithms too.

    Raises ValueError when the shapes differ.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.kl_div(cr.tensor([[0.25, 0.75]]).log(), cr.tensor([[0.5, 0.5]]), reduction="batchmean")
        tensor(0.1438)
    """
    caller = "kl_div"
    reduction = legacy(caller, size_average, reduce, reduction)
    check_pair(caller, input, target)
    t: Any = target
    if log_target:
        loss = xp.exp(t) * (t - input)
    else:
        own = t * xp.log(xp.where(t == 0, xp.ones_like(t), t))  # 0 * log(0) is 0; of a negative number it is NaN
        loss = own - t * input
    if reduction == "batchmean":
        return xp.sum(loss) / (input._data.shape[0] if input._data.ndim else 1)
    return reduce_loss(caller, loss, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``exp(x) - t * x``: the negative log-likelihood of counts t under Poisson distributions, without its constant.

    Args:
        log_input: x is the logarithm of the mean; else it is the mean: ``x - t * log(x + eps)``.
        full: add Stirling's approximation of ``log(t!)`` where t exceeds 1.

    Raises ValueError when the shapes differ.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.poisson_nll_loss(cr.tensor([0.0, 1.0]), cr.tensor([1.0, 2.0]), reduction="none")
        tensor([1.0000, 0.7183])
    """
    caller = "poisson_nll_loss"
    reduction = legacy(caller, size_average, reduce, reduction)
    check_pair(caller, input, target)
    x: Any = input
    t: Any = target
    loss = xp.exp(x) - t * x if log_input else x - t * xp.log(x + eps)
    if full:
        many = t > 1
        safe = xp.where(many, t, xp.ones_like(t))
        stirling = safe * xp.log(safe) - safe + xp.log(safe * (2 * math.pi)) * 0.5
        loss = loss + xp.where(many, stirling, xp.zeros_like(stirling))
    return reduce_loss(caller, loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """``(log(var) + (x - t) ** 2 / var) / 2``: the negative log-likelihood of t under normal distributions.

    Args:
        target: of the input's shape, or with length 1 in some dimensions.
        var: variances of the input's shape, with length 1 in one dimension, or without the last one; or a number.
        eps: the least variance; less is raised to it, with the gradient unchanged.
        full: add the constant ``log(2 pi) / 2``.

    Raises ValueError for shapes that do not fit, and for negative variances.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.gaussian_nll_loss(cr.tensor([1.0]), cr.tensor([3.0]), cr.tensor([4.0]))
        tensor(1.1931)
    """
    caller = "gaussian_nll_loss"
    need_tensor(caller, input=input, target=target)
    shape = tuple(input._data.shape)
    if len(target._data.shape) != len(shape) or any(
        n not in (1, m) for n, m in zip(target._data.shape, shape, strict=True)
    ):
        check_pair(caller, input, target)
    if isinstance(var, (int, float)):
        var = wrap(input._device.xp.full(shape, var, dtype=input._data.dtype), input._device)
    need_tensor(caller, var=var)
    if tuple(var._data.shape) != shape:
        if tuple(var._data.shape) == shape[:-1]:
            var = var.unsqueeze(-1)
        elif (
            len(var._data.shape) != len(shape)
            or sum([n for m, n in zip(shape, var._data.shape, strict=True) if m != n]) != 1
        ):
            raise ValueError(
                f"{caller}: var must have the input's shape {shape}, that without its last dimension, or that with "
                f"length 1 in one dimension, got {tuple(var.shape)}"
            )
    if not asynchronous(var) and bool((var._data < 0).any()):
        raise ValueError(f"{caller}: var must not be negative")
    v: Any = var
    f = var._device.xp
    raised = wrap(f.astype(f.maximum(var._data, eps), var._data.dtype), var._device)
    v = v + (raised - v).detach()
    error: Any = input - target
    loss = (xp.log(v) + error * error / v) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduce_loss(caller, loss, reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``log(1 + exp(-t * x))`` of targets t of 1 and -1, without overflow.

    Raises ValueError when the shapes differ.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.soft_margin_loss(cr.tensor([0.0, 1000.0]), cr.tensor([1.0, -1.0]), reduction="none")
        tensor([6.9315e-01, 1.0000e+03])
    """
    reduction = legacy("soft_margin_loss", size_average, reduce, reduction)
    check_pair("soft_margin_loss", input, target)
    x: Any = input
    return reduce_loss("soft_margin_loss", xp.softplus(-(x * target), beta=1.0, threshold=1e30), reduction)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-(t log(p) + (1 - t) log(1 - p))`` of probabilities p and targets t of one shape; logarithms are at least -100.

    Args:
        weight: multiplied with each element's loss; it may broadcast.

    Raises:
        ValueError: shapes differ. RuntimeError: a probability is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.binary_cross_entropy(cr.tensor([0.5, 0.0]), cr.tensor([1.0, 1.0]), reduction="none")
        tensor([  0.6931, 100.0000])
    """
    caller = "binary_cross_entropy"
    reduction = legacy(caller, size_average, reduce, reduction)
    check_pair(caller, input, target)
    if input._data.size and not asynchronous(input):
        low, high = (float(f(input._data)) for f in (input._device.xp.min, input._device.xp.max))
        if low < 0 or high > 1:  # a NaN is let through to the loss
            raise RuntimeError(
                f"{caller}: every input must be a probability between 0 and 1, got values from {low:g} to {high:g}; "
                "apply "
                f"sigmoid, or use binary_cross_entropy_with_logits"
            )
    return reduce_loss(caller, weighted(caller, xp.binary_cross_entropy(input, target), weight), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """:func:`binary_cross_entropy` of ``sigmoid(input)``, without overflow.

    Args:
        weight: multiplied with each element's loss; it may broadcast.
        pos_weight: multiplied with the positive part of each loss; it may broadcast.

    Raises ValueError when the shapes differ.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.binary_cross_entropy_with_logits(cr.tensor([0.0, 1000.0]), cr.tensor([1.0, 1.0]), reduction="none")
        tensor([0.6931, 0.0000])
    """
    caller = "binary_cross_entropy_with_logits"
    reduction = legacy(caller, size_average, reduce, reduction)
    check_pair(caller, input, target)
    if pos_weight is None:
        loss = xp.logistic_cross_entropy(input, target)
    else:
        # t weighs -log(sigmoid(x)) by pos_weight; with target 1 the loss is softplus(-x)
        positive = xp.logistic_cross_entropy(input, wrap(input._device.xp.ones_like(input._data), input._device))
        extra = weighted(caller, positive * target, pos_weight - 1.0)
        loss = xp.logistic_cross_entropy(input, target) + extra
    return reduce_loss(caller, weighted(caller, loss, weight), reduction)
