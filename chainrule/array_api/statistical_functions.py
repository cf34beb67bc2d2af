"""Sums, products, extremes and moments, in the standard's dtypes: floats keep theirs, integers become 64 bits wide."""

from __future__ import annotations

from typing import Any

from chainrule.array_api.promotion import array, ours
from chainrule.autograd import dtypes
from chainrule.autograd.op import traced
from chainrule.autograd.ops.reduction import public_axis
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.runtime import cast
from chainrule.autograd.tensor import Tensor

Axis = int | tuple[int, ...] | None


def reduced_axes(caller: str, x: Tensor, axis: Any) -> Any:
    """The reduced axes, counted from 0; an empty tuple stays one, and reduces nothing."""
    return () if axis == () else public_axis(caller, axis, x.ndim)


def _reduce(caller: str, x: Tensor, axis: Any, keepdims: bool, **options: Any) -> Tensor:
    axes = reduced_axes(caller, x, axis)
    if axes == ():  # each element is a result; the ops would take an empty tuple for all dimensions
        return _reduce(caller, x[..., None], -1, False, **options)
    return getattr(traced, caller)(x, axis=axes, keepdims=bool(keepdims), **options)


def _wide(x: Tensor, dtype: Any) -> Tensor:
    """What is added up: integers as 64 bits, with or without a sign as they are."""
    if dtype is not None:
        return cast(x, dtypes.as_dtype(dtype).dtype)
    if dtypes.category(x._data.dtype) < 2:
        return cast(x, (dtypes.uint64 if x._data.dtype.kind == "u" else dtypes.int64).dtype)
    return x


def _floating(caller: str, x: Tensor) -> Tensor:
    if dtypes.category(array(caller, "x", x)._data.dtype) < 2:
        raise TypeError(f"{caller}: expected a floating-point array, got {x.dtype}; convert with astype first")
    return x


def cumulative_prod(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running product along ``axis``, which only a vector may leave out."""
    return _running("cumulative_prod", "cumprod", 1, x, axis, dtype, include_initial)


def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running sum along ``axis``, which only a vector may leave out."""
    return _running("cumulative_sum", "cumsum", 0, x, axis, dtype, include_initial)


def _running(caller: str, name: str, first: int, x: Tensor, axis: Any, dtype: Any, include_initial: bool) -> Tensor:
    x = _wide(array(caller, "x", x), dtype)
    if not x.ndim or (axis is None and x.ndim != 1):
        raise ValueError(f"{caller}: axis is required for an array of {x.ndim} dimensions, and at least one dimension")
    d = normal_axis(caller, 0 if axis is None else axis, x.ndim, "axis")
    result: Tensor = ours(name)(x, d, dtype=x.dtype)
    if include_initial:
        start = (*x.shape[:d], 1, *x.shape[d + 1 :])
        result = ours("cat")([x.new_full(start, first), result], d)
    return result


def max(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Maximum; NaN where there is one. Equal maxima share the gradient."""
    return _reduce("max", array("max", "x", x), axis, keepdims)


def mean(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean."""
    return _reduce("mean", _floating("mean", x), axis, keepdims)


def min(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Minimum; NaN where there is one. Equal minima share the gradient."""
    return _reduce("min", array("min", "x", x), axis, keepdims)


def prod(x: Tensor, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Product; 1 of no elements."""
    return _reduce("prod", _wide(array("prod", "x", x), dtype), axis, keepdims)


def std(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Standard deviation, with ``correction`` degrees of freedom taken off the count."""
    return _reduce("std", _floating("std", x), axis, keepdims, correction=correction)


def sum(x: Tensor, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Sum; 0 of no elements."""
    return _reduce("sum", _wide(array("sum", "x", x), dtype), axis, keepdims)


def var(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Variance, with ``correction`` degrees of freedom taken off the count."""
    return _reduce("var", _floating("var", x), axis, keepdims, correction=correction)
