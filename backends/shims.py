"""Functions of ``xp`` that NumPy and CuPy do not both have in one form, written over either module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

Shims = dict[str, Callable[..., Any]]

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_KINDS = {
    "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f",
    "complex floating": "c", "numeric": "iufc",
}  # fmt: skip


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether ``dtype`` is of a kind of the Array API standard (bfloat16 is "real floating") or is that dtype.

    Example:
        >>> import numpy as np
        >>> isdtype(np.float32, "real floating"), isdtype(np.int8, ("bool", np.int8))
        (True, True)
    """
    found = np.dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(found, k) for k in kind)
    if isinstance(kind, str) and kind in _KINDS:
        return ("f" if found == _BFLOAT16 else found.kind) in _KINDS[kind]
    if isinstance(kind, str) and " " in kind:
        raise ValueError(f"isdtype: kind must be one of {', '.join(map(repr, _KINDS))} or a dtype, got {kind!r}")
    return bool(found == np.dtype(kind))


def finfo(dtype: Any) -> Any:
    """The limits of a floating-point dtype, bfloat16 included; takes an array too.

    Example:
        >>> import ml_dtypes
        >>> float(finfo(ml_dtypes.bfloat16).max) > 3e38
        True
    """
    found = np.dtype(getattr(dtype, "dtype", dtype))
    return ml_dtypes.finfo(found) if found == _BFLOAT16 else np.finfo(found)  # type: ignore[no-untyped-call]


def standard_shims(m: Any) -> Shims:
    """The standard's functions whose NumPy or CuPy form differs in name or keywords."""

    def astype(x: Any, dtype: Any, *, copy: bool = True) -> Any:
        if x.dtype.kind == "c" and np.dtype(dtype).kind not in "cb":
            x = x.real  # both libraries warn when they drop an imaginary part themselves
        return x.astype(dtype, copy=copy)

    def matrix_transpose(x: Any, /) -> Any:
        return m.swapaxes(x, -1, -2)

    def _cumulative(function: Any, first: int, x: Any, axis: int | None, dtype: Any, include_initial: bool) -> Any:
        if axis is None:
            if x.ndim > 1:
                raise ValueError(f"cumulative_*: expected axis for an array of {x.ndim} dimensions, got None")
            axis = 0
        half = dtype is None and x.dtype.itemsize == 2 and x.dtype.kind not in "iu"
        # in 2 bytes a running sum would stop growing at 2048 or 256
        result = function(x, axis=axis, dtype=np.float32 if half else dtype)
        result = result.astype(x.dtype) if half else result
        if include_initial:
            shape = list(result.shape)
            shape[axis] = 1
            result = m.concatenate([m.full(tuple(shape), first, dtype=result.dtype), result], axis=axis)
        return result

    def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
        return _cumulative(m.cumsum, 0, x, axis, dtype, include_initial)

    def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
        return _cumulative(m.cumprod, 1, x, axis, dtype, include_initial)

    def _running(combine: Any, x: Any, axis: int) -> Any:
        """``combine`` of all elements up to each one; CuPy's ufuncs accumulate sums and products only."""
        if m is np:
            return combine.accumulate(x, axis=axis)
        lead: tuple[Any, ...] = (slice(None),) * axis
        out, step = m.copy(x), 1
        while step < x.shape[axis]:  # after the step, each element combines the 2 * step elements up to it
            both = combine(out[(*lead, slice(step, None))], out[(*lead, slice(None, -step))])
            out = m.concatenate([out[(*lead, slice(None, step))], both], axis=axis)
            step *= 2
        return out

    def running_maximum(x: Any, /, *, axis: int) -> Any:
        return _running(m.maximum, x, axis)

    def running_minimum(x: Any, /, *, axis: int) -> Any:
        return _running(m.minimum, x, axis)

    def logaddexp(x: Any, y: Any, /) -> Any:
        if x.dtype.kind != "c":
            return m.logaddexp(x, y)
        first = x.real >= y.real
        top, low = m.where(first, x, y), m.where(first, y, x)
        same = (top.real == low.real) & m.isinf(top.real)  # inf - inf would be nan
        return m.where(same, top, top + m.log1p(m.exp(m.where(same, m.zeros_like(low), low - top))))

    def running_logaddexp(x: Any, /, *, axis: int) -> Any:
        if x.dtype.kind != "c":
            return _running(m.logaddexp, x, axis)
        # one after the other: in another order imaginary parts could differ by 2 pi
        out = m.copy(x)
        rows = m.moveaxis(out, axis, 0)
        for i in range(1, rows.shape[0]):
            rows[i, ...] = logaddexp(rows[i - 1], rows[i])
        return out

    def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
        # Array API 2024.12: a stable descending sort keeps the order of equal elements.
        if not descending:
            return m.argsort(x, axis=axis, kind="stable")
        order = m.flip(m.argsort(m.flip(x, axis=axis), axis=axis, kind="stable"), axis=axis)
        return x.shape[axis] - 1 - order

    def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
        result = m.sort(x, axis=axis)
        return m.copy(m.flip(result, axis=axis)) if descending else result

    def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
        # minimum and maximum pass NaN on and promote as the standard says; m.clip differs in both modules
        result = x if min is None else m.maximum(x, min)
        if max is not None:
            result = m.minimum(result, max)
        return m.copy(x) if result is x else result

    def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
        return m.sum(x != 0, axis=axis, keepdims=keepdims)

    def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
        moved = m.moveaxis(x, axis, 0)
        return tuple([moved[i, ...] for i in range(moved.shape[0])])

    def vecdot(x: Any, y: Any, /, *, axis: int = -1) -> Any:
        x, y = m.broadcast_arrays(x, y)
        x, y = m.moveaxis(x, axis, -1), m.moveaxis(y, axis, -1)
        return m.matmul(m.conj(x)[..., None, :], y[..., :, None])[..., 0, 0]

    def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
        return m.reshape(x, shape) if copy is None else m.reshape(x, shape, copy=copy)

    shims: Shims = {
        "astype": astype, "matrix_transpose": matrix_transpose, "argsort": argsort,
        "sort": sort,
        "cumulative_sum": cumulative_sum, "cumulative_prod": cumulative_prod, "clip": clip, "vecdot": vecdot,
        "running_maximum": running_maximum, "running_minimum": running_minimum, "running_logaddexp": running_logaddexp,
        "logaddexp": logaddexp,
        "count_nonzero": count_nonzero, "unstack": unstack, "isdtype": isdtype, "finfo": finfo,
    }  # fmt: skip
    if m is not np:  # CuPy calls the parameter newshape
        shims["reshape"] = reshape
    return shims


def memory_shims(m: Any, scatter_add: Callable[[Any, Any, Any], None] | None) -> Shims:
    """Layout, strided views, and reading and writing by index."""
    strided = m.lib.stride_tricks.as_strided

    def ascontiguousarray(x: Any) -> Any:
        # NumPy's function makes a 0-d array 1-d
        return x if x.flags.c_contiguous else m.ascontiguousarray(x)

    def copy(x: Any) -> Any:
        return m.copy(x)

    def as_strided(x: Any, *, shape: Sequence[int], strides: Sequence[int]) -> Any:
        return strided(x, shape=tuple(shape), strides=tuple(strides))

    def parts_of_complex(x: Any) -> Any:
        """A view of a complex array as a real one with a last dimension of length 2."""
        x = m.asarray(x)  # rules may hand over NumPy's scalars, which have no memory to look into
        first = x.real
        return strided(first, shape=(*x.shape, 2), strides=(*first.strides, first.dtype.itemsize))

    def complex_of_parts(x: Any) -> Any:
        """The reverse: a view where the two elements of the last dimension are neighbours in memory."""
        if x.strides[-1] != x.dtype.itemsize:
            x = m.ascontiguousarray(x)
        return x.view(m.complex64 if x.dtype == m.float32 else m.complex128)[..., 0]

    def put(array: Any, index: Any, values: Any) -> Any:
        """A new array: ``array`` with ``array[index] = values``.

        Where the index names an element twice the last value wins on NumPy; on CuPy it is one of the values, and
        the guard refuses unless they are equal.
        """
        result = m.copy(array)
        result[index] = values
        return result

    def scatter_add_at(array: Any, index: Any, values: Any) -> Any:
        """A new array: ``array`` with ``values`` added at ``index``; an element named twice gets both."""
        if scatter_add is None:
            raise NotImplementedError("xp.scatter_add_at: this namespace was made without a backend")
        result = m.copy(array)
        scatter_add(result, index, values)
        return result

    def sliding_windows(
        x: Any, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1), dilation: tuple[int, int] = (1, 1)
    ) -> Any:
        """A view of (N, C, H, W) as (N, C, OH, OW, KH, KW): every window of a convolution, nothing copied."""
        if x.ndim != 4:
            raise ValueError(f"sliding_windows: argument 'x' must have 4 dimensions (N, C, H, W), got {x.ndim}")
        size = []
        for axis in (0, 1):
            reach = dilation[axis] * (kernel[axis] - 1) + 1
            if min(kernel[axis], stride[axis], dilation[axis]) < 1 or reach > x.shape[2 + axis]:
                raise ValueError(
                    f"sliding_windows: kernel {kernel} with stride {stride} and dilation {dilation} does not fit into "
                    f"an input of height and width {tuple(x.shape[2:])}"
                )
            size.append((x.shape[2 + axis] - reach) // stride[axis] + 1)
        n, c, h, w = x.strides
        return strided(
            x,
            shape=(x.shape[0], x.shape[1], size[0], size[1], kernel[0], kernel[1]),
            strides=(n, c, h * stride[0], w * stride[1], h * dilation[0], w * dilation[1]),
        )

    return {
        "ascontiguousarray": ascontiguousarray, "copy": copy, "as_strided": as_strided,
        "parts_of_complex": parts_of_complex, "complex_of_parts": complex_of_parts,
        "put": put, "scatter_add_at": scatter_add_at, "sliding_windows": sliding_windows,
    }  # fmt: skip
