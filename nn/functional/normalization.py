"""Normalisation over the batch, channels, groups or the last dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.modes import no_grad
from chainrule.autograd.op import traced as xp
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import bump, describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional.arguments import need_tensor, need_tensor_or_none
from chainrule.nn.functional.pooling import avg_pool2d


def _affine(x: Any, weight: Any, bias: Any, shape: tuple[int, ...]) -> Any:
    """``x * weight + bias``, both in a shape that broadcasts."""
    if weight is not None:
        x = x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _floating(caller: str, x: Tensor) -> None:
    if dtypes.category(x._data.dtype) < 2:
        raise RuntimeError(f"{caller}: expected a floating-point tensor, got {x.dtype}")


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Channels (dimension 1) brought to mean 0 and variance 1, then scaled by ``weight`` and shifted by ``bias``.

    In training the batch's statistics are used, and the running ones moved towards them by ``momentum``; else the
    running ones are used.

    Raises:
        ValueError: in training, when a channel has a single value.
        RuntimeError: running statistics are missing or misshapen.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.batch_norm(cr.tensor([[1.0], [3.0]]), None, None, training=True).abs()
        tensor([[1.0000],
                [1.0000]])
    """
    if isinstance(input, Tensor) and input._data.shape == (0,):
        return input.clone()  # nothing to normalise, as in PyTorch
    if not isinstance(input, Tensor) or input._data.ndim < 2:
        raise RuntimeError(f"batch_norm: input must have shape (N, C, ...), got {describe(input)}")
    shape = input._data.shape
    for name, t in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if t is not None and t._data.shape != (shape[1],):
            raise RuntimeError(
                f"batch_norm: {name} must have shape ({shape[1]},) for input of shape {tuple(shape)}, got "
                f"{tuple(t.shape)}"
            )
    per_channel = (1, -1, *(1,) * (input._data.ndim - 2))
    if training and not input._data.size:
        return _affine(input, weight, bias, per_channel)
    if training:
        count = input._data.size // shape[1] if shape[1] else 0
        if count == 1:
            raise ValueError(
                "batch_norm: expected more than 1 value per channel when training, got input of shape "
                f"{tuple(shape)}; use a "
                f"larger batch, or eval()"
            )
        out, mean, var = xp.batch_norm(input, weight, bias, eps=eps)
        if running_mean is not None:
            _move(running_mean, mean, momentum, 1.0)
        if running_var is not None:
            _move(running_var, var, momentum, count / max(count - 1, 1))
        return out
    if running_mean is None or running_var is None:
        raise RuntimeError("batch_norm: running_mean and running_var are needed unless training=True")
    scale = xp.rsqrt(running_var + eps)
    if weight is not None:
        scale = scale * weight
    shift = -running_mean * scale if bias is None else bias - running_mean * scale
    return input * scale.reshape(per_channel) + shift.reshape(per_channel)


def _move(running: Tensor, value: Tensor, momentum: float, factor: float) -> None:
    """``running += momentum * (factor * value - running)``, in place and outside of the graph."""
    array = running._data
    array *= 1.0 - momentum
    array += value._data * (momentum * factor)
    bump(running)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of each sample brought to mean 0 and variance 1, then scaled and shifted: (N, C, ...).

    Args:
        running_mean, running_var: moved towards the means of the samples' statistics by ``momentum``; without
            ``use_input_stats`` they are used instead of these.
        weight, bias: (C).

    Raises:
        ValueError: a channel has a single value. RuntimeError: shapes do not fit, or statistics are missing.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.instance_norm(cr.tensor([[[1.0, 3.0]]])).abs()
        tensor([[[1.0000, 1.0000]]])
    """
    caller = "instance_norm"
    need_tensor(caller, input=input)
    if input._data.ndim < 2:
        raise RuntimeError(f"{caller}: input must have shape (N, C, ...), got {describe(input)}")
    _floating(caller, input)
    shape = input._data.shape
    for name, t in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        need_tensor_or_none(caller, **{name: t})
        if t is not None and t._data.shape != (shape[1],):
            raise RuntimeError(f"{caller}: {name} must have shape ({shape[1]},), got {tuple(t.shape)}")
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError(f"{caller}: running_mean and running_var are needed unless use_input_stats=True")
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    count = math.prod(shape[2:])
    if count == 1:
        raise ValueError(
            f"{caller}: expected more than 1 spatial element when training, got input of shape {tuple(shape)}"
        )
    per_channel = (1, -1, *(1,) * (len(shape) - 2))
    if not input._data.size:
        return _affine(input.clone(), weight, bias, per_channel)
    axes = tuple(range(2, len(shape)))
    if running_mean is not None or running_var is not None:
        with no_grad():
            data = input.detach()
            if running_mean is not None:
                _move(running_mean, xp.mean(data, axis=(0, *axes), keepdims=False), momentum, 1.0)
            if running_var is not None:
                spread = xp.var(data, axis=axes, correction=0, keepdims=False)
                _move(running_var, xp.mean(spread, axis=(0,), keepdims=False), momentum, count / (count - 1))
    given = [t for t in (weight, bias) if t is not None]
    if given and axes and all(t._data.dtype == input._data.dtype for t in given):
        return xp.group_norm(input, weight, bias, groups=shape[1], eps=eps)
    return _affine(xp.standardise(input, axis=axes, eps=eps), weight, bias, per_channel)


def _last_dims(caller: str, input: Any, normalized_shape: Any, **parameters: Any) -> tuple[int, ...]:
    """The dimensions that ``normalized_shape`` describes, checked with the parameters of that shape."""
    need_tensor(caller, input=input)
    need_tensor_or_none(caller, **parameters)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple([int(n) for n in normalized_shape])
    have = tuple(input._data.shape)
    if not shape or len(shape) > len(have) or have[len(have) - len(shape) :] != shape:
        raise RuntimeError(
            f"{caller}: normalized_shape must be the last dimensions of the input, got {normalized_shape} for "
            f"{describe(input)}"
        )
    for name, t in parameters.items():
        if t is not None and tuple(t._data.shape) != shape:
            raise RuntimeError(f"{caller}: {name} must have shape {shape}, got {tuple(t.shape)}")
    return tuple(range(len(have) - len(shape), len(have)))


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The last dimensions brought to mean 0 and variance 1, then scaled and shifted (Ba et al., 2016).

    Args:
        normalized_shape: the sizes of these dimensions.
        weight, bias: of that shape.

    Raises RuntimeError when shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.layer_norm(cr.tensor([1.0, 3.0]), (2,))
        tensor([-1.0000,  1.0000])
    """
    axes = _last_dims("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    _floating("layer_norm", input)
    dtype = input._data.dtype
    if input._data.size and all(t is None or t._data.dtype == dtype for t in (weight, bias)):
        return xp.layer_norm(input, weight, bias, axis=axes, eps=eps)
    out: Any = xp.standardise(input, axis=axes, eps=eps) if input._data.size else input.clone()
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


def rms_norm(
    input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """The last dimensions divided by the root of their mean square, then scaled (Zhang and Sennrich, 2019).

    Args:
        normalized_shape: the sizes of these dimensions.
        weight: of that shape.
        eps: added to the mean square; by default the dtype's resolution.

    Raises RuntimeError when shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.rms_norm(cr.tensor([1.0, -1.0]), (2,))
        tensor([ 1., -1.])
    """
    axes = _last_dims("rms_norm", input, normalized_shape, weight=weight)
    _floating("rms_norm", input)
    half = input._data.dtype.itemsize == 2
    if eps is None:
        eps = float(np.finfo(np.float32 if half else input._data.dtype).eps)
    dtype = input._data.dtype
    if input._data.size and dtype.kind == "f" and not half and (weight is None or weight._data.dtype == dtype):
        return xp.rms_norm(input, weight, axis=axes, eps=eps)
    x: Any = input.float() if half else input  # the squares of 2-byte floats overflow early
    out = x * xp.rsqrt(xp.mean(x * x, axis=axes, keepdims=True) + eps) if input._data.size else x.clone()
    if half:
        out = out.to(input.dtype)
    return out if weight is None else out * weight


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Groups of channels of each sample brought to mean 0 and variance 1, then scaled and shifted (Wu and He, 2018).

    Args:
        input: (N, C, ...), where num_groups divides C.
        weight, bias: (C).

    Raises:
        ValueError: a group has a single value. RuntimeError: shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.group_norm(cr.tensor([[1.0, 3.0, 5.0, 9.0]]), 2)
        tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    need_tensor("group_norm", input=input)
    need_tensor_or_none("group_norm", weight=weight, bias=bias)
    if input._data.ndim < 2:
        raise RuntimeError(f"group_norm: input must have shape (N, C, ...), got {describe(input)}")
    _floating("group_norm", input)
    n, c, *rest = input._data.shape
    if num_groups < 1 or c % num_groups:
        raise RuntimeError(f"group_norm: num_groups must be positive and divide the {c} channels, got {num_groups}")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t._data.shape != (c,):
            raise RuntimeError(f"group_norm: {name} must have shape ({c},), got {tuple(t.shape)}")
    if n * (c // num_groups) * math.prod(rest) == 1:
        raise ValueError(
            f"group_norm: expected more than 1 value per channel when training, got input of shape {tuple(input.shape)}"
        )
    per_channel = (1, -1, *(1,) * len(rest))
    if not input._data.size:
        return _affine(input.clone(), weight, bias, per_channel)
    if all(t is None or t._data.dtype == input._data.dtype for t in (weight, bias)):
        return xp.group_norm(input, weight, bias, groups=num_groups, eps=eps)
    groups = xp.reshape(input, shape=(n, num_groups, input._data.size // (n * num_groups)))
    out = xp.reshape(xp.standardise(groups, axis=(2,), eps=eps), shape=(n, c, *rest))
    return _affine(out, weight, bias, per_channel)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """``input / (k + alpha * mean of squares over `size` neighbouring channels) ** beta`` (Krizhevsky et al., 2012).

    Raises ValueError unless the input is (N, C, L, ...).

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.local_response_norm(cr.ones(1, 2, 1), 2, alpha=1.0).flatten()
        tensor([0.7378, 0.5946])
    """
    need_tensor("local_response_norm", input=input)
    if input._data.ndim < 3:
        raise ValueError(f"local_response_norm: expected input with 3 dimensions or more, got {describe(input)}")
    if not input._data.size:
        return input
    n, c, *rest = input._data.shape
    squares = xp.reshape(input * input, shape=(n, 1, c, math.prod(rest)))
    squares = xp.pad_constant(squares, widths=((0, 0), (0, 0), (size // 2, (size - 1) // 2), (0, 0)), value=0)
    means = xp.reshape(avg_pool2d(squares, (size, 1), 1), shape=tuple(input._data.shape))
    return input / (means * alpha + k) ** beta


def normalize(input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Tensor:
    """``input`` divided by its p-norm along ``dim``, or by ``eps`` where the norm is less.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.normalize(cr.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
    """
    need_tensor("normalize", input=input)
    return input / xp.clip(FUNCTIONS["norm"](input, p, dim, keepdim=True), min=eps)
