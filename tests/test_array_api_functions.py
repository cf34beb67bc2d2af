"""chainrule.array_api: rounding, reductions, sorting, searching, creation and shape, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from host_arrays import value

import chainrule as cr
import chainrule.array_api as xp

# ---- element by element ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ceil", "floor", "trunc", "round", "abs", "sign", "square", "negative", "positive"])
@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8"])
def test_functions_that_keep_integers(name, dtype):
    x = xp.asarray([0, 3, 7], dtype=getattr(xp, dtype))
    result = getattr(xp, name)(x)
    assert result.dtype == x.dtype
    if name in ("ceil", "floor", "trunc", "round", "abs", "positive"):
        assert result.tolist() == [0, 3, 7]


def test_clip():
    x = xp.asarray([-2.0, 0.5, 3.0, math.nan])
    assert value(xp.clip(x, 0, 1)).tolist()[:3] == [0.0, 0.5, 1.0] and math.isnan(xp.clip(x, 0, 1).tolist()[3])
    assert xp.clip(x, max=xp.asarray([1.0, 0.0, 5.0, 0.0])).tolist()[:3] == [-2.0, 0.0, 3.0]
    assert xp.clip(x, xp.asarray(0.0), 1.0).tolist()[:3] == [0.0, 0.5, 1.0]
    assert xp.clip(x).tolist()[:3] == x.tolist()[:3] and xp.clip(x) is not x
    for bounds in ((math.nan, None), (None, math.nan)):
        assert xp.all(xp.isnan(xp.clip(x, *bounds)))
    assert xp.clip(xp.asarray([1, 5], dtype=xp.int8), 2, 3).dtype == xp.int8
    assert xp.clip(xp.ones((2, 1)), min=xp.zeros((1, 3))).shape == (2, 3)


# ---- reductions, sorting, searching ---------------------------------------------------------------------------------


def test_reductions_of_nothing():
    empty = xp.zeros((0, 3))
    assert xp.sum(empty).tolist() == 0.0 and xp.prod(empty).tolist() == 1.0
    assert xp.sum(empty, axis=0).tolist() == [0.0] * 3 and xp.prod(empty, axis=0).tolist() == [1.0] * 3
    assert xp.all(empty).tolist() is True and xp.any(empty).tolist() is False
    assert xp.count_nonzero(empty).tolist() == 0
    for f in (xp.max, xp.min):
        with pytest.raises((ValueError, RuntimeError), match=r"max|min"):
            f(empty)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "std", "var"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (-1, 0, 1), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name, axis, keepdims):
    data = np.linspace(-1, 1, 24).reshape(2, 3, 4)
    result = getattr(xp, name)(xp.asarray(data), axis=axis, keepdims=keepdims)
    want = getattr(np, name)(data, axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(value(result), want, rtol=1e-12, atol=1e-15)
    assert result.shape == want.shape


def test_moments_keep_float32_and_take_a_correction():
    x = xp.asarray([1.0, 2.0, 4.0])
    assert xp.mean(x).dtype == xp.std(x).dtype == xp.float32
    np.testing.assert_allclose(xp.var(x, correction=1).item(), np.var([1, 2, 4], ddof=1), rtol=1e-6)
    np.testing.assert_allclose(xp.std(x).item(), np.std([1, 2, 4]), rtol=1e-6)
    with pytest.raises(TypeError, match="mean: expected a floating-point array, got chainrule.int64"):
        xp.mean(xp.asarray([1]))


def test_nan_in_extremes():
    x = xp.asarray([1.0, math.nan, 3.0])
    assert all(math.isnan(f(x).item()) for f in (xp.max, xp.min, xp.sum, xp.prod, xp.mean))
    assert xp.any(x) and xp.all(x)


def test_cumulative_functions():
    x = xp.asarray([[1, 2], [3, 4]])
    assert xp.cumulative_sum(x, axis=0).tolist() == [[1, 2], [4, 6]]
    assert xp.cumulative_sum(x, axis=-1, include_initial=True).tolist() == [[0, 1, 3], [0, 3, 7]]
    assert xp.cumulative_prod(x, axis=1).tolist() == [[1, 2], [3, 12]]
    assert xp.cumulative_prod(xp.asarray([2, 3]), include_initial=True).tolist() == [1, 2, 6]
    assert xp.cumulative_sum(xp.asarray([2, 3]), dtype=xp.float64).dtype == xp.float64
    with pytest.raises(ValueError, match="axis is required"):
        xp.cumulative_sum(x)


def test_sorting():
    x = xp.asarray([[3.0, 1.0, 2.0], [math.nan, -math.inf, 0.0]])
    assert xp.sort(x).tolist()[0] == [1.0, 2.0, 3.0] and xp.sort(x, descending=True).tolist()[0] == [3.0, 2.0, 1.0]
    assert xp.sort(x).tolist()[1][:2] == [-math.inf, 0.0] and math.isnan(xp.sort(x).tolist()[1][2])
    assert xp.sort(x, axis=0).tolist()[0] == [3.0, -math.inf, 0.0]
    assert xp.argsort(x, axis=1).tolist()[0] == [1, 2, 0]
    same = xp.asarray([1, 0, 1, 0])
    assert xp.argsort(same, stable=True).tolist() == [1, 3, 0, 2]
    assert xp.argsort(same, descending=True).tolist() == [0, 2, 1, 3]
    assert xp.argsort(same).dtype == xp.int64 and xp.sort(xp.asarray(True)).tolist() is True
    with pytest.raises(IndexError):
        xp.sort(x, axis=2)


def test_searching():
    x = xp.asarray([[0, 5, 5], [7, 0, 1]])
    assert xp.argmax(x).tolist() == 3 and xp.argmax(x, axis=1).tolist() == [1, 0]
    assert xp.argmin(x, axis=0, keepdims=True).tolist() == [[0, 1, 1]]
    assert [i.tolist() for i in xp.nonzero(x)] == [[0, 0, 1, 1], [1, 2, 0, 2]]
    assert xp.count_nonzero(x, axis=0).tolist() == [1, 1, 2] and xp.count_nonzero(x).dtype == xp.int64
    assert xp.count_nonzero(xp.asarray([0j, 1j])).tolist() == 1
    with pytest.raises(ValueError, match="nonzero: a 0-d array has no indices"):
        xp.nonzero(xp.asarray(1))


def test_searchsorted():
    x = xp.asarray([1.0, 2.0, 2.0, 3.0])
    v = xp.asarray([[0.0, 2.0], [2.5, 9.0]])
    assert xp.searchsorted(x, v).tolist() == [[0, 1], [3, 4]]
    assert xp.searchsorted(x, v, side="right").tolist() == [[0, 3], [3, 4]]
    mixed = xp.asarray([3.0, 1.0, 2.0])
    assert xp.searchsorted(mixed, xp.asarray([2.0]), sorter=xp.argsort(mixed)).tolist() == [1]
    assert xp.searchsorted(x, v).dtype == xp.int64 and xp.searchsorted(x, xp.asarray(2.5)).shape == ()
    with_nan = xp.asarray([1.0, math.nan])
    assert xp.searchsorted(with_nan, xp.asarray([2.0, math.nan])).tolist() == [1, 1]
    with pytest.raises(ValueError, match="side must be"):
        xp.searchsorted(x, v, side="middle")
    with pytest.raises(ValueError, match="x1 must be a vector"):
        xp.searchsorted(v, x)


def test_unique():
    x = xp.asarray([[3.0, 1.0], [3.0, -0.0], [0.0, 1.0]])
    found = xp.unique_all(x)
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    assert [t.tolist() for t in (found.values, found.counts)] == [[0.0, 1.0, 3.0], [2, 2, 2]]
    assert found.indices.tolist() == [3, 1, 0] and found.inverse_indices.tolist() == [[2, 1], [2, 0], [0, 1]]
    assert xp.unique_counts(x)._fields == ("values", "counts")
    assert xp.unique_inverse(x)._fields == ("values", "inverse_indices")
    nans = xp.unique_all(xp.asarray([math.nan, 1.0, math.nan]))
    assert nans.values.shape == (3,) and nans.counts.tolist() == [1, 1, 1]
    assert xp.unique_values(xp.zeros((0, 2))).shape == (0,)
    assert xp.unique_all(xp.zeros((0, 2))).inverse_indices.shape == (0, 2)
    assert xp.unique_values(xp.asarray([True, False, True])).tolist() == [False, True]
    assert xp.unique_counts(xp.asarray(5)).counts.tolist() == [1]
    assert xp.unique_values(xp.asarray([2j, 1 + 1j, 2j])).tolist() == [2j, 1 + 1j]


def test_where_promotes_and_takes_numbers():
    condition = xp.asarray([True, False])
    assert xp.where(condition, xp.asarray([1.0, 2.0]), 0).tolist() == [1.0, 0.0]
    assert xp.where(condition, 1, xp.asarray([5, 6], dtype=xp.int8)).dtype == xp.int8
    assert xp.where(condition, xp.asarray(1, dtype=xp.float64), xp.ones(2)).dtype == xp.float64


# ---- creation -------------------------------------------------------------------------------------------------------


def test_creation():
    assert xp.zeros(3).shape == xp.zeros((3,)).shape == (3,) and xp.ones(()).shape == ()
    assert xp.zeros(2).dtype == xp.float32 and xp.empty((2, 0), dtype=xp.uint16).dtype == xp.uint16
    assert xp.full((2,), 1j).dtype == xp.complex64 and xp.full(2, True).dtype == xp.bool
    assert xp.full(2, 3).dtype == xp.int64 and xp.full(2, 3.0).dtype == xp.float32
    assert xp.full_like(xp.ones(2), 5, dtype=xp.int8).tolist() == [5, 5]
    assert xp.eye(2, 3, k=1).tolist() == [[0, 1, 0], [0, 0, 1]] and xp.eye(2, k=-1, dtype=xp.bool).dtype == xp.bool
    x = xp.ones((2, 2), dtype=xp.int16)
    assert xp.zeros_like(x).dtype == xp.int16 and xp.ones_like(x, dtype=xp.float64).dtype == xp.float64
    assert xp.empty_like(x).shape == (2, 2)
    assert xp.zeros(2, device="cpu").device == cr.device("cpu")
    assert xp.tril(xp.ones((3, 3)), k=-1).tolist() == np.tril(np.ones((3, 3)), -1).tolist()
    assert xp.triu(xp.ones((2, 3, 3)), k=1).tolist() == np.triu(np.ones((2, 3, 3)), 1).tolist()


def test_arange():
    assert xp.arange(3).tolist() == [0, 1, 2] and xp.arange(1, 4, 2).tolist() == [1, 3]
    assert xp.arange(3, 0, -1).tolist() == [3, 2, 1] and xp.arange(0.0, 1, 0.25).dtype == xp.float32
    assert xp.arange(3, 1).shape == xp.arange(1, 3, -1).shape == xp.arange(-1).shape == (0,)
    assert xp.arange(2, dtype=xp.uint8).dtype == xp.uint8
    with pytest.raises(ValueError, match="step must not be 0"):
        xp.arange(1, 2, 0)


def test_linspace():
    np.testing.assert_allclose(value(xp.linspace(0, 1, 5)), np.linspace(0, 1, 5))
    np.testing.assert_allclose(value(xp.linspace(0, 1, 5, endpoint=False)), np.linspace(0, 1, 5, endpoint=False))
    assert xp.linspace(0, 1j, 3).dtype == xp.complex64 and xp.linspace(0, 1, 3, dtype=xp.float64).dtype == xp.float64
    assert xp.linspace(5, 5, 0).shape == (0,) and xp.linspace(2, 3, 1).tolist() == [2.0]


def test_asarray():
    assert xp.asarray([True]).dtype == xp.bool and xp.asarray([True, 2]).dtype == xp.int64
    assert xp.asarray([1, 2.0]).dtype == xp.float32 and xp.asarray([1, 2j]).dtype == xp.complex64
    x = xp.ones(2)
    assert xp.asarray(x) is x and xp.asarray(x, copy=True) is not x
    host = np.zeros(2, np.float32)
    shared = xp.asarray(host, device="cpu")
    host[0] = 5
    assert shared.tolist() == [5.0, 0.0]
    apart = xp.asarray(host, device="cpu", copy=True)
    host[0] = 6
    assert apart.tolist() == [5.0, 0.0]
    for obj, dtype in (([1.0], None), (host, xp.float64)):
        with pytest.raises(ValueError, match="asarray: .*copy=False|copy=False.*"):
            xp.asarray(obj, dtype=dtype, device="cpu", copy=False)
    buffer = bytearray(b"ab")
    assert xp.asarray(buffer).dtype == xp.uint8 and xp.asarray(buffer).tolist() == [97, 98]
    assert xp.asarray(memoryview(np.arange(3.0)), device="cpu").dtype == xp.float64


def test_from_dlpack():
    host = np.arange(3.0)
    shared, copied = xp.from_dlpack(host), xp.from_dlpack(host, copy=True)
    host[0] = 7
    assert shared.tolist() == [7.0, 1.0, 2.0] and copied.tolist() == [0.0, 1.0, 2.0]
    assert xp.from_dlpack(host, device="cpu", copy=False).device == cr.device("cpu")


def test_meshgrid():
    a, b = xp.arange(2), xp.arange(3)
    for indexing in ("xy", "ij"):
        host = np.meshgrid(value(a), value(b), indexing=indexing)
        for mine, other in zip(xp.meshgrid(a, b, indexing=indexing), host, strict=True):
            np.testing.assert_array_equal(value(mine), other)
    with pytest.raises(ValueError, match="indexing must be"):
        xp.meshgrid(a, b, indexing="yx")


# ---- shape ----------------------------------------------------------------------------------------------------------


def test_shapes():
    x = xp.reshape(xp.arange(6), (1, 2, 3))
    n = np.arange(6).reshape(1, 2, 3)
    pairs = [
        (xp.expand_dims(x, -1), np.expand_dims(n, -1)),
        (xp.expand_dims(x, axis=1), np.expand_dims(n, 1)),
        (xp.squeeze(x, 0), n[0]),
        (xp.flip(x), np.flip(n)),
        (xp.flip(x, axis=(0, -1)), np.flip(n, (0, -1))),
        (xp.moveaxis(x, 0, -1), np.moveaxis(n, 0, -1)),
        (xp.moveaxis(x, (0, 1), (-1, 0)), np.moveaxis(n, (0, 1), (-1, 0))),
        (xp.permute_dims(x, (2, 0, 1)), np.transpose(n, (2, 0, 1))),
        (xp.roll(x, 2), np.roll(n, 2)),
        (xp.roll(x, (1, -1), axis=(1, 2)), np.roll(n, (1, -1), (1, 2))),
        (xp.roll(x, 1, axis=(1, 2)), np.roll(n, 1, (1, 2))),
        (xp.tile(x, (2, 1)), np.tile(n, (2, 1))),
        (xp.tile(x, (2, 1, 1, 3)), np.tile(n, (2, 1, 1, 3))),
        (xp.repeat(x, 2), np.repeat(n, 2)),
        (xp.repeat(x, 2, axis=1), np.repeat(n, 2, 1)),
        (xp.repeat(x, xp.asarray([0, 2, 1]), axis=2), np.repeat(n, [0, 2, 1], 2)),
        (xp.broadcast_to(x, (4, 2, 3)), np.broadcast_to(n, (4, 2, 3))),
        (xp.concat([x, x], axis=-1), np.concatenate([n, n], -1)),
        (xp.concat((x, x), axis=None), np.concatenate([n, n], None)),
        (xp.stack([x, x], axis=-1), np.stack([n, n], -1)),
        (xp.reshape(x, (-1, 2)), n.reshape(-1, 2)),
        (xp.unstack(x, axis=2)[1], n[:, :, 1]),
        (xp.broadcast_arrays(x, xp.ones((5, 1, 1, 1)))[0], np.broadcast_to(n, (5, 1, 2, 3))),
        (xp.take(x, xp.asarray([2, -3]), axis=-1), np.take(n, [2, -3], -1)),
        (xp.take_along_axis(x, xp.asarray([[[0], [-1]]])), np.take_along_axis(n, np.array([[[0], [-1]]]), -1)),
        (xp.take_along_axis(x, xp.asarray([[[0, 0, 1]]]), axis=1), np.take_along_axis(n, np.array([[[0, 0, 1]]]), 1)),
        (xp.diff(x), np.diff(n)),
        (xp.diff(x, axis=1, n=2, prepend=x, append=x), np.diff(n, 2, 1, n, n)),
        (xp.matrix_transpose(x), np.swapaxes(n, -1, -2)),
    ]
    for i, (mine, other) in enumerate(pairs):
        assert mine.shape == other.shape, i
        np.testing.assert_array_equal(value(mine), other, err_msg=str(i))
        assert mine.dtype == xp.int64


def test_reshape_with_copy():
    x = xp.ones((2, 3))
    view, copied = xp.reshape(x, (6,), copy=False), xp.reshape(x, (6,), copy=True)
    view[0] = 5.0
    assert x.tolist()[0][0] == 5.0 and copied.tolist()[0] == 1.0
    with pytest.raises(ValueError, match="needs a copy"):
        xp.reshape(x.T, (6,), copy=False)


def test_errors_of_shape_functions():
    x = xp.ones((2, 3))
    for call, error, text in (
        (lambda: xp.squeeze(x, 0), ValueError, "length 1"),
        (lambda: xp.expand_dims(x, 4), IndexError, "must be in"),
        (lambda: xp.concat([x, xp.ones(3)]), ValueError, "number of dimensions"),
        (lambda: xp.concat([x, xp.ones((3, 2))]), ValueError, "shapes must agree"),
        (lambda: xp.take(x, xp.asarray([0])), ValueError, "axis is required"),
        (lambda: xp.take_along_axis(x, xp.asarray([0])), ValueError, "must have 2 dimensions"),
        (lambda: xp.broadcast_to(x, (2,)), RuntimeError, "expand"),
        (lambda: xp.add([1], x), TypeError, "x1"),
        (lambda: xp.exp(1.0), TypeError, "exp: argument 'x' must be a Tensor, got float 1.0"),
    ):
        with pytest.raises(error, match=text):
            call()
