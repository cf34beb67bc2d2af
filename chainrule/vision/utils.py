"""Many images as one, and as a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import chainrule as cr
from chainrule.autograd.tensor import Tensor


def make_grid(
    tensor: Tensor | Sequence[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images (N, C, H, W), or a list of (C, H, W), side by side in one image of three (or C) channels.

    Args:
        nrow: images in a row.
        padding: pixels between them and around.
        normalize: shift and scale the values to 0 to 1 (a copy is made).
        value_range: what becomes 0 and 1 (default: the least and largest value).
        scale_each: normalize each image by its own values.
        pad_value: what stands between the images.

    Raises TypeError for anything but tensors, ValueError for other shapes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision.utils import make_grid
        >>> make_grid(cr.zeros(5, 1, 4, 4), nrow=3, padding=1).shape
        (3, 11, 16)
    """
    if not isinstance(tensor, Tensor):
        if not isinstance(tensor, Sequence) or not tensor or not all(isinstance(t, Tensor) for t in tensor):
            raise TypeError(f"make_grid: expected a Tensor or a list of some, got {type(tensor).__name__}")
        tensor = cr.stack(list(tensor), 0)
    tensor = tensor.detach()
    if tensor.ndim == 2:
        tensor = tensor[None]
    if tensor.ndim == 3:
        tensor = tensor[None]
    if tensor.ndim != 4:
        raise ValueError(f"make_grid: expected images (N, C, H, W), got shape {tuple(tensor.shape)}")
    if tensor.shape[1] == 1:
        tensor = cr.cat([tensor] * 3, 1)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError(f"make_grid: value_range must be a tuple (least, largest), got {value_range!r}")
        images = tensor.unbind(0) if scale_each else [tensor]
        scaled = [_to_range(image, value_range) for image in images]
        tensor = cr.stack(scaled, 0) if scale_each else scaled[0]
    count, channels, height, width = (int(n) for n in tensor.shape)
    if count == 1:
        return tensor[0]
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = height + padding, width + padding
    shape = channels, height * rows + padding, width * columns + padding
    grid = cr.full(shape, pad_value, dtype=tensor.dtype, device=tensor.device)
    for i in range(count):
        y, x = i // columns * height + padding, i % columns * width + padding
        grid[:, y : y + height - padding, x : x + width - padding] = tensor[i]
    return grid


def _to_range(image: Tensor, limits: tuple[float, float] | None) -> Tensor:
    low, high = limits if limits is not None else (float(image.min()), float(image.max()))
    return (image.clamp(low, high) - low) / max(high - low, 1e-5)


def save_image(tensor: Tensor | Sequence[Tensor], fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """Write images with values from 0 to 1 to a file, several of them side by side; needs Pillow.

    Args:
        fp: a path or an open file.
        format: what kind of file (default: by the path's ending).
        kwargs: for :func:`make_grid`.

    Raises ImportError without Pillow.
    """
    from chainrule.vision.transforms.pillow import pillow

    image = pillow("save_image")
    grid = make_grid(tensor, **kwargs)
    pixels = (grid * 255 + 0.5).clamp(0, 255).permute(1, 2, 0).to(cr.uint8)
    image.fromarray(pixels.contiguous().numpy(force=True)).save(fp, format=format)
