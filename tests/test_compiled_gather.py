"""Compiled reading and writing by an index along one axis: any axis, dtype, memory, number of threads; bad indices."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import compiled, pool

pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(
        not compiled.enabled(), reason="Numba is not installed or switched off (pip install 'chainrule[fast]')"
    ),
]
#: shape, axis, elements of the index along the axis
CASES = [((40, 30), 0, 17), ((40, 30), 1, 50), ((5, 6, 20), 1, 9), ((5, 6, 20), 2, 3), ((2, 3, 4, 5), 1, 2)]


@pytest.fixture
def indexing(monkeypatch):
    """The module, working in many parts on arrays of any size; the number of threads is set back."""
    monkeypatch.setattr(compiled, "worth", 0)
    backend = cr.device("cpu").backend
    compiled.load(backend, "indexing")
    from chainrule.backends.compiled import indexing

    monkeypatch.setattr(indexing, "SLOW", 32)
    before = pool.get_num_threads()
    yield indexing
    pool.set_num_threads(before)


def of_all_threads(compute):
    """The result, which is the same for any number of threads."""
    results = []
    for threads in (1, 2, 3):
        pool.set_num_threads(threads)
        results.append(compute())
        np.testing.assert_array_equal(results[-1], results[0])
    return results[0]


def given(shape, axis, count, dtype):
    rng = np.random.default_rng(0)
    lengths = tuple([count if d == axis else n for d, n in enumerate(shape)])
    x, src = ((rng.standard_normal(s) * 50).astype(dtype) for s in (shape, lengths))
    return x, rng.integers(0, shape[axis], lengths), src


def added(start, index, src, axis):
    out = start.copy()
    places = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    places[axis] = index
    np.add.at(out, tuple(places), src)
    return out


@pytest.mark.parametrize(
    ("shape", "axis", "count", "dtype"),
    [*[(*case, np.float32) for case in CASES], (*CASES[1], np.int64), (*CASES[2], np.float64)],
)
@pytest.mark.parametrize("turned", [False, True])
def test_values(indexing, shape, axis, count, dtype, turned):
    xp = cr.device("cpu").xp
    x, index, src = given(shape, axis, count, dtype)
    if turned:
        x, index, src = np.asfortranarray(x), np.asfortranarray(index), np.broadcast_to(dtype(2), index.shape)
    read = of_all_threads(lambda: indexing._gathered(x, index, axis=axis))
    np.testing.assert_array_equal(read, np.take_along_axis(x, index, axis), strict=True)
    wanted = added(x, index, src, axis)
    bound = {"rtol": 1e-5, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-12}
    got = of_all_threads(lambda: xp.scatter_add(x, index, src, axis=axis))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, wanted, **bound)
    wanted = added(np.zeros(shape, dtype), index, src, axis)
    got = of_all_threads(lambda: xp.gather_back(src, index, shape=shape, axis=axis))
    np.testing.assert_allclose(got, wanted, **bound)
    wanted = x.copy()
    np.put_along_axis(wanted, index, src, axis)
    got = of_all_threads(lambda: xp.scatter_put(x, index, src, axis=axis))
    np.testing.assert_array_equal(got, wanted, strict=True)


@pytest.mark.parametrize("wrong", [-100, 100])
@pytest.mark.parametrize(("shape", "axis", "count"), CASES)
def test_an_index_out_of_bounds_is_left_to_the_plain_kernel(indexing, shape, axis, count, wrong):
    x, index, src = given(shape, axis, count, np.float32)
    index.reshape(-1)[-1] = wrong
    assert indexing._gathered(x, index, axis=axis) is NotImplemented
    for base in (x, None):
        result = indexing._written(base, x.shape, src, index, axis, np.dtype(np.float32), True)
        assert result is NotImplemented


def test_memory_that_cannot_be_written_to(indexing):
    x, index, _ = given(*CASES[1], np.float32)
    x.flags.writeable = index.flags.writeable = False
    np.testing.assert_array_equal(indexing._gathered(x, index, axis=1), np.take_along_axis(x, index, 1))


def test_signed_zeros_and_nan_are_kept(indexing):
    x = np.array([[-0.0, np.nan], [1.0, -0.0]], np.float32)
    index = np.zeros((2, 1), np.int64)
    got = indexing._written(x, x.shape, np.float32([[-0.0], [-0.0]]), index, 1, np.dtype(np.uint32), False)
    assert NotImplemented is not got
    assert np.signbit(got).tolist() == [[True, np.signbit(np.float32(np.nan))], [True, True]]
    assert np.isnan(got[0, 1])
