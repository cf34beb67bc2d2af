"""Every CPU kernel against the declared forward that it replaces, for any layout, size and number of threads."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.special

import chainrule as cr  # noqa: F401  (declares the ops)
from chainrule.backends import (
    backend_for,
    compiled,
    cpu,
    cpu_attention,
    cpu_batch_norm,
    cpu_convolution,
    cpu_direct,
    cpu_elementwise,
    cpu_matmul,
    cpu_pooling,
    cpu_recurrent,
    cpu_rows,
    cpu_windows,
    pool,
    scatter,
)
from chainrule.backends.namespace import FORWARDS, KERNELS

pytestmark = pytest.mark.host
XP = backend_for("cpu").xp


@pytest.fixture(autouse=True)
def many_threads(monkeypatch):
    """Threads even for small work; the number of them is set back afterwards."""
    before = pool.get_num_threads()
    pool.set_num_threads(2)
    monkeypatch.setattr(cpu_convolution.depthwise, "_WORTH", 0)
    monkeypatch.setattr(cpu_convolution.pointwise, "_WORTH", 0)
    monkeypatch.setattr(cpu_direct, "_WEIGHTS", 0)  # what has a test of its own
    monkeypatch.setattr(cpu_matmul, "_least", 100)
    monkeypatch.setattr(cpu_matmul, "_PIECE", 50)
    monkeypatch.setattr(cpu_matmul, "_MORE", (200, 400, 800))
    monkeypatch.setattr(cpu_pooling, "_WORTH", 1)
    monkeypatch.setattr(cpu_pooling, "_BLOCK", 64)
    monkeypatch.setattr(cpu_recurrent, "_WORTH", 1)
    for module in (cpu_batch_norm, cpu_rows):
        monkeypatch.setattr(module, "_WORTH", 1)
        monkeypatch.setattr(module, "_BLOCK", 100)
    yield
    pool.set_num_threads(before)


def reference(name, *args, **kwargs):
    return FORWARDS[name](XP, *args, **kwargs)


def layouts(x):
    """The same values in channels-first, channels-last and non-contiguous memory."""
    yield np.ascontiguousarray(x)
    yield np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, dtype=x.dtype)
    wide[..., ::2] = x
    yield wide[..., ::2]
    yield np.ascontiguousarray(x[::-1, :, ::-1])[::-1, :, ::-1]


def close(got, wanted, dtype, bound=None):
    assert got.shape == wanted.shape and got.dtype == dtype
    bound = bound or (3e-6 if dtype == np.float32 else 1e-13)
    scale = np.abs(wanted).max() if wanted.size else 0.0
    assert not wanted.size or np.abs(got - wanted).max() <= bound * max(scale, 1e-30)


def check(name, args, kwargs, bound=None):
    """Against the forward in float64; equal for 1, 2, 3 threads; own memory, which the next call leaves alone."""
    dtype = args[0].dtype
    exact = [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args]
    wanted = reference(name, *exact, **kwargs)
    run = getattr(XP, name)
    first = run(*args, **kwargs)
    close(first, wanted, dtype, bound)
    kept = first.copy()
    for threads in (1, 3):
        pool.set_num_threads(threads)
        np.testing.assert_array_equal(run(*args, **kwargs), kept)
    pool.set_num_threads(2)
    run(*[a * 2 + 1 if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args], **kwargs)
    np.testing.assert_array_equal(first, kept)
    for a in args:
        assert not isinstance(a, np.ndarray) or not np.shares_memory(first, a)


def test_the_kernels_are_registered():
    names = {name for backend, name in KERNELS if backend == "numpy"}
    assert {"conv2d", "conv2d_input", "conv2d_weight", "max_pool2d", "max_pool2d_back", "matmul"} <= names
    assert getattr(XP, "conv2d") is KERNELS["numpy", "conv2d"]  # noqa: B009  (a kernel set at run time)


# ---- convolution ----------------------------------------------------------------------------------------------------

CONVOLUTIONS = [
    # x, weight, stride, padding, dilation, groups
    ((2, 3, 9, 7), (5, 3, 3, 3), (1, 1), (0, 0), (1, 1), 1),
    ((2, 1, 28, 28), (4, 1, 3, 3), (1, 1), (0, 0), (1, 1), 1),
    ((3, 9, 8, 11), (4, 9, 3, 2), (1, 1), (2, 1), (1, 1), 1),
    ((2, 3, 9, 12), (5, 3, 3, 4), (2, 3), (1, 2), (1, 1), 1),
    ((2, 10, 11, 8), (6, 10, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    ((2, 10, 10, 10), (6, 10, 2, 2), (3, 3), (0, 0), (1, 1), 1),  # some pixels meet no window
    ((2, 4, 9, 9), (3, 4, 3, 2), (1, 1), (2, 2), (2, 3), 1),
    ((1, 8, 12, 12), (3, 8, 3, 3), (2, 2), (1, 1), (2, 2), 1),
    ((2, 8, 6, 6), (4, 8, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((5, 6, 9, 8), (4, 6, 1, 1), (1, 1), (0, 0), (1, 1), 1),  # 1x1 in planes
    ((2, 2, 80, 60), (3, 2, 1, 1), (1, 1), (0, 0), (1, 1), 1),  # several products for each image
    ((2, 2, 6, 6), (4, 2, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((2, 8, 6, 6), (4, 8, 1, 1), (1, 1), (1, 1), (1, 1), 1),  # padding beyond the kernel's reach
    ((1, 8, 1, 1), (4, 8, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((1, 1, 1, 1), (1, 1, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 8, 5, 5), (4, 8, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    ((2, 4, 6, 5), (6, 2, 3, 3), (1, 1), (1, 1), (1, 1), 2),
    ((2, 4, 6, 5), (6, 2, 3, 3), (2, 1), (1, 0), (1, 1), 2),
    ((2, 9, 7, 8), (6, 3, 3, 2), (1, 1), (1, 1), (2, 3), 3),
    ((2, 4, 6, 5), (8, 1, 3, 3), (2, 1), (1, 1), (1, 1), 4),
    ((2, 4, 6, 5), (4, 1, 3, 3), (2, 1), (1, 1), (1, 1), 4),
    ((3, 5, 7, 70), (5, 1, 3, 3), (1, 1), (1, 1), (1, 1), 5),  # three blocks of columns, the last one narrower
    ((3, 5, 9, 59), (5, 1, 2, 5), (2, 2), (2, 4), (1, 1), 5),
    ((2, 3, 11, 70), (3, 1, 3, 3), (1, 1), (1, 2), (3, 2), 3),
    ((2, 3, 11, 50), (3, 1, 3, 3), (3, 2), (0, 1), (2, 2), 3),
    ((9, 3, 1, 30), (3, 1, 1, 5), (1, 1), (0, 2), (1, 1), 3),  # one-dimensional
    ((2, 3, 4, 3), (3, 1, 2, 2), (1, 1), (4, 5), (1, 1), 3),  # windows that see nothing but the border
    ((2, 3, 10, 10), (3, 1, 2, 2), (3, 3), (0, 0), (1, 1), 3),
    ((0, 3, 6, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 12, 40, 200), (4, 12, 5, 5), (1, 1), (2, 2), (1, 1), 1),  # one image takes several blocks
]
WINOGRAD = [
    ((5, 16, 24, 24), (16, 16, 3, 3), (0, 0)),
    ((7, 17, 13, 19), (18, 17, 3, 3), (1, 1)),
    ((4, 16, 26, 26), (32, 16, 3, 3), (0, 2)),
    ((9, 48, 14, 14), (48, 48, 5, 5), (2, 2)),
    ((9, 50, 13, 12), (48, 50, 5, 5), (2, 1)),
]


def convolve(x_shape, w_shape, stride, padding, dilation, groups, dtype, bound=None):
    rng = np.random.default_rng(1)
    attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    values = rng.standard_normal(x_shape).astype(dtype)
    weight = rng.standard_normal(w_shape).astype(dtype)
    bias = rng.standard_normal(w_shape[0]).astype(dtype)
    out = reference("conv2d", values, weight, None, **attributes).shape
    gradient = rng.standard_normal(out).astype(dtype)
    for i, x in enumerate(layouts(values)):
        check("conv2d", (x, weight, bias if i % 2 == 0 else None), attributes, bound)
    for g in layouts(gradient):
        check("conv2d_input", (g, weight), {"x_size": x_shape, **attributes}, bound)
    for x, g in zip(layouts(values), [*layouts(gradient)][::-1], strict=True):
        check("conv2d_weight", (x, g), {"weight_size": w_shape, **attributes}, bound)
    turned = np.ascontiguousarray(weight[:, :, ::-1, ::-1])[:, :, ::-1, ::-1]  # a weight that is not contiguous
    check("conv2d", (values, turned, bias), attributes, bound)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block", [1 << 12, 1 << 20])
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolution(case, block, dtype, monkeypatch):
    monkeypatch.setattr(cpu_windows, "_BLOCK", block)
    convolve(*case, dtype)


HALVED = [
    ((5, 32, 24, 24), (32, 32, 5, 5), (2, 2)),
    ((7, 33, 25, 18), (34, 33, 5, 5), (2, 0)),
    ((7, 32, 21, 27), (36, 32, 5, 5), (0, 4)),
]
EACH = [((5, 64, 24, 24), (80, 32, 3, 3), (1, 1)), ((7, 99, 13, 13), (96, 33, 3, 3), (0, 1))]


@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize(
    ("x", "weight", "padding", "stride", "how"),
    [
        *[(*case, (1, 1), "winograd") for case in WINOGRAD],
        *[(*case, (2, 2), "halved") for case in HALVED],
        *[(*case, (1, 1), "each") for case in EACH],
    ],
)
def test_winograd(x, weight, padding, stride, how, precise, monkeypatch):
    groups = x[1] // weight[1]
    assert cpu_convolution.choose(x, weight, stride, padding, (1, 1), groups, True) == how
    used = []
    monkeypatch.setattr(cpu, "precise", precise)
    real = cpu_convolution.winograd.forward
    monkeypatch.setattr(cpu_convolution.winograd, "forward", lambda *a, **named: used.append(1) or real(*a, **named))
    convolve(x, weight, stride, padding, (1, 1), groups, np.float32, 3e-6 if precise else 2e-5)
    assert bool(used) is not precise


def test_how_a_convolution_is_computed():
    """The rows of the table that need no more than small images."""
    plain = ((1, 1), (1, 1), (1, 1))
    assert cpu_convolution.choose((2, 8, 9, 9), (8, 1, 3, 3), *plain, 8, True) == "depthwise"
    assert cpu_convolution.choose((2, 8, 9, 9), (16, 1, 3, 3), *plain, 8, True) == "grouped"
    assert cpu_convolution.choose((2, 3, 28, 28), (8, 3, 3, 3), *plain, 1, True) == "planar"
    assert cpu_convolution.choose((2, 8, 9, 9), (8, 8, 1, 1), *plain, 1, True) == "rows"
    assert cpu_convolution.choose((64, 64, 32, 32), (64, 64, 5, 5), (2, 2), (1, 1), (1, 1), 1, True) == "rows"


def test_precise_can_be_set_before_anything_is_computed():
    code = "import chainrule as cr; assert cr.backends.cpu.precise is False; cr.backends.cpu.precise = True"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_small_integers_convolve_exactly_when_precise(monkeypatch):
    monkeypatch.setattr(cpu, "precise", True)
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, (4, 16, 12, 12)).astype(np.float32)
    weight = rng.integers(-4, 5, (16, 16, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(XP.conv2d(x, weight, padding=(1, 1)), reference("conv2d", x, weight, padding=(1, 1)))


def test_other_dtypes_run_the_forward():
    x = np.arange(32).reshape(1, 2, 4, 4)
    weight = np.arange(8).reshape(1, 2, 2, 2)
    for dtype in (np.int64, np.float16):
        got = XP.conv2d(x.astype(dtype), weight.astype(dtype))
        np.testing.assert_array_equal(got, reference("conv2d", x.astype(dtype), weight.astype(dtype)))
        assert got.dtype == dtype
    assert XP.max_pool2d(x, kernel=(2, 2), stride=(2, 2)).dtype == x.dtype


@pytest.mark.parametrize("shapes", [((1, 2, 3, 3), (1, 2, 4, 4)), ((1, 3, 4, 4), (1, 2, 3, 3))])
def test_misfits_raise_as_the_forward_does(shapes):
    x, weight = (np.ones(s, dtype=np.float32) for s in shapes)
    with pytest.raises(ValueError) as wanted:
        reference("conv2d", x, weight)
    with pytest.raises(ValueError) as got:
        XP.conv2d(x, weight)
    assert str(got.value) == str(wanted.value)


# ---- pooling --------------------------------------------------------------------------------------------------------

POOLINGS = [
    ((3, 4, 8, 6), {"kernel": (2, 2), "stride": (2, 2)}),
    ((3, 4, 9, 7), {"kernel": (2, 2), "stride": (2, 2)}),
    ((3, 4, 9, 7), {"kernel": (2, 2), "stride": (2, 2), "ceil_mode": True}),
    ((2, 3, 9, 12), {"kernel": (3, 4), "stride": (3, 4), "ceil_mode": True}),
    ((2, 3, 9, 12), {"kernel": (1, 3), "stride": (2, 4)}),
    ((2, 3, 9, 12), {"kernel": (3, 3), "stride": (2, 2)}),
    ((2, 3, 9, 12), {"kernel": (3, 2), "stride": (2, 2), "padding": (1, 1)}),
    ((1, 1, 1, 1), {"kernel": (1, 1), "stride": (1, 1)}),
    ((0, 2, 4, 4), {"kernel": (2, 2), "stride": (2, 2)}),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "given"), POOLINGS, ids=str)
def test_max_pooling(shape, given, dtype):
    rng = np.random.default_rng(2)
    values = rng.integers(-3, 4, shape).astype(dtype)  # many ties: the first of them gets the gradient
    back = {"padding": (0, 0), "dilation": (1, 1), **given}
    back.pop("ceil_mode", None)
    for i, x in enumerate(layouts(values)):
        check("max_pool2d", (x,), given)
        y = reference("max_pool2d", x, **given)
        for g in layouts(rng.standard_normal(y.shape).astype(dtype)):
            check("max_pool2d_back", (g, x, [*layouts(y)][i]), back)


@pytest.mark.parametrize("more", [{}, {"divisor_override": 3}, {"count_include_pad": False}])
@pytest.mark.parametrize(("shape", "given"), POOLINGS, ids=str)
def test_average_pooling(shape, given, more):
    if not shape[0]:
        pytest.skip("the declared forward of the average needs an image")
    rng = np.random.default_rng(3)
    back = {"padding": (0, 0), "count_include_pad": True, "divisor_override": None, **given, **more}
    back.pop("ceil_mode", None)
    for x in layouts(rng.standard_normal(shape).astype(np.float32)):
        check("avg_pool2d", (x,), {**given, **more})
    out = reference("avg_pool2d", x, **given, **more)
    for g in layouts(rng.standard_normal(out.shape).astype(np.float32)):
        check("avg_pool2d_back", (g,), {"x_size": shape, **back})


def test_nan_is_a_maximum():
    x = np.zeros((1, 1, 2, 4), dtype=np.float32)
    x[0, 0, 1, 2] = np.nan
    got = XP.max_pool2d(x, kernel=(2, 2), stride=(2, 2))
    assert got[0, 0, 0, 0] == 0 and np.isnan(got[0, 0, 0, 1])


# ---- matrix products ------------------------------------------------------------------------------------------------

PRODUCTS = [
    ((64, 50), (50, 40)),
    ((7, 300), (300, 90)),
    ((4, 2000), (2000, 3)),
    ((5, 6, 30), (30, 20)),
    ((5, 6, 30), (5, 30, 20)),
    ((1, 6, 30), (5, 30, 20)),
    ((6, 30), (5, 30, 20)),
    ((2, 1, 6, 30), (3, 30, 20)),
    ((1, 3, 6, 30), (30, 20)),
    ((40, 50), (50,)),
    ((50,), (50, 40)),
    ((3, 40, 50), (50,)),
    ((0, 50), (50, 40)),
    ((40, 0), (0, 50)),
    ((0, 6, 30), (0, 30, 20)),
]


@pytest.mark.parametrize("with_numba", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("a", "b"), PRODUCTS)
def test_products(a, b, dtype, with_numba, monkeypatch):
    monkeypatch.setattr(compiled, "available", with_numba and compiled.available)
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal(a).astype(dtype), rng.standard_normal(b).astype(dtype)
    for left in (x, np.ascontiguousarray(x.T).T, np.repeat(x, 2, -1)[..., ::2]):
        for right in (y, np.ascontiguousarray(y.T).T, np.repeat(y, 2, 0)[::2] if y.ndim > 1 else y):
            wanted = np.matmul(left.astype(np.float64), right.astype(np.float64))
            got = XP.matmul(left, right)
            close(got, wanted, dtype)
            pool.set_num_threads(1)
            np.testing.assert_array_equal(XP.matmul(left, right), got)
            pool.set_num_threads(2)


@pytest.mark.parametrize("with_numba", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("a", "n"), [((70, 40), 30), ((30, 40), 70), ((2, 3, 900), 5), ((7, 20, 8), 9), ((900,), 4), ((0, 40), 30)]
)
def test_products_with_a_bias(a, n, dtype, with_numba, monkeypatch):
    monkeypatch.setattr(compiled, "available", with_numba and compiled.available)
    rng = np.random.default_rng(4)
    x, w, bias = (rng.standard_normal(s).astype(dtype) for s in (a, (n, a[-1]), (n,)))
    for left in (x, np.ascontiguousarray(x.T).T):
        for right in (w, np.asfortranarray(w)):
            for b in (bias, None, np.repeat(bias, 2)[::2]):
                wanted = np.matmul(left.astype(np.float64), right.T.astype(np.float64))
                got = XP.linear(left, right, b)
                close(got, wanted + (0 if b is None else b), dtype)
                pool.set_num_threads(1)
                np.testing.assert_array_equal(XP.linear(left, right, b), got)
                pool.set_num_threads(2)


def test_products_of_other_dtypes_and_misfits():
    x = np.arange(200).reshape(10, 20)
    np.testing.assert_array_equal(XP.matmul(x, x.T), np.matmul(x, x.T))
    assert XP.matmul(x.astype(np.float32), x.T.astype(np.float64)).dtype == np.float64
    for other in (np.ones((21, 30)), np.ones((3, 21, 30))):
        with pytest.raises(ValueError, match="matmul"):
            XP.matmul(x.astype(np.float64), other)


@pytest.mark.parametrize(
    ("a", "b"), [((60, 1), (1, 50)), ((3, 60, 1), (1, 50)), ((2, 1, 30, 1), (3, 1, 40)), ((60, 2), (2, 50))]
)
def test_products_of_columns_and_rows(a, b):
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal(a).astype(np.float32), rng.standard_normal(b).astype(np.float32)
    for left in (x, np.asfortranarray(x), np.repeat(x, 2, -2)[..., ::2, :]):
        got = XP.matmul(left, y)
        assert got.flags.c_contiguous
        np.testing.assert_allclose(got, np.matmul(left, y), rtol=1e-6)
    with pytest.raises(ValueError, match="matmul"):
        XP.matmul(x, np.ones((3, 2000), np.float32))


def test_transposed_matmul():
    rng = np.random.default_rng(6)
    x, y = (rng.standard_normal(s).astype(np.float32) for s in ((30, 20), (30, 40)))
    for left in (x, np.asfortranarray(x)):
        check("transposed_matmul", (left, y), {})


@pytest.mark.parametrize(
    ("x", "shape"),
    [(np.float32(3), (2, 3)), (np.ones((2, 1)), (4, 2, 3)), (np.ones((0, 1)), (0, 3)), (np.ones(2), (2,))],
)
def test_broadcast_to(x, shape):
    got, wanted = XP.broadcast_to(x, shape), np.broadcast_to(x, shape)
    assert (got.shape, got.strides, got.dtype) == (wanted.shape, wanted.strides, wanted.dtype)
    assert not got.flags.writeable
    np.testing.assert_array_equal(got, wanted)
    for wrong in ((-1, 3), (5, 7)):
        with pytest.raises(ValueError, match="shape"):
            XP.broadcast_to(np.ones((2, 3)), wrong)


def test_linear():
    rng = np.random.default_rng(5)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((3, 20, 30), (40, 30), (40,)))
    check("linear", (x, w, b), {})


# ---- along rows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 16), (7, 40), (40, 17), (3, 1000), (5, 10), (70, 3), (1, 1), (2, 20, 3)])
def test_cross_entropy(shape, dtype):
    rng = np.random.default_rng(8)
    x = (rng.standard_normal(shape) * 30).astype(dtype)
    places = (shape[0], *shape[2:])
    target, g = rng.integers(0, shape[1], places), rng.standard_normal(places).astype(dtype)
    for logits in (x, np.repeat(x, 2, -1)[..., ::2]):
        check("class_cross_entropy", (logits, target), {})
        check("class_cross_entropy_back", (logits, target, g), {})


def test_cross_entropy_of_certain_classes():
    for classes in (5, 20):
        x = np.zeros((4, classes), dtype=np.float32)
        x[:, 3] = [0, 100, 1e30, -1e30]
        target = np.full(4, 3)
        for name, more in (("class_cross_entropy", ()), ("class_cross_entropy_back", (np.full(4, 1e3, np.float32),))):
            got, wanted = getattr(XP, name)(x, target, *more), reference(name, x, target, *more)
            np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-20)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_cross_entropy_of_numbers_that_are_not_finite():
    x = np.array([[np.nan, 1, 2], [np.inf, 1, 2], [-np.inf, 0, 1], [0, 0, 0]], dtype=np.float32)
    target, y = np.array([0, 1, 2, 0]), np.ones(4, np.float32)
    for name, more in (("class_cross_entropy", ()), ("class_cross_entropy_back", (y,))):
        got, wanted = getattr(XP, name)(x, target, *more), reference(name, x, target, *more)
        np.testing.assert_allclose(got, wanted, rtol=1e-6)  # where NaN equals NaN
    with pytest.raises(IndexError):
        XP.class_cross_entropy(x, target + 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "axis"), [((9, 40), (1,)), ((2, 5, 17), (2,)), ((3, 4, 6, 5), (2, 3)), ((8, 40), (0,)), ((6, 5), (1,))]
)
def test_standardise(shape, axis, dtype):
    rng = np.random.default_rng(9)
    x, g = rng.standard_normal(shape) * 3 + 1, rng.standard_normal(shape).astype(dtype)
    given = {"axis": axis, "eps": 1e-5}
    for values in (x.astype(dtype), np.repeat(x.astype(dtype), 2, -1)[..., ::2]):
        check("standardise", (values,), given)
        check("standardise_back", (g, values, reference("standardise", values, **given)), given)
    x[0] = 2.5  # rows without variance
    np.testing.assert_allclose(
        XP.standardise(x.astype(dtype), **given), reference("standardise", x.astype(dtype), **given), atol=3e-6
    )


@pytest.mark.parametrize("about", [1, 20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (2, 7, 40), (1, 3, 4, 4), (2, 5, 3, 3), (6, 5)])
def test_batch_norm(shape, dtype, about):
    rng = np.random.default_rng(11)
    x = (rng.standard_normal(shape) * 3 + about).astype(dtype)
    weight, bias = rng.standard_normal((2, shape[1])).astype(dtype)
    for values in layouts(x) if x.ndim == 4 else (x,):
        for more in ((), (weight, bias), (weight, None), (None, bias)):
            wanted = reference("batch_norm", values.astype(np.float64), *more, eps=1e-3)
            got = XP.batch_norm(values, *more, eps=1e-3)
            for a, b in zip(got, wanted, strict=True):
                close(a, b, dtype)
            for threads in (1, 3):
                pool.set_num_threads(threads)
                np.testing.assert_array_equal(XP.batch_norm(values, *more, eps=1e-3)[0], got[0])


@pytest.mark.parametrize("about", [1, 20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (2, 7, 40), (1, 3, 4, 4), (2, 5, 3, 3), (6, 5), (50, 3), (9, 1200)])
def test_batch_norm_back(shape, dtype, about):
    rng = np.random.default_rng(11)
    x, g = (rng.standard_normal(shape) * 3 + about).astype(dtype), rng.standard_normal(shape).astype(dtype)
    (weight,) = rng.standard_normal((1, shape[1])).astype(dtype)
    axes = (0, *range(2, len(shape)))
    mean, var = x.mean(axes), x.var(axes)
    for values in layouts(x) if x.ndim == 4 else (x,):
        for slopes in layouts(g) if x.ndim == 4 else (g,):
            for scale in (weight, None):
                given = [a if a is None else a.astype(np.float64) for a in (slopes, values, mean, var, scale)]
                wanted = reference("batch_norm_back", *given, eps=1e-3)
                pool.set_num_threads(2)
                got = XP.batch_norm_back(slopes, values, mean, var, scale, eps=1e-3)
                for a, b in zip(got, wanted, strict=True):
                    close(a, b, dtype)
                pool.set_num_threads(3)
                again = XP.batch_norm_back(slopes, values, mean, var, scale, eps=1e-3)
                for a, b in zip(again, got, strict=True):
                    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "axis"), [((9, 40), (1,)), ((2, 5, 17), (2,)), ((3, 4, 6, 5), (2, 3)), ((40,), (0,))]
)
def test_layer_norm(shape, axis, dtype):
    rng = np.random.default_rng(12)
    x, g = (rng.standard_normal(shape) * 3 + 1).astype(dtype), rng.standard_normal(shape).astype(dtype)
    weight, bias = rng.standard_normal((2, *shape[axis[0] :])).astype(dtype)
    given = {"axis": axis, "eps": 1e-5}
    for values in (x, np.repeat(x, 2, -1)[..., ::2]):
        for more in ((), (weight, bias), (weight, None), (None, bias)):
            check("layer_norm", (values, *more), given)
        for more in ((), (weight,)):
            exact = [a.astype(np.float64) for a in (g, values, *more)]
            wanted, got = (
                reference("layer_norm_back", *exact, **given),
                XP.layer_norm_back(g, values, *more, **given),
            )
            for a, b in zip(got, wanted, strict=True):
                close(a, b, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("size", [3, 50])
def test_rows_added_by_index(size, depth, dtype):
    """Into an array that is much larger than what is added, and one that is not; rows named more than once."""
    rng = np.random.default_rng(10)
    array = rng.integers(-9, 10, (size,) * depth + (40, 12)[depth - 1 :]).astype(dtype)
    index = tuple(rng.integers(-size, size, (5, 6)) for _ in range(depth))
    values = rng.integers(-9, 10, (5, 6, *array.shape[depth:])).astype(dtype)
    wanted = array.copy()
    np.add.at(wanted, index, values)
    scatter.scatter_add(array, index, values)
    np.testing.assert_array_equal(array, wanted)
    for wrong in (size, -size - 1):
        with pytest.raises(IndexError, match="out of bounds"):
            scatter.scatter_add(array, (np.where(index[0] == index[0].max(), wrong, index[0]), *index[1:]), values)


# ---- elementwise ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["relu", "sigmoid", "erf", "gelu"])
@pytest.mark.parametrize("shape", [(3, 2, 5, 7), (2, 9, 41, 47), (8, 64, 52, 52)])
def test_elementwise(name, shape, dtype):
    values = (np.random.default_rng(6).standard_normal(shape) * 20).astype(dtype)
    for x in layouts(values):
        check(name, (x,), {})
    got = getattr(XP, name)(values.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(got, getattr(XP, name)(values).transpose(0, 2, 3, 1))


def test_elementwise_special_values():
    wide = np.array([-np.inf, -1e30, -9, -0.0, 1e-30, 1e-3, 0.5, 4, 1e30, np.inf, np.nan], dtype=np.float32)
    np.testing.assert_allclose(XP.erf(wide), scipy.special.erf(wide.astype(np.float64)), rtol=1e-6)
    for dtype in (np.float32, np.float64):
        x = np.tile(np.array([-np.inf, -1000, -80, -0.0, 0.0, 80, 1000, np.inf, np.nan], dtype=dtype), 5000)
        for name in ("relu", "sigmoid"):
            np.testing.assert_allclose(getattr(XP, name)(x), reference(name, x), rtol=4 * np.finfo(dtype).eps)
    assert XP.relu(np.arange(-40000, 40000)).dtype == np.int64


@pytest.mark.parametrize(("dtype", "lowest", "bound"), [(np.float32, -87, 4e-7), (np.float64, -708, 1e-15)])
def test_tails_of_sigmoid(dtype, lowest, bound):
    """Each value by itself, whether or not another is so low that its exponential is infinite."""
    x = np.linspace(lowest, 40, 5000).astype(dtype)
    got = XP.sigmoid(x)
    np.testing.assert_allclose(got, scipy.special.expit(x.astype(np.float64)), rtol=bound)
    low = np.linspace(lowest * 1.15, lowest, 100).astype(dtype)
    both = XP.sigmoid(np.concatenate([low, x]))
    np.testing.assert_array_equal(both[100:], got)
    np.testing.assert_allclose(
        both[:100], np.exp(low.astype(np.float64)), rtol=bound, atol=2 * np.nextafter(dtype(0), 1)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["sigmoid_back", "tanh_back"])
def test_gradients_of_activations(name, dtype, monkeypatch):
    for least, part in (("_SLOPES", 1), ("_SLOPES_WORTH", 1), ("_PART", 100)):
        monkeypatch.setattr(cpu_elementwise, least, part)
    rng = np.random.default_rng(9)
    g, y = (rng.uniform(-1, 1, (5, 3, 120, 41)).astype(dtype) for _ in range(2))
    for slopes, values in (
        (g, y),
        (g.transpose(0, 2, 3, 1), y.transpose(0, 2, 3, 1)),
        (g.mT, np.ascontiguousarray(y.mT)),
    ):
        check(name, (slopes, values), {})
    check(name, (np.broadcast_to(g[:1, :1, :1, :1], g.shape), y), {})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(9, 24, 30, 31), (65, 33, 8, 8), (40, 200, 9, 9)])
def test_bias_gradients(shape, dtype):
    values = np.random.default_rng(7).standard_normal(shape).astype(dtype)
    for x in layouts(values):
        close(XP.sum(x, axis=(0, 2, 3)), values.astype(np.float64).sum((0, 2, 3)), dtype, 1e-5)
        rows = x.transpose(0, 2, 3, 1).reshape(-1, shape[1])
        for axis in (0, (0,)):
            close(XP.sum(rows, axis=axis), rows.astype(np.float64).sum(0), dtype, 1e-5)
        assert XP.sum(rows, axis=0, keepdims=True).shape == (1, shape[1])
    assert cpu_elementwise.column_sums(np.zeros((70000, 2), dtype=np.int64)) is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 900), (512, 10), (513, 64), (700, 513), (2048, 1), (4, 130, 30), (2, 3, 900)])
def test_bias_gradients_of_linear_layers(shape, dtype):
    values = np.random.default_rng(8).standard_normal(shape).astype(dtype)
    values[0, ..., 0], values[..., -1] = np.nan, np.abs(values[..., -1])
    values[-1, ..., -1] = np.inf
    axis = tuple(range(values.ndim - 1))
    got, wanted = XP.sum(values, axis=axis), np.sum(values.astype(np.float64), axis=axis)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-4 if dtype == np.float32 else 1e-12)


# ---- recurrent layers -----------------------------------------------------------------------------------------------


def several(name, args, kwargs, bound):
    """As `check`, for ops with several results."""
    dtype = args[0].dtype
    wanted = reference(name, *[None if a is None else a.astype(np.float64) for a in args], **kwargs)
    first = getattr(XP, name)(*args, **kwargs)
    kept = [y.copy() for y in first]
    assert len(first) == len(wanted)
    for got, exact in zip(first, wanted, strict=True):
        close(got, exact, dtype, bound)
        assert not any(a is not None and np.shares_memory(got, a) for a in args)
    for threads in (1, 3):
        pool.set_num_threads(threads)
        for got, before in zip(getattr(XP, name)(*args, **kwargs), kept, strict=True):
            np.testing.assert_array_equal(got, before)
    pool.set_num_threads(2)
    getattr(XP, name)(*[None if a is None else a * 2 + 1 for a in args], **kwargs)
    for got, before in zip(first, kept, strict=True):
        np.testing.assert_array_equal(got, before)
    return first


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("steps", "rows", "features", "hidden"), [(1, 2, 1, 8), (2, 3, 4, 5), (7, 2, 3, 9)])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_whole_sequences(kind, steps, rows, features, hidden, biased, reverse, dtype):
    rng = np.random.default_rng(8)
    gates, states = {"lstm": (4, 2), "gru": (3, 1)}[kind]
    biases = biased * (1 if kind == "lstm" else 2)
    shapes = [(rows, hidden)] * states + [(gates * hidden, features), (gates * hidden, hidden)]
    shapes += [(gates * hidden,)] * biases
    x = rng.standard_normal((rows, steps, features)).transpose(1, 0, 2)  # as from batch_first
    tensors = [a.astype(dtype, order="K") for a in (x, *(rng.standard_normal(s) for s in shapes))]
    bound = 2e-6 if dtype == np.float32 else 1e-13
    out, *inner = several(f"{kind}_sequence", tensors, {"reverse": reverse}, bound)
    gradients = [rng.standard_normal(y.shape).astype(dtype) for y in (out, *inner)]
    saved = [*tensors[:5], *inner] if kind == "lstm" else [x.astype(dtype), *tensors[2:4], *inner]
    ones = np.broadcast_to(np.asarray(1, dtype=dtype), out.shape)  # of a sum
    for given in (gradients, [*gradients[:2], None], [None, gradients[1], None], [ones, None, None]):
        several(f"{kind}_sequence_back", [*saved, *given], {"reverse": reverse}, 10 * bound)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_weights_too_large_for_sums_of_pieces(kind, monkeypatch):
    """The gradients of large weights are computed at once, after the last step."""
    monkeypatch.setattr(cpu_recurrent, "_MOST", 1)
    test_whole_sequences(kind, 7, 2, 3, 9, True, False, np.float32)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_error_in_the_steps_of_a_gradient(kind):
    """What waits for the steps does not wait for ever where they fail."""
    gates, states = {"lstm": (4, 2), "gru": (3, 1)}[kind]
    x, state = np.ones((6, 2, 3), dtype=np.float32), [np.ones((2, 5), dtype=np.float32)] * states
    weights = [np.ones((gates * 5, n), dtype=np.float32) for n in (3, 5)]
    out, *inner = getattr(XP, f"{kind}_sequence")(x, *state, *weights, reverse=False)
    saved = [x, *state, *weights] if kind == "lstm" else [x, *weights]
    with pytest.raises(ValueError, match="broadcast"):
        getattr(XP, f"{kind}_sequence_back")(*saved, *inner, out[:, :, :3], None, None, reverse=False)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_saturated_gates(kind):
    """Where every gate is at an end of its range nothing is lost but what its width cannot hold."""
    rows = {"lstm": 8, "gru": 6}[kind]
    for value in (-200.0, 200.0):
        state = [np.full((1, 2), 0.5, dtype=np.float32)] * (2 if kind == "lstm" else 1)
        weights = [np.full((rows, 1), value, dtype=np.float32), np.zeros((rows, 2), dtype=np.float32)]
        args = [np.ones((2, 1, 1), dtype=np.float32), *state, *weights]
        results = getattr(XP, f"{kind}_sequence")(*args, reverse=False)
        for got, wanted in zip(results, reference(f"{kind}_sequence", *args, reverse=False), strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-7)


# ---- attention ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("masked", ["no", "causal", "bools", "bools of all", "numbers", "padding"])
@pytest.mark.parametrize(
    ("lead", "queries", "keys"), [((), 1, 1), ((3,), 5, 9), ((2, 3), 17, 17), ((2, 1), 40, 11), ((5,), 8, 64)]
)
def test_attention(lead, queries, keys, masked, dtype, monkeypatch):
    """With blocks of 8 queries and keys, and a row that sees nothing where there is a mask."""
    for name, value in (("_LENGTH", 8), ("_BLOCK", 128), ("_WORTH", 1)):
        monkeypatch.setattr(cpu_attention, name, value)
    rng = np.random.default_rng(9)
    q, k, v = (
        np.swapaxes(rng.standard_normal((*lead, width, n)), -1, -2).astype(dtype, order="K")
        for n, width in ((queries, 6), (keys, 6), (keys, 4))
    )
    shape = {"bools": (queries, keys), "padding": (*[1] * bool(lead), 1, keys)}.get(masked, (*lead, queries, keys))
    mask = rng.random(shape) > 0.4
    mask[..., :1, : keys // 2 + 1] = False
    if masked in ("bools", "bools of all"):
        mask[..., :1, :] = False
    if masked == "numbers":
        mask = np.where(mask, rng.standard_normal(shape), -np.inf).astype(dtype)
    mask = None if masked in ("no", "causal") else mask
    attributes = {"scale": 3.0, "causal": masked == "causal"}
    bound = 1e-5 if dtype == np.float32 else 1e-13
    exact = [
        None if mask is None or mask.dtype == bool else mask.astype(np.float64),
        *(a.astype(float) for a in (q, k, v)),
    ]
    exact[0] = mask if exact[0] is None else exact[0]
    wanted = reference("attention", *exact, **attributes)
    gradients = [rng.standard_normal(y.shape) for y in wanted]
    wanted_back = reference("attention_back", *exact[1:], *wanted, *gradients, exact[0], **attributes)
    kept = None
    for threads in (1, 2, 3):
        pool.set_num_threads(threads)
        got = XP.attention(mask, q, k, v, **attributes)
        given = [g.astype(dtype) for g in gradients]
        got_back = XP.attention_back(q, k, v, *got, *given, mask, **attributes)
        for a, b in zip((*got, *got_back), (*wanted, *wanted_back), strict=True):
            close(a, b, dtype, bound)
        kept = kept or (*got, *got_back)
        for a, b in zip((*got, *got_back), kept, strict=True):
            np.testing.assert_array_equal(a, b)


def test_attention_memory_is_linear():
    """A sequence whose scores would take 256 MB; the blocks take a few."""
    q = np.random.default_rng(10).standard_normal((1, 8192, 4)).astype(np.float32)
    part = q[:, :2048]  # large enough for the compiled kernel, which is not compiled while memory is counted
    out, total = XP.attention(None, part, part, part, scale=0.5, causal=True)
    XP.attention_back(part, part, part, out, total, part, total, None, scale=0.5, causal=True)
    tracemalloc.start()
    try:
        out, total = XP.attention(None, q, q, q, scale=0.5, causal=True)
        XP.attention_back(q, q, q, out, total, q, total, None, scale=0.5, causal=True)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
