"""Diagonals: reading them, writing them, and matrices made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import OPS, op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.indexing import setitem
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import function, method_only
from chainrule.autograd.runtime import cast, describe, wrap
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


def _diagonal_samples(rng: Any) -> Any:
    for offset in (0, 1, -1, 3):
        yield Sample((normal(rng, 3, 4),), {"offset": offset, "axis1": 0, "axis2": 1})
    yield Sample((normal(rng, 2, 3, 4),), {"offset": 0, "axis1": 2, "axis2": 0})


@op(
    vjp={
        "x": lambda xp, g, x_shape, offset, axis1, axis2: xp.from_diagonal(
            g, shape=x_shape, offset=offset, axis1=axis1, axis2=axis2
        )
    },
    check=Samples(_diagonal_samples, reference=lambda x, offset, axis1, axis2: np.diagonal(x, offset, axis1, axis2)),
    view=True,
)
def diagonal(xp, x, *, offset, axis1, axis2):
    """The diagonals of the matrices in two dimensions, as the last dimension; a view."""
    return xp.diagonal_view(x, offset, axis1, axis2)


def _from_diagonal_samples(rng: Any) -> Any:
    yield Sample((normal(rng, 3),), {"shape": (3, 4), "offset": 0, "axis1": 0, "axis2": 1})
    yield Sample((normal(rng, 2, 3),), {"shape": (4, 2, 3), "offset": -1, "axis1": 0, "axis2": 2})


def _from_diagonal_reference(x: Any, shape: Any, offset: int, axis1: int, axis2: int) -> Any:
    out = np.zeros(shape)
    rows = np.arange(x.shape[-1]) + max(-offset, 0)
    np.moveaxis(out, (axis1, axis2), (-2, -1))[..., rows, np.arange(x.shape[-1]) + max(offset, 0)] = x
    return out


@op(
    vjp={
        "x": lambda xp, g, offset, axis1, axis2: xp.diagonal(g, offset=offset, axis1=axis1, axis2=axis2),
    },
    check=Samples(_from_diagonal_samples, reference=_from_diagonal_reference),
    arithmetic=False,
    label="diag_embed",
)
def from_diagonal(xp, x, *, shape, offset, axis1, axis2):
    """Zeros of the given shape with the last dimension of ``x`` on a diagonal."""
    rest = [i for i in range(len(shape)) if i not in (axis1, axis2)]
    rows, columns, count = shape[axis1], shape[axis2], x.shape[-1]
    # in a flattened matrix a diagonal is every (columns + 1)-th element
    first = offset if offset >= 0 else -offset * columns
    last = first + (count - 1) * (columns + 1) + 1 if count else first
    out = xp.zeros((*[shape[i] for i in rest], rows * columns), dtype=x.dtype)
    out[..., slice(first, last, columns + 1)] = x
    out = xp.reshape(out, (*[shape[i] for i in rest], rows, columns))
    order = [*rest, axis1, axis2]
    return xp.permute_dims(out, tuple([order.index(i) for i in range(len(shape))]))


def _two_axes(caller: str, ndim: int, dim1: Any, dim2: Any) -> tuple[int, int]:
    a, b = normal_axis(caller, dim1, ndim, "dim1"), normal_axis(caller, dim2, ndim, "dim2")
    if a == b or ndim < 2:
        raise RuntimeError(f"{caller}: dim1 and dim2 must be two dimensions, got {dim1} and {dim2} of {ndim}")
    return a, b


@function("diagonal")
def _diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonals of the matrices in ``dim1`` and ``dim2``, as the last dimension; a view.

    Args:
        offset: which diagonal: 0 is the main one, 1 the one above it, -1 the one below.

    Example:
        >>> import chainrule as cr
        >>> cr.diagonal(cr.tensor([[1, 2], [3, 4]]))
        tensor([1, 4])
    """
    a, b = _two_axes("diagonal", input._data.ndim, dim1, dim2)
    return xp_of_tensors.diagonal(input, offset=int(offset), axis1=a, axis2=b)


@function("diag_embed")
def _diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices of zeros, in the new dimensions ``dim1`` and ``dim2``, with the last dimension on a diagonal.

    Example:
        >>> import chainrule as cr
        >>> cr.diag_embed(cr.tensor([1, 2]))
        tensor([[1, 0],
                [0, 2]])
    """
    shape = input._data.shape
    if not shape:
        raise RuntimeError("diag_embed: expected at least 1 dimension, got a 0-d tensor")
    a, b = _two_axes("diag_embed", len(shape) + 1, dim1, dim2)
    full = list(shape[:-1])
    for axis in sorted((a, b)):
        full.insert(axis, shape[-1] + abs(int(offset)))
    return xp_of_tensors.from_diagonal(input, shape=tuple(full), offset=int(offset), axis1=a, axis2=b)


@function("diag")
def _diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The matrix with a vector on a diagonal, or a copy of a diagonal of a matrix.

    Raises RuntimeError for more than two dimensions.

    Example:
        >>> import chainrule as cr
        >>> cr.diag(cr.tensor([1, 2]))
        tensor([[1, 0],
                [0, 2]])
        >>> cr.diag(cr.tensor([[1, 2], [3, 4]]))
        tensor([1, 4])
    """
    if input._data.ndim not in (1, 2):
        raise RuntimeError(f"diag: expected a vector or a matrix, got shape {tuple(input.shape)}")
    if input._data.ndim == 1:
        return _diag_embed(input, diagonal)
    return xp_of_tensors.clone(_diagonal(input, diagonal))


@function("diagflat")
def _diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with all elements, in order, on a diagonal.

    Example:
        >>> import chainrule as cr
        >>> cr.diagflat(cr.tensor([[1, 2]]), 1)
        tensor([[0, 1, 0],
                [0, 0, 2],
                [0, 0, 0]])
    """
    return _diag_embed(xp_of_tensors.reshape(input, shape=(input._data.size,)), offset)


@function("trace")
def _trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal; integers give int64.

    Example:
        >>> import chainrule as cr
        >>> cr.trace(cr.tensor([[1, 2], [3, 4]]))
        tensor(5)
    """
    if input._data.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, got shape {tuple(input.shape)}")
    entries = _diagonal(input)
    if dtypes.category(entries._data.dtype) < 2:
        entries = cast(entries, dtypes.int64.dtype)
    return xp_of_tensors.sum(entries, axis=(0,), keepdims=False)


@function("diagonal_scatter")
def _diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy of ``input`` in which ``src`` is the diagonal.

    Raises RuntimeError when ``src`` has another shape than :func:`diagonal` gives.

    Example:
        >>> import chainrule as cr
        >>> cr.diagonal_scatter(cr.zeros(2, 2), cr.tensor([1.0, 2.0]))
        tensor([[1., 0.],
                [0., 2.]])
    """
    a, b = _two_axes("diagonal_scatter", input._data.ndim, dim1, dim2)
    return scatter_into(
        "diagonal_scatter", input, src, OPS["diagonal"], {"offset": int(offset), "axis1": a, "axis2": b}
    )


def scatter_into(caller: str, input: Tensor, src: Any, view: Any, attributes: dict[str, Any]) -> Tensor:
    """A copy of ``input`` in which the view that the op ``view`` gives is replaced by ``src``."""
    if not isinstance(src, Tensor):
        raise TypeError(f"{caller}: src must be a Tensor, got {describe(src)}")
    shape = view.forward(input._device.xp, input._data, **attributes).shape
    if src._data.shape != shape:
        raise RuntimeError(f"{caller}: src must have shape {tuple(shape)}, got {tuple(src.shape)}")
    steps = ((view, attributes, None),)
    return xp_of_tensors.view_scatter(input, cast(src, input._data.dtype), steps=steps)


@method_only("fill_diagonal_")
def _fill_diagonal(input: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Write a number into the main diagonal; with ``wrap``, into that of every square of a tall matrix.

    Raises RuntimeError for less than two dimensions, or more of unequal lengths.
    """
    shape = input._data.shape
    if len(shape) < 2:
        raise RuntimeError(f"fill_diagonal_: expected at least 2 dimensions, got shape {tuple(shape)}")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError(f"fill_diagonal_: all dimensions must have one length, got shape {tuple(shape)}")
    if wrap and len(shape) == 2:
        flat = np.arange(0, shape[0] * shape[1], shape[1] + 1)
        # a diagonal that leaves the matrix on the right goes on one row below
        places = [flat // max(shape[1], 1), flat % max(shape[1], 1)]
    else:
        places = [np.arange(min(shape))] * len(shape)
    setitem(input, tuple(places), fill_value)
    return input


def _indices(name: str, of: Any, docs: str) -> None:
    def indices(
        row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None
    ) -> Tensor:
        from chainrule.autograd.creation import _on, _place

        if row < 0 or col < 0:
            raise RuntimeError(f"{name}: row and col must not be negative, got {row} and {col}")
        where = _on(device)
        places = np.stack(of(row, offset, col)).astype(dtypes.as_dtype(dtypes.int64 if dtype is None else dtype).dtype)
        return wrap(_place(places, where), where)

    indices.__name__ = name
    indices.__doc__ = docs
    function(name, method=False)(indices)


_indices(
    "tril_indices",
    np.tril_indices,
    """The places of the lower triangle of a ``row`` x ``col`` matrix: two rows, of row and of column numbers.

    Example:
        >>> import chainrule as cr
        >>> cr.tril_indices(2, 2)
        tensor([[0, 1, 1],
                [0, 0, 1]])
    """,
)
_indices(
    "triu_indices",
    np.triu_indices,
    """The places of the upper triangle of a ``row`` x ``col`` matrix: two rows, of row and of column numbers.

    Example:
        >>> import chainrule as cr
        >>> cr.triu_indices(2, 2)
        tensor([[0, 0, 1],
                [0, 1, 1]])
    """,
)
