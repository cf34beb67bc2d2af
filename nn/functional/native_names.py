"""PyTorch's lower names, whose results include what its backward pass keeps: ``torch.native_layer_norm`` and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd.op import traced as xp
from chainrule.autograd.public import FUNCTIONS, function
from chainrule.autograd.random import keep_mask
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional import convolution as convolutions
from chainrule.nn.functional import normalization


def _statistics(x: Any, axes: tuple[int, ...], eps: float, keepdims: bool) -> tuple[Any, Any]:
    """Mean and ``1 / sqrt(variance + eps)`` over ``axes``."""
    mean = xp.mean(x, axis=axes, keepdims=keepdims)
    return mean, xp.rsqrt(xp.var(x, axis=axes, correction=0, keepdims=keepdims) + eps)


@function(method=False)
def native_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The last dimensions normalised, and their mean and reciprocal standard deviation, which carry no gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.native_layer_norm(cr.tensor([1.0, 3.0]), (2,), None, None, 0.0)[1]
        tensor([2.])
    """
    out = normalization.layer_norm(input, normalized_shape, weight, bias, eps)
    ndim, count = input._data.ndim, len(tuple(normalized_shape))
    mean, rstd = _statistics(input.detach(), tuple(range(ndim - count, ndim)), eps, True)
    return out, mean, rstd


@function(method=False)
def native_group_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Groups of channels normalised, and their mean and reciprocal standard deviation.

    Example:
        >>> import chainrule as cr
        >>> cr.native_group_norm(cr.tensor([[1.0, 3.0]]), None, None, 1, 2, 1, 1, 0.0)[1]
        tensor([[2.]])
    """
    out = normalization.group_norm(input, group, weight, bias, eps)
    mean, rstd = _statistics(input.reshape(N, group, C // group * HxW), (2,), eps, False)
    return out, mean, rstd


@function(method=False)
def native_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Channels normalised over the batch; in training also their mean and reciprocal standard deviation.

    Example:
        >>> import chainrule as cr
        >>> cr.native_batch_norm(cr.tensor([[1.0], [3.0]]), None, None, None, None, True, 0.1, 0.0)[1]
        tensor([2.])
    """
    out = normalization.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if training:
        return out, *_statistics(input.detach(), (0, *range(2, input._data.ndim)), eps, False)
    empty = wrap(input._device.xp.zeros((0,), dtype=input._data.dtype), input._device)
    return out, empty, empty.clone()


@function(method=False)
def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """Elements set to 0 with probability ``p``, the others scaled up; and the mask of those that were kept.

    Example:
        >>> import chainrule as cr
        >>> cr.native_dropout(cr.ones(2), 0.5, False)[1]
        tensor([True, True])
    """
    f = input._device.xp
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"native_dropout: p must be in [0, 1], got {p}")
    if train is False or p == 0.0:
        return input.clone(), wrap(f.ones(input._data.shape, dtype=bool), input._device)
    mask = keep_mask(input, 1.0 - p) if p < 1.0 else wrap(f.zeros(input._data.shape, dtype=bool), input._device)
    return xp.masked_scale(input, mask, scale=1.0 / (1.0 - p) if p < 1.0 else 1.0), mask


@function(method=False)
def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """Convolution over one, two or three dimensions, or its transpose.

    Example:
        >>> import chainrule as cr
        >>> cr.convolution(cr.ones(1, 1, 3), cr.ones(1, 1, 2), None, [1], [0], [1], False, [0], 1)
        tensor([[[2., 2.]]])
    """
    dims = weight._data.ndim - 2
    if dims not in (1, 2, 3):
        raise RuntimeError(f"convolution: weight must have 3 to 5 dimensions, got shape {tuple(weight.shape)}")
    name = f"conv_transpose{dims}d" if transposed else f"conv{dims}d"
    rest = (stride, padding, output_padding, groups, dilation) if transposed else (stride, padding, dilation, groups)
    return getattr(convolutions, name)(input, weight, bias, *rest)


@function(method=False)
def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norm over all dimensions but ``dim``, which stay with length 1; for -1 the norm of all elements.

    Example:
        >>> import chainrule as cr
        >>> cr.norm_except_dim(cr.tensor([[3.0, 4.0], [6.0, 8.0]])).flatten()
        tensor([ 5., 10.])
    """
    if dim == -1:
        return FUNCTIONS["norm"](v, pow)
    if not 0 <= dim < v._data.ndim:
        raise IndexError(f"norm_except_dim: dim must be in [-1, {v._data.ndim - 1}], got {dim}")
    if v._data.ndim == 1:  # over no dimension at all: each element by itself
        return FUNCTIONS["norm"](v.unsqueeze(1), pow, 1)
    return FUNCTIONS["norm"](v, pow, tuple([d for d in range(v._data.ndim) if d != dim]), keepdim=True)


@function(method=False)
def native_norm(input: Tensor, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The p-norm of all elements, or over the dimensions ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.native_norm(cr.tensor([3.0, 4.0]))
        tensor(5.)
    """
    return FUNCTIONS["norm"](input, p, dim, keepdim, dtype)
