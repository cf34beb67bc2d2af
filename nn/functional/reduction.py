"""What the losses share: their shapes, weights and reductions."""

from __future__ import annotations

from typing import Any

from chainrule.autograd.batching import BatchedDevice
from chainrule.autograd.op import traced as xp
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor


def legacy(caller: str, size_average: Any, reduce: Any, reduction: str) -> str:
    """The reduction, which the older arguments ``size_average`` and ``reduce`` decide where they are given."""
    for name, value in (("size_average", size_average), ("reduce", reduce)):
        if value is not None and not isinstance(value, bool):
            raise TypeError(f"{caller}: {name} must be a bool or None, got {value!r}; reduction is a keyword")
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def reduce_loss(caller: str, loss: Any, reduction: str) -> Tensor:
    if reduction == "mean":
        return xp.mean(loss)
    if reduction == "sum":
        return xp.sum(loss)
    if reduction == "none":
        return loss
    raise ValueError(f"{caller}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def check_pair(caller: str, input: Any, target: Any) -> None:
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


def weighted(caller: str, loss: Any, weight: Tensor | None) -> Any:
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


def asynchronous(t: Tensor) -> bool:
    """Whether looking at values would make the host wait for the device, or there is no one value (inside vmap)."""
    return t._device.type == "cuda" or isinstance(t._device, BatchedDevice)
