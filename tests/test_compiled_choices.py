"""The compiled choices, limits and running sums, and rows added in place: any shape, order, number of threads."""

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
XP = cr.device("cpu").xp
NUMBERS = [np.float32, np.float64, np.int32, np.int64]


@pytest.fixture(autouse=True)
def everything_compiled(monkeypatch):
    """However small an array is; in many parts; the number of threads is set back."""
    monkeypatch.setattr(compiled, "worth", 0)
    for module in ("choices", "indexing"):
        compiled.load(cr.device("cpu").backend, module)
    from chainrule.backends import cpu_choices
    from chainrule.backends.compiled import choices, indexing

    monkeypatch.setattr(choices, "_PART", 100)
    monkeypatch.setattr(cpu_choices, "_PART", 100)
    monkeypatch.setattr(cpu_choices, "_SHARED", 200)
    monkeypatch.setattr(indexing, "_PART", 64)
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


def kernel(module, name):
    """The compiled function itself: NotImplemented shows."""
    import importlib

    return getattr(importlib.import_module(f"chainrule.backends.compiled.{module}"), name)


def of_all_threads(compute):
    """The result, which is the same for any number of threads."""
    results = []
    for threads in (1, 2, 3):
        pool.set_num_threads(threads)
        results.append(compute())
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)
    return results[0]


def numbers(rng, shape, dtype):
    return (rng.standard_normal(shape) * 10).astype(dtype)


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("shape", [(7,), (20, 33), (3, 4, 5, 6), (1, 1), (9, 1, 4)])
def test_where(shape, dtype):
    rng = np.random.default_rng(0)
    x, y, condition = numbers(rng, shape, dtype), numbers(rng, shape, dtype), rng.random(shape) < 0.5
    one = np.asarray(numbers(rng, (), dtype))
    for a, b in ((x, y), (one, y), (x, one.reshape((1,) * len(shape))), (one, one.copy()), (one[()], y), (x, x)):
        got = of_all_threads(lambda a=a, b=b: kernel("choices", "_where")(condition, a, b))
        np.testing.assert_array_equal(got, np.where(condition, a, b))
        assert got.dtype == dtype and not any(np.shares_memory(got, v) for v in (x, y))


@pytest.mark.parametrize("number", [0.5, 2, -0.0])
def test_where_takes_numbers_of_python(number):
    x = np.random.default_rng(0).standard_normal((30, 30)).astype(np.float32)
    for pair in ((x, number), (number, x)):
        got = kernel("choices", "_where")(x > 0, *pair)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, np.where(x > 0, *pair))


def test_where_keeps_memory_order_and_special_values():
    rng = np.random.default_rng(0)
    x = numbers(rng, (2, 8, 8, 3), np.float32).transpose(0, 3, 1, 2)
    y = np.zeros_like(x)
    x[0, 0, 0, :4] = np.nan, np.inf, -np.inf, -0.0
    got = kernel("choices", "_where")(x != 1, x, y)
    wanted = np.where(x != 1, x, y)
    assert got.strides == wanted.strides == x.strides
    np.testing.assert_array_equal(np.signbit(got), np.signbit(wanted))
    np.testing.assert_array_equal(got, wanted)


def test_where_of_spread_and_read_only_arrays():
    rng = np.random.default_rng(0)
    condition, x = rng.random((40, 30)) < 0.5, numbers(rng, (40, 30), np.float32)
    spread = np.broadcast_to(np.float32(3), (40, 30))
    rows = np.broadcast_to(x[0], (40, 30))
    for a in (condition, x):
        a.flags.writeable = False
    for pair in ((x, spread), (spread, x), (rows, x), (x[::-1], x.T.reshape(40, 30))):
        np.testing.assert_array_equal(kernel("choices", "_where")(condition, *pair), np.where(condition, *pair))


@pytest.mark.parametrize(
    "arguments",
    [
        (np.ones((3, 1), bool), np.ones((3, 2)), np.ones((3, 2))),
        (np.ones(2, bool), np.ones((1, 1)), np.ones(2)),
        (np.ones(2, bool), np.ones(2, np.float32), np.ones(2)),
        (np.ones(2, bool), np.ones(2, np.float32), np.float64(1)),
        (np.ones(2, bool), np.ones(2, np.int64), 1.5),
        (np.ones(2, int), np.ones(2), np.ones(2)),
        (np.ones(2, bool),),
    ],
    ids=str,
)
def test_where_leaves_the_rest_to_numpy(arguments):
    assert kernel("choices", "_where")(*arguments) is NotImplemented
    for got, wanted in zip(XP.where(*arguments), np.where(*arguments), strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("limits", [{"min": -1.0}, {"max": 2}, {"min": -1, "max": 2.5}, {"min": 3, "max": 1}])
def test_clip(limits, dtype):
    x = numbers(np.random.default_rng(0), (40, 30), dtype)
    x[0, :3] = np.nan, np.inf, -np.inf
    wanted = x
    if "min" in limits:
        wanted = np.maximum(wanted, limits["min"])
    if "max" in limits:
        wanted = np.minimum(wanted, limits["max"])
    for a, w in ((x, wanted), (x.T, wanted.T)):
        got = of_all_threads(lambda a=a: kernel("choices", "_clip")(a, **limits))
        np.testing.assert_array_equal(got, w)
        assert got.dtype == dtype and not np.shares_memory(got, x)


def test_clip_leaves_the_rest_to_numpy():
    clip = kernel("choices", "_clip")
    assert clip(np.arange(9), min=2) is NotImplemented
    assert clip(np.ones(9), min=float("nan")) is NotImplemented
    assert np.isnan(cr.ones(9).clamp(min=float("nan")).numpy()).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "axis"), [((9,), 0), ((37, 21), 1), ((37, 21), -1), ((5, 2, 6), 2), ((30, 70), 0), ((1, 64), 0)]
)
def test_running_sums(shape, axis, dtype):
    x = numbers(np.random.default_rng(0), shape, dtype)
    got = of_all_threads(lambda: kernel("choices", "_cumulative_sum")(x, axis=axis))
    wanted = np.cumsum(x, axis, dtype=np.float64)
    bound = 2e-6 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(got, wanted, rtol=0, atol=bound * np.abs(wanted).max())
    assert got.dtype == dtype and got.shape == shape


def test_running_sums_carry_nan_and_leave_the_rest_to_numpy():
    x = np.ones((6, 5), np.float32)
    x[1, 2] = np.nan
    np.testing.assert_array_equal(kernel("choices", "_cumulative_sum")(x, axis=1), np.cumsum(x, 1))
    for a, axis in ((x.T, 0), (np.ones((6, 5), np.int64), 0), (np.ones((3, 4, 5)), 1)):
        assert kernel("choices", "_cumulative_sum")(a, axis=axis) is NotImplemented
        np.testing.assert_array_equal(XP.cumulative_sum(a, axis=axis), np.cumsum(a, axis))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("width", [1, 3, 4, 64, 1500])
def test_rows_added_in_place(width, dtype):
    rng = np.random.default_rng(0)
    table, block = numbers(rng, (11, width), dtype), numbers(rng, (90, width), dtype)
    rows = rng.integers(0, 11, 90)
    rows[:30] = 4  # one row gets more than its share

    def added():
        result = table.copy()
        assert kernel("indexing", "_rows_added")(result, rows, block) is None
        return result

    wanted = table.astype(np.float64)
    np.add.at(wanted, rows, block)
    tolerance = 2e-6 * np.abs(wanted).max() if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(of_all_threads(added), wanted, rtol=0, atol=tolerance)


def test_gradients_go_through():
    x = cr.randn(9, 7, dtype=cr.float64, requires_grad=True)
    mask = cr.randn(9, 7) > 0
    cr.autograd.gradcheck(lambda x: cr.where(mask, x.clamp(-0.5, 0.7), x * 2).cumsum(1).masked_fill(mask, 3.0), (x,))


def test_what_only_the_plain_functions_know():
    """The namespace is that of the Array API: its other arguments, and positions, are for NumPy."""
    x = np.random.default_rng(0).standard_normal(20_000)
    np.testing.assert_array_equal(XP.clip(x, -0.5, 0.5), np.clip(x, -0.5, 0.5))
    np.testing.assert_array_equal(XP.clip(x, None, 0.5), np.minimum(x, 0.5))
    np.testing.assert_allclose(XP.cumulative_sum(x), np.cumsum(x))
    np.testing.assert_allclose(XP.cumulative_sum(x, axis=0, include_initial=True)[1:], np.cumsum(x))
    assert XP.cumulative_sum(x, axis=0, dtype=np.float32).dtype == np.float32
    assert XP.cumulative_sum(x[:0], axis=0).shape == (0,)
    for axis in (1, -2):
        with pytest.raises(IndexError):  # NumPy's AxisError
            XP.cumulative_sum(x, axis=axis)
