"""The binary files of CIFAR-10 and CIFAR-100: label bytes, then 32x32 red, green and blue bytes, image after image."""

from __future__ import annotations

import gzip
import os
import zlib
from typing import IO, Any

import numpy as np

_PIXELS = 3 * 32 * 32
_CHUNK = 1 << 20


def read_cifar(
    path: str | os.PathLike[str], *, labels: int = 1, classes: int = 10, max_bytes: int = 1 << 30
) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of CIFAR's binary version, raw or compressed with gzip (told from its content).

    Args:
        path: the file.
        labels: bytes before each image: 1 in CIFAR-10; 2 in CIFAR-100, of which the last one (the fine label) is given.
        classes: how many there are; a label must be less.
        max_bytes: refuse more, so that a damaged or hostile file cannot fill the memory.

    Returns:
        uint8 images of shape (n, 3, 32, 32), and n uint8 labels.

    Raises:
        ValueError: the file is empty, truncated or damaged, or something else; Python's pickles, of which CIFAR's other
            version consists, are never loaded, since loading them can run code.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "batch.bin")
        ...     _ = path.write_bytes(bytes([7, *bytes(3072)]))
        ...     images, numbers = read_cifar(path)
        >>> images.shape, numbers
        ((1, 3, 32, 32), array([7], dtype=uint8))

    Reference: https://www.cs.toronto.edu/~kriz/cifar.html
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        head = file.read(2)
        file.seek(0)
        if head == b"\x1f\x8b":
            try:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    data = _all(unpacked, name, max_bytes)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise ValueError(
                    f"read_cifar: {name}: truncated or damaged gzip file ({error}); fetch the file again"
                ) from error
        else:
            data = _all(file, name, max_bytes)
    record = labels + _PIXELS
    if data[:1] == b"\x80" and data[-1:] == b".":
        raise ValueError(
            f"read_cifar: {name} looks like a Python pickle, which can run code when it is loaded; expected the binary "
            "version (cifar-10-binary.tar.gz)"
        )
    if not data or len(data) % record:
        raise ValueError(
            f"read_cifar: {name}: expected images of {record} bytes each, got {len(data)} bytes in all; the file is "
            "truncated, or no binary CIFAR file"
        )
    table = np.frombuffer(data, np.uint8).reshape(-1, record)
    numbers = table[:, labels - 1].copy()
    if int(numbers.max()) >= classes:
        where = int(np.argmax(numbers >= classes))
        raise ValueError(
            f"read_cifar: {name}: expected labels from 0 to {classes - 1}, got {numbers[where]} for image {where}; "
            "this is no binary CIFAR file"
        )
    return table[:, labels:].reshape(-1, 3, 32, 32).copy(), numbers


def _all(file: IO[bytes] | Any, name: str, max_bytes: int) -> bytearray:
    """All that is left, read piece by piece: a small compressed file may stand for a huge one."""
    data = bytearray()
    while piece := file.read(_CHUNK):
        data += piece
        if len(data) > max_bytes:
            raise ValueError(f"read_cifar: {name}: expected at most {max_bytes} bytes; pass a larger max_bytes")
    return data
