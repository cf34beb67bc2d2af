"""Compiled depthwise convolution against the declared forward: geometries, layouts, threads, special values."""

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

# x, kernel, stride, padding, dilation
GEOMETRIES = [
    ((2, 3, 9, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((2, 20, 9, 7), (3, 3), (1, 1), (0, 0), (1, 1)),
    ((2, 5, 8, 11), (2, 5), (1, 1), (2, 4), (1, 1)),
    ((2, 4, 11, 8), (3, 3), (2, 2), (1, 1), (1, 1)),
    ((2, 4, 10, 13), (5, 5), (2, 2), (2, 2), (1, 1)),
    ((1, 3, 12, 12), (3, 3), (1, 1), (2, 2), (2, 2)),
    ((1, 3, 14, 17), (3, 2), (2, 3), (3, 1), (3, 2)),
    ((2, 3, 10, 10), (2, 2), (3, 3), (0, 0), (1, 1)),  # some pixels meet no window
    ((9, 3, 1, 30), (1, 5), (1, 1), (0, 2), (1, 1)),  # one-dimensional
    ((2, 3, 4, 3), (2, 2), (1, 1), (4, 5), (1, 1)),  # windows that see nothing but the border
    ((1, 2, 3, 70), (3, 3), (1, 2), (1, 40), (1, 1)),
    ((1, 2, 5, 1500), (3, 3), (1, 1), (1, 1), (1, 1)),  # longer than a run
    ((1, 400, 5, 6), (7, 7), (1, 1), (3, 3), (1, 1)),
]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """However small the arrays are, they go to the compiled loops, in several parts."""
    before = pool.get_num_threads()
    compiled.load(cr.device("cpu").backend, "depthwise")
    from chainrule.backends.compiled import depthwise

    monkeypatch.setattr(compiled, "worth", 0)
    monkeypatch.setattr(depthwise, "_PART", 500)
    monkeypatch.setattr(depthwise, "_SIGNAL", 2000)
    yield
    pool.set_num_threads(before)


def layouts(x):
    yield np.ascontiguousarray(x)
    yield np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, dtype=x.dtype)
    wide[..., ::2] = x
    yield wide[..., ::2]


def operands(shape, kernel, dtype, **attributes):
    """x, filters, a bias and a gradient of the result."""
    rng = np.random.default_rng(0)
    c = shape[1]
    x, weight, bias = (rng.standard_normal(s).astype(dtype) for s in (shape, (c, 1, *kernel), c))
    g = rng.standard_normal(FORWARDS["conv2d"](XP, x, weight, bias, **attributes).shape).astype(dtype)
    return x, weight, bias, g


def check(name, arrays, attributes):
    """Against the declared forward in float64; the same for 1 and 3 threads."""
    kept = [None if a is None else a.copy() for a in arrays]
    exact = [None if a is None else a.astype(np.float64) for a in arrays]
    wanted = FORWARDS[name](XP, *exact, **attributes)
    pool.set_num_threads(3)
    got = getattr(XP, name)(*arrays, **attributes)
    dtype = arrays[0].dtype
    assert got.dtype == dtype
    assert got.shape == wanted.shape
    bound = (2e-6 if dtype == np.float32 else 1e-13) * max(np.abs(wanted).max(), 1e-30)
    assert np.abs(got - wanted).max() <= bound
    pool.set_num_threads(1)
    np.testing.assert_array_equal(getattr(XP, name)(*arrays, **attributes), got)
    for a, k in zip(arrays, kept, strict=True):
        assert a is None or np.array_equal(a, k)
    return got


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "dilation"), GEOMETRIES)
def test_depthwise_convolution_and_its_gradients(shape, kernel, stride, padding, dilation, dtype):
    attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": shape[1]}
    x, weight, bias, g = operands(shape, kernel, dtype, **attributes)
    gradients = list(layouts(g))
    for i, image in enumerate(layouts(x)):
        y = check("conv2d", (image, weight, None if i else bias), attributes)
        dx = check("conv2d_input", (gradients[i], weight), {"x_size": shape, **attributes})
        if i < 2 and min(*y.shape[1:], *shape[1:]) > 1:  # the memory order is that of what came
            assert [y.flags.c_contiguous, dx.flags.c_contiguous] == [i == 0] * 2
        for gradient in gradients:
            check("conv2d_weight", (image, gradient), {"weight_size": weight.shape, **attributes})


def test_special_values_stay_where_they_are():
    attributes = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 2}
    x, weight, bias, _ = operands((1, 2, 8, 8), (3, 3), "float32", **attributes)
    x[0, 0, 4, 7], x[0, 1, 0, 0] = np.nan, np.inf
    for image in layouts(x):
        got = XP.conv2d(image, weight, bias, **attributes)
        wanted = FORWARDS["conv2d"](XP, x, weight, bias, **attributes)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(wanted))


@pytest.mark.parametrize("last", [False, True])
def test_shapes_that_do_not_fit_are_refused_as_without_numba(last):
    attributes = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 4}
    g = np.zeros((2, 6, 5, 5), np.float32)
    if last:
        g = np.ascontiguousarray(g.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    weight = np.zeros((4, 1, 3, 3), np.float32)
    with pytest.raises(ValueError, match=r"shape|broadcast|matmul"):
        XP.conv2d_input(g, weight, x_size=(2, 4, 5, 5), **attributes)
