"""Changes of images at random, for whole batches at once and on any device; each image has draws of its own.

All functions take images (N, C, H, W) and a ``generator`` (default: the global one). What they draw depends on its seed
alone, not on the device.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.autograd.random import Generator, default_generator
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F


def _images(caller: str, images: Any) -> tuple[int, int, int, int]:
    if not isinstance(images, Tensor):
        raise TypeError(f"{caller}: images must be a Tensor, got {type(images).__name__}")
    if images.ndim != 4:
        raise ValueError(f"{caller}: images must be (N, C, H, W), got shape {tuple(images.shape)}")
    n, c, h, w = images.shape
    return n, c, h, w


def _floats(caller: str, images: Tensor) -> None:
    if not images.is_floating_point():
        raise TypeError(f"{caller}: images must be floating-point, got {images.dtype}; divide bytes by 255 first")


def _pair(caller: str, name: str, value: Any) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and v >= 0 for v in pair):
        raise ValueError(f"{caller}: {name} must be an integer or two (height, width), none negative, got {value!r}")
    return pair[0], pair[1]


def random_crop(
    images: Tensor,
    size: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    *,
    value: float = 0.0,
    generator: Generator | None = None,
) -> Tensor:
    """A part of each image at a random place: (N, C, H, W) to (N, C, *size).

    Args:
        size: height and width (default: those of the images, for use with ``padding``).
        padding: pixels of ``value`` that are added first, at top and bottom and at left and right.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.data import augment
        >>> augment.random_crop(cr.rand(8, 3, 32, 32), padding=4).shape
        (8, 3, 32, 32)
    """
    n, _, h, w = _images("random_crop", images)
    y, x = _pair("random_crop", "padding", padding)
    rows, columns = (h, w) if size is None else _pair("random_crop", "size", size)
    if rows > h + 2 * y or columns > w + 2 * x:
        raise ValueError(f"random_crop: size {rows}x{columns} is larger than the images, {h + 2 * y}x{w + 2 * x}")
    if x or y:
        images = F.pad(images, (x, x, y, y), value=value)
    device = images.device
    top = cr.randint(0, h + 2 * y - rows + 1, (n, 1, 1), generator=generator, device=device)
    left = cr.randint(0, w + 2 * x - columns + 1, (n, 1, 1), generator=generator, device=device)
    number = cr.arange(n, device=device).reshape(n, 1, 1)
    down = top + cr.arange(rows, device=device).reshape(1, rows, 1)
    right = left + cr.arange(columns, device=device).reshape(1, 1, columns)
    return images.permute(0, 2, 3, 1)[number, down, right].permute(0, 3, 1, 2)


def random_translation(
    images: Tensor, shift: int | tuple[int, int], *, value: float = 0.0, generator: Generator | None = None
) -> Tensor:
    """Each image moved by a whole number of pixels, at most ``shift`` (down, right); ``value`` where it came from.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.data import augment
        >>> augment.random_translation(cr.ones(2, 1, 5, 5), 2).shape
        (2, 1, 5, 5)
    """
    _images("random_translation", images)
    most = _pair("random_translation", "shift", shift)
    return random_crop(images, padding=most, value=value, generator=generator)


def random_flip(
    images: Tensor, p: float = 0.5, *, vertical: bool = False, generator: Generator | None = None
) -> Tensor:
    """Each image mirrored left to right (``vertical``: top to bottom) with probability ``p``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.data import augment
        >>> augment.random_flip(cr.tensor([[[[1.0, 2.0]]]]), p=1.0)
        tensor([[[[2., 1.]]]])
    """
    n = _images("random_flip", images)[0]
    _probability("random_flip", p)
    chosen = cr.rand(n, 1, 1, 1, generator=generator, device=images.device) < p
    return cr.where(chosen, images.flip(-2 if vertical else -1), images)


def random_rotation(
    images: Tensor,
    degrees: float | tuple[float, float],
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    generator: Generator | None = None,
) -> Tensor:
    """Each image turned around its middle by an angle from ``degrees``, counter-clockwise.

    Args:
        degrees: (least, most), or one number for both directions.
        mode: ``bilinear``, ``nearest`` or ``bicubic``.
        padding_mode: what stands where the image does not reach: ``zeros``, ``border`` or ``reflection``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.data import augment
        >>> augment.random_rotation(cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), (90, 90), mode="nearest")
        tensor([[[[2., 4.],
                  [1., 3.]]]])
    """
    n, _, h, w = _images("random_rotation", images)
    _floats("random_rotation", images)
    least, most = (-degrees, degrees) if isinstance(degrees, (int, float)) else degrees
    drawn = cr.rand(n, generator=generator, dtype=images.dtype, device=images.device)
    angle = (least + (most - least) * drawn) * (math.pi / 180)
    cos, sin, zero = angle.cos(), angle.sin(), cr.zeros_like(angle)
    # coordinates run from -1 to 1 along each side, so sides of unequal length have units of unequal length
    theta = cr.stack([cos, -sin * (h / w), zero, sin * (w / h), cos, zero], 1).reshape(n, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode=mode, padding_mode=padding_mode, align_corners=False)


def random_noise(images: Tensor, std: float = 0.1, *, generator: Generator | None = None) -> Tensor:
    """Normal noise of standard deviation ``std`` added to each element.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.data import augment
        >>> augment.random_noise(cr.zeros(1, 1, 2, 2), std=0.0).sum()
        tensor(0.)
    """
    _images("random_noise", images)
    _floats("random_noise", images)
    noise = cr.randn(*images.shape, generator=generator, dtype=images.dtype, device=images.device)
    return images + std * noise


def cutout(
    images: Tensor, size: int | tuple[int, int], *, value: float = 0.0, generator: Generator | None = None
) -> Tensor:
    """A rectangle of each image overwritten by ``value``; its middle is anywhere, so part of it may lie outside.

    DeVries, Taylor: Improved Regularization of Convolutional Neural Networks with Cutout, 2017,
    https://arxiv.org/abs/1708.04552

    Args:
        size: height and width.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.data import augment
        >>> bool((augment.cutout(cr.ones(1, 1, 4, 4), 2) == 0).any())
        True
    """
    n, _, h, w = _images("cutout", images)
    inside = []
    for side, length in zip(_pair("cutout", "size", size), (h, w), strict=True):
        first = cr.randint(0, length, (n, 1), generator=generator, device=images.device) - side // 2
        position = cr.arange(length, device=images.device)
        inside.append((position >= first) & (position < first + side))
    hole = inside[0].reshape(n, 1, h, 1) & inside[1].reshape(n, 1, 1, w)
    return images.masked_fill(hole, value)


def mixup(
    images: Tensor,
    targets: Tensor,
    alpha: float = 0.2,
    *,
    num_classes: int | None = None,
    generator: Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Each image mixed with another one of the batch, and their targets likewise.

    Zhang, Cisse, Dauphin, Lopez-Paz: mixup: Beyond Empirical Risk Minimization, ICLR 2018,
    https://arxiv.org/abs/1710.09412

    Args:
        images: floating-point, (N, ...).
        targets: class numbers (N), which become probabilities (N, num_classes), or floating-point (N, ...).
        alpha: the share of the one image is drawn from Beta(alpha, alpha), once for the batch; 0 mixes nothing.
        num_classes: needed for class numbers.

    Returns:
        images and targets; ``cross_entropy`` takes both.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.data import augment
        >>> x, y = augment.mixup(cr.rand(4, 1, 8, 8), cr.tensor([0, 1, 2, 0]), num_classes=3)
        >>> y.shape
        (4, 3)
    """
    _floats("mixup", images)
    if alpha < 0:
        raise ValueError(f"mixup: alpha must not be negative, got {alpha}")
    if len(targets) != len(images):
        raise ValueError(f"mixup: expected a target for each of {len(images)} images, got {len(targets)}")
    if not targets.is_floating_point():
        if num_classes is None or targets.ndim != 1:
            raise ValueError(
                f"mixup: class numbers must be (N) and need num_classes=, got shape {tuple(targets.shape)} and "
                f"num_classes={num_classes}"
            )
        targets = F.one_hot(targets, num_classes).to(images.dtype)
    source = default_generator if generator is None else generator
    bits = np.random.Generator(np.random.Philox(key=np.array(source.next_stream(), np.uint64)))
    share = float(bits.beta(alpha, alpha)) if alpha else 1.0
    other = cr.randperm(len(images), generator=source, device=images.device)
    return share * images + (1 - share) * images[other], share * targets + (1 - share) * targets[other]


def _probability(caller: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"{caller}: p must be from 0 to 1, got {p}")
