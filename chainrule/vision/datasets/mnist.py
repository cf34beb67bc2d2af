"""MNIST and Fashion-MNIST: 60,000 training and 10,000 test images, 28x28, grey, in 10 classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import chainrule as cr
from chainrule.utils.download import download as fetch
from chainrule.utils.idx import read_idx
from chainrule.utils.mnist import VARIANTS, _check
from chainrule.vision.datasets.base import ImageArrays, Transform, folders


class MNIST(ImageArrays):
    """Handwritten digits (LeCun, Cortes, Burges: http://yann.lecun.com/exdb/mnist/).

    The four IDX files, raw or ``.gz``, are looked for in ``root/MNIST/raw`` (where torchvision and ``download`` put
    them), in ``root``, and in ``mnist`` below the folder that the environment variable CHAINRULE_DATA names.

    Args:
        root: the folder with the data.
        train: the training images, not those for tests.
        transform, target_transform: of the PIL image, and of the label.
        download: fetch the files into ``root/MNIST/raw`` where they are found nowhere.

    Attributes:
        data: uint8 images (N, 28, 28). targets: int64 labels (N). classes: the names of the labels.

    Raises:
        RuntimeError: the files are not there. ValueError: a file is damaged, or does not fit the others.

    Example:
        >>> import pathlib, tempfile
        >>> from chainrule.vision import datasets, transforms
        >>> folder = tempfile.TemporaryDirectory()  # one black image, of a 7
        >>> images = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(784)
        >>> _ = pathlib.Path(folder.name, "train-images-idx3-ubyte").write_bytes(images)
        >>> _ = pathlib.Path(folder.name, "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]))
        >>> image, label = datasets.MNIST(folder.name, transform=transforms.ToTensor())[0]
        >>> image.shape, label
        ((1, 28, 28), 7)
        >>> folder.cleanup()
    """

    classes: ClassVar[Sequence[str]] = [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight",
        "9 - nine",
    ]  # fmt: skip
    _variant: ClassVar[str] = "mnist"

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        split = "train" if train else "t10k"
        names = [f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte"]
        paths = self._find(names)
        if paths is None and download:
            source = VARIANTS[self._variant]
            paths = [fetch(f"{n}.gz", source.mirrors, self.raw_folder, md5=source.md5[n]) for n in names]
        if paths is None:
            raise RuntimeError(
                f"{type(self).__name__}: no {names[0]} and {names[1]} (or .gz) in {self.raw_folder} or {self.root}; "
                "pass download=True to fetch them"
            )
        images, labels = read_idx(paths[0]), read_idx(paths[1])
        _check(images, paths[0], labels, paths[1])
        self.data = cr.tensor(images, device="cpu")
        self.targets = cr.tensor(labels.astype(np.int64), device="cpu")

    @property
    def raw_folder(self) -> str:
        """Where torchvision keeps the files."""
        return str(Path(str(self.root), type(self).__name__, "raw"))

    def _find(self, names: list[str]) -> list[Path] | None:
        for folder in folders(self.root, f"{type(self).__name__}/raw", shared=self._variant):
            found = [[path for path in (folder / n, folder / f"{n}.gz") if path.is_file()] for n in names]
            if all(found):
                return [paths[0] for paths in found]
        return None

    def _pixels(self, index: Any) -> np.ndarray:
        return np.asarray(self.data.numpy()[index])

    def _target(self, index: int) -> int:
        return int(self.targets.numpy()[index])

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class FashionMNIST(MNIST):
    """Articles of clothing (Xiao, Rasul, Vollgraf: https://github.com/zalandoresearch/fashion-mnist).

    Arguments and attributes are those of :class:`MNIST`; the folders are ``FashionMNIST/raw`` and ``fashion``.
    """

    classes: ClassVar[Sequence[str]] = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ]  # fmt: skip
    _variant = "fashion"
