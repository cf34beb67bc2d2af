"""Transforms of colour, for PIL images and tensors (..., C, H, W)."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import chainrule as cr
from chainrule import nn
from chainrule.vision.transforms import functional as F
from chainrule.vision.transforms.basic import uniform


class Grayscale(nn.Module):
    """The luma of images, in one channel or the same in three.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision import transforms
        >>> transforms.Grayscale()(cr.ones(3, 1, 2))
        tensor([[[0.9999, 0.9999]]])
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)

    def __repr__(self) -> str:
        return f"Grayscale(num_output_channels={self.num_output_channels})"


class RandomGrayscale(nn.Module):
    """Images without their colours, in as many channels as they have, with probability ``p``."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        channels = F.get_image_num_channels(img)
        return F.rgb_to_grayscale(img, channels) if uniform() < self.p else img

    def __repr__(self) -> str:
        return f"RandomGrayscale(p={self.p})"


Range = tuple[float, float] | None


class ColorJitter(nn.Module):
    """Brightness, contrast, saturation and hue changed at random, in random order.

    Args:
        brightness, contrast, saturation: factors are drawn from (least, most); a number x means from ``1 - x`` (not
            below 0) to ``1 + x``.
        hue: likewise from ``-x`` to ``x``, within -0.5 and 0.5.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision import transforms
        >>> transforms.ColorJitter(brightness=0.2, hue=0.1)(cr.rand(3, 4, 4)).shape
        (3, 4, 4)
    """

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0) -> None:
        super().__init__()
        self.brightness = _range("brightness", brightness)
        self.contrast = _range("contrast", contrast)
        self.saturation = _range("saturation", saturation)
        self.hue = _range("hue", hue, 0.0, (-0.5, 0.5))

    @staticmethod
    def get_params(
        brightness: Range, contrast: Range, saturation: Range, hue: Range
    ) -> tuple[Any, float | None, float | None, float | None, float | None]:
        """The order of the four, and a factor for each (None where it has no range)."""
        order = cr.randperm(4, device="cpu")
        drawn = [None if limits is None else uniform(*limits) for limits in (brightness, contrast, saturation, hue)]
        return order, drawn[0], drawn[1], drawn[2], drawn[3]

    def forward(self, img: Any) -> Any:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for i in order.tolist():
            factor = factors[i]
            if factor is not None:
                img = changes[i](img, factor)
        return img

    def __repr__(self) -> str:
        return (
            f"ColorJitter(brightness={self.brightness}, contrast={self.contrast}, saturation={self.saturation}, "
            f"hue={self.hue})"
        )


def _range(name: str, value: Any, center: float = 1.0, bound: tuple[float, float] = (0.0, float("inf"))) -> Range:
    """Least and largest factor; None where nothing changes."""
    if isinstance(value, numbers.Real):
        if value < 0:
            raise ValueError(f"ColorJitter: {name} must not be negative, got {value}")
        limits = [center - float(value), center + float(value)]
        if name != "hue":
            limits[0] = max(limits[0], 0.0)
    elif isinstance(value, Sequence) and len(value) == 2:
        limits = [float(v) for v in value]
    else:
        raise TypeError(f"ColorJitter: {name} must be a number or two, got {value!r}")
    if not bound[0] <= limits[0] <= limits[1] <= bound[1]:
        raise ValueError(f"ColorJitter: {name} must lie between {bound}, got {value!r}")
    return None if limits[0] == limits[1] == center else (limits[0], limits[1])
