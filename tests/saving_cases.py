"""What the tests of cr.save and cr.load share: comparisons, a model, files made by hand, a pickle that does harm."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

ALL_DTYPES = [
    cr.bool, cr.uint8, cr.uint16, cr.uint32, cr.uint64, cr.int8, cr.int16, cr.int32, cr.int64,
    cr.float16, cr.bfloat16, cr.float32, cr.float64, cr.complex64, cr.complex128,
]  # fmt: skip


def there_and_back(value, **options):
    file = io.BytesIO()
    cr.save(value, file)
    file.seek(0)
    return cr.load(file, **options)


def same(a, b):
    """Equal, of the same types, all the way down."""
    assert type(a) is type(b)
    if isinstance(a, cr.Tensor):
        assert (a.dtype, a.shape, a.device, a.requires_grad) == (b.dtype, b.shape, b.device, b.requires_grad)
        np.testing.assert_array_equal(a.numpy(force=True), b.numpy(force=True))
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        assert [type(k) for k in a] == [type(k) for k in b]
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert a == b or (a != a and b != b)


def make_model():
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def with_header(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def raw(tensors, table=None, value=None):
    """A file by hand: tensors are (dtype, shape, bytes)."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    if table is not None:
        text = json.dumps({"version": 1, "value": {"tensor": 0} if value is None else value, **table})
        header["__metadata__"] = {"chainrule": text}
    return with_header(header, data)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))
