"""Approximations of low rank by random projections."""

from __future__ import annotations

import functools

from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.factors import SVDofV
from chainrule.autograd.ops.linalg import _matmul
from chainrule.autograd.ops.matrices import adjoint, check_matrix, is_complex, real
from chainrule.autograd.ops.orthogonal_factors import _linalg_qr
from chainrule.autograd.ops.singular_values import _linalg_svd
from chainrule.autograd.public import FUNCTIONS, function
from chainrule.autograd.tensor import Tensor


def _adjoint(x: Tensor) -> Tensor:
    return adjoint(xp_of_tensors, x)


def _basis(A: Tensor, q: int, niter: int) -> Tensor:
    """Orthonormal columns that span about what A's first q left singular vectors do (Halko et al., algorithm 4.4)."""
    randn = functools.partial(FUNCTIONS["randn"], A.shape[-1], q, dtype=real(xp_of_tensors, A).dtype, device=A.device)
    start = (randn() + 1j * randn()).to(A.dtype) if is_complex(A) else randn()
    Q = _linalg_qr(_matmul(A, start)).Q
    for _ in range(niter):
        Q = _linalg_qr(_matmul(_adjoint(A), Q)).Q
        Q = _linalg_qr(_matmul(A, Q)).Q
    return Q


def _approximate(A: Tensor, q: int, niter: int) -> SVDofV:
    wide = A.shape[-2] < A.shape[-1]
    tall = _adjoint(A) if wide else A
    Q = _basis(tall, q, niter)
    inner, S, Vh = _linalg_svd(_matmul(_adjoint(Q), tall), full_matrices=False)
    U, V = _matmul(Q, inner), _adjoint(Vh)
    return SVDofV(V, S, U) if wide else SVDofV(U, S, V)


def _check_rank(name: str, A: Tensor, q: int, niter: int) -> None:
    if not 0 <= q <= min(A.shape[-2:]):
        raise ValueError(f"{name}: q must be in [0, {min(A.shape[-2:])}] for shape {tuple(A.shape)}, got {q}")
    if niter < 0:
        raise ValueError(f"{name}: niter must be 0 or more, got {niter}")


@function("svd_lowrank", method=False)
def _svd_lowrank(A: Tensor, q: int | None = 6, niter: int = 2, M: Tensor | None = None) -> SVDofV:
    """About the first ``q`` singular values and vectors of ``A`` (or ``A - M``), by random projections.

    Args:
        q: how many; a little more than the rank that is looked for.
        niter: how often the projection is refined.

    Example:
        >>> import chainrule as cr
        >>> cr.svd_lowrank(cr.ones(4, 3), q=1).S
        tensor([3.4641])
    """
    check_matrix("svd_lowrank", A)
    q = 6 if q is None else q
    _check_rank("svd_lowrank", A, q, niter)
    return _approximate(A if M is None else A - M, q, niter)


@function("pca_lowrank", method=False)
def _pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> SVDofV:
    """About the first ``q`` principal components of the rows of ``A``: the columns of V, by random projections.

    Args:
        q: how many (default: 6, or the smaller dimension).
        center: take the mean of each column off first.
        niter: how often the projection is refined.

    Example:
        >>> import chainrule as cr
        >>> cr.pca_lowrank(cr.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), q=1).V.abs()
        tensor([[0.7071],
                [0.7071]])
    """
    check_matrix("pca_lowrank", A)
    q = min(6, *A.shape[-2:]) if q is None else q
    _check_rank("pca_lowrank", A, q, niter)
    return _approximate(A - A.mean(-2, keepdim=True) if center else A, q, niter)
