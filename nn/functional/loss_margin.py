"""Losses that ask for a margin: between classes, between pairs, or within triplets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional.arguments import need_tensor, need_tensor_or_none
from chainrule.nn.functional.reduction import asynchronous, check_pair, legacy, reduce_loss


def _positive(x: Any) -> Any:
    """``x`` where it exceeds 0, else 0; at 0 the gradient passes, as PyTorch's ``clamp_min`` has it."""
    return xp.clip(x, min=0)


def _zero(x: Any) -> Any:
    return wrap(x._device.xp.zeros((), dtype=x._data.dtype), x._device)


# ---- pairs and triplets ---------------------------------------------------------------------------------------------


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1, of distances x.

    Raises ValueError when the shapes differ.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.hinge_embedding_loss(cr.tensor([0.5, 0.25]), cr.tensor([1.0, -1.0]), reduction="none")
        tensor([0.5000, 0.7500])
    """
    caller = "hinge_embedding_loss"
    reduction = legacy(caller, size_average, reduce, reduction)
    check_pair(caller, input, target)
    x: Any = input
    t: Any = target
    apart = _positive(-x + margin)
    loss = xp.where(t != 1, apart, _zero(apart)) + xp.where(t != -1, x, _zero(x))
    return reduce_loss(caller, loss, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, margin - t * (x1 - x2))``: the first is to rank higher where the target is 1, lower where it is -1.

    Raises ValueError when the shapes differ.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.margin_ranking_loss(cr.tensor([1.0]), cr.tensor([3.0]), cr.tensor([1.0]))
        tensor(2.)
    """
    caller = "margin_ranking_loss"
    reduction = legacy(caller, size_average, reduce, reduction)
    check_pair(caller, input1, input2)
    check_pair(caller, input1, target)
    first: Any = input1
    return reduce_loss(caller, _positive(-(first - input2) * target + float(margin)), reduction)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1, of the angle between two vectors.

    Inputs (N, D) with target (N), or (D) with a 0-d target.

    Raises ValueError when shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.cosine_embedding_loss(cr.tensor([[1.0, 0.0]]), cr.tensor([[0.0, 1.0]]), cr.tensor([1]))
        tensor(1.)
    """
    caller = "cosine_embedding_loss"
    reduction = legacy(caller, size_average, reduce, reduction)
    check_pair(caller, input1, input2)
    need_tensor(caller, target=target)
    if input1._data.ndim not in (1, 2) or target._data.shape != input1._data.shape[:-1]:
        raise ValueError(
            f"{caller}: expected inputs (N, D) with target (N), or (D) with a 0-d target, got {describe(input1)} and "
            f"{describe(target)}"
        )
    x: Any = input1
    y: Any = input2
    dot = xp.sum(x * y, axis=-1, keepdims=False)
    squares = (xp.sum(x * x, axis=-1, keepdims=False) + 1e-12) * (xp.sum(y * y, axis=-1, keepdims=False) + 1e-12)
    cosine = dot / xp.sqrt(squares)
    t: Any = target
    zero = _zero(cosine)
    loss = xp.where(t == 1, -cosine + 1.0, zero) + xp.where(t == -1, _positive(cosine - float(margin)), zero)
    return reduce_loss(caller, loss, reduction)


def _distance(x: Any, y: Any, p: float, eps: float) -> Any:
    """The p-norm of ``x - y + eps`` over the last dimension."""
    return FUNCTIONS["pairwise_distance"](x, y, p, eps)


def _triplet(caller: str, distance: Callable[[Any, Any], Any], inputs: Any, margin: float, swap: bool) -> Any:
    need_tensor(caller, anchor=inputs[0], positive=inputs[1], negative=inputs[2])
    if margin <= 0:
        raise ValueError(f"{caller}: margin must be positive, got {margin}")
    shapes = [tuple(t._data.shape) for t in inputs]
    if len(set(shapes)) > 1:
        raise RuntimeError(f"{caller}: anchor, positive and negative must have one shape, got {shapes}")
    anchor, positive, negative = inputs
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = xp.minimum(far, distance(positive, negative))
    return _positive(near - far + float(margin))


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, d(a, p) - d(a, n) + margin)`` of the distances of anchors to positive and negative examples.

    Inputs (N, D) or (D).

    Args:
        p: which norm the distance is.
        eps: added to differences, so that the norm has a gradient.
        swap: take ``d(p, n)`` where it is less than ``d(a, n)`` (Balntas et al., 2016).

    Raises RuntimeError when shapes differ, ValueError for a margin that is not positive.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.triplet_margin_loss(cr.tensor([[0.0]]), cr.tensor([[1.0]]), cr.tensor([[3.0]]), margin=4.0)
        tensor(2.)
    """
    caller = "triplet_margin_loss"
    reduction = legacy(caller, size_average, reduce, reduction)
    loss = _triplet(caller, lambda x, y: _distance(x, y, p, eps), (anchor, positive, negative), margin, swap)
    return reduce_loss(caller, loss, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """:func:`triplet_margin_loss` with a distance of one's own, a function of two tensors.

    Raises RuntimeError when shapes differ, ValueError for a margin that is not positive.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> x, y, z = cr.tensor([[0.0]]), cr.tensor([[1.0]]), cr.tensor([[3.0]])
        >>> F.triplet_margin_with_distance_loss(x, y, z, distance_function=lambda a, b: (a - b).abs().sum(-1))
        tensor(0.)
    """
    caller = "triplet_margin_with_distance_loss"
    distance = distance_function or (lambda x, y: _distance(x, y, 2.0, 1e-6))
    return reduce_loss(caller, _triplet(caller, distance, (anchor, positive, negative), margin, swap), reduction)


# ---- classes --------------------------------------------------------------------------------------------------------


def _integers(caller: str, target: Any) -> Any:
    if dtypes.category(target._data.dtype) != 1:
        raise RuntimeError(f"{caller}: target must hold integer classes, got {target.dtype}")
    return target.long()


def _in_range(caller: str, array: Any, device: Any, low: int, high: int, like: Tensor) -> None:
    if not array.size or asynchronous(like):
        return
    f = device.xp
    least, most = int(f.min(array)), int(f.max(array))
    if least < low or most >= high:
        raise IndexError(f"{caller}: target holds class {least if least < low else most}, expected {low} to {high - 1}")


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``sum(max(0, margin - x[t] + x[i]) ** p) / C`` over the classes i other than the target t.

    Args:
        input: (N, C) or (C); the target (N) or 0-d.
        p: 1 or 2.
        weight: one number for each class, by which its samples' losses are multiplied.

    Raises ValueError or RuntimeError when shapes do not fit, IndexError for a class out of range.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.multi_margin_loss(cr.tensor([[0.0, 0.5]]), cr.tensor([1]))
        tensor(0.2500)
    """
    caller = "multi_margin_loss"
    reduction = legacy(caller, size_average, reduce, reduction)
    need_tensor(caller, input=input, target=target)
    need_tensor_or_none(caller, weight=weight)
    if p not in (1, 2):
        raise ValueError(f"{caller}: p must be 1 or 2, got {p!r}")
    single = input._data.ndim < 2
    if input._data.ndim > 2 or 0 in input._data.shape[-1:]:
        raise RuntimeError(f"{caller}: input must have shape (N, C) or (C), with classes, got {describe(input)}")
    x: Any = input.reshape(1, -1) if single else input
    n, c = x._data.shape
    t = _integers(caller, target).reshape(-1)
    if t._data.shape != (n,) or (target._data.ndim > 1):
        raise ValueError(f"{caller}: target must have shape ({n},), got {tuple(target.shape)}")
    _in_range(caller, t._data, t._device, 0, c, t)
    if weight is not None and weight._data.shape != (c,):
        raise ValueError(f"{caller}: weight must have shape ({c},), got {tuple(weight.shape)}")
    f, device = x._device.xp, x._device
    column = t.unsqueeze(1)
    gap = _positive(x - xp.gather(x, column, axis=1) + float(margin))
    gap = gap * gap if p == 2 else gap
    if weight is not None:
        gap = gap * weight[column]
    other = wrap(f.arange(c)[None, :] != column._data, device)
    loss = xp.sum(xp.where(other, gap, _zero(gap)), axis=1, keepdims=False) * (1.0 / c)
    return reduce_loss(caller, loss.reshape(tuple(target.shape)) if single else loss, reduction)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``sum(max(0, 1 - x[t] + x[i])) / C`` over each sample's classes t, and the classes i that are none of them.

    Args:
        input: (N, C) or (C).
        target: integers of the same shape: a sample's classes, then -1.

    Raises ValueError when the shapes differ, IndexError for a class out of range.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.multilabel_margin_loss(cr.tensor([0.0, 0.5, 2.0]), cr.tensor([2, -1, -1]))
        tensor(0.)
    """
    caller = "multilabel_margin_loss"
    reduction = legacy(caller, size_average, reduce, reduction)
    check_pair(caller, input, target)
    if input._data.ndim > 2:
        raise RuntimeError(f"{caller}: input must have shape (N, C) or (C), got {describe(input)}")
    single = input._data.ndim < 2
    x: Any = input.reshape(1, -1) if single else input
    c = x._data.shape[1]
    t = _integers(caller, target).reshape(x._data.shape)._data
    f, device = x._device.xp, x._device
    _in_range(caller, t, device, -1, c, target)
    listed = f.cumulative_sum(f.astype(t < 0, t.dtype), axis=1) == 0  # up to the first -1
    classes = f.where(listed, t, 0)
    hits = (classes[:, :, None] == f.arange(c)) & listed[:, :, None]
    own = f.any(hits, axis=1)  # (N, C)
    gap = _positive(-xp.gather(x, wrap(classes, device), axis=1).unsqueeze(2) + x.unsqueeze(1) + 1.0)
    counts = wrap(listed[:, :, None] & ~own[:, None, :], device)
    loss = xp.sum(xp.where(counts, gap, _zero(gap)), axis=(1, 2), keepdims=False) * (1.0 / max(c, 1))
    return reduce_loss(caller, loss.squeeze(0) if single else loss, reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the classes of the binary cross-entropy of ``sigmoid(input)``: (N, C), target 0 or 1 for each.

    Args:
        weight: one number for each class; it may broadcast.

    Raises ValueError when the shapes differ.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.multilabel_soft_margin_loss(cr.tensor([[0.0, 0.0]]), cr.tensor([[1.0, 0.0]]))
        tensor(0.6931)
    """
    caller = "multilabel_soft_margin_loss"
    reduction = legacy(caller, size_average, reduce, reduction)
    check_pair(caller, input, target)
    need_tensor_or_none(caller, weight=weight)
    if not input._data.ndim:
        raise RuntimeError(f"{caller}: input must have at least one dimension, got {describe(input)}")
    loss = xp.logistic_cross_entropy(input, target)
    if weight is not None:
        loss = loss * weight
        if loss._data.shape != input._data.shape:
            raise ValueError(f"{caller}: weight of shape {tuple(weight.shape)} must broadcast to {tuple(input.shape)}")
    return reduce_loss(caller, xp.mean(loss, axis=-1, keepdims=False), reduction)
