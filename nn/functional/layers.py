"""What the layers compute: linear maps, convolution, pooling, batch norm, dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.inplace import adopt
from chainrule.autograd.op import traced as xp
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.random import Generator, keep_mask
from chainrule.autograd.runtime import bump, describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn import ops as ops

Pair = int | Sequence[int]


def pair(caller: str, name: str, value: Any, least: int) -> tuple[int, int]:
    """A number or two as (height, width). Raises TypeError or ValueError, naming ``caller`` and the argument."""
    values = (value, value) if isinstance(value, int) else value
    try:
        first, second = [v.__index__() for v in values]
    except (TypeError, ValueError, AttributeError):
        raise TypeError(f"{caller}: {name} must be an int or two of them, got {value!r}") from None
    if first < least or second < least:
        raise ValueError(f"{caller}: {name} must be at least {least}, got {value!r}")
    return first, second


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


def _images(caller: str, input: Any) -> tuple[Any, bool]:
    """The input as (N, C, H, W), and whether it came as a single image (C, H, W)."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{caller}: input must be a Tensor, got {describe(input)}")
    if input._data.ndim == 4:
        return input, False
    if input._data.ndim == 3:
        return input.unsqueeze(0), True
    raise RuntimeError(f"{caller}: input must have shape (N, C, H, W) or (C, H, W), got {tuple(input.shape)}")


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of images with a bank of filters.

    Input (N, C, H, W) or (C, H, W), weight (K, C / groups, h, w), bias (K).

    Args:
        padding: zeros around the image, ``"valid"`` (none), or ``"same"`` (the output has the input's size; stride 1).

    Raises:
        RuntimeError: shapes or dtypes do not fit. ValueError: stride, padding, dilation or groups make no sense.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.conv2d(cr.ones(1, 1, 3, 3), cr.ones(1, 1, 2, 2))
        tensor([[[[4., 4.],
                  [4., 4.]]]])
    """
    x, single = _images("conv2d", input)
    if not isinstance(weight, Tensor) or weight._data.ndim != 4:
        raise RuntimeError(f"conv2d: weight must have shape (K, C / groups, h, w), got {describe(weight)}")
    k, c, h, w = weight._data.shape
    steps, spread = pair("conv2d", "stride", stride, 1), pair("conv2d", "dilation", dilation, 1)
    if groups < 1 or k % groups:
        raise ValueError(f"conv2d: groups must be positive and divide the {k} filters, got {groups}")
    if x._data.shape[1] != c * groups:
        raise RuntimeError(
            f"conv2d: weight of shape {tuple(weight.shape)} with groups={groups} expects {c * groups} input channels, "
            "got "
            f"{x._data.shape[1]} in an input of shape {tuple(input.shape)}"
        )
    if bias is not None and bias._data.shape != (k,):
        raise RuntimeError(f"conv2d: bias must have shape ({k},), one for each filter, got {tuple(bias.shape)}")
    dtype = x._data.dtype
    if weight._data.dtype != dtype or (bias is not None and bias._data.dtype != dtype):
        raise RuntimeError(
            f"conv2d: input, weight and bias must have one dtype, got {x.dtype}, {weight.dtype}"
            + (f" and {bias.dtype}" if bias is not None else "")
        )
    if isinstance(padding, str):
        x, border = _named_padding(x, padding, (h, w), steps, spread)
    else:
        border = pair("conv2d", "padding", padding, 0)
    reach = [(n - 1) * d + 1 for n, d in zip((h, w), spread, strict=True)]
    have = [n + 2 * p for n, p in zip(x._data.shape[2:], border, strict=True)]
    if have[0] < reach[0] or have[1] < reach[1]:
        raise RuntimeError(
            f"conv2d: the padded input is {have[0]} x {have[1]}, smaller than the kernel's reach of {reach[0]} x "
            f"{reach[1]}; "
            f"input {tuple(input.shape)}, weight {tuple(weight.shape)}, padding={padding!r}, dilation={dilation!r}"
        )
    out = xp.conv2d(x, weight, bias, stride=steps, padding=border, dilation=spread, groups=groups)
    return out.squeeze(0) if single else out


def _named_padding(
    x: Any, padding: str, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[Any, tuple[int, int]]:
    """The border that ``"valid"`` or ``"same"`` means; a longer end is put onto ``x`` at once, as in PyTorch."""
    if padding == "valid":
        return x, (0, 0)
    if padding != "same":
        raise ValueError(f"conv2d: padding must be numbers, 'valid' or 'same', got {padding!r}")
    if stride != (1, 1):
        raise ValueError(f"conv2d: padding='same' needs stride 1, got {stride}")
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    for dim in (2, 3):
        if total[dim - 2] % 2:
            edge = x[:, :, :1, :] if dim == 2 else x[:, :, :, :1]
            x = FUNCTIONS["cat"]([x, FUNCTIONS["zeros_like"](edge)], dim)
    return x, (total[0] // 2, total[1] // 2)


def max_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The maximum of each window of (N, C, H, W) or (C, H, W); the stride is the kernel's size unless given.

    Raises RuntimeError for other shapes and for windows that do not fit, ValueError for unusable sizes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.max_pool2d(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
        tensor([[[4.]]])
    """
    if return_indices:
        raise NotImplementedError("max_pool2d: return_indices=True is not supported")
    x, single = _images("max_pool2d", input)
    kernel, steps, border = _window("max_pool2d", x, kernel_size, stride, padding)
    spread = pair("max_pool2d", "dilation", dilation, 1)
    _check_window("max_pool2d", input, kernel, border, spread)
    out = xp.max_pool2d(x, kernel=kernel, stride=steps, padding=border, dilation=spread, ceil_mode=bool(ceil_mode))
    return out.squeeze(0) if single else out


def avg_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of (N, C, H, W) or (C, H, W); the stride is the kernel's size unless given.

    Args:
        count_include_pad: whether the zeros of the padding count.
        divisor_override: what to divide the sums by instead of the number of elements.

    Raises:
        RuntimeError: other shapes, or windows that do not fit. ValueError: unusable sizes, or a divisor of 0.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.avg_pool2d(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
        tensor([[[2.5000]]])
    """
    x, single = _images("avg_pool2d", input)
    kernel, steps, border = _window("avg_pool2d", x, kernel_size, stride, padding)
    _check_window("avg_pool2d", input, kernel, border, (1, 1))
    if divisor_override == 0:
        raise ValueError("avg_pool2d: divisor_override must not be 0")
    out = xp.avg_pool2d(
        x,
        kernel=kernel,
        stride=steps,
        padding=border,
        ceil_mode=bool(ceil_mode),
        count_include_pad=bool(count_include_pad),
        divisor_override=divisor_override,
    )
    return out.squeeze(0) if single else out


def _window(caller: str, x: Any, kernel_size: Any, stride: Any, padding: Any) -> tuple[Any, Any, Any]:
    kernel = pair(caller, "kernel_size", kernel_size, 1)
    steps = kernel if stride is None or stride == [] else pair(caller, "stride", stride, 1)
    return kernel, steps, pair(caller, "padding", padding, 0)


def _check_window(caller: str, input: Any, kernel: Any, padding: Any, dilation: Any) -> None:
    if padding[0] > kernel[0] // 2 or padding[1] > kernel[1] // 2:
        raise RuntimeError(f"{caller}: padding must be at most half of the kernel {kernel}, got {padding}")
    for n, k, p, d in zip(input.shape[-2:], kernel, padding, dilation, strict=True):
        if n + 2 * p < (k - 1) * d + 1:
            raise RuntimeError(
                f"{caller}: a window of {kernel} with padding {padding} and dilation {dilation} does not fit into an "
                "input of "
                f"shape {tuple(input.shape)}"
            )


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The mean of windows spread evenly so that the result is ``output_size`` (None keeps a side's length).

    Raises RuntimeError for shapes other than (N, C, H, W) and (C, H, W).

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.adaptive_avg_pool2d(cr.ones(1, 2, 4, 4), 1).shape
        (1, 2, 1, 1)
    """
    x, single = _images("adaptive_avg_pool2d", input)
    size = list(x._data.shape[2:])
    sides = (output_size, output_size) if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if len(sides) != 2:
        raise TypeError(f"adaptive_avg_pool2d: output_size must be an int or two of them, got {output_size!r}")
    given = [n if s is None else s for n, s in zip(size, sides, strict=True)]
    wanted = pair("adaptive_avg_pool2d", "output_size", given, 1)
    if wanted == (1, 1):
        out = xp.mean(x, axis=(2, 3), keepdims=True)
    elif not (size[0] % wanted[0] or size[1] % wanted[1]):
        kernel = (size[0] // wanted[0], size[1] // wanted[1])
        out = avg_pool2d(x, kernel)
    else:
        out = _uneven_means(_uneven_means(x, 2, wanted[0]), 3, wanted[1])
    return out.squeeze(0) if single else out


def _uneven_means(x: Any, dim: int, count: int) -> Any:
    """Means over windows from floor(i n / count) to ceil((i + 1) n / count) along ``dim``, by a matrix product."""
    n = x._data.shape[dim]
    rows = [[0.0] * n for _ in range(count)]
    for i in range(count):
        start, end = i * n // count, -(-(i + 1) * n // count)
        rows[i][start:end] = [1.0 / (end - start)] * (end - start)
    means = wrap(x._device.asarray(rows, x._data.dtype), x._device)
    return x @ means.T if dim == 3 else means @ x


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
    if not isinstance(input, Tensor) or input._data.ndim < 2:
        raise RuntimeError(f"batch_norm: input must have shape (N, C, ...), got {describe(input)}")
    shape = input._data.shape
    for name, t in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if t is not None and t._data.shape != (shape[1],):
            raise RuntimeError(
                f"batch_norm: {name} must have shape ({shape[1]},) for input of shape {tuple(shape)}, got "
                f"{tuple(t.shape)}"
            )
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
    per_channel = (1, -1, *(1,) * (input._data.ndim - 2))
    return input * scale.reshape(per_channel) + shift.reshape(per_channel)


def _move(running: Tensor, value: Tensor, momentum: float, factor: float) -> None:
    """``running += momentum * (factor * value - running)``, in place and outside of the graph."""
    array = running._data
    array *= 1.0 - momentum
    array += value._data * (momentum * factor)
    bump(running)


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """In training, elements set to 0 with probability ``p`` and the others multiplied by ``1 / (1 - p)``.

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.dropout(cr.ones(2), 0.5, training=False)
        tensor([1., 1.])
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: p must be in [0, 1], got {p}")
    if not training or p == 0.0:
        return input
    if dtypes.category(input._data.dtype) < 2:
        raise RuntimeError(f"dropout: expected a floating-point tensor, got {input.dtype}")
    if p == 1.0:
        return input.mul_(0.0) if inplace else input * 0.0
    out = xp.masked_scale(input, keep_mask(input, 1.0 - p, generator), scale=1.0 / (1.0 - p))
    if inplace:
        adopt("dropout", input, out)
        return input
    return out
