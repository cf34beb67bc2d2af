"""What transforms do with images as tensors: (..., C, H, W), on any device, batches at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.autograd.dtypes import bool_
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F


def as_planes(image: Tensor) -> tuple[Tensor, Any]:
    """(..., C, H, W) as floating-point (N, C, H, W), for functions that want it so; and the way back."""
    lead, dtype = tuple(image.shape[:-3]), image.dtype
    if image.ndim == 2:
        lead = ()
        planes = image[None, None]
    else:
        planes = image.reshape(-1, *image.shape[-3:])
    flat = image.ndim == 2
    if not image.is_floating_point():
        planes = planes.to(cr.float32)

    def back(planes: Tensor) -> Tensor:
        if not image.is_floating_point():
            most = 1 if dtype == bool_ else cr.iinfo(dtype).max
            least = 0 if dtype == bool_ else cr.iinfo(dtype).min
            planes = planes.round().clamp(least, most).to(dtype)
        return planes[0, 0] if flat else planes.reshape(*lead, *planes.shape[-3:])

    return planes, back


def maximum(dtype: Any) -> float:
    """What white is in a dtype: 1 for floats, the largest value for integers."""
    if dtype == bool_ or dtype.is_floating_point:
        return 1
    return int(cr.iinfo(dtype).max)


def convert_dtype(image: Tensor, dtype: Any) -> Tensor:
    """Another dtype, with black and white staying black and white."""
    if image.dtype == dtype:
        return image
    if image.is_floating_point():
        if dtype.is_floating_point:
            return image.to(dtype)
        wide = image.dtype == cr.float64
        if (image.dtype == cr.float32 and dtype in (cr.int32, cr.int64)) or (wide and dtype == cr.int64):
            raise RuntimeError(
                f"convert_image_dtype: {image.dtype} cannot hold the values of {dtype} exactly; use another dtype"
            )
        return image.mul(maximum(dtype) + 1.0 - 1e-3).to(dtype)
    old = maximum(image.dtype)
    if dtype.is_floating_point:
        return image.to(dtype) / old
    new = maximum(dtype)
    if old > new:
        return cr.div(image, (old + 1) // (new + 1), rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((new + 1) // (old + 1))


def resize(image: Tensor, size: tuple[int, int], mode: str, antialias: bool) -> Tensor:
    """Resized to (height, width)."""
    if tuple(image.shape[-2:]) == size:
        return image
    planes, back = as_planes(image)
    smooth = mode in ("bilinear", "bicubic")
    options = {"align_corners": False, "antialias": bool(antialias)} if smooth else {}
    return back(F.interpolate(planes, size=size, mode=mode, **options))


def crop(image: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """A part; what lies outside is 0."""
    rows, columns = int(image.shape[-2]), int(image.shape[-1])
    part = image[..., max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    missing = (max(-left, 0), max(left + width - columns, 0), max(-top, 0), max(top + height - rows, 0))
    return F.pad(part, missing) if any(missing) else part


def pad(image: Tensor, sides: tuple[int, int, int, int], fill: Any, mode: str) -> Tensor:
    """More (or, for negative sides, fewer) pixels at the left, top, right and bottom."""
    left, top, right, bottom = sides
    if mode != "constant":
        for axis, before, after in ((-2, top, bottom), (-1, left, right)):
            size = int(image.shape[axis])
            numbers = np.arange(size)[max(-before, 0) : size - max(-after, 0)]
            numbers = np.pad(numbers, (max(before, 0), max(after, 0)), mode=mode)  # type: ignore[call-overload]
            image = image.index_select(image.ndim + axis, cr.tensor(numbers, device=image.device))
        return image
    if isinstance(fill, Sequence) and len(set(fill)) > 1:
        rows, columns = image.shape[-2] + top + bottom, image.shape[-1] + left + right
        if len(fill) != image.shape[-3]:
            raise ValueError(f"pad: fill must have one value for each of {image.shape[-3]} channels, got {fill!r}")
        values = cr.tensor(list(fill), dtype=image.dtype, device=image.device).reshape(-1, 1, 1)
        made = values.expand(*image.shape[:-2], rows, columns).clone()
        inside = image[..., max(-top, 0) : image.shape[-2] - max(-bottom, 0),
                       max(-left, 0) : image.shape[-1] - max(-right, 0)]  # fmt: skip
        y, x = max(top, 0), max(left, 0)
        made[..., y : y + inside.shape[-2], x : x + inside.shape[-1]] = inside
        return made
    value = fill[0] if isinstance(fill, Sequence) else fill
    return F.pad(image, (left, right, top, bottom), value=value)


def rotate(image: Tensor, angle: float, mode: str, expand: bool, center: Sequence[float] | None, fill: Any) -> Tensor:
    """Turned counter-clockwise by degrees around ``center`` (x, y), by default the middle."""
    planes, back = as_planes(image)
    height, width = int(planes.shape[-2]), int(planes.shape[-1])
    # positions are relative to the middle of the image
    cx, cy = (0.0, 0.0) if center is None else (center[0] - width / 2, center[1] - height / 2)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    rows, columns = _expanded(height, width, cos, sin) if expand else (height, width)
    y, x = np.meshgrid(np.arange(rows) + 0.5 - rows / 2 - cy, np.arange(columns) + 0.5 - columns / 2 - cx,
                       indexing="ij")  # fmt: skip
    source = np.stack([x * cos - y * sin + cx, x * sin + y * cos + cy], axis=-1) / [width / 2, height / 2]
    grid = cr.tensor(source, dtype=planes.dtype, device=image.device)
    return back(_sample(planes, grid.expand(planes.shape[0], *grid.shape), mode, fill))


def _expanded(height: int, width: int, cos: float, sin: float) -> tuple[int, int]:
    """Rows and columns that hold the whole turned image."""
    xs, ys = np.array([-1, -1, 1, 1]) * width / 2, np.array([-1, 1, 1, -1]) * height / 2
    sizes = []
    for turned, size in ((-xs * sin + ys * cos, height), (xs * cos + ys * sin, width)):
        # rounding errors (turns by 90 degrees) must not add a row
        corners = turned + size / 2
        sizes.append(math.ceil(corners.max() - 1e-4) - math.floor(corners.min() + 1e-4))
    return sizes[0], sizes[1]


def _sample(planes: Tensor, grid: Tensor, mode: str, fill: Any) -> Tensor:
    """The planes at the positions of a grid, and ``fill`` where that is outside."""
    values = list(fill) if isinstance(fill, Sequence) else [fill]
    if not any(values):
        return F.grid_sample(planes, grid, mode=mode, padding_mode="zeros", align_corners=False)
    inside = cr.ones_like(planes[:, :1])
    both = F.grid_sample(cr.cat([planes, inside], 1), grid, mode=mode, padding_mode="zeros", align_corners=False)
    out, inside = both[:, :-1], both[:, -1:]
    color = cr.tensor(values, dtype=planes.dtype, device=planes.device).reshape(1, -1, 1, 1)
    if mode == "nearest":
        return cr.where(inside < 0.5, color, out)
    # `out` has lost what is outside already; that it does so twice is torchvision's way
    return out * inside + (1.0 - inside) * color


def luma(image: Tensor) -> Tensor:
    """(..., 3, H, W) to (..., 1, H, W): ITU-R BT.601, in the dtype of the image."""
    r, g, b = image.unbind(-3)
    return (0.2989 * r + 0.587 * g + 0.114 * b).to(image.dtype).unsqueeze(-3)


def blend(image: Tensor, other: Any, ratio: float) -> Tensor:
    """``ratio * image + (1 - ratio) * other``, kept between black and white."""
    mixed = ratio * image + (1.0 - ratio) * other
    return mixed.clamp(0, maximum(image.dtype)).to(image.dtype)


def adjust_contrast(image: Tensor, factor: float) -> Tensor:
    """Away from (or towards) the mean of the image's luma."""
    gray = luma(image) if image.shape[-3] == 3 else image
    gray = gray if image.is_floating_point() else gray.to(cr.float32)
    return blend(image, gray.mean(dim=(-3, -2, -1), keepdim=True), factor)


def adjust_hue(image: Tensor, factor: float) -> Tensor:
    """The hue turned by a part of the circle, in the HSV model (Smith, Color gamut transform pairs, 1978)."""
    if image.shape[-3] == 1:
        return image
    original = image.dtype
    r, g, b = convert_dtype(image, cr.float32).unbind(-3)
    value = cr.maximum(cr.maximum(r, g), b)
    chroma = value - cr.minimum(cr.minimum(r, g), b)
    gray = chroma == 0
    safe = cr.where(gray, cr.ones_like(chroma), chroma)
    saturation = chroma / cr.where(gray, cr.ones_like(value), value)
    sector = cr.where(value == r, (g - b) / safe, cr.where(value == g, 2.0 + (b - r) / safe, 4.0 + (r - g) / safe))
    hue = cr.remainder(sector / 6.0 + factor, 1.0)

    def channel(n: int) -> Tensor:
        k = cr.remainder(n + hue * 6.0, 6.0)
        return value - value * saturation * cr.minimum(k, 4.0 - k).clamp(0.0, 1.0)

    return convert_dtype(cr.stack([channel(5), channel(3), channel(1)], -3), original)
