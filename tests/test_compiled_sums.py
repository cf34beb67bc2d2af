"""Sums along any axes, which compiled loops take where the last axes are summed: as NumPy gives them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import compiled, cpu_elementwise, cpu_shortcuts, pool

pytestmark = pytest.mark.host
XP = cr.device("cpu").xp


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    """However small an array is; the number of threads is set back."""
    monkeypatch.setattr(cpu_shortcuts, "_LONG", 0)
    monkeypatch.setattr(cpu_elementwise, "_LONG", 1)
    if compiled.available:
        monkeypatch.setattr(compiled.module("reductions"), "QUICK", 64)
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("shape", [(7, 50), (3, 4, 5, 9), (2, 1, 100), (300,), (9, 1), (1, 5000), (0, 20), (20, 0)])
def test_over_any_axes(shape, dtype):
    x = (np.random.default_rng(0).standard_normal(shape) * 9).astype(dtype)
    for count in range(len(shape) + 1):
        for axes in itertools.combinations(range(-len(shape), 0), count):
            for axis, keepdims in itertools.product([axes, *axes[: count == 1]], (False, True)):
                wanted = np.add.reduce(x.astype(np.float64), axis, keepdims=keepdims)
                results = []
                for threads in (1, 3):
                    pool.set_num_threads(threads)
                    results.append(XP.sum(x, axis=axis, keepdims=keepdims))
                plain = np.add.reduce(x, axis, keepdims=keepdims)
                assert type(results[0]) is type(plain)
                assert results[0].dtype == plain.dtype and results[0].shape == plain.shape
                assert np.array_equal(*results)
                np.testing.assert_allclose(results[0], wanted, atol=2e-3 if dtype == np.float32 else 1e-11)


def test_special_values_and_memory_that_cannot_be_written_to():
    x = np.ones((4, 100), np.float32)
    x[0, 3], x[1, 5], x[2, 7], x[2, 8] = np.nan, np.inf, np.inf, -np.inf
    x.flags.writeable = False
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(XP.sum(x, axis=1), [np.nan, np.inf, np.nan, 100])


@pytest.mark.parametrize("axis", [2, -3, (0, 0), (1, -1), (0, 5)])
def test_wrong_axes_are_refused_as_by_numpy(axis):
    with pytest.raises(ValueError, match="axis"):
        XP.sum(np.zeros((20, 30)), axis=axis)


def test_a_mean_along_rows_and_its_gradient():
    x = cr.tensor(np.arange(200.0).reshape(4, 50), requires_grad=True)
    mean = x.mean(1)
    assert mean.tolist() == [24.5, 74.5, 124.5, 174.5]
    mean.sum().backward()
    assert (x.grad == 1 / 50).all()
