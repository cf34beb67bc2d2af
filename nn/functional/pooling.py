"""Pooling over regular windows: maxima, means and p-norms, over one, two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp
from chainrule.autograd.ops.pooling import divisors, pooled_size
from chainrule.autograd.ops.windows import regular
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional.arguments import batched, need_tensor, sizes

Sizes = int | Sequence[int]


def window(caller: str, dims: int, kernel_size: Any, stride: Any, padding: Any) -> tuple[Any, Any, Any]:
    """Kernel, stride (the kernel's size unless given) and padding, one number for each dimension."""
    kernel = sizes(caller, "kernel_size", kernel_size, dims, 1)
    missing = stride is None or (isinstance(stride, (list, tuple)) and not stride)
    steps = kernel if missing else sizes(caller, "stride", stride, dims, 1)
    border = sizes(caller, "padding", padding, dims, 0)
    if any(p > k // 2 for p, k in zip(border, kernel, strict=True)):
        raise RuntimeError(f"{caller}: padding must be at most half of the kernel {kernel}, got {border}")
    return kernel, steps, border


def _counts(
    caller: str, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[int, ...]:
    """How many windows there are along each dimension; RuntimeError where none fits."""
    parts = zip(x._data.shape[2:], kernel, stride, padding, dilation, strict=True)
    counts = tuple([pooled_size(*part, ceil_mode) for part in parts])
    if min(counts) < 1 or 0 in x._data.shape[1:]:
        raise RuntimeError(
            f"{caller}: a window of {kernel} with padding {padding} and dilation {dilation} does not fit into an "
            f"input of shape {tuple(x.shape)}"
        )
    return counts


# ---- maxima ---------------------------------------------------------------------------------------------------------


def picked(x: Any, windows: tuple[Any, ...], counts: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The maximum of each window of x (N, C, ...), and its place in the channel."""
    places = xp.window_argmax(x, windows=windows)
    return at_places(x, places, counts), places


def at_places(x: Any, places: Any, counts: tuple[int, ...]) -> Tensor:
    """The elements of x (N, C, ...) at places (N, C, *counts)."""
    n, c, *spatial = x._data.shape
    flat = xp.reshape(x, shape=(n, c, math.prod(spatial)))
    values = xp.gather(flat, xp.reshape(places, shape=(n, c, math.prod(counts))), axis=2)
    return xp.reshape(values, shape=(n, c, *counts))


def _max(
    caller: str,
    dims: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    return_indices: Any,
) -> Any:
    x, single = batched(caller, input, dims)
    kernel, steps, border = window(caller, dims, kernel_size, stride, padding)
    spread = sizes(caller, "dilation", dilation, dims, 1)
    ceil_mode = bool(ceil_mode)
    counts = _counts(caller, x, kernel, steps, border, spread, ceil_mode)
    if return_indices:
        parts = zip(x._data.shape[2:], counts, kernel, steps, border, spread, strict=True)
        out, places = picked(x, tuple([regular(*part) for part in parts]), counts)
        return (out.squeeze(0), places.squeeze(0)) if single else (out, places)
    n, c = x._data.shape[:2]
    if dims == 2:
        out = _max_plane(x, kernel, steps, border, spread, ceil_mode)
    elif dims == 1:
        out = _max_plane(x.unsqueeze(2), (1, *kernel), (1, *steps), (0, *border), (1, *spread), ceil_mode).squeeze(2)
    else:  # over height and width, then over depth; of equal maxima the first still comes first
        planes = xp.reshape(x, shape=(n * c, *x._data.shape[2:]))
        out = _max_plane(planes, kernel[1:], steps[1:], border[1:], spread[1:], ceil_mode)
        out = xp.reshape(out, shape=(n * c, 1, x._data.shape[2], counts[1] * counts[2]))
        out = _max_plane(out, (kernel[0], 1), (steps[0], 1), (border[0], 0), (spread[0], 1), ceil_mode)
        out = xp.reshape(out, shape=(n, c, *counts))
    return out.squeeze(0) if single else out


def _max_plane(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    return xp.max_pool2d(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)


def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, L) or (C, L); the stride is the kernel's size unless given.

    Args:
        padding: positions at both ends that never are the maximum; at most half of the kernel.
        ceil_mode: whether a last window may stick out at the end.
        return_indices: give the place of each maximum as well.

    Raises RuntimeError for other shapes and for windows that do not fit, ValueError for unusable sizes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.max_pool1d(cr.tensor([[1.0, 2.0, 4.0, 3.0]]), 2)
        tensor([[2., 4.]])
    """
    return _max("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, H, W) or (C, H, W); the stride is the kernel's size unless given.

    Args:
        padding: positions around the image that never are the maximum; at most half of the kernel.
        ceil_mode: whether a last window may stick out at the lower and right sides.
        return_indices: give the place of each maximum in its channel as well, row after row.

    Raises RuntimeError for other shapes and for windows that do not fit, ValueError for unusable sizes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.max_pool2d(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
        tensor([[[4.]]])
    """
    return _max("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, D, H, W) or (C, D, H, W); the stride is the kernel's size unless given.

    The arguments are those of :func:`max_pool2d`, for three dimensions.

    Raises RuntimeError for other shapes and for windows that do not fit, ValueError for unusable sizes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.max_pool3d(cr.arange(8.0).reshape(1, 2, 2, 2), 2)
        tensor([[[[7.]]]])
    """
    return _max("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _with_indices(name: str, pool: Callable[..., Any], dims: str) -> Callable[..., tuple[Tensor, Tensor]]:
    def with_indices(
        input: Tensor,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Tensor, Tensor]:
        out, places = pool(input, kernel_size, stride, padding, dilation, ceil_mode, True)
        return out, places

    with_indices.__name__ = with_indices.__qualname__ = name
    with_indices.__doc__ = f"The result and the indices of :func:`max_pool{dims}` with ``return_indices=True``."
    return with_indices


max_pool1d_with_indices = _with_indices("max_pool1d_with_indices", max_pool1d, "1d")
max_pool2d_with_indices = _with_indices("max_pool2d_with_indices", max_pool2d, "2d")
max_pool3d_with_indices = _with_indices("max_pool3d_with_indices", max_pool3d, "3d")


# ---- means ----------------------------------------------------------------------------------------------------------


def _mean(
    caller: str,
    dims: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
) -> Any:
    x, single = batched(caller, input, dims)
    kernel, steps, border = window(caller, dims, kernel_size, stride, padding)
    ceil_mode, include = bool(ceil_mode), bool(count_include_pad)
    counts = _counts(caller, x, kernel, steps, border, (1,) * dims, ceil_mode)
    if divisor_override == 0:
        raise ValueError(f"{caller}: divisor_override must not be 0")
    whole = dtypes.category(x._data.dtype) < 2  # the mean of integers is an integer, rounded towards 0
    divisor = 1 if whole else divisor_override
    n, c = x._data.shape[:2]
    if dims == 2:
        out = _mean_plane(x, kernel, steps, border, ceil_mode, include, divisor)
    elif dims == 1:
        line = x.unsqueeze(2)
        out = _mean_plane(line, (1, *kernel), (1, *steps), (0, *border), ceil_mode, include, divisor).squeeze(2)
    else:
        planes = xp.reshape(x, shape=(n * c, *x._data.shape[2:]))
        out = _mean_plane(planes, kernel[1:], steps[1:], border[1:], ceil_mode, include, 1 if divisor else None)
        out = xp.reshape(out, shape=(n * c, 1, x._data.shape[2], counts[1] * counts[2]))
        out = _mean_plane(out, (kernel[0], 1), (steps[0], 1), (border[0], 0), ceil_mode, include, divisor)
        out = xp.reshape(out, shape=(n, c, *counts))
    if whole:
        by = divisor_override or _divisors(x, kernel, steps, border, counts, include)
        out = FUNCTIONS["div"](out, by, rounding_mode="trunc")
    return out.squeeze(0) if single else out


def _mean_plane(
    x: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool, divisor: Any
) -> Any:
    return xp.avg_pool2d(
        x,
        kernel=kernel,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor_override=divisor,
    )


def _divisors(x: Any, kernel: Any, stride: Any, padding: Any, counts: Any, include: bool) -> Tensor:
    """How many elements each window counts, (*counts)."""
    total = np.ones((), dtype=np.int64)
    for d, n in enumerate(x._data.shape[2:]):
        along = divisors((1, 1, n, 1), (kernel[d], 1), (stride[d], 1), (padding[d], 0), (counts[d], 1), include)
        total = total[..., None] * along[:, 0]
    return wrap(x._device.xp.asarray(total, dtype=x._data.dtype), x._device)


def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of (N, C, L) or (C, L); the stride is the kernel's size unless given.

    Args:
        count_include_pad: whether the zeros of the padding count.

    Raises RuntimeError for other shapes and for windows that do not fit, ValueError for unusable sizes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.avg_pool1d(cr.tensor([[1.0, 2.0, 4.0, 3.0]]), 2)
        tensor([[1.5000, 3.5000]])
    """
    return _mean("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
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
    return _mean("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of (N, C, D, H, W) or (C, D, H, W); the stride is the kernel's size unless given.

    The arguments are those of :func:`avg_pool2d`, for three dimensions.

    Raises:
        RuntimeError: other shapes, or windows that do not fit. ValueError: unusable sizes, or a divisor of 0.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.avg_pool3d(cr.arange(8.0).reshape(1, 2, 2, 2), 2)
        tensor([[[[3.5000]]]])
    """
    return _mean("avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


# ---- p-norms --------------------------------------------------------------------------------------------------------


def _norm(caller: str, dims: int, input: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Any:
    need_tensor(caller, input=input)
    kernel = sizes(caller, "kernel_size", kernel_size, dims, 1)
    if norm_type == 0:
        raise ValueError(f"{caller}: norm_type must not be 0")
    mean = _mean(caller, dims, input**norm_type, kernel, stride, 0, ceil_mode, True, None)
    zero = mean == 0  # the root's slope there is infinite: 0 is the subgradient taken
    root = (xp.where(zero, xp.ones_like(mean), mean) * float(math.prod(kernel))) ** (1.0 / norm_type)
    return xp.where(zero, xp.zeros_like(root), root)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """``sum(x ** norm_type) ** (1 / norm_type)`` over each window of (N, C, L) or (C, L).

    Raises RuntimeError for other shapes and for windows that do not fit, ValueError for unusable sizes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.lp_pool1d(cr.tensor([[3.0, 4.0]]), 2, 2)
        tensor([[5.]])
    """
    return _norm("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """``sum(x ** norm_type) ** (1 / norm_type)`` over each window of (N, C, H, W) or (C, H, W).

    Raises RuntimeError for other shapes and for windows that do not fit, ValueError for unusable sizes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.lp_pool2d(cr.tensor([[[3.0, 4.0]]]), 2, (1, 2))
        tensor([[[5.]]])
    """
    return _norm("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """``sum(x ** norm_type) ** (1 / norm_type)`` over each window of (N, C, D, H, W) or (C, D, H, W).

    Raises RuntimeError for other shapes and for windows that do not fit, ValueError for unusable sizes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.lp_pool3d(cr.tensor([[[[3.0, 4.0]]]]), 2, (1, 1, 2))
        tensor([[[[5.]]]])
    """
    return _norm("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)
