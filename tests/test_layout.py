"""Copies between memory orders: every kind of block, beside NumPy's own copy."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import compiled, layout, pool

pytestmark = pytest.mark.host
LARGE, BACKEND = cr.device("cpu").large, cr.device("cpu").backend

SHAPES = [
    ((9, 64, 32, 32), (0, 2, 3, 1)),  # rows a power of two apart
    ((9, 32, 32, 64), (0, 3, 1, 2)),
    ((20, 32, 30, 29), (0, 2, 3, 1)),
    ((700, 900), (1, 0)),  # one matrix, in parts
    ((1024, 1024), (1, 0)),
    ((1, 17, 40_000), (0, 2, 1)),
    ((3, 5, 60, 70, 11), (4, 0, 2, 3, 1)),  # more than three axes are left
    ((2, 3, 100_000), (0, 2, 1)),  # too narrow
    ((2, 64, 1024, 9), (0, 2, 1, 3)),  # the same innermost axis
    ((0, 4, 5), (0, 2, 1)),
    ((), ()),
]


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.skipif(not compiled.enabled(), reason="no Numba"))])
def fast(request, monkeypatch):
    monkeypatch.setattr(compiled, "available", request.param)


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "complex128"])
@pytest.mark.parametrize(("shape", "order"), SHAPES)
def test_copies(shape, order, dtype):
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    turned = x.transpose(order)
    kept = x.copy()
    got = layout.contiguous(turned)
    assert got.flags.c_contiguous and got.dtype == x.dtype
    np.testing.assert_array_equal(got, turned)
    np.testing.assert_array_equal(x, kept)
    back = layout.like(got, turned)
    assert back.strides == np.empty_like(turned).strides
    np.testing.assert_array_equal(back, turned)


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("view", [np.s_[:, :, ::-1], np.s_[:, ::2], np.s_[:, :, 3:-2], np.s_[1:]])
def test_views_with_gaps_and_turned_around(view):
    x = np.random.default_rng(0).standard_normal((12, 128, 600), dtype=np.float32)[view]
    out = np.full((x.shape[0], x.shape[2], x.shape[1]), np.nan, np.float32)
    layout.copy_to(out.transpose(0, 2, 1), x)
    np.testing.assert_array_equal(out, x.transpose(0, 2, 1))
    wide = np.zeros((x.shape[0], x.shape[2] + 3, x.shape[1] + 5), np.float32)
    layout.copy_to(wide[:, 1:-2, 2:-3].transpose(0, 2, 1), x)
    np.testing.assert_array_equal(wide[:, 1:-2, 2:-3], out)
    assert not wide[:, 0].any() and not wide[..., -3:].any()


@pytest.mark.usefixtures("fast")
def test_expanded_and_special_values():
    row = np.array([np.nan, -0.0, np.inf] * 300, np.float32)
    out = np.empty((900, 900), np.float32)
    layout.copy_to(out, np.broadcast_to(row[:, None], (900, 900)))
    np.testing.assert_array_equal(out.view(np.int32), np.broadcast_to(row[:, None], (900, 900)).copy().view(np.int32))
    layout.copy_to(out.T, np.broadcast_to(row, (900, 900)).copy())
    np.testing.assert_array_equal(out.view(np.int32), np.broadcast_to(row[:, None], (900, 900)).copy().view(np.int32))


def test_one_thread():
    x = np.random.default_rng(0).standard_normal((900, 1000))
    before = pool.get_num_threads()
    pool.set_num_threads(1)
    try:
        np.testing.assert_array_equal(layout.contiguous(x.T), x.T)
    finally:
        pool.set_num_threads(before)


def test_channels_last():
    x = np.random.default_rng(0).standard_normal((4, 32, 64, 64), dtype=np.float32)
    got = layout.channels_last(x)
    assert got.shape == x.shape and got.strides[1] == 4 and got.transpose(0, 2, 3, 1).flags.c_contiguous
    np.testing.assert_array_equal(got, x)
    assert layout.channels_last(got).base is got.base
    volume = x.reshape(4, 32, 16, 16, 16)
    np.testing.assert_array_equal(layout.channels_last(volume), volume)
    assert layout.contiguous(x) is x and layout.like(x, x) is x


def _in_order(x, order):
    """The same array, its dimensions in this order in memory."""
    return np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))


ORDERS = [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 2, 0), (1, 0, 2, 3), (0, 1, 3, 2)]


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("first", ORDERS)
@pytest.mark.parametrize("second", ORDERS)
@pytest.mark.parametrize(("shape", "dtype"), [((3, 64, 32, 32), "float32"), ((33, 20, 31, 28), "float64")])
def test_arithmetic_in_two_orders(shape, first, second, dtype):
    rng = np.random.default_rng(0)
    x, y = (_in_order(rng.standard_normal(shape).astype(dtype), order) for order in (first, second))
    kept = x.copy(), y.copy()
    for name in ("add", "divide"):
        wanted, got = getattr(np, name)(x, y), getattr(LARGE, name)(x, y)
        assert got.strides == wanted.strides and got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal((x, y), kept)
    wanted, total = x + y, x.copy("K")
    assert BACKEND.add(total, y, total) is total
    np.testing.assert_array_equal(total, wanted)


def test_a_sum_written_into_what_it_reads():
    x = np.random.default_rng(0).standard_normal((1024, 1024))
    wanted = x + x.T
    BACKEND.add(x, x.T, x)
    np.testing.assert_array_equal(x, wanted)


def test_gradients_in_two_orders_are_added_up():
    x = cr.tensor(np.random.default_rng(0).standard_normal((3, 64, 1024)), requires_grad=True)
    weights = [x.detach().transpose(1, 2).contiguous().transpose(1, 2) * i for i in (2, 3, 4)]
    ((x * 1).flatten() @ weights[0].flatten() + sum((x * w).sum() for w in weights)).backward()
    np.testing.assert_allclose(x.grad.numpy(), 11 * x.detach().numpy())


def test_arithmetic_that_numpy_does_itself():
    x = np.random.default_rng(0).standard_normal((9, 64, 1024), dtype=np.float32)
    turned = np.ascontiguousarray(x.transpose(0, 2, 1)).transpose(0, 2, 1)
    for y in (x.astype(np.float64), turned.astype(np.int32), x[:, :1], np.broadcast_to(x[:1], x.shape), x.T.T, x[::-1]):
        wanted, got = turned * y, LARGE.multiply(turned, y)
        assert got.strides == wanted.strides and got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
    with pytest.raises(ValueError, match="broadcast"):
        LARGE.add(x, turned[:, 1:3])
