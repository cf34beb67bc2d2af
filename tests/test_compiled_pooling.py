"""Compiled pooling against the declared forwards: windows, layouts, threads, special values."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd.ops.resampling import Taps, evenly
from chainrule.autograd.ops.windows import adaptive, regular
from chainrule.backends import compiled, pool
from chainrule.backends.namespace import FORWARDS

pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(
        not compiled.enabled(), reason="Numba is not installed or switched off (pip install 'chainrule[fast]')"
    ),
]
XP = cr.device("cpu").xp

# x, kernel, stride, padding, dilation, ceil_mode
WINDOWS = [
    ((2, 3, 8, 12), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 3, 9, 11), (2, 2), (2, 2), (0, 0), (1, 1), False),  # some pixels meet no window
    ((2, 3, 9, 11), (2, 2), (2, 2), (0, 0), (1, 1), True),
    ((2, 3, 9, 7), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((2, 3, 10, 8), (3, 3), (2, 2), (1, 1), (1, 1), True),
    ((1, 5, 8, 8), (3, 3), (1, 1), (1, 1), (1, 1), False),
    ((1, 2, 12, 11), (2, 3), (3, 1), (1, 1), (2, 3), False),
    ((1, 2, 12, 14), (4, 5), (1, 3), (2, 2), (1, 1), True),
    ((3, 2, 1, 40), (1, 3), (1, 2), (0, 1), (1, 1), False),
    ((1, 2, 4, 3000), (2, 2), (1, 1), (0, 1), (1, 1), False),  # longer than a run
]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """However small the arrays are, they go to the compiled loops, in several parts."""
    before = pool.get_num_threads()
    compiled.load(cr.device("cpu").backend, "pooling")
    from chainrule.backends.compiled import depthwise, pooling

    monkeypatch.setattr(compiled, "worth", 0)
    monkeypatch.setattr(depthwise, "_PART", 500)
    monkeypatch.setattr(pooling, "_RESULTS", 1)
    for op in compiled.MODULES:  # nothing here may be left to the plain kernels
        if compiled.MODULES[op] == "pooling":
            monkeypatch.setitem(cr.device("cpu").backend.plain_kernels, op, None)
    yield
    pool.set_num_threads(before)


def layouts(x):
    yield np.ascontiguousarray(x)
    yield np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, dtype=x.dtype)
    wide[..., ::2] = x
    yield wide[..., ::2]


def check(name, arrays, attributes, exactly=False):
    """Against the declared forward; the same for 1 and 3 threads; nothing changed."""
    kept = [a.copy() for a in arrays]
    wanted = FORWARDS[name](XP, *arrays, **attributes)
    pool.set_num_threads(3)
    got = getattr(XP, name)(*arrays, **attributes)
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    if exactly:
        np.testing.assert_array_equal(got, wanted)
    else:
        bound = 2e-6 if got.dtype == np.float32 else 1e-13
        np.testing.assert_allclose(got, wanted, rtol=bound, atol=bound * np.nanmax(np.abs(wanted)))
    pool.set_num_threads(1)
    np.testing.assert_array_equal(getattr(XP, name)(*arrays, **attributes), got)
    for a, k in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(a, k)
    return got


def numbers(shape, dtype, coarse=False):
    x = np.random.default_rng(0).standard_normal(shape)
    return (np.round(x) if coarse else x).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "dilation", "ceil_mode"), WINDOWS)
def test_max_pooling_and_its_gradient(shape, kernel, stride, padding, dilation, ceil_mode, dtype):
    attributes = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    x = numbers(shape, dtype, coarse=True)  # with equal maxima
    x[0, 0, 0, :3], x[0, 1] = np.nan, -np.inf
    for image in layouts(x):
        y = check("max_pool2d", (image,), {**attributes, "ceil_mode": ceil_mode}, exactly=True)
        for g in layouts(numbers(y.shape, dtype)):
            check("max_pool2d_back", (g, image, y), attributes)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("include", "divisor"), [(True, None), (False, None), (True, 7)])
@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding", "dilation", "ceil_mode"), [w for w in WINDOWS if w[4] == (1, 1)]
)
def test_average_pooling_and_its_gradient(shape, kernel, stride, padding, dilation, ceil_mode, include, divisor, dtype):
    attributes = {"kernel": kernel, "stride": stride, "padding": padding}
    attributes |= {"count_include_pad": include, "divisor_override": divisor}
    for image in layouts(numbers(shape, dtype)):
        y = check("avg_pool2d", (image,), {**attributes, "ceil_mode": ceil_mode})
        for g in layouts(numbers(y.shape, dtype)):
            check("avg_pool2d_back", (g,), {"x_size": shape, **attributes})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "windows"),
    [
        ((2, 3, 9, 11), (adaptive(9, 4), adaptive(11, 3))),
        ((2, 3, 6, 7), (regular(6, 4, 3, 2, 1, 1), regular(7, 7, 3, 1, 1, 1))),
        ((2, 3, 17), (adaptive(17, 5),)),
        ((2, 3, 4, 5), (adaptive(4, 1), adaptive(5, 1))),
    ],
)
def test_places_of_maxima(shape, windows, dtype):
    x = numbers(shape, dtype, coarse=True)
    x[0, 0, 1, ...], x[0, 1] = np.nan, -np.inf
    for image in layouts(x) if x.ndim == 4 else [x]:
        check("window_argmax", (image,), {"windows": windows}, exactly=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_weighted_sums_along_a_dimension(axis, dtype):
    shape = (5, 4, 6, 7)
    size = shape[axis]
    sparse = Taps(4, size, np.array([0, 0, 3, 3]), np.array([1, 2, 0, size - 1]), np.array([0.5, 0.25, 2.0, -1.0]))
    for x in layouts(numbers(shape, dtype)):
        for taps in (evenly(size, 3), sparse, sparse.transposed):
            if taps.columns == size:
                check("resample", (x,), {"taps": taps, "axis": axis})
        x[0, 0, 0, 0] = np.nan
        got = check("resample", (x,), {"taps": evenly(size, 3), "axis": axis})
        assert np.isnan(got).sum() == 1
