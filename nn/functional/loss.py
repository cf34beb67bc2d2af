"""Losses. They refuse an input and a target whose shapes would only broadcast against each other."""

from __future__ import annotations

from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.batching import BatchedDevice
from chainrule.autograd.op import traced as xp
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn import ops as ops


def _reduce(caller: str, loss: Any, reduction: str) -> Tensor:
    if reduction == "mean":
        return xp.mean(loss)
    if reduction == "sum":
        return xp.sum(loss)
    if reduction == "none":
        return loss
    raise ValueError(f"{caller}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _check_pair(caller: str, input: Any, target: Any) -> None:
    for name, value in (("input", input), ("target", target)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{caller}: {name} must be a Tensor, got {describe(value)}")
    if input._data.shape == target._data.shape:
        return
    a, b = tuple(input.shape), tuple(target.shape)
    hint = "give both the same shape"
    if input.numel() == target.numel():
        hint = f"use target.reshape({', '.join(map(str, a))}) if the elements correspond in order"
    raise ValueError(
        f"{caller}: input of shape {a} and target of shape {b} must have the same shape: broadcasting would compare "
        "elements "
        f"that do not belong together; {hint}"
    )


def _weighted(caller: str, loss: Any, weight: Tensor | None) -> Any:
    """``loss * weight`` where the weight broadcasts to the loss's shape, and not the other way round."""
    if weight is None:
        return loss
    if not isinstance(weight, Tensor):
        raise TypeError(f"{caller}: weight must be a Tensor or None, got {describe(weight)}")
    try:
        out = loss * weight
    except (ValueError, RuntimeError):
        out = None
    if out is None or out.shape != loss.shape:
        raise ValueError(
            f"{caller}: weight of shape {tuple(weight.shape)} must broadcast to the loss's shape {tuple(loss.shape)}"
        )
    return out


# ---- distances ------------------------------------------------------------------------------------------------------


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean", *, weight: Tensor | None = None) -> Tensor:
    """Squared difference of two tensors of one shape, reduced by ``"mean"``, ``"sum"`` or ``"none"``.

    With ``weight`` each square is multiplied by it, and the mean is divided by the sum of the weights.

    Raises ValueError when the shapes differ, TypeError for anything but Tensors.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.mse_loss(cr.tensor([1.0, 3.0]), cr.tensor([0.0, 0.0]))
        tensor(5.)
    """
    _check_pair("mse_loss", input, target)
    if reduction == "mean" and weight is None:
        return xp.mean_squared_error(input, target)
    return _weighted_mean("mse_loss", xp.square(input - target), weight, reduction)


def _weighted_mean(caller: str, loss: Any, weight: Tensor | None, reduction: str) -> Tensor:
    out = _weighted(caller, loss, weight)
    if weight is not None and reduction == "mean":
        return xp.sum(out) / xp.sum(xp.broadcast_to(weight, shape=loss._data.shape))
    return _reduce(caller, out, reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", *, weight: Tensor | None = None) -> Tensor:
    """Absolute difference of two tensors of one shape, reduced by ``"mean"``, ``"sum"`` or ``"none"``.

    With ``weight`` each difference is multiplied by it, and the mean is divided by the sum of the weights.

    Raises ValueError when the shapes differ, TypeError for anything but Tensors.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.l1_loss(cr.tensor([1.0, -3.0]), cr.tensor([0.0, 0.0]))
        tensor(2.)
    """
    _check_pair("l1_loss", input, target)
    return _weighted_mean("l1_loss", xp.abs(input - target), weight, reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """``d ** 2 / (2 beta)`` where the absolute difference ``d`` is below ``beta``, else ``d - beta / 2``.

    Raises ValueError when the shapes differ or ``beta`` is negative.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.smooth_l1_loss(cr.tensor([1.0, 3.0]), cr.tensor([0.0, 0.0]), "none")
        tensor([0.5000, 2.5000])
    """
    _check_pair("smooth_l1_loss", input, target)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    distance = xp.abs(input - target)
    loss = xp.where(distance < beta, xp.square(distance) * (0.5 / beta), distance - 0.5 * beta)
    return _reduce("smooth_l1_loss", loss, reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """``d ** 2 / 2`` where the absolute difference ``d`` is at most ``delta``, else ``delta * (d - delta / 2)``.

    Raises ValueError when the shapes differ or ``delta`` is not positive.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.huber_loss(cr.tensor([1.0, 3.0]), cr.tensor([0.0, 0.0]), "none")
        tensor([0.5000, 2.5000])
    """
    _check_pair("huber_loss", input, target)
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    distance = xp.abs(input - target)
    loss = xp.where(distance <= delta, xp.square(distance) * 0.5, (distance - 0.5 * delta) * delta)
    return _reduce("huber_loss", loss, reduction)


# ---- two classes ----------------------------------------------------------------------------------------------------


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    reduce: None = None,
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
    _check_pair(caller, input, target)
    if input._data.size and not _asynchronous(input):
        low, high = (float(f(input._data)) for f in (input._device.xp.min, input._device.xp.max))
        if low < 0 or high > 1:  # a NaN is let through to the loss
            raise RuntimeError(
                f"{caller}: every input must be a probability between 0 and 1, got values from {low:g} to {high:g}; "
                "apply "
                f"sigmoid, or use binary_cross_entropy_with_logits"
            )
    return _reduce(caller, _weighted(caller, xp.binary_cross_entropy(input, target), weight), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    reduce: None = None,
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
    _check_pair(caller, input, target)
    if pos_weight is None:
        loss = xp.logistic_cross_entropy(input, target)
    else:
        # t weighs -log(sigmoid(x)) by pos_weight; with target 1 the loss is softplus(-x)
        positive = xp.logistic_cross_entropy(input, wrap(input._device.xp.ones_like(input._data), input._device))
        extra = _weighted(caller, positive * target, pos_weight - 1.0)
        loss = xp.logistic_cross_entropy(input, target) + extra
    return _reduce(caller, _weighted(caller, loss, weight), reduction)


# ---- many classes ---------------------------------------------------------------------------------------------------


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


def _asynchronous(t: Tensor) -> bool:
    """Whether looking at values would make the host wait for the device, or there is no one value (inside vmap)."""
    return t._device.type == "cuda" or isinstance(t._device, BatchedDevice)


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
    if _asynchronous(target):
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
        return _reduce(caller, loss, reduction)
    total = xp.sum(weights)
    # no sample counts: 0 / 0 is NaN, as in PyTorch, without NumPy's warning
    if not _asynchronous(total) and float(total) == 0.0:
        return xp.sum(loss) * float("nan")
    return xp.sum(loss) / total


def _picked_weights(input: Any, target: Any, weight: Any, counted: Any) -> tuple[Any, Any]:
    """Class numbers that are safe to index with, and each sample's weight (None when all weigh 1)."""
    device = input._device
    if counted is None:
        return target, None if weight is None else weight[target]
    mask = device.xp.astype(counted, input._data.dtype)
    if _asynchronous(target):
        inside = (target._data >= 0) & (target._data < input._data.shape[1])
        mask = device.xp.where(counted & ~inside, float("nan"), mask)
        counted = counted & inside
    mask = wrap(mask, device)
    safe = wrap(target._data * counted, device)
    return safe, mask if weight is None else weight[safe] * mask


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
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
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
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
    x, t, single = _with_batch("cross_entropy", input, target)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1], got {label_smoothing}")
    if dtypes.category(x._data.dtype) < 2:
        raise RuntimeError(f"cross_entropy: input must hold floating-point logits, got {input.dtype}")
    _class_weight("cross_entropy", weight, x._data.shape[1])
    if dtypes.category(t._data.dtype) >= 2:
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
    return _reduce("cross_entropy", loss, reduction)
