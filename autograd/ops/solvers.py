"""Inverses and solutions of linear systems."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.factors import InverseInfo, ResultInfo, TriangularSolution
from chainrule.autograd.ops.matrices import (
    adjoint,
    broadcast_batches,
    check_matrix,
    check_same_dtype,
    regular,
)
from chainrule.autograd.ops.shape import matrix_transpose
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe, unbroadcast
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor
from chainrule.backends.linear_algebra import LinAlgError


def singular(failure: tuple[str, int]) -> LinAlgError:
    """The error for a singular matrix, from where it is and its first zero pivot."""
    batch, pivot = failure
    return LinAlgError(f"{batch}the matrix is singular: the pivot element {pivot} is zero")


# ---- inverse --------------------------------------------------------------------------------------------------------


def _inverse_back(xp: Any, g: Any, out: Any) -> Any:
    """``-matmul(matmul(matrix_transpose(out), g), matrix_transpose(out))``"""
    transposed = matrix_transpose(xp, out)
    return -xp.matmul(transposed, xp.matmul(g, transposed))


_INVERSES = Samples(
    lambda rng: [Sample((regular(rng, *s),)) for s in [(3, 3), (2, 2, 2), (1, 1), (0, 0), (0, 2, 2)]],
    reference=np.linalg.inv,
)


@op(vjp={"x": _inverse_back}, check=_INVERSES, label="linalg.inv")
def inverse(xp, x):
    """The inverse of each matrix."""
    out, info = xp.linalg.inv(x)
    failure = xp.linalg.failure(info)
    if failure is not None:
        raise singular(failure)
    return out


@op(
    vjp={"x": lambda xp, g, out: _inverse_back(xp, g, out)},
    check=Samples(
        lambda rng: [Sample((regular(rng, 2, 3, 3),))],
        reference=lambda x: (np.linalg.inv(x), np.zeros(x.shape[:-2])),
    ),
    outputs=("out", "info"),
    differentiable_outputs=1,
    label="linalg.inv_ex",
)
def inverse_ex(xp, x):
    """The inverse of each matrix (nan for a singular one), and where its first zero pivot is (from 1; 0: nowhere)."""
    return xp.linalg.inv(x)


@function("linalg.inv inverse")
def _inv(A: Tensor) -> Tensor:
    """The inverse of a square matrix, or of each of a batch.

    Raises LinAlgError for a singular matrix.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.inv(cr.tensor([[2.0, 0.0], [0.0, 4.0]]))
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    check_matrix("linalg.inv", A, square=True)
    return xp_of_tensors.inverse(A)


@function("linalg.inv_ex")
def _inv_ex(A: Tensor, *, check_errors: bool = False) -> InverseInfo:
    """The inverse, and ``info``: 0, or the number of the first zero pivot where the matrix is singular.

    Raises LinAlgError for singular matrices only with ``check_errors``.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.inv_ex(cr.zeros(2, 2)).info
        tensor(1, dtype=chainrule.int32)
    """
    check_matrix("linalg.inv_ex", A, square=True)
    out, info = xp_of_tensors.inverse_ex(A)
    _check_info("linalg.inv_ex", info, check_errors)
    return InverseInfo(out, info)


def _check_info(name: str, info: Tensor, check_errors: bool) -> None:
    failure = info._device.xp.linalg.failure(info._data) if check_errors else None
    if failure is not None:
        raise LinAlgError(f"{name}: {singular(failure)}")


# ---- solve ----------------------------------------------------------------------------------------------------------


def _solve_x(xp: Any, g: Any, x: Any, out: Any, x_shape: Any) -> Any:
    slope = xp.solve_matrix(matrix_transpose(xp, x), g)
    return unbroadcast(xp, -xp.matmul(slope, matrix_transpose(xp, out)), x_shape)


def _solve_y(xp: Any, g: Any, x: Any, y_shape: Any) -> Any:
    return unbroadcast(xp, xp.solve_matrix(matrix_transpose(xp, x), g), y_shape)


_SYSTEMS = [((3, 3), (3, 2)), ((2, 2, 2), (2, 1)), ((2, 2), (3, 2, 2)), ((0, 0), (0, 2)), ((2, 2), (2, 0))]


def _solve_on(xp: Any, x: Any, y: Any) -> Any:
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x = xp.broadcast_to(x, (*batch, *x.shape[-2:])) if x.shape[:-2] != batch else x
    y = xp.broadcast_to(y, (*batch, *y.shape[-2:])) if y.shape[:-2] != batch else y
    return xp.linalg.solve(x, y)


@op(
    vjp={"x": _solve_x, "y": _solve_y},
    check=Samples(
        lambda rng: [Sample((regular(rng, *a), normal(rng, *b))) for a, b in _SYSTEMS], reference=np.linalg.solve
    ),
    label="linalg.solve",
)
def solve_matrix(xp, x, y):
    """``z`` with ``x @ z = y``; batch dimensions broadcast."""
    out, info = _solve_on(xp, x, y)
    failure = xp.linalg.failure(info)
    if failure is not None:
        raise singular(failure)
    return out


@op(
    vjp={"x": _solve_x, "y": _solve_y},
    check=Samples(
        lambda rng: [Sample((regular(rng, *a), normal(rng, *b))) for a, b in _SYSTEMS[:2]],
        reference=lambda x, y: (np.linalg.solve(x, y), np.zeros(x.shape[:-2])),
    ),
    outputs=("out", "info"),
    differentiable_outputs=1,
    label="linalg.solve_ex",
)
def solve_matrix_ex(xp, x, y):
    """As ``solve_matrix``, with the first zero pivot of singular matrices, for which nothing is raised."""
    return _solve_on(xp, x, y)


def _solve(name: str, A: Tensor, B: Tensor, left: bool, apply: Any) -> tuple[Tensor, ...]:
    check_matrix(name, A, square=True)
    if not isinstance(B, Tensor):
        raise TypeError(f"{name}: argument 'B' must be a Tensor, got {describe(B)}")
    check_same_dtype(name, A, B)
    a, b = tuple(A._data.shape), tuple(B._data.shape)
    vector = len(b) == 1 or (len(b) == len(a) - 1 and b == a[:-1])
    if vector and not left:
        raise RuntimeError(f"{name}: left=False needs matrices in B, got the vector shape {b}")
    right_side = B.unsqueeze(-1) if vector else B
    rows = right_side.shape[-2 if left else -1]
    if rows != a[-1]:
        raise RuntimeError(f"{name}: A of shape {a} and B of shape {b} do not fit ({a[-1]} against {rows})")
    if left:
        result = apply(A, right_side)
    else:
        result = apply(A.mT, right_side.mT)
    out, *info = result if isinstance(result, tuple) else (result,)
    if vector:
        return out.squeeze(-1), *info
    return out if left else out.mT, *info


@function("linalg.solve")
def _linalg_solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The solution ``X`` of ``A @ X = B`` (``X @ A = B`` with ``left=False``); batch dimensions broadcast.

    ``B`` is a matrix, or a vector (or batch of them with the batch dimensions of ``A``).

    Raises LinAlgError for a singular matrix.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.solve(cr.tensor([[2.0, 0.0], [0.0, 4.0]]), cr.tensor([1.0, 1.0]))
        tensor([0.5000, 0.2500])
    """
    return _solve("linalg.solve", A, B, left, xp_of_tensors.solve_matrix)[0]


@function("linalg.solve_ex")
def _linalg_solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> ResultInfo:
    """As ``solve``, with ``info``: 0, or the number of the first zero pivot where ``A`` is singular.

    Raises LinAlgError for singular matrices only with ``check_errors``.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.solve_ex(cr.zeros(2, 2), cr.ones(2)).info
        tensor(1, dtype=chainrule.int32)
    """
    out, info = _solve("linalg.solve_ex", A, B, left, xp_of_tensors.solve_matrix_ex)
    _check_info("linalg.solve_ex", info, check_errors)
    return ResultInfo(out, info)


# ---- triangular systems ---------------------------------------------------------------------------------------------


def _triangle_back_x(xp: Any, g: Any, x: Any, out: Any, x_shape: Any, upper: bool, unitriangular: bool) -> Any:
    slope = xp.solve_triangle(matrix_transpose(xp, x), g, upper=not upper, unitriangular=unitriangular)
    full = unbroadcast(xp, -xp.matmul(slope, matrix_transpose(xp, out)), x_shape)
    return xp.triu(full, k=int(unitriangular)) if upper else xp.tril(full, k=-int(unitriangular))


def _triangle_back_y(xp: Any, g: Any, x: Any, y_shape: Any, upper: bool, unitriangular: bool) -> Any:
    slope = xp.solve_triangle(matrix_transpose(xp, x), g, upper=not upper, unitriangular=unitriangular)
    return unbroadcast(xp, slope, y_shape)


def _solve_triangle_reference(x: Any, y: Any, upper: bool, unitriangular: bool) -> Any:
    triangle = np.triu(x) if upper else np.tril(x)
    if unitriangular:
        triangle = triangle * (1 - np.eye(x.shape[-1])) + np.eye(x.shape[-1])
    return np.linalg.solve(triangle, y)


@op(
    vjp={"x": _triangle_back_x, "y": _triangle_back_y},
    check=Samples(
        lambda rng: [
            Sample((regular(rng, *a), normal(rng, *b)), {"upper": upper, "unitriangular": unit})
            for (a, b), upper, unit in zip(
                [*_SYSTEMS, ((3, 3), (3, 1))],
                [True, False, False, True, False, True],
                [False, False, True, True, False, True],
                strict=True,
            )
        ],
        reference=_solve_triangle_reference,
    ),
    label="linalg.solve_triangular",
)
def solve_triangle(xp, x, y, *, upper, unitriangular=False):
    """``z`` with ``T @ z = y``, where T is the upper or lower triangle of x; batch dimensions broadcast."""
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x = xp.broadcast_to(x, (*batch, *x.shape[-2:])) if x.shape[:-2] != batch else x
    y = xp.broadcast_to(y, (*batch, *y.shape[-2:])) if y.shape[:-2] != batch else y
    return xp.linalg.solve_triangular(x, y, upper, unitriangular)


@function("linalg.solve_triangular")
def _solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """The solution ``X`` of ``A @ X = B`` (``X @ A = B`` with ``left=False``), where ``A`` is triangular.

    The other triangle is not looked at, nor is the diagonal where ``unitriangular`` says it is ones. A zero on the
    diagonal is not an error: it gives inf and nan.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.solve_triangular(cr.tensor([[2.0, 0.0], [1.0, 1.0]]), cr.ones(2, 1), upper=False)
        tensor([[0.5000],
                [0.5000]])
    """
    name = "linalg.solve_triangular"
    check_matrix(name, A, square=True)
    check_matrix(name, B, "B")
    check_same_dtype(name, A, B)
    if B.shape[-2 if left else -1] != A.shape[-1]:
        raise RuntimeError(f"{name}: A and B do not fit, got {describe(A)} and {describe(B)} with left={left}")
    if left:
        return xp_of_tensors.solve_triangle(A, B, upper=bool(upper), unitriangular=bool(unitriangular))
    return xp_of_tensors.solve_triangle(A.mT, B.mT, upper=not upper, unitriangular=bool(unitriangular)).mT


@function("triangular_solve")
def _triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> TriangularSolution:
    """As ``linalg.solve_triangular`` with the arguments in the old order, and ``A`` again.

    Args:
        transpose: solve with the transpose of ``A``.

    Example:
        >>> import chainrule as cr
        >>> cr.triangular_solve(cr.ones(2, 1), cr.tensor([[2.0, 0.0], [0.0, 4.0]])).solution
        tensor([[0.5000],
                [0.2500]])
    """
    name = "triangular_solve"
    check_matrix(name, A, square=True)
    check_matrix(name, b, "b")
    check_same_dtype(name, A, b)
    full_A, b = broadcast_batches(A, b)
    matrix = full_A.mT if transpose else full_A
    solution = xp_of_tensors.solve_triangle(
        matrix, b, upper=bool(upper) != bool(transpose), unitriangular=bool(unitriangular)
    )
    return TriangularSolution(solution, xp_of_tensors.clone(full_A))


# ---- with a Cholesky factor -----------------------------------------------------------------------------------------


@function("cholesky_solve")
def _cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """The solution ``X`` of ``A @ X = B``, given the Cholesky factor of ``A`` (lower, unless ``upper``).

    Example:
        >>> import chainrule as cr
        >>> cr.cholesky_solve(cr.ones(2, 1), cr.tensor([[2.0, 0.0], [0.0, 1.0]]))
        tensor([[0.2500],
                [1.0000]])
    """
    name = "cholesky_solve"
    check_matrix(name, L, "L", square=True)
    check_matrix(name, B, "B")
    check_same_dtype(name, B, L)
    if B.shape[-2] != L.shape[-1]:
        raise RuntimeError(f"{name}: B and L do not fit, got {describe(B)} and {describe(L)}")
    xp = xp_of_tensors
    first = adjoint(xp, L) if upper else L
    half = xp.solve_triangle(first, B, upper=False)
    return xp.solve_triangle(adjoint(xp, first), half, upper=True)


@function("cholesky_inverse")
def _cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of ``A``, given its Cholesky factor (lower, unless ``upper``).

    Example:
        >>> import chainrule as cr
        >>> cr.cholesky_inverse(cr.tensor([[2.0, 0.0], [0.0, 1.0]]))
        tensor([[0.2500, 0.0000],
                [0.0000, 1.0000]])
    """
    check_matrix("cholesky_inverse", L, "L", square=True)
    one = xp_of_tensors.identity_like(L, n=L.shape[-1])
    return _cholesky_solve(one.expand(*L.shape), L, upper)


# ---- tensors as matrices --------------------------------------------------------------------------------------------


@function("linalg.tensorinv")
def _tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse for ``tensordot``: the first ``ind`` dimensions of ``A`` taken as rows, the others as columns.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.tensorinv(cr.eye(4).reshape(2, 2, 4), ind=2).shape
        (4, 2, 2)
    """
    if ind <= 0:
        raise RuntimeError(f"linalg.tensorinv: ind must be positive, got {ind}")
    shape = tuple(A._data.shape)
    rows, columns = shape[:ind], shape[ind:]
    count = int(np.prod(rows))
    if count != int(np.prod(columns)):
        raise RuntimeError(f"linalg.tensorinv: the products of {rows} and {columns} must be equal, for ind={ind}")
    return _inv(A.reshape(count, count)).reshape(*columns, *rows)


@function("linalg.tensorsolve")
def _tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    """The solution ``X`` of ``tensordot(A, X, X.ndim) = B``.

    Args:
        dims: dimensions of ``A`` that are moved to its end first.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.tensorsolve(cr.eye(6).reshape(2, 3, 6), cr.ones(2, 3)).shape
        (6,)
    """
    if dims is not None:
        moved = [d % A._data.ndim for d in dims]
        A = A.permute(*[d for d in range(A._data.ndim) if d not in moved], *moved)
    shape = tuple(A._data.shape)[B._data.ndim :]
    count = int(np.prod(shape))
    if count != B._data.size or A._data.size != count * count:
        raise RuntimeError(f"linalg.tensorsolve: A and B do not fit, got {describe(A)} and {describe(B)}")
    return _linalg_solve(A.reshape(count, count), B.reshape(count)).reshape(*shape)
