"""Folders of images, one folder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from chainrule.vision.datasets.base import Transform, VisionDataset
from chainrule.vision.transforms.pillow import pillow

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def pil_loader(path: str) -> Any:
    """An image file as an RGB image, whatever it holds. Raises ValueError where it cannot be read as one."""
    image = pillow("ImageFolder")
    with open(path, "rb") as file:
        try:
            return image.open(file).convert("RGB")
        except (OSError, SyntaxError, ValueError, image.DecompressionBombError) as error:
            raise ValueError(f"{path}: no image that can be read, or a truncated one ({error})") from error


class DatasetFolder(VisionDataset):
    """Files in ``root/class/...``, one folder below ``root`` for each class, numbered by name.

    Args:
        root: the folder.
        loader: gives the sample of a path.
        extensions: endings of the files that are samples, or instead of it:
        is_valid_file: whether a path is a sample.
        transform, target_transform: of the sample, and of the class number.
        allow_empty: take a class without files.

    Attributes:
        classes: the names. class_to_idx: the number of each. samples: (path, class number). targets: the numbers.

    Raises:
        FileNotFoundError: there is no folder below ``root``, or one has no files that count. ValueError: both or none
            of ``extensions`` and ``is_valid_file`` are given.

    Example:
        >>> import os, pathlib, tempfile
        >>> from chainrule.vision.datasets import DatasetFolder
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("cat", "dog"):
        ...         pathlib.Path(root, name).mkdir()
        ...         _ = pathlib.Path(root, name, "1.txt").write_text(f"a {name}")
        ...     DatasetFolder(root, os.path.getsize, extensions=(".txt",))[1]
        (5, 1)
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        loader: Callable[[str], Any],
        extensions: Sequence[str] | str | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.classes, self.class_to_idx = self.find_classes(str(self.root))
        self.loader = loader
        self.extensions = extensions
        self.samples = self.make_dataset(str(self.root), self.class_to_idx, extensions, is_valid_file, allow_empty)
        self.targets = [target for _, target in self.samples]

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        """The names of the folders in a directory, sorted, and their numbers; a subclass may choose others."""
        names = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
        if not names:
            raise FileNotFoundError(f"{type(self).__name__}: expected a folder for each class in {directory}, got none")
        return names, {name: i for i, name in enumerate(names)}

    @staticmethod
    def make_dataset(
        directory: str,
        class_to_idx: dict[str, int],
        extensions: Sequence[str] | str | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """The paths of all samples with their class numbers, sorted."""
        if (extensions is None) == (is_valid_file is None):
            raise ValueError("DatasetFolder: pass either extensions or is_valid_file")
        endings = (extensions,) if isinstance(extensions, str) else tuple(extensions or ())
        samples, empty = [], []
        for name in sorted(class_to_idx):
            found = []
            for folder, _, files in sorted(os.walk(os.path.join(directory, name), followlinks=True)):
                for file in sorted(files):
                    path = os.path.join(folder, file)
                    if is_valid_file(path) if is_valid_file is not None else path.lower().endswith(endings):
                        found.append((path, class_to_idx[name]))
            samples += found
            if not found:
                empty.append(name)
        if empty and not allow_empty:
            counted = f"files that end in {', '.join(endings)}" if endings else "files that is_valid_file takes"
            raise FileNotFoundError(
                f"DatasetFolder: no {counted} in the folders of {', '.join(empty)} in {directory}; "
                "pass allow_empty=True to take such classes"
            )
        return samples

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self._transformed(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Images in ``root/class/...``, one folder below ``root`` for each class; samples are RGB images and class numbers.

    Args:
        root: the folder.
        transform, target_transform: of the image, and of the class number.
        loader: gives the image of a path (default: as an RGB PIL image).
        is_valid_file: whether a path is an image (default: by its ending).
        allow_empty: take a class without images.

    Attributes:
        classes, class_to_idx, samples, targets: as in :class:`DatasetFolder`. imgs: the samples.

    Raises FileNotFoundError where there are no folders or images, and ValueError when a damaged image is read.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        loader: Callable[[str], Any] = pil_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(root, loader, extensions, transform, target_transform, is_valid_file, allow_empty)
        self.imgs = self.samples
