"""Compiled weighted reads, writes and products: shapes, dtypes, threads, and what they leave to the plain kernels."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import compiled, pool
from chainrule.backends.namespace import FORWARDS

pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(
        not compiled.enabled(), reason="Numba is not installed or switched off (pip install 'chainrule[fast]')"
    ),
]
XP = cr.device("cpu").xp


@pytest.fixture
def module(monkeypatch):
    """The kernels, working in many parts; the number of threads is set back."""
    from chainrule.backends.compiled import weighted_reads

    monkeypatch.setattr(weighted_reads, "SLOW", 32)
    before = pool.get_num_threads()
    yield weighted_reads
    pool.set_num_threads(before)


def problem(dtype, n=2, c=3, s=11, k=4, p=20):
    rng = np.random.default_rng(0)
    x, weights, y = (rng.standard_normal(shape).astype(dtype) for shape in ((n, c, s), (n, k, p), (n, c, p)))
    return x, weights, y, rng.integers(0, s, (n, k, p))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("turned", [False, True])
def test_values(module, dtype, turned):
    x, weights, y, index = problem(dtype)
    if turned:
        x, weights, y, index = np.asfortranarray(x), np.asfortranarray(weights), np.asfortranarray(y), index[..., ::-1]
    for name, arrays, given in (
        ("weighted_read", (x, weights, index), {}),
        ("weighted_write", (y, weights, index), {"size": 11}),
        ("weighted_write", (np.broadcast_to(dtype(2), y.shape), weights, index), {"size": 11}),
        ("products_read", (y, x, index), {}),
    ):
        wanted = FORWARDS[name](XP, *[a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays], **given)
        results = []
        for threads in (1, 2, 3):
            pool.set_num_threads(threads)
            results.append(getattr(module, name)(*arrays, **given))
            np.testing.assert_array_equal(results[-1], results[0])
        assert results[0].dtype == dtype and results[0].shape == wanted.shape
        np.testing.assert_allclose(results[0], wanted, atol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("wrong", [-1, 11])
def test_positions_that_are_not_there_are_left_to_the_plain_kernels(module, wrong):
    x, weights, y, index = problem(np.float32)
    index[1, 2, 3] = wrong
    assert module.weighted_read(x, weights, index) is NotImplemented
    assert module.weighted_write(y, weights, index, size=11) is NotImplemented
    assert module.products_read(y, x, index) is NotImplemented


def test_of_nothing_and_of_two_dtypes(module):
    x, weights, _, index = problem(np.float32)
    assert module.weighted_read(x[:0], weights[:0], index[:0]) is NotImplemented
    assert module.weighted_read(x.astype(np.float64), weights, index) is NotImplemented
