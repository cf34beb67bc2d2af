"""Positions of extremes along any axis, as NumPy gives them: equal numbers, NaN, infinities, any dtype and order."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import cpu_extremes, pool

pytestmark = pytest.mark.host
XP = cr.device("cpu").xp


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    """However small an array is; in many parts; the number of threads is set back."""
    monkeypatch.setattr(cpu_extremes, "_WORTH", 0)
    monkeypatch.setattr(cpu_extremes, "_PART", 100)
    monkeypatch.setattr(cpu_extremes, "_SHORTEST", 2)
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.int32, np.uint8, np.bool_])
@pytest.mark.parametrize("shape", [(7, 9), (300, 5), (3, 4, 5, 6), (1, 70000, 2)])
def test_positions(shape, dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, shape).astype(dtype)
    given = [x]
    if x.dtype.kind == "f":
        special = x.copy()
        special[rng.random(shape) < 0.1] = np.nan
        special[rng.random(shape) < 0.1] = np.inf
        special[rng.random(shape) < 0.1] = -np.inf
        signed = np.where(rng.random(shape) < 0.5, dtype(0.0), dtype(-0.0))
        given += [special, signed, np.full(shape, dtype(np.nan)), np.full(shape, dtype(-np.inf))]
    given += [x[::-1], np.broadcast_to(x[:1], shape), np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)]
    for values in given:
        for axis in (None, *range(-len(shape), len(shape))):
            for name, keepdims in (("argmax", False), ("argmin", True)):
                wanted = getattr(np, name)(values, axis=axis, keepdims=keepdims)
                got = getattr(XP, name)(values, axis=axis, keepdims=keepdims)
                assert np.array_equal(got, wanted) and got.shape == wanted.shape and got.dtype == wanted.dtype


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads(threads):
    pool.set_num_threads(threads)
    x = np.random.default_rng(0).standard_normal((6, 30, 50)).astype(np.float32)
    for axis in (0, 1):
        np.testing.assert_array_equal(XP.argmax(x, axis=axis), x.argmax(axis))


def test_wrong_axes_are_refused_as_by_numpy():
    for axis in (2, -3):
        with pytest.raises(np.exceptions.AxisError):
            XP.argmax(np.zeros((3, 4)), axis=axis)


def test_max_along_the_first_dimension():
    x = cr.tensor([[1.0, 5.0, 2.0], [7.0, 5.0, 2.0]], requires_grad=True)
    values, indices = x.max(0)
    assert values.tolist() == [7.0, 5.0, 2.0] and indices.tolist() == [1, 0, 0]
    values.sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]
