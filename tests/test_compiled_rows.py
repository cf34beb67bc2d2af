"""The compiled kernels of rows and channels: any shape, memory order and number of threads; special values; errors."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import gradcheck, gradgradcheck
from chainrule.backends import compiled, pool
from chainrule.backends.namespace import FORWARDS
from chainrule.nn import functional as F

pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(
        not compiled.enabled(), reason="Numba is not installed or switched off (pip install 'chainrule[fast]')"
    ),
]
XP = cr.device("cpu").xp
FLOATS = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def everything_compiled(monkeypatch):
    """However small an array is; in many parts; the number of threads is set back."""
    monkeypatch.setattr(compiled, "worth", 0)
    for module in ("batch_norm", "layer_norm", "softmax"):
        compiled.load(cr.device("cpu").backend, module)
    from chainrule.backends.compiled import layout, sums

    monkeypatch.setattr(sums, "_PART", 200)
    monkeypatch.setattr(layout, "_PART", 200)
    monkeypatch.setattr(layout, "_WORTH", 1)
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


def as_list(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


def check(name, *args, **kwargs):
    """Against the declared forward in float64; the same for any number of threads; arguments stay what they are."""
    dtype = args[0].dtype
    kept = [None if a is None else a.copy() for a in args]
    wide = [a.astype(np.float64) if a is not None and a.dtype.kind == "f" else a for a in args]
    wanted = as_list(FORWARDS[name](XP, *wide, **kwargs))
    results = []
    for threads in (1, 2, 3):
        pool.set_num_threads(threads)
        results.append(as_list(getattr(XP, name)(*args, **kwargs)))
    for got, again, third, w in zip(*results, wanted, strict=True):
        assert got.dtype == dtype and got.shape == w.shape
        bound = 2e-6 if dtype == np.float32 else 1e-13
        np.testing.assert_allclose(got, w, rtol=0, atol=bound * max(np.abs(w).max(initial=0.0), 1.0))
        np.testing.assert_array_equal(got, again)
        np.testing.assert_array_equal(got, third)
        assert not any(a is not None and np.shares_memory(got, a) for a in args)
    for a, k in zip(args, kept, strict=True):
        np.testing.assert_array_equal(a, k)
    return results[0]


def orders(x):
    """The same values in channels-first, channels-last, gapped and reversed memory."""
    yield x
    if x.ndim > 2:
        yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    yield np.repeat(x, 2, -1)[..., ::2]
    yield np.ascontiguousarray(x[::-1])[::-1]


# ---- layer normalisation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((7, 40), (1,)), ((300, 3), (1,)), ((2, 9000), (1,)), ((3, 4, 5, 6), (2, 3)), ((40,), (0,)), ((5, 1), (1,)),
     ((6, 7), (0,)), ((130, 70), (1,))],
)  # fmt: skip
def test_layer_norm(shape, axis, dtype):
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal(shape) * 3 + 1).astype(dtype), rng.standard_normal(shape).astype(dtype)
    weight, bias = rng.standard_normal((2, *[shape[a] for a in axis])).astype(dtype)
    for values in orders(x):
        for more in ((), (weight, bias), (weight, None), (None, bias)):
            if axis != (0,) or len(shape) == 1 or not more:
                check("layer_norm", values, *more, axis=axis, eps=1e-3)
    if axis[-1] == len(shape) - 1:
        for slopes in orders(g):
            for more in ((), (weight,)):
                check("layer_norm_back", slopes, x, *more, axis=axis, eps=1e-3)


def test_layer_norm_of_rows_far_from_zero():
    """The variance is taken about the mean: of numbers around 10000 that differ by 1, too."""
    x = (10_000 + np.random.default_rng(1).standard_normal((20, 600))).astype(np.float32)
    wanted = FORWARDS["layer_norm"](XP, x.astype(np.float64), axis=(1,), eps=0.0)
    np.testing.assert_allclose(XP.layer_norm(x, axis=(1,), eps=0.0), wanted, atol=2e-3)


def test_a_nan_stays_in_its_row():
    x = np.ones((3, 50), dtype=np.float32)
    x[:, 0] = [0, np.nan, np.inf]
    for name, more in (("layer_norm", {"axis": (1,)}), ("softmax", {"axis": 1}), ("log_softmax", {"axis": 1})):
        got = getattr(XP, name)(x, **more)
        np.testing.assert_array_equal(np.isfinite(got).all(1), [True, False, False])
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(np.isnan(got), np.isnan(FORWARDS[name](XP, x, **more)))


# ---- batch normalisation --------------------------------------------------------------------------------------------

SHAPES = [
    (3, 4, 5, 6), (2, 7, 40), (40, 3), (9, 600), (1, 3, 4, 4), (2, 1, 3, 3), (2, 3, 2, 3, 4), (300, 20), (1, 2, 9000),
]  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm(shape, dtype):
    rng = np.random.default_rng(2)
    x, g = (rng.standard_normal(shape) * 3 + 1).astype(dtype), rng.standard_normal(shape).astype(dtype)
    weight, bias = rng.standard_normal((2, shape[1])).astype(dtype)
    axes = (0, *range(2, len(shape)))
    mean, var = x.mean(axes), x.var(axes)
    for values in orders(x):
        for more in ((), (weight, bias), (weight, None), (None, bias)):
            out = check("batch_norm", values, *more, eps=1e-3)[0]
            if np.moveaxis(values, 1, -1).flags.c_contiguous:
                assert np.moveaxis(out, 1, -1).flags.c_contiguous
        for slopes in orders(g):
            for scale in (weight, None):
                check("batch_norm_back", slopes, values, mean, var, scale, eps=1e-3)


@pytest.mark.parametrize("order", [0, 1])
def test_the_variance_of_channels_far_from_zero(order):
    rng = np.random.default_rng(3)
    x = (1000 * np.arange(4)[:, None, None] + rng.standard_normal((5, 4, 30, 30))).astype(np.float32)
    values = list(orders(x))[order]
    _, mean, var = XP.batch_norm(values)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean((0, 2, 3)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(var, x.astype(np.float64).var((0, 2, 3)), rtol=1e-5)


# ---- softmax and cross-entropy --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((7, 40), 1), ((3, 1), 1), ((300, 3), -1), ((2, 9000), 1), ((2, 3, 17), 2), ((40,), 0), ((6, 5), 0)],
)
def test_softmax(shape, axis, dtype):
    rng = np.random.default_rng(4)
    x, g = (rng.standard_normal(shape) * 20).astype(dtype), rng.standard_normal(shape).astype(dtype)
    for values in orders(x):
        for name in ("softmax", "log_softmax"):
            (out,) = check(name, values, axis=axis)
            check(f"{name}_back", g, out, axis=axis)
            check(f"{name}_back", np.broadcast_to(g.dtype.type(0.5), shape), out, axis=axis)


def test_softmax_of_extremes():
    inf = np.inf
    x = np.array([[1e30, 0, -1e30], [-inf, 0, 0], [-inf, -inf, 5], [-300, -200, -100], [0, -0.0, 0]], np.float32)
    np.testing.assert_allclose(XP.softmax(x, axis=1), FORWARDS["softmax"](XP, x, axis=1), rtol=2e-6)
    np.testing.assert_allclose(XP.log_softmax(x, axis=1), FORWARDS["log_softmax"](XP, x, axis=1), rtol=2e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", [np.int64, np.uint8])
@pytest.mark.parametrize("shape", [(7, 40), (3, 1), (300, 3), (2, 9000), (2, 3, 17)])
def test_cross_entropy(shape, kind, dtype):
    rng = np.random.default_rng(5)
    places = (shape[0], *shape[2:])
    x = (rng.standard_normal(shape) * 20).astype(dtype)
    target = rng.integers(0, min(shape[1], 256), places).astype(kind)
    y = rng.standard_normal(places).astype(dtype)
    for values in orders(x):
        check("class_cross_entropy", values, target)
        check("class_cross_entropy_back", values, target, y)
    if kind == np.int64:
        check("class_cross_entropy", x, target - shape[1])


@pytest.mark.parametrize("wrong", [4, -5])
def test_a_class_outside_of_the_row(wrong):
    x, target = np.zeros((3, 4), np.float32), np.array([0, wrong, 1])
    with pytest.raises(IndexError):
        XP.class_cross_entropy(x, target)
    with pytest.raises(IndexError):
        XP.class_cross_entropy_back(x, target, np.ones(3, np.float32))


# ---- as layers ------------------------------------------------------------------------------------------------------


def test_all_gradients_at_once_are_those_of_the_rules():
    """What one rule gives for arrays against the rules for one argument each, which also serve higher derivatives."""
    cr.manual_seed(0)
    x = cr.randn(6, 5, 4, dtype=cr.float64, requires_grad=True)
    weight, bias = (cr.randn(n, dtype=cr.float64, requires_grad=True) for n in (4, 4))
    of_channels = [cr.randn(5, dtype=cr.float64, requires_grad=True) for _ in range(2)]
    for function, inputs in (
        (lambda *t: F.layer_norm(t[0], (4,), *t[1:]), (x, weight, bias)),
        (lambda *t: F.batch_norm(t[0], None, None, *t[1:], training=True), (x, *of_channels)),
    ):
        gradcheck(function, inputs)
        gradgradcheck(function, inputs)
        seed = cr.randn(6, 5, 4, dtype=cr.float64)
        at_once = cr.autograd.grad(function(*inputs), inputs, seed)
        recorded = cr.autograd.grad(function(*inputs), inputs, seed, create_graph=True)
        for i, (a, b) in enumerate(zip(at_once, recorded, strict=True)):
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), atol=1e-12)
            (alone,) = cr.autograd.grad(function(*inputs), inputs[i], seed)
            np.testing.assert_allclose(alone.numpy(), a.numpy(), atol=1e-12)
