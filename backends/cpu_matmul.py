"""Matrix products of the NumPy backend: large ones are split over the threads.

The pieces depend on the shapes alone, so that the result is the same for any number of threads. The gradients of both
are products too and profit through ``xp.matmul``.
"""

from __future__ import annotations

import numpy as np

from chainrule.backends import compiled
from chainrule.backends.base import Backend, kernel
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray

#: Multiplications from which on a product is split (20 MFLOP), and where compiled code hands out the pieces.
_WORTH, _WORTH_NATIVE = 10_000_000, 2_000_000
#: Multiplications from which on it is cut into 4, 8 and 16 pieces. OpenBLAS packs the operand that all pieces share
#: once for each of them: 16 pieces of 512x1024x1024 take 15 % longer than 4.
_MORE = (20_000_000, 400_000_000, 4_000_000_000)
#: Products of a column and a row: elements of the result from which on multiplying takes less time than BLAS
_OUTER = 1 << 10
#: Pieces of a batch, and of a sum, and their multiplications.
_MOST = 16
_PIECE = 5_000_000
#: Fewer pieces of a batch than this do not keep the threads busy to the end.
_LEAST = 4

_matmul = np.matmul
_least = _WORTH


def matmul(x: Array, y: Array, /) -> Array:
    """``x @ y``, batched over leading dimensions, as NumPy defines it."""
    work = x.size * y.shape[-1]
    if work >= _OUTER and x.shape[-1] == 1 and y.shape[-2:-1] == (1,) and x.ndim > 1 and x.dtype.char in "fd":
        outer: Array = np.multiply(x, y, order="C")
        return outer
    if work < _least or y.ndim < 2 or x.ndim < 2:
        return _matmul(x, y)
    if x.dtype.char not in "fd" or x.dtype != y.dtype or x.shape[-1] != y.shape[-2] or not y.size:
        return _matmul(x, y)
    if x.ndim == 2 and y.ndim == 2:
        return _product(x, y)
    if y.ndim == 2 and x.flags.c_contiguous:
        return _product(x.reshape(-1, x.shape[-1]), y).reshape(*x.shape[:-1], y.shape[1])
    return _batched(x, y)


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """``x @ weight.T + bias``; the bias is added to each piece of a large product while it is in the cache."""
    if (
        bias is not None
        and x.size * weight.shape[0] >= _least
        and x.ndim >= 2
        and weight.ndim == 2
        and x.shape[-1] == weight.shape[1]
        and bias.shape == weight.shape[:1]
        and x.dtype.char in "fd"
        and x.dtype == weight.dtype == bias.dtype
        and x.flags.c_contiguous
    ):
        return _product(x.reshape(-1, x.shape[-1]), weight.T, bias).reshape(*x.shape[:-1], bias.size)
    out = matmul(x, weight.mT)
    if bias is not None:
        out += bias
    return out


def transposed_matmul(x: Array, y: Array) -> Array:
    """``x.T @ y`` of two matrices."""
    return matmul(x.T, y)


def _product(x: Array, y: Array, bias: Array | None = None) -> Array:
    """(M, K) @ (K, N) + (N) by rows or columns of the result; by K where the result is small."""
    (m, k), n = x.shape, y.shape[1]
    work = m * n * k
    if compiled.available and (k < 8 * max(m, n) or m * n > 1 << 16):
        product: Array | None = compiled.module("matmul").product(x, y, bias)
        if product is not None:
            return product
    if k >= 8 * max(m, n) and m * n <= 1 << 16:
        parts = ranges(k, min(work // _PIECE, 8), 16)
        sums = np.empty((len(parts), m, n), dtype=x.dtype)

        def by_terms(i: int) -> None:
            a, b = parts[i]
            _matmul(x[:, a:b], y[a:b], out=sums[i])

        parallel(by_terms, len(parts))
        total: Array = np.add.reduce(sums, 0)
        if bias is not None:
            total += bias
        return total
    out = np.empty((m, n), dtype=x.dtype)
    pieces = 2 << sum(work >= least for least in _MORE)
    if m >= n:
        parts = ranges(m, pieces, 16)

        def by_rows(i: int) -> None:
            a, b = parts[i]
            _matmul(x[a:b], y, out=out[a:b])
            if bias is not None:
                out[a:b] += bias

        parallel(by_rows, len(parts))
        return out
    parts = ranges(n, pieces, 16)

    def by_columns(i: int) -> None:
        a, b = parts[i]
        _matmul(x, y[:, a:b], out=out[:, a:b])
        if bias is not None:
            out[:, a:b] += bias[a:b]

    parallel(by_columns, len(parts))
    return out


def _batched(x: Array, y: Array) -> Array:
    """(..., M, K) @ (..., K, N)."""
    shape = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    out = np.empty((*shape, x.shape[-2], y.shape[-1]), dtype=x.dtype)
    x, y = (a if a.shape[:-2] == shape else np.broadcast_to(a, (*shape, *a.shape[-2:])) for a in (x, y))
    batched_into(x, y, out)
    return out


def batched_into(x: Array, y: Array, out: Array) -> None:
    """``out[...] = x @ y`` where all three have the same leading dimensions, of which there is one at least.

    The longest leading dimension is split for the threads, and where that is short, the rows of the matrices too.
    """
    lead = x.shape[:-2]
    axis = lead.index(max(lead))
    batches = ranges(lead[axis], _MOST)
    rows = ranges(x.shape[-2], -(-_LEAST // max(len(batches), 1)), 16)
    before = (slice(None),) * axis
    after = (slice(None),) * (len(lead) - axis - 1)
    items = [(batch, part) for batch in batches for part in rows]

    def run(i: int) -> None:
        batch, part = (slice(*bounds) for bounds in items[i])
        of_x = (*before, batch, *after, part)
        _matmul(x[of_x], y[(*before, batch)], out=out[of_x])

    parallel(run, len(items))


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    global _least
    _least = _WORTH_NATIVE if compiled.enabled() else _WORTH
    kernel("matmul", backend)(matmul)
    kernel("linear", backend)(linear)
    kernel("transposed_matmul", backend)(transposed_matmul)
