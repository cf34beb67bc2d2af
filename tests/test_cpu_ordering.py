"""Stable orders on the CPU beside the declared forwards: ties, NaN, signed zeros, dtypes, numbers of threads."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import cpu_ordering, pool

pytestmark = pytest.mark.host
XP = cr.device("cpu").xp


@pytest.fixture(autouse=True)
def every_size(monkeypatch):
    monkeypatch.setattr(cpu_ordering, "_WORTH", 1)
    monkeypatch.setattr(cpu_ordering, "_PART", 32)
    yield
    pool.set_num_threads(2)


def order(x, axis, descending):
    x = x.astype(np.float32) if x.dtype.kind == "V" else x  # NumPy has no place for a NaN among bfloat16
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)


def arrays(dtype):
    rng = np.random.default_rng(0)
    kind = np.dtype(dtype).kind
    for shape in ((1,), (50,), (7, 40), (40, 7), (3, 1, 20), (2, 30, 3), (5, 1)):
        if kind == "b":
            yield rng.random(shape) < 0.5
        elif kind in "iu":
            yield rng.integers(0, 4, shape).astype(dtype)
            info = np.iinfo(dtype)
            wide = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
            wide.flat[0], wide.flat[-1] = info.max, info.min
            yield wide
        else:
            few = rng.integers(-2, 3, shape).astype(dtype)
            few[few == 0] = np.where(rng.random((few == 0).sum()) < 0.5, 0.0, -0.0).astype(dtype)
            yield few
            special = np.array([np.nan, -np.nan, np.inf, -np.inf, 1, -1, 0.0, -0.0, 1e-40], np.float64).astype(dtype)
            yield rng.choice(special, shape)
            yield (rng.standard_normal(shape) * 3).astype(dtype)


@pytest.mark.parametrize(
    "dtype",
    ["bool", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64",
     ml_dtypes.bfloat16],
)  # fmt: skip
@pytest.mark.parametrize("descending", [False, True])
def test_orders(dtype, descending):
    for x in arrays(dtype):
        kept = x.copy()
        for axis in range(x.ndim):
            wanted = order(x, axis, descending)
            n = x.shape[axis]
            for threads in (1, 3):
                pool.set_num_threads(threads)
                for given in (x, np.asfortranarray(x)):
                    got = XP.argsort(given, axis=axis, descending=descending)
                    assert got.dtype == np.int64 and got.flags.writeable
                    np.testing.assert_array_equal(got, wanted)
                    np.testing.assert_array_equal(XP.argsort(given, axis=axis - x.ndim, descending=descending), wanted)
                    for first, last in {(0, 1), (0, n), (n // 2, n // 2 + 1), (n // 3, n // 2 + 1), (n - 1, n), (1, 1)}:
                        part = XP.part_of_order(given, axis=axis, first=first, last=last, descending=descending)
                        np.testing.assert_array_equal(part, wanted.take(range(first, last), axis))
        assert x.tobytes() == kept.tobytes()


@pytest.mark.parametrize("skip_nan", [False, True])
def test_medians(skip_nan):
    name = "nanmedian" if skip_nan else "median"
    x = np.random.default_rng(1).integers(0, 9, (6, 41)).astype(np.float32)
    for values in (x, np.where(x == 3, np.nan, x).astype(np.float32)):
        found = getattr(cr, name)(cr.tensor(values), 1)
        lower = np.sort(values, axis=1)
        present = (values == values).sum(1)
        rank = (present - 1) // 2 if skip_nan else np.where(present < 41, 40, 20)
        np.testing.assert_array_equal(found.values.numpy(), lower[np.arange(6), rank])
        np.testing.assert_array_equal(found.values.numpy(), values[np.arange(6), found.indices.numpy()])


def test_an_axis_that_is_not_there():
    with pytest.raises(np.exceptions.AxisError):
        XP.argsort(np.zeros((2, 3)), axis=2)


def test_topk_and_kthvalue_agree_with_sort():
    x = cr.tensor(np.random.default_rng(2).integers(0, 20, (9, 60)).astype(np.float32), requires_grad=True)
    for largest in (False, True):
        full = x.sort(1, descending=largest)
        top = x.topk(7, 1, largest)
        assert top.values.equal(full.values[:, :7]) and top.indices.equal(full.indices[:, :7])
        assert x.topk(0, 1, largest).values.shape == (9, 0)
    third = x.kthvalue(3, 0)
    assert third.values.equal(x.sort(0).values[2]) and third.indices.equal(x.sort(0).indices[2])
    top.values.sum().backward()
    assert x.grad.sum().item() == 63 and x.grad.gather(1, top.indices).min().item() == 1
