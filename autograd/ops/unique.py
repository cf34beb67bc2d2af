"""Unique elements, and combinations of elements."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.indexing import getitem_of
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor


def _sorting(xp: Any, rows: Any) -> Any:
    """Indices that sort rows, by the first column first."""
    order = xp.arange(rows.shape[0])
    for column in range(rows.shape[1] - 1, -1, -1):
        order = xp.take(order, xp.argsort(xp.take(rows[:, column], order)))
    return order


def _runs(input: Tensor, dim: int | None, ordered: bool, caller: str) -> Any:
    """The slices that start a run of equal ones, and for each slice the number of its run; counts of the runs.

    Slices are elements where ``dim`` is None. With ``ordered`` they are sorted first.
    """
    x, xp = input._data, input._device.xp
    if dim is None:
        d, rows = 0, xp.reshape(x, (-1, 1))
    else:
        if not x.ndim:
            raise RuntimeError(f"{caller}: a 0-d tensor has no dim {dim}")
        d = normal_axis(caller, dim, x.ndim)
        rows = xp.moveaxis(x, d, 0)
        if 0 in rows.shape[1:]:
            raise RuntimeError(
                f"{caller}: the slices along dim {dim} of a tensor of shape {tuple(input.shape)} have no elements"
            )
        rows = xp.reshape(rows, (rows.shape[0], -1)) if rows.shape[0] else xp.zeros((0, 1), dtype=x.dtype)
    count = rows.shape[0]
    order = _sorting(xp, rows) if ordered else xp.arange(count)
    rows = xp.take(rows, order, axis=0)
    starts = rows[1:] != rows[:-1]
    starts = xp.reshape(starts, (-1,)) if rows.shape[1] == 1 else xp.any(starts, axis=1)
    starts = xp.concat([xp.ones((min(count, 1),), dtype=np.bool_), starts], axis=0)
    number = xp.cumulative_sum(xp.astype(starts, np.int64), axis=0) - 1
    inverse = xp.put(xp.zeros((count,), dtype=np.int64), order, number)
    first = xp.nonzero(starts)[0]
    ends = xp.concat([first[1:], xp.full((min(count, 1),), count, dtype=first.dtype)], axis=0)
    chosen = wrap(xp.take(order, first), input._device)
    if dim is None:
        values = getitem_of(input.reshape(-1), (chosen,))
        inverse = xp.reshape(inverse, x.shape)
    else:
        values = getitem_of(input, (*[slice(None)] * d, chosen))
    return values, wrap(inverse, input._device), wrap(xp.astype(ends - first, np.int64), input._device)


def _chosen(found: tuple[Tensor, Tensor, Tensor], inverse: bool, counts: bool) -> Any:
    """What was asked for: one tensor, or a tuple."""
    wanted = [found[0], *([found[1]] if inverse else []), *([found[2]] if counts else [])]
    return wanted[0] if len(wanted) == 1 else tuple(wanted)


@function("unique")
def _unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements of a tensor, or its different slices along ``dim``, sorted.

    The gradient of each goes to the first of the equal elements (PyTorch has none).

    Args:
        sorted: accepted; the result is always sorted. Each NaN counts as different.
        return_inverse: also give, for each element (or slice), its place in the result.
        return_counts: also give how often each occurs.

    Example:
        >>> import chainrule as cr
        >>> cr.unique(cr.tensor([3, 1, 3]), return_counts=True)
        (tensor([1, 3]), tensor([1, 2]))
    """
    return _chosen(_runs(input, dim, True, "unique"), return_inverse, return_counts)


@function("unique_consecutive")
def _unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements of a tensor (or its slices along ``dim``) without those that equal the one before.

    The gradient of each goes to the first of the equal elements (PyTorch has none).

    Args:
        return_inverse: also give, for each element (or slice), its place in the result.
        return_counts: also give how many equal ones follow each other.

    Example:
        >>> import chainrule as cr
        >>> cr.unique_consecutive(cr.tensor([1, 1, 2, 1]))
        tensor([1, 2, 1])
    """
    return _chosen(_runs(input, dim, False, "unique_consecutive"), return_inverse, return_counts)


# ---- combinations ---------------------------------------------------------------------------------------------------


@function("combinations", method=False)
def _combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of ``r`` elements of a 1-d tensor, one in each row, as :mod:`itertools` gives them.

    Example:
        >>> import chainrule as cr
        >>> cr.combinations(cr.tensor([1, 2, 3]))
        tensor([[1, 2],
                [1, 3],
                [2, 3]])
    """
    if input._data.ndim != 1:
        raise RuntimeError(f"combinations: expected a 1-d tensor, got a {describe(input)}")
    if r < 0:
        raise RuntimeError(f"combinations: r must not be negative, got {r}")
    if not r:
        return wrap(input._device.xp.zeros((0,), dtype=input._data.dtype), input._device)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    chosen = list(choose(range(input._data.shape[0]), r))
    places = np.array(chosen, dtype=np.int64).reshape(len(chosen), r)
    return getitem_of(input, (wrap(input._device.backend.from_host(places, input._device.index or 0), input._device),))


@function("cartesian_prod", method=False)
def _cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each 1-d tensor, one in each row.

    Example:
        >>> import chainrule as cr
        >>> cr.cartesian_prod(cr.tensor([1, 2]), cr.tensor([5, 6]))
        tensor([[1, 5],
                [1, 6],
                [2, 5],
                [2, 6]])
    """
    from chainrule.autograd.ops.joining import _listed

    given = _listed("cartesian_prod", tensors)
    for i, t in enumerate(given):
        if t._data.ndim != 1:
            raise RuntimeError(f"cartesian_prod: tensors[{i}] must have 1 dimension, got {describe(t)}")
        if t._data.dtype != given[0]._data.dtype:
            raise RuntimeError(
                f"cartesian_prod: expected one dtype, got {given[0].dtype} and tensors[{i}] of {t.dtype}"
            )
    if len(given) == 1:
        return xp_of_tensors.clone(given[0])
    sizes = tuple([t._data.shape[0] for t in given])
    columns = []
    for i, t in enumerate(given):
        shape = tuple([n if j == i else 1 for j, n in enumerate(sizes)])
        columns.append(xp_of_tensors.broadcast_to(t.reshape(shape), shape=sizes).reshape(-1))
    return xp_of_tensors.stack_tensors(*columns, axis=1)
