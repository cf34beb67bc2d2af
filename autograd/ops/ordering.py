"""Sorting, and the largest elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.reduction import ValuesIndices
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


@op(
    vjp=None,
    check=Samples(
        lambda rng: [Sample((normal(rng, 2, 3),), {"axis": a, "descending": b}) for a in (0, 1) for b in (False, True)],
        reference=lambda x, axis, descending: np.argsort(-x if descending else x, axis=axis, kind="stable"),
    ),
)
def argsort(xp, x, *, axis=-1, descending=False):
    """Indices that sort along one axis; equal elements keep their order, and NaN is the largest."""
    return xp.argsort(x, axis=axis, descending=descending)


def _part_samples(rng: Any) -> Any:
    for axis, descending in ((0, False), (1, True)):
        for first, last in ((0, 2), (1, 2), (0, 4), (3, 3)):
            given = {"axis": axis, "first": first, "last": last, "descending": descending}
            yield Sample((normal(rng, 4, 4),), given)


def _part_reference(x: Any, axis: int, first: int, last: int, descending: bool) -> Any:
    return np.take(np.argsort(-x if descending else x, axis=axis, kind="stable"), range(first, last), axis=axis)


@op(vjp=None, check=Samples(_part_samples, reference=_part_reference), label="topk")
def part_of_order(xp, x, *, axis, first, last, descending):
    """The elements ``first`` to ``last - 1`` of :func:`argsort` along one axis."""
    order = xp.argsort(x, axis=axis, descending=descending)
    return xp.copy(order[(slice(None),) * axis + (slice(first, last),)])


@function("argsort")
def _argsort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False, *, axis: Any = NOT_GIVEN
) -> Tensor:
    """Indices that sort along ``dim``; equal elements keep their order.

    Example:
        >>> import chainrule as cr
        >>> cr.argsort(cr.tensor([3.0, 1.0, 2.0]))
        tensor([1, 2, 0])
    """
    d = normal_axis("argsort", dim if axis is NOT_GIVEN else axis, input._data.ndim)
    if not input._data.ndim:
        return xp_of_tensors.argmax(input)
    return xp_of_tensors.argsort(input, axis=d, descending=bool(descending))


@function("sort")
def _sort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool | None = None, *, axis: Any = NOT_GIVEN
) -> ValuesIndices:
    """Values and indices sorted along ``dim``; equal elements keep their order, and NaN is the largest.

    Example:
        >>> import chainrule as cr
        >>> cr.sort(cr.tensor([3.0, 1.0, 2.0])).values
        tensor([1., 2., 3.])
    """
    d = normal_axis("sort", dim if axis is NOT_GIVEN else axis, input._data.ndim)
    if not input._data.ndim:
        return ValuesIndices(xp_of_tensors.clone(input), xp_of_tensors.argmax(input))
    indices = xp_of_tensors.argsort(input, axis=d, descending=bool(descending))
    return ValuesIndices(xp_of_tensors.gather(input, indices, axis=d), indices)


@function("msort")
def _msort(input: Tensor) -> Tensor:
    """``input`` sorted along its first dimension.

    Example:
        >>> import chainrule as cr
        >>> cr.msort(cr.tensor([[3, 1], [2, 4]]))
        tensor([[2, 1],
                [3, 4]])
    """
    return _sort(input, 0).values


@function("topk")
def _topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, axis: Any = NOT_GIVEN
) -> ValuesIndices:
    """The k largest (or smallest) values along ``dim``, and their indices, in order.

    Raises RuntimeError when k exceeds the length of the dimension.

    Example:
        >>> import chainrule as cr
        >>> cr.topk(cr.tensor([3.0, 1.0, 2.0]), 2).values
        tensor([3., 2.])
    """
    dim = dim if axis is NOT_GIVEN else axis
    d = normal_axis("topk", dim, input._data.ndim)
    length = input._data.shape[d] if input._data.ndim else 1
    if not 0 <= k <= length:
        raise RuntimeError(f"topk: k must be in [0, {length}], the length of dimension {dim}, got {k}")
    if not input._data.ndim:
        return ValuesIndices(xp_of_tensors.clone(input), xp_of_tensors.argmax(input))
    indices = xp_of_tensors.part_of_order(input, axis=d, first=0, last=int(k), descending=bool(largest))
    return ValuesIndices(xp_of_tensors.gather(input, indices, axis=d), indices)
