"""LU factorization, and solutions with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.factors import PLU, LUPivots, LUPivotsInfo
from chainrule.autograd.ops.matrices import adjoint, check_matrix, check_same_dtype
from chainrule.autograd.ops.shape import matrix_transpose
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor
from chainrule.backends.linear_algebra import LinAlgError


def _unit_lower(xp: Any, x: Any) -> Any:
    below = xp.tril(x, k=-1)
    return xp.where(xp.identity_like(x, n=x.shape[-1]) != 0, xp.ones_like(below), below)


def _lu_back(xp: Any, g: Any, lu: Any, back: Any) -> Any:
    """From L1 U1 = B1 and, in tall or wide matrices, L2 U1 = B2 or L1 U2 = B2, where B is A with its rows ordered."""
    m, n = lu.shape[-2:]
    k = min(m, n)
    square, g_square = lu[..., :k, :k], g[..., :k, :k]
    lower_T = matrix_transpose(xp, _unit_lower(xp, square))
    upper = xp.triu(square, k=0)
    of_lower = xp.matmul(lower_T, xp.tril(g_square, k=-1))
    of_upper = xp.matmul(xp.triu(g_square, k=0), matrix_transpose(xp, upper))
    rest = None
    if m > n:
        below, g_below = lu[..., k:, :], g[..., k:, :]
        of_upper = of_upper - xp.matmul(matrix_transpose(xp, below), g_below)
        rest = matrix_transpose(xp, xp.solve_triangle(upper, matrix_transpose(xp, g_below), upper=True))
    elif n > m:
        beside, g_beside = lu[..., :, k:], g[..., :, k:]
        of_lower = of_lower - xp.matmul(g_beside, matrix_transpose(xp, beside))
        rest = xp.solve_triangle(lower_T, g_beside, upper=True, unitriangular=True)
    inner = xp.tril(of_lower, k=-1) + xp.triu(of_upper, k=0)
    left = xp.solve_triangle(lower_T, inner, upper=True, unitriangular=True)
    ordered = matrix_transpose(xp, xp.solve_triangle(upper, matrix_transpose(xp, left), upper=True))
    if rest is not None:
        ordered = xp.concatenate(ordered, rest, axis=lu.ndim - 2 if m > n else lu.ndim - 1)
    return _rows(xp, ordered, back)


def _rows(xp: Any, x: Any, order: Any) -> Any:
    """The rows of (..., M, N) in another order (..., M)."""
    index = xp.broadcast_to(xp.reshape(order, shape=(*order.shape, 1)), shape=tuple(x.shape))
    return xp.gather(x, index, axis=x.ndim - 2)


@op(
    vjp={"x": _lu_back},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, *s) + 2 * np.eye(s[-2], s[-1])[::-1],)) for s in [(3, 3), (2, 4, 2), (2, 4), (1, 1)]
        ],
    ),
    outputs=("lu", "pivots", "back", "info"),
    differentiable_outputs=1,
    label="linalg.lu_factor",
)
def lu_compact(xp, x):
    """L and U in one matrix, LAPACK's pivots, the place of each row of x in L @ U, and the first zero pivot."""
    lu, pivots, order, info = xp.linalg.lu_factor(x)
    return lu, pivots, xp.argsort(order, axis=-1), info


@op(
    vjp=None,
    check=Samples(lambda rng: [Sample((np.array([[3, 3, 3], [1, 2, 3]], np.int32),), {"rows": 4})]),
    label="lu_unpack",
)
def order_of_pivots(xp, x, *, rows):
    """The order of the rows that LAPACK's pivots mean."""
    return xp.linalg.pivots_to_order(x, rows)


def _check_pivot(name: str, pivot: bool) -> None:
    if not pivot:
        raise RuntimeError(f"{name}: LU without pivoting is not available; use pivot=True")


@function("linalg.lu_factor_ex")
def _lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> LUPivotsInfo:
    """As ``lu_factor``, with ``info``: 0, or the number of the first zero on the diagonal of U.

    Raises LinAlgError only with ``check_errors``.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.lu_factor_ex(cr.zeros(2, 2)).info
        tensor(1, dtype=chainrule.int32)
    """
    return _factor("linalg.lu_factor_ex", A, pivot, check_errors)


def _factor(name: str, A: Tensor, pivot: bool, check_errors: bool) -> LUPivotsInfo:
    check_matrix(name, A)
    _check_pivot(name, pivot)
    lu, pivots, _, info = xp_of_tensors.lu_compact(A)
    failure = info._device.xp.linalg.failure(info._data) if check_errors else None
    if failure is not None:
        batch, i = failure
        raise LinAlgError(f"{name}: {batch}U[{i},{i}] is zero, and using it in lu_solve would divide by zero")
    return LUPivotsInfo(lu, pivots, info)


@function("linalg.lu_factor")
def _lu_factor(A: Tensor, *, pivot: bool = True) -> LUPivots:
    """L (below the diagonal, its own ones left out) and U of ``P @ L @ U = A`` in one matrix, and LAPACK's pivots.

    Raises LinAlgError where U has a zero on its diagonal (``lu_factor_ex`` does not).

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.lu_factor(cr.tensor([[1.0, 2.0], [4.0, 4.0]]))
        LUPivots(LU=tensor([[4.0000, 4.0000],
                [0.2500, 1.0000]]), pivots=tensor([2, 2], dtype=chainrule.int32))
    """
    return LUPivots(*_factor("linalg.lu_factor", A, pivot, True)[:2])


@function("lu", method=True)
def _old_lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """LU and pivots as ``linalg.lu_factor`` gives them, without an error; with ``get_infos`` the infos too.

    Example:
        >>> import chainrule as cr
        >>> cr.lu(cr.eye(2))[1]
        tensor([1, 2], dtype=chainrule.int32)
    """
    result = _factor("lu", A, pivot, False)
    return result if get_infos else LUPivots(*result[:2])


def _upper_and_lower(lu: Tensor) -> tuple[Tensor, Tensor]:
    m, n = lu.shape[-2:]
    k = min(m, n)
    lower = xp_of_tensors.tril(lu[..., :, :k], k=-1)
    diagonal = wrap(lu._device.xp.eye(m, k, dtype=lu._data.dtype) != 0, lu._device)
    lower = xp_of_tensors.where(diagonal, xp_of_tensors.ones_like(lower), lower)
    return lower, xp_of_tensors.triu(lu[..., :k, :], k=0)


def _permutation(pivots: Tensor, rows: int, like: Tensor) -> Tensor:
    order = xp_of_tensors.order_of_pivots(pivots, rows=rows)
    xp = like._device.xp
    hot = xp.arange(rows)[:, None] == order._data[..., None, :]
    return wrap(xp.astype(hot, like._data.dtype), like._device)


@function("lu_unpack", method=False)
def _lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> PLU:
    """P, L and U from what ``lu_factor`` gives; those not asked for are empty.

    Example:
        >>> import chainrule as cr
        >>> LU, pivots = cr.linalg.lu_factor(cr.tensor([[1.0, 2.0], [4.0, 4.0]]))
        >>> cr.lu_unpack(LU, pivots).U
        tensor([[4., 4.],
                [0., 1.]])
    """
    check_matrix("lu_unpack", LU_data, "LU_data")
    if unpack_pivots and LU_pivots._data.dtype != np.int32:
        raise RuntimeError(f"lu_unpack: LU_pivots must be of dtype int32, got {LU_pivots.dtype}")
    empty = xp_of_tensors.reshape(LU_data.detach(), shape=(LU_data._data.size,))[:0]
    lower, upper = _upper_and_lower(LU_data) if unpack_data else (empty, empty)
    return PLU(_permutation(LU_pivots, LU_data.shape[-2], LU_data) if unpack_pivots else empty, lower, upper)


@function("linalg.lu")
def _lu(A: Tensor, *, pivot: bool = True) -> PLU:
    """``A = P @ L @ U`` with a permutation matrix, a lower triangular matrix with ones, and an upper triangular one.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.lu(cr.tensor([[1.0, 2.0], [4.0, 4.0]])).U
        tensor([[4., 4.],
                [0., 1.]])
    """
    factors = _factor("linalg.lu", A, pivot, False)
    return _lu_unpack(factors.LU, factors.pivots)


@function("linalg.lu_solve")
def _linalg_lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """The solution ``X`` of ``A @ X = B``, given what ``lu_factor(A)`` gives.

    Args:
        left: False for ``X @ A = B``.
        adjoint: with ``A.mH`` in place of ``A``.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.lu_solve(*cr.linalg.lu_factor(2 * cr.eye(2)), cr.ones(2, 1))
        tensor([[0.5000],
                [0.5000]])
    """
    name = "linalg.lu_solve"
    check_matrix(name, LU, "LU", square=True)
    check_matrix(name, B, "B")
    check_same_dtype(name, LU, B)
    if B.shape[-2 if left else -1] != LU.shape[-1]:
        raise RuntimeError(f"{name}: LU and B do not fit, got {describe(LU)} and {describe(B)} with left={left}")
    if not left:  # X A = B is A^H X^H = B^H
        return _adjoint(_linalg_lu_solve(LU, pivots, _adjoint(B), adjoint=not adjoint))
    xp = xp_of_tensors
    P = _permutation(pivots, LU.shape[-1], LU)
    if adjoint:
        turned = _adjoint(LU)
        half = xp.solve_triangle(turned, B, upper=False)
        return xp.matmul(P, xp.solve_triangle(turned, half, upper=True, unitriangular=True))
    half = xp.solve_triangle(LU, xp.matmul(P.mT, B), upper=False, unitriangular=True)
    return xp.solve_triangle(LU, half, upper=True)


def _adjoint(x: Tensor) -> Tensor:
    return adjoint(xp_of_tensors, x)


@function("lu_solve")
def _lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """As ``linalg.lu_solve`` with the arguments in the old order.

    Example:
        >>> import chainrule as cr
        >>> cr.lu_solve(cr.ones(2, 1), *cr.linalg.lu_factor(2 * cr.eye(2)))
        tensor([[0.5000],
                [0.5000]])
    """
    return _linalg_lu_solve(LU_data, LU_pivots, b)
