"""Making arrays, with the standard's names and defaults."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.array_api.promotion import array, ours
from chainrule.autograd import dtypes
from chainrule.autograd.numpy_shapes import grids
from chainrule.autograd.tensor import Tensor


def _shape(shape: Any) -> tuple[int, ...]:
    return (int(shape),) if hasattr(shape, "__index__") else tuple(shape)


def arange(
    start: float, /, stop: float | None = None, step: float = 1, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Evenly spaced values from ``start`` up to ``stop``, which is left out."""
    begin, end = (0, start) if stop is None else (start, stop)
    if step == 0:
        raise ValueError("arange: step must not be 0")
    if math.ceil((end - begin) / step) <= 0:
        end = begin
    return ours("arange")(begin, end, step, dtype=dtype, device=device)


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """A Tensor with the values of numbers, nested sequences, arrays or buffers, on their memory where possible."""
    if isinstance(obj, (bytes, bytearray, memoryview)):  # the buffer says what its elements are
        obj = np.asarray(obj if isinstance(obj, memoryview) else memoryview(obj))
    return ours("asarray")(obj, dtype=dtype, device=device, copy=copy)


def empty(shape: int | tuple[int, ...], *, dtype: Any = None, device: Any = None) -> Tensor:
    """An array with whatever was in its memory."""
    return ours("empty")(_shape(shape), dtype=dtype, device=device)


def empty_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """An array of the shape of ``x`` with whatever was in its memory."""
    return _like("empty_like", x, dtype, device, ours("empty"))


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Tensor:
    """A matrix with ones on diagonal ``k`` and zeros elsewhere."""
    spec = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    return ours("tensor")(np.eye(n_rows, n_cols, k, dtype=spec.dtype), device=device)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A Tensor on the memory of another library's array."""
    return ours("from_dlpack")(x, device=device, copy=copy)


def full(shape: int | tuple[int, ...], fill_value: complex, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``fill_value`` in every element; its type decides the dtype when none is given."""
    return ours("full")(_shape(shape), fill_value, dtype=dtype, device=device)


def full_like(x: Tensor, /, fill_value: complex, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``fill_value`` in every element of an array of the shape of ``x``."""
    x = array("full_like", "x", x)
    return ours("full_like")(x, fill_value, dtype=dtype, device=device)


def linspace(
    start: complex,
    stop: complex,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: Any = None,
    endpoint: bool = True,
) -> Tensor:
    """``num`` evenly spaced values from ``start`` to ``stop``, which is included with ``endpoint``."""
    if num < 0:
        raise ValueError(f"linspace: num must not be negative, got {num}")
    values = np.linspace(start, stop, num, endpoint=endpoint)
    if dtype is None:
        default = dtypes.get_default_dtype()
        dtype = default if values.dtype.kind == "f" else dtypes.promote(default.dtype, dtypes.complex64.dtype)
    return ours("tensor")(values, dtype=dtype, device=device)


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """The coordinates of the grid that vectors span, with Cartesian (xy) or matrix (ij) order of dimensions."""
    return list(grids([array("meshgrid", f"arrays[{i}]", t) for i, t in enumerate(arrays)], indexing))


def ones(shape: int | tuple[int, ...], *, dtype: Any = None, device: Any = None) -> Tensor:
    """Ones."""
    return ours("ones")(_shape(shape), dtype=dtype, device=device)


def ones_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Ones in the shape of ``x``."""
    return _like("ones_like", x, dtype, device, ours("ones"))


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The lower triangle of matrices, up to diagonal ``k``; zeros above it."""
    return array("tril", "x", x).tril(k)


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The upper triangle of matrices, from diagonal ``k`` on; zeros below it."""
    return array("triu", "x", x).triu(k)


def zeros(shape: int | tuple[int, ...], *, dtype: Any = None, device: Any = None) -> Tensor:
    """Zeros."""
    return ours("zeros")(_shape(shape), dtype=dtype, device=device)


def zeros_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Zeros in the shape of ``x``."""
    return _like("zeros_like", x, dtype, device, ours("zeros"))


def _like(caller: str, x: Tensor, dtype: Any, device: Any, make: Any) -> Tensor:
    x = array(caller, "x", x)
    made: Tensor = make(
        tuple(x.shape), dtype=x.dtype if dtype is None else dtype, device=x.device if device is None else device
    )
    return made
