"""The wire format of Protocol Buffers, as far as event files need it: a message is its fields one after the other.

A field is a key (its number and how its value is stored) and the value: integers as varints, floats in 4 or 8 bytes,
strings and messages with their length before them. See https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

_VARINT, _EIGHT_BYTES, _WITH_LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def varint(value: int) -> bytes:
    """Seven bits a byte, the low ones first; the top bit says that more follow.

    Example:
        >>> varint(300)
        b'\\xac\\x02'
    """
    value &= (1 << 64) - 1  # negative numbers are stored as 64-bit ones
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _key(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def integer(number: int, value: int) -> bytes:
    """An int, enum or bool field.

    Example:
        >>> integer(1, 150)
        b'\\x08\\x96\\x01'
    """
    return _key(number, _VARINT) + varint(int(value))


def double(number: int, value: float) -> bytes:
    """A float64 field.

    Example:
        >>> len(double(1, 0.5))
        9
    """
    return _key(number, _EIGHT_BYTES) + struct.pack("<d", value)


def single(number: int, value: float) -> bytes:
    """A float32 field.

    Example:
        >>> len(single(1, 0.5))
        5
    """
    return _key(number, _FOUR_BYTES) + struct.pack("<f", value)


def data(number: int, value: bytes | str) -> bytes:
    """A bytes or string field, or a message.

    Example:
        >>> data(2, "testing")
        b'\\x12\\x07testing'
    """
    raw = value.encode() if isinstance(value, str) else value
    return _key(number, _WITH_LENGTH) + varint(len(raw)) + raw


def doubles(number: int, values: Iterable[float]) -> bytes:
    """A packed list of float64.

    Example:
        >>> len(doubles(1, [0.5, 1.0]))
        18
    """
    numbers = list(values)
    return data(number, struct.pack(f"<{len(numbers)}d", *numbers))
