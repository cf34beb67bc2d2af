"""QR, and products of Householder reflections."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.factors import QR, RawQR
from chainrule.autograd.ops.matrices import (
    adjoint,
    check_matrix,
    check_same_dtype,
    conj,
    is_diagonal,
    regular,
    scaled_rows,
)
from chainrule.autograd.ops.triangular_factors import refuse_gradient
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe
from chainrule.autograd.samples import Sample, Samples
from chainrule.autograd.tensor import Tensor

# ---- QR -------------------------------------------------------------------------------------------------------------


def _qr_back(xp: Any, g: Any, q: Any, r: Any) -> Any:
    """``(gQ + Q sym(triu(gR R^H - Q^H gQ))) R^-H`` for at least as many rows as columns."""
    gq, gr = conj(xp, g[0]), conj(xp, g[1])
    inner = xp.triu(xp.matmul(gr, adjoint(xp, r)) - xp.matmul(adjoint(xp, q), gq), k=0)
    both = inner + adjoint(xp, inner)
    both = xp.where(is_diagonal(xp, both), both * 0.5, both)
    right = gq + xp.matmul(q, both)
    return conj(xp, adjoint(xp, xp.solve_triangle(r, adjoint(xp, right), upper=True)))


@op(
    vjp={"x": _qr_back},
    check=Samples(
        lambda rng: [Sample((regular(rng, *s),)) for s in [(3, 3), (4, 2), (2, 3, 2), (1, 1), (3, 0)]],
        reference=lambda x: tuple(np.linalg.qr(x)),
    ),
    outputs=("q", "r"),
    label="linalg.qr",
)
def qr_reduced(xp, x):
    """Q with orthonormal columns and R upper triangular, of matrices with at least as many rows as columns."""
    return xp.linalg.qr(x, "reduced")


def _qr_complete_back(xp: Any, g: Any, q: Any, r: Any) -> Any:
    if q.shape[-1] != r.shape[-1]:
        raise RuntimeError(
            "linalg.qr: with mode='complete' and more rows than columns the columns that complete Q are arbitrary and "
            "have no gradient; use mode='reduced'"
        )
    return _qr_back(xp, g, q, r)


@op(
    vjp={"x": _qr_complete_back},
    check=Samples(
        lambda rng: [Sample((regular(rng, 3, 3),))],
        reference=lambda x: tuple(np.linalg.qr(x, "complete")),
    ),
    outputs=("q", "r"),
    label="linalg.qr",
)
def qr_complete(xp, x):
    """As ``qr_reduced`` with a square Q; it has a gradient for square matrices."""
    return xp.linalg.qr(x, "complete")


@function("linalg.qr")
def _linalg_qr(A: Tensor, mode: str = "reduced") -> QR:
    """``A = Q @ R`` with orthonormal columns in Q and an upper triangular R.

    Args:
        mode: ``"reduced"``; ``"complete"`` for a square Q (which has no gradient if A has more rows than columns);
            ``"r"`` for R alone, with an empty Q.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.qr(cr.tensor([[-2.0, 1.0], [0.0, -3.0]])).R.abs()
        tensor([[2., 1.],
                [0., 3.]])
    """
    check_matrix("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"linalg.qr: mode must be 'reduced', 'complete' or 'r', got {mode!r}")
    m, n = A.shape[-2:]
    xp = xp_of_tensors
    if m > n and mode == "complete":
        return QR(*xp.qr_complete(A))
    if m >= n:
        q, r = xp.qr_reduced(A)
    else:  # the columns to the right of the square part are linear in it
        q, r = xp.qr_reduced(A[..., :m])
        r = xp.concatenate(r, xp.matmul(adjoint(xp, q), A[..., m:]), axis=A._data.ndim - 1)
    return QR(q if mode != "r" else xp.reshape(q.detach(), shape=(q._data.size,))[:0], r)


@function("qr")
def _qr(input: Tensor, some: bool = True) -> QR:
    """As :func:`linalg.qr`; ``some=False`` is ``mode="complete"``.

    Example:
        >>> import chainrule as cr
        >>> cr.qr(cr.ones(3, 2)).Q.shape
        (3, 2)
    """
    return _linalg_qr(input, "reduced" if some else "complete")


# ---- Householder reflections ----------------------------------------------------------------------------------------


@op(
    vjp=None,
    check=Samples(lambda rng: [Sample((regular(rng, *s),)) for s in [(3, 3), (2, 4, 2), (2, 3), (0, 2)]]),
    outputs=("factors", "tau"),
    label="geqrf",
)
def raw_qr(xp, x):
    """LAPACK's compact QR: R and the Householder vectors in one matrix, and their factors."""
    return xp.linalg.geqrf(x)


@function("geqrf")
def _geqrf(input: Tensor) -> RawQR:
    """QR in LAPACK's compact form, for ``householder_product`` and ``ormqr``. Has no gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.geqrf(cr.ones(3, 2)).tau.shape
        (2,)
    """
    check_matrix("geqrf", input, "input")
    refuse_gradient("geqrf", input)
    return RawQR(*xp_of_tensors.raw_qr(input))


def _reflections(name: str, A: Tensor, tau: Tensor) -> tuple[Tensor, Any]:
    """V and ``T^H`` or ``T`` times a matrix, where ``H_1 ... H_k = I - V T V^H`` (the compact WY form).

    ``T = (I + diag(tau) striu(V^H V))^-1 diag(tau)``, which is right for tau = 0 too.
    """
    check_matrix(name, A, "input")
    check_same_dtype(name, A, tau)
    m, k = A.shape[-2], tau.shape[-1]
    if tau._data.ndim != A._data.ndim - 1 or k > min(m, A.shape[-1]):
        raise RuntimeError(f"{name}: expected tau (..., K) with K <= M, N, got {describe(A)} and {describe(tau)}")
    xp = xp_of_tensors
    below = xp.tril(A[..., :k], k=-1)
    one = xp.identity_like(A, n=m)[:, :k]
    V = below + one
    coupling = scaled_rows(xp, tau, xp.triu(xp.matmul(adjoint(xp, V), V), k=1))

    def times(x: Tensor, transposed: bool) -> Tensor:
        if transposed:
            half = xp.solve_triangle(adjoint(xp, coupling), x, upper=False, unitriangular=True)
            return scaled_rows(xp, conj(xp, tau), half)
        return xp.solve_triangle(coupling, scaled_rows(xp, tau, x), upper=True, unitriangular=True)

    return V, times


@function("linalg.householder_product orgqr")
def _householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """The first columns of the product of the reflections that ``geqrf`` gives: Q of a QR factorization.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.householder_product(*cr.geqrf(cr.tensor([[3.0], [4.0]]))).abs()
        tensor([[0.6000],
                [0.8000]])
    """
    V, times = _reflections("linalg.householder_product", A, tau)
    if A.shape[-1] > A.shape[-2]:
        raise RuntimeError(f"linalg.householder_product: expected at least as many rows as columns, got {describe(A)}")
    xp = xp_of_tensors
    columns = xp.identity_like(A, n=A.shape[-2])[:, : A.shape[-1]]
    return columns - xp.matmul(V, times(xp.matmul(adjoint(xp, V), columns), False))


@function("ormqr")
def _ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    """The product of Q, which ``geqrf`` gives as reflections, and ``other``.

    Args:
        left: ``Q @ other``; else ``other @ Q``.
        transpose: with the conjugate transpose of Q.

    Example:
        >>> import chainrule as cr
        >>> cr.ormqr(*cr.geqrf(cr.tensor([[3.0], [4.0]])), cr.eye(2)).shape
        (2, 2)
    """
    check_matrix("ormqr", other, "other")
    check_same_dtype("ormqr", input, other)
    if other.shape[-2 if left else -1] != input.shape[-2]:
        raise RuntimeError(f"ormqr: input and other do not fit, got {describe(input)} and {describe(other)}")
    V, times = _reflections("ormqr", input, tau)
    xp = xp_of_tensors
    if left:
        return other - xp.matmul(V, times(xp.matmul(adjoint(xp, V), other), transpose))
    return other - xp.matmul(xp.matmul(other, V), times(adjoint(xp, V), transpose))
