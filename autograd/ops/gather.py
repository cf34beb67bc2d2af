"""Reading and adding along one dimension by an index, and by positions of the flattened tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.batching.array import extremes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.indexing import getitem_of, locate
from chainrule.autograd.ops.shape import _expand, normal_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


def along(xp: Any, index: Any, axis: int) -> tuple[Any, ...]:
    """The full index by which ``index`` selects along ``axis`` at each of its own positions."""
    grid = []
    for d, n in enumerate(index.shape):
        if d == axis:
            grid.append(index)
        else:
            shape = [1] * index.ndim
            shape[d] = n
            grid.append(xp.reshape(xp.arange(n), tuple(shape)))
    return tuple(grid)


def _gather_samples(rng: Any) -> Any:
    yield Sample((normal(rng, 3, 4), rng.integers(0, 3, (2, 4))), {"axis": 0})
    yield Sample((normal(rng, 3, 4), rng.integers(0, 4, (3, 6))), {"axis": 1})
    yield Sample((normal(rng, 3, 4), rng.integers(0, 4, (2, 2))), {"axis": 1})


def _gather_reference(x: Any, index: Any, axis: int) -> Any:
    x = x[tuple([slice(None) if d == axis else slice(0, n) for d, n in enumerate(index.shape)])]
    return np.take_along_axis(x, index, axis)


@op(
    vjp={"x": lambda xp, g, x_shape, index, axis: xp.gather_back(g, index, shape=x_shape, axis=axis)},
    check=Samples(_gather_samples, reference=_gather_reference),
    arithmetic=False,
)
def gather(xp, x, index, *, axis):
    """The elements that ``index`` selects along one axis, one for each of its own elements."""
    return x[along(xp, index, axis)]


def _gather_back_reference(x: Any, index: Any, shape: Any, axis: int) -> Any:
    out = np.zeros(shape)
    np.add.at(out, along(np, index, axis), x)
    return out


@op(
    vjp={"x": lambda xp, g, index, axis: xp.gather(g, index, axis=axis)},
    check=Samples(
        lambda rng: [Sample((normal(rng, 2, 4), rng.integers(0, 3, (2, 4))), {"shape": (3, 4), "axis": 0})],
        reference=_gather_back_reference,
    ),
)
def gather_back(xp, x, index, *, shape, axis):
    """Zeros of the given shape with ``x`` added where ``index`` points along one axis."""
    return xp.scatter_add_at(xp.zeros(shape, dtype=x.dtype), along(xp, index, axis), x)


def as_vector(t: Tensor) -> Tensor:
    """A 0-d tensor with one dimension; others as they are."""
    return t if t._data.ndim else xp_of_tensors.reshape(t, shape=(1,))


def along_arguments(caller: str, input: Tensor, dim: Any, index: Any) -> tuple[int, Tensor, Tensor]:
    """The dimension from 0, and input and index with at least one dimension, checked against each other."""
    if not isinstance(index, Tensor) or dtypes.category(index._data.dtype) != 1:
        raise TypeError(f"{caller}: index must be an integer tensor, got {describe(index)}")
    d = normal_axis(caller, dim, input._data.ndim)
    x, index = as_vector(input), as_vector(index)
    if not index._data.size and index._data.ndim != x._data.ndim:  # PyTorch takes an empty index of any shape
        return d, x, wrap(x._device.xp.zeros((0,) * x._data.ndim, dtype=np.int64), x._device)
    if index._data.ndim != x._data.ndim:
        raise RuntimeError(
            f"{caller}: index must have as many dimensions as input, got {describe(index)} for {describe(input)}"
        )
    if any(i != d and n > m for i, (n, m) in enumerate(zip(index._data.shape, x._data.shape, strict=True))):
        raise RuntimeError(
            f"{caller}: index may exceed input only along dim {dim}, got {describe(index)} for {describe(input)}"
        )
    if index._data.size:
        low, high = map(int, extremes(index._data))
        if low < 0 or high >= x._data.shape[d]:
            raise IndexError(
                f"{caller}: index {low if low < 0 else high} is out of bounds for dimension {dim} "
                f"with length {x._data.shape[d]}"
            )
    return d, x, index


@function("gather")
def _gather(
    input: Tensor, dim: Any = NOT_GIVEN, index: Any = None, *, sparse_grad: bool = False, axis: Any = NOT_GIVEN
) -> Tensor:
    """The elements that ``index`` selects along ``dim``: ``out[i][j] = input[index[i][j]][j]`` for dim 0.

    Raises IndexError for an index out of bounds, RuntimeError for shapes that do not fit.

    Example:
        >>> import chainrule as cr
        >>> cr.gather(cr.tensor([[1, 2], [3, 4]]), 1, cr.tensor([[1], [0]]))
        tensor([[2],
                [3]])
    """
    d, x, where = along_arguments("gather", input, dim if axis is NOT_GIVEN else axis, index)
    return _shaped(xp_of_tensors.gather(x, where, axis=d), index._data.shape)


def _shaped(t: Tensor, shape: tuple[int, ...]) -> Tensor:
    return t if t._data.shape == shape else xp_of_tensors.reshape(t, shape=tuple(shape))


def _scatter_reference(x: Any, index: Any, src: Any, axis: int) -> Any:
    out = x.copy()
    where = along(np, index, axis)
    np.add.at(out, where, src[tuple([slice(0, n) for n in index.shape])])
    return out


def window(t: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The first elements along each dimension."""
    if t._data.shape == shape:
        return t
    return xp_of_tensors.getitem(t, index=(*[slice(0, n) for n in shape], ...))


@op(
    vjp={
        "x": lambda xp, g: g,
        "src": lambda xp, g, index, src_shape, axis: xp.gather(g, index, axis=axis),
    },
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 3, 4), rng.integers(0, 3, (2, 4)), normal(rng, 2, 4)), {"axis": 0}),
            Sample((normal(rng, 3, 4), rng.integers(0, 4, (3, 2)), normal(rng, 3, 2)), {"axis": 1}),
        ],
        reference=_scatter_reference,
    ),
)
def scatter_add(xp, x, index, src, *, axis):
    """``x`` with ``src`` added where ``index`` points along one axis."""
    return xp.scatter_add_at(x, along(xp, index, axis), src)


@function("scatter_add", inplace=True)
def _scatter_add(
    input: Tensor, dim: Any = NOT_GIVEN, index: Any = None, src: Any = None, *, axis: Any = NOT_GIVEN
) -> Tensor:
    """``input`` with ``src`` added where ``index`` points along ``dim``; repeated indices accumulate.

    Raises IndexError for an index out of bounds, RuntimeError for shapes that do not fit.

    Example:
        >>> import chainrule as cr
        >>> cr.scatter_add(cr.zeros(3), 0, cr.tensor([0, 0, 2]), cr.ones(3))
        tensor([2., 0., 1.])
    """
    d, x, index = along_arguments("scatter_add", input, dim if axis is NOT_GIVEN else axis, index)
    if not isinstance(src, Tensor):
        raise TypeError(f"scatter_add: src must be a Tensor, got {describe(src)}")
    if src._data.dtype != input._data.dtype:
        raise RuntimeError(f"scatter_add: src must have the dtype of input, {input.dtype}, got {src.dtype}")
    if not index._data.size:
        return xp_of_tensors.clone(input)
    src = as_vector(src)
    if src._data.ndim != index._data.ndim or any(
        n > m for n, m in zip(index._data.shape, src._data.shape, strict=True)
    ):
        raise RuntimeError(f"scatter_add: index must fit into src, got {describe(index)} and {describe(src)}")
    return _shaped(xp_of_tensors.scatter_add(x, index, window(src, index._data.shape), axis=d), input._data.shape)


@function("index_select")
def _index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of ``input`` that a 1-d ``index`` names along ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.index_select(cr.tensor([[1, 2], [3, 4]]), 1, cr.tensor([1]))
        tensor([[2],
                [4]])
    """
    if not isinstance(index, Tensor) or dtypes.category(index._data.dtype) != 1:
        raise TypeError(f"index_select: index must be an integer tensor, got {describe(index)}")
    if index._data.ndim > 1:
        raise RuntimeError(f"index_select: index must be 0-d or 1-d, got shape {tuple(index.shape)}")
    d = normal_axis("index_select", dim, input._data.ndim)
    result = getitem_of(as_vector(input), ((slice(None),) * d + (as_vector(index),)))
    return result if input._data.ndim else _shaped(result, ())


@function("take")
def _take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at the given positions of the flattened tensor, in the shape of ``index``.

    Example:
        >>> import chainrule as cr
        >>> cr.take(cr.tensor([[1, 2], [3, 4]]), cr.tensor([0, 3]))
        tensor([1, 4])
    """
    if not isinstance(index, Tensor) or dtypes.category(index._data.dtype) != 1:
        raise TypeError(f"take: index must be an integer tensor, got {describe(index)}")
    flat = xp_of_tensors.reshape(input, shape=(input._data.size,))
    return _shaped(getitem_of(flat, as_vector(index)), index._data.shape)


@function("put", inplace=True)
def _put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` with the elements at the given positions of the flattened tensor replaced by those of ``source``.

    Args:
        accumulate: add instead of replacing; positions named twice get both.

    Example:
        >>> import chainrule as cr
        >>> cr.put(cr.zeros(2, 2), cr.tensor([3]), cr.tensor([5.0]))
        tensor([[0., 0.],
                [0., 5.]])
    """
    for name, t in (("index", index), ("source", source)):
        if not isinstance(t, Tensor):
            raise TypeError(f"put: {name} must be a Tensor, got {describe(t)}")
    if source._data.dtype != input._data.dtype or source._data.size != index._data.size:
        raise RuntimeError(
            f"put: source must have the dtype of input, {input.dtype}, and as many elements as index, got "
            f"{describe(source)} for {describe(index)}"
        )
    flat = xp_of_tensors.reshape(input, shape=(input._data.size,))
    _, layout, (places,) = locate(flat, (_shaped(index, (index._data.size,)),))
    values = _shaped(source, (source._data.size,))
    return _shaped(
        xp_of_tensors.put_at(flat, values, places, layout=layout, accumulate=bool(accumulate)), input._data.shape
    )


@function("take_along_dim")
def _take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The elements that ``indices`` selects along ``dim``; both are broadcast, without ``dim`` flattened.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[3, 1], [2, 4]])
        >>> cr.take_along_dim(x, cr.argsort(x, 1), 1)
        tensor([[1, 3],
                [2, 4]])
    """
    if not isinstance(indices, Tensor) or dtypes.category(indices._data.dtype) != 1:
        raise TypeError(f"take_along_dim: indices must be an integer tensor, got {describe(indices)}")
    if dim is None:
        flat = xp_of_tensors.reshape(input, shape=(input._data.size,))
        return _gather(flat, 0, _shaped(indices, (indices._data.size,)))
    if input._data.ndim != indices._data.ndim:
        raise RuntimeError(
            f"take_along_dim: indices must have as many dimensions as input, got {describe(indices)} for "
            f"{describe(input)}"
        )
    d = normal_axis("take_along_dim", dim, input._data.ndim)
    both = [
        n if m == 1 else m for n, m in zip(input._data.shape, indices._data.shape, strict=True)
    ]  # what does not fit is refused by expand
    wide, deep = list(both), list(both)
    if both and indices._data.size:  # PyTorch counts negative ones from the end here, unlike in gather
        n, xp = input._data.shape[d], input._device.xp
        indices = wrap(xp.where(indices._data < 0, indices._data + n, indices._data), indices._device)
    if both:
        wide[d], deep[d] = input._data.shape[d], indices._data.shape[d]
    return _gather(_expand(input, tuple(wide)), d, _expand(indices, tuple(deep)))
