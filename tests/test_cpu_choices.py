"""``where`` of large arrays without Numba, beside NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import compiled, pool
from chainrule.backends.cpu_choices import _choose, chosen

pytestmark = pytest.mark.host
SHAPE = (40, 20, 31)


def numbers(dtype, shape=SHAPE):
    values = np.random.default_rng(0).standard_normal(shape) * 100
    values.reshape(-1)[:5] = [np.nan, np.inf, -np.inf, -0.0, 0.0] if np.dtype(dtype).kind == "f" else 1
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint32"])
@pytest.mark.parametrize("second", ["array", "zero", "number", "everywhere", "transposed", "python"])
def test_it_is_what_numpy_gives(dtype, second):
    x = numbers(dtype)
    y = {
        "array": x[::-1].copy(),
        "zero": np.zeros((), dtype),
        "number": np.asarray(7, dtype),
        "everywhere": np.broadcast_to(np.asarray(3, dtype), SHAPE),
        "transposed": np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0),
        "python": 0.5 if np.dtype(dtype).kind == "f" else 5,
    }[second]
    condition = np.random.default_rng(1).random(SHAPE) > 0.4
    for pair in ((x, y), (y, x), (y, y)):
        for c in (condition, np.ascontiguousarray(condition.transpose(1, 2, 0)).transpose(2, 0, 1)):
            wanted, got = np.where(c, *pair), chosen(_choose, c, *pair)
            if got is NotImplemented:
                assert second == "python"
                continue
            assert got.dtype == wanted.dtype and got.shape == wanted.shape
            np.testing.assert_array_equal(got.view(f"V{got.itemsize}"), wanted.view(f"V{got.itemsize}"))


def test_threads_and_blocks():
    x, y = numbers("float32", (1 << 20) + 77), np.zeros(1, np.float32)
    condition = x > 3
    before = pool.get_num_threads()
    try:
        for threads in (1, 3):
            pool.set_num_threads(threads)
            np.testing.assert_array_equal(chosen(_choose, condition, x, y), np.where(condition, x, y))
    finally:
        pool.set_num_threads(before)


@pytest.mark.parametrize(
    ("condition", "x", "y"),
    [
        (np.ones(9000, np.int64), np.ones(9000), np.ones(9000)),
        (np.ones(9000, bool), np.ones(9000), np.ones(9000, np.float32)),
        (np.ones(9000, bool), np.ones((2, 9000)), np.ones(9000)),
        (np.ones(9000, bool), np.ones(9000, np.float16), np.ones(9000, np.float16)),
        (np.ones(9000, bool), np.ones(9000, ">f4"), np.ones(9000, ">f4")),
        (np.ones((2, 9000), bool)[:, ::2], np.ones((2, 4500)), np.ones((2, 4500))),
    ],
)
def test_the_rest_is_left_to_numpy(condition, x, y):
    assert chosen(_choose, condition, x, y) is NotImplemented


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("limits", [(-1, 1), (-0.3, None), (None, 2.5), (2, -2), (float("nan"), 1), (-1, float("nan"))])
def test_limits(dtype, limits):
    backend = cr.device("cpu").backend
    clip = backend.plain_kernels["clip"] if compiled.available else backend.xp.clip
    low, high = limits
    for x in (numbers(dtype, (200, 200)), numbers(dtype, (200, 200))[:, ::-1].T):
        wanted = x if low is None else np.maximum(x, low)
        wanted = wanted if high is None else np.minimum(wanted, high)
        got = clip(x, min=low, max=high)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
