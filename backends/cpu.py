"""The NumPy backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends import cpu_convolution, cpu_elementwise, cpu_matmul, cpu_pooling, pool, runtime, scatter
from chainrule.backends.base import Backend
from chainrule.backends.namespace import ArrayNamespace
from chainrule.backends.philox import host_bits, host_fill

#: True computes convolutions by the plain sum (float32 error 1e-6), not by Winograd's algorithm (2e-5, faster).
precise = False

#: Elements from which on a sum is worth a closer look.
_LONG = 1 << 16

_add_reduce: Any = np.add.reduce
_maximum_reduce: Any = np.maximum.reduce
_minimum_reduce: Any = np.minimum.reduce


def _sum(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    # np.sum goes through three Python layers to reach this call (3.2 us against 1.3 us on 4 floats).
    if x.size >= _LONG and not keepdims:
        total = _column_sums(x, axis)
        if total is not None:
            return total
    return _add_reduce(x, axis, None, None, keepdims)


def _column_sums(x: Any, axis: Any) -> Any:
    """The gradient of a bias: a sum over all but the dimension that is innermost in memory. None for other sums."""
    if x.ndim == 2 and axis in (0, (0,)):
        return cpu_elementwise.column_sums(x)
    if x.ndim == 4 and axis == (0, 2, 3) and x.strides[1] == x.itemsize:
        rows = x.transpose(0, 2, 3, 1)
        if rows.flags.c_contiguous:
            return cpu_elementwise.column_sums(rows.reshape(-1, x.shape[1]))
    return None


def _mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    total = _add_reduce(x, axis, None, None, keepdims)
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


class NumpyBackend(Backend):
    """Arithmetic on the CPU by NumPy."""

    name = "numpy"
    device_type = "cpu"
    array_type = np.ndarray

    def __init__(self) -> None:
        runtime.prepare()
        pool.get_num_threads()  # an environment variable that makes no sense is told about here
        self.xp = ArrayNamespace(np, self.name, self.scatter_add)
        for name, fast in {"sum": _sum, "mean": _mean, "max": _max, "min": _min}.items():
            setattr(self.xp, name, fast)
        cpu_convolution.register(self, lambda: not precise)
        cpu_pooling.register(self)
        cpu_matmul.register(self)
        cpu_elementwise.register(self)

    def asarray(self, obj: Any, dtype: Any = None) -> np.ndarray:
        return np.asarray(obj, dtype)

    def from_host(self, array: np.ndarray, index: int = 0) -> np.ndarray:
        return np.array(array)

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return array

    def shares_memory(self, x: Any, y: Any) -> bool:
        return bool(np.shares_memory(x, y))

    def scatter_add(self, array: Any, index: Any, values: Any) -> None:
        scatter.scatter_add(array, index, values)

    def random_bits(self, key: int, stream: int, count: int) -> np.ndarray:
        return host_bits(key, stream, count)

    def fill_from_bits(
        self, key: int, stream: int, out: Any, per_word: int, convert: Callable[[Any, Any], None]
    ) -> None:
        host_fill(key, stream, out, per_word, convert)

    def describe(self) -> dict[str, str]:
        return {"numpy": np.__version__, "threads": str(pool.get_num_threads()), **runtime.describe()}
