"""Joining, padding and triangles in parts: as NumPy gives them, for any shape, memory order and number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import cpu_borders, pool

pytestmark = pytest.mark.host
XP = cr.device("cpu").xp
DTYPES = [np.float32, np.float64, np.int64, np.uint8]


@pytest.fixture(autouse=True, params=[1, 2, 3], ids=lambda n: f"{n}threads")
def in_many_parts(request, monkeypatch):
    """However small an array is; the number of threads is set back."""
    for name, value in (("_WORTH", 1), ("_PART", 30), ("_TRIANGLES", 0), ("_ROWS", 7)):
        monkeypatch.setattr(cpu_borders, name, value)
    before = pool.get_num_threads()
    pool.set_num_threads(request.param)
    yield
    pool.set_num_threads(before)


def numbers(shape, dtype=np.float32):
    return (np.random.default_rng(0).standard_normal(shape) * 50).astype(dtype)


def same(got, wanted):
    assert got.dtype == wanted.dtype and got.shape == wanted.shape and got.strides == wanted.strides
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (2, 3, 9, 9), (1, 40), (40, 1)])
def test_triangles(shape, dtype):
    for k in (-50, -20, -7, -1, 0, 1, 6, 19, 50):
        for x in (numbers(shape, dtype), np.broadcast_to(numbers(shape[-1:], dtype), shape)):
            same(XP.tril(x, k=k), np.ascontiguousarray(np.tril(x, k)))
            same(XP.triu(x, k=k), np.ascontiguousarray(np.triu(x, k)))


def test_a_triangle_of_nan_has_zeros():
    assert not XP.tril(np.full((20, 20), np.nan, np.float32), k=-20).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_joined(dtype):
    for axis in (0, 1, 2, -1):
        shapes = [[4, 5, 6] for _ in range(3)]
        shapes[1][axis] = 1
        shapes[2][axis] = 0
        arrays = [numbers(shape, dtype) for shape in shapes]
        same(XP.concat(arrays, axis=axis), np.concatenate(arrays, axis))
        spread = [np.broadcast_to(dtype(3), (4, 5, 6)), arrays[0]]
        same(XP.concat(spread, axis=axis), np.concatenate(spread, axis))
        turned = [np.asfortranarray(arrays[0]), np.asfortranarray(arrays[0])]  # NumPy keeps this order
        same(XP.concat(turned, axis=axis), np.concatenate(turned, axis))
    mixed = [numbers((4, 5)), numbers((4, 5), np.float64)]
    same(XP.concat(mixed, axis=0), np.concatenate(mixed, 0))


@pytest.mark.parametrize(
    ("arrays", "axis"),
    [([np.zeros((4, 5)), np.zeros((4, 6))], 0), ([np.zeros((4, 5)), np.zeros(4)], 0), ([np.zeros((4, 5))] * 2, 2)],
)
def test_what_does_not_fit_is_refused_by_numpy(arrays, axis):
    with pytest.raises(ValueError, match=r"must match|must have same|out of bounds"):
        XP.concat(arrays, axis=axis)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "widths"),
    [
        ((20, 30), ((1, 2), (0, 3))),
        ((1, 20, 5), ((2, 0), (3, 4), (0, 0))),
        ((1, 1, 30), ((0, 1), (1, 0), (40, 2))),
        ((3, 4, 5, 6), ((0, 0), (0, 0), (1, 1), (2, 2))),
        ((20, 3), ((0, 0), (0, 0))),
    ],
)
def test_padded(shape, widths, dtype):
    for x in (numbers(shape, dtype), np.asfortranarray(numbers(shape, dtype)), np.broadcast_to(dtype(3), shape)):
        for value in (0.0, 7):
            wanted = np.ascontiguousarray(np.pad(x, widths, constant_values=value))
            same(XP.pad_constant(x, widths=widths, value=value), wanted)


def test_gradients_of_large_tensors():
    x, y = (cr.tensor(numbers((60, 70)), requires_grad=True) for _ in range(2))
    g = cr.tensor(numbers((60, 140)))
    cr.cat([x, y], 1).backward(g)
    np.testing.assert_array_equal(x.grad.numpy(), g.numpy()[:, :70])
    np.testing.assert_array_equal(y.grad.numpy(), g.numpy()[:, 70:])
    x.grad = None
    cr.tril(x, 3).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.tri(60, 70, 3))
    x.grad = None
    padded = cr.nn.functional.pad(x, (2, 3, 4, 5))
    padded.backward(cr.tensor(numbers((69, 75))))
    np.testing.assert_array_equal(x.grad.numpy(), numbers((69, 75))[4:64, 2:72])
