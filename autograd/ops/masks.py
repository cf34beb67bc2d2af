"""Masks and positions: filling, selecting, and finding what is not zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.indexing import SLOT, getitem_of, locate
from chainrule.autograd.ops.scatter import filled
from chainrule.autograd.ops.shape import _expand
from chainrule.autograd.ops.tiling import _broadcast_shapes
from chainrule.autograd.public import function
from chainrule.autograd.runtime import cast, describe, wrap
from chainrule.autograd.tensor import Tensor


def _mask(caller: str, input: Tensor, mask: Any) -> tuple[Tensor, Tensor]:
    """Input and mask expanded to one shape."""
    if not isinstance(mask, Tensor) or mask._data.dtype.kind != "b":
        raise TypeError(f"{caller}: mask must be a bool tensor, got {describe(mask)}")
    if input._data.shape == mask._data.shape:
        return input, mask
    shape = tuple(_broadcast_shapes(input._data.shape, mask._data.shape))
    return _expand(input, shape), _expand(mask, shape)


@function("masked_fill", inplace=True)
def _masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``input`` with ``value`` (a number or 0-d tensor) where the mask holds; the mask broadcasts.

    Example:
        >>> import chainrule as cr
        >>> cr.masked_fill(cr.zeros(2), cr.tensor([True, False]), 5.0)
        tensor([5., 0.])
    """
    if not isinstance(mask, Tensor) or mask._data.dtype.kind != "b":
        raise TypeError(f"masked_fill: mask must be a bool tensor, got {describe(mask)}")
    if isinstance(value, Tensor) and value._data.ndim:
        raise RuntimeError(f"masked_fill: value must be a number or a 0-d tensor, got {describe(value)}")
    if isinstance(value, Tensor) and value._device is not input._device:
        value = value.to(input._device)
    return xp_of_tensors.where(mask, filled(input, (), value), input)


@function("masked_select")
def _masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask holds, in one dimension; both broadcast.

    Example:
        >>> import chainrule as cr
        >>> cr.masked_select(cr.tensor([1, 2, 3]), cr.tensor([True, False, True]))
        tensor([1, 3])
    """
    x, mask = _mask("masked_select", input, mask)
    if not x._data.ndim:
        x, mask = xp_of_tensors.reshape(x, shape=(1,)), xp_of_tensors.reshape(mask, shape=(1,))
    return getitem_of(x, mask)


@function("masked_scatter", inplace=True)
def _masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """``input`` with the elements of ``source``, in order, where the mask holds; the mask broadcasts.

    Raises RuntimeError when ``source`` has too few elements.

    Example:
        >>> import chainrule as cr
        >>> cr.masked_scatter(cr.zeros(3), cr.tensor([True, False, True]), cr.tensor([1.0, 2.0]))
        tensor([1., 0., 2.])
    """
    if not isinstance(source, Tensor):
        raise TypeError(f"masked_scatter: source must be a Tensor, got {describe(source)}")
    if source._data.dtype != input._data.dtype:
        raise RuntimeError(f"masked_scatter: source must have the dtype of input, {input.dtype}, got {source.dtype}")
    x, mask = _mask("masked_scatter", input, mask)
    places = x._device.xp.nonzero(x._device.xp.reshape(mask._data, (-1,)))[0]
    count, size = int(places.shape[0]), x._data.size
    if source._data.size < count:
        raise RuntimeError(f"masked_scatter: the mask selects {count} elements, source has {source._data.size}")
    values = xp_of_tensors.getitem(
        xp_of_tensors.reshape(source, shape=(source._data.size,)), index=(slice(0, count), ...)
    )
    flat = xp_of_tensors.reshape(x, shape=(size,))
    result = xp_of_tensors.put_at(flat, values, wrap(places, x._device), layout=(SLOT, ...), accumulate=False)
    return xp_of_tensors.reshape(result, shape=tuple(x._data.shape))


@function("index_put", inplace=True)
def _index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` with ``values`` where a tuple of index tensors points, as in ``input[indices] = values``.

    Args:
        accumulate: add instead of replacing; elements named twice get both.

    Example:
        >>> import chainrule as cr
        >>> cr.index_put(cr.zeros(3), (cr.tensor([0, 0]),), cr.ones(2), accumulate=True)
        tensor([2., 0., 0.])
    """
    if not isinstance(indices, (tuple, list)):
        raise TypeError(f"index_put: indices must be a tuple of Tensors, got {describe(indices)}")
    if not isinstance(values, Tensor):
        raise TypeError(f"index_put: values must be a Tensor, got {describe(values)}")
    if values._data.dtype != input._data.dtype:
        raise RuntimeError(f"index_put: values must have the dtype of input, {input.dtype}, got {values.dtype}")
    parts = []
    for i, index in enumerate(indices):
        if index is not None and not isinstance(index, Tensor):
            raise TypeError(f"index_put: indices[{i}] must be a Tensor or None, got {describe(index)}")
        # an int would make the place a view; an index of one element means the same
        scalar = index is not None and index._data.ndim == 0 and dtypes.category(index._data.dtype) == 1
        parts.append(slice(None) if index is None else xp_of_tensors.reshape(index, shape=(1,)) if scalar else index)
    x, layout, tensors = locate(input, tuple(parts))
    if x is not input:
        raise RuntimeError("index_put: 0-d masks are not taken; use input[indices] = values")
    if not tensors:
        raise RuntimeError("index_put: expected at least one index tensor")
    selected = x._data.ndim - len(tensors) + max(t._data.ndim for t in tensors)
    if values._data.ndim > selected:  # NumPy, and `input[indices] = values`, would drop leading dimensions of length 1
        raise RuntimeError(
            f"index_put: values of shape {tuple(values.shape)} have more dimensions than what the indices select, "
            f"{selected}; reshape them"
        )
    return xp_of_tensors.put_at(x, values, *tensors, layout=layout, accumulate=bool(accumulate))


# ---- what is not zero -----------------------------------------------------------------------------------------------


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
        if as_tuple:
            return (wrap(found[0], input._device),)
        return wrap(xp.zeros((found[0].shape[0], 0), dtype=np.int64), input._device)
    found = xp.nonzero(input._data)
    if as_tuple:
        return tuple([wrap(a, input._device) for a in found])
    return wrap(xp.stack(found, axis=1), input._device)


@function("argwhere")
def _argwhere(input: Tensor) -> Tensor:
    """The indices of the elements that are not zero, one row for each: (count, ndim).

    Example:
        >>> import chainrule as cr
        >>> cr.argwhere(cr.tensor([[0, 3], [4, 0]]))
        tensor([[0, 1],
                [1, 0]])
    """
    return _nonzero(input)


@function("nonzero_static")
def _nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The first ``size`` indices of elements that are not zero, filled up with ``fill_value``.

    Example:
        >>> import chainrule as cr
        >>> cr.nonzero_static(cr.tensor([0, 3]), size=2)
        tensor([[ 1],
                [-1]])
    """
    if size < 0:
        raise RuntimeError(f"nonzero_static: size must not be negative, got {size}")
    xp = input._device.xp
    rows = _nonzero(input)._data[:size]
    rest = xp.full((size - rows.shape[0], input._data.ndim), fill_value, dtype=np.int64)
    return wrap(xp.concat([rows, rest], axis=0), input._device)


@function("unravel_index", method=False)
def _unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Positions in a flattened tensor of the given shape as one tensor of indices for each dimension.

    Raises ValueError for a position that the shape does not have.

    Example:
        >>> import chainrule as cr
        >>> cr.unravel_index(cr.tensor([5]), (2, 3))
        (tensor([1]), tensor([2]))
    """
    if dtypes.category(indices._data.dtype) != 1:
        raise TypeError(f"unravel_index: indices must be integers, got {indices.dtype}")
    sizes = (shape,) if isinstance(shape, int) else tuple([int(n) for n in shape])
    count = 1
    for n in sizes:
        count *= n
    rest = cast(indices, np.dtype(np.int64))._data
    if rest.size and not (-count <= int(rest.min()) and int(rest.max()) < count):
        raise ValueError(f"unravel_index: a position is out of bounds for shape {sizes} of {count} elements")
    found = []
    for n in reversed(sizes):
        found.append(wrap(rest % n if n else rest, indices._device))
        rest = rest // n if n else rest
    return tuple(reversed(found))
