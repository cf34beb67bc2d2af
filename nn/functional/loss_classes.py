"""Losses of classes: one of many for each sample, or several."""

from __future__ import annotations

import math
from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn import ops as ops  # declares the losses' ops
from chainrule.nn.functional.arguments import need_tensor
from chainrule.nn.functional.linear_maps import linear
from chainrule.nn.functional.reduction import asynchronous, legacy, reduce_loss


def _with_batch(caller: str, input: Any, target: Any) -> tuple[Any, Any, bool]:
    """Input as (N, C, ...) and target to match, and whether they came as a single sample (C) and ()."""
    for name, value in (("input", input), ("target", target)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{caller}: {name} must be a Tensor, got {describe(value)}")
    if input._data.ndim == 0:
        raise RuntimeError(f"{caller}: input must have shape (C), (N, C) or (N, C, ...), got a 0-d tensor")
    if input._data.ndim == 1:
        return input.unsqueeze(0), target.unsqueeze(0), True
    return input, target, False


def _class_weight(caller: str, weight: Any, classes: int) -> None:
    if weight is not None and (not isinstance(weight, Tensor) or weight._data.shape != (classes,)):
        raise RuntimeError(f"{caller}: weight must have shape ({classes},), one for each class, got {describe(weight)}")


def _check_classes(caller: str, input: Any, target: Any, ignore_index: int) -> Any:
    """Check class numbers against the input (N, C, ...); gives the mask of samples that count, or None for all."""
    n, c, *rest = input._data.shape
    if target._data.shape != (n, *rest):
        raise ValueError(
            f"{caller}: with input of shape {tuple(input.shape)} the target must hold classes in shape {(n, *rest)} or "
            f"probabilities in shape {tuple(input.shape)}, got {describe(target)}"
        )
    classes = target._data
    if not classes.size:
        return None
    if asynchronous(target):
        return classes != ignore_index  # a class out of range gives NaN, see _picked_weights
    xp_ = target._device.xp
    lowest, highest = int(xp_.min(classes)), int(xp_.max(classes))
    if lowest >= 0 and highest < c and not 0 <= ignore_index < c:
        return None
    counted = classes != ignore_index
    outside = ((classes < 0) | (classes >= c)) & counted
    if bool(outside.any()):
        wrong = lowest if lowest < 0 and lowest != ignore_index else highest
        raise IndexError(
            f"{caller}: target holds class {wrong}, expected 0 to {c - 1} (or ignore_index={ignore_index})"
        )
    return counted


def _reduce_classes(caller: str, loss: Any, weights: Any, reduction: str) -> Tensor:
    """Sum, or mean over what the samples weigh, of losses that are already weighted."""
    if reduction != "mean" or weights is None:  # without weights every sample counts
        return reduce_loss(caller, loss, reduction)
    total = xp.sum(weights)
    # no sample counts: 0 / 0 is NaN, as in PyTorch, without NumPy's warning
    if not asynchronous(total) and float(total) == 0.0:
        return xp.sum(loss) * float("nan")
    return xp.sum(loss) / total


def _picked_weights(input: Any, target: Any, weight: Any, counted: Any) -> tuple[Any, Any]:
    """Class numbers that are safe to index with, and each sample's weight (None when all weigh 1)."""
    device = input._device
    if counted is None:
        return target, None if weight is None else xp.table_rows(weight, target)
    mask = device.xp.astype(counted, input._data.dtype)
    if asynchronous(target):
        inside = (target._data >= 0) & (target._data < input._data.shape[1])
        mask = device.xp.where(counted & ~inside, float("nan"), mask)
        counted = counted & inside
    mask = wrap(mask, device)
    safe = wrap(target._data * counted, device)
    return safe, mask if weight is None else xp.table_rows(weight, safe) * mask


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-input`` at the target class: input (C), (N, C) or (N, C, ...) log-probabilities, target the same without C.

    Args:
        weight: one number for each class; the mean is then over the weights.
        ignore_index: a class whose samples do not count.

    Raises:
        ValueError: shapes do not fit. IndexError: a class is out of range. TypeError: the target is not of integers.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.nll_loss(cr.tensor([[-0.5, -1.0], [-2.0, -0.1]]), cr.tensor([0, 1]))
        tensor(0.3000)
    """
    reduction = legacy("nll_loss", size_average, reduce, reduction)
    x, t, single = _with_batch("nll_loss", input, target)
    if dtypes.category(t._data.dtype) != 1:
        raise TypeError(f"nll_loss: target must hold integer classes, got {target.dtype}")
    _class_weight("nll_loss", weight, x._data.shape[1])
    t = _long(t)
    counted = _check_classes("nll_loss", x, t, ignore_index)
    safe, weights = _picked_weights(x, t, weight, counted)
    loss = -xp.gather(x, safe.unsqueeze(1), axis=1).squeeze(1)
    loss = loss if weights is None else loss * weights
    out = _reduce_classes("nll_loss", loss, weights, reduction)
    return out.squeeze(0) if single and reduction == "none" else out


def _long(target: Any) -> Any:
    return target if target._data.dtype.kind == "i" and target._data.dtype.itemsize == 8 else target.long()


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``-log(softmax(input))`` at the target: input (C), (N, C) or (N, C, ...) logits, target classes or probabilities.

    Args:
        target: integer classes, in the input's shape without C; or probabilities in the input's shape.
        weight: one number for each class; the mean over classes is then over the weights.
        ignore_index: a class whose samples do not count.
        label_smoothing: how much of each target is spread evenly over all classes, in [0, 1].

    Raises:
        ValueError: shapes do not fit.
        IndexError: a class is out of range; on CUDA, where looking would mean waiting, the loss is NaN instead.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.cross_entropy(cr.tensor([[0.0, 0.0], [0.0, 0.0]]), cr.tensor([0, 1]))
        tensor(0.6931)
    """
    reduction = legacy("cross_entropy", size_average, reduce, reduction)
    x, t, single = _with_batch("cross_entropy", input, target)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1], got {label_smoothing}")
    if dtypes.category(x._data.dtype) < 2:
        raise RuntimeError(f"cross_entropy: input must hold floating-point logits, got {input.dtype}")
    _class_weight("cross_entropy", weight, x._data.shape[1])
    if dtypes.category(t._data.dtype) >= 2:
        if ignore_index >= 0:
            raise RuntimeError(
                f"cross_entropy: ignore_index={ignore_index} has no meaning where the target holds probabilities"
            )
        out = _soft_targets(x, t, weight, label_smoothing, reduction)
    elif dtypes.category(t._data.dtype) == 0:
        raise TypeError("cross_entropy: target must hold integer classes or probabilities, got bool; use .long()")
    else:
        out = _class_targets(x, _long(t), weight, ignore_index, label_smoothing, reduction)
    return out.squeeze(0) if single and reduction == "none" else out


def _class_targets(x: Any, t: Any, weight: Any, ignore_index: int, smoothing: float, reduction: str) -> Tensor:
    counted = _check_classes("cross_entropy", x, t, ignore_index)
    safe, weights = _picked_weights(x, t, weight, counted)
    loss = xp.class_cross_entropy(x, safe)
    if smoothing == 0.0:
        loss = loss if weights is None else loss * weights
        return _reduce_classes("cross_entropy", loss, weights, reduction)
    # the spread part: weighted by each class it falls on, not by the target's
    spread = -xp.log_softmax(x, axis=1)
    if weight is not None:
        spread = spread * weight.reshape(1, -1, *(1,) * (x.ndim - 2))
    spread = xp.sum(spread, axis=1, keepdims=False) * (smoothing / x._data.shape[1])
    if counted is not None:
        spread = spread * wrap(x._device.xp.astype(counted, x._data.dtype), x._device)
    loss = (loss if weights is None else loss * weights) * (1.0 - smoothing) + spread
    return _reduce_classes("cross_entropy", loss, weights, reduction)


def _soft_targets(x: Any, t: Any, weight: Any, smoothing: float, reduction: str) -> Tensor:
    if t._data.shape != x._data.shape:
        raise ValueError(
            f"cross_entropy: a target of probabilities must have the input's shape {tuple(x.shape)}, got "
            f"{tuple(t.shape)} "
            f"({t.dtype}); classes must be integers"
        )
    if t._data.dtype != x._data.dtype:
        t = t.to(x.dtype)
    if smoothing:
        t = t * (1.0 - smoothing) + smoothing / x._data.shape[1]
    if weight is not None:
        t = t * weight.reshape(1, -1, *(1,) * (x.ndim - 2))
    loss = xp.soft_cross_entropy(x, t)
    if reduction == "mean":  # PyTorch divides by the number of samples here, whatever the weights are
        return xp.mean(loss)
    return reduce_loss("cross_entropy", loss, reduction)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """:func:`cross_entropy` of ``linear(input, linear_weight, linear_bias)``.

    Input (F) or (N, F), linear_weight (C, F), or (C, d1, ..., F) for a loss with further dimensions.

    Args:
        linear_bias: of the shape of linear_weight without F.
        ignore_index: a class whose samples do not count (-100 by default); for class targets only.
        options: accepted as in PyTorch, where they decide about chunks; the result is the same.

    Raises RuntimeError or ValueError when shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.linear_cross_entropy(cr.ones(1, 2), cr.zeros(2, 2), cr.tensor([1]))
        tensor(0.6931)
    """
    caller = "linear_cross_entropy"
    need_tensor(caller, input=input, linear_weight=linear_weight, target=target)
    if input._data.ndim not in (1, 2):
        raise RuntimeError(f"{caller}: input must have 1 or 2 dimensions, got {describe(input)}")
    if linear_weight._data.ndim < 2 or linear_weight._data.shape[-1] != input._data.shape[-1]:
        raise RuntimeError(
            f"{caller}: linear_weight must have shape (C, ..., {input._data.shape[-1]}), got {describe(linear_weight)}"
        )
    outer = tuple(linear_weight._data.shape[:-1])
    if linear_bias is not None and tuple(linear_bias._data.shape) != outer:
        raise RuntimeError(f"{caller}: linear_bias must have shape {outer}, got {describe(linear_bias)}")
    if len(outer) > 1 and input._data.ndim == 1:
        raise RuntimeError(f"{caller}: linear_weight of shape {tuple(linear_weight.shape)} needs input (N, F)")
    shape = (*input._data.shape[:-1], *outer)
    if tuple(target._data.shape) == shape and ignore_index is not None:
        raise RuntimeError(f"{caller}: ignore_index has no meaning where the target holds probabilities")
    if len(outer) > 1:
        linear_weight = linear_weight.reshape(math.prod(outer), -1)
        linear_bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = linear(input, linear_weight, linear_bias).reshape(shape)
    return cross_entropy(
        logits,
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
