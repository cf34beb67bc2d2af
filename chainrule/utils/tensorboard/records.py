"""Event files: records with checksums, as TensorFlow writes them."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from itertools import count
from pathlib import Path

from chainrule.utils.tensorboard import protobuf


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # the Castagnoli polynomial, reflected
        table.append(byte)
    return table


_TABLE = _crc_table()
_numbers = count()


def crc32c(data: bytes) -> int:
    """The CRC-32C checksum (RFC 3720, appendix B.4).

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """The checksum as it is stored: rotated by 15 bits, plus a constant.

    Example:
        >>> hex(masked(0))
        '0xa282ead8'
    """
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(payload: bytes) -> bytes:
    """A record: the length, its checksum, the payload, its checksum.

    Example:
        >>> len(record(b"abc"))
        19
    """
    length = struct.pack("<Q", len(payload))
    return b"".join(
        [
            length,
            struct.pack("<I", masked(crc32c(length))),
            payload,
            struct.pack("<I", masked(crc32c(payload))),
        ]
    )


class EventFile:
    """An event file in a folder, which is made; a new one for each object.

    Args:
        folder: where.
        suffix: the end of the file's name.
        flush_seconds: what was written reaches the disk at least so often, whenever more is written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = EventFile(folder)
        ...     file.close()
        ...     file.path.name.startswith("events.out.tfevents.")
        True
    """

    def __init__(self, folder: str | os.PathLike[str], suffix: str = "", flush_seconds: float = 120.0) -> None:
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self.path = place / (name + suffix)
        self.flush_seconds = flush_seconds
        self._lock = threading.Lock()
        self._flushed = time.monotonic()
        self._file = self.path.open("xb")
        self.write(protobuf.data(3, "brain.Event:2"))

    def write(self, what: bytes, step: int | None = None, walltime: float | None = None) -> None:
        """Add an event with these fields (``what``) at a step.

        Raises:
            ValueError: the file is closed.
        """
        event = protobuf.double(1, time.time() if walltime is None else walltime)
        if step is not None:
            event += protobuf.integer(2, step)
        line = record(event + what)
        with self._lock:
            if self._file.closed:
                raise ValueError(f"{self.path}: the event file is closed")
            self._file.write(line)
            if time.monotonic() - self._flushed > self.flush_seconds:
                self._flush()

    def _flush(self) -> None:
        self._file.flush()
        self._flushed = time.monotonic()

    def flush(self) -> None:
        """Write everything to the disk."""
        with self._lock:
            if not self._file.closed:
                self._flush()

    def close(self) -> None:
        """Write everything to the disk and end."""
        with self._lock:
            self._file.close()

    def __del__(self) -> None:
        # programs often end without a close(): what is buffered still reaches the disk
        if hasattr(self, "_file"):
            self._file.close()
