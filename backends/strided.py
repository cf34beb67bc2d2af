"""Views of an array's memory that indexing cannot express, written over either array module."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

Shims = dict[str, Callable[..., Any]]


def strided_shims(m: Any) -> Shims:
    """Diagonals, sliding windows, other dtypes on the same bytes, and addresses."""

    def strided(x: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        x = x[...]
        if not getattr(x.flags, "writeable", True):
            with contextlib.suppress(ValueError):  # NumPy marks what comes from an expanded array read-only
                x.flags.writeable = True  # which fails where the memory itself is
        return m.lib.stride_tricks.as_strided(x, shape=shape, strides=strides)

    def diagonal_view(x: Any, offset: int, axis1: int, axis2: int) -> Any:
        """A view of the diagonals of the matrices in two axes; they become the last axis."""
        index = [slice(None)] * x.ndim
        index[axis2 if offset >= 0 else axis1] = slice(abs(offset), None)
        x = x[tuple(index)]
        rest = [i for i in range(x.ndim) if i not in (axis1, axis2)]
        return strided(
            x,
            shape=(*[x.shape[i] for i in rest], min(x.shape[axis1], x.shape[axis2])),
            strides=(*[x.strides[i] for i in rest], x.strides[axis1] + x.strides[axis2]),
        )

    def windows_view(x: Any, axis: int, size: int, step: int) -> Any:
        """A view of windows of ``size`` elements, ``step`` apart, along one axis; their elements are the last axis."""
        shape, strides = list(x.shape), list(x.strides)
        shape[axis], strides[axis] = (shape[axis] - size) // step + 1, strides[axis] * step
        return strided(x, shape=(*shape, size), strides=(*strides, x.strides[axis]))

    def memory_view(x: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Any:
        """A view of a contiguous array's memory: shape, strides and start in elements."""
        if not x.flags.c_contiguous:  # a gradient in another memory order
            x = m.ascontiguousarray(x)
        flat = m.reshape(x, (-1,))[offset:]
        return strided(flat, shape=tuple(shape), strides=tuple([s * x.dtype.itemsize for s in strides]))

    def reinterpret_view(x: Any, dtype: Any) -> Any:
        """The same bytes as elements of another dtype."""
        return x.view(dtype)

    def address(x: Any) -> int:
        """Where the first element lies in memory."""
        return int(x.ctypes.data if m is np else x.data.ptr)

    return {
        "diagonal_view": diagonal_view, "windows_view": windows_view, "memory_view": memory_view,
        "reinterpret_view": reinterpret_view, "address": address,
    }  # fmt: skip
