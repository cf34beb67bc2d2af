"""Reading and writing along one dimension by an index, and by masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.batching.array import extremes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.indexing import getitem_of
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import NOT_GIVEN, function, method_only
from chainrule.autograd.runtime import cast, describe, wrap
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


def _along_arguments(caller: str, input: Tensor, dim: int, index: Tensor) -> int:
    if not isinstance(index, Tensor) or dtypes.category(index._data.dtype) != 1:
        raise TypeError(f"{caller}: index must be an integer tensor, got {describe(index)}")
    d = normal_axis(caller, dim, input._data.ndim)
    if index._data.ndim != input._data.ndim:
        raise RuntimeError(
            f"{caller}: index must have as many dimensions as input, got {describe(index)} for {describe(input)}"
        )
    if any(i != d and n > m for i, (n, m) in enumerate(zip(index._data.shape, input._data.shape, strict=True))):
        raise RuntimeError(
            f"{caller}: index may exceed input only along dim {dim}, got {describe(index)} for {describe(input)}"
        )
    if index._data.size:
        low, high = map(int, extremes(index._data))
        if low < 0 or high >= input._data.shape[d]:
            raise IndexError(
                f"{caller}: index {low if low < 0 else high} is out of bounds for dimension {dim} "
                f"with length {input._data.shape[d]}"
            )
    return d


@function("gather")
def _gather(input: Tensor, dim: Any = NOT_GIVEN, index: Any = None, *, axis: Any = NOT_GIVEN) -> Tensor:
    """The elements that ``index`` selects along ``dim``: ``out[i][j] = input[index[i][j]][j]`` for dim 0.

    Raises IndexError for an index out of bounds, RuntimeError for shapes that do not fit.

    Example:
        >>> import chainrule as cr
        >>> cr.gather(cr.tensor([[1, 2], [3, 4]]), 1, cr.tensor([[1], [0]]))
        tensor([[2],
                [3]])
    """
    d = _along_arguments("gather", input, dim if axis is NOT_GIVEN else axis, index)
    return xp_of_tensors.gather(input, index, axis=d)


def _scatter_reference(x: Any, index: Any, src: Any, axis: int) -> Any:
    out = x.copy()
    where = along(np, index, axis)
    np.add.at(out, where, src[tuple([slice(0, n) for n in index.shape])])
    return out


def _window(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    return xp.getitem(x, index=(*[slice(0, n) for n in shape], ...)) if tuple(x.shape) != tuple(shape) else x


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
    d = _along_arguments("scatter_add", input, dim if axis is NOT_GIVEN else axis, index)
    if not isinstance(src, Tensor):
        raise TypeError(f"scatter_add: src must be a Tensor, got {describe(src)}")
    if src._data.dtype != input._data.dtype:
        raise RuntimeError(f"scatter_add: src must have the dtype of input, {input.dtype}, got {src.dtype}")
    if src._data.ndim != index._data.ndim or any(
        n > m for n, m in zip(index._data.shape, src._data.shape, strict=True)
    ):
        raise RuntimeError(f"scatter_add: index must fit into src, got {describe(index)} and {describe(src)}")
    return xp_of_tensors.scatter_add(input, index, _window(xp_of_tensors, src, index._data.shape), axis=d)


@function("masked_fill", inplace=True)
def _masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``input`` with ``value`` where the mask holds; the mask broadcasts.

    Example:
        >>> import chainrule as cr
        >>> cr.masked_fill(cr.zeros(2), cr.tensor([True, False]), 5.0)
        tensor([5., 0.])
    """
    if not isinstance(mask, Tensor) or mask._data.dtype.kind != "b":
        raise TypeError(f"masked_fill: mask must be a bool tensor, got {describe(mask)}")
    if isinstance(value, Tensor) and value._data.ndim:
        raise RuntimeError(f"masked_fill: value must be a number or a 0-d tensor, got {describe(value)}")
    if not isinstance(value, Tensor):
        value = wrap(input._device.asarray(value, input._data.dtype), input._device)
    return xp_of_tensors.where(mask, cast(value, input._data.dtype), input)


@function("nonzero")
def _nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not zero: (count, ndim), or one tensor for each dimension.

    Example:
        >>> import chainrule as cr
        >>> cr.nonzero(cr.tensor([0, 3, 4]))
        tensor([[1],
                [2]])
    """
    xp = input._device.xp
    if not input._data.ndim:
        found = xp.nonzero(xp.reshape(input._data, (1,)))
        return () if as_tuple else wrap(xp.zeros((found[0].shape[0], 0), dtype=np.int64), input._device)
    found = xp.nonzero(input._data)
    if as_tuple:
        return tuple([wrap(a, input._device) for a in found])
    return wrap(xp.stack(found, axis=1), input._device)


@method_only("masked_select")
def _masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask holds, in one dimension."""
    from chainrule.autograd.ops.shape import _expand

    shape = np.broadcast_shapes(input._data.shape, mask._data.shape)
    return getitem_of(_expand(input, shape), _expand(mask, shape))


@function("index_select")
def _index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of ``input`` that a 1-d ``index`` names along ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.index_select(cr.tensor([[1, 2], [3, 4]]), 1, cr.tensor([1]))
        tensor([[2],
                [4]])
    """
    d = normal_axis("index_select", dim, input._data.ndim)
    return getitem_of(input, ((slice(None),) * d + (index,)))
