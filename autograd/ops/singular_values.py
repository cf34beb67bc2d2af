"""Singular values, and what is made of them: pseudoinverses, ranks, condition numbers and least squares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.factors import SVD, SVDofV
from chainrule.autograd.ops.matrices import (
    adjoint,
    check_matrix,
    conj,
    diagonal_matrix,
    diagonal_of,
    is_complex,
    is_diagonal,
    regular,
    scaled_columns,
    scaled_rows,
)
from chainrule.autograd.public import function
from chainrule.autograd.runtime import mode, tracked_node, wrap
from chainrule.autograd.samples import Sample, Samples
from chainrule.autograd.tensor import Tensor

# ---- the decomposition ----------------------------------------------------------------------------------------------


def _skew(xp: Any, x: Any) -> Any:
    return x - adjoint(xp, x)


def refuse_phases(xp: Any, name: str, phases: Any) -> None:
    """Vectors of a complex matrix are known up to a phase: raise where the loss depends on it."""
    if not bool(xp.all(xp.abs(phases) < 1e-2)):
        raise RuntimeError(
            f"{name}: the vectors of a complex matrix are determined up to factors of modulus 1, and the loss depends "
            f"on these factors, so its gradient is not defined"
        )


def _gaps(xp: Any, s: Any) -> Any:
    """``s[j]**2 - s[i]**2``, with ones on the diagonal."""
    squares = s * s
    n = s.shape[-1]
    gaps = xp.reshape(squares, shape=(*s.shape[:-1], 1, n)) - xp.reshape(squares, shape=(*s.shape, 1))
    return xp.where(is_diagonal(xp, gaps), xp.ones_like(gaps), gaps)


def _svd_inner(xp: Any, of_u: Any, of_s: Any, of_v: Any, s: Any) -> Any:
    """The gradient in the bases of the singular vectors."""
    inner = None
    if of_u is not None or of_v is not None:
        gaps = _gaps(xp, s)
        inner = 0
        if of_u is not None:
            inner = scaled_columns(xp, of_u / gaps, s)
        if of_v is not None:
            inner = inner + scaled_rows(xp, s, of_v / gaps)
        if of_u is not None and is_complex(of_u):
            inner = inner + diagonal_matrix(xp, diagonal_of(xp, of_u) / (s * 2))
    if of_s is None:
        return inner
    diagonal = diagonal_matrix(xp, of_s)
    return diagonal if inner is None else inner + diagonal


def _svd_back(xp: Any, g: Any, u: Any, s: Any, vh: Any) -> Any:
    """As PyTorch: the extra columns of full matrices have no gradient; equal singular values give inf or nan."""
    m, n, k = u.shape[-2], vh.shape[-1], s.shape[-1]
    gu, gs, gvh = g
    u, vh = u[..., :, :k], vh[..., :k, :]
    if gu is None and gvh is None:
        return conj(xp, xp.matmul(scaled_columns(xp, u, gs), vh))
    gu = None if gu is None else conj(xp, gu[..., :, :k])
    gvh = None if gvh is None else conj(xp, gvh[..., :k, :])
    of_u = None if gu is None else _skew(xp, xp.matmul(adjoint(xp, u), gu))
    of_v = None if gvh is None else _skew(xp, xp.matmul(vh, adjoint(xp, gvh)))
    if is_complex(u):
        phases = [diagonal_of(xp, of) for of in (of_u, of_v) if of is not None]
        refuse_phases(xp, "linalg.svd", xp.imag(phases[0] + phases[1] if len(phases) > 1 else phases[0]))
    inner = _svd_inner(xp, of_u, gs, of_v, s)
    left = xp.matmul(u, inner)
    if m > k and gu is not None:
        outside = scaled_columns(xp, gu, 1 / s)
        left = left + outside - xp.matmul(u, xp.matmul(adjoint(xp, u), outside))
    out = xp.matmul(left, vh)
    if n > k and gvh is not None:
        outside = scaled_rows(xp, 1 / s, gvh)
        out = out + xp.matmul(u, outside - xp.matmul(xp.matmul(outside, adjoint(xp, vh)), vh))
    return conj(xp, out)


@op(
    vjp={"x": _svd_back},
    check=Samples(
        lambda rng: [
            Sample((regular(rng, *s),), {"full": full})
            for s, full in [((3, 3), True), ((4, 2), False), ((2, 2, 3), False), ((1, 1), False), ((0, 2), False)]
        ],
        reference=lambda x, full: tuple(np.linalg.svd(x, full_matrices=full)),
    ),
    outputs=("u", "s", "vh"),
    missing="none",
    label="linalg.svd",
)
def svd(xp, x, *, full):
    """U, the singular values, and the adjoint of V: ``x = U @ diag(S) @ Vh``."""
    return xp.linalg.svd(x, full)


def _tracked(x: Tensor) -> bool:
    return mode.enabled and tracked_node(x) is not None


@function("linalg.svd")
def _linalg_svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> SVD:
    """``A = U @ diag(S) @ Vh`` with orthonormal columns in U and rows in Vh, and S largest first.

    The gradient through U and Vh exists where no two singular values are equal, and where the loss does not depend on
    the signs (or phases) of the vectors, nor on the columns that complete full matrices.

    Args:
        full_matrices: square U and Vh; else only as many vectors as there are singular values.
        driver: for CUDA in PyTorch; without effect here.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.svd(cr.tensor([[3.0, 0.0], [0.0, -4.0]])).S
        tensor([4., 3.])
    """
    check_matrix("linalg.svd", A)
    return SVD(*xp_of_tensors.svd(A, full=bool(full_matrices)))


@function("svd")
def _svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> SVDofV:
    """As :func:`linalg.svd`, but V and not its adjoint; with ``compute_uv=False`` zeros in the place of both.

    Example:
        >>> import chainrule as cr
        >>> cr.svd(cr.tensor([[3.0, 0.0], [0.0, -4.0]])).S
        tensor([4., 3.])
    """
    check_matrix("svd", input, "input")
    if compute_uv:
        u, s, vh = xp_of_tensors.svd(input, full=not some)
        return SVDofV(u, s, adjoint(xp_of_tensors, vh))
    m, n = input.shape[-2:]
    zeros = input._device.xp.zeros
    batch, dtype = tuple(input._data.shape[:-2]), input._data.dtype
    made = [wrap(zeros((*batch, size, size), dtype=dtype), input._device) for size in (m, n)]
    return SVDofV(made[0], _svdvals(input), made[1])


@op(
    vjp=None,
    check=Samples(
        lambda rng: [Sample((regular(rng, *s),)) for s in [(3, 3), (2, 4, 2), (0, 2)]],
        reference=lambda x: np.linalg.svd(x, compute_uv=False) if x.size else np.zeros(0),
    ),
    label="linalg.svdvals",
)
def singular_values(xp, x):
    """The singular values alone, where no gradient is asked for."""
    return xp.linalg.svdvals(x)


@function("linalg.svdvals")
def _svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values, largest first.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.svdvals(cr.tensor([[3.0, 0.0], [0.0, -4.0]]))
        tensor([4., 3.])
    """
    check_matrix("linalg.svdvals", A)
    return xp_of_tensors.svd(A, full=False)[1] if _tracked(A) else xp_of_tensors.singular_values(A)


# ---- pseudoinverse --------------------------------------------------------------------------------------------------


def _pinv_back(xp: Any, g: Any, x: Any, out: Any) -> Any:
    """The rule of Golub and Pereyra, for matrices whose rank does not change."""
    g_adj, x_adj_inv = adjoint(xp, conj(xp, g)), adjoint(xp, out)
    if x.shape[-2] <= x.shape[-1]:
        k = xp.matmul(g_adj, out)
        both = xp.matmul(k, x_adj_inv)
        result = both - adjoint(xp, xp.matmul(out, k)) - xp.matmul(xp.matmul(x, out), both)
        result = result + xp.matmul(xp.matmul(x_adj_inv, out), g_adj - xp.matmul(k, x))
    else:
        k = xp.matmul(out, g_adj)
        both = xp.matmul(x_adj_inv, k)
        result = both - adjoint(xp, xp.matmul(k, out)) - xp.matmul(xp.matmul(both, out), x)
        result = result + xp.matmul(xp.matmul(g_adj - xp.matmul(x, k), out), x_adj_inv)
    return conj(xp, result)


@op(
    vjp={"x": lambda xp, g, x, out: _pinv_back(xp, g, x, out)},
    check=Samples(
        lambda rng: [
            Sample((regular(rng, *s),), {"cutoff": (0.0, 1e-12)}) for s in [(3, 3), (4, 2), (2, 2, 3), (0, 2), (2, 0)]
        ],
        reference=lambda x, cutoff: np.linalg.pinv(x) if x.size else np.swapaxes(x, -1, -2),
    ),
    label="linalg.pinv",
)
def pseudo_inverse(xp, x, *, cutoff):
    """The pseudoinverse; singular values up to the cutoff (absolute, and relative to the largest) count as 0."""
    u, s, vh = xp.linalg.svd(x, False)
    if not s.shape[-1]:
        return xp.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), dtype=x.dtype)
    kept = s > threshold(xp, s, cutoff)
    factors = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
    return xp.matmul(scaled_columns(xp, adjoint(xp, vh), factors), adjoint(xp, u))


def threshold(xp: Any, s: Any, cutoff: tuple[Any, Any]) -> Any:
    """The larger of the absolute and the relative cutoff, for each matrix: (..., 1), or a number."""
    atol, rtol = cutoff
    top = xp.max(s, axis=-1, keepdims=True)
    absolute = atol[..., None] if hasattr(atol, "ndim") else xp.full(top.shape, atol, dtype=s.dtype)
    relative = (rtol[..., None] if hasattr(rtol, "ndim") else rtol) * top
    return xp.maximum(absolute, relative)


def _cutoff(A: Tensor, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """The tolerances as numbers or arrays: without any, the precision of the dtype times the larger dimension."""
    default = max(A.shape[-2:]) * float(A._device.xp.finfo(A._data.dtype).eps)
    given = [t._data if isinstance(t, Tensor) else t for t in (atol, rtol)]
    absolute, relative = given
    if relative is None:
        if absolute is None:
            relative = default
        elif hasattr(absolute, "ndim"):
            xp = A._device.xp
            relative = xp.where(absolute > 0, xp.zeros_like(absolute), xp.full(absolute.shape, default))
        else:
            relative = 0.0 if absolute > 0 else default
    return 0.0 if absolute is None else absolute, relative


@function("linalg.pinv")
def _pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """The pseudoinverse (Moore-Penrose) of a matrix, or of each of a batch.

    Args:
        atol, rtol: singular values up to ``max(atol, rtol * the largest)`` count as 0; numbers, or tensors with one
            for each matrix. By default ``rtol`` is the precision of the dtype times the larger dimension, or 0 where
            ``atol`` is given.
        rcond: an older name of ``rtol``.
        hermitian: only the lower triangle of a Hermitian ``A`` is looked at.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.pinv(cr.tensor([[2.0, 0.0], [0.0, 0.0]]))
        tensor([[0.5000, 0.0000],
                [0.0000, 0.0000]])
    """
    check_matrix("linalg.pinv", A, square=hermitian)
    if hermitian:
        A = xp_of_tensors.hermitian(A, upper=False)
    return xp_of_tensors.pseudo_inverse(A, cutoff=_cutoff(A, atol, rcond if rtol is None else rtol))


@function("pinverse")
def _pinverse(input: Tensor, rcond: Any = 1e-15) -> Tensor:
    """As :func:`linalg.pinv`, with another default.

    Example:
        >>> import chainrule as cr
        >>> cr.pinverse(2 * cr.eye(2))
        tensor([[0.5000, 0.0000],
                [0.0000, 0.5000]])
    """
    return _pinv(input, rcond)


@function("linalg.matrix_rank")
def _matrix_rank(A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """How many singular values are above the tolerance; see :func:`linalg.pinv`. Has no gradient.

    Args:
        tol: an absolute tolerance alone.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.matrix_rank(cr.ones(3, 3))
        tensor(1)
    """
    check_matrix("linalg.matrix_rank", A, square=hermitian)
    A = A.detach()
    if hermitian:
        A = xp_of_tensors.hermitian(A, upper=False)
    cutoff = _cutoff(A, atol, rtol) if tol is None else (tol._data if isinstance(tol, Tensor) else tol, 0.0)
    xp, s = A._device.xp, xp_of_tensors.singular_values(A)._data
    if not s.shape[-1]:
        return wrap(xp.zeros(s.shape[:-1], dtype=np.int64), A._device)
    return wrap(xp.sum(xp.astype(s > threshold(xp, s, cutoff), np.int64), axis=-1), A._device)


# ---- condition ------------------------------------------------------------------------------------------------------


@function("linalg.cond")
def _cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number: the norm of the matrix times that of its inverse; inf for a singular matrix.

    Args:
        p: the norm: None or 2 and -2 (ratios of singular values), ``"fro"``, ``"nuc"``, inf, -inf, 1, -1.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.cond(cr.tensor([[4.0, 0.0], [0.0, 2.0]]))
        tensor(2.)
    """
    from chainrule.autograd.ops.norms import matrix_norm

    check_matrix("linalg.cond", A, square=p not in (None, 2, -2))
    xp = xp_of_tensors
    if 0 in A.shape[-2:]:
        dtype = A._device.xp.linalg.svdvals(A._data).dtype
        return wrap(A._device.xp.zeros(A._data.shape[:-2], dtype=dtype), A._device)
    if p in (None, 2, -2):
        s = _svdvals(A)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    inverse, info = xp.inverse_ex(A)
    is_singular = info != 0
    inverse = xp.where(is_singular[..., None, None], xp.zeros_like(inverse), inverse)  # not nan
    product = matrix_norm("linalg.cond", A, p) * matrix_norm("linalg.cond", inverse, p)
    return xp.where(is_singular, xp.ones_like(product) * math.inf, product)
