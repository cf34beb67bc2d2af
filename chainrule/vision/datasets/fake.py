"""Images of noise, for tests."""

from __future__ import annotations

from typing import Any

import chainrule as cr
from chainrule.vision.datasets.base import Transform, VisionDataset
from chainrule.vision.transforms import functional as F


class FakeData(VisionDataset):
    """Random images with random labels; sample i is always the same.

    Args:
        size: how many there are.
        image_size: channels, height and width.
        num_classes: labels are less than it.
        transform, target_transform: of the PIL image, and of the label.
        random_offset: gives other images.

    Example:
        >>> from chainrule.vision import datasets, transforms
        >>> image, label = datasets.FakeData(10, (3, 8, 8), transform=transforms.ToTensor())[0]
        >>> image.shape
        (3, 8, 8)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(None, transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not 0 <= index < self.size:
            raise IndexError(f"FakeData: index {index} is out of range for {self.size} images")
        source = cr.Generator().manual_seed(index + self.random_offset)
        noise = cr.randn(*self.image_size, generator=source, dtype=cr.float32, device="cpu")
        target = int(cr.randint(0, self.num_classes, (1,), generator=source, device="cpu").item())
        # clamped: what is below 0 and above 1 would wrap around as bytes
        return self._transformed(F.to_pil_image(noise.clamp(0, 1)), target)

    def __len__(self) -> int:
        return self.size
