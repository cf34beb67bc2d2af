"""Repeating: copies side by side, elements in a row, and views broadcast to one shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.indexing import getitem_of
from chainrule.autograd.ops.shape import _expand, integers, normal_axis
from chainrule.autograd.public import function, method_only
from chainrule.autograd.runtime import describe, unbroadcast, wrap
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Size, Tensor


def _fold(xp: Any, g: Any, x_shape: tuple[int, ...], repeats: tuple[int, ...]) -> Any:
    """The copies of a tiled tensor added up."""
    shape = (1,) * (len(repeats) - len(x_shape)) + tuple(x_shape)
    split = tuple([n for pair in zip(repeats, shape, strict=True) for n in pair])
    total = xp.sum(xp.reshape(g, shape=split), axis=tuple(range(0, len(split), 2)), keepdims=False)
    return xp.reshape(total, shape=tuple(x_shape))


@op(
    vjp={"x": lambda xp, g, x_shape, repeats: _fold(xp, g, x_shape, repeats)},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 2, 3),), {"repeats": (2, 1)}),
            Sample((normal(rng, 3),), {"repeats": (2, 3)}),
            Sample((normal(rng),), {"repeats": (2,)}),
            Sample((normal(rng, 2),), {"repeats": (0,)}),
            Sample((normal(rng),), {"repeats": ()}),
        ],
        reference=lambda x, repeats: np.tile(x, repeats),
    ),
    label="repeat",
)
def tiled(xp, x, *, repeats):
    """Copies of the tensor side by side: so many along each dimension."""
    return xp.tile(x, repeats) if repeats else xp.copy(x)


@method_only("repeat")
def _repeat(input: Tensor, *repeats: Any) -> Tensor:
    """Copies of the tensor side by side: ``repeats`` along each dimension, leading ones being new.

    Raises RuntimeError for fewer numbers than dimensions, or negative ones.
    """
    counts = integers("repeat", repeats)
    if len(counts) < input._data.ndim or any(n < 0 for n in counts):
        raise RuntimeError(
            f"repeat: expected a number, not negative, for each of the {input._data.ndim} dimensions, got {counts}"
        )
    return xp_of_tensors.tiled(input, repeats=counts)


@function("tile")
def _tile(input: Tensor, *dims: Any) -> Tensor:
    """Copies of the tensor side by side: ``dims`` along each dimension; missing leading numbers are 1.

    Example:
        >>> import chainrule as cr
        >>> cr.tile(cr.tensor([1, 2]), (2,))
        tensor([1, 2, 1, 2])
    """
    counts = integers("tile", dims)
    return _repeat(input, (1,) * (input._data.ndim - len(counts)) + counts)


def _counts(repeats: Any, length: int | None) -> np.ndarray:
    """The number of repeats of each of ``length`` elements, checked, on the host."""
    if isinstance(repeats, Tensor) and dtypes.category(repeats._data.dtype) != 1:
        raise RuntimeError(f"repeat_interleave: repeats must be integers, got {repeats.dtype}")
    if isinstance(repeats, Tensor) and repeats._data.ndim > 1:
        raise RuntimeError(f"repeat_interleave: repeats must be 0-d or 1-d, got shape {tuple(repeats.shape)}")
    host = repeats._device.backend.to_host(repeats._data) if isinstance(repeats, Tensor) else np.asarray(repeats)
    counts: np.ndarray = host.reshape(-1)
    if len(counts) == 1 and length is not None:
        counts = np.broadcast_to(counts, (length,))
    if length is not None and len(counts) != length:
        raise RuntimeError(f"repeat_interleave: expected 1 or {length} repeats, got {len(counts)}")
    if counts.size and counts.min() < 0:
        raise RuntimeError("repeat_interleave: repeats must not be negative")
    return counts


@function("repeat_interleave")
def _repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element repeated in place: ``repeats`` times (an int, or one number for each) along ``dim``.

    Without ``dim`` the tensor is flattened. Given one tensor of counts alone, the positions that it repeats.

    Args:
        output_size: the length of the result, which is checked.

    Example:
        >>> import chainrule as cr
        >>> cr.repeat_interleave(cr.tensor([5, 6]), 2)
        tensor([5, 5, 6, 6])
        >>> cr.repeat_interleave(cr.tensor([5, 6]), cr.tensor([1, 2]))
        tensor([5, 6, 6])
    """
    if repeats is None:
        counts = _counts(input, None)
    else:
        if dim is None:
            input, dim = xp_of_tensors.reshape(input, shape=(input._data.size,)), 0
        if not input._data.ndim:
            input = xp_of_tensors.reshape(input, shape=(1,))
        axis = normal_axis("repeat_interleave", dim, input._data.ndim)
        counts = _counts(repeats, input._data.shape[axis])
    if output_size is not None and output_size != counts.sum():
        total = counts.sum()
        raise RuntimeError(f"repeat_interleave: the repeats give {total} elements, not output_size {output_size}")
    same = counts.strides == (0,) and counts.size  # one number for all
    positions = np.repeat(np.arange(len(counts)), counts[0] if same else counts)
    device = input._device
    array = positions if device.type == "cpu" else device.backend.from_host(positions, device.index or 0)
    where = wrap(array, device)
    if repeats is None:
        return where if input._data.dtype != np.int32 else where.int()
    return getitem_of(input, ((slice(None),) * axis + (where,)))


@method_only("sum_to_size")
def _sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """Summed over the dimensions along which ``size`` is broadcast to this shape.

    Raises RuntimeError when it cannot be.
    """
    shape, old = integers("sum_to_size", size), tuple(input._data.shape)
    extra = len(old) - len(shape)
    if extra < 0 or any(n != 1 and n != m for n, m in zip(shape, old[extra:], strict=True)):
        raise RuntimeError(f"sum_to_size: size {shape} cannot be broadcast to the shape {old}")
    return input if shape == old else unbroadcast(xp_of_tensors, input, shape)


# ---- one shape ------------------------------------------------------------------------------------------------------


@function("broadcast_shapes", method=False)
def _broadcast_shapes(*shapes: Any) -> Size:
    """The shape to which all the given ones can be broadcast.

    Raises RuntimeError where there is none.

    Example:
        >>> import chainrule as cr
        >>> cr.broadcast_shapes((2, 1), (3,))
        (2, 3)
    """
    sizes = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    found = [1] * max([len(s) for s in sizes], default=0)
    for s in sizes:
        for i, n in enumerate(reversed(s), 1):
            if n < 0 or (n != 1 and found[-i] not in (1, n)):
                raise RuntimeError(f"broadcast_shapes: no shape fits all of {', '.join(map(str, sizes))}")
            found[-i] = n if n != 1 else found[-i]
    return Size(found)


def _given(caller: str, tensors: tuple[Any, ...]) -> list[Any]:
    given = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else list(tensors)
    for i, t in enumerate(given):
        if not isinstance(t, Tensor):
            raise TypeError(f"{caller}: tensors[{i}] must be a Tensor, got {describe(t)}")
    return given


@function("broadcast_tensors", method=False)
def _broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors expanded to one shape; views.

    Example:
        >>> import chainrule as cr
        >>> [t.shape for t in cr.broadcast_tensors(cr.zeros(2, 1), cr.zeros(3))]
        [(2, 3), (2, 3)]
    """
    given = _given("broadcast_tensors", tensors)
    shape = tuple(_broadcast_shapes(*[t._data.shape for t in given]))
    return tuple([_expand(t, shape) for t in given])


@function("meshgrid", method=False)
def _meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """The coordinates of a grid spanned by vectors: for each vector a view of it, expanded to the grid.

    Args:
        indexing: ``"ij"`` (default): the i-th vector runs along dimension i; ``"xy"``: the first two are exchanged.

    Example:
        >>> import chainrule as cr
        >>> x, y = cr.meshgrid(cr.arange(2), cr.arange(3), indexing="ij")
        >>> x
        tensor([[0, 0, 0],
                [1, 1, 1]])
    """
    given = _given("meshgrid", tensors)
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    if not given:
        raise RuntimeError("meshgrid: expected at least one tensor")
    for i, t in enumerate(given):
        if t._data.ndim > 1 or t._data.dtype != given[0]._data.dtype:
            raise RuntimeError(
                f"meshgrid: expected 0-d or 1-d tensors of one dtype, got tensors[{i}]: {describe(t)} beside "
                f"{describe(given[0])}"
            )
    swap = indexing == "xy" and len(given) > 1
    order = [1, 0, *range(2, len(given))] if swap else list(range(len(given)))
    grid = tuple([given[i]._data.size for i in order])
    made = []
    for i, t in enumerate(given):
        shape = [1] * len(given)
        shape[order[i]] = t._data.size
        made.append(_expand(xp_of_tensors.reshape(t, shape=tuple(shape)), grid))
    return tuple(made)
