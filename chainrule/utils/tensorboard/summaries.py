"""What an event says: a summary of one tagged value. The numbers of the fields are those of TensorBoard's protos."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from chainrule.autograd.tensor import Tensor
from chainrule.utils.tensorboard.protobuf import data, double, doubles, integer, single

_STRING = 7  # TensorFlow's DT_STRING


def to_numpy(caller: str, value: Any) -> Any:
    """A NumPy array of a tensor, an array or numbers.

    Raises:
        TypeError: it is none of these.

    Example:
        >>> to_numpy("f", [1, 2])
        array([1, 2])
    """
    array = value.numpy(force=True) if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind == "V":  # bfloat16 and its kin
        array = array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{caller}: expected a tensor, an array or numbers, got {type(value).__name__}")
    return array


def summary(tag: str, content: bytes, metadata: bytes = b"") -> bytes:
    """The event field for one tagged value.

    Example:
        >>> summary("a", single(2, 1.0))
        b'*\\n\\n\\x08\\n\\x01a\\x15\\x00\\x00\\x80?'
    """
    value = data(1, tag) + content + (data(9, metadata) if metadata else b"")
    return data(5, data(1, value))


def plugin(name: str, content: bytes = b"") -> bytes:
    """The metadata that says which plugin shows a value.

    Example:
        >>> plugin("text")
        b'\\n\\x08\\n\\x04text\\x12\\x00'
    """
    return data(1, data(1, name) + data(2, content))


def scalar(tag: str, value: Any) -> bytes:
    """One number.

    Raises:
        ValueError: there are more, or fewer.

    Example:
        >>> len(scalar("loss", 0.5))
        15
    """
    array = to_numpy("add_scalar", value)
    if array.size != 1:
        raise ValueError(f"add_scalar: expected one number for {tag!r}, got shape {array.shape}")
    return summary(tag, single(2, float(array.reshape(-1)[0])))


def text(tag: str, string: str) -> bytes:
    """A text, which is shown as Markdown.

    Example:
        >>> b"hello" in text("note", "hello")
        True
    """
    shape = data(2, integer(1, 1))
    tensor = integer(1, _STRING) + data(2, shape) + data(8, string)
    return summary(f"{tag}/text_summary", data(8, tensor), plugin("text"))


# ---- histograms -----------------------------------------------------------------------------------------------------


def default_bins() -> Any:
    """TensorFlow's edges: from 1e-12 to 1e20 each 1.1 times the last, the same below 0, and 0.

    Example:
        >>> bool((np.diff(default_bins()) > 0).all())
        True
    """
    count = int(np.log(1e32) / np.log(1.1)) + 1
    positive = 1e-12 * 1.1 ** np.arange(count)
    return np.concatenate([-positive[::-1], [0.0], positive])


def histogram(tag: str, values: Any, bins: Any = "tensorflow") -> bytes:
    """How often which values come.

    Args:
        bins: edges, a number of bins, or a rule of ``numpy.histogram``.

    Raises:
        ValueError: there are no values, or one is not finite.

    Example:
        >>> len(histogram("weights", [0.0, 1.0])) > 0
        True
    """
    array = to_numpy("add_histogram", values).astype(np.float64).reshape(-1)
    if not array.size:
        raise ValueError(f"add_histogram: there are no values for {tag!r}")
    if not np.isfinite(array).all():
        raise ValueError(f"add_histogram: a value for {tag!r} is not finite")
    edges = default_bins() if isinstance(bins, str) and bins == "tensorflow" else bins
    counts, limits = np.histogram(array, bins=edges)
    if not counts.any():
        raise ValueError(f"add_histogram: no value for {tag!r} lies between the edges of the bins")
    filled = np.flatnonzero(counts)
    first, last = int(filled[0]), int(filled[-1])
    # a bucket has an upper limit only: an empty one before the first says where that begins
    uppers, kept = limits[first : last + 2], [0.0, *counts[first : last + 1]]
    content = (
        double(1, array.min())
        + double(2, array.max())
        + double(3, array.size)
        + double(4, array.sum())
        + double(5, np.dot(array, array))
        + doubles(6, uppers)
        + doubles(7, kept)
    )
    return summary(tag, data(5, content))


# ---- images ---------------------------------------------------------------------------------------------------------


def png(pixels: Any) -> bytes:
    """A PNG file of uint8 pixels (height, width, channels): grey, grey and alpha, RGB or RGBA.

    Example:
        >>> png(np.zeros((2, 2, 3), dtype=np.uint8))[:4]
        b'\\x89PNG'
    """
    height, width, channels = pixels.shape
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    rows = np.zeros((height, 1 + width * channels), dtype=np.uint8)  # each row starts with its filter: none
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(rows.tobytes())),
            chunk(b"IEND", b""),
        ]
    )


def as_pixels(caller: str, image: Any, dataformats: str) -> Any:
    """uint8 pixels (height, width, channels) of an image, or of a grid of images (eight in a row).

    Floating-point values from 0 to 1 become 0 to 255, integers stay; what is beyond is cut.

    Raises:
        ValueError: the letters of ``dataformats`` do not fit the shape, or there are not 1 to 4 channels.

    Example:
        >>> as_pixels("add_image", np.ones((1, 2, 3)), "CHW").shape
        (2, 3, 1)
    """
    array = to_numpy(caller, image)
    letters = dataformats.upper()
    if len(letters) != array.ndim or len(set(letters)) != len(letters) or not set("HW") <= set(letters) <= set("NCHW"):
        raise ValueError(f"{caller}: dataformats {dataformats!r} does not fit an image of shape {array.shape}")
    for letter in "NC":
        if letter not in letters:
            array, letters = array[None], letter + letters
    array = array.transpose([letters.index(letter) for letter in "NHWC"])
    n, height, width, channels = array.shape
    if channels not in (1, 2, 3, 4) or not array.size:
        raise ValueError(f"{caller}: expected 1 to 4 channels and at least one pixel, got shape {np.shape(image)}")
    if array.dtype.kind == "f":
        array = np.nan_to_num(array, nan=0.0) * 255.0
    elif array.dtype.kind == "b":
        array = array * 255
    array = np.clip(array, 0, 255).astype(np.uint8)
    columns = min(n, 8)
    rows = -(-n // columns)
    grid = np.zeros((rows * columns, height, width, channels), dtype=np.uint8)
    grid[:n] = array
    grid = grid.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(grid.reshape(rows * height, columns * width, channels))


def image(tag: str, pixels: Any) -> bytes:
    """A picture of uint8 pixels (height, width, channels).

    Example:
        >>> b"PNG" in image("digit", np.zeros((2, 2, 1), dtype=np.uint8))
        True
    """
    height, width, channels = pixels.shape
    content = integer(1, height) + integer(2, width) + integer(3, channels) + data(4, png(pixels))
    return summary(tag, data(4, content))


# ---- hyperparameters ------------------------------------------------------------------------------------------------


def _value(name: str, setting: Any) -> tuple[int, bytes]:
    """The type of a setting for TensorBoard, and the setting as a ``google.protobuf.Value``."""
    if isinstance(setting, (bool, np.bool_)):
        return 2, integer(4, int(setting))
    if isinstance(setting, str):
        return 1, data(3, setting)
    if setting is None:
        return 0, integer(1, 0)
    array = to_numpy(f"add_hparams: hparam_dict[{name!r}]", setting)
    if array.size != 1:
        raise ValueError(f"add_hparams: hparam_dict[{name!r}] must be one value, got shape {array.shape}")
    return 3, double(2, float(array.reshape(-1)[0]))


def hparams(settings: dict[str, Any], metrics: list[str], choices: dict[str, list[Any]] | None = None) -> list[bytes]:
    """The three summaries that TensorBoard wants of a run: what is compared, this run's settings, that it succeeded.

    Raises:
        TypeError, ValueError: a setting is neither a number, a bool, a string nor None.

    Example:
        >>> len(hparams({"lr": 0.1}, ["accuracy"]))
        3
    """
    infos, values = b"", b""
    for name, setting in settings.items():
        kind, value = _value(name, setting)
        allowed = (choices or {}).get(name)
        domain = b"" if allowed is None else data(5, b"".join(data(1, _value(name, v)[1]) for v in allowed))
        infos += data(4, data(1, name) + integer(4, kind) + domain)
        values += data(1, data(1, name) + data(2, value))
    experiment = infos + b"".join(data(5, data(1, data(2, metric))) for metric in metrics)
    contents = [("experiment", data(2, experiment)), ("session_start_info", data(3, values)),
                ("session_end_info", data(4, integer(1, 1)))]  # fmt: skip
    return [summary(f"_hparams_/{name}", b"", plugin("hparams", content)) for name, content in contents]
