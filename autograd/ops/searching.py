"""Places in sorted sequences, and membership."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import OPS, op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import function
from chainrule.autograd.runtime import cast, describe, operand, result_dtype, wrap
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


def _bisect_reference(x: Any, y: Any, side: Any) -> Any:
    if x.ndim == 1:
        return np.searchsorted(x, y, side=side)
    rows = zip(x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]), strict=True)
    return np.array([np.searchsorted(a, v, side=side) for a, v in rows]).reshape(y.shape)


def _bisect_samples(rng: Any) -> Any:
    for side in ("left", "right"):
        yield Sample((np.sort(normal(rng, 5)), normal(rng, 2, 3)), {"side": side})
        yield Sample((np.sort(rng.integers(0, 4, 9)).astype(float), np.arange(-1.0, 6.0)), {"side": side})
        yield Sample((np.sort(rng.integers(0, 5, (2, 3, 8)), axis=-1), rng.integers(-1, 6, (2, 3, 4))), {"side": side})
        yield Sample((np.sort(normal(rng, 3, 1)), normal(rng, 3, 2)), {"side": side})
        yield Sample((normal(rng, 0), normal(rng)), {"side": side})


@op(vjp=None, check=Samples(_bisect_samples, reference=_bisect_reference), label="searchsorted")
def bisect(xp, x, y, *, side):
    """Where ``y`` would be inserted into sorted ``x`` (..., N): y of any shape for one row, else (..., M)."""
    if x.ndim == 1:
        return xp.astype(xp.searchsorted(x, y, side=side), np.int64)
    # all rows at once: before each step, the place is in [low, high]
    n = x.shape[-1]
    low, high = xp.zeros(y.shape, dtype=np.int64), xp.full(y.shape, n, dtype=np.int64)
    for _ in range(math.frexp(n)[1]):
        middle = (low + high) // 2
        there = xp.take_along_axis(x, xp.minimum(middle, xp.asarray(n - 1)), -1)
        behind = (there < y if side == "left" else there <= y) & (low < high)
        low, high = xp.where(behind, middle + 1, low), xp.where(behind, high, middle)
    return low


def _side(caller: str, right: bool, side: str | None) -> str:
    if side not in (None, "left", "right"):
        raise RuntimeError(f"{caller}: side must be 'left' or 'right', got {side!r}")
    if side == "left" and right:
        raise RuntimeError(f"{caller}: right=True contradicts side='left'")
    return "right" if right or side == "right" else "left"


def _number(value: Any, like: Tensor) -> Tensor:
    """A Python number as a 0-d tensor that compares with ``like`` as a number does."""
    t = operand(OPS["equal"], "y", value, like)
    return cast(t, result_dtype([like, value]))


def _places(caller: str, sequence: Tensor, values: Any, out_int32: bool, side: str) -> Tensor:
    if not isinstance(values, Tensor):
        values = _number(values, sequence)
        sequence = cast(sequence, values._data.dtype)
    elif values._data.size == 1 and values._data.dtype != sequence._data.dtype:
        common = result_dtype([sequence, values])
        sequence, values = cast(sequence, common), cast(values, common)
    if sequence._data.dtype != values._data.dtype:
        raise RuntimeError(
            f"{caller}: the values must have the dtype of the boundaries, {sequence.dtype}, got {describe(values)}"
        )
    found = xp_of_tensors.bisect(sequence, values, side=side)
    return cast(found, np.dtype(np.int32)) if out_int32 else found


@function("searchsorted", method=False)
def _searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where each value of ``input`` would be inserted into a sorted sequence, so that it stays sorted.

    Args:
        sorted_sequence: one sequence, or one in each row (..., N), for the values of the same row of ``input``.
        right: whether a value that is there already would be inserted behind (the same as ``side="right"``).
        sorter: indices that sort ``sorted_sequence``, where it is not sorted.

    Example:
        >>> import chainrule as cr
        >>> cr.searchsorted(cr.tensor([1, 3, 5]), cr.tensor([3, 4]))
        tensor([1, 2])
    """
    where = _side("searchsorted", right, side)
    if not sorted_sequence._data.ndim:
        raise RuntimeError("searchsorted: sorted_sequence must have at least one dimension, got a 0-d tensor")
    if sorter is not None:
        if not isinstance(sorter, Tensor) or sorter._data.dtype != np.int64:
            raise RuntimeError(f"searchsorted: sorter must be an int64 tensor, got {describe(sorter)}")
        if sorter._data.shape != sorted_sequence._data.shape:
            raise RuntimeError(
                f"searchsorted: sorter must have the shape of the sequence, {tuple(sorted_sequence.shape)}, got "
                f"{tuple(sorter.shape)}"
            )
        axis = sorted_sequence._data.ndim - 1
        n = sorted_sequence._data.shape[axis]
        if sorter._data.size and not bool(((sorter._data >= 0) & (sorter._data < n)).all()):
            raise RuntimeError(f"searchsorted: the indices in sorter must be in [0, {n - 1}]")
        sorted_sequence = xp_of_tensors.gather(sorted_sequence, sorter, axis=axis)
    lead = sorted_sequence._data.shape[:-1]
    shape = input._data.shape if isinstance(input, Tensor) else ()
    if lead and (len(shape) != len(lead) + 1 or shape[:-1] != lead):
        raise RuntimeError(
            f"searchsorted: for a sequence of shape {tuple(sorted_sequence.shape)} input must have the same dimensions "
            f"before the last one, got {describe(input)}"
        )
    return _places("searchsorted", sorted_sequence.detach(), input, out_int32, where)


@function("bucketize", method=False)
def _bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the bucket, between sorted boundaries, of each value of ``input``.

    Args:
        right: whether a value on a boundary belongs to the bucket behind it.

    Example:
        >>> import chainrule as cr
        >>> cr.bucketize(cr.tensor([0.5, 1.0, 2.5]), cr.tensor([1.0, 2.0]))
        tensor([0, 0, 2])
    """
    if not isinstance(boundaries, Tensor) or boundaries._data.ndim != 1:
        raise RuntimeError(f"bucketize: boundaries must be a 1-d tensor, got {describe(boundaries)}")
    return _places("bucketize", boundaries.detach(), input, out_int32, "right" if right else "left")


# ---- membership -----------------------------------------------------------------------------------------------------


@op(
    vjp=None,
    check=Samples(
        lambda rng: [
            Sample((rng.integers(0, 9, (3, 4)), rng.integers(0, 9, 5))),
            Sample((normal(rng, 3), normal(rng, 0))),
            Sample((np.array([1.0, np.nan, np.inf]), np.array([np.nan, np.inf]))),
        ],
        reference=lambda x, y: (x[..., None] == y.reshape(-1)).any(-1),
    ),
    label="isin",
)
def is_member(xp, x, y):
    """Whether each element of ``x`` is among those of ``y``."""
    members = xp.sort(xp.reshape(y, (-1,)))
    n = members.shape[0]
    if not n:
        return xp.zeros(x.shape, dtype=np.bool_)
    return xp.take(members, xp.minimum(xp.searchsorted(members, x), xp.asarray(n - 1))) == x


@function("isin", method=False)
def _isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each of ``elements`` is among ``test_elements``; either may be a number.

    Args:
        assume_unique: accepted; it changes nothing.
        invert: whether it is not.

    Example:
        >>> import chainrule as cr
        >>> cr.isin(cr.tensor([1, 2, 3]), cr.tensor([3, 1]))
        tensor([ True, False,  True])
    """
    if isinstance(elements, Tensor):
        first = elements
        other = test_elements if isinstance(test_elements, Tensor) else _number(test_elements, first)
    elif isinstance(test_elements, Tensor):
        first, other = _number(elements, test_elements), test_elements
    else:
        raise TypeError(f"isin: expected a Tensor, got {describe(elements)} and {describe(test_elements)}")
    common = dtypes.promote(first._data.dtype, other._data.dtype)
    found = xp_of_tensors.is_member(cast(first.detach(), common), cast(other.detach(), common))
    return wrap(found._device.xp.logical_not(found._data), found._device) if invert else found
