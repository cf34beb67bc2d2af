"""Positions of elements, and choice between elements."""

from __future__ import annotations

from chainrule.array_api.promotion import array, promoted
from chainrule.array_api.statistical_functions import reduced_axes
from chainrule.autograd import dtypes
from chainrule.autograd.op import traced
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor


def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Index of the first maximum, of the flattened array or along ``axis``."""
    return array("argmax", "x", x).argmax(axis, keepdims)


def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Index of the first minimum, of the flattened array or along ``axis``."""
    return array("argmin", "x", x).argmin(axis, keepdims)


def count_nonzero(x: Tensor, /, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
    """The number of elements that are not 0."""
    counted = (array("count_nonzero", "x", x) != 0).to(dtypes.int64)
    return traced.sum(counted, axis=reduced_axes("count_nonzero", x, axis), keepdims=keepdims)


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The indices of the elements that are not 0, one array for each dimension."""
    if not array("nonzero", "x", x).ndim:
        raise ValueError("nonzero: a 0-d array has no indices")
    return tuple(x.nonzero(as_tuple=True))


def searchsorted(x1: Tensor, x2: Tensor, /, *, side: str = "left", sorter: Tensor | None = None) -> Tensor:
    """Where elements of ``x2`` would have to be inserted into the sorted vector ``x1`` to keep its order."""
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', got {side!r}")
    if array("searchsorted", "x1", x1).ndim != 1:
        raise ValueError(f"searchsorted: x1 must be a vector, got shape {tuple(x1.shape)}")
    x, v = promoted("searchsorted", x1, x2)
    if sorter is not None:
        x = x[array("searchsorted", "sorter", sorter)]
    xp = x._device.xp
    found = xp.searchsorted(x._data, xp.reshape(v._data, (-1,)), side=side)
    return wrap(xp.reshape(xp.astype(found, dtypes.int64.dtype), tuple(v.shape)), x._device)


def where(condition: Tensor, x1: Tensor | complex, x2: Tensor | complex, /) -> Tensor:
    """Elements of ``x1`` where the condition holds, else of ``x2``."""
    condition = array("where", "condition", condition)
    x, y = promoted("where", x1, x2)
    return traced.where(condition if condition.dtype == dtypes.bool_ else condition != 0, x, y)
