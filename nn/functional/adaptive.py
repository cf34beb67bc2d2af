"""Pooling to a stated size, over random windows, and back from the places of maxima."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp
from chainrule.autograd.ops.resampling import evenly
from chainrule.autograd.ops.windows import adaptive
from chainrule.autograd.random import rand
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional.arguments import batched, need_fractions, need_tensor, sizes
from chainrule.nn.functional.pooling import _mean_plane, at_places, picked, window
from chainrule.nn.functional.reduction import asynchronous

Sizes = int | Sequence[int]
Wanted = int | None | Sequence[int | None]


def _wanted(caller: str, x: Any, dims: int, output_size: Any) -> tuple[int, ...]:
    """The size to pool to; None keeps a side's length."""
    sides = (output_size,) * dims if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if len(sides) == 1:
        sides *= dims
    if len(sides) != dims:
        raise TypeError(f"{caller}: output_size must be an int or {dims} of them, got {output_size!r}")
    given = [n if s is None else s for n, s in zip(x._data.shape[2:], sides, strict=True)]
    found = sizes(caller, "output_size", given, dims, 0)
    if 0 in x._data.shape[2:]:
        raise RuntimeError(f"{caller}: the sides of the input must not be empty, got shape {tuple(x.shape)}")
    return found


def _adaptive_mean(caller: str, dims: int, input: Any, output_size: Any) -> Any:
    x, single = batched(caller, input, dims)
    need_fractions(caller, x)
    wanted = _wanted(caller, x, dims, output_size)
    size = x._data.shape[2:]
    if set(wanted) == {1}:
        out = xp.mean(x, axis=tuple(range(2, dims + 2)), keepdims=True)
    elif dims == 2 and 0 not in wanted and not (size[0] % wanted[0] or size[1] % wanted[1]):
        kernel = (size[0] // wanted[0], size[1] // wanted[1])
        out = _mean_plane(x, kernel, kernel, (0, 0), False, True, None)
    else:
        out = x
        for d, (n, w) in enumerate(zip(size, wanted, strict=True)):
            if n != w:
                out = xp.resample(out, taps=evenly(n, w), axis=2 + d)
        out = xp.clone(out) if out is x else out
    return out.squeeze(0) if single else out


def adaptive_avg_pool1d(input: Tensor, output_size: Wanted) -> Tensor:
    """The mean of windows spread evenly so that the result is ``output_size`` long.

    Raises RuntimeError for shapes other than (N, C, L) and (C, L).

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.adaptive_avg_pool1d(cr.tensor([[1.0, 3.0, 5.0]]), 2)
        tensor([[2., 4.]])
    """
    return _adaptive_mean("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Wanted) -> Tensor:
    """The mean of windows spread evenly so that the result is ``output_size`` (None keeps a side's length).

    Raises RuntimeError for shapes other than (N, C, H, W) and (C, H, W).

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.adaptive_avg_pool2d(cr.ones(1, 2, 4, 4), 1).shape
        (1, 2, 1, 1)
    """
    return _adaptive_mean("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Wanted) -> Tensor:
    """The mean of windows spread evenly so that the result is ``output_size`` (None keeps a side's length).

    Raises RuntimeError for shapes other than (N, C, D, H, W) and (C, D, H, W).

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.adaptive_avg_pool3d(cr.ones(1, 2, 4, 4, 4), (1, 2, None)).shape
        (1, 2, 1, 2, 4)
    """
    return _adaptive_mean("adaptive_avg_pool3d", 3, input, output_size)


def _adaptive_max(caller: str, dims: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    x, single = batched(caller, input, dims)
    wanted = _wanted(caller, x, dims, output_size)
    windows = tuple([adaptive(n, w) for n, w in zip(x._data.shape[2:], wanted, strict=True)])
    out, places = picked(x, windows, wanted)
    if single:
        out, places = out.squeeze(0), places.squeeze(0)
    return (out, places) if return_indices else out


def adaptive_max_pool1d(input: Tensor, output_size: Wanted, return_indices: bool = False) -> Any:
    """The maximum of windows spread evenly so that the result is ``output_size`` long; with its places if asked.

    Raises RuntimeError for shapes other than (N, C, L) and (C, L).

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.adaptive_max_pool1d(cr.tensor([[1.0, 5.0, 3.0, 2.0]]), 2)
        tensor([[5., 3.]])
    """
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Wanted, return_indices: bool = False) -> Any:
    """The maximum of windows spread evenly so that the result is ``output_size``; with its places if asked.

    Raises RuntimeError for shapes other than (N, C, H, W) and (C, H, W).

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.adaptive_max_pool2d(cr.arange(9.0).reshape(1, 3, 3), (1, 2))
        tensor([[[7., 8.]]])
    """
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Wanted, return_indices: bool = False) -> Any:
    """The maximum of windows spread evenly so that the result is ``output_size``; with its places if asked.

    Raises RuntimeError for shapes other than (N, C, D, H, W) and (C, D, H, W).

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.adaptive_max_pool3d(cr.arange(8.0).reshape(1, 2, 2, 2), 1)
        tensor([[[[7.]]]])
    """
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


def _with_indices(name: str, pool: Callable[..., Any]) -> Callable[..., tuple[Tensor, Tensor]]:
    def with_indices(input: Tensor, output_size: Wanted, return_indices: bool = False) -> tuple[Tensor, Tensor]:
        out, places = pool(input, output_size, True)
        return out, places

    with_indices.__name__ = with_indices.__qualname__ = name
    with_indices.__doc__ = f"The result and the indices of :func:`{pool.__name__}` with ``return_indices=True``."
    return with_indices


adaptive_max_pool1d_with_indices = _with_indices("adaptive_max_pool1d_with_indices", adaptive_max_pool1d)
adaptive_max_pool2d_with_indices = _with_indices("adaptive_max_pool2d_with_indices", adaptive_max_pool2d)
adaptive_max_pool3d_with_indices = _with_indices("adaptive_max_pool3d_with_indices", adaptive_max_pool3d)


# ---- random windows -------------------------------------------------------------------------------------------------


def _fractional(
    caller: str,
    dims: int,
    input: Any,
    kernel_size: Any,
    output_size: Any,
    output_ratio: Any,
    return_indices: bool,
    samples: Any,
) -> Any:
    x, single = batched(caller, input, dims)
    kernel = sizes(caller, "kernel_size", kernel_size, dims, 1)
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{caller}: expected one of output_size and output_ratio")
    n, c, *size = x._data.shape
    if output_size is None:
        ratios = (output_ratio,) * dims if isinstance(output_ratio, (int, float)) else tuple(output_ratio)
        if len(ratios) != dims or not all(0 < r < 1 for r in ratios):
            raise ValueError(f"{caller}: output_ratio must be in (0, 1), a number or {dims}, got {output_ratio!r}")
        output_size = [int(s * r) for s, r in zip(size, ratios, strict=True)]
    wanted = sizes(caller, "output_size", output_size, dims, 1)
    for s, k, w in zip(size, kernel, wanted, strict=True):
        if w + k - 1 > s:
            raise RuntimeError(
                f"{caller}: {wanted} windows of {kernel} do not fit into an input of shape {tuple(input.shape)}"
            )
    if samples is None:
        samples = rand(n, c, dims, dtype=input.dtype, device=str(x._device))
    need_tensor(caller, _random_samples=samples)
    have = tuple(samples._data.shape)
    if have[1:] != (c, dims) or have[0] < n:  # more than the batch has are allowed, as in PyTorch
        raise RuntimeError(f"{caller}: _random_samples must have shape {(n, c, dims)}, got {describe(samples)}")
    places = _random_places(x, samples._data[:n], kernel, wanted)
    out = at_places(x, places, wanted)
    if single:
        out, places = out.squeeze(0), places.squeeze(0)
    return (out, places) if return_indices else out


def _random_places(x: Any, samples: Any, kernel: tuple[int, ...], wanted: tuple[int, ...]) -> Tensor:
    """The place of the maximum in each window; the windows of every channel start elsewhere (Graham, 2014)."""
    f, (n, c, *size), dims = x._device.xp, x._data.shape, len(wanted)
    starts = []
    for d, (s, k, w) in enumerate(zip(size, kernel, wanted, strict=True)):
        u = samples[:, :, dims - 1 - d if dims == 2 else d, None]  # PyTorch: width first in two dimensions
        step = (s - k) / (w - 1) if w > 1 else 0.0
        shifted = f.astype((f.arange(w - 1, dtype=u.dtype) + u) * step, dtype=np.int64)
        first = shifted - f.astype(u * step, dtype=np.int64)
        last = f.full((n, c, 1), s - k, dtype=np.int64)
        starts.append(f.concat([first, last], axis=2) if w > 1 else last)
    flat = f.reshape(x._data, (n, c, math.prod(size)))
    best = place = None
    for tap in itertools.product(*map(range, kernel)):
        number: Any = 0
        for d, (start, offset) in enumerate(zip(starts, tap, strict=True)):
            shape = (n, c, *(1,) * d, wanted[d], *(1,) * (dims - 1 - d))
            number = number * size[d] + f.reshape(start + offset, shape)
        number = f.reshape(number, (n, c, math.prod(wanted)))
        values = f.take_along_axis(flat, number, axis=2)
        if best is None:
            best, place = values, number
        else:
            better = (values > best) | f.isnan(values)
            best, place = f.where(better, values, best), f.where(better, number, place)
    return wrap(f.reshape(place, (n, c, *wanted)), x._device)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The maximum of windows of (N, C, H, W) or (C, H, W) that start at random steps (Graham, 2014).

    Args:
        output_size, output_ratio: one of them: the size of the result, or its ratio to the input's.
        return_indices: give the place of each maximum in its channel as well.
        _random_samples: numbers in [0, 1) of shape (N, C, 2) instead of drawn ones.

    Raises RuntimeError for windows that do not fit, ValueError for unusable sizes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.fractional_max_pool2d(cr.rand(1, 2, 5, 5), 2, output_size=3).shape
        (1, 2, 3, 3)
    """
    return _fractional(
        "fractional_max_pool2d", 2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The maximum of windows of (N, C, D, H, W) or (C, D, H, W) that start at random steps (Graham, 2014).

    The arguments are those of :func:`fractional_max_pool2d`, for three dimensions.

    Raises RuntimeError for windows that do not fit, ValueError for unusable sizes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.fractional_max_pool3d(cr.rand(2, 5, 5, 5), 2, output_ratio=0.5).shape
        (2, 2, 2, 2)
    """
    return _fractional(
        "fractional_max_pool3d", 3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def _fractional_with_indices(name: str, pool: Callable[..., Any]) -> Callable[..., tuple[Tensor, Tensor]]:
    def with_indices(
        input: Tensor,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        out, places = pool(input, kernel_size, output_size, output_ratio, True, _random_samples)
        return out, places

    with_indices.__name__ = with_indices.__qualname__ = name
    with_indices.__doc__ = f"The result and the indices of :func:`{pool.__name__}` with ``return_indices=True``."
    return with_indices


fractional_max_pool2d_with_indices = _fractional_with_indices(
    "fractional_max_pool2d_with_indices", fractional_max_pool2d
)
fractional_max_pool3d_with_indices = _fractional_with_indices(
    "fractional_max_pool3d_with_indices", fractional_max_pool3d
)


# ---- back from maxima -----------------------------------------------------------------------------------------------


def _unpool(
    caller: str, dims: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    x, single = batched(caller, input, dims)
    need_tensor(caller, indices=indices)
    if indices._data.shape != input._data.shape or dtypes.category(indices._data.dtype) != 1:
        raise RuntimeError(
            f"{caller}: indices must be integers of the input's shape {tuple(input.shape)}, got {describe(indices)}"
        )
    kernel, steps, border = window(caller, dims, kernel_size, stride, padding)
    n, c, *have = x._data.shape
    usual = [(h - 1) * s + k - 2 * p for h, s, k, p in zip(have, steps, kernel, border, strict=True)]
    if output_size is None:
        size = tuple(usual)
    else:
        given = [output_size] if isinstance(output_size, int) else list(output_size)
        size = tuple([int(v) for v in (given[2:] if len(given) == dims + 2 else given)])
        if len(size) != dims or not all(u - s < v < u + s for u, s, v in zip(usual, steps, size, strict=True)):
            raise ValueError(
                f"{caller}: output_size must be within less than the stride {steps} of {tuple(usual)}, got "
                f"{output_size}"
            )
    if min(size) < 0:
        raise ValueError(f"{caller}: the result would have spatial size {size}")
    length = math.prod(size)
    if indices._data.size and not asynchronous(indices):
        f = indices._device.xp
        low, high = int(f.min(indices._data)), int(f.max(indices._data))
        if low < 0 or high >= length:
            raise IndexError(f"{caller}: index {low if low < 0 else high} is out of bounds for a result of size {size}")
    flat = (n, c, math.prod(have))
    places = indices.long().reshape(flat)
    out = xp.unpool(xp.reshape(x, shape=flat), places, length=length)
    out = xp.reshape(out, shape=(n, c, *size))
    return out.squeeze(0) if single else out


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sizes | None = None,
) -> Tensor:
    """Zeros with the maxima of :func:`max_pool1d` put back to their places.

    Args:
        output_size: the size of the result, where several sizes are pooled to the same.

    Raises RuntimeError for shapes that do not fit, IndexError for an index out of bounds.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.max_unpool1d(cr.tensor([[2.0, 4.0]]), cr.tensor([[1, 2]]), 2)
        tensor([[0., 2., 4., 0.]])
    """
    return _unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sizes | None = None,
) -> Tensor:
    """Zeros with the maxima of :func:`max_pool2d` put back to their places.

    Args:
        output_size: the size of the result, where several sizes are pooled to the same.

    Raises RuntimeError for shapes that do not fit, IndexError for an index out of bounds.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.max_unpool2d(cr.tensor([[[4.0]]]), cr.tensor([[[3]]]), 2)
        tensor([[[0., 0.],
                 [0., 4.]]])
    """
    return _unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sizes | None = None,
) -> Tensor:
    """Zeros with the maxima of :func:`max_pool3d` put back to their places.

    Args:
        output_size: the size of the result, where several sizes are pooled to the same.

    Raises RuntimeError for shapes that do not fit, IndexError for an index out of bounds.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.max_unpool3d(cr.ones(1, 1, 1, 1), cr.tensor([[[[7]]]]), 2).flatten()
        tensor([0., 0., 0., 0., 0., 0., 0., 1.])
    """
    return _unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
