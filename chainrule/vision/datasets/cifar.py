"""CIFAR-10 and CIFAR-100: 50,000 training and 10,000 test images, 32x32, RGB, in 10 or 100 classes."""

from __future__ import annotations

import os
import tarfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from chainrule.utils.cifar import read_cifar
from chainrule.utils.download import download as fetch
from chainrule.vision.datasets.base import ImageArrays, Transform, folders

_SITE = "https://www.cs.toronto.edu/~kriz"


class CIFAR10(ImageArrays):
    """Photos of ten kinds of animals and vehicles (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html).

    The files of the binary version, raw or ``.gz``, are looked for in ``root/cifar-10-batches-bin``, in ``root``, and
    in ``cifar10`` below the folder that the environment variable CHAINRULE_DATA names. The version for Python is not
    read: it consists of pickles, and loading a pickle can run code.

    Args:
        root: the folder with the data.
        train: the training images, not those for tests.
        transform, target_transform: of the PIL image, and of the label.
        download: fetch the data where it is found nowhere.

    Attributes:
        data: uint8 images (N, 32, 32, 3), a NumPy array. targets: labels, a list. classes: the names of the labels.

    Raises:
        RuntimeError: the files are not there. ValueError: a file is damaged. Files that are missing beside others are
            warned of.

    Example:
        >>> import pathlib, tempfile
        >>> from chainrule.vision import datasets, transforms
        >>> with tempfile.TemporaryDirectory() as folder:  # one black image, of a ship
        ...     _ = pathlib.Path(folder, "test_batch.bin").write_bytes(bytes([8, *bytes(3072)]))
        ...     data = datasets.CIFAR10(folder, train=False, transform=transforms.ToTensor())
        >>> image, label = data[0]
        >>> image.shape, data.classes[label]
        ((3, 32, 32), 'ship')
    """

    base_folder: ClassVar[str] = "cifar-10-batches-bin"
    classes: ClassVar[Sequence[str]] = "airplane automobile bird cat deer dog frog horse ship truck".split()
    _archive: ClassVar[tuple[str, str]] = ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530")
    _shared: ClassVar[str] = "cifar10"
    _files: ClassVar[dict[bool, list[str]]] = {True: [f"data_batch_{i}" for i in range(1, 6)], False: ["test_batch"]}
    _format: ClassVar[dict[str, int]] = {"labels": 1, "classes": 10}

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
        paths = self._find()
        if not paths and download:
            self._download()
            paths = self._find()
        if not paths:
            raise RuntimeError(self._missing())
        wanted = self._files[train]
        if len(paths) < len(wanted):
            warnings.warn(
                f"{type(self).__name__}: found {len(paths)} of {len(wanted)} files in {paths[0].parent}: "
                f"{', '.join(path.name for path in paths)}",
                stacklevel=2,
            )
        parts = [read_cifar(path, **self._format) for path in paths]
        self.data = np.ascontiguousarray(np.concatenate([images for images, _ in parts]).transpose(0, 2, 3, 1))
        self.targets: list[int] = np.concatenate([labels for _, labels in parts]).tolist()

    def _find(self) -> list[Path]:
        for folder in folders(self.root, self.base_folder, shared=self._shared):
            found = []
            for name in self._files[self.train]:
                # parts of the data set are named test_batch_1000.bin for example
                exact = [folder / f"{name}{end}" for end in (".bin", ".bin.gz") if (folder / f"{name}{end}").is_file()]
                found += exact[:1] or sorted(p for p in folder.glob(f"{name}_*.bin*") if p.suffix in (".bin", ".gz"))
            if found:
                return found
        return []

    def _missing(self) -> str:
        text = (
            f"{type(self).__name__}: no {self._files[self.train][0]}.bin (or .bin.gz) in "
            f"{Path(str(self.root), self.base_folder)} or {self.root}; pass download=True to fetch the data"
        )
        pickled = Path(str(self.root), self.base_folder.replace("-bin", "-py"))
        if pickled.is_dir():
            text += (
                f". {pickled} has the version for Python: pickles, which can run code when they are loaded, and are "
                "not read"
            )
        return text

    def _download(self) -> None:
        """Fetch the archive, and take from it the files that are known."""
        name, digest = self._archive
        archive = fetch(name, [_SITE], str(self.root), md5=digest)
        target = Path(str(self.root), self.base_folder)
        target.mkdir(parents=True, exist_ok=True)
        names = {f"{n}.bin" for names in self._files.values() for n in names}
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                base = member.name.rpartition("/")[2]
                content = members.extractfile(member) if member.isreg() and base in names else None
                if content is not None:
                    (target / base).write_bytes(content.read())

    def _pixels(self, index: Any) -> np.ndarray:
        return np.asarray(self.data[index])

    def _target(self, index: int) -> int:
        return self.targets[index]

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """Photos in a hundred classes, alphabetically numbered; see :class:`CIFAR10`.

    The folders are ``cifar-100-binary`` and ``cifar100``, the files ``train.bin`` and ``test.bin``.
    """

    base_folder = "cifar-100-binary"
    classes = (
        "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can "
        "castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin "
        "elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster "
        "man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck "
        "pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk "
        "skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger "
        "tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
    ).split()
    _archive = ("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8")
    _shared = "cifar100"
    _files: ClassVar[dict[bool, list[str]]] = {True: ["train"], False: ["test"]}
    _format: ClassVar[dict[str, int]] = {"labels": 2, "classes": 100}
