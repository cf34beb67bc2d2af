"""The safetensors container: a header length, a JSON header, and the bytes of the tensors one after the other.

https://github.com/huggingface/safetensors#format. Reading trusts nothing: every number in the header is checked against
the size of the file before anything is read or allocated.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

#: the format's names of dtypes; it has none for complex128
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_), "U8": np.dtype(np.uint8), "I8": np.dtype(np.int8), "U16": np.dtype(np.uint16),
    "I16": np.dtype(np.int16), "U32": np.dtype(np.uint32), "I32": np.dtype(np.int32), "U64": np.dtype(np.uint64),
    "I64": np.dtype(np.int64), "F16": np.dtype(np.float16), "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32), "F64": np.dtype(np.float64), "C64": np.dtype(np.complex64),
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}

#: the longest header that is read; safetensors' own limit
LONGEST_HEADER = 100_000_000
#: and the most values in its JSON: as Python objects they take up to thirty times the bytes of the text
MOST_VALUES = 5_000_000
METADATA = "__metadata__"


class Broken(RuntimeError):
    """The file is no such container; the message says what is wrong with it."""


class Entry(NamedTuple):
    """Where one array lies, in bytes from the beginning of the data."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    stop: int


class Source(NamedTuple):
    """An array to be written; ``array()`` gives it when its turn comes, so that one at a time is fetched."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    array: Callable[[], np.ndarray]


# ---- writing ---------------------------------------------------------------------------------------------------------


def write(file: BinaryIO, sources: Mapping[str, Source], metadata: Mapping[str, str] | None) -> None:
    """Write arrays and metadata; wide dtypes first, so that each array is aligned."""
    _need_little_endian()
    order = sorted(sources, key=lambda name: (-sources[name].dtype.itemsize, name))
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    position = 0
    for name in order:
        source = sources[name]
        stop = position + math.prod(source.shape) * source.dtype.itemsize
        header[name] = {"dtype": NAMES[source.dtype], "shape": list(source.shape), "data_offsets": [position, stop]}
        position = stop
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > LONGEST_HEADER or _values(text) > MOST_VALUES:
        raise ValueError(
            f"the names and values beside the tensors are {_values(text):,} values in {len(text):,} bytes, more than "
            f"the {MOST_VALUES:,} and {LONGEST_HEADER:,} that can be read; make tensors or arrays of lists of numbers"
        )
    file.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        # the bytes of any dtype, 0-d arrays too
        file.write(np.ascontiguousarray(sources[name].array()).reshape(-1).view(np.uint8).data)


def _need_little_endian() -> None:
    if sys.byteorder != "little":
        raise RuntimeError("the format is little-endian, and this machine is not")


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_header(file: BinaryIO, size: int) -> tuple[dict[str, Entry], dict[str, str], int]:
    """The entries in the order of their bytes, the metadata, and where the data begins; ``size`` bytes are there.

    Raises Broken for everything that is not as the format has it.
    """
    _need_little_endian()
    if size < 8:
        raise Broken(f"it has {size} bytes, too few for a header")
    length = int.from_bytes(read_exactly(file, 8), "little")
    if length > size - 8:
        raise Broken(f"its header claims {length:,} bytes, {size - 8:,} are there")
    if length > LONGEST_HEADER:
        raise Broken(f"its header claims {length:,} bytes, more than the {LONGEST_HEADER:,} that are allowed")
    header = parse(read_exactly(file, length), "header")
    if not isinstance(header, dict):
        raise Broken("its header is no JSON object")
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise Broken(f"{METADATA} in its header must map strings to strings")
    entries = {name: _entry(name, value) for name, value in header.items()}
    ordered = sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop))
    _check_places(ordered, size - 8 - length)
    return dict(ordered), metadata, 8 + length


def parse(text: bytes | str, what: str) -> Any:
    """JSON without what JSON only tolerates: keys given twice, NaN, and nesting beyond all need."""
    if _values(text.encode() if isinstance(text, str) else text) > MOST_VALUES:
        raise Broken(f"its {what} has more than the {MOST_VALUES:,} values that are allowed")
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise Broken(f"its {what} is nested too deeply") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise Broken(f"its {what} is no JSON: {error}") from None


def _values(text: bytes) -> int:
    """How many values there are in a JSON text, at most."""
    return text.count(b",") + text.count(b"[") + text.count(b"{") + 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} stands there twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _entry(name: str, value: Any) -> Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise Broken(f"the entry {name!r:.80} must have dtype, shape and data_offsets")
    kind, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(kind, str) or kind not in DTYPES:
        raise Broken(f"the dtype of {name!r:.80} must be one of {', '.join(DTYPES)}, got {kind!r:.80}")
    if not is_sizes(shape) or len(shape) > 64:
        raise Broken(f"the shape of {name!r:.80} must be a list of at most 64 sizes, got {shape!r:.80}")
    if not is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise Broken(f"the data_offsets of {name!r:.80} must be [start, end], got {offsets!r:.80}")
    dtype = DTYPES[kind]
    needed = math.prod(shape) * dtype.itemsize
    if needed != offsets[1] - offsets[0]:
        raise Broken(f"{name!r:.80} takes {needed:,} bytes, its data_offsets give it {offsets[1] - offsets[0]:,}")
    if math.prod([n for n in shape if n]) * dtype.itemsize >= 1 << 63:  # an empty array that NumPy could not make
        raise Broken(f"the shape of {name!r:.80} is beyond all sizes: {shape!r:.80}")
    return Entry(dtype, tuple(shape), *offsets)


def is_sizes(value: Any) -> bool:
    """Whether it is a list of whole numbers that are not negative."""
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _check_places(ordered: Iterable[tuple[str, Entry]], size: int) -> None:
    """The entries must lie side by side and fill the data."""
    position = 0
    for name, entry in ordered:
        if entry.start != position:
            what = "overlaps the one before it" if entry.start < position else "leaves a gap before it"
            raise Broken(f"the data of {name!r:.80} (bytes {entry.start:,} to {entry.stop:,}) {what}")
        position = entry.stop
    if position != size:
        what = "it was cut short" if position > size else "something else follows"
        raise Broken(f"its tensors take {position:,} bytes, {size:,} are there: {what}")


def read_array(file: BinaryIO, entry: Entry) -> np.ndarray:
    """The next array of the file, in memory of its own."""
    array = np.empty(entry.shape, entry.dtype)
    _fill(file, array.reshape(-1).view(np.uint8).data)
    return _checked(array)


def mapped_array(memory: np.ndarray, entry: Entry) -> np.ndarray:
    """An array on a part of the file that is mapped into memory."""
    array = memory[entry.start : entry.stop].view(entry.dtype).reshape(entry.shape)
    return _checked(array)


def _checked(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
        raise Broken("a bool tensor has bytes other than 0 and 1")
    return array


def read_exactly(file: BinaryIO, count: int) -> bytes:
    """``count`` bytes, or Broken."""
    memory = bytearray(count)
    _fill(file, memoryview(memory))
    return bytes(memory)


def _fill(file: BinaryIO, memory: memoryview) -> None:
    """Read into memory; a file may give fewer bytes at a time than it is asked for."""
    done, into = 0, getattr(file, "readinto", None)
    while done < len(memory):
        if into is not None:
            got = into(memory[done:])
        else:
            piece = file.read(len(memory) - done)
            got = len(piece)
            memory[done : done + got] = piece
        if not got:
            raise Broken(f"it ended {len(memory) - done:,} bytes early")
        done += got
