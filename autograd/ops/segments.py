"""Reductions of consecutive pieces of a tensor, of any lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor

#: the result for no elements, where no initial value is given
_EMPTY = {"sum": 0.0, "mean": math.nan, "max": -math.inf, "min": math.inf, "prod": 1.0}


def _offsets(data: Tensor, lengths: Any, offsets: Any, axis: int, unsafe: bool) -> Any:
    """Where each piece starts, and where the last one ends: an int64 array (..., pieces + 1)."""
    given, name = (lengths, "lengths") if lengths is not None else (offsets, "offsets")
    if given is None or (lengths is not None and offsets is not None):
        raise RuntimeError("segment_reduce: expected lengths or offsets, and only one of them")
    if not isinstance(given, Tensor) or dtypes.category(given._data.dtype) != 1:
        raise RuntimeError(f"segment_reduce: {name} must be an integer tensor, got {describe(given)}")
    if given._data.ndim != axis + 1 or given._data.shape[:-1] != data._data.shape[:axis]:
        raise RuntimeError(
            f"segment_reduce: {name} must have {axis + 1} dimensions, of which the first {axis} are those of data, got "
            f"{describe(given)} for {describe(data)}"
        )
    xp, n = data._device.xp, data._data.shape[axis]
    marks = xp.astype(given._data, np.int64)
    if lengths is not None:
        if not unsafe and (bool((marks < 0).any()) or bool((xp.sum(marks, axis=-1, keepdims=False) != n).any())):
            raise RuntimeError(f"segment_reduce: the lengths must not be negative and sum to {n}, the length of data")
        start = xp.zeros((*marks.shape[:-1], 1), dtype=np.int64)
        return xp.concat([start, xp.cumulative_sum(marks, axis=marks.ndim - 1)], axis=-1)
    if not marks.shape[-1]:
        raise RuntimeError("segment_reduce: offsets must have at least one element")
    if not unsafe and (bool(((marks < 0) | (marks > n)).any()) or bool((marks[..., 1:] < marks[..., :-1]).any())):
        raise RuntimeError(f"segment_reduce: the offsets must rise, and be in [0, {n}], the length of data")
    return marks


@function("segment_reduce", method=False)
def _segment_reduce(
    data: Tensor,
    reduce: str,
    *,
    lengths: Tensor | None = None,
    indices: Tensor | None = None,
    offsets: Tensor | None = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: float | None = None,
) -> Tensor:
    """The sum, mean, maximum, minimum or product of each of the consecutive pieces of ``data`` along ``axis``.

    Args:
        reduce: ``"sum"``, ``"mean"``, ``"max"``, ``"min"`` or ``"prod"``.
        lengths: how long the pieces are: (..., pieces), with the dimensions of ``data`` before ``axis``.
        offsets: in place of lengths, where the pieces start, and where the last one ends.
        unsafe: whether lengths and offsets are to be trusted.
        initial: a value that takes part in the reduction of every piece.

    Example:
        >>> import chainrule as cr
        >>> cr.segment_reduce(cr.tensor([1.0, 2.0, 3.0]), "sum", lengths=cr.tensor([2, 0, 1]))
        tensor([3., 0., 3.])
    """
    if indices is not None:
        raise RuntimeError("segment_reduce: indices are not supported (in PyTorch neither); use lengths or offsets")
    if reduce not in _EMPTY:
        raise RuntimeError(f"segment_reduce: reduce must be one of {', '.join(map(repr, _EMPTY))}, got {reduce!r}")
    if dtypes.category(data._data.dtype) != 2 or not data._data.ndim:
        raise RuntimeError(f"segment_reduce: expected a floating-point tensor with dimensions, got a {describe(data)}")
    d = normal_axis("segment_reduce", axis, data._data.ndim, "axis")
    marks = _offsets(data, lengths, offsets, d, unsafe)
    xp, device, traced = data._device.xp, data._device, xp_of_tensors
    starts, sizes = marks[..., :-1], marks[..., 1:] - marks[..., :-1]
    longest = int(sizes.max()) if sizes.size else 0
    # every piece in a row of its own, filled up with what changes nothing
    table = starts[..., None] + xp.arange(longest)
    inside = xp.arange(longest) < sizes[..., None]
    rest = data._data.ndim - d - 1
    places = xp.where(inside, table, xp.zeros_like(table))
    places = xp.reshape(places, (*places.shape[:d], -1, *(1,) * rest))
    places = xp.copy(xp.broadcast_to(places, (*places.shape[: d + 1], *data._data.shape[d + 1 :])))
    rows = traced.gather(data, wrap(places, device), axis=d)
    rows = rows.reshape((*rows._data.shape[:d], sizes.shape[-1], longest, *rows._data.shape[d + 1 :]))
    shape = (*inside.shape, *(1,) * rest)
    neutral = 0.0 if reduce == "mean" else _EMPTY[reduce]
    fill = wrap(xp.full((), neutral, dtype=data._data.dtype), device)
    rows = traced.where(wrap(xp.reshape(inside, shape), device), rows, fill)
    start = wrap(xp.full((), neutral if initial is None else initial, dtype=data._data.dtype), device)
    if reduce in ("max", "min"):
        if not longest:
            return traced.sum(rows, axis=d + 1) + start
        found = getattr(traced, reduce)(rows, axis=d + 1)
        # an element that equals the initial value gets the gradient
        return traced.where(found < start if reduce == "max" else found > start, start, found)
    if reduce == "prod":
        return traced.prod(rows, axis=d + 1) * start
    total = traced.sum(rows, axis=d + 1) + start
    if reduce == "sum":
        return total
    counts = xp.reshape(xp.astype(sizes, data._data.dtype), (*sizes.shape, *(1,) * rest))
    if initial is None:
        return total / wrap(counts, device)  # of nothing nan
    empty = wrap(counts == 0, device)
    return traced.where(empty, start, total / wrap(xp.maximum(counts, xp.ones_like(counts)), device))
