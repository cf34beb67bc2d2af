"""NumPy's functions without their Python layers.

On small arrays the dispatch and wrapping in NumPy's Python code costs more than the work: ``np.sum`` of 4 floats
takes 3.2 us, the ufunc's ``reduce`` behind it 1.3; ``np.reshape`` 1.0 us, the method 0.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends import cpu_elementwise, layout

#: elements from which on a sum is worth a closer look
_LONG = 1 << 11

#: for the iterator whose view of its operand is the operand broadcast
_ANY_SIZE, _READ = ["multi_index", "refs_ok", "zerosize_ok"], [["readonly"]]
_iterator: Any = np.nditer

_add_reduce: Any = np.add.reduce
_maximum_reduce: Any = np.maximum.reduce
_minimum_reduce: Any = np.minimum.reduce


def _sum(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    if x.size >= _LONG:
        total = None
        if not keepdims:
            total = cpu_elementwise.total(x) if axis is None else _column_sums(x, axis)
        if total is None and axis is not None:
            total = cpu_elementwise.row_sums(x, axis, keepdims)
        if total is not None:
            return total
    return _add_reduce(x, axis, None, None, keepdims)


def _column_sums(x: Any, axis: Any) -> Any:
    """The gradient of a bias: a sum over all but the dimension that is innermost in memory. None for other sums."""
    if x.ndim == 2 and axis in (0, (0,)):
        return cpu_elementwise.column_sums(x)
    if x.ndim == 3 and axis == (0, 1) and x.flags.c_contiguous:
        return cpu_elementwise.column_sums(x.reshape(-1, x.shape[2]))
    if x.ndim == 4 and axis == (0, 2, 3) and x.strides[1] == x.itemsize:
        rows = x.transpose(0, 2, 3, 1)
        if rows.flags.c_contiguous:
            return cpu_elementwise.column_sums(rows.reshape(-1, x.shape[1]))
    return None


def _mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    total = _sum(x, axis=axis, keepdims=keepdims)
    count = x.size // total.size if total.size else _axis_length(x.shape, axis)
    if count == 0:  # the mean of nothing is nan, without NumPy's warning
        return np.full(total.shape, np.nan, dtype=total.dtype)
    return total / count


def _axis_length(shape: tuple[int, ...], axis: Any) -> int:
    axes = range(len(shape)) if axis is None else (axis if isinstance(axis, tuple) else (axis,))
    length = 1
    for a in axes:
        length *= shape[a]
    return length


def _max(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    return _maximum_reduce(x, axis, None, None, keepdims)


def _min(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    return _minimum_reduce(x, axis, None, None, keepdims)


def _nonzero(x: Any, /) -> Any:
    """NumPy takes ten times as long for an array of several dimensions as for the same in one."""
    if x.ndim < 2 or x.size < _LONG or not x.flags.c_contiguous:
        return x.nonzero()
    above, found = x.reshape(-1).nonzero()[0], []
    for length in x.shape[:0:-1]:
        places, above = above, above // length
        found.append(places - above * length)
    return (above, *found[::-1])


def _reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    if copy is None:
        # a NumPy scalar (the gradient of a 0-d result) has the method too
        return x.reshape(shape)
    return np.reshape(x, shape, copy=copy)


def _permute_dims(x: Any, /, axes: Any) -> Any:
    return x.transpose(axes)


def _matrix_transpose(x: Any, /) -> Any:
    return x.mT


def _copy(x: Any) -> Any:
    return x.copy("K") if type(x) is np.ndarray else np.copy(x)


def _zeros_like(x: Any, /, *, dtype: Any = None) -> Any:
    if dtype is None and type(x) is np.ndarray and (x.flags.c_contiguous or not any(x.strides)):
        return np.zeros(x.shape, x.dtype)
    return np.zeros_like(x, dtype=dtype)


def _full(shape: Any, fill_value: Any, *, dtype: Any = None) -> Any:
    if dtype is None:
        return np.full(shape, fill_value)
    out = np.empty(shape, dtype)
    out[...] = fill_value
    return out


def _ones(shape: Any, *, dtype: Any = None) -> Any:
    return _full(shape, 1, dtype=np.float64 if dtype is None else dtype)


def _broadcast_to(x: Any, /, shape: tuple[int, ...]) -> Any:
    if type(x) is np.ndarray and type(shape) is tuple and shape and min(shape) >= 0:
        # what np.broadcast_to does behind its checks, in a third of the time
        return _iterator((x,), _ANY_SIZE, _READ, itershape=shape, order="C").itviews[0]
    return np.broadcast_to(x, shape)


def _spread(x: Any, *, shape: tuple[int, ...]) -> Any:
    out = np.empty(shape, x.dtype)
    out[...] = x
    return out


#: name in the namespace -> the function that takes the place of NumPy's
SHORTCUTS: dict[str, Any] = {
    "broadcast_to": _broadcast_to,
    "sum": _sum,
    "mean": _mean,
    "max": _max,
    "min": _min,
    "ascontiguousarray": layout.contiguous,
    "nonzero": _nonzero,
    "reshape": _reshape,
    "permute_dims": _permute_dims,
    "matrix_transpose": _matrix_transpose,
    "copy": _copy,
    "zeros_like": _zeros_like,
    "full": _full,
    "ones": _ones,
    "spread": _spread,
}
