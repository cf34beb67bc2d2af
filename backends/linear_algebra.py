"""``xp.linalg``: factorizations and solvers of (batches of) matrices, one object for each array library.

What both libraries have is called there, for whole batches. LU, the raw QR and LDL exist in neither with batches
and error codes: they come from LAPACK through SciPy, one matrix after the other, on the host (arrays of a GPU are
copied there and back). Functions that can fail give ``info`` as LAPACK does: 0, or from 1 on where the matrix is
singular or not positive definite; nothing is raised for it here. Only a failure to converge raises.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np


class LinAlgError(RuntimeError):
    """A matrix is singular, not positive definite, or an iteration did not converge.

    Example:
        >>> issubclass(LinAlgError, RuntimeError)
        True
    """


def _lapack(name: str, like: np.ndarray) -> Any:
    return importlib.import_module("scipy.linalg").get_lapack_funcs(name, (like,))


def _indices(shape: tuple[int, ...]) -> Any:
    return itertools.product(*[range(n) for n in shape])


def _of_halves(method: Callable[..., Any]) -> Callable[..., Any]:
    """2-byte floats, for which no library has a factorization, in float32; the results rounded again."""

    @functools.wraps(method)
    def call(self: LinearAlgebra, x: Any, *rest: Any) -> Any:
        half = x.dtype
        if half.itemsize != 2:
            return method(self, x, *rest)
        wide = [a.astype(np.float32) if getattr(a, "dtype", None) == half else a for a in (x, *rest)]
        result = method(self, *wide)
        results = result if isinstance(result, tuple) else (result,)
        narrow = tuple([a.astype(half) if a.dtype == np.float32 else a for a in results])
        return narrow if isinstance(result, tuple) else narrow[0]

    return call


class LinearAlgebra:
    """The functions of ``xp.linalg``; arguments are arrays of shape (..., M, N) of one floating or complex dtype."""

    def __init__(self, module: Any) -> None:
        self._m = module
        self._on_host = module is np

    # ---- shared -----------------------------------------------------------------------------------------------------

    def _raising(self) -> Any:
        """CuPy reports singular matrices only where it is asked to; its stand-in and NumPy always do."""
        if self._on_host or not hasattr(self._m, "RawKernel"):
            return contextlib.nullcontext()
        return importlib.import_module(f"{self._m.__name__}x").errstate(linalg="raise")

    def _to_host(self, x: Any) -> np.ndarray:
        host: np.ndarray = x if self._on_host else self._m.asnumpy(x)
        return host

    def _from_host(self, x: np.ndarray) -> Any:
        return x if self._on_host else self._m.asarray(x)

    def _converging(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            with self._raising():
                return function(*args)
        except np.linalg.LinAlgError as error:
            raise LinAlgError(f"the algorithm failed to converge ({error}); is the input finite?") from None

    def _fine(self, x: Any) -> Any:
        return self._m.zeros(x.shape[:-2], dtype=np.int32)

    def _one_by_one(self, function: Callable[..., tuple[Any, ...]], *arrays: Any) -> tuple[Any, ...]:
        """``function`` of each matrix of a batch, on the host; gives arrays, of which 0-d ones (info) are allowed."""
        hosts = [self._to_host(x) for x in arrays]
        batch = hosts[0].shape[:-2]
        if 0 in batch:  # the shapes of the results, from a matrix of zeros
            samples = function(*[np.eye(*x.shape[-2:], dtype=x.dtype) for x in hosts])
            made = [np.empty((*batch, *np.shape(s)), np.asarray(s).dtype) for s in samples]
        else:
            parts = [function(*[x[i] for x in hosts]) for i in _indices(batch)]
            stacked = [np.stack([np.asarray(p[k]) for p in parts]) for k in range(len(parts[0]))]
            made = [s.reshape((*batch, *s.shape[1:])) for s in stacked]
        return tuple([self._from_host(np.ascontiguousarray(a) if a.ndim else a) for a in made])

    def failure(self, info: Any) -> tuple[str, int] | None:
        """Where ``info`` is first not 0, as the beginning of a message, and its value there; None where all is well."""
        if not info.size or not bool(self._m.any(info != 0)):
            return None
        flat = self._to_host(info).reshape(-1).tolist()
        at = next(i for i, n in enumerate(flat) if n)
        return (f"(batch element {at}) " if info.ndim else ""), int(flat[at])

    # ---- solving ----------------------------------------------------------------------------------------------------

    @_of_halves
    def inv(self, x: Any) -> tuple[Any, Any]:
        """The inverse, and info: which pivot was zero."""
        try:
            with self._raising():
                return self._m.linalg.inv(x), self._fine(x)
        except np.linalg.LinAlgError:
            return self._one_by_one(_inv_of_one, x)

    @_of_halves
    def solve(self, x: Any, y: Any) -> tuple[Any, Any]:
        """``z`` with ``x @ z = y`` for y (..., M, K) with the batch dimensions of x; and info."""
        try:
            with self._raising():
                return self._m.linalg.solve(x, y), self._fine(x)
        except np.linalg.LinAlgError:
            return self._one_by_one(_solve_of_one, x, y)

    @_of_halves
    def solve_triangular(self, x: Any, y: Any, upper: bool, unitriangular: bool) -> Any:
        """As :meth:`solve` with the upper or lower triangle of x; zeros on the diagonal give inf and nan."""

        def solve_one(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray]:
            if not a.size or not b.size:
                return (np.zeros_like(b),)
            trsm = importlib.import_module("scipy.linalg").get_blas_funcs("trsm", (a, b))
            return (trsm(1.0, a, b, lower=not upper, diag=unitriangular),)

        if x.ndim == 2 and self._on_host:
            return np.ascontiguousarray(solve_one(x, y)[0])
        m = self._m
        triangle = m.triu(x) if upper else m.tril(x)
        if unitriangular:
            one = m.eye(x.shape[-1], dtype=x.dtype)
            triangle = triangle * (1 - one) + one
        try:
            return m.linalg.solve(triangle, y)
        except np.linalg.LinAlgError:
            return self._one_by_one(solve_one, x, y)[0]

    @_of_halves
    def slogdet(self, x: Any) -> tuple[Any, Any]:
        """Sign (or phase) and logarithm of the absolute value of the determinant."""
        sign, logabs = self._m.linalg.slogdet(x)
        return sign, logabs

    @_of_halves
    def det(self, x: Any) -> Any:
        return self._m.linalg.det(x)

    # ---- factorizations ---------------------------------------------------------------------------------------------

    @_of_halves
    def cholesky(self, x: Any) -> tuple[Any, Any]:
        """The lower factor, from the lower triangle; and info: which leading minor was not positive."""
        try:
            with self._raising():
                return self._m.linalg.cholesky(x), self._fine(x)
        except np.linalg.LinAlgError:
            return self._one_by_one(_cholesky_of_one, x)

    @_of_halves
    def qr(self, x: Any, mode: str) -> tuple[Any, Any]:
        """Q and R; ``mode`` is ``"reduced"`` or ``"complete"``."""
        q, r = self._m.linalg.qr(x, mode)
        return q, r

    @_of_halves
    def qr_r(self, x: Any) -> Any:
        """R alone."""
        return self._m.linalg.qr(x, "r")

    @_of_halves
    def svd(self, x: Any, full: bool) -> tuple[Any, Any, Any]:
        """U, the singular values, and the adjoint of V."""
        if 0 in x.shape:
            return self._svd_of_nothing(x, full)
        u, s, vh = self._converging(self._m.linalg.svd, x, full)
        return u, s, vh

    def _svd_of_nothing(self, x: Any, full: bool) -> tuple[Any, Any, Any]:
        batch, (m, n) = x.shape[:-2], x.shape[-2:]
        k = min(m, n)
        real = np.zeros(0, x.dtype).real.dtype
        u = self._m.eye(m, m if full else k, dtype=x.dtype)
        vh = self._m.eye(n if full else k, n, dtype=x.dtype)
        made = [self._m.array(self._m.broadcast_to(a, (*batch, *a.shape))) for a in (u, vh)]
        return made[0], self._m.zeros((*batch, k), dtype=real), made[1]

    @_of_halves
    def svdvals(self, x: Any) -> Any:
        """The singular values, largest first."""
        if 0 in x.shape:
            return self._svd_of_nothing(x, False)[1]
        return self._converging(self._m.linalg.svd, x, False, False)

    @_of_halves
    def eigh(self, x: Any) -> tuple[Any, Any]:
        """Eigenvalues, smallest first, and eigenvectors of Hermitian matrices, from the lower triangle."""
        if 0 in x.shape:
            return self._m.zeros(x.shape[:-1], dtype=np.zeros(0, x.dtype).real.dtype), self._m.array(x)
        values, vectors = self._converging(self._m.linalg.eigh, x)
        return values, vectors

    @_of_halves
    def eigvalsh(self, x: Any) -> Any:
        return self.eigh(x)[0] if 0 in x.shape else self._converging(self._m.linalg.eigvalsh, x)

    @_of_halves
    def eig(self, x: Any) -> tuple[Any, Any]:
        """Eigenvalues and eigenvectors of any square matrices: always complex."""
        to = np.result_type(x.dtype, np.complex64)
        if 0 in x.shape:
            return self._m.zeros(x.shape[:-1], dtype=to), self._m.zeros(x.shape, dtype=to)
        values, vectors = self._converging(self._m.linalg.eig, x)
        return values.astype(to, copy=False), vectors.astype(to, copy=False)

    @_of_halves
    def lu_factor(self, x: Any) -> tuple[Any, Any, Any, Any]:
        """L and U in one matrix, LAPACK's pivots (from 1), the order of the rows that they mean, and info."""
        return self._one_by_one(_lu_of_one, x)

    @_of_halves
    def geqrf(self, x: Any) -> tuple[Any, Any]:
        """LAPACK's compact QR: R and Householder vectors in one matrix, and their factors."""
        made = self._one_by_one(_geqrf_of_one, x)
        return made[0], made[1]

    @_of_halves
    def ldl_factor(self, x: Any, hermitian: bool) -> tuple[Any, Any, Any]:
        """LAPACK's compact LDL of the lower triangle, its pivots, and info."""
        made = self._one_by_one(lambda a: _ldl_of_one(a, hermitian), x)
        return made[0], made[1], made[2]

    def pivots_to_order(self, pivots: Any, rows: int) -> Any:
        """The order of the rows that LAPACK's pivots (..., K) mean: row i of the product is row order[i]."""
        host = self._to_host(pivots)
        order = np.empty((*host.shape[:-1], rows), np.int64)
        for at in _indices(host.shape[:-1]):
            order[at] = _order_of_one(host[at] - 1, rows)
        return self._from_host(order)

    @_of_halves
    def ldl_solve(self, x: Any, pivots: Any, y: Any, hermitian: bool) -> Any:
        """``z`` with ``A @ z = y`` where x and pivots are the LDL of A."""
        if 0 in y.shape:
            return self._m.zeros_like(y)

        def solve_one(ldl: np.ndarray, ipiv: np.ndarray, b: np.ndarray) -> tuple[np.ndarray]:
            return (_ldl_solve_one(ldl, ipiv[:, 0], b, np.conj if hermitian else np.positive),)

        return self._one_by_one(solve_one, x, pivots[..., None], y)[0]


# ---- one matrix on the host -----------------------------------------------------------------------------------------


def _inv_of_one(a: np.ndarray) -> tuple[Any, ...]:
    return _solve_of_one(a, np.eye(a.shape[0], dtype=a.dtype))


def _solve_of_one(a: np.ndarray, b: np.ndarray) -> tuple[Any, ...]:
    try:
        return np.linalg.solve(a, b), np.int32(0)
    except np.linalg.LinAlgError:
        return np.full_like(b, np.nan), _lu_of_one(a)[3]


def _cholesky_of_one(a: np.ndarray) -> tuple[Any, ...]:
    factor, info = _lapack("potrf", a)(a, lower=1, clean=1)
    return factor, np.int32(info)


def _lu_of_one(a: np.ndarray) -> tuple[Any, ...]:
    m = a.shape[0]
    if not a.size:
        return a, np.zeros(0, np.int32), np.arange(m), np.int32(0)
    lu, swaps, info = _lapack("getrf", a)(a)
    return lu, (swaps + 1).astype(np.int32), _order_of_one(swaps, m), np.int32(info)


def _order_of_one(swaps: np.ndarray, rows: int) -> np.ndarray:
    order = np.arange(rows)
    for i, other in enumerate(swaps):
        order[[i, other]] = order[[other, i]]
    return order


def _geqrf_of_one(a: np.ndarray) -> tuple[Any, ...]:
    if not a.size:
        return a, np.zeros(min(a.shape), a.dtype)
    qr, tau, _, _ = _lapack("geqrf", a)(a)
    return qr, tau


def _ldl_of_one(a: np.ndarray, hermitian: bool) -> tuple[Any, ...]:
    if not a.size:
        return a, np.zeros(0, np.int32), np.int32(0)
    trf = _lapack("hetrf" if hermitian and a.dtype.kind == "c" else "sytrf", a)
    ldl, pivots, info = trf(a, lower=1)
    return np.tril(ldl), pivots.astype(np.int32), np.int32(info)


def _ldl_solve_one(ldl: np.ndarray, pivots: np.ndarray, b: np.ndarray, other: Any) -> np.ndarray:
    """Columns of L forward, then blocks of D, then rows of L^T (``other`` conjugates them) backward.

    A positive pivot is a 1 x 1 block of D and exchanges its row with that one; two equal negative ones are a 2 x 2
    block whose second row is exchanged.
    """
    out, n = b.copy(), ldl.shape[0]
    blocks, k = [], 0
    while k < n:
        size = 1 if pivots[k] > 0 else 2
        blocks.append((k, k + size))
        k += size
    for start, end in blocks:
        swap = abs(int(pivots[start])) - 1
        out[[end - 1, swap]] = out[[swap, end - 1]]
        out[end:] -= ldl[end:, start:end] @ out[start:end]
        block = np.tril(ldl[start:end, start:end])
        out[start:end] = np.linalg.solve(block + other(np.tril(block, -1).T), out[start:end])
    for start, end in reversed(blocks):
        swap = abs(int(pivots[start])) - 1
        out[start:end] -= other(ldl[end:, start:end].T) @ out[end:]
        out[[end - 1, swap]] = out[[swap, end - 1]]
    return out
