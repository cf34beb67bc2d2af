"""Cholesky, LU and LDL factorizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.factors import (
    PLU,
    CholeskyInfo,
    LDPivots,
    LDPivotsInfo,
    LUPivots,
    LUPivotsInfo,
)
from chainrule.autograd.ops.matrices import (
    adjoint,
    check_matrix,
    check_same_dtype,
    conj,
    is_diagonal,
    positive,
)
from chainrule.autograd.ops.shape import matrix_transpose
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe, mode, tracked_node, wrap
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor
from chainrule.backends.linear_algebra import LinAlgError

# ---- Hermitian matrices ---------------------------------------------------------------------------------------------


@op(
    vjp={"x": lambda xp, g: xp.multiply(g, 1)},
    # Among all matrices this is no identity; among the Hermitian ones, which is what x must be, it is. So that no
    # difference quotient leaves them, the samples are 1 x 1 (tests/test_linalg.py has larger values).
    check=Samples(
        lambda rng: [Sample((normal(rng, 2, 1, 1),), {"upper": upper}) for upper in (False, True)],
        reference=lambda x, upper: x,
    ),
    label="linalg.cholesky",
)
def hermitian(xp, x, *, upper):
    """A Hermitian matrix, of which only one triangle is looked at; the gradient is that of the whole matrix."""
    triangle = xp.triu(x) if upper else xp.tril(x)
    other = conj(xp, matrix_transpose(xp, xp.triu(x, k=1) if upper else xp.tril(x, k=-1)))
    return triangle + other


def hermitian_part(xp: Any, x: Any) -> Any:
    """``(x + x^H) / 2``: what makes a function of Hermitian matrices one of all matrices, for its derivative."""
    return (x + adjoint(xp, x)) * 0.5


# ---- Cholesky -------------------------------------------------------------------------------------------------------


def _cholesky_back(xp: Any, g: Any, factor: Any) -> Any:
    """``L^-H phi(L^H g) L^-1``, Hermitian; phi halves the diagonal of the lower triangle."""
    product = xp.tril(xp.matmul(adjoint(xp, factor), conj(xp, g)), k=0)
    phi = xp.where(is_diagonal(xp, product), product * 0.5, product)
    outer = adjoint(xp, factor)
    left = xp.solve_triangle(outer, phi, upper=True)
    return conj(xp, hermitian_part(xp, adjoint(xp, xp.solve_triangle(outer, adjoint(xp, left), upper=True))))


_DEFINITE = [(3, 3), (2, 2, 2), (1, 1), (0, 0)]


@op(
    vjp={"x": lambda xp, g, out: _cholesky_back(xp, g, out)},
    check=Samples(lambda rng: [Sample((positive(rng, *s),)) for s in _DEFINITE], reference=np.linalg.cholesky),
    label="linalg.cholesky",
)
def cholesky_factor(xp, x):
    """The lower Cholesky factor of the Hermitian part of x."""
    out, info = xp.linalg.cholesky(hermitian_part(xp, x))
    failure = xp.linalg.failure(info)
    if failure is not None:
        raise not_positive(failure)
    return out


@op(
    vjp={"x": lambda xp, g, out: _cholesky_back(xp, g, out)},
    check=Samples(
        lambda rng: [Sample((positive(rng, 2, 3, 3),))],
        reference=lambda x: (np.linalg.cholesky(x), np.zeros(x.shape[:-2])),
    ),
    outputs=("out", "info"),
    differentiable_outputs=1,
    label="linalg.cholesky_ex",
)
def cholesky_factor_ex(xp, x):
    """As ``cholesky_factor``, with the order of the first leading minor that is not positive, and without an error."""
    return xp.linalg.cholesky(hermitian_part(xp, x))


def not_positive(failure: tuple[str, int]) -> LinAlgError:
    """The error for a matrix that has no Cholesky factor."""
    batch, minor = failure
    return LinAlgError(
        f"{batch}the matrix is not positive definite: the leading minor of order {minor} is not positive"
    )


@function("linalg.cholesky cholesky")
def _cholesky(A: Tensor, upper: bool = False) -> Tensor:
    """The lower triangular ``L`` with ``A = L @ L.mH`` for a Hermitian positive definite ``A``, or a batch of them.

    Only the lower triangle of ``A`` is looked at.

    Args:
        upper: give the upper triangular ``L.mH`` and look at the upper triangle.

    Raises LinAlgError when ``A`` is not positive definite.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.cholesky(cr.tensor([[4.0, 0.0], [0.0, 9.0]]))
        tensor([[2., 0.],
                [0., 3.]])
    """
    check_matrix("linalg.cholesky", A, square=True)
    out = xp_of_tensors.cholesky_factor(xp_of_tensors.hermitian(A, upper=bool(upper)))
    return adjoint(xp_of_tensors, out) if upper else out


@function("linalg.cholesky_ex")
def _cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> CholeskyInfo:
    """As ``cholesky``, with ``info``: 0, or the order of the first leading minor that is not positive.

    Raises LinAlgError only with ``check_errors``.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.cholesky_ex(cr.zeros(2, 2)).info
        tensor(1, dtype=chainrule.int32)
    """
    check_matrix("linalg.cholesky_ex", A, square=True)
    out, info = xp_of_tensors.cholesky_factor_ex(xp_of_tensors.hermitian(A, upper=bool(upper)))
    failure = info._device.xp.linalg.failure(info._data) if check_errors else None
    if failure is not None:
        raise LinAlgError(f"linalg.cholesky_ex: {not_positive(failure)}")
    return CholeskyInfo(adjoint(xp_of_tensors, out) if upper else out, info)


# ---- LU -------------------------------------------------------------------------------------------------------------


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


# ---- LDL ------------------------------------------------------------------------------------------------------------


def refuse_gradient(name: str, *tensors: Tensor) -> None:
    """Raise where the result would have to carry a gradient that does not exist."""
    if mode.enabled and any(tracked_node(t) is not None for t in tensors):
        raise RuntimeError(f"{name}: this function has no gradient; call it on detach()ed tensors or under no_grad()")


@op(
    vjp=None,
    check=Samples(lambda rng: [Sample((positive(rng, 2, 3, 3),), {"is_hermitian": h}) for h in (False, True)]),
    outputs=("factors", "pivots", "info"),
    label="linalg.ldl_factor",
)
def ldl_compact(xp, x, *, is_hermitian):
    """LAPACK's LDL factorization of the lower triangle, its pivots, and the first zero on the diagonal of D."""
    return xp.linalg.ldl_factor(x, is_hermitian)


@op(
    vjp=None,
    check=Samples(
        lambda rng: [
            Sample(
                (2 * np.eye(2), np.array([1, 2], np.int32), normal(rng, 2, 3)),
                {"is_hermitian": False},
            )
        ],
        reference=lambda x, pivots, y, is_hermitian: y / 2,
    ),
    label="linalg.ldl_solve",
)
def ldl_solution(xp, x, pivots, y, *, is_hermitian):
    """The solution of a linear system from its LDL factorization."""
    return xp.linalg.ldl_solve(x, pivots, y, is_hermitian)


@function("linalg.ldl_factor_ex")
def _ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> LDPivotsInfo:
    """As ``ldl_factor``, with ``info``: 0, or the number of the first zero on the diagonal of D.

    Raises LinAlgError only with ``check_errors``.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.ldl_factor_ex(cr.eye(2)).info
        tensor(0, dtype=chainrule.int32)
    """
    name = "linalg.ldl_factor_ex"
    check_matrix(name, A, square=True)
    refuse_gradient(name, A)
    factors, pivots, info = xp_of_tensors.ldl_compact(A, is_hermitian=bool(hermitian))
    failure = info._device.xp.linalg.failure(info._data) if check_errors else None
    if failure is not None:
        batch, i = failure
        raise LinAlgError(f"{name}: {batch}D[{i},{i}] is zero, and using it in ldl_solve would divide by zero")
    return LDPivotsInfo(factors, pivots, info)


@function("linalg.ldl_factor")
def _ldl_factor(A: Tensor, *, hermitian: bool = False) -> LDPivots:
    """L (unit lower triangular) and D (blocks of 1 or 2) of a symmetric matrix ``A = L @ D @ L.mT``, in LAPACK's form.

    Only the lower triangle is looked at. Has no gradient.

    Args:
        hermitian: complex ``A`` is Hermitian: ``A = L @ D @ L.mH``.

    Raises LinAlgError where D is singular.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.ldl_factor(2 * cr.eye(2)).pivots
        tensor([1, 2], dtype=chainrule.int32)
    """
    return LDPivots(*_ldl_factor_ex(A, hermitian=hermitian, check_errors=True)[:2])


@function("linalg.ldl_solve")
def _ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """The solution ``X`` of ``A @ X = B``, given what ``ldl_factor(A)`` gives. Has no gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.ldl_solve(*cr.linalg.ldl_factor(2 * cr.eye(2)), cr.ones(2, 1))
        tensor([[0.5000],
                [0.5000]])
    """
    name = "linalg.ldl_solve"
    check_matrix(name, LD, "LD", square=True)
    check_matrix(name, B, "B")
    check_same_dtype(name, LD, B)
    refuse_gradient(name, LD, B)
    batch = np.broadcast_shapes(tuple(LD.shape[:-2]), tuple(B.shape[:-2]))
    LD, B = LD.expand(*batch, *LD.shape[-2:]), B.expand(*batch, *B.shape[-2:])
    pivots = pivots.expand(*batch, pivots.shape[-1])
    return xp_of_tensors.ldl_solution(LD, pivots, B, is_hermitian=bool(hermitian))
