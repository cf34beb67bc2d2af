"""The named results of factorizations and solvers, with PyTorch's names."""

from __future__ import annotations

from typing import NamedTuple

from chainrule.autograd.tensor import Tensor


class InverseInfo(NamedTuple):
    """What ``inv_ex`` gives."""

    inverse: Tensor
    info: Tensor


class ResultInfo(NamedTuple):
    """What ``solve_ex`` gives."""

    result: Tensor
    info: Tensor


class SignLogabsdet(NamedTuple):
    """What ``slogdet`` gives."""

    sign: Tensor
    logabsdet: Tensor


class CholeskyInfo(NamedTuple):
    """What ``cholesky_ex`` gives."""

    L: Tensor
    info: Tensor


class TriangularSolution(NamedTuple):
    """What ``triangular_solve`` gives."""

    solution: Tensor
    cloned_coefficient: Tensor


class LeastSquares(NamedTuple):
    """What ``lstsq`` gives."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


class QR(NamedTuple):
    """An orthogonal or unitary and an upper triangular factor."""

    Q: Tensor
    R: Tensor


class RawQR(NamedTuple):
    """What ``geqrf`` gives: Householder vectors and their factors."""

    a: Tensor
    tau: Tensor


class SVD(NamedTuple):
    """What ``linalg.svd`` gives."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class SVDofV(NamedTuple):
    """What ``torch.svd`` gives: V itself, not its adjoint."""

    U: Tensor
    S: Tensor
    V: Tensor


class Eigen(NamedTuple):
    """Eigenvalues, and eigenvectors as columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class PLU(NamedTuple):
    """Permutation, lower and upper triangular factors."""

    P: Tensor
    L: Tensor
    U: Tensor


class LUPivots(NamedTuple):
    """L and U in one matrix, and LAPACK's pivots."""

    LU: Tensor
    pivots: Tensor


class LUPivotsInfo(NamedTuple):
    """As ``LUPivots``, with what went wrong."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


class LDPivots(NamedTuple):
    """L and D in one matrix, and LAPACK's pivots."""

    LD: Tensor
    pivots: Tensor


class LDPivotsInfo(NamedTuple):
    """As ``LDPivots``, with what went wrong."""

    LD: Tensor
    pivots: Tensor
    info: Tensor
