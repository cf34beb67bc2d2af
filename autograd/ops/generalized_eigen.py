"""Some eigenvalues of a symmetric matrix, or of a pair of matrices, under PyTorch's name."""

from __future__ import annotations

from typing import Any

from chainrule.autograd.public import FUNCTIONS, function
from chainrule.autograd.tensor import Tensor


@function("lobpcg", method=False)
def _lobpcg(
    A: Tensor,
    k: int | None = None,
    B: Tensor | None = None,
    X: Tensor | None = None,
    n: int | None = None,
    iK: Tensor | None = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Any = None,
    ortho_iparams: Any = None,
    ortho_fparams: Any = None,
    ortho_bparams: Any = None,
) -> tuple[Tensor, Tensor]:
    """The ``k`` largest (or smallest) eigenvalues of ``A x = lambda B x`` and their eigenvectors, as columns.

    All eigenvalues are computed by :func:`chainrule.linalg.eigh`, to full precision: there are no sparse matrices
    here, for which PyTorch iterates. What steers the iteration (X, iK, niter, tol, method, ...) is accepted; ``X`` or
    ``n`` give ``k`` where it is left out.

    Args:
        A: symmetric (Hermitian) matrices, shape (..., m, m).
        k: how many eigenvalues; 1 by default.
        B: symmetric positive definite matrices of the same shape; the identity by default.
        largest: the largest ones, in descending order (default), or the smallest in ascending order.

    Raises:
        ValueError: k is not between 1 and m. LinAlgError: B is not positive definite.

    Example:
        >>> import chainrule as cr
        >>> values, vectors = cr.lobpcg(cr.diag(cr.tensor([1.0, 4.0, 2.0])), k=2)
        >>> values
        tensor([4., 2.])
    """
    m = A._data.shape[-1] if A._data.ndim > 1 else 0
    count = k if k is not None else X._data.shape[-1] if X is not None else n if n is not None else 1
    if not 1 <= count <= m:
        raise ValueError(f"lobpcg: k must be between 1 and the {m} rows of A, got {count}")
    if B is None:
        values, vectors = FUNCTIONS["linalg.eigh"](A)
    else:
        # with B = L L^H the matrix L^-1 A L^-H has the same eigenvalues
        factor = FUNCTIONS["linalg.cholesky"](B)
        solve = FUNCTIONS["linalg.solve_triangular"]
        half = solve(factor, A, upper=False)
        reduced = solve(factor, half.mH, upper=False).mH
        values, inner = FUNCTIONS["linalg.eigh"](reduced)
        vectors = solve(factor.mH, inner, upper=True)
    if largest is None or largest:
        return values.flip(-1)[..., :count], vectors.flip(-1)[..., :count]
    return values[..., :count].clone(), vectors[..., :count].clone()
