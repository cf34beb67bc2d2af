"""Factorizations of Hermitian matrices: Cholesky and LDL."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.factors import (
    CholeskyInfo,
    LDPivots,
    LDPivotsInfo,
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
from chainrule.autograd.runtime import mode, tracked_node
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
