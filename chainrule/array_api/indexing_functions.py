"""Selecting elements by integer indices along one dimension."""

from __future__ import annotations

from chainrule.array_api.promotion import array
from chainrule.autograd.numpy_shapes import along_axis
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.tensor import Tensor


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """The elements that a vector of indices names along ``axis``, which only a 1-d array may leave out."""
    x, indices = array("take", "x", x), array("take", "indices", indices)
    if axis is None and x.ndim != 1:
        raise ValueError(f"take: axis is required for an array of {x.ndim} dimensions")
    d = normal_axis("take", -1 if axis is None else axis, x.ndim, "axis")
    return x[(slice(None),) * d + (indices,)]


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """The elements that ``indices`` names along ``axis``, each at its own position; other dimensions broadcast."""
    x, indices = array("take_along_axis", "x", x), array("take_along_axis", "indices", indices)
    if x.ndim != indices.ndim:
        raise ValueError(f"take_along_axis: indices must have {x.ndim} dimensions as x has, got {indices.ndim}")
    return along_axis(x, indices, normal_axis("take_along_axis", axis, x.ndim, "axis"))
