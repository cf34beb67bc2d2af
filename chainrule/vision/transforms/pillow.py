"""What transforms do with PIL images. Pillow is imported when it is first needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np


def pillow(caller: str, module: str = "Image") -> ModuleType:
    """A module of Pillow. Raises ImportError, saying how to get it, where it is not installed."""
    import importlib

    try:
        return importlib.import_module(f"PIL.{module}")
    except ImportError as error:
        raise ImportError(f"{caller} needs Pillow: pip install 'chainrule[vision]' (or pillow)") from error


def is_image(value: Any) -> bool:
    """Whether something is a PIL image; does not import Pillow, since without it nothing is."""
    image = sys.modules.get("PIL.Image")
    return image is not None and isinstance(value, image.Image)


def channels(image: Any) -> int:
    """How many channels an image has."""
    return len(image.getbands())


def resize(image: Any, size: tuple[int, int], filter: int) -> Any:
    """Resized to (height, width)."""
    return image.resize(size[::-1], filter)


def crop(image: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part; what lies outside is black."""
    return image.crop((left, top, left + width, top + height))


def flip(image: Any, horizontal: bool) -> Any:
    """Mirrored."""
    kinds = pillow("flip").Transpose
    return image.transpose(kinds.FLIP_LEFT_RIGHT if horizontal else kinds.FLIP_TOP_BOTTOM)


def color(image: Any, fill: Any, caller: str) -> Any:
    """A fill value as Pillow wants it for this image: a number, or one for each channel."""
    bands = channels(image)
    values = list(fill) if isinstance(fill, Sequence) else [fill] * bands
    if len(values) == 1:
        values *= bands
    if len(values) != bands:
        raise ValueError(f"{caller}: fill must be a number or one for each of {bands} channels, got {fill!r}")
    number = float if image.mode == "F" else int
    return number(values[0]) if bands == 1 else tuple(number(v) for v in values)


def pad(image: Any, sides: tuple[int, int, int, int], fill: Any, mode: str) -> Any:
    """More (or, for negative sides, fewer) pixels at the left, top, right and bottom."""
    left, top, right, bottom = sides
    if mode == "constant":
        width, height = image.size
        made = pillow("pad").new(image.mode, (width + left + right, height + top + bottom), color(image, fill, "pad"))
        if image.mode == "P" and image.getpalette() is not None:
            made.putpalette(image.getpalette())
        made.paste(image, (left, top))
        return made
    array = np.asarray(image)
    border: Any = mode
    widths = [(max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))] + [(0, 0)] * (array.ndim - 2)
    array = np.pad(array[max(-top, 0) : array.shape[0] - max(-bottom, 0), max(-left, 0) :][
        :, : array.shape[1] - max(-left, 0) - max(-right, 0)], widths, mode=border)  # fmt: skip
    made = pillow("pad").fromarray(array)
    if image.mode == "P" and image.getpalette() is not None:
        made.putpalette(image.getpalette())
    return made


def rotate(image: Any, angle: float, filter: int, expand: bool, center: Any, fill: Any) -> Any:
    """Turned counter-clockwise by degrees."""
    return image.rotate(angle, filter, expand, center, fillcolor=color(image, fill, "rotate"))


def grayscale(image: Any, outputs: int) -> Any:
    """The luma of an image, in one channel or the same three times."""
    image = image.convert("L")
    if outputs == 1:
        return image
    return pillow("rgb_to_grayscale").merge("RGB", (image,) * 3)


def enhance(image: Any, kind: str, factor: float) -> Any:
    """Brightness, Contrast or Color as Pillow changes them."""
    return getattr(pillow("adjust", "ImageEnhance"), kind)(image).enhance(factor)


def adjust_hue(image: Any, factor: float) -> Any:
    """The hue turned by a part of the circle."""
    if image.mode in {"L", "1", "I", "F"}:
        return image
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(int(factor * 255) % 256)  # uint8: turns over at 256
    hue = pillow("adjust_hue").fromarray(turned)
    return pillow("adjust_hue").merge("HSV", (hue, saturation, value)).convert(image.mode)
