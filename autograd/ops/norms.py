"""Norms of vectors and matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.matrices import conj, is_complex
from chainrule.autograd.ops.reduction import keep_dims, public_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.runtime import cast
from chainrule.autograd.samples import Reduction
from chainrule.autograd.tensor import Tensor


def _norm_back(xp: Any, g: Any, x: Any, out: Any, axis: Any, keepdims: bool) -> Any:
    zero = out == 0  # the subgradient of the norm at 0 is 0
    slope = xp.where(zero, xp.zeros_like(g), g / xp.where(zero, xp.ones_like(out), out))
    return conj(xp, x) * keep_dims(xp, slope, x.shape, axis, keepdims)


@op(
    vjp={"x": _norm_back},
    check=Reduction(
        0.5, 2.0, reference=lambda x, axis=None, keepdims=False: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))
    ),
    label="norm",
)
def euclidean_norm(xp, x, *, axis=None, keepdims=False):
    """Square root of the sum of squares; its gradient at 0 is 0."""
    squares = xp.square(xp.real(x)) + xp.square(xp.imag(x)) if is_complex(x) else x * x
    return xp.sqrt(xp.sum(squares, axis=axis, keepdims=keepdims))


@function("norm")
def _norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    *,
    axis: Any = NOT_GIVEN,
    keepdims: Any = NOT_GIVEN,
) -> Tensor:
    """The p-norm of all elements as one vector, or over the dimensions ``dim``.

    Args:
        p: ``"fro"`` (the same as 2), a number, or ``inf`` / ``-inf``.

    Example:
        >>> import chainrule as cr
        >>> cr.norm(cr.tensor([3.0, 4.0]))
        tensor(5.)
    """
    if dtype is not None:
        input = cast(input, dtypes.as_dtype(dtype).dtype)
    if dtypes.category(input._data.dtype) < 2:
        raise RuntimeError(
            f"norm: expected a floating-point tensor, got {input.dtype}; convert first, e.g. with .float()"
        )
    ax = public_axis("norm", dim if axis is NOT_GIVEN else axis, input._data.ndim)
    keep = {"axis": ax, "keepdims": bool(keepdim if keepdims is NOT_GIVEN else keepdims)}
    xp = xp_of_tensors
    if p == "fro" or p == 2:
        return xp.euclidean_norm(input, **keep)
    if not isinstance(p, (int, float)):
        raise ValueError(f"norm: p must be a number, inf, -inf or 'fro', got {p!r}")
    size = xp.abs(input)
    if p == math.inf:
        return xp.max(size, **keep)
    if p == -math.inf:
        return xp.min(size, **keep)
    if p == 0:
        return xp.sum(xp.abs(xp.sign(size)), **keep)
    if p == 1:
        return xp.sum(size, **keep)
    if p < 1:  # the slope of |x|**p at 0 is infinite; the subgradient taken is 0
        size = xp.where(size == 0, xp.zeros_like(size), size)
    total = xp.sum(xp.power_by_number(size, exponent=p), **keep)
    zero = total == 0  # the subgradient of the norm at 0 is 0
    root = xp.power_by_number(xp.where(zero, xp.ones_like(total), total), exponent=1.0 / p)
    return xp.where(zero, xp.zeros_like(root), root)
