"""What image data sets share: their transforms, and images that are rows of one array."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import chainrule as cr
from chainrule.utils.data import Dataset
from chainrule.vision.transforms import Compose, Normalize, ToTensor
from chainrule.vision.transforms.pillow import pillow

Transform = Callable[[Any], Any]


class VisionDataset(Dataset[Any]):
    """Base of image data sets.

    Args:
        root: the folder with the data.
        transforms: of image and target together, or instead of it:
        transform, target_transform: of the image, and of the target.

    Raises ValueError where both kinds are given.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transforms: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError(f"{type(self).__name__}: pass transforms, or transform and target_transform, not both")
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        self.transforms = transforms
        self.transform = transform
        self.target_transform = target_transform

    def _transformed(self, image: Any, target: Any) -> tuple[Any, Any]:
        if self.transforms is not None:
            return self.transforms(image, target)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def extra_repr(self) -> str:
        """Lines that a subclass adds to what is printed."""
        return ""

    def __repr__(self) -> str:
        lines = [f"Number of datapoints: {len(self)}"]  # type: ignore[arg-type]
        if self.root is not None:
            lines.append(f"Root location: {self.root}")
        lines += self.extra_repr().splitlines()
        if self.transforms is not None:
            lines.append(repr(self.transforms))
        elif self.transform is not None or self.target_transform is not None:
            # torchvision's form: what follows the first line is not indented with it
            standard = ["StandardTransform"]
            for name, transform in (("Transform", self.transform), ("Target transform", self.target_transform)):
                if transform is not None:
                    first, *more = repr(transform).splitlines()
                    standard += [f"{name}: {first}", *[" " * (len(name) + 2) + line for line in more]]
            lines.append("\n".join(standard))
        return "\n".join([f"Dataset {type(self).__name__}", *[f"    {line}" for line in lines]])


class ImageArrays(VisionDataset):
    """Images that lie in memory. A sample is a PIL image, or what the transforms make of it, and its target.

    A batch whose images are only made into tensors and normalized is made at once, without PIL images.
    """

    classes: ClassVar[Sequence[str]]

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class."""
        return {name: i for i, name in enumerate(self.classes)}

    def _pixels(self, index: Any) -> np.ndarray:
        """The image at an index as uint8 (H, W) or (H, W, C); several, for an array of numbers."""
        raise NotImplementedError

    def _target(self, index: int) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = pillow(type(self).__name__).fromarray(self._pixels(index))
        return self._transformed(image, self._target(index))

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, Any]]:
        """The samples at the given numbers."""
        steps: Sequence[Any] = self.transform.transforms if type(self.transform) is Compose else [self.transform]
        kinds = [type(step) for step in steps]
        own = type(self).__getitem__ is ImageArrays.__getitem__ and self.transforms is None
        if not own or not indices or kinds not in ([ToTensor], [ToTensor, Normalize]):
            return [self[i] for i in indices]
        pixels = self._pixels(np.asarray(indices, dtype=np.int64))
        pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
        batch = _floats(pixels)
        for step in steps[1:]:
            batch = step(batch)
        targets: list[Any] = [self._target(i) for i in indices]
        if self.target_transform is not None:
            targets = [self.target_transform(target) for target in targets]
        return list(zip(batch.unbind(0), targets, strict=True))


def _floats(pixels: np.ndarray) -> Any:
    """Bytes as floats from 0 to 1: what ToTensor does."""
    dtype = cr.get_default_dtype()
    if dtype in (cr.float32, cr.float64):
        return cr.tensor(np.divide(pixels, 255, dtype=np.float32 if dtype == cr.float32 else np.float64, order="C"))
    return cr.tensor(np.ascontiguousarray(pixels)).to(dtype) / 255


def folders(root: Any, *below: str, shared: str) -> list[Path]:
    """Where to look for data: below ``root``, in it, and in the folder for all data sets, CHAINRULE_DATA."""
    found = [Path(root, *part.split("/")) for part in below] + [Path(root)]
    common = os.environ.get("CHAINRULE_DATA")
    return [*found, Path(common, shared)] if common else found
