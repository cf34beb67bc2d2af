"""Data types: objects with PyTorch's attributes that are equal to NumPy's dtypes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np


class dtype:
    """The type of a tensor's elements.

    A ``dtype`` equals the NumPy dtype of the same name, and NumPy accepts it wherever it accepts its own.

    Example:
        >>> import numpy as np
        >>> float32 == np.float32, np.zeros(2, dtype=float32).dtype
        (True, dtype('float32'))
        >>> float32.is_floating_point, int64.itemsize
        (True, 8)
    """

    __slots__ = ("dtype", "kind", "name", "itemsize", "is_floating_point", "is_complex", "is_signed")

    def __init__(self, numpy_dtype: Any) -> None:
        self.dtype = np.dtype(numpy_dtype)
        self.kind = self.dtype.kind
        self.name = self.dtype.name
        self.itemsize = self.dtype.itemsize
        self.is_complex = self.dtype.kind == "c"
        # ml_dtypes.bfloat16 has kind 'V' (a user-defined type)
        self.is_floating_point = self.dtype.kind == "f" or self.dtype == ml_dtypes.bfloat16
        self.is_signed = self.dtype.kind not in "bu"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, dtype):
            return self.dtype == other.dtype
        try:
            return bool(self.dtype == np.dtype(other))  # type: ignore[call-overload]
        except TypeError:
            return NotImplemented

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return (as_dtype, (self.name,))

    def __repr__(self) -> str:
        return f"chainrule.{self.name}"


bool_ = dtype(np.bool_)
uint8 = dtype(np.uint8)
uint16 = dtype(np.uint16)
uint32 = dtype(np.uint32)
uint64 = dtype(np.uint64)
int8 = dtype(np.int8)
int16 = dtype(np.int16)
int32 = dtype(np.int32)
int64 = dtype(np.int64)
float16 = dtype(np.float16)
bfloat16 = dtype(ml_dtypes.bfloat16)
float32 = dtype(np.float32)
float64 = dtype(np.float64)
complex64 = dtype(np.complex64)
complex128 = dtype(np.complex128)

_ALL = (
    bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64,
    float16, bfloat16, float32, float64, complex64, complex128,
)  # fmt: skip
_BY_NUMPY = {d.dtype: d for d in _ALL}
_BY_NAME = {d.name: d for d in _ALL}
_PYTHON = {bool: bool_, int: int64}

#: dtypes of which a derivative exists
DIFFERENTIABLE = frozenset(d.dtype for d in _ALL if d.is_floating_point or d.is_complex)
_CATEGORY = {d.dtype: 3 if d.is_complex else 2 if d.is_floating_point else 0 if d is bool_ else 1 for d in _ALL}

_default = float32


def category(numpy_dtype: np.dtype[Any]) -> int:
    """0 for bool, 1 for integers, 2 for floating point, 3 for complex."""
    return _CATEGORY.get(numpy_dtype, 1)


def is_complex(spec: Any) -> bool:
    """Whether a dtype, ours or NumPy's, is complex; for rules, which see both.

    Example:
        >>> is_complex(complex64), is_complex(np.dtype(np.float32))
        (True, False)
    """
    return bool(spec.kind == "c")


def as_dtype(spec: Any) -> dtype:
    """The :class:`dtype` for a dtype, a NumPy dtype, a name or a Python type.

    Raises TypeError for anything that is none of these or has no counterpart here.

    Example:
        >>> as_dtype("float64"), as_dtype(float), as_dtype(int)
        (chainrule.float64, chainrule.float32, chainrule.int64)
    """
    if isinstance(spec, dtype):
        return spec
    if spec is float:
        return _default
    if spec is complex:
        return default_complex()
    if isinstance(spec, type) and spec in _PYTHON:
        return _PYTHON[spec]
    if isinstance(spec, str) and spec in _BY_NAME:
        return _BY_NAME[spec]
    try:
        found = _BY_NUMPY.get(np.dtype(spec))
    except TypeError:
        found = None
    if found is None:
        raise TypeError(f"dtype: expected one of {', '.join(_BY_NAME)}, got {spec!r}")
    return found


def of_array(array: Any) -> dtype:
    """The :class:`dtype` of an array's elements."""
    found = _BY_NUMPY.get(array.dtype)
    return found if found is not None else as_dtype(array.dtype)


def get_default_dtype() -> dtype:
    """The dtype of tensors made from Python floats.

    Example:
        >>> get_default_dtype()
        chainrule.float32
    """
    return _default


def default_complex() -> dtype:
    """The dtype of tensors made from Python complex numbers: complex128 where floats are float64.

    Example:
        >>> default_complex()
        chainrule.complex64
    """
    return complex128 if _default.itemsize == 8 else complex64


def set_default_dtype(spec: Any) -> None:
    """Make ``spec`` (a floating dtype) the dtype of tensors made from Python floats.

    Raises TypeError when it is not a floating-point dtype.

    Example:
        >>> set_default_dtype(float64); set_default_dtype(float32)
    """
    global _default
    chosen = as_dtype(spec)
    if not chosen.is_floating_point:
        raise TypeError(f"set_default_dtype: expected a floating-point dtype, got {chosen}")
    _default = chosen


def promote(x: np.dtype[Any], y: np.dtype[Any]) -> np.dtype[Any]:
    """PyTorch's promotion of two array dtypes: a float absorbs any integer, float16 and bfloat16 give float32.

    Raises TypeError for uint64 with a signed integer: no integer dtype holds both.
    """
    if x == y:
        return x
    cx, cy = category(x), category(y)
    if cx >= 2 and cy < 2:
        return x
    if cy >= 2 and cx < 2:
        return y
    if bfloat16.dtype in (x, y):
        other = y if x == bfloat16.dtype else x
        if other == np.float16:
            return float32.dtype
        if cx == cy:
            return other
        return other  # a complex dtype is at least complex64, which holds every bfloat16
    common = np.promote_types(x, y)
    if common.kind == "f" and cx == cy == 1:
        raise TypeError(f"no integer dtype holds both {x} and {y}; convert one of them, for example with .long()")
    return common
