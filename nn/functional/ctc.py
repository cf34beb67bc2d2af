"""Connectionist temporal classification (Graves et al., 2006)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional.arguments import need_tensor
from chainrule.nn.functional.reduction import reduce_loss


def _lengths(caller: str, name: str, value: Any, count: int, most: int) -> np.ndarray:
    """Lengths, given as a tensor or a list, as host integers."""
    if isinstance(value, Tensor):
        if dtypes.category(value._data.dtype) != 1:
            raise TypeError(f"{caller}: {name} must hold integers, got {value.dtype}")
        value = value._device.backend.to_host(value._data)
    found = np.asarray(value, dtype=np.int64).reshape(-1)
    if found.size != count:
        raise RuntimeError(f"{caller}: {name} must have {count} elements, one for each sample, got {found.size}")
    if found.size and (found.min() < 0 or found.max() > most):
        raise RuntimeError(f"{caller}: {name} must be in [0, {most}], got {found.tolist()}")
    return found


def _label_table(caller: str, targets: Any, lengths: np.ndarray, batch: int) -> np.ndarray:
    """The targets as (N, longest), whether they came so or one after the other."""
    host = targets._device.backend.to_host(targets._data)
    if host.ndim == 2:
        if host.shape[0] != batch:
            raise RuntimeError(f"{caller}: targets must have {batch} rows, got {describe(targets)}")
        return np.asarray(host[:, : int(lengths.max(initial=0))], dtype=np.int64)
    if host.ndim != 1 or host.size < lengths.sum():
        raise RuntimeError(f"{caller}: targets must hold the {lengths.sum()} labels, got {describe(targets)}")
    table = np.zeros((batch, int(lengths.max(initial=0))), np.int64)
    start = 0
    for row, n in enumerate(lengths):
        table[row, :n] = host[start : start + n]
        start += n
    return table


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """The negative log-probability of label sequences, summed over all their alignments with the input.

    Args:
        log_probs: (T, N, C) or (T, C), logarithms of probabilities, such as ``log_softmax`` gives. As in PyTorch the
            gradient is that of probabilities which are normalised: it sums to 0 over the classes.
        targets: (N, S) labels, or all of them one after the other in one dimension.
        input_lengths, target_lengths: the length of each sample, as a tensor, a list or a tuple (a number for (T, C)).
        blank: the class that stands for no label.
        reduction: ``"mean"`` divides each loss by its target's length, then takes the mean.
        zero_infinity: give 0, without a gradient, where an input is too short for its target.

    Raises RuntimeError when shapes or lengths do not fit, ValueError for labels out of range.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.ctc_loss(cr.full((2, 1, 2), 0.5).log(), cr.tensor([[1]]), [2], [1])
        tensor(0.2877)
    """
    caller = "ctc_loss"
    need_tensor(caller, log_probs=log_probs, targets=targets)
    if log_probs._data.ndim not in (2, 3) or dtypes.category(log_probs._data.dtype) < 2:
        raise RuntimeError(
            f"{caller}: log_probs must be of floating point, (T, N, C) or (T, C), got {describe(log_probs)}"
        )
    single = log_probs._data.ndim == 2
    x: Any = log_probs.unsqueeze(1) if single else log_probs
    steps, batch, classes = x._data.shape
    if dtypes.category(targets._data.dtype) != 1:
        raise TypeError(f"{caller}: targets must hold integer labels, got {targets.dtype}")
    if not 0 <= blank < classes:
        raise ValueError(f"{caller}: blank must be in [0, {classes - 1}], got {blank}")
    times = _lengths(caller, "input_lengths", input_lengths, batch, steps)
    longest = targets._data.shape[1] if targets._data.ndim == 2 else targets._data.size
    counts = _lengths(caller, "target_lengths", target_lengths, batch, longest)
    labels = _label_table(caller, targets, counts, batch)
    used = np.arange(labels.shape[1]) < counts[:, None]
    labels = np.where(used, labels, blank)
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(f"{caller}: labels must be in [0, {classes - 1}], got {labels.min()} to {labels.max()}")
    loss = -_log_likelihood(x, labels, times, counts, blank) + _normalised(x, times)
    device = x._device
    if zero_infinity:
        infinite = wrap(device.xp.isinf(loss._data), device)
        loss = xp.where(infinite, wrap(device.xp.zeros((), dtype=loss._data.dtype), device), loss)
    if reduction == "mean":
        sizes = device.xp.asarray(np.maximum(counts, 1), dtype=loss._data.dtype)
        return xp.mean(loss / wrap(sizes, device))
    return reduce_loss(caller, loss.squeeze(0) if single else loss, reduction)


def _normalised(x: Any, times: np.ndarray) -> Any:
    """0 for each sample, with the gradient that the sum of all probabilities has."""
    device = x._device
    probabilities = xp.exp(x)
    inside = np.arange(x._data.shape[0])[:, None, None] < times[None, :, None]
    mask = wrap(device.xp.asarray(inside), device)
    surplus = probabilities - probabilities.detach()
    return xp.sum(xp.where(mask, surplus, wrap(device.xp.zeros((), dtype=x._data.dtype), device)), axis=(0, 2))


def _log_likelihood(x: Any, labels: np.ndarray, times: np.ndarray, counts: np.ndarray, blank: int) -> Any:
    """The logarithm of the sum over all alignments, (N), by the forward recursion."""
    device, f = x._device, x._device.xp
    steps, batch, _ = x._data.shape
    width = 2 * labels.shape[1] + 1
    path = np.full((batch, width), blank, np.int64)  # blanks between the labels
    path[:, 1::2] = labels
    jump = np.zeros((batch, width), bool)  # a blank may be left out between labels that differ
    jump[:, 3::2] = labels[:, 1:] != labels[:, :-1]

    if not steps:
        return wrap(f.asarray(np.where(counts == 0, 0.0, -math.inf), dtype=x._data.dtype), device)
    places = np.arange(width)
    ends = (places <= 2 * counts[:, None]) & (places >= 2 * counts[:, None] - 1)
    running = np.arange(steps)[:, None, None] < times[None, :, None]
    return xp.ctc_log_likelihood(x, *[wrap(f.asarray(array), device) for array in (path, jump, ends, running)])
