"""Shape, order, joining and repeating."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.array_api.promotion import array, ours, same_dtype
from chainrule.autograd import numpy_shapes
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.tensor import Tensor


def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """The arrays expanded to their common shape; views."""
    given = [array("broadcast_arrays", f"arrays[{i}]", t) for i, t in enumerate(arrays)]
    shape = np.broadcast_shapes(*[tuple(t.shape) for t in given])
    return [t.expand(shape) for t in given]


def broadcast_to(x: Tensor, /, shape: tuple[int, ...]) -> Tensor:
    """The array expanded to a larger shape; a view."""
    x = array("broadcast_to", "x", x)
    if any(n < 0 for n in shape):
        raise ValueError(f"broadcast_to: lengths must not be negative, got {tuple(shape)}")
    return x.expand(tuple(shape))


def concat(arrays: tuple[Tensor, ...] | list[Tensor], /, *, axis: int | None = 0) -> Tensor:
    """Arrays joined along an existing dimension; with ``axis=None`` they are flattened first."""
    given = same_dtype("concat", arrays)
    if axis is None:
        given, axis = [t.ravel() for t in given], 0
    dims = {t.ndim for t in given}
    if len(dims) > 1 or 0 in dims:
        raise ValueError(f"concat: expected arrays of one number of dimensions, at least 1, got {sorted(dims)}")
    d = normal_axis("concat", axis, given[0].ndim, "axis")
    rests = {(*t.shape[:d], *t.shape[d + 1 :]) for t in given}
    if len(rests) > 1:
        raise ValueError(f"concat: shapes must agree except along axis {axis}, got {[tuple(t.shape) for t in given]}")
    return ours("cat")(given, d)


def expand_dims(x: Tensor, /, axis: int) -> Tensor:
    """A dimension of length 1 inserted at ``axis``."""
    return array("expand_dims", "x", x).unsqueeze(axis)


def flip(x: Tensor, /, *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """The order of the elements reversed along ``axis``, or along all dimensions."""
    x = array("flip", "x", x)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return x.flip(axes)


def moveaxis(x: Tensor, source: int | tuple[int, ...], destination: int | tuple[int, ...], /) -> Tensor:
    """Dimensions moved to new places, the others kept in their order."""
    x = array("moveaxis", "x", x)
    return numpy_shapes.moveaxis(x, *[_axes("moveaxis", v, x.ndim) for v in (source, destination)])


def permute_dims(x: Tensor, /, axes: tuple[int, ...]) -> Tensor:
    """The dimensions in another order."""
    return array("permute_dims", "x", x).permute(tuple(axes))


def repeat(x: Tensor, repeats: int | Tensor, /, *, axis: int | None = None) -> Tensor:
    """Each element (or slice along ``axis``) repeated, all as often or each as often as ``repeats`` says."""
    return numpy_shapes.repeat(array("repeat", "x", x), repeats, axis)


def reshape(x: Tensor, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Tensor:
    """The elements in another shape, of which one length may be -1; a view unless ``copy`` or the memory needs one."""
    x = array("reshape", "x", x)
    result = x.reshape(tuple(shape))
    if copy:
        return result.clone()
    if copy is False and result.numel() and not x._device.backend.shares_memory(x._data, result._data):
        raise ValueError(f"reshape: shape {tuple(shape)} needs a copy of this array, which copy=False forbids")
    return result


def roll(x: Tensor, /, shift: int | tuple[int, ...], *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """The elements moved along dimensions; those that fall off one end come in at the other."""
    x = array("roll", "x", x)
    return numpy_shapes.roll(x, shift, axis)


def squeeze(x: Tensor, /, axis: int | tuple[int, ...]) -> Tensor:
    """Without the named dimensions, which must have length 1."""
    x = array("squeeze", "x", x)
    axes = _axes("squeeze", axis, x.ndim)
    if any(x.shape[d] != 1 for d in axes):
        raise ValueError(f"squeeze: only dimensions of length 1 can be taken out, got axis {axis} of {tuple(x.shape)}")
    return x.squeeze(axes)


def stack(arrays: tuple[Tensor, ...] | list[Tensor], /, *, axis: int = 0) -> Tensor:
    """Arrays of one shape joined along a new dimension."""
    return ours("stack")(same_dtype("stack", arrays), axis)


def tile(x: Tensor, repetitions: tuple[int, ...], /) -> Tensor:
    """The array put side by side with itself."""
    return numpy_shapes.tile(array("tile", "x", x), tuple(repetitions))


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along a dimension, which they lack."""
    return tuple(array("unstack", "x", x).unbind(axis))


def _axes(caller: str, axis: Any, ndim: int) -> tuple[int, ...]:
    return tuple([normal_axis(caller, d, ndim, "axis") for d in (axis if isinstance(axis, (tuple, list)) else (axis,))])
