"""What the functions here check of their arguments: sizes for each dimension, batches, tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor

Pair = int | Sequence[int]

_SPATIAL = {1: "L", 2: "H, W", 3: "D, H, W"}
_MANY = {1: "one", 2: "two", 3: "three"}


def sizes(caller: str, name: str, value: Any, count: int, least: int) -> tuple[int, ...]:
    """A number, or one for each of ``count`` dimensions. Raises TypeError or ValueError, naming the argument."""
    values = (value,) * count if isinstance(value, (int, np.integer)) else value
    try:
        found = tuple([int(v.__index__()) for v in values])
    except (TypeError, ValueError, AttributeError):
        found = ()
    if len(found) == 1:
        found *= count
    if len(found) != count:
        raise TypeError(f"{caller}: {name} must be an int or {_MANY[count]} of them, got {value!r}")
    if min(found) < least:
        raise ValueError(f"{caller}: {name} must be at least {least}, got {value!r}")
    return found


def pair(caller: str, name: str, value: Any, least: int) -> tuple[int, int]:
    """A number or two as (height, width). Raises TypeError or ValueError, naming ``caller`` and the argument."""
    first, second = sizes(caller, name, value, 2, least)
    return first, second


def need_tensor(caller: str, **values: Any) -> None:
    """Raise TypeError unless every value is a Tensor."""
    for name, value in values.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{caller}: {name} must be a Tensor, got {describe(value)}")


def need_tensor_or_none(caller: str, **values: Any) -> None:
    """Raise TypeError unless every value is a Tensor or None."""
    need_tensor(caller, **{name: value for name, value in values.items() if value is not None})


def batched(caller: str, input: Any, dims: int) -> tuple[Any, bool]:
    """The input as (N, C, ...) with ``dims`` further dimensions, and whether it came without N."""
    need_tensor(caller, input=input)
    if input._data.ndim == dims + 2:
        return input, False
    if input._data.ndim == dims + 1:
        return input.unsqueeze(0), True
    shape = _SPATIAL[dims]
    raise RuntimeError(f"{caller}: input must have shape (N, C, {shape}) or (C, {shape}), got {tuple(input.shape)}")


def need_fractions(caller: str, x: Any) -> None:
    """Raise NotImplementedError for a tensor of integers, in which weighted sums would be cut to whole numbers."""
    if dtypes.category(x._data.dtype) < 2:
        raise NotImplementedError(f"{caller}: expected floating-point numbers, got {describe(x)}; use .float()")
