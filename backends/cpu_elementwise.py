"""Elementwise kernels and column sums of the NumPy backend, where the plain NumPy call is slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends import compiled
from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray

#: Elements per row when a long array is compared with a row of zeros.
_ROW = 1 << 14
_ZEROS = {char: np.zeros(_ROW, dtype=char) for char in "fd"}

#: Elements of one part for the threads: in shorter calls they wait for the interpreter lock.
_PART = 1 << 18

#: Elements from which on the gradients of tanh and sigmoid are computed in place, and on all threads.
_SLOPES, _SLOPES_WORTH = 1 << 18, 1 << 19

#: Rows that are added up by one product with ones: short enough for float32, long enough for speed.
_SUMMED = 256
_ONES = {char: np.ones((1, _SUMMED), dtype=char) for char in "fd"}
#: Elements from which on a compiled sum wins, and one on several threads.
_LONG, _VERY_LONG = 1 << 15, 1 << 20
#: the shortest row whose sum pays
_SHORT_ROW = 8
#: so few rows are summed by one product
_AT_ONCE = 512
_ONES_AT_ONCE = {char: np.ones(_AT_ONCE, dtype=char) for char in "fd"}


def flat(*arrays: Array) -> list[Array] | None:
    """The elements of arrays of one shape in the memory order of the first, views; None where they have gaps.

    None too where the arrays are in different orders.
    """
    first = arrays[0]
    if all(a.flags.c_contiguous for a in arrays):
        return [a.reshape(-1) for a in arrays]
    if any(a.strides != first.strides for a in arrays):
        return None
    order = sorted(range(first.ndim), key=lambda axis: -first.strides[axis])
    if not first.transpose(order).flags.c_contiguous:
        return None
    return [a.transpose(order).reshape(-1) for a in arrays]


def apply_flat(function: Callable[..., object], x: Array, worth: int, *others: Array) -> Array | None:
    """A new array with ``function(part of x, ..., part of the result)`` for all 1-d parts; None where x has gaps.

    The others have the shape and dtype of x, and must be in the same memory order. Where x is one number everywhere, as
    the gradient of a sum is, and there are others, the function gets an array of this one element. From ``worth``
    elements on the parts are shared by the threads.
    """
    if others and x.size > 1 and not any(x.strides):
        number = x[(slice(0, 1),) * x.ndim].reshape(-1)
        return apply_flat(lambda *parts: function(number, *parts), others[0], worth, *others[1:])
    out = np.empty_like(x)  # keeps the memory order
    arrays = flat(x, *others, out)
    if arrays is None:
        return None
    if x.size < worth:
        function(*arrays)
        return out
    parts = ranges(x.size, max(2, x.size // _PART), _ROW)

    def run(i: int) -> None:
        a, b = parts[i]
        function(*[v[a:b] for v in arrays])

    parallel(run, len(parts))
    return out


def _relu_part(x: Array, out: Array) -> None:
    zeros = _ZEROS[x.dtype.char]
    even = x.size // _ROW * _ROW
    np.maximum(x[:even].reshape(-1, _ROW), zeros, out=out[:even].reshape(-1, _ROW))
    np.maximum(x[even:], zeros[: x.size - even], out=out[even:])


def relu(x: Array) -> Array:
    """``max(x, 0)``; with a row of zeros, as ``np.maximum`` takes twice as long with a scalar."""
    if x.dtype.char == "?":  # the maximum with 0 would be an integer
        raise TypeError("expected numbers, got bools")
    out = apply_flat(_relu_part, x, 1 << 20) if x.size >= _ROW and x.dtype.char in "fd" else None
    return np.maximum(x, 0) if out is None else out


def _logistic(x: Array, out: Array) -> None:
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.divide(1, out, out=out)


def _sigmoid_part(x: Array, out: Array) -> None:
    try:
        with np.errstate(over="raise"):
            _logistic(x, out)
    except FloatingPointError:  # below -88.7 (float64: -709.7), where the result is exp(x), not 0
        with np.errstate(over="ignore"):
            _logistic(x, out)
        np.exp(x, out=out, where=out == 0)


def sigmoid(x: Array) -> Array | None:
    """``1 / (1 + exp(-x))``, exact in both tails."""
    return apply_flat(_sigmoid_part, x, 1 << 17)


def _sigmoid_back_part(g: Array, y: Array, out: Array) -> None:
    np.subtract(1, y, out=out)
    np.multiply(out, y, out=out)
    np.multiply(out, g, out=out)


def _tanh_back_part(g: Array, y: Array, out: Array) -> None:
    np.multiply(y, y, out=out)
    np.subtract(1, out, out=out)
    np.multiply(out, g, out=out)


def _slope_kernel(op: str, part: Callable[..., object], xp: Any) -> Callable[[Any, Any], Any]:
    """A gradient from that of the result and the result, in place and in parts that stay in the cache."""

    def run(g: Any, out: Any) -> Any:
        slope = None
        if g.size >= _SLOPES and g.shape == out.shape and g.dtype == out.dtype and g.dtype.char in "fd":
            slope = apply_flat(part, g, _SLOPES_WORTH, out)
        return FORWARDS[op](xp, g, out) if slope is None else slope

    return run


#: erf(x) = tanh(x * P(x * x)): the coefficients of P, the highest first, for an error below 2e-7.
_ERF = (1.58954331e-7, -5.98561884e-6, 8.97122822e-5, -6.25719018e-4, -1.84384124e-4, 0.102765482, 1.12837971)


def _erf_part(x: Array, out: Array) -> None:
    with np.errstate(over="ignore"):  # tanh of infinity is 1
        square = np.multiply(x, x)
        np.multiply(square, np.float32(_ERF[0]), out=out)
        for coefficient in _ERF[1:]:
            np.add(out, np.float32(coefficient), out=out)
            if coefficient != _ERF[-1]:
                np.multiply(out, square, out=out)
        np.multiply(out, x, out=out)
        np.tanh(out, out=out)


def erf(x: Array) -> Array | None:
    """The error function of float32: 20 times as fast as SciPy's, which takes each element by itself."""
    return apply_flat(_erf_part, x, 1 << 17)


def total(x: Array) -> Any:
    """The sum of all elements of a large array, a scalar of its dtype; None where NumPy's own sum is as good."""
    if x.size < _LONG or x.dtype.char not in "fd":
        return None
    if compiled.available:
        return compiled.module("reductions").total(x)
    arrays = flat(x) if x.size >= _VERY_LONG else None
    if arrays is None:
        return None
    parts = ranges(x.size, max(2, x.size // _PART), _ROW)
    sums = np.empty(len(parts), dtype=x.dtype)

    def run(i: int) -> None:
        a, b = parts[i]
        sums[i] = np.add.reduce(arrays[0][a:b])

    parallel(run, len(parts))
    return np.add.reduce(sums)


def row_sums(x: Array, axis: Any, keepdims: bool) -> Any:
    """The sum over axes of which the last are innermost in memory; None where NumPy's own sum is as good."""
    if not compiled.available or x.size < _LONG or x.dtype.char not in "fd" or not x.flags.carray:
        return None
    axes = {a % x.ndim if -x.ndim <= a < x.ndim else -1 for a in (axis if isinstance(axis, tuple) else (axis,))}
    if -1 in axes or (isinstance(axis, tuple) and len(axes) < len(axis)):
        return None  # NumPy tells what is wrong
    first, length = x.ndim, 1
    while first - 1 in axes:
        first -= 1
        length *= x.shape[first]
    if length < _SHORT_ROW or not first:
        return total(x) if not first and not keepdims else None
    sums = compiled.module("reductions").row_sums(x.reshape(-1, length))
    rest = tuple([a for a in axes if a < first])
    if rest:
        sums = np.add.reduce(sums.reshape(x.shape[:first]), rest)
    return sums.reshape([1 if a in axes else n for a, n in enumerate(x.shape) if keepdims or a not in axes])


def column_sums(x: Array) -> Array | None:
    """The sums of the columns of x (rows, columns) as products with ones; None where NumPy's own sum is as good.

    Adding rows one by one runs at half the speed, at a quarter of it for narrow rows, and rounds more.
    """
    rows, columns = x.shape
    if x.dtype.char not in "fd" or not x.flags.c_contiguous:
        return None
    if rows <= _AT_ONCE:
        sums: Array = np.dot(_ONES_AT_ONCE[x.dtype.char][:rows], x)
        return sums
    if columns > 512:
        return None
    even = rows // _SUMMED * _SUMMED
    ones = _ONES[x.dtype.char]
    parts = np.matmul(ones, x[:even].reshape(-1, _SUMMED, columns))
    total: Array = np.add.reduce(parts, (0, 1))
    if even < rows:
        total += np.add.reduce(x[even:], 0)
    return total


#: functions of NumPy that take 2 ns for an element or more: a second thread pays from these many elements on
_SLOW = (np.exp, np.expm1, np.log, np.log1p, np.log2, np.log10, np.sin, np.cos, np.tan, np.tanh, np.sinh, np.cosh)
_SLOW_WORTH = 1 << 17


def _on_all_threads(function: Any) -> Callable[..., Any]:
    """A slow function of NumPy on all threads, where there is enough to do."""

    def compute(x: Any) -> Any:
        if x.size >= _SLOW_WORTH and type(x) is np.ndarray and x.dtype.char in "fd":
            out = apply_flat(function, x, _SLOW_WORTH)
            if out is not None:
                return out
        return function(x)

    compute.__name__ = function.__name__
    return compute


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    xp = backend.xp
    for slow in _SLOW:
        setattr(xp, slow.__name__, _on_all_threads(slow))
    kernel("relu", backend)(relu)

    kernel("sigmoid_back", backend)(_slope_kernel("sigmoid_back", _sigmoid_back_part, xp))
    kernel("tanh_back", backend)(_slope_kernel("tanh_back", _tanh_back_part, xp))

    exact = xp.erf  # SciPy's

    @kernel("erf", backend)
    def _erf(x: Array) -> Any:
        out = erf(x) if type(x) is np.ndarray and x.dtype == np.float32 and x.ndim else None
        return exact(x) if out is None else out

    @kernel("sigmoid", backend)
    def _sigmoid(x: Array) -> Any:
        out = sigmoid(x) if x.size >= 2048 and x.dtype.char in "fd" else None
        return FORWARDS["sigmoid"](xp, x) if out is None else out
