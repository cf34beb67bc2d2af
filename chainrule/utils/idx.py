"""The IDX file format of the MNIST database: a few header bytes, then one big-endian array."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from typing import IO, Any, cast

import numpy as np

#: data type code (third byte of the file) -> dtype as stored; multi-byte numbers are big-endian
DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20


def read_idx(path_or_file: str | os.PathLike[str] | IO[bytes], *, max_bytes: int = 1 << 32) -> np.ndarray:
    """Read an IDX file, raw or compressed with gzip, into a NumPy array.

    Whether a file is compressed is told from its content, not from its name. The whole file is checked: nothing
    may be missing, and nothing may follow the array.

    Args:
        path_or_file: a path, or a seekable file opened in binary mode; it is read from its current position.
        max_bytes: refuse an array larger than this, so that a damaged header cannot fill the memory.

    Returns a writable array in the machine's byte order.

    Raises:
        ValueError: the file is no IDX file, is truncated or damaged, or holds more than one array.
        TypeError: the file was opened in text mode.

    Example:
        >>> import io
        >>> read_idx(io.BytesIO(bytes([0, 0, 0x08, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])))
        array([[1, 2, 3],
               [4, 5, 6]], dtype=uint8)

    Reference: the section on file formats at the end of http://yann.lecun.com/exdb/mnist/
    """
    if isinstance(path_or_file, str | os.PathLike):
        with open(path_or_file, "rb") as file:
            return _read_any(file, os.fspath(path_or_file), max_bytes)
    return _read_any(path_or_file, str(getattr(path_or_file, "name", path_or_file)), max_bytes)


def _read_any(file: IO[bytes], name: str, max_bytes: int) -> np.ndarray:
    start = file.tell()
    head = file.read(len(_GZIP_MAGIC))
    if not isinstance(head, bytes):
        raise TypeError(f"read_idx: {name}: expected a file opened in binary mode ('rb'), got one in text mode")
    file.seek(start)
    if head != _GZIP_MAGIC:
        return _read_raw(file, name, max_bytes)
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            return _read_raw(cast("IO[bytes]", unpacked), name, max_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"read_idx: {name}: truncated or damaged gzip file ({error}); fetch the file again") from error


def _read_raw(file: IO[bytes], name: str, max_bytes: int) -> np.ndarray:
    magic = _exactly(file, 4, name, "the 4 bytes of the magic number")
    if magic[:2] != b"\0\0" or magic[2] not in DTYPES or not 1 <= magic[3] <= 64:
        codes = ", ".join(f"{code:02x}" for code in DTYPES)
        raise ValueError(
            f"read_idx: {name}: no IDX file: expected a magic number 00 00, a data type ({codes}) and a number of "
            f"dimensions (01 to 40), got {magic.hex(' ')}"
        )
    dtype, ndim = DTYPES[magic[2]], magic[3]
    sizes = _exactly(file, 4 * ndim, name, f"the sizes of {ndim} dimensions")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    # sizes of 0 count as 1 here: NumPy has no array of shape (0, 2**32, 2**32) either
    claimed = math.prod(max(size, 1) for size in shape) * dtype.itemsize
    if claimed > max_bytes:
        raise ValueError(
            f"read_idx: {name}: the header claims an array of shape {shape}, {claimed} bytes; expected at most "
            f"{max_bytes}. The file is damaged, or pass a larger max_bytes"
        )
    nbytes = math.prod(shape) * dtype.itemsize
    data = _exactly(file, nbytes, name, f"{nbytes} bytes of data for shape {shape}")
    if file.read(1):
        raise ValueError(f"read_idx: {name}: expected the file to end after {nbytes} bytes of data, got more bytes")
    array: np.ndarray[Any, Any] = np.frombuffer(data, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _exactly(file: IO[bytes], count: int, name: str, what: str) -> bytearray:
    """``count`` bytes, read piece by piece: memory grows with the file, not with what its header claims."""
    data = bytearray()
    while len(data) < count:
        piece = file.read(min(_CHUNK, count - len(data)))
        if not piece:
            raise ValueError(
                f"read_idx: {name}: truncated file: expected {what}, got {len(data)}; fetch the file again"
            )
        data += piece
    return data
