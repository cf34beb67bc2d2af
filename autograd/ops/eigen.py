"""Eigenvalues and eigenvectors, and the exponential of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.factors import Eigen
from chainrule.autograd.ops.matrices import (
    adjoint,
    check_matrix,
    conj,
    diagonal_matrix,
    diagonal_of,
    is_complex,
    is_diagonal,
    positive,
    scaled_columns,
)
from chainrule.autograd.ops.shape import matrix_transpose
from chainrule.autograd.ops.singular_values import refuse_phases
from chainrule.autograd.ops.triangular_factors import hermitian_part
from chainrule.autograd.public import function
from chainrule.autograd.runtime import mode, tracked_node
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor

# ---- Hermitian matrices ---------------------------------------------------------------------------------------------


def _gaps(xp: Any, values: Any) -> Any:
    """``values[j] - values[i]``, with ones on the diagonal."""
    n = values.shape[-1]
    gaps = xp.reshape(values, shape=(*values.shape[:-1], 1, n)) - xp.reshape(values, shape=(*values.shape, 1))
    return xp.where(is_diagonal(xp, gaps), xp.ones_like(gaps), gaps)


def _eigh_back(xp: Any, g: Any, values: Any, vectors: Any) -> Any:
    """Equal eigenvalues give inf or nan where the loss depends on their vectors, as in PyTorch."""
    of_values, of_vectors = g
    back = adjoint(xp, vectors)
    if of_vectors is None:
        return conj(xp, hermitian_part(xp, xp.matmul(scaled_columns(xp, vectors, of_values), back)))
    inner = xp.matmul(back, conj(xp, of_vectors))
    if is_complex(inner):
        refuse_phases(xp, "linalg.eigh", xp.imag(diagonal_of(xp, inner)))
    inner = inner / _gaps(xp, values)
    inner = xp.where(is_diagonal(xp, inner), xp.zeros_like(inner), inner)
    if of_values is not None:
        inner = inner + diagonal_matrix(xp, of_values)
    return conj(xp, hermitian_part(xp, xp.matmul(xp.matmul(vectors, inner), back)))


_HERMITIAN = [(3, 3), (2, 2, 2), (1, 1), (0, 0)]


@op(
    vjp={"x": _eigh_back},
    check=Samples(
        lambda rng: [Sample((positive(rng, *s),)) for s in _HERMITIAN], reference=lambda x: tuple(np.linalg.eigh(x))
    ),
    outputs=("values", "vectors"),
    missing="none",
    label="linalg.eigh",
)
def eigen_hermitian(xp, x):
    """The real eigenvalues, smallest first, and orthonormal eigenvectors of the Hermitian part of x."""
    return xp.linalg.eigh(hermitian_part(xp, x))


@op(
    vjp=None,
    check=Samples(lambda rng: [Sample((positive(rng, *s),)) for s in _HERMITIAN], reference=np.linalg.eigvalsh),
    label="linalg.eigvalsh",
)
def eigenvalues_hermitian(xp, x):
    """The eigenvalues alone, where no gradient is asked for."""
    return xp.linalg.eigvalsh(xp.astype(hermitian_part(xp, x), x.dtype))


def _one_triangle(name: str, A: Tensor, UPLO: str) -> Tensor:
    check_matrix(name, A, square=True)
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"{name}: UPLO must be 'L' or 'U', got {UPLO!r}")
    return xp_of_tensors.hermitian(A, upper=UPLO.upper() == "U")


@function("linalg.eigh")
def _eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """The eigenvalues, smallest first, and orthonormal eigenvectors (as columns) of a symmetric or Hermitian matrix.

    The gradient through the vectors exists where no two eigenvalues are equal, and where the loss does not depend on
    the signs (or phases) of the vectors.

    Args:
        UPLO: which triangle is looked at, ``"L"`` or ``"U"``.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.eigh(cr.tensor([[3.0, 0.0], [0.0, 2.0]])).eigenvalues
        tensor([2., 3.])
    """
    return Eigen(*xp_of_tensors.eigen_hermitian(_one_triangle("linalg.eigh", A, UPLO)))


@function("linalg.eigvalsh")
def _eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues, smallest first, of a symmetric or Hermitian matrix.

    Args:
        UPLO: which triangle is looked at, ``"L"`` or ``"U"``.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.eigvalsh(cr.tensor([[3.0, 0.0], [0.0, 2.0]]))
        tensor([2., 3.])
    """
    full = _one_triangle("linalg.eigvalsh", A, UPLO)
    tracked = mode.enabled and tracked_node(full) is not None
    return xp_of_tensors.eigen_hermitian(full)[0] if tracked else xp_of_tensors.eigenvalues_hermitian(full)


# ---- any square matrix ----------------------------------------------------------------------------------------------


def _eig_back(xp: Any, g: Any, values: Any, vectors: Any, x_dtype: Any) -> Any:
    """``V^-H (diag(gL) + (V^H gV - V^H V diag(Re(V^H gV))) / conj(gaps)) V^H``, for vectors of length 1."""
    of_values, of_vectors = g
    back = adjoint(xp, vectors)
    inner = None if of_values is None else diagonal_matrix(xp, conj(xp, of_values))
    if of_vectors is not None:
        product = xp.matmul(back, conj(xp, of_vectors))
        diagonal = diagonal_of(xp, product)
        phases = xp.imag(diagonal)
        if dtypes.category(x_dtype) < 3:  # a real vector of a real matrix is known but for its sign
            phases = xp.where(xp.any(xp.imag(vectors) != 0, axis=-2), phases, xp.zeros_like(phases))
        refuse_phases(xp, "linalg.eig", phases)
        product = product - scaled_columns(xp, xp.matmul(back, vectors), xp.real(diagonal))
        product = product / conj(xp, _gaps(xp, values))
        product = xp.where(is_diagonal(xp, product), xp.zeros_like(product), product)
        inner = product if inner is None else product + inner
    out = conj(xp, xp.solve_matrix(back, xp.matmul(inner, back)))
    return out if dtypes.category(x_dtype) == 3 else xp.real(out)


def _with_real_eigenvalues(rng: Any, *shape: int) -> Any:
    """Matrices whose eigenvectors are real: LAPACK then fixes them up to a sign, which small changes keep."""
    n = shape[-1]
    vectors = np.eye(n) + 0.2 * normal(rng, *shape)
    return vectors * np.arange(1.0, n + 1) @ np.linalg.inv(vectors)


@op(
    vjp={"x": _eig_back},
    check=Samples(
        lambda rng: [Sample((_with_real_eigenvalues(rng, *s),)) for s in [(3, 3), (2, 2, 2), (1, 1), (0, 0)]],
    ),
    outputs=("values", "vectors"),
    missing="none",
    label="linalg.eig",
)
def eigen(xp, x):
    """The eigenvalues and eigenvectors of any square matrix, complex."""
    return xp.linalg.eig(x)


@function("linalg.eig")
def _eig(A: Tensor) -> Eigen:
    """The eigenvalues, in no order, and eigenvectors (as columns of length 1) of a square matrix: always complex.

    The gradient through the vectors exists where no two eigenvalues are equal, and where the loss does not depend on
    the phases of the vectors; it raises RuntimeError where it does.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.eig(cr.tensor([[0.0, 1.0], [-1.0, 0.0]])).eigenvalues.imag.abs()
        tensor([1., 1.])
    """
    check_matrix("linalg.eig", A, square=True)
    return Eigen(*xp_of_tensors.eigen(A))


@function("linalg.eigvals")
def _eigvals(A: Tensor) -> Tensor:
    """The eigenvalues of a square matrix, in no order: always complex.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.eigvals(cr.tensor([[0.0, 1.0], [-1.0, 0.0]])).imag.abs()
        tensor([1., 1.])
    """
    check_matrix("linalg.eigvals", A, square=True)
    return xp_of_tensors.eigen(A)[0]


# ---- exponential ----------------------------------------------------------------------------------------------------

#: the Pade approximant of order 13 to exp, and the norm up to which it is exact in float64
_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
_EXACT = 5.37


def _exp_back(xp: Any, g: Any, x: Any) -> Any:
    """The upper right block of ``exp([[x^T, g], [0, x^T]])``."""
    turned, n = matrix_transpose(xp, x), x.shape[-1]
    top = xp.concatenate(turned, g, axis=x.ndim - 1)
    bottom = xp.concatenate(xp.zeros_like(turned), turned, axis=x.ndim - 1)
    return xp.matrix_exp(xp.concatenate(top, bottom, axis=x.ndim - 2))[..., :n, n:]


def _expm(x: Any) -> Any:
    import scipy.linalg

    return scipy.linalg.expm(x) if x.size else x


@op(
    vjp={"x": _exp_back},
    check=Samples(
        lambda rng: [
            *[Sample((normal(rng, *s),)) for s in [(3, 3), (2, 2, 2), (1, 1), (0, 0), (2, 0, 0)]],
            Sample((normal(rng, 2, 2, 2) * np.array([0.01, 8.0])[:, None, None],)),
        ],
        reference=_expm,
    ),
    label="linalg.matrix_exp",
)
def matrix_exp(xp, x):
    """The exponential of each matrix, by scaling (each matrix by its own power of 2), Pade and squaring."""
    if 0 in x.shape:
        return xp.zeros_like(x)
    norm = xp.max(xp.sum(xp.abs(x), axis=-2), axis=-1)
    norm = xp.where(xp.isfinite(norm), norm, xp.zeros_like(norm))
    halvings = xp.ceil(xp.log2(xp.maximum(norm / _EXACT, xp.ones_like(norm))))
    a = x * xp.astype(xp.pow(xp.full(norm.shape, 2.0, dtype=norm.dtype), -halvings), x.dtype)[..., None, None]
    one = xp.eye(x.shape[-1], dtype=x.dtype)
    a2 = xp.matmul(a, a)
    a4 = xp.matmul(a2, a2)
    a6 = xp.matmul(a4, a2)
    scale = 1 / _PADE[0]  # float32 would overflow on the way
    b = [c * scale for c in _PADE]
    odd = xp.matmul(a6, b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one
    odd = xp.matmul(a, odd)
    even = xp.matmul(a6, b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one
    out = xp.linalg.solve(even - odd, even + odd)[0]
    for i in range(int(xp.max(halvings))):
        out = xp.where((halvings > i)[..., None, None], xp.matmul(out, out), out)
    return out


@function("linalg.matrix_exp matrix_exp")
def _matrix_exp(A: Tensor) -> Tensor:
    """The exponential of a square matrix, or of each of a batch.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.matrix_exp(cr.tensor([[0.0, 1.0], [0.0, 0.0]]))
        tensor([[1., 1.],
                [0., 1.]])
    """
    check_matrix("linalg.matrix_exp", A, square=True)
    return xp_of_tensors.matrix_exp(A)
