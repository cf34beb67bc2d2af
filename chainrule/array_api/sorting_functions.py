"""Sorting along a dimension."""

from __future__ import annotations

from chainrule.array_api.promotion import array
from chainrule.autograd.op import traced
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.tensor import Tensor


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Indices that sort along ``axis``; equal elements keep their order, whatever ``stable`` says."""
    d = normal_axis("argsort", axis, array("argsort", "x", x).ndim, "axis")
    if not x.ndim:
        return traced.argmax(x)
    return traced.argsort(x, axis=d, descending=bool(descending))


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in order along ``axis``; NaN counts as the largest."""
    d = normal_axis("sort", axis, array("sort", "x", x).ndim, "axis")
    if not x.ndim:
        return x.clone()
    return traced.gather(x, argsort(x, axis=d, descending=descending), axis=d)
