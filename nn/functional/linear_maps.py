"""Linear maps of one and of two inputs."""

from __future__ import annotations

from typing import Any

from chainrule.autograd.op import traced as xp
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional.arguments import need_tensor, need_tensor_or_none


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``: input (..., in), weight (out, in) or (in), bias (out); gives (..., out).

    Raises RuntimeError when sizes or dtypes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.linear(cr.ones(1, 2), cr.tensor([[1.0, 2.0]]), cr.tensor([0.5]))
        tensor([[3.5000]])
    """
    # shapes are compared only once the product has failed; what follows must fail by itself
    try:
        x, w = input._data, weight._data
        if x.dtype is w.dtype and x.shape[-1] == w.shape[1] and (bias is None or bias._data.shape == w.shape[:1]):
            return xp.linear(input, weight, bias)
    except (AttributeError, IndexError):
        pass
    return _odd_linear(input, weight, bias)


def _odd_linear(input: Any, weight: Any, bias: Any) -> Any:
    """What the fast path of :func:`linear` does not take: a vector as weight, unequal dtypes, and mistakes."""
    for name, value in (("input", input), ("weight", weight), ("bias", bias)):
        if not isinstance(value, Tensor) and not (name == "bias" and value is None):
            raise TypeError(f"linear: {name} must be a Tensor, got {describe(value)}")
    if input.dtype != weight.dtype or (bias is not None and bias.dtype != weight.dtype):
        got = f"{describe(input)} and a {describe(weight)}" + ("" if bias is None else f" with a {describe(bias)}")
        raise RuntimeError(f"linear: input, weight and bias must have one dtype, got a {got}; convert with .to(dtype)")
    if weight.ndim == 1 and (bias is None or bias.ndim == 0):
        product = input @ weight
        return product if bias is None else product + bias
    if weight.ndim != 2 or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise RuntimeError(
            f"linear: the last dimension of input must be the {weight.shape[-1] if weight.ndim else '?'} columns of "
            "weight "
            f"{tuple(weight.shape)}, got input of shape {tuple(input.shape)}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise RuntimeError(f"linear: bias must have shape ({weight.shape[0]},), got {tuple(bias.shape)}")
    return xp.linear(input, weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input1 @ weight[k] @ input2`` for each k: inputs (..., I) and (..., J), weight (K, I, J); gives (..., K).

    Args:
        bias: (K), added to the result.

    Raises RuntimeError when shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.bilinear(cr.tensor([[1.0, 2.0]]), cr.tensor([[3.0]]), cr.ones(2, 2, 1))
        tensor([[9., 9.]])
    """
    need_tensor("bilinear", input1=input1, input2=input2, weight=weight)
    need_tensor_or_none("bilinear", bias=bias)
    a, b, w = input1._data.shape, input2._data.shape, weight._data.shape
    if len(w) != 3 or not a or not b or a[:-1] != b[:-1] or (a[-1], b[-1]) != w[1:]:
        raise RuntimeError(
            f"bilinear: inputs (..., I) and (..., J) with equal leading dimensions and weight (K, I, J) were expected, "
            f"got {describe(input1)}, {describe(input2)} and {describe(weight)}"
        )
    if bias is not None and bias._data.shape != w[:1]:
        raise RuntimeError(f"bilinear: bias must have shape ({w[0]},), got {tuple(bias.shape)}")
    x: Any = xp.reshape(input1, shape=(-1, 1, 1, w[1])) if input1._data.size else input1.reshape(0, 1, 1, w[1])
    y = input2.reshape(x._data.shape[0], 1, w[2], 1)
    out = xp.matmul(xp.matmul(x, weight), y)  # (N, K, 1, 1)
    out = xp.reshape(out, shape=(*a[:-1], w[0]))
    return out if bias is None else out + bias
