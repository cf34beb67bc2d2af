"""Norms of vectors and matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops import singular_values
from chainrule.autograd.ops.matrices import check_floating, conj, is_complex
from chainrule.autograd.ops.reduction import keep_dims, normal_axes, public_axis
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.runtime import cast
from chainrule.autograd.samples import Reduction
from chainrule.autograd.tensor import Tensor


def _norm_back(xp: Any, g: Any, x: Any, out: Any, axis: Any, keepdims: bool) -> Any:
    """``g * x / out``"""
    zero = out == 0  # the subgradient of the norm at 0 is 0
    slope = xp.where(zero, xp.zeros_like(g), g / xp.where(zero, xp.ones_like(out), out))
    return conj(xp, x) * keep_dims(xp, slope, x.shape, axis, keepdims)


@op(
    vjp={"x": _norm_back},
    check=Reduction(
        0.5, 2.0, reference=lambda x, axis=None, keepdims=False: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))
    ),
    label="norm",
)
def euclidean_norm(xp, x, *, axis=None, keepdims=False):
    """Square root of the sum of squares; its gradient at 0 is 0."""
    squares = xp.square(xp.real(x)) + xp.square(xp.imag(x)) if is_complex(x) else x * x
    return xp.sqrt(xp.sum(squares, axis=axis, keepdims=keepdims))


def _root_of_powers(size: Tensor, p: float, keep: dict[str, Any]) -> Tensor:
    """``sum(size ** p) ** (1 / p)`` with the gradient 0 where size is 0, or where all of it is."""
    xp = xp_of_tensors
    if p < 1:  # the slope of |x|**p at 0 is infinite; the subgradient taken is 0
        size = xp.where(size == 0, xp.zeros_like(size), size)
    total = xp.sum(xp.power_by_number(size, exponent=p), **keep)
    zero = total == 0
    root = xp.power_by_number(xp.where(zero, xp.ones_like(total), total), exponent=1.0 / p)
    return xp.where(zero, xp.zeros_like(root), root)


def vector_norm(name: str, x: Tensor, p: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The p-norm over the given axes, of real or complex elements."""
    check_floating(name, x, "input")
    if isinstance(p, bool) or not isinstance(p, (int, float)):
        raise RuntimeError(f"{name}: the order of a vector norm must be a number, inf or -inf, got {p!r}")
    half = x._data.dtype
    if half.itemsize == 2 and p != 2:  # powers and sums of 2-byte floats would overflow
        return cast(vector_norm(name, cast(x, np.dtype(np.float32)), p, axis, keepdims), half)
    keep: dict[str, Any] = {"axis": axis, "keepdims": keepdims}
    xp = xp_of_tensors
    if p == 2:
        return xp.euclidean_norm(x, **keep)
    size = xp.abs(x)
    if (p < 0 or p == math.inf) and 0 in [x.shape[a] for a in normal_axes(axis, x._data.ndim)]:
        raise RuntimeError(f"{name}: the norm of order {p} of nothing is not defined, got shape {tuple(x.shape)}")
    if p == math.inf:
        return xp.max(size, **keep)
    if p == -math.inf:
        return xp.min(size, **keep)
    if p == 0:
        return xp.sum(xp.abs(xp.sign(size)), **keep)
    return xp.sum(size, **keep) if p == 1 else _root_of_powers(size, p, keep)


def _two_dims(name: str, A: Tensor, dim: Any) -> tuple[int, int]:
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise RuntimeError(f"{name}: a matrix norm needs two dimensions, got dim={dim!r}")
    if A._data.ndim < 2:
        raise RuntimeError(f"{name}: expected at least 2 dimensions, got shape {tuple(A.shape)}")
    rows, columns = (normal_axis(name, d, A._data.ndim) for d in dim)
    if rows == columns:
        raise RuntimeError(f"{name}: the two dimensions must differ, got dim={tuple(dim)}")
    return rows, columns


def matrix_norm(name: str, A: Tensor, p: Any, dim: Any = (-2, -1), keepdims: bool = False) -> Tensor:
    """The norm of the matrices that two dimensions make."""
    check_floating(name, A)
    rows, columns = _two_dims(name, A, dim)
    if p == "fro":
        return vector_norm(name, A, 2, (rows, columns), keepdims)
    if p in ("nuc", 2, -2):
        others = [d for d in range(A._data.ndim) if d not in (rows, columns)]
        s = singular_values._svdvals(xp_of_tensors.permute_dims(A, axes=(*others, rows, columns)))
        last = s._data.ndim - 1
        out = xp_of_tensors.sum(s, axis=last) if p == "nuc" else _extreme(name, s, p, last)
        if keepdims:
            shape = tuple([1 if d in (rows, columns) else n for d, n in enumerate(A.shape)])
            out = xp_of_tensors.reshape(out, shape=shape)
        return out
    if isinstance(p, bool) or p not in (1, -1, math.inf, -math.inf):
        raise RuntimeError(f"{name}: a matrix norm must be 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2, got {p!r}")
    summed, chosen = (rows, columns) if abs(p) == 1 else (columns, rows)
    out = _extreme(name, vector_norm(name, A, 1, summed, True), p, chosen, True)
    return out if keepdims else xp_of_tensors.reshape(out, shape=_without(tuple(A.shape), (rows, columns)))


def _extreme(name: str, sizes: Tensor, p: float, axis: int, keepdims: bool = False) -> Tensor:
    """The largest of sizes that are not negative, which is 0 of none, or for a negative order the smallest."""
    if sizes.shape[axis]:
        return (xp_of_tensors.max if p > 0 else xp_of_tensors.min)(sizes, axis=axis, keepdims=keepdims)
    if p < 0:
        raise RuntimeError(f"{name}: the norm of order {p} of nothing is not defined, got shape {tuple(sizes.shape)}")
    return xp_of_tensors.sum(sizes, axis=axis, keepdims=keepdims)


def _without(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([n for d, n in enumerate(shape) if d not in dims])


def _in_dtype(name: str, x: Tensor, dtype: Any) -> Tensor:
    if dtype is None:
        return x
    to = dtypes.as_dtype(dtype).dtype
    if dtypes.category(to) < 2 or dtypes.promote(x._data.dtype, to) != to:
        raise RuntimeError(f"{name}: dtype must be a floating-point dtype that holds all of {x.dtype}, got {dtype}")
    return cast(x, to)


@function("linalg.vector_norm")
def _vector_norm(x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The norm of all elements as one vector, or over the dimensions ``dim``.

    Args:
        ord: any number (0 counts the elements that are not 0), inf or -inf.

    Raises RuntimeError for the order inf, or a negative one, of nothing.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.vector_norm(cr.tensor([3.0, -4.0]), 1)
        tensor(7.)
    """
    name = "linalg.vector_norm"
    return vector_norm(name, _in_dtype(name, x, dtype), ord, public_axis(name, dim, x._data.ndim), bool(keepdim))


@function("linalg.matrix_norm")
def _matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm of the matrices that the two dimensions ``dim`` make.

    Args:
        ord: ``"fro"``, ``"nuc"`` (the sum of the singular values), 2 and -2 (the largest and the smallest), 1 and -1
            (largest and smallest column sum), inf and -inf (row sum).

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.matrix_norm(cr.tensor([[1.0, -2.0], [3.0, 4.0]]), 1)
        tensor(6.)
    """
    name = "linalg.matrix_norm"
    return matrix_norm(name, _in_dtype(name, A, dtype), ord, dim, bool(keepdim))


@function("linalg.norm")
def _linalg_norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """A vector norm over one dimension, a matrix norm over two; without ``ord`` the 2-norm over all in ``dim``.

    Without ``dim`` a 1-d tensor is a vector and a 2-d one a matrix, if ``ord`` is given.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.norm(cr.tensor([[3.0, 0.0], [0.0, 4.0]]), "nuc")
        tensor(7.)
    """
    name = "linalg.norm"
    A = _in_dtype(name, A, dtype)
    if ord is None:
        return vector_norm(name, A, 2, public_axis(name, dim, A._data.ndim), bool(keepdim))
    if dim is None:
        if A._data.ndim not in (1, 2):
            raise RuntimeError(f"{name}: with ord and without dim, expected 1 or 2 dimensions, got {tuple(A.shape)}")
        dim = tuple(range(A._data.ndim))
    dims = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    if len(dims) == 1:
        return vector_norm(name, A, ord, public_axis(name, dims, A._data.ndim), bool(keepdim))
    return matrix_norm(name, A, ord, dims, bool(keepdim))


@function("norm")
def _norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    *,
    axis: Any = NOT_GIVEN,
    keepdims: Any = NOT_GIVEN,
) -> Tensor:
    """The p-norm of all elements as one vector, or over the dimensions ``dim``.

    Args:
        p: ``"fro"`` (the same as 2), a number, inf or -inf, or ``"nuc"``, the sum of the singular values of a matrix.

    Example:
        >>> import chainrule as cr
        >>> cr.norm(cr.tensor([3.0, 4.0]))
        tensor(5.)
    """
    input = _in_dtype("norm", input, dtype)
    dim = dim if axis is NOT_GIVEN else axis
    keep = bool(keepdim if keepdims is NOT_GIVEN else keepdims)
    if p == "nuc":
        return matrix_norm("norm", input, "nuc", (-2, -1) if dim is None or dim == () else dim, keep)
    order = 2 if p is None or p == "fro" else p
    return vector_norm("norm", input, order, public_axis("norm", dim, input._data.ndim), keep)


@function("frobenius_norm", method=False)
def _frobenius_norm(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The square root of the sum of squares of all elements, or over the dimensions ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.frobenius_norm(cr.tensor([[3.0, 4.0]]))
        tensor(5.)
    """
    return vector_norm("frobenius_norm", input, 2, public_axis("frobenius_norm", dim, input._data.ndim), bool(keepdim))


@function("nuclear_norm", method=False)
def _nuclear_norm(input: Tensor, dim: Any = (-2, -1), keepdim: bool = False) -> Tensor:
    """The sum of the singular values of a matrix, or of the matrices that two dimensions make.

    Example:
        >>> import chainrule as cr
        >>> cr.nuclear_norm(cr.tensor([[3.0, 0.0], [0.0, 4.0]]))
        tensor(7.)
    """
    if isinstance(dim, bool):  # nuclear_norm(input, keepdim)
        dim, keepdim = (-2, -1), dim
    return matrix_norm("nuclear_norm", input, "nuc", dim, bool(keepdim))
