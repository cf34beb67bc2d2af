"""Counting elements: by value, and in bins."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor


class Histogram(NamedTuple):
    """What ``histogram`` gives."""

    hist: Tensor
    bin_edges: Tensor


class HistogramDD(NamedTuple):
    """What ``histogramdd`` gives."""

    hist: Tensor
    bin_edges: tuple[Tensor, ...]


def _tally(input: Tensor, places: Any, weights: Any, size: int) -> Any:
    """How much falls on each of ``size`` places; an array."""
    xp = input._device.xp
    return xp.scatter_add_at(xp.zeros((size,), dtype=weights.dtype), places, weights)


@function("bincount")
def _bincount(input: Tensor, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... occurs among integers, or the sum of the weights of those elements.

    Args:
        minlength: the least length of the result.

    Example:
        >>> import chainrule as cr
        >>> cr.bincount(cr.tensor([0, 2, 2]))
        tensor([1, 0, 2])
    """
    if input._data.ndim != 1 or dtypes.category(input._data.dtype) != 1:
        raise RuntimeError(f"bincount: expected a 1-d tensor of integers, got a {describe(input)}")
    if minlength < 0:
        raise RuntimeError(f"bincount: minlength must not be negative, got {minlength}")
    xp, x = input._device.xp, input._data
    if x.size and int(x.min()) < 0:
        raise RuntimeError(f"bincount: the elements must not be negative, got {int(x.min())}")
    if weights is None:
        amounts = xp.ones(x.shape, dtype=np.int64)
    else:
        if not isinstance(weights, Tensor) or weights._data.shape != x.shape:
            raise RuntimeError(f"bincount: weights must have the shape of input, {x.shape}, got {describe(weights)}")
        amounts = weights._data
        if amounts.dtype not in (np.float32, np.float64):
            amounts = xp.astype(amounts, np.float64)
    size = max(int(x.max()) + 1 if x.size else 0, minlength)
    return wrap(_tally(input, xp.astype(x, np.int64), amounts, size), input._device)


# ---- histograms -----------------------------------------------------------------------------------------------------


def _checked_floats(caller: str, input: Tensor) -> None:
    if dtypes.category(input._data.dtype) != 2:
        raise RuntimeError(f"{caller}: expected a floating-point tensor, got {input.dtype}")


def _outer(caller: str, values: Any, low: float, high: float) -> tuple[float, float]:
    """The outermost edges: as given, or (both equal) those of the data, moved apart where they are one."""
    if low == high and values.size:
        low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"{caller}: the range [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{caller}: the lower end of the range must not exceed the upper one, got {low} and {high}")
    return (low - 1.0, high + 1.0) if low == high else (low, high)


@function("histc")
def _histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of ``bins`` equal parts of [min, max]; others are not counted.

    Args:
        min, max: where both are equal, the smallest and largest element are taken.

    Example:
        >>> import chainrule as cr
        >>> cr.histc(cr.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
        tensor([0., 2., 1., 0.])
    """
    _checked_floats("histc", input)
    if bins <= 0:
        raise RuntimeError(f"histc: bins must be positive, got {bins}")
    xp = input._device.xp
    wide = np.float32 if input._data.dtype.itemsize == 2 else input._data.dtype
    x = xp.astype(xp.reshape(input._data, (-1,)), wide)
    low, high = _outer("histc", x, float(min), float(max))
    edges = _equal_edges(input, low, high, bins, np.dtype(wide))
    counts = _count([x], [edges], [(low, high)], xp.ones(x.shape, dtype=wide), input)
    return wrap(xp.astype(counts, input._data.dtype), input._device)


def _equal_edges(input: Tensor, low: float, high: float, bins: int, dtype: np.dtype[Any]) -> Any:
    from chainrule.autograd.ranges import linspace  # it imports this package

    return linspace(low, high, bins + 1, dtype=dtype, device=input._device)._data  # the same numbers that users get


def _count(columns: list[Any], edges: list[Any], ranges: list[Any], weights: Any, input: Tensor) -> Any:
    """The weights of the points in each bin, flattened; ``ranges`` has the ends of bins of equal width."""
    xp = input._device.xp
    flat, inside = xp.zeros(weights.shape, dtype=np.int64), xp.ones(weights.shape, dtype=np.bool_)
    for x, edge, ends in zip(columns, edges, ranges, strict=True):
        bins = edge.shape[0] - 1
        within = (x >= edge[0]) & (x <= edge[-1])  # not NaN
        if ends is None:
            place = xp.astype(xp.searchsorted(edge, x, side="right"), np.int64) - 1
        else:
            x = xp.where(within, x, xp.full_like(x, ends[0]))
            low, high = [xp.astype(xp.asarray(v), x.dtype) for v in ends]
            place = xp.astype((x - low) * bins / (high - low), np.int64)
            # the quotient is rounded; the edges decide
            place = xp.minimum(xp.maximum(place, xp.asarray(0)), xp.asarray(bins - 1))
            place = xp.where(x < xp.take(edge, place), place - 1, place)
            place = xp.where(x >= xp.take(edge, place + 1), place + 1, place)
        place = xp.minimum(xp.maximum(place, xp.asarray(0)), xp.asarray(bins - 1))  # the last bin has its upper edge
        flat, inside = flat * bins + place, inside & within
    size = math.prod(edge.shape[0] - 1 for edge in edges)
    return _tally(input, xp.where(inside, flat, xp.zeros_like(flat)), xp.where(inside, weights, weights * 0), size)


def _density(counts: Tensor, edges: list[Tensor]) -> Tensor:
    """Counts divided by their sum and by the size of the bins."""
    counts = counts / counts.sum()
    for d, edge in enumerate(edges):
        shape = [1] * len(edges)
        shape[d] = -1
        counts = counts / (edge[1:] - edge[:-1]).reshape(shape)
    return counts


def _edges_and_counts(
    caller: str, input: Tensor, columns: list[Any], bins: list[Any], range: Any, weight: Any, density: bool
) -> tuple[Tensor, list[Tensor]]:
    xp, device, dtype = input._device.xp, input._device, input._data.dtype
    edges: list[Any] = []
    ranges: list[tuple[float, float] | None] = []
    for d, (column, wanted) in enumerate(zip(columns, bins, strict=True)):
        if isinstance(wanted, Tensor):
            if wanted._data.ndim != 1 or wanted._data.dtype != dtype or wanted._data.shape[0] < 2:
                raise RuntimeError(f"{caller}: bins must be 1-d tensors of {input.dtype} edges, got {describe(wanted)}")
            if range is not None and caller == "histogram":
                raise RuntimeError("histogram: a range goes with a number of bins, not with edges")
            edges.append(wanted._data)
            ranges.append(None)
            continue
        if not isinstance(wanted, int) or wanted <= 0:
            raise RuntimeError(f"{caller}: bins must be positive numbers or tensors of edges, got {describe(wanted)}")
        if range is not None:
            low, high = float(range[2 * d]), float(range[2 * d + 1])
            if low > high:
                raise RuntimeError(f"{caller}: the lower end of the range must not exceed the upper one, got {range}")
            low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
        elif column.size:
            low, high = float(column.min()), float(column.max())
            low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
        else:
            low, high = 0.0, 1.0
        if not (math.isfinite(low) and math.isfinite(high)):
            raise RuntimeError(f"{caller}: the range [{low}, {high}] is not finite")
        edges.append(_equal_edges(input, low, high, wanted, dtype))
        ranges.append((low, high))
    if weight is None:
        amounts = xp.ones(columns[0].shape, dtype=dtype)
    else:
        amounts = xp.reshape(weight._data, (-1,))
    shape = tuple([edge.shape[0] - 1 for edge in edges])
    counts = wrap(xp.reshape(_count(columns, edges, ranges, amounts, input), shape), device)
    wrapped = [wrap(xp.copy(edge), device) for edge in edges]
    return (_density(counts, wrapped) if density else counts), wrapped


def _check_weight(caller: str, input: Tensor, weight: Any, shape: tuple[int, ...]) -> None:
    if weight is not None and (
        not isinstance(weight, Tensor) or weight._data.shape != shape or weight._data.dtype != input._data.dtype
    ):
        raise RuntimeError(f"{caller}: weight must be a {input.dtype} tensor of shape {shape}, got {describe(weight)}")


@function("histogram")
def _histogram(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> Histogram:
    """How many elements (or how much of their weight) fall into each bin, and the edges of the bins.

    Args:
        bins: the number of bins of equal width, or a tensor of increasing edges.
        range: the outermost edges; by default the smallest and largest element.
        density: divide by the sum and by the width of the bins.

    Example:
        >>> import chainrule as cr
        >>> cr.histogram(cr.tensor([1.0, 2.0, 1.0]), 2).hist
        tensor([2., 1.])
    """
    _checked_floats("histogram", input)
    _check_weight("histogram", input, weight, input._data.shape)
    column = input._device.xp.reshape(input._data, (-1,))
    counts, edges = _edges_and_counts("histogram", input, [column], [bins], range, weight, density)
    return Histogram(counts, edges[0])


@function("histogramdd", method=False)
def _histogramdd(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> HistogramDD:
    """How many points (..., D) (or how much of their weight) fall into each cell of a grid, and its edges.

    Args:
        bins: the number of bins in every dimension, or for each dimension a number or a tensor of edges.
        range: the outermost edges of all dimensions, one after the other; by default those of the points.
        density: divide by the sum and by the volume of the cells.

    Example:
        >>> import chainrule as cr
        >>> cr.histogramdd(cr.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]), [2, 2]).hist
        tensor([[1., 0.],
                [0., 2.]])
    """
    _checked_floats("histogramdd", input)
    if input._data.ndim < 2:
        raise RuntimeError(f"histogramdd: expected at least 2 dimensions, got a {describe(input)}")
    count = input._data.shape[-1]
    wanted = [bins] * count if isinstance(bins, int) else list(bins)
    if len(wanted) != count:
        raise RuntimeError(f"histogramdd: expected bins for each of {count} dimensions, got {len(wanted)}")
    if range is not None and len(range) != 2 * count:
        raise RuntimeError(f"histogramdd: range must have 2 * {count} numbers, got {len(range)}")
    _check_weight("histogramdd", input, weight, input._data.shape[:-1])
    points = input._device.xp.reshape(input._data, (-1, count))
    columns = [points[:, d] for d in np.arange(count).tolist()]
    counts, edges = _edges_and_counts("histogramdd", input, columns, wanted, range, weight, density)
    return HistogramDD(counts, tuple(edges))
