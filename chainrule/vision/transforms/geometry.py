"""Transforms of size and place, fixed and random, for PIL images and tensors (..., C, H, W)."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import chainrule as cr
from chainrule import nn
from chainrule.autograd.tensor import Tensor
from chainrule.vision.transforms import functional as F
from chainrule.vision.transforms.basic import integer, uniform
from chainrule.vision.transforms.functional import InterpolationMode


def _pair(caller: str, size: Any) -> tuple[int, int]:
    return F._sizes(caller, size)


def _interpolation(mode: Any) -> Any:
    """The mode, for one of Pillow's numbers too."""
    return InterpolationMode(F._MODES[mode]) if isinstance(mode, int) and mode in F._MODES else mode


class Resize(nn.Module):
    """Images to a size: (height, width), or for an integer that of the smaller edge; see ``functional.resize``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision import transforms
        >>> transforms.Resize((2, 3))(cr.zeros(1, 8, 8)).shape
        (1, 2, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        _pair("Resize", size)
        self.size = size
        self.max_size = max_size
        self.interpolation = _interpolation(interpolation)
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"Resize(size={self.size}, interpolation={self.interpolation.value}, max_size={self.max_size}, "
            f"antialias={self.antialias})"
        )


class CenterCrop(nn.Module):
    """The middle of images, with a black border where they are smaller.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision import transforms
        >>> transforms.CenterCrop(4)(cr.zeros(1, 8, 2)).shape
        (1, 4, 4)
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = _pair("CenterCrop", size)

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)

    def __repr__(self) -> str:
        return f"CenterCrop(size={self.size})"


class Pad(nn.Module):
    """Images with a border; see ``functional.pad``."""

    def __init__(self, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return f"Pad(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


class RandomCrop(nn.Module):
    """A part of a given size at a random place.

    Args:
        size: height and width, or one integer for both.
        padding: a border that is added first.
        pad_if_needed: widen images that are too small.
        fill, padding_mode: of the border.

    Raises ValueError, when called, for an image that is smaller.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision import transforms
        >>> transforms.RandomCrop(32, padding=4)(cr.zeros(3, 32, 32)).shape
        (3, 32, 32)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = _pair("RandomCrop", size)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Top, left, height and width of a part at random."""
        _, height, width = F.get_dimensions(img)
        rows, columns = output_size
        if height < rows or width < columns:
            raise ValueError(
                f"RandomCrop: the image, {height}x{width}, is smaller than size={rows}x{columns}; pass "
                "pad_if_needed=True or a padding"
            )
        return integer(0, height - rows), integer(0, width - columns), rows, columns

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            _, height, width = F.get_dimensions(img)
            if width < self.size[1]:
                img = F.pad(img, [self.size[1] - width, 0], self.fill, self.padding_mode)
            if height < self.size[0]:
                img = F.pad(img, [0, self.size[0] - height], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return f"RandomCrop(size={self.size}, padding={self.padding})"


class RandomHorizontalFlip(nn.Module):
    """Images mirrored left to right with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        return F.hflip(img) if uniform() < self.p else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomVerticalFlip(RandomHorizontalFlip):
    """Images mirrored top to bottom with probability ``p``."""

    def forward(self, img: Any) -> Any:
        return F.vflip(img) if uniform() < self.p else img


class RandomRotation(nn.Module):
    """Images turned by an angle from ``degrees``, (least, most) or one number for both directions."""

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: Any = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        if isinstance(degrees, numbers.Real):
            if degrees < 0:
                raise ValueError(f"RandomRotation: one number of degrees must not be negative, got {degrees}")
            degrees = [-float(degrees), float(degrees)]
        if not isinstance(degrees, Sequence) or len(degrees) != 2:
            raise ValueError(f"RandomRotation: degrees must be a number or two (least, most), got {degrees!r}")
        self.degrees = [float(d) for d in degrees]
        self.interpolation = _interpolation(interpolation)
        self.expand = expand
        self.center = center
        self.fill = fill

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """An angle at random."""
        return uniform(degrees[0], degrees[1])

    def forward(self, img: Any) -> Any:
        return F.rotate(img, self.get_params(self.degrees), self.interpolation, self.expand, self.center, self.fill)

    def __repr__(self) -> str:
        text = f"degrees={self.degrees}, interpolation={self.interpolation.value}, expand={self.expand}"
        if self.center is not None:
            text += f", center={self.center}"
        return f"RandomRotation({text}" + (f", fill={self.fill}" if self.fill is not None else "") + ")"


class RandomResizedCrop(nn.Module):
    """A part of random size and shape, resized.

    Args:
        size: of the result: height and width, or one integer for both.
        scale: least and largest area of the part, as a share of the image's.
        ratio: least and largest width over height; it is drawn evenly on a logarithmic scale.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision import transforms
        >>> transforms.RandomResizedCrop(8)(cr.zeros(3, 20, 30)).shape
        (3, 8, 8)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = _pair("RandomResizedCrop", size)
        for name, pair in (("scale", scale), ("ratio", ratio)):
            if not isinstance(pair, Sequence) or len(pair) != 2:
                raise TypeError(f"RandomResizedCrop: {name} must be two numbers, got {pair!r}")
            if pair[0] > pair[1]:
                warnings.warn(f"RandomResizedCrop: {name} should be (least, largest), got {pair}", stacklevel=2)
        self.scale = scale
        self.ratio = ratio
        self.interpolation = _interpolation(interpolation)
        self.antialias = antialias

    @staticmethod
    def get_params(img: Any, scale: Sequence[float], ratio: Sequence[float]) -> tuple[int, int, int, int]:
        """Top, left, height and width of a part at random; of the middle one where ten draws do not fit."""
        _, height, width = F.get_dimensions(img)
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            shape = math.exp(uniform(math.log(ratio[0]), math.log(ratio[1])))
            w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < w <= width and 0 < h <= height:
                return integer(0, height - h), integer(0, width - w), h, w
        present = width / height
        if present < min(ratio):
            w, h = width, round(width / min(ratio))
        elif present > max(ratio):
            w, h = round(height * max(ratio)), height
        else:
            w, h = width, height
        return (height - h) // 2, (width - w) // 2, h, w

    def forward(self, img: Any) -> Any:
        part = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *part, self.size, self.interpolation, self.antialias)

    def __repr__(self) -> str:
        scale, ratio = (tuple(round(v, 4) for v in pair) for pair in (self.scale, self.ratio))
        return (
            f"RandomResizedCrop(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={self.interpolation.value}, antialias={self.antialias})"
        )


class RandomErasing(nn.Module):
    """A random rectangle of tensors overwritten, with probability ``p``.

    Zhong et al.: Random Erasing Data Augmentation, AAAI 2020, https://arxiv.org/abs/1708.04896

    Args:
        p: probability.
        scale: least and largest share of the image that is overwritten.
        ratio: least and largest height over width of it.
        value: what stands there: a number, one for each channel, or ``"random"`` for normal noise.
        inplace: overwrite the tensor itself.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision import transforms
        >>> bool((transforms.RandomErasing(p=1.0)(cr.ones(3, 16, 16)) == 0).any())
        True
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if not (isinstance(value, (int, float, Sequence)) and (not isinstance(value, str) or value == "random")):
            raise ValueError(f"RandomErasing: value must be a number, a sequence or 'random', got {value!r}")
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError(f"RandomErasing: scale must be (least, largest), from 0 to 1, got {scale}")
        if not 0 <= p <= 1:
            raise ValueError(f"RandomErasing: p must be from 0 to 1, got {p}")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Tensor, scale: Sequence[float], ratio: Sequence[float], value: Sequence[float] | None = None
    ) -> tuple[int, int, int, int, Any]:
        """Top, left, height, width and content (None: noise) of a rectangle; the whole image where ten do not fit."""
        count, height, width = F.get_dimensions(img)
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            shape = math.exp(uniform(math.log(ratio[0]), math.log(ratio[1])))
            h, w = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if not (0 < h < height and 0 < w < width):
                continue
            if value is None:
                content = cr.randn(count, h, w, dtype=cr.float32, device=img.device)
            else:
                content = cr.tensor(list(value), device=img.device).reshape(-1, 1, 1)
            return integer(0, height - h), integer(0, width - w), h, w, content
        return 0, 0, height, width, img

    def forward(self, img: Tensor) -> Tensor:
        if uniform() >= self.p:
            return img
        value = None if self.value == "random" else [self.value] if not isinstance(self.value, Sequence) else self.value
        if value is not None and len(value) not in (1, img.shape[-3]):
            raise ValueError(
                f"RandomErasing: value must have one number for each of {img.shape[-3]} channels, got {len(value)}"
            )
        return F.erase(img, *self.get_params(img, self.scale, self.ratio, value), self.inplace)

    def __repr__(self) -> str:
        return (
            f"RandomErasing(p={self.p}, scale={self.scale}, ratio={self.ratio}, value={self.value}, "
            f"inplace={self.inplace})"
        )
