"""Elementwise functions of three tensors, and comparisons that pass over NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.arithmetic import _add
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe, result_dtype
from chainrule.autograd.samples import Binary, Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


def _three(rng: Any) -> Any:
    for a, b, c in [((3,), (3,), (3,)), ((2, 1), (3,), (2, 3)), ((2, 3), (), ()), ((), (2,), (1,)), ((0,), (0,), ())]:
        yield Sample((normal(rng, *a), normal(rng, *b), normal(rng, *c, low=0.1, high=0.9)))


@op(
    vjp={
        "x": lambda xp, g, weight: g * (1 - weight),
        "end": lambda xp, g, weight: g * weight,
        "weight": lambda xp, g, x, end: g * (end - x),
    },
    check=Samples(_three, reference=lambda x, end, weight: x + weight * (end - x)),
    harmonise=True,
    broadcasts=True,
    label="lerp",
)
def interpolate_linearly(xp, x, end, weight):
    """``x + weight * (end - x)``, exact at both ends."""
    way = end - x
    return xp.where(xp.abs(weight) < 0.5, x + weight * way, end - way * (1 - weight))


@function("lerp", inplace=True)
def _lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """``input + weight * (end - input)``; the weight is a number or a tensor, and all three broadcast.

    Raises RuntimeError for integers and for tensors of different dtypes.

    Example:
        >>> import chainrule as cr
        >>> cr.lerp(cr.tensor([0.0, 1.0]), cr.tensor([10.0, 3.0]), 0.5)
        tensor([5., 2.])
    """
    if dtypes.category(input._data.dtype) < 2:
        raise RuntimeError(f"lerp: expected a floating-point tensor, got {describe(input)}")
    for name, value in (("end", end), ("weight", weight)):
        if isinstance(value, Tensor) and value._data.dtype != input._data.dtype:
            raise RuntimeError(f"lerp: expected {input.dtype} for {name!r}, as for 'input', got {describe(value)}")
    return xp_of_tensors.interpolate_linearly(input, end, weight)


@function("addcmul", inplace=True)
def _addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """``input + value * tensor1 * tensor2``, elementwise with broadcasting.

    Example:
        >>> import chainrule as cr
        >>> cr.addcmul(cr.tensor([1.0]), cr.tensor([2.0]), cr.tensor([3.0]), value=10)
        tensor([61.])
    """
    return _add(input, xp_of_tensors.multiply(tensor1, tensor2), alpha=value)


@function("addcdiv", inplace=True)
def _addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """``input + value * tensor1 / tensor2``, elementwise with broadcasting.

    Raises RuntimeError when both divided tensors are of integers.

    Example:
        >>> import chainrule as cr
        >>> cr.addcdiv(cr.tensor([1.0]), cr.tensor([6.0]), cr.tensor([3.0]), value=10)
        tensor([21.])
    """
    if dtypes.category(result_dtype([tensor1, tensor2])) < 2:
        raise RuntimeError("addcdiv: expected floating-point tensors to divide, got integers; convert with .float()")
    return _add(input, xp_of_tensors.divide(tensor1, tensor2), alpha=value)


@op(
    vjp={
        "x": lambda xp, g, x, y: xp.where((x >= y) | (y != y), g, xp.zeros_like(g)),
        "y": lambda xp, g, x, y: xp.where((x >= y) | (y != y), xp.zeros_like(g), g),
    },
    check=Binary(reference=np.fmax),
    public="fmax",
    harmonise=True,
    broadcasts=True,
)
def fmax(xp, x, y):
    """The larger of two elements, or the one that is not NaN; where they are equal ``input`` gets the gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.fmax(cr.tensor([1.0, cr.nan]), cr.tensor([3.0, 2.0]))
        tensor([3., 2.])
    """
    return xp.fmax(x, y)


@op(
    vjp={
        "x": lambda xp, g, x, y: xp.where((x <= y) | (y != y), g, xp.zeros_like(g)),
        "y": lambda xp, g, x, y: xp.where((x <= y) | (y != y), xp.zeros_like(g), g),
    },
    check=Binary(reference=np.fmin),
    public="fmin",
    harmonise=True,
    broadcasts=True,
)
def fmin(xp, x, y):
    """The smaller of two elements, or the one that is not NaN; where they are equal ``input`` gets the gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.fmin(cr.tensor([1.0, cr.nan]), cr.tensor([3.0, 2.0]))
        tensor([1., 2.])
    """
    return xp.fmin(x, y)
