"""Reading IDX files: every data type and compression, and every kind of damage."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pytest

from chainrule.utils.idx import DTYPES, read_idx

pytestmark = pytest.mark.host


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    """An IDX file that holds ``array``."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(DTYPES[code]).tobytes()


@pytest.mark.parametrize("compress", [False, True], ids=["raw", "gzip"])
@pytest.mark.parametrize("code", DTYPES, ids=[dtype.name for dtype in DTYPES.values()])
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (1, 1, 1, 1), (0,), (0, 28, 28)], ids=str)
def test_round_trip(tmp_path: Path, code: int, shape: tuple[int, ...], compress: bool) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(DTYPES[code].newbyteorder("="))
    content = idx(array, code)
    path = tmp_path / "array"  # the name says nothing about the compression
    path.write_bytes(gzip.compress(content) if compress else content)
    for read in (read_idx(path), read_idx(str(path))):
        assert read.dtype == array.dtype
        assert read.dtype.isnative
        assert read.flags.writeable
        np.testing.assert_array_equal(read, array, strict=True)


def test_big_endian_values_as_written_in_the_format() -> None:
    content = bytes([0, 0, 0x0B, 1, 0, 0, 0, 2, 0x01, 0x02, 0xFF, 0xFE])
    np.testing.assert_array_equal(read_idx(io.BytesIO(content)), np.array([0x0102, -2], np.int16), strict=True)


def test_an_open_file_is_read_from_where_it_stands_and_stays_open(tmp_path: Path) -> None:
    array = np.arange(6).reshape(2, 3).astype(np.uint8)
    for content in (idx(array), gzip.compress(idx(array))):
        (tmp_path / "f").write_bytes(b"front" + content)
        with open(tmp_path / "f", "rb") as file:
            file.seek(5)
            np.testing.assert_array_equal(read_idx(file), array)
            assert not file.closed


def test_data_larger_than_one_piece() -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, 1 << 20), np.uint8)
    np.testing.assert_array_equal(read_idx(io.BytesIO(gzip.compress(idx(array), 1))), array)


@pytest.mark.parametrize("length", range(18))
def test_a_file_cut_anywhere_is_truncated(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut-idx2-ubyte"
    path.write_bytes(idx(np.arange(6).reshape(2, 3))[:length])
    with pytest.raises(ValueError, match="truncated file: expected .*, got") as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_the_message_for_missing_data_has_the_numbers() -> None:
    with pytest.raises(ValueError, match=r"expected 6 bytes of data for shape \(2, 3\), got 4"):
        read_idx(io.BytesIO(idx(np.arange(6).reshape(2, 3))[:-2]))


@pytest.mark.parametrize("length", [3, 12, -9, -8, -4, -1])
def test_a_gzip_file_cut_anywhere_is_truncated(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.random.default_rng(0).integers(0, 256, 500)))[:length])
    with pytest.raises(ValueError, match="truncated or damaged gzip file") as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_a_damaged_gzip_file() -> None:
    content = bytearray(gzip.compress(idx(np.random.default_rng(0).integers(0, 256, 500))))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(ValueError, match="damaged gzip file"):
        read_idx(io.BytesIO(content))


@pytest.mark.parametrize("magic", [b"\x89PNG", b"\0\0\x07\1", b"\0\0\x08\0", b"\0\0\x08\x41", b"\1\0\x08\1", b"<htm"])
def test_wrong_magic_number(magic: bytes) -> None:
    with pytest.raises(ValueError, match=rf"no IDX file: expected .* got {magic.hex(' ')}"):
        read_idx(io.BytesIO(magic + bytes(100)))


def test_bytes_after_the_array() -> None:
    for content in (idx(np.arange(4)) + b"\0", gzip.compress(idx(np.arange(4)) + b"\0")):
        with pytest.raises(ValueError, match="expected the file to end after 4 bytes of data, got more"):
            read_idx(io.BytesIO(content))


def test_an_absurd_size_is_refused_before_memory_is_taken() -> None:
    header = struct.pack(">BBBB3I", 0, 0, 0x0E, 3, *(3 * [2**32 - 1]))
    with pytest.raises(ValueError, match=r"claims an array of shape \(4294967295, .*expected at most 4294967296"):
        read_idx(io.BytesIO(header))
    # and a size below the limit takes no more memory than the file gives
    header = struct.pack(">BBBB1I", 0, 0, 0x08, 1, 2**32 - 1)
    with pytest.raises(ValueError, match="expected 4294967295 bytes .* got 3"):
        read_idx(io.BytesIO(header + b"abc"))


def test_the_size_limit_can_be_chosen() -> None:
    with pytest.raises(ValueError, match="expected at most 3"):
        read_idx(io.BytesIO(idx(np.arange(4))), max_bytes=3)
    assert read_idx(io.BytesIO(idx(np.arange(4))), max_bytes=4).shape == (4,)


def test_sizes_that_numpy_cannot_hold() -> None:
    # no bytes of data, but a shape whose other sizes overflow an index
    header = struct.pack(">BBBB4I", 0, 0, 0x08, 4, 0, *(3 * [2**32 - 1]))
    with pytest.raises(ValueError, match=r"claims an array of shape \(0, 4294967295"):
        read_idx(io.BytesIO(header))


def test_a_file_in_text_mode(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(idx(np.arange(4)))
    with open(tmp_path / "f", encoding="latin-1") as file, pytest.raises(TypeError, match="binary mode"):
        read_idx(file)  # type: ignore[arg-type]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path / "nowhere")
