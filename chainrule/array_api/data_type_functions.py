"""Conversion between dtypes, promotion, and the limits of dtypes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.array_api.promotion import array, with_number
from chainrule.autograd import dtypes
from chainrule.autograd.tensor import Tensor
from chainrule.backends import shims


def astype(x: Tensor, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """The array in another dtype, and on another device; a new array unless ``copy`` is False and nothing changes."""
    x, to = array("astype", "x", x), dtypes.as_dtype(dtype)
    if x.is_complex() and not to.is_complex and to != dtypes.bool_:
        raise TypeError(f"astype: a complex array has no one real value, got {to} for {x.dtype}; use real() or imag()")
    result = x.to(to) if device is None else x.to(device, to)
    return x.clone() if copy and result is x else result


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether promotion may turn one dtype into another."""
    source = (from_.dtype if isinstance(from_, Tensor) else dtypes.as_dtype(from_)).dtype
    target = dtypes.as_dtype(to).dtype
    kinds = dtypes.category(source), dtypes.category(target)
    if kinds[0] != kinds[1] and kinds != (2, 3):  # the standard promotes between floating and complex kinds only
        return False
    try:
        return bool(dtypes.promote(source, target) == target)
    except TypeError:
        return False


@dataclass(frozen=True)
class FloatLimits:
    """What ``finfo`` gives."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: dtypes.dtype


@dataclass(frozen=True)
class IntegerLimits:
    """What ``iinfo`` gives."""

    bits: int
    max: int
    min: int
    dtype: dtypes.dtype


def finfo(type: Any, /) -> FloatLimits:
    """The limits of a floating dtype, or of the parts of a complex one."""
    spec = type.dtype if isinstance(type, Tensor) else dtypes.as_dtype(type)
    if not (spec.is_floating_point or spec.is_complex):
        raise ValueError(f"finfo: expected a floating-point or complex dtype, got {spec}")
    found = shims.finfo(spec.dtype)
    low, high, step, tiny = [float(v) for v in (found.min, found.max, found.eps, found.smallest_normal)]
    return FloatLimits(int(found.bits), step, high, low, tiny, dtypes.as_dtype(found.dtype))


def iinfo(type: Any, /) -> IntegerLimits:
    """The limits of an integer dtype."""
    spec = type.dtype if isinstance(type, Tensor) else dtypes.as_dtype(type)
    if dtypes.category(spec.dtype) != 1:
        raise ValueError(f"iinfo: expected an integer dtype, got {spec}")
    found = np.iinfo(spec.dtype)
    return IntegerLimits(int(found.bits), int(found.max), int(found.min), spec)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind (such as ``"real floating"``), equal to a dtype, or one of several."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    return shims.isdtype(dtypes.as_dtype(dtype).dtype, kind if isinstance(kind, str) else dtypes.as_dtype(kind).dtype)


def result_type(*arrays_and_dtypes: Any) -> dtypes.dtype:
    """The dtype that arrays, dtypes and Python numbers have together."""
    result: np.dtype[Any] | None = None
    numbers = []
    for value in arrays_and_dtypes:
        if isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic):
            numbers.append(value)
            continue
        one = (value.dtype if isinstance(value, Tensor) else dtypes.as_dtype(value)).dtype
        result = one if result is None else dtypes.promote(result, one)
    if result is None:
        raise ValueError("result_type: expected at least one array or dtype")
    for number in numbers:
        result = with_number(result, "result_type", "arrays_and_dtypes", number)
    return dtypes.as_dtype(result)
