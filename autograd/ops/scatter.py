"""Writing along one dimension by an index: scatter and its reductions, and the ``index_`` functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.batching.array import extremes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.gather import along, along_arguments, as_vector, window
from chainrule.autograd.ops.indexing import SLOT
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.runtime import cast, describe, result_dtype, tracked_node, wrap
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor

# ---- ops ------------------------------------------------------------------------------------------------------------


def _distinct(rng: Any) -> Any:
    """An index that names no element twice, for which alone replacing is defined."""
    yield Sample((normal(rng, 3, 4), np.array([[0, 2, 1, 0], [2, 0, 0, 1]]), normal(rng, 2, 4)), {"axis": 0})
    yield Sample((normal(rng, 3, 4), np.array([[3, 0], [1, 2], [0, 1]]), normal(rng, 3, 2)), {"axis": 1})


def _replace_reference(x: Any, index: Any, src: Any, axis: int) -> Any:
    out = x.copy()
    out[along(np, index, axis)] = src
    return out


@op(
    vjp={
        "x": lambda xp, g, index, axis: xp.scatter_put(
            g, index, xp.zeros_like(xp.gather(g, index, axis=axis)), axis=axis
        ),
        "src": lambda xp, g, index, axis: xp.gather(g, index, axis=axis),
    },
    check=Samples(_distinct, reference=_replace_reference),
    arithmetic=False,
    label="scatter",
)
def scatter_put(xp, x, index, src, *, axis):
    """``x`` with its elements replaced by ``src`` where ``index`` points along one axis."""
    return xp.put(x, along(xp, index, axis), src)


def _repeated(rng: Any) -> Any:
    index = np.array([[0, 2, 1, 0], [0, 0, 1, 1], [0, 1, 1, 2]])
    yield Sample((normal(rng, 3, 4), index, normal(rng, 3, 4)), {"axis": 0})
    yield Sample((normal(rng, 3, 4), np.array([[3, 3], [1, 2], [0, 0]]), normal(rng, 3, 2)), {"axis": 1})
    yield Sample((normal(rng, 3), np.zeros(0, np.int64), normal(rng, 0)), {"axis": 0})


def _reference(ufunc: Any) -> Any:
    def reference(x: Any, index: Any, src: Any, axis: int) -> Any:
        out = x.copy()
        ufunc.at(out, along(np, index, axis), src)
        return out

    return reference


def pairing(xp: Any, x_shape: tuple[int, ...], index: Any, axis: int) -> tuple[Any, list[Any], Any]:
    """How to combine all values with one target, neighbour with neighbour, until no target is named twice.

    No array library reduces by index for every function and dtype; rounds of plain indexing do. Gives the order in
    which values with one target are neighbours, for each round (the values kept, their partners, whether they have
    one), and the targets that are left, as positions in the flattened tensor.
    """
    target = xp.zeros_like(index, dtype=np.int64)
    for d, part in enumerate(along(xp, index, axis)):
        target = target * x_shape[d] + part
    target = xp.reshape(target, (-1,))
    order = xp.argsort(target)
    target = target[order]
    rounds = []
    while target.shape[0]:
        n = target.shape[0]
        first = xp.concat([xp.ones((1,), dtype=bool), target[1:] != target[:-1]])
        group = xp.cumulative_sum(xp.astype(first, np.int64)) - 1
        rank = xp.arange(n) - xp.nonzero(first)[0][group]
        kept = xp.nonzero(rank % 2 == 0)[0]
        if kept.shape[0] == n:
            break
        partner = xp.where(kept + 1 < n, kept + 1, kept)
        paired = (partner > kept) & (target[partner] == target[kept])
        rounds.append((kept, partner, paired))
        target = target[kept]
    return order, rounds, target


def combine_at(xp: Any, x: Any, index: Any, src: Any, axis: int, f: Any) -> Any:
    """``x`` with ``src`` combined into it by ``f`` where ``index`` points, elements named several times included."""
    order, rounds, target = pairing(xp, x.shape, index, axis)
    values = xp.reshape(src, (-1,))[order]
    for kept, partner, paired in rounds:
        values = xp.where(paired, f(values[kept], values[partner]), values[kept])
    flat = xp.reshape(x, (-1,))
    return xp.reshape(xp.put(flat, target, f(flat[target], values)), x.shape)


def _extreme_rules(xp: Any, g: Any, x: Any, index: Any, src: Any, out: Any, axis: int) -> tuple[Any, Any]:
    """Equal extremes share the gradient."""
    x_is = xp.astype(x == out, dtype=g.dtype)
    src_is = xp.astype(src == xp.gather(out, index, axis=axis), dtype=g.dtype)
    share = g / xp.scatter_add(x_is, index, src_is, axis=axis)
    return x_is * share, src_is * xp.gather(share, index, axis=axis)


def _extreme(name: str, f: str, reference: Any, doc: str) -> None:
    def forward(xp, x, index, src, *, axis):
        return combine_at(xp, x, index, src, axis, getattr(xp, f))

    forward.__doc__ = doc
    op(
        vjp={
            "x": lambda xp, g, x, index, src, out, axis: _extreme_rules(xp, g, x, index, src, out, axis)[0],
            "src": lambda xp, g, x, index, src, out, axis: _extreme_rules(xp, g, x, index, src, out, axis)[1],
        },
        check=Samples(_repeated, reference=reference),
        name=name,
        arithmetic=False,
        label="scatter_reduce",
    )(forward)


_extreme(
    "scatter_max",
    "maximum",
    _reference(np.maximum),
    "The larger of ``x`` and ``src`` where ``index`` points.",
)
_extreme(
    "scatter_min",
    "minimum",
    _reference(np.minimum),
    "The smaller of ``x`` and ``src`` where ``index`` points.",
)


@op(
    vjp=None,
    check=Samples(_repeated, reference=_reference(np.multiply)),
    arithmetic=False,
    label="scatter_reduce",
)
def scatter_multiply(xp, x, index, src, *, axis):
    """``x`` times all elements of ``src`` whose ``index`` points there along one axis, without a gradient."""
    return combine_at(xp, x, index, src, axis, xp.multiply)


# ---- scatter --------------------------------------------------------------------------------------------------------


def _source(caller: str, input: Tensor, index: Tensor, src: Any, name: str = "src") -> Tensor:
    """The part of ``src`` that ``index`` uses, checked."""
    if not isinstance(src, Tensor):
        raise TypeError(f"{caller}: {name} must be a Tensor, got {describe(src)}")
    if src._data.dtype != input._data.dtype:
        raise RuntimeError(f"{caller}: {name} must have the dtype of input, {input.dtype}, got {src.dtype}")
    src = as_vector(src)
    shape = index._data.shape
    if src._data.ndim != len(shape) or any(n > m for n, m in zip(shape, src._data.shape, strict=True)):
        raise RuntimeError(f"{caller}: index must fit into {name}, got {describe(index)} and {describe(src)}")
    return window(src, shape)


def filled(like: Tensor, shape: tuple[int, ...], value: Any) -> Tensor:
    """``value`` (a number or 0-d tensor) in a tensor of the dtype of ``like``."""
    if not isinstance(value, Tensor):
        array = np.asarray(value).astype(like._data.dtype)
        value = wrap(like._device.asarray(array, like._data.dtype), like._device)
    return xp_of_tensors.spread(cast(value, like._data.dtype), shape=tuple(shape))


@function("scatter", inplace=True)
def _scatter(
    input: Tensor,
    dim: Any = NOT_GIVEN,
    index: Any = None,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
    axis: Any = NOT_GIVEN,
) -> Tensor:
    """``input`` with the elements that ``index`` names along ``dim`` replaced by ``src`` (a tensor or a number).

    Args:
        reduce: ``"add"`` or ``"multiply"`` combine instead of replacing.

    Raises IndexError for an index out of bounds, RuntimeError for shapes that do not fit. Where an element is named
    twice and not combined, which value it gets is not defined.

    Example:
        >>> import chainrule as cr
        >>> cr.scatter(cr.zeros(3), 0, cr.tensor([2, 0]), cr.tensor([5.0, 6.0]))
        tensor([6., 0., 5.])
    """
    src = value if src is None else src
    if reduce not in (None, "add", "multiply"):
        raise RuntimeError(f"scatter: reduce must be 'add' or 'multiply', got {reduce!r}")
    d, x, index = along_arguments("scatter", input, dim if axis is NOT_GIVEN else axis, index)
    if src is None:
        raise TypeError("scatter: missing argument 'src' (a Tensor) or 'value' (a number)")
    if isinstance(src, Tensor) and (src._data.ndim or not index._data.ndim):
        part = _source("scatter", input, index, src)
    else:
        part = filled(input, index._data.shape, src)
    if reduce is None:
        result = xp_of_tensors.scatter_put(x, index, part, axis=d)
    else:
        result = _REDUCED["sum" if reduce == "add" else "prod"](x, index, part, axis=d)
    return xp_of_tensors.reshape(result, shape=tuple(input._data.shape)) if x is not input else result


def _sum_into(x: Tensor, index: Tensor, src: Tensor, axis: int) -> Tensor:
    return xp_of_tensors.scatter_add(x, index, src, axis=axis)


def _multiply_into(x: Tensor, index: Tensor, src: Tensor, axis: int) -> Tensor:
    """Products by recorded operations, so that derivatives of every order are right where factors are zero."""
    if not any(tracked_node(t) for t in (x, src)):
        return xp_of_tensors.scatter_multiply(x, index, src, axis=axis)
    device = x._device

    def at(t: Tensor, positions: Any) -> Tensor:
        return xp_of_tensors.take_at(t, wrap(positions, device), layout=(SLOT, ...))

    order, rounds, target = pairing(device.xp, x._data.shape, index._data, axis)
    values = at(xp_of_tensors.reshape(src, shape=(src._data.size,)), order)
    one = filled(x, (), 1)
    for kept, partner, paired in rounds:
        factor = xp_of_tensors.where(wrap(paired, device), at(values, partner), one)
        values = xp_of_tensors.multiply(at(values, kept), factor)
    flat = xp_of_tensors.reshape(x, shape=(x._data.size,))
    values = xp_of_tensors.multiply(at(flat, target), values)
    result = xp_of_tensors.put_at(flat, values, wrap(target, device), layout=(SLOT, ...), accumulate=False)
    return xp_of_tensors.reshape(result, shape=tuple(x._data.shape))


_REDUCED: dict[str, Any] = {
    "sum": _sum_into,
    "mean": _sum_into,
    "prod": _multiply_into,
    "amax": xp_of_tensors.scatter_max,
    "amin": xp_of_tensors.scatter_min,
}


def _neutral(reduce: str, dtype: np.dtype[Any]) -> Any:
    """What an element starts from that is not itself part of the reduction."""
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if dtypes.category(dtype) >= 2:
        return -math.inf if reduce == "amax" else math.inf
    if dtypes.category(dtype) == 0:
        return reduce == "amin"
    return np.iinfo(dtype).min if reduce == "amax" else np.iinfo(dtype).max


def _reduced(caller: str, x: Tensor, axis: int, index: Tensor, src: Tensor, reduce: str, include_self: bool) -> Tensor:
    if reduce not in _REDUCED:
        raise RuntimeError(f"{caller}: reduce must be one of {', '.join(_REDUCED)}, got {reduce!r}")
    start = x
    if not include_self:
        start = xp_of_tensors.scatter_put(
            x, index, filled(x, index._data.shape, _neutral(reduce, x._data.dtype)), axis=axis
        )
    result = _REDUCED[reduce](start, index, src, axis=axis)
    if reduce != "mean":
        return result
    xp = x._device.xp
    ones = xp.ones(index._data.shape, dtype=x._data.dtype)
    counts = xp.scatter_add(
        xp.full(x._data.shape, 1 if include_self else 0, dtype=x._data.dtype), index._data, ones, axis=axis
    )
    counts = wrap(xp.where(counts == 0, xp.ones_like(counts), counts), x._device)
    if dtypes.category(x._data.dtype) >= 2:
        return xp_of_tensors.divide(result, counts)
    return xp_of_tensors.floor_divide(result, counts)


@function("scatter_reduce", inplace=True)
def _scatter_reduce(input: Tensor, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """``input`` with ``src`` reduced into the elements that ``index`` names along ``dim``.

    Args:
        reduce: ``"sum"``, ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``.
        include_self: whether the elements of ``input`` that are named take part.

    Example:
        >>> import chainrule as cr
        >>> cr.scatter_reduce(cr.ones(2), 0, cr.tensor([0, 0, 1]), cr.tensor([2.0, 3.0, 4.0]), "prod")
        tensor([6., 4.])
    """
    d, x, index = along_arguments("scatter_reduce", input, dim, index)
    result = _reduced("scatter_reduce", x, d, index, _source("scatter_reduce", input, index, src), reduce, include_self)
    return xp_of_tensors.reshape(result, shape=tuple(input._data.shape)) if x is not input else result


# ---- slices named by a 1-d index ------------------------------------------------------------------------------------


def _slices(caller: str, input: Tensor, dim: int, index: Any) -> tuple[int, Tensor, Tensor]:
    """The dimension from 0, input with at least one dimension, and the index, which is 1-d and in range."""
    if not isinstance(index, Tensor) or dtypes.category(index._data.dtype) != 1:
        raise TypeError(f"{caller}: index must be an integer tensor, got {describe(index)}")
    if index._data.ndim > 1:
        raise RuntimeError(f"{caller}: index must be 0-d or 1-d, got shape {tuple(index.shape)}")
    d = normal_axis(caller, dim, input._data.ndim)
    x, index = as_vector(input), as_vector(index)
    n = x._data.shape[d]
    if index._data.size:
        low, high = map(int, extremes(index._data))
        if low < -n or high >= n:
            raise IndexError(
                f"{caller}: index {low if low < -n else high} is out of bounds for dimension {dim} with length {n}"
            )
        if low < 0:
            index = wrap(x._device.xp.where(index._data < 0, index._data + n, index._data), x._device)
    return d, x, index


def _slice_source(caller: str, input: Tensor, x: Tensor, d: int, index: Tensor, source: Any) -> Tensor:
    if not isinstance(source, Tensor):
        raise TypeError(f"{caller}: source must be a Tensor, got {describe(source)}")
    if source._data.dtype != input._data.dtype:
        raise RuntimeError(f"{caller}: source must have the dtype of input, {input.dtype}, got {source.dtype}")
    shape = list(x._data.shape)
    shape[d] = index._data.size
    if source._data.ndim == 0 and math.prod(shape) == 1:
        return xp_of_tensors.reshape(source, shape=tuple(shape))
    if list(source._data.shape) != shape:
        raise RuntimeError(f"{caller}: source must have shape {tuple(shape)}, got {tuple(source.shape)}")
    return source


def _put_slices(input: Tensor, d: int, x: Tensor, index: Tensor, y: Tensor, accumulate: bool) -> Tensor:
    result = xp_of_tensors.put_at(x, y, index, layout=((slice(None),) * d + (SLOT, ...)), accumulate=accumulate)
    return xp_of_tensors.reshape(result, shape=tuple(input._data.shape)) if x is not input else result


@function("index_add", inplace=True)
def _index_add(input: Tensor, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Tensor:
    """``input`` with the slices of ``source``, times ``alpha``, added to those that ``index`` names along ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.index_add(cr.zeros(3), 0, cr.tensor([0, 0, 2]), cr.ones(3))
        tensor([2., 0., 1.])
    """
    d, x, index = _slices("index_add", input, dim, index)
    source = _slice_source("index_add", input, x, d, index, source)
    if alpha != 1:
        if dtypes.category(result_dtype([source, alpha])) > dtypes.category(input._data.dtype):
            raise RuntimeError(f"index_add: alpha {alpha!r} cannot multiply a {input.dtype} source")
        source = xp_of_tensors.multiply(source, alpha)
    return _put_slices(input, d, x, index, source, True)


@function("index_copy", inplace=True)
def _index_copy(input: Tensor, dim: int, index: Any, source: Any) -> Tensor:
    """``input`` with the slices that ``index`` names along ``dim`` replaced by those of ``source``.

    Example:
        >>> import chainrule as cr
        >>> cr.index_copy(cr.zeros(3), 0, cr.tensor([2, 0]), cr.tensor([5.0, 6.0]))
        tensor([6., 0., 5.])
    """
    d, x, index = _slices("index_copy", input, dim, index)
    return _put_slices(input, d, x, index, _slice_source("index_copy", input, x, d, index, source), False)


@function("index_fill", inplace=True)
def _index_fill(input: Tensor, dim: int, index: Any, value: Any) -> Tensor:
    """``input`` with ``value`` (a number or 0-d tensor) in the slices that ``index`` names along ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.index_fill(cr.zeros(3), 0, cr.tensor([0, 2]), 7)
        tensor([7., 0., 7.])
    """
    if isinstance(value, Tensor) and value._data.ndim:
        raise RuntimeError(f"index_fill: value must be a number or a 0-d tensor, got {describe(value)}")
    d, x, index = _slices("index_fill", input, dim, index)
    # by a mask: a slice that is named twice takes part in the gradient of `value` once
    xp, lengths = x._device.xp, [1] * x._data.ndim
    lengths[d] = x._data.shape[d]
    named = xp.put(xp.zeros((lengths[d],), dtype=bool), index._data, True)
    mask = wrap(xp.reshape(named, tuple(lengths)), x._device)
    result = xp_of_tensors.where(mask, filled(input, (), value), x)
    return xp_of_tensors.reshape(result, shape=tuple(input._data.shape)) if x is not input else result


@function("index_reduce", inplace=True)
def _index_reduce(
    input: Tensor, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Tensor:
    """``input`` with the slices of ``source`` reduced into those that ``index`` names along ``dim``.

    Args:
        reduce: ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``.
        include_self: whether the slices of ``input`` that are named take part.

    Example:
        >>> import chainrule as cr
        >>> cr.index_reduce(cr.ones(2), 0, cr.tensor([0, 0, 1]), cr.tensor([2.0, 3.0, 4.0]), "amax")
        tensor([3., 4.])
    """
    if reduce == "sum":
        raise RuntimeError("index_reduce: reduce must be one of prod, mean, amax, amin, got 'sum'; use index_add")
    d, x, index = _slices("index_reduce", input, dim, index)
    source = _slice_source("index_reduce", input, x, d, index, source)
    lengths = [1] * x._data.ndim
    lengths[d] = index._data.size
    xp = x._device.xp
    spread = xp.copy(xp.broadcast_to(xp.reshape(index._data, tuple(lengths)), source._data.shape))
    result = _reduced("index_reduce", x, d, wrap(spread, x._device), source, reduce, include_self)
    return xp_of_tensors.reshape(result, shape=tuple(input._data.shape)) if x is not input else result
