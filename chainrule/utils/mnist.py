"""MNIST and Fashion-MNIST as NumPy arrays, from a folder or from the network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chainrule.utils.download import default_cache_dir
from chainrule.utils.download import download as fetch
from chainrule.utils.idx import read_idx

_TRAIN_IMAGES = "train-images-idx3-ubyte"
_TRAIN_LABELS = "train-labels-idx1-ubyte"
_TEST_IMAGES = "t10k-images-idx3-ubyte"
_TEST_LABELS = "t10k-labels-idx1-ubyte"


class ImageSplits(NamedTuple):
    """Images and labels of the two splits of a data set."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


@dataclass(frozen=True)
class Source:
    """Where a variant is found: the folders that hold its files, and the MD5 digest of each ``.gz`` file."""

    mirrors: tuple[str, ...]
    md5: Mapping[str, str]


#: the variants that :func:`load_mnist` knows
VARIANTS: dict[str, Source] = {
    "mnist": Source(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            "https://storage.googleapis.com/cvdf-datasets/mnist",
        ),
        md5={
            _TRAIN_IMAGES: "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            _TRAIN_LABELS: "d53e105ee54ea40749a09fcbcd1e9432",
            _TEST_IMAGES: "9fb629c4189551a2d022fa330f9573f3",
            _TEST_LABELS: "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion": Source(
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        ),
        md5={
            _TRAIN_IMAGES: "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            _TRAIN_LABELS: "25c81989df183df01b3e8a0aad5dffbe",
            _TEST_IMAGES: "bef4ecab320f06d8554ea6380940ec79",
            _TEST_LABELS: "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
}


def load_mnist(
    folder: str | os.PathLike[str] | None = None, variant: str = "mnist", download: bool = True
) -> ImageSplits:
    """Load the 28x28 grey images of MNIST or Fashion-MNIST and their labels, all of them uint8.

    Args:
        folder: holds the four IDX files, raw or ``.gz``; they need no checksum. If None, the cache folder is used
            (``mnist`` or ``fashion`` below :func:`chainrule.utils.download.default_cache_dir`), with checksums.
        variant: ``"mnist"`` or ``"fashion"``; with ``folder``, only what error messages call the data.
        download: fetch what the cache does not hold.

    Returns ``(train_images, train_labels, test_images, test_labels)``: images of shape (60000, 28, 28) and
    (10000, 28, 28) for the published files, labels 0 to 9.

    Raises:
        FileNotFoundError: a file is missing, and may not be downloaded.
        ValueError: the variant is unknown, or a file is damaged or does not fit the others.
        chainrule.utils.download.DownloadError: no mirror gave a file.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:  # three black training images, two test images
        ...     for split, n in (("train", 3), ("t10k", 2)):
        ...         images = bytes([0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(n * 28 * 28)
        ...         labels = bytes([0, 0, 8, 1, 0, 0, 0, n, *range(n)])
        ...         _ = pathlib.Path(folder, f"{split}-images-idx3-ubyte").write_bytes(images)
        ...         _ = pathlib.Path(folder, f"{split}-labels-idx1-ubyte").write_bytes(labels)
        ...     digits = load_mnist(folder)
        >>> digits.train_images.shape, digits.test_labels
        ((3, 28, 28), array([0, 1], dtype=uint8))
    """
    if variant not in VARIANTS:
        raise ValueError(f"load_mnist: variant: expected one of {', '.join(map(repr, VARIANTS))}, got {variant!r}")
    names = (_TRAIN_IMAGES, _TRAIN_LABELS, _TEST_IMAGES, _TEST_LABELS)
    if folder is not None:
        paths = [_find(Path(folder), name) for name in names]
    else:
        paths = [_cached(VARIANTS[variant], variant, name, download) for name in names]
    arrays = [read_idx(path) for path in paths]
    for images, labels in ((0, 1), (2, 3)):
        _check(arrays[images], paths[images], arrays[labels], paths[labels])
    return ImageSplits(*arrays)


def _find(folder: Path, name: str) -> Path:
    # some archives write a dot before "idx"
    names = [f"{base}{suffix}" for base in (name, name.replace("-idx", ".idx")) for suffix in ("", ".gz")]
    for candidate in names:
        if (folder / candidate).is_file():
            return folder / candidate
    what = "which is no folder" if not folder.is_dir() else "where it is not"
    raise FileNotFoundError(
        f"load_mnist: expected one of {', '.join(names)} in {folder}, {what}; "
        "give the folder of the four IDX files, or leave it out to download them"
    )


def _cached(source: Source, variant: str, name: str, download: bool) -> Path:
    folder = default_cache_dir() / variant
    if not download and not (folder / f"{name}.gz").is_file():
        raise FileNotFoundError(
            f"load_mnist: {folder / name}.gz does not exist and download=False; "
            "allow the download, or pass the folder of the four IDX files"
        )
    # without mirrors, a cached file is still checked against its digest
    return fetch(f"{name}.gz", source.mirrors if download else (), folder, md5=source.md5[name])


def _check(images: np.ndarray, images_path: Path, labels: np.ndarray, labels_path: Path) -> None:
    """Raise a ValueError unless these can be the images and labels of one split."""
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"load_mnist: {images_path}: expected uint8 images of shape (n, 28, 28), got {images.dtype} {images.shape}"
        )
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise ValueError(
            f"load_mnist: {labels_path}: expected uint8 labels of shape (n,), got {labels.dtype} {labels.shape}"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"load_mnist: {labels_path}: expected {len(images)} labels, one for each image of {images_path.name}, "
            f"got {len(labels)}; the files belong to different splits"
        )
    if not len(labels):
        raise ValueError(f"load_mnist: {images_path}: expected at least one image, got none")
    if labels.max() > 9:
        raise ValueError(f"load_mnist: {labels_path}: expected labels from 0 to 9, got {labels.max()}")
