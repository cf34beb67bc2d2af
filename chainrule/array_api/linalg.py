"""The standard's extension ``linalg``."""

from __future__ import annotations

from typing import Any

from chainrule.array_api.linear_algebra_functions import matmul as matmul
from chainrule.array_api.linear_algebra_functions import matrix_transpose as matrix_transpose
from chainrule.array_api.linear_algebra_functions import tensordot as tensordot
from chainrule.array_api.linear_algebra_functions import vecdot as vecdot
from chainrule.array_api.promotion import array, ours, promoted
from chainrule.array_api.statistical_functions import sum as sum_of
from chainrule.autograd import numpy_algebra
from chainrule.autograd.tensor import Tensor


def cholesky(x: Tensor, /, *, upper: bool = False) -> Tensor:
    """The lower (or upper) triangular factor of positive-definite matrices."""
    return ours("linalg.cholesky")(array("cholesky", "x", x), upper=upper)


def cross(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """Cross products of vectors of 3 elements along ``axis``; the other dimensions broadcast."""
    x, y = promoted("cross", array("cross", "x1", x1), array("cross", "x2", x2))
    if not -min(x.ndim, y.ndim) <= axis < 0:
        raise ValueError(f"cross: axis must be in [{-min(x.ndim, y.ndim)}, -1], got {axis}")
    return numpy_algebra.cross(x, y, axis=axis)


def det(x: Tensor, /) -> Tensor:
    """Determinants of square matrices."""
    return ours("linalg.det")(array("det", "x", x))


def diagonal(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """Diagonals of matrices."""
    return numpy_algebra.diagonal(array("diagonal", "x", x), offset, -2, -1)


def eigh(x: Tensor, /) -> Any:
    """``eigenvalues`` and ``eigenvectors`` of symmetric or Hermitian matrices."""
    return ours("linalg.eigh")(array("eigh", "x", x))


def eigvalsh(x: Tensor, /) -> Tensor:
    """Eigenvalues of symmetric or Hermitian matrices."""
    return ours("linalg.eigvalsh")(array("eigvalsh", "x", x))


def inv(x: Tensor, /) -> Tensor:
    """Inverses of square matrices."""
    return ours("linalg.inv")(array("inv", "x", x))


def matrix_norm(x: Tensor, /, *, keepdims: bool = False, ord: float | str | None = "fro") -> Tensor:
    """Norms of matrices: Frobenius, nuclear, or of order 1, 2, inf and their negatives."""
    kind = "fro" if ord is None else ord
    return ours("linalg.matrix_norm")(array("matrix_norm", "x", x), kind, (-2, -1), keepdims)


def matrix_power(x: Tensor, n: int, /) -> Tensor:
    """Integer powers of square matrices."""
    return ours("linalg.matrix_power")(array("matrix_power", "x", x), n)


def matrix_rank(x: Tensor, /, *, rtol: float | Tensor | None = None) -> Tensor:
    """The number of singular values above ``rtol`` times the largest."""
    return ours("linalg.matrix_rank")(array("matrix_rank", "x", x), rtol=rtol)


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """All products of the elements of two vectors."""
    x, y = promoted("outer", array("outer", "x1", x1), array("outer", "x2", x2))
    if x.ndim != 1 or y.ndim != 1:
        raise ValueError(f"outer: expected two vectors, got shapes {tuple(x.shape)} and {tuple(y.shape)}")
    return x[:, None] * y[None, :]


def pinv(x: Tensor, /, *, rtol: float | Tensor | None = None) -> Tensor:
    """Pseudo-inverses of matrices."""
    return ours("linalg.pinv")(array("pinv", "x", x), rtol=rtol)


def qr(x: Tensor, /, *, mode: str = "reduced") -> Any:
    """``Q`` and ``R`` of matrices."""
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode must be 'reduced' or 'complete', got {mode!r}")
    return ours("linalg.qr")(array("qr", "x", x), mode)


def slogdet(x: Tensor, /) -> Any:
    """``sign`` and ``logabsdet`` of square matrices."""
    return ours("linalg.slogdet")(array("slogdet", "x", x))


def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The solution of linear systems; ``x2`` is one vector, or matrices of columns."""
    a, b = promoted("solve", array("solve", "x1", x1), array("solve", "x2", x2))
    if b.ndim == 1:
        return ours("linalg.solve")(a, b[:, None])[..., 0]
    # with as many dimensions on both sides nobody takes a matrix for a batch of vectors
    missing = a.ndim - b.ndim
    b = b.reshape((1,) * missing + tuple(b.shape)) if missing > 0 else b
    return ours("linalg.solve")(a, b)


def svd(x: Tensor, /, *, full_matrices: bool = True) -> Any:
    """``U``, ``S`` and ``Vh`` of matrices."""
    return ours("linalg.svd")(array("svd", "x", x), full_matrices)


def svdvals(x: Tensor, /) -> Tensor:
    """Singular values of matrices, the largest first."""
    return ours("linalg.svdvals")(array("svdvals", "x", x))


def trace(x: Tensor, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """Sums of the diagonals of matrices."""
    return sum_of(diagonal(array("trace", "x", x), offset=offset), axis=-1, dtype=dtype)


def vector_norm(
    x: Tensor, /, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False, ord: float = 2
) -> Tensor:
    """Norms of vectors along ``axis``, or of all elements as one vector."""
    return ours("linalg.vector_norm")(array("vector_norm", "x", x), ord, axis, keepdims)
