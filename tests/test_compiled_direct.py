"""Compiled direct convolution against the declared forward: geometries, layouts, groups, threads, special values."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import compiled, cpu_convolution, cpu_direct, pool
from chainrule.backends.namespace import FORWARDS

pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(
        not compiled.enabled(), reason="Numba is not installed or switched off (pip install 'chainrule[fast]')"
    ),
]
XP = cr.device("cpu").xp

# x, filters, stride, padding, dilation, groups
IMAGES = [
    ((2, 1, 12, 11), (6, 1, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    ((3, 6, 9, 14), (16, 6, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    ((2, 8, 10, 10), (24, 8, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 3, 13, 12), (32, 3, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    ((1, 3, 17, 20), (18, 3, 7, 7), (2, 3), (3, 2), (1, 1), 1),
    ((2, 5, 11, 14), (9, 5, 3, 2), (1, 2), (3, 1), (2, 3), 1),
    ((2, 16, 9, 8), (17, 16, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((3, 4, 1, 40), (8, 4, 1, 7), (1, 2), (0, 3), (1, 1), 1),  # one-dimensional
    ((1, 2, 3, 3), (3, 2, 3, 3), (1, 1), (0, 0), (1, 1), 1),  # a single pixel
    ((2, 3, 4, 3), (8, 3, 2, 2), (1, 1), (4, 5), (1, 1), 1),  # windows that see nothing but the border
    ((2, 3, 10, 10), (4, 3, 2, 2), (3, 3), (0, 0), (1, 1), 1),  # some pixels meet no window
    ((2, 12, 8, 9), (12, 4, 3, 3), (1, 1), (1, 1), (1, 1), 3),
    ((2, 8, 9, 8), (64, 4, 3, 3), (2, 2), (1, 1), (1, 1), 2),
    ((2, 6, 7, 8), (12, 1, 3, 3), (1, 1), (1, 1), (2, 1), 6),
    ((1, 20, 40, 40), (10, 20, 3, 3), (1, 1), (1, 1), (1, 1), 1),  # several blocks of rows
    ((2, 40, 6, 30), (33, 40, 4, 4), (2, 2), (1, 1), (1, 1), 1),
]
VOLUMES = [
    ((2, 3, 5, 6, 7), (8, 3, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    ((1, 4, 6, 5, 9), (6, 2, 2, 3, 2), (2, 1, 2), (1, 0, 1), (1, 2, 1), 2),
    ((2, 8, 4, 4, 4), (16, 8, 1, 3, 3), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    ((2, 2, 7, 6, 5), (3, 2, 2, 2, 2), (1, 2, 1), (0, 0, 0), (3, 1, 2), 1),
]


@pytest.fixture(autouse=True)
def small_work(monkeypatch):
    """However small the arrays are, they go to the compiled loops."""
    before = pool.get_num_threads()
    monkeypatch.setattr(cpu_direct, "_WORTH", 0)
    monkeypatch.setattr(cpu_direct.loops(), "_PIXELS", 64)
    monkeypatch.setattr(cpu_direct.loops(), "_WORTH_WAKING", 0)
    yield
    pool.set_num_threads(before)


@pytest.fixture
def used(monkeypatch):
    """Which of the compiled functions ran."""
    names, loops = set(), cpu_direct.loops()

    def noting(name, real):
        return lambda *arguments: names.add(name) or real(*arguments)

    for name in ("forward", "weight_gradient", "input_gradient"):
        monkeypatch.setattr(loops, name, noting(name, getattr(loops, name)))
    return names


def layouts(x):
    """Channels first, channels last, and neither."""
    yield np.ascontiguousarray(x)
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, dtype=x.dtype)
    wide[..., ::2] = x
    yield wide[..., ::2]


def check(name, arrays, attributes):
    """Against the declared forward in float64; the same for 1 and 3 threads; the inputs are what they were."""
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
    for before, after in zip(kept, arrays, strict=True):
        if before is not None:
            np.testing.assert_array_equal(before, after)
    return got


def operands(x, weight, dtype, op, attributes):
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(s).astype(dtype) for s in (x, weight, weight[0]))
    g = rng.standard_normal(FORWARDS[op](XP, x, weight, bias, **attributes).shape).astype(dtype)
    return x, weight, bias, g


def attributes_of(stride, padding, dilation, groups):
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", [*IMAGES, *VOLUMES], ids=str)
def test_convolution_and_its_gradients(case, dtype, used):
    shape, size, *rest = case
    attributes = attributes_of(*rest)
    op = "conv2d" if len(shape) == 4 else "conv3d"
    x, weight, bias, g = operands(shape, size, dtype, op, attributes)
    for i, image in enumerate(layouts(x)):
        check(op, (image, weight, None if i else bias), attributes)
        for gradient in layouts(g):
            check(f"{op}_weight", (image, gradient), {"weight_size": size, **attributes})
    assert used == {"forward", "weight_gradient"}
    for gradient in layouts(g):
        check(f"{op}_input", (gradient, weight), {"x_size": shape, **attributes})
    one = np.broadcast_to(dtype(0.7), g.shape)
    some = np.broadcast_to(g[..., :1, :1], g.shape)
    for gradient in (one, some):
        check(f"{op}_weight", (x, gradient), {"weight_size": size, **attributes})
        check(f"{op}_input", (gradient, weight), {"x_size": shape, **attributes})
    turned = weight[:, :, ::-1, ::-1].copy()[:, :, ::-1, ::-1]  # a weight that is not contiguous
    check(op, (x, turned, bias), attributes)


def test_both_ways_to_the_gradient_of_the_images(used):
    rng = np.random.default_rng(0)
    g = rng.standard_normal((2, 32, 9, 9)).astype(np.float32)
    for channels, stride, way in ((8, 1, "forward"), (3, 1, "input_gradient"), (8, 2, "input_gradient")):
        used.clear()
        size = (2, channels, 9 * stride, 9 * stride)
        weight = rng.standard_normal((32, channels, 3, 3)).astype(np.float32)
        attributes = {"x_size": size, **attributes_of((stride, stride), (1, 1), (1, 1), 1)}
        check("conv2d_input", (g, weight), attributes)
        assert used == {way}


@pytest.mark.parametrize("op", ["conv2d", "conv2d_input", "conv2d_weight"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_special_values_stay_where_they_are(op, value):
    attributes = attributes_of((1, 1), (1, 1), (1, 1), 2)
    x, weight, bias, g = operands((2, 6, 8, 9), (10, 3, 3, 3), np.float32, "conv2d", attributes)
    x[0, 1, 4, 5] = g[1, 7, 3, 3] = value
    arrays, more = {
        "conv2d": ((x, weight, bias), {}),
        "conv2d_input": ((g, weight), {"x_size": x.shape}),
        "conv2d_weight": ((x, g), {"weight_size": weight.shape}),
    }[op]
    wanted = FORWARDS[op](XP, *arrays, **more, **attributes)
    got = getattr(XP, op)(*arrays, **more, **attributes)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    assert not np.isfinite(got).all()
    assert np.isfinite(got).any()


@pytest.mark.parametrize(
    ("x", "weight", "stride", "groups", "how"),
    [
        ((64, 1, 28, 28), (6, 1, 5, 5), 1, 1, "direct"),
        ((16, 32, 32, 32), (32, 32, 3, 3), 1, 1, "direct"),
        ((16, 32, 32, 32), (64, 32, 3, 3), 1, 1, "winograd"),
        ((16, 64, 32, 32), (128, 64, 3, 3), 2, 1, "direct"),
        ((16, 128, 16, 16), (256, 128, 3, 3), 2, 1, "rows"),
        ((16, 64, 16, 16), (64, 64, 1, 1), 1, 1, "rows"),
        ((16, 64, 16, 16), (128, 64, 1, 1), 2, 1, "direct"),
        ((16, 128, 16, 16), (128, 4, 3, 3), 1, 32, "direct"),
        ((16, 128, 16, 16), (128, 64, 3, 3), 1, 2, "each"),
        ((16, 64, 16, 16), (64, 1, 3, 3), 1, 64, "depthwise"),
        ((32, 64, 32, 32), (64, 64, 5, 5), 2, 1, "halved"),
        ((32, 48, 32, 32), (48, 48, 5, 5), 2, 1, "direct"),
        ((8, 64, 16, 16), (64, 64, 5, 5), 2, 1, "direct"),
        ((2, 3, 6, 14), (4, 3, 3, 3), 1, 1, "planar"),
    ],
)
def test_which_convolutions_are_direct(x, weight, stride, groups, how, monkeypatch):
    monkeypatch.setattr(cpu_direct, "_WORTH", 1 << 18)
    assert cpu_convolution.choose(x, weight, (stride, stride), (0, 0), (1, 1), groups, True) == how


def test_gradients_of_another_size_go_to_the_declared_forward(used):
    """Which takes fewer results than there could be, and refuses others."""
    weight, g = np.ones((8, 3, 3, 3), np.float32), np.ones((2, 8, 7, 9), np.float32)
    attributes = {"x_size": (2, 3, 9, 9), **attributes_of((1, 1), (1, 1), (1, 1), 1)}
    check("conv2d_input", (g, weight), attributes)
    with pytest.raises(ValueError, match="broadcast"):
        XP.conv2d_input(np.ones((2, 8, 13, 9), np.float32), weight, **attributes)
    attributes["weight_size"] = weight.shape
    del attributes["x_size"]
    with pytest.raises(ValueError, match="height and width"):
        XP.conv2d_weight(np.ones((2, 3, 9, 9), np.float32), g, **attributes)
    assert not used
