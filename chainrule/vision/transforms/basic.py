"""Transforms that combine others, and those between kinds of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import chainrule as cr
from chainrule import nn
from chainrule.autograd.tensor import Tensor
from chainrule.vision.transforms import functional as F


def uniform(low: float = 0.0, high: float = 1.0) -> float:
    """A random number, from the default generator."""
    return low + (high - low) * float(cr.rand(1, dtype=cr.float64, device="cpu").item())


def integer(low: int, high: int) -> int:
    """A random integer from ``low`` to ``high``, including both."""
    return int(cr.randint(low, high + 1, (1,), device="cpu").item())


class Compose:
    """Transforms one after another.

    Example:
        >>> import numpy as np
        >>> from chainrule.vision import transforms
        >>> transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
        >>> transform(np.array([[0, 255]], np.uint8))
        tensor([[[-1.,  1.]]])
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "Compose(" + "".join(f"\n    {transform}" for transform in self.transforms) + "\n)"


class ToTensor:
    """A PIL image or an array (H, W, C) of bytes to a float tensor (C, H, W) from 0 to 1; see ``functional.to_tensor``.

    Example:
        >>> import numpy as np
        >>> from chainrule.vision import transforms
        >>> transforms.ToTensor()(np.zeros((4, 5, 3), np.uint8)).shape
        (3, 4, 5)
    """

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor:
    """A PIL image to a tensor (C, H, W) of the same values."""

    def __call__(self, pic: Any) -> Tensor:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return "PILToTensor()"


class ToPILImage:
    """A tensor (C, H, W) or an array (H, W, C) to a PIL image.

    Args:
        mode: Pillow's name of the kind of image (default: by channels and dtype).
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return "ToPILImage(" + (f"mode={self.mode}" if self.mode is not None else "") + ")"


class ConvertImageDtype(nn.Module):
    """Tensors to another dtype with the range of values scaled, black and white staying what they are.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision import transforms
        >>> transforms.ConvertImageDtype(cr.float32)(cr.tensor([[0, 255]], dtype=cr.uint8))
        tensor([[0., 1.]])
    """

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        return F.convert_image_dtype(image, self.dtype)


class Normalize(nn.Module):
    """``(x - mean) / std`` for each channel of floating-point tensors (..., C, H, W).

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision import transforms
        >>> transforms.Normalize(mean=[1.0], std=[2.0])(cr.tensor([[[3.0, 1.0]]]))
        tensor([[[1., 0.]]])
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor: Tensor) -> Tensor:
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class Lambda:
    """A function as a transform. Worker processes need one that can be pickled, which a ``lambda`` cannot.

    Example:
        >>> from chainrule.vision import transforms
        >>> transforms.Lambda(abs)(-3)
        3
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Lambda: lambd must be callable, got {type(lambd).__name__}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"


class RandomTransforms:
    """Base of what chooses among transforms."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError(f"{type(self).__name__}: transforms must be a sequence, got {type(transforms).__name__}")
        self.transforms = transforms

    def __repr__(self) -> str:
        return f"{type(self).__name__}(" + "".join(f"\n    {transform}" for transform in self.transforms) + "\n)"


class RandomApply(nn.Module):
    """All of the transforms with probability ``p``, or none of them.

    Example:
        >>> from chainrule.vision import transforms
        >>> transforms.RandomApply([transforms.Lambda(abs)], p=0.0)(-3)
        -3
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        super().__init__()
        self.transforms = transforms
        self.p = p

    def forward(self, img: Any) -> Any:
        if self.p < uniform():
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return f"RandomApply(\n    p={self.p}" + "".join(f"\n    {t}" for t in self.transforms) + "\n)"


class RandomChoice(RandomTransforms):
    """One of the transforms, chosen with the probabilities (or weights) ``p``, by default equal ones."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        if p is not None and len(p) != len(transforms):
            raise ValueError(f"RandomChoice: p must have one weight for each of {len(transforms)} transforms, got {p}")
        self.p = p

    def __call__(self, img: Any) -> Any:
        if self.p is None:
            return self.transforms[integer(0, len(self.transforms) - 1)](img)
        weights = cr.tensor(list(self.p), dtype=cr.float64, device="cpu")
        return self.transforms[int(cr.multinomial(weights, 1).item())](img)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"


class RandomOrder(RandomTransforms):
    """All of the transforms in random order."""

    def __call__(self, img: Any) -> Any:
        for i in cr.randperm(len(self.transforms), device="cpu").tolist():
            img = self.transforms[i](img)
        return img
