"""``contract``, the product of two operands of an einsum, without copies of the operands or of the result.

The plain forward copies whatever does not lie as (batch, rows, columns). The matrices of an operand such as "bqhd" are
views though that BLAS can read where they are, and the result can be written in the order that is asked for.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from chainrule.backends import cpu_matmul
from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS

Array = np.ndarray

#: Multiplications from which on it pays to look at the layout.
_WORTH = 1 << 16


def _merged(x: Array, first: int, end: int) -> Array | None:
    """``x`` with its axes ``first`` to ``end`` as one, a view; None where memory does not allow that."""
    axes = [a for a in range(first, end) if x.shape[a] != 1]
    for outer, inner in itertools.pairwise(axes):
        if x.strides[outer] != x.strides[inner] * x.shape[inner]:
            return None
    step = x.strides[axes[-1]] if axes else x.itemsize
    shape = (*x.shape[:first], math.prod(x.shape[first:end]), *x.shape[end:])
    return np.lib.stride_tricks.as_strided(x, shape, (*x.strides[:first], step, *x.strides[end:]))


def _matrices(x: Array, names: str, batch: str, rows: str, columns: str) -> Array | None:
    """``x`` as (batch dimensions, rows, columns) that BLAS can use where it is; None where it cannot."""
    x = x.transpose([names.index(c) for c in batch + rows + columns])
    turned = _merged(x, len(batch) + len(rows), x.ndim)
    found = None if turned is None else _merged(turned, len(batch), len(batch) + len(rows))
    if found is None:
        return None
    (m, n), (down, along) = found.shape[-2:], found.strides[-2:]
    size = x.itemsize
    by_rows = along == size and down >= n * size
    by_columns = down == size and along >= m * size
    return found if (by_rows or by_columns) and (down % size == along % size == 0) else None


def contract(x: Array, y: Array, left: str, right: str, result: str) -> Array | None:
    """The product of :func:`chainrule.autograd.ops.einsum.contract`; None where this way has no advantage."""
    batch = "".join([c for c in result if c in left and c in right])
    rows = "".join([c for c in left if c not in right])
    columns = "".join([c for c in right if c not in left])
    summed = "".join([c for c in left if c in right and c not in result])
    if not batch or not summed or not rows or not columns:
        return None
    size = dict(zip(left + right, (*x.shape, *y.shape), strict=True))
    if math.prod(size.values()) < _WORTH:
        return None
    first = _matrices(x, left, batch, rows, summed)
    second = _matrices(y, right, batch, summed, columns)
    out = np.empty([size[c] for c in result], dtype=x.dtype)
    target = _matrices(out, result, batch, rows, columns)
    if first is None:
        first = _copied(x, left, batch, rows, summed)
    if second is None:
        second = _copied(y, right, batch, summed, columns)
    if target is None:
        lengths = [size[c] for c in batch + rows + columns]
        out = np.empty(lengths, dtype=x.dtype)
        target = out.reshape(*lengths[: len(batch)], first.shape[-2], second.shape[-1])
        out = out.transpose([(batch + rows + columns).index(c) for c in result])
    if target.strides[-1] != target.itemsize:  # BLAS writes rows
        first, second, target = (a.swapaxes(-1, -2) for a in (second, first, target))
    cpu_matmul.batched_into(first, second, target)
    return out


def _copied(x: Array, names: str, batch: str, rows: str, columns: str) -> Array:
    ordered = x.transpose([names.index(c) for c in batch + rows + columns])
    lengths = ordered.shape[: len(batch)]
    down = math.prod(ordered.shape[len(batch) : len(batch) + len(rows)])
    return np.ascontiguousarray(ordered).reshape(*lengths, down, -1)


def register(backend: Backend) -> None:
    """Make this the ``contract`` of ``backend``."""
    xp = backend.xp

    @kernel("contract", backend)
    def _contract(x: Array, y: Array, *, left: str, right: str, result: str) -> Any:
        out = None
        if x.dtype == y.dtype and x.dtype.char in "fd" and x.size and y.size:
            out = contract(x, y, left, right, result)
        return FORWARDS["contract"](xp, x, y, left=left, right=right, result=result) if out is None else out
