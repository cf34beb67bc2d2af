"""The distinct elements of an array, each NaN being one of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chainrule.array_api.promotion import array
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor


class UniqueAll(NamedTuple):
    """What ``unique_all`` gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What ``unique_counts`` gives."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What ``unique_inverse`` gives."""

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Tensor, /) -> UniqueAll:
    """The distinct elements in order, where each first occurs, which one each element is, and how often each occurs."""
    flat = array("unique_all", "x", x).ravel()
    device, xp, n = x._device, x._device.xp, flat.numel()
    # stable, so the first of equal elements is the first occurrence; complex numbers have some order, which is enough
    order = xp.argsort(flat._data, axis=0)
    ranked = flat._data[order]
    starts = xp.concat([xp.ones((min(n, 1),), dtype=np.bool_), ranked[1:] != ranked[:-1]])
    where = xp.nonzero(starts)[0]
    number = xp.cumulative_sum(xp.astype(starts, np.int64), axis=0) - 1
    inverse = xp.zeros((n,), dtype=np.int64)
    inverse[order] = number
    counts = xp.concat([where[1:], xp.full((min(n, 1),), n, dtype=where.dtype)]) - where
    first = wrap(xp.astype(order[where], np.int64), device)
    return UniqueAll(
        flat[first],
        first,
        wrap(xp.reshape(inverse, tuple(x.shape)), device),
        wrap(xp.astype(counts, np.int64), device),
    )


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The distinct elements in order, and how often each occurs."""
    found = unique_all(array("unique_counts", "x", x))
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The distinct elements in order, and which of them each element is."""
    found = unique_all(array("unique_inverse", "x", x))
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """The distinct elements in order."""
    return unique_all(array("unique_values", "x", x)).values
