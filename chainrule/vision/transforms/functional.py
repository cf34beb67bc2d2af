"""Transforms as functions, on PIL images and on tensors (..., C, H, W); names and meaning are torchvision's."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.autograd.tensor import Tensor
from chainrule.vision.transforms import images, pillow


class InterpolationMode(enum.Enum):
    """How pixels between pixels are found."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


#: the numbers of Pillow's filters, which may stand for the modes
_FILTERS = {"nearest": 0, "nearest-exact": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
_MODES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def _mode(caller: str, interpolation: Any, allowed: Sequence[str] = tuple(_FILTERS)) -> str:
    mode: Any = interpolation.value if isinstance(interpolation, InterpolationMode) else _MODES.get(interpolation)
    if mode not in allowed:
        raise ValueError(f"{caller}: interpolation must be one of {', '.join(allowed)}, got {interpolation!r}")
    return str(mode)


def _kind(caller: str, img: Any) -> bool:
    """Whether an image is a tensor; TypeError where it is no PIL image either."""
    if isinstance(img, Tensor):
        if img.ndim < 2:
            raise TypeError(f"{caller}: a tensor image has at least two dimensions, got shape {tuple(img.shape)}")
        return True
    if not pillow.is_image(img):
        raise TypeError(f"{caller}: img must be a PIL image or a Tensor, got {type(img).__name__}")
    return False


def _sizes(caller: str, size: Any) -> tuple[int, int]:
    """(height, width) of an integer (a square) or a sequence of one or two."""
    pair = [size] if isinstance(size, int) else list(size)
    if len(pair) not in (1, 2) or not all(isinstance(s, int) and s > 0 for s in pair):
        raise ValueError(f"{caller}: size must be a positive integer or two of them (height, width), got {size!r}")
    return pair[0], pair[-1]


# ---- what an image is -----------------------------------------------------------------------------------------------


def get_dimensions(img: Any) -> list[int]:
    """Channels, height and width of an image.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision.transforms import functional as F
        >>> F.get_dimensions(cr.zeros(3, 4, 5))
        [3, 4, 5]
    """
    if _kind("get_dimensions", img):
        return [1 if img.ndim == 2 else int(img.shape[-3]), int(img.shape[-2]), int(img.shape[-1])]
    return [pillow.channels(img), img.height, img.width]


def get_image_size(img: Any) -> list[int]:
    """Width and height of an image, in this order."""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img: Any) -> int:
    """How many channels an image has."""
    return get_dimensions(img)[0]


# ---- between kinds of images ----------------------------------------------------------------------------------------


def _planes_of(pic: Any) -> np.ndarray:
    """A PIL image as an array (C, H, W)."""
    array = np.array(pic, dtype={"I": np.int32, "I;16": np.uint16, "F": np.float32}.get(pic.mode, np.uint8))
    if pic.mode == "1":
        array *= 255
    array = array.reshape(pic.height, pic.width, pillow.channels(pic))
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def pil_to_tensor(pic: Any) -> Tensor:
    """A PIL image as a tensor (C, H, W) of the same values.

    Raises TypeError for anything else.
    """
    if not pillow.is_image(pic):
        raise TypeError(f"pil_to_tensor: pic must be a PIL image, got {type(pic).__name__}")
    array = _planes_of(pic)
    return cr.tensor(array > 0 if pic.mode == "1" else array)


def to_tensor(pic: Any) -> Tensor:
    """A PIL image, or an array (H, W) or (H, W, C), as a tensor (C, H, W); bytes become floats from 0 to 1.

    Raises TypeError for anything else, ValueError for arrays of other shapes.

    Example:
        >>> import numpy as np
        >>> from chainrule.vision.transforms import functional as F
        >>> F.to_tensor(np.full((1, 2), 255, np.uint8))
        tensor([[[1., 1.]]])
    """
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"to_tensor: pic must be (H, W) or (H, W, C), got shape {pic.shape}")
        array = np.ascontiguousarray((pic if pic.ndim == 3 else pic[:, :, None]).transpose(2, 0, 1))
    elif pillow.is_image(pic):
        array = _planes_of(pic)
    else:
        raise TypeError(f"to_tensor: pic must be a PIL image or a NumPy array, got {type(pic).__name__}")
    if array.dtype != np.uint8:
        return cr.tensor(array)
    dtype = cr.get_default_dtype()
    if dtype in (cr.float32, cr.float64):
        return cr.tensor(np.divide(array, 255, dtype=np.float32 if dtype == cr.float32 else np.float64))
    return cr.tensor(array).to(dtype) / 255


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), as a PIL image; floats are from 0 to 1.

    Args:
        mode: Pillow's name of the kind of image (default: by channels and dtype).

    Raises TypeError for anything else, and ValueError for shapes and modes that do not fit.
    """
    if isinstance(pic, Tensor):
        if pic.ndim not in (2, 3):
            raise ValueError(f"to_pil_image: pic must have two or three dimensions, got shape {tuple(pic.shape)}")
        planes = pic[None] if pic.ndim == 2 else pic
        if planes.is_floating_point() and mode != "F":
            planes = planes.mul(255).to(cr.uint8)
        array = planes.numpy(force=True).transpose(1, 2, 0)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"to_pil_image: pic must have two or three dimensions, got shape {pic.shape}")
        array = pic if pic.ndim == 3 else pic[:, :, None]
    else:
        raise TypeError(f"to_pil_image: pic must be a Tensor or a NumPy array, got {type(pic).__name__}")
    count, dtype = array.shape[2], array.dtype
    if not 1 <= count <= 4:
        raise ValueError(f"to_pil_image: pic must have 1 to 4 channels, got {count}")
    if count == 1:
        found = {"uint8": "L", "int16": "I;16", "uint16": "I;16", "int32": "I", "float32": "F"}.get(dtype.name)
        if mode is not None and mode != found:
            raise ValueError(f"to_pil_image: one channel of {dtype} is mode {found}, got mode={mode!r}")
        array = array[:, :, 0]
    else:
        modes = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}[count]
        if mode is not None and mode not in modes:
            raise ValueError(f"to_pil_image: {count} channels can be {' or '.join(modes)}, got mode={mode!r}")
        found = (mode or modes[0]) if dtype == np.uint8 else None
    if found is None:
        raise TypeError(f"to_pil_image: PIL has no image of {count} channels of {dtype}")
    image = pillow.pillow("to_pil_image")
    if found in ("YCbCr", "HSV", "CMYK", "RGBX", "I;16"):
        data = np.ascontiguousarray(array, dtype="<u2" if found == "I;16" else None)
        return image.frombytes(found, array.shape[1::-1], data.tobytes())
    return image.fromarray(np.ascontiguousarray(array))


def convert_image_dtype(image: Tensor, dtype: Any = None) -> Tensor:
    """Another dtype, with the range of values scaled: 0 to 1 for floats, 0 to the largest value for integers.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision.transforms import functional as F
        >>> F.convert_image_dtype(cr.tensor([[0.0, 1.0]]), cr.uint8)
        tensor([[  0, 255]], dtype=chainrule.uint8)
    """
    if not isinstance(image, Tensor):
        raise TypeError(f"convert_image_dtype: image must be a Tensor, got {type(image).__name__}")
    return images.convert_dtype(image, cr.float32 if dtype is None else dtype)


def normalize(tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """``(tensor - mean) / std`` for each channel of (..., C, H, W).

    Raises TypeError for anything but floating-point tensors, ValueError for other shapes and a ``std`` of 0.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision.transforms import functional as F
        >>> F.normalize(cr.ones(1, 1, 2), mean=[0.5], std=[0.25])
        tensor([[[2., 2.]]])
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"normalize: expected a Tensor, got {type(tensor).__name__}; put ToTensor() before Normalize()")
    if not tensor.is_floating_point():
        raise TypeError(f"normalize: expected a floating-point tensor, got {tensor.dtype}; convert_image_dtype() it")
    if tensor.ndim < 3:
        raise ValueError(f"normalize: expected shape (..., C, H, W), got {tuple(tensor.shape)}")
    numbers = [np.asarray(v, np.float64).reshape(-1, 1, 1) for v in (mean, std)]
    for name, v in zip(("mean", "std"), numbers):
        if v.shape[0] not in (1, tensor.shape[-3]):
            raise ValueError(
                f"normalize: {name} must have one value for each of {tensor.shape[-3]} channels, got {v.shape[0]}"
            )
    middle, spread = (cr.tensor(v, dtype=tensor.dtype, device=tensor.device) for v in numbers)
    if not numbers[1].all() or (tensor.itemsize < 4 and bool((spread == 0).any())):
        raise ValueError(f"normalize: std is 0 as {tensor.dtype}, which leads to a division by zero, got {std}")
    if inplace:
        return tensor.sub_(middle).div_(spread)
    return (tensor - middle) / spread


# ---- geometry -------------------------------------------------------------------------------------------------------


def resize(
    img: Any,
    size: int | Sequence[int],
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """An image at another size: (height, width), or for an integer that of the smaller edge.

    Args:
        max_size: what the longer edge may have when ``size`` is an integer.
        antialias: smooth a tensor where it shrinks, as PIL images always are.

    Raises TypeError for what is no image, ValueError for sizes that do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision.transforms import functional as F
        >>> F.resize(cr.zeros(3, 40, 20), 10).shape
        (3, 20, 10)
    """
    tensor = _kind("resize", img)
    mode = _mode("resize", interpolation)
    pair = _sizes("resize", size)
    _, height, width = get_dimensions(img)
    if isinstance(size, int) or len(size) == 1:
        short, long = min(height, width), max(height, width)
        new_short, new_long = pair[0], int(pair[0] * long / short)
        if max_size is not None:
            if max_size <= pair[0]:
                raise ValueError(f"resize: max_size must be larger than size={pair[0]}, got {max_size}")
            if new_long > max_size:
                new_short, new_long = int(max_size * new_short / new_long), max_size
        pair = (new_long, new_short) if height > width else (new_short, new_long)
    elif max_size is not None:
        raise ValueError("resize: max_size is for a size that is one integer")
    if pair == (height, width):
        return img
    if not tensor:
        return pillow.resize(img, pair, _FILTERS[mode])
    mode = _mode("resize", interpolation, ("nearest", "nearest-exact", "bilinear", "bicubic"))
    return images.resize(img, pair, mode, bool(antialias))


def pad(img: Any, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> Any:
    """An image with a border: one width, (left and right, top and bottom) or (left, top, right, bottom).

    Args:
        fill: the border's value, or one for each channel.
        padding_mode: ``constant``, ``edge``, ``reflect`` or ``symmetric``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision.transforms import functional as F
        >>> F.pad(cr.tensor([[[1, 2, 3]]]), (1, 0), padding_mode="reflect")
        tensor([[[2, 1, 2, 3, 2]]])
    """
    tensor = _kind("pad", img)
    sides = [padding] if isinstance(padding, int) else list(padding)
    if len(sides) not in (1, 2, 4) or not all(isinstance(s, int) for s in sides):
        raise ValueError(f"pad: padding must be one, two or four integers, got {padding!r}")
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError(f"pad: padding_mode must be constant, edge, reflect or symmetric, got {padding_mode!r}")
    left, top, right, bottom = sides * (4 // len(sides))
    if padding_mode == "reflect" and tensor:
        _, height, width = get_dimensions(img)
        if max(left, right) >= width or max(top, bottom) >= height:
            raise ValueError(f"pad: reflection needs padding smaller than the image {height}x{width}, got {padding!r}")
    return (images if tensor else pillow).pad(img, (left, top, right, bottom), fill, padding_mode)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part of an image; what lies outside of it is 0."""
    return (images if _kind("crop", img) else pillow).crop(img, top, left, height, width)


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle of an image, with a black border where it is smaller.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision.transforms import functional as F
        >>> F.center_crop(cr.arange(5).reshape(1, 1, 5), (1, 3))
        tensor([[[1, 2, 3]]])
    """
    rows, columns = _sizes("center_crop", output_size)
    _, height, width = get_dimensions(img)
    more = columns - width, rows - height
    if max(more) > 0:
        x, y = max(more[0], 0), max(more[1], 0)
        img = pad(img, [x // 2, y // 2, (x + 1) // 2, (y + 1) // 2])
        _, height, width = get_dimensions(img)
    return crop(img, round((height - rows) / 2.0), round((width - columns) / 2.0), rows, columns)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: int | Sequence[int],
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """:func:`crop`, then :func:`resize`."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def hflip(img: Any) -> Any:
    """An image mirrored left to right."""
    return img.flip(-1) if _kind("hflip", img) else pillow.flip(img, True)


def vflip(img: Any) -> Any:
    """An image mirrored top to bottom."""
    return img.flip(-2) if _kind("vflip", img) else pillow.flip(img, False)


def rotate(
    img: Any,
    angle: float,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Any = None,
) -> Any:
    """An image turned counter-clockwise by ``angle`` degrees.

    Args:
        expand: make the result so large that it holds all of the image.
        center: (x, y) of the point it turns around (default: the middle).
        fill: what stands where the image does not reach: a number or one for each channel.
    """
    if not isinstance(angle, (int, float)):
        raise TypeError(f"rotate: angle must be a number, got {type(angle).__name__}")
    if center is not None and len(center) != 2:
        raise ValueError(f"rotate: center must be (x, y), got {center!r}")
    mode = _mode("rotate", interpolation, ("nearest", "bilinear", "bicubic"))
    color = 0 if fill is None else fill
    if not _kind("rotate", img):
        return pillow.rotate(img, angle, _FILTERS[mode], expand, center, color)
    if mode == "bicubic":
        raise ValueError("rotate: tensors take interpolation nearest or bilinear, got bicubic")
    return images.rotate(img, angle, mode, expand, center, color)


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Tensor:
    """A tensor image with the value ``v`` in the rectangle of height ``h`` and width ``w`` from row i, column j."""
    if not isinstance(img, Tensor):
        raise TypeError(f"erase: img must be a Tensor, got {type(img).__name__}; put ToTensor() before it")
    out = img if inplace else img.clone()
    out[..., i : i + h, j : j + w] = v
    return out


# ---- colour ---------------------------------------------------------------------------------------------------------


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The luma of an RGB image, in one channel or the same in three."""
    tensor = _kind("rgb_to_grayscale", img)
    if num_output_channels not in (1, 3):
        raise ValueError(f"rgb_to_grayscale: num_output_channels must be 1 or 3, got {num_output_channels}")
    if not tensor:
        return pillow.grayscale(img, num_output_channels)
    if img.ndim < 3 or img.shape[-3] not in (1, 3):
        raise TypeError(f"rgb_to_grayscale: expected 1 or 3 channels, got shape {tuple(img.shape)}")
    gray = images.luma(img) if img.shape[-3] == 3 else img
    return gray.expand(*gray.shape[:-3], num_output_channels, *gray.shape[-2:]).clone()


to_grayscale = rgb_to_grayscale


def _factor(caller: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{caller}: the factor must not be negative, got {factor}")


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """0 gives black, 1 the image, 2 twice its brightness."""
    _factor("adjust_brightness", brightness_factor)
    if _kind("adjust_brightness", img):
        return images.blend(img, 0.0, brightness_factor)
    return pillow.enhance(img, "Brightness", brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """0 gives plain gray, 1 the image, 2 twice its contrast."""
    _factor("adjust_contrast", contrast_factor)
    if _kind("adjust_contrast", img):
        return images.adjust_contrast(img, contrast_factor)
    return pillow.enhance(img, "Contrast", contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """0 gives black and white, 1 the image, 2 twice its saturation."""
    _factor("adjust_saturation", saturation_factor)
    if not _kind("adjust_saturation", img):
        return pillow.enhance(img, "Color", saturation_factor)
    return img if get_dimensions(img)[0] == 1 else images.blend(img, images.luma(img), saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """The hues turned by a part of the colour circle, from -0.5 to 0.5."""
    if not -0.5 <= hue_factor <= 0.5 or math.isnan(hue_factor):
        raise ValueError(f"adjust_hue: hue_factor must be from -0.5 to 0.5, got {hue_factor}")
    return (images if _kind("adjust_hue", img) else pillow).adjust_hue(img, hue_factor)
