"""Images and volumes read at arbitrary positions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional.arguments import need_tensor

_PADDINGS = ("zeros", "border", "reflection")


def _bounded(f: Any, at: Any, size: int, padding: str, align: bool) -> tuple[Any, Any]:
    """Positions (arrays) as ``padding`` moves them, and the slope of that: 1, -1 or 0."""
    if padding == "zeros":
        finite = f.isfinite(at)
        return f.where(finite, at, -100.0), finite
    at = f.where(f.isnan(at), 0.0, at)
    slope = f.ones_like(at)
    if padding == "reflection":
        low, span = (0.0, float(size - 1)) if align else (-0.5, float(size))
        if span == 0.0:
            return f.zeros_like(at), f.zeros_like(at)
        at = f.where(f.isfinite(at), at, 0.0) - low
        slope = f.where(at < 0, -1.0, 1.0)
        at = f.abs(at)
        flips = f.floor(at / span)
        rest = at - flips * span
        odd = f.remainder(flips, 2.0) != 0
        at = f.where(odd, span - rest, rest) + low
        slope = f.where(odd, -slope, slope)
    inside = (at > 0) & (at < size - 1)  # on the edge the slope is 0, as in PyTorch
    return f.clip(at, min=0.0, max=float(size - 1)), f.where(inside, slope, 0.0)


def _positions(grid: Any, d: int, size: int, align: bool) -> Any:
    """Coordinate ``d`` of the grid in [-1, 1] as a position among ``size`` elements."""
    g = grid[..., d]
    return (g + 1.0) * ((size - 1) / 2.0) if align else ((g + 1.0) * float(size) - 1.0) * 0.5


def _moved(at: Any, size: int, padding: str, align: bool) -> Any:
    """:func:`_bounded` of a Tensor: the exact value, with the slope as gradient."""
    f, device = at._device.xp, at._device
    value, slope = _bounded(f, at._data, size, padding, align)
    value, slope = f.astype(value, at._data.dtype), f.astype(slope, at._data.dtype)
    safe = xp.where(wrap(f.isfinite(at._data), device), at, wrap(f.zeros_like(at._data), device))
    steep = safe * wrap(slope, device)
    return wrap(value, device) + (steep - steep.detach())


def _tap(size: tuple[int, ...], places: list[Any], device: Any) -> tuple[Any, Any]:
    """Integer places (arrays) in each dimension as numbers of elements, (N, 1, P), and whether they lie inside."""
    f = device.xp
    inside: Any = True
    number: Any = 0
    for place, s in zip(places, size, strict=True):
        inside = inside & (place >= 0) & (place < s)
        number = number * s + f.clip(place, min=0, max=s - 1)
    shape = (number.shape[0], 1, math.prod(number.shape[1:]))
    return f.reshape(number, shape), wrap(f.reshape(inside, shape), device)


def _keys(t: Any) -> list[Any]:
    """The four weights of Keys' cubic convolution (a = -0.75) at a distance ``t`` past the second."""

    def near(d: Any) -> Any:
        return ((d * 1.25) - 2.25) * d * d + 1.0

    def far(d: Any) -> Any:
        return ((d - 5.0) * d + 8.0) * d * -0.75 + 3.0

    return [far(t + 1.0), near(t), near(-t + 1.0), far(-t + 2.0)]


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """The input read at the positions in ``grid``, whose coordinates run from -1 to 1 over it (x first).

    Input (N, C, H, W) with grid (N, OH, OW, 2), or (N, C, D, H, W) with (N, OD, OH, OW, 3).

    Args:
        mode: ``"bilinear"`` (trilinear in volumes), ``"nearest"``, or ``"bicubic"`` (images only).
        padding_mode: what lies outside: ``"zeros"``, the nearest ``"border"``, or a ``"reflection"``.
        align_corners: whether -1 and 1 are the centres of the outermost elements, not their outer edges.

    Raises RuntimeError when shapes or dtypes do not fit, ValueError for unknown modes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> image = cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> F.grid_sample(image, cr.tensor([[[[0.0, 0.0], [1.0, 1.0]]]]), align_corners=True)
        tensor([[[[2.5000, 4.0000]]]])
    """
    caller = "grid_sample"
    need_tensor(caller, input=input, grid=grid)
    dims = input._data.ndim - 2
    shape, to = input._data.shape, grid._data.shape
    if dims not in (2, 3) or len(to) != dims + 2 or to[0] != shape[0] or to[-1] != dims:
        raise RuntimeError(
            f"{caller}: expected input (N, C, H, W) and grid (N, OH, OW, 2), or input (N, C, D, H, W) and grid "
            f"(N, OD, OH, OW, 3), got {describe(input)} and {describe(grid)}"
        )
    if input._data.dtype != grid._data.dtype:
        raise RuntimeError(f"{caller}: input and grid must have one dtype, got {input.dtype} and {grid.dtype}")
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and dims == 3):
        raise ValueError(f"{caller}: mode must be 'bilinear', 'nearest', or for images 'bicubic', got {mode!r}")
    if padding_mode not in _PADDINGS:
        raise ValueError(f"{caller}: padding_mode must be one of {_PADDINGS}, got {padding_mode!r}")
    if 0 in shape[1:]:
        raise RuntimeError(f"{caller}: input must have no empty dimension but the batch, got {describe(input)}")
    align, f = bool(align_corners), input._device.xp
    size = tuple(shape[2:])
    flat = xp.reshape(input, shape=(*shape[:2], math.prod(size)))
    at = [_positions(grid, dims - 1 - d, s, align) for d, s in enumerate(size)]
    if mode == "nearest":
        places = []
        for a, s in zip(at, size, strict=True):
            value, _ = _bounded(f, a._data, s, padding_mode, align)
            places.append(_whole(f, f.round(value)))
        number, mask = _tap(size, places, input._device)
        index = f.broadcast_to(number, (*shape[:2], number.shape[2]))
        values = xp.gather(flat, wrap(index, input._device), axis=2)
        total = xp.where(mask, values, wrap(f.zeros((), dtype=values._data.dtype), input._device))
        if grid.requires_grad:  # its gradient is 0, and not missing
            finite = wrap(f.isfinite(grid._data), grid._device)
            total = total + xp.sum(xp.where(finite, grid, wrap(f.zeros_like(grid._data), grid._device)) * 0.0)
    else:
        cubic = mode == "bicubic"
        moved = [a if cubic else _moved(a, s, padding_mode, align) for a, s in zip(at, size, strict=True)]
        lows = [f.floor(f.where(f.isfinite(m._data), m._data, -100.0)) for m in moved]
        rests = [m - wrap(f.astype(low, m._data.dtype), m._device) for m, low in zip(moved, lows, strict=True)]
        weights = [_keys(t) if cubic else [-t + 1.0, t] for t in rests]
        numbers, parts = [], []
        for tap in itertools.product(range(4 if cubic else 2), repeat=dims):
            weight, places = None, []
            for d, i in enumerate(tap):
                weight = weights[d][i] if weight is None else weight * weights[d][i]
                place = lows[d] + (i - 1 if cubic else i)
                if cubic:
                    place, _ = _bounded(f, place, size[d], padding_mode, align)
                places.append(_whole(f, place))
            number, mask = _tap(size, places, input._device)
            weight = xp.reshape(weight, shape=tuple(mask._data.shape))
            numbers.append(number)
            parts.append(xp.where(mask, weight, wrap(f.zeros((), dtype=weight._data.dtype), input._device)))
        total = xp.weighted_read(flat, xp.concatenate(*parts, axis=1), wrap(f.concat(numbers, axis=1), input._device))
    return xp.reshape(total, shape=(*shape[:2], *to[1:-1]))


def _whole(f: Any, at: Any) -> Any:
    """Positions as integers; those far outside are brought near, where they are outside all the same."""
    return f.astype(f.clip(at, min=-(2.0**31), max=2.0**31), dtype=np.int64)


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid for :func:`grid_sample` that affine maps give: theta (N, 2, 3) or (N, 3, 4), ``size`` the result's.

    Raises RuntimeError when theta does not fit the size, ValueError for a size without elements.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.affine_grid(cr.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2), align_corners=True)
        tensor([[[[-1.,  0.],
                  [ 1.,  0.]]]])
    """
    need_tensor("affine_grid", theta=theta)
    wanted = tuple([int(n) for n in size])
    dims = len(wanted) - 2
    if dtypes.category(theta._data.dtype) < 2:
        raise ValueError(f"affine_grid: theta must be of floating point, got {theta.dtype}")
    if dims not in (2, 3) or tuple(theta._data.shape) != (wanted[0], dims, dims + 1):
        raise RuntimeError(
            "affine_grid: expected theta (N, 2, 3) with size (N, C, H, W), or (N, 3, 4) with (N, C, D, H, W), got "
            f"{describe(theta)} and {wanted}"
        )
    if min(wanted) < 1:
        raise ValueError(f"affine_grid: size must be positive, got {wanted}")
    lines = []
    for n in wanted[2:]:
        line = np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(1)
        lines.append(line if align_corners else line * ((n - 1) / n))
    grids = np.meshgrid(*lines, indexing="ij")
    base = np.stack([*grids[::-1], np.ones(wanted[2:])], -1).reshape(1, -1, dims + 1)
    points = wrap(theta._device.xp.asarray(base, dtype=theta._data.dtype), theta._device)
    out = xp.matmul(points, FUNCTIONS["transpose"](theta, 1, 2))
    return xp.reshape(out, shape=(wanted[0], *wanted[2:], dims))
