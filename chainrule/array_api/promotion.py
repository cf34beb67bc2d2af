"""The standard's type promotion, in which the dtypes of 0-d arrays count and Python numbers are weak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import cast, describe, wrap
from chainrule.autograd.tensor import Tensor


def ours(name: str) -> Callable[..., Any]:
    """The recorded function ``chainrule.name``, looked up when it is called."""
    return FUNCTIONS[name]


def array(caller: str, parameter: str, value: Any) -> Tensor:
    """``value``, which has to be a Tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{caller}: argument {parameter!r} must be a Tensor, got {describe(value)}")
    return value


def unary(name: str, x: Tensor, public: str = "") -> Tensor:
    """The elementwise function of one array."""
    return ours(public or name)(array(name, "x", x))


def binary(name: str, x1: Any, x2: Any, public: str = "") -> Tensor:
    """The elementwise function of two arrays, or of an array and a number, in their common dtype."""
    return ours(public or name)(*promoted(name, x1, x2))


def promoted(caller: str, x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """Two operands, of which one may be a Python number, as Tensors of one dtype."""
    if isinstance(x1, Tensor) and isinstance(x2, Tensor):
        to = dtypes.promote(x1._data.dtype, x2._data.dtype)
        return cast(x1, to), cast(x2, to)
    if isinstance(x1, Tensor):
        to = with_number(x1._data.dtype, caller, "x2", x2)
        return cast(x1, to), _constant(x2, to, x1)
    if isinstance(x2, Tensor):
        to = with_number(x2._data.dtype, caller, "x1", x1)
        return _constant(x1, to, x2), cast(x2, to)
    raise TypeError(f"{caller}: at least one argument must be a Tensor, got {describe(x1)} and {describe(x2)}")


def same_dtype(caller: str, arrays: Any) -> list[Tensor]:
    """All members of a sequence in their common dtype."""
    given = [array(caller, f"arrays[{i}]", t) for i, t in enumerate(arrays)]
    if not given:
        raise ValueError(f"{caller}: expected at least one Tensor, got an empty sequence")
    to = given[0]._data.dtype
    for t in given[1:]:
        to = dtypes.promote(to, t._data.dtype)
    return [cast(t, to) for t in given]


def with_number(dtype: np.dtype[Any], caller: str, parameter: str, value: Any) -> np.dtype[Any]:
    """The dtype of an array together with a Python number: the array's, unless the number is of a higher kind."""
    if not isinstance(value, (bool, int, float, complex)) or isinstance(value, np.generic):
        raise TypeError(f"{caller}: argument {parameter!r} must be a Tensor or a Python number, got {describe(value)}")
    own = dtypes.category(dtype)
    kind = 0 if isinstance(value, bool) else 1 if isinstance(value, int) else 2 if isinstance(value, float) else 3
    if kind <= own:
        return dtype
    if isinstance(value, int):
        return dtypes.int64.dtype
    wide = dtypes.get_default_dtype().dtype if own < 2 else dtype
    return wide if isinstance(value, float) else dtypes.promote(wide, dtypes.complex64.dtype)


def _constant(value: Any, dtype: np.dtype[Any], like: Tensor) -> Tensor:
    with np.errstate(over="ignore"):  # beyond the largest float is inf
        return wrap(like._device.asarray(np.asarray(value, dtype) if dtype.kind != "V" else value, dtype), like._device)
