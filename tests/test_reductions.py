"""Reductions, scans, sorting and quantiles: ties, NaN, dtypes, dimensions and errors (gradients: test_ops.py)."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr

NAN, INF = math.nan, math.inf


def value(t):
    return t.numpy(force=True)


def slope(function, x):
    """The gradient of the sum of the (first) result."""
    t = cr.tensor(x, dtype=cr.float64, requires_grad=True)
    result = function(t)
    result = result[0] if isinstance(result, tuple) else result
    (g,) = cr.autograd.grad(result.sum(), t)
    return value(g).tolist()


# ---- ties, NaN and infinities ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (lambda t: t.max(), [1.0, 3.0, 3.0], [0.0, 0.5, 0.5]),
        (lambda t: t.amax(0), [1.0, 3.0, 3.0], [0.0, 0.5, 0.5]),
        (lambda t: t.max(0), [1.0, 3.0, 3.0], [0.0, 1.0, 0.0]),
        (lambda t: t.max(), [1.0, NAN, NAN], [0.0, 0.5, 0.5]),
        (lambda t: cr.aminmax(t).min, [2.0, 2.0, 3.0], [0.5, 0.5, 0.0]),
        (lambda t: t.median(), [2.0, 2.0, 2.0, 5.0], [1 / 3, 1 / 3, 1 / 3, 0.0]),
        (lambda t: t.median(), [1.0, NAN, NAN], [0.0, 0.5, 0.5]),
        (lambda t: t.nanmedian(), [1.0, NAN, 3.0], [1.0, 0.0, 0.0]),
        (lambda t: t.median(0), [2.0, 2.0, 2.0, 5.0], [0.0, 1.0, 0.0, 0.0]),
        (lambda t: t.cummax(0), [1.0, 3.0, 3.0, 2.0], [1.0, 1.0, 2.0, 0.0]),
        (lambda t: t.cummin(0), [3.0, 1.0, 1.0, 2.0], [1.0, 1.0, 2.0, 0.0]),
        (lambda t: t.mode(), [2.0, 1.0, 2.0], [0.0, 0.0, 1.0]),
        (lambda t: t.nansum(), [1.0, NAN, 3.0], [1.0, 0.0, 1.0]),
        (lambda t: t.nanmean(), [1.0, NAN, 3.0], [0.5, 0.0, 0.5]),
        (lambda t: t.std(), [2.0, 2.0, 2.0], [0.0, 0.0, 0.0]),
        (lambda t: t.sort(descending=True), [2.0, 2.0, 3.0], [1.0, 1.0, 1.0]),
        (lambda t: t.kthvalue(2), [5.0, 1.0, 3.0], [0.0, 0.0, 1.0]),
        (lambda t: t.quantile(0.25), [3.0, 1.0, 2.0], [0.0, 0.5, 0.5]),
        (lambda t: t.quantile(0.5, interpolation="higher"), [3.0, 1.0, 2.0, 4.0], [1.0, 0.0, 0.0, 0.0]),
        (lambda t: t.logcumsumexp(0), [-INF, 0.0], [0.0, 1.0]),
    ],
)
def test_who_gets_the_gradient(function, x, expected):
    np.testing.assert_allclose(slope(function, x), expected, rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1])
def test_products_with_zeros_have_the_gradient_of_the_polynomial(axis):
    x = np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 5.0], [1.0, 2.0, 0.0]])
    for function in (lambda t: t.prod(axis), lambda t: t.cumprod(axis), lambda t: t.prod()):
        t = cr.tensor(x, requires_grad=True)
        (g,) = cr.autograd.grad(function(t).sum(), t, create_graph=True)
        # the polynomial is linear in each element: its slope is a difference of two values
        expected = np.zeros_like(x)
        for i in np.ndindex(*x.shape):
            one, zero = x.copy(), x.copy()
            one[i], zero[i] = 1.0, 0.0
            expected[i] = float(function(cr.tensor(one)).sum() - function(cr.tensor(zero)).sum())
        np.testing.assert_allclose(value(g), expected, rtol=1e-12)
        (h,) = cr.autograd.grad((g * g).sum(), t)
        assert np.isfinite(value(h)).all()


def test_nan_in_extremes_scans_and_order():
    x = cr.tensor([2.0, NAN, 1.0, NAN])
    assert math.isnan(x.max().item())
    assert x.argmax().item() == x.argmin().item() == x.max(0).indices.item() == 1
    assert x.cummax(0).indices.tolist() == [0, 1, 1, 3]
    assert x.sort().indices.tolist() == [2, 0, 1, 3]
    assert x.sort(descending=True).indices.tolist() == [1, 3, 0, 2]
    assert math.isnan(x.median().item())
    assert x.nanmedian().item() == 1.0
    assert x.nanmedian(0) == (1.0, 2)
    assert x.nanquantile(0.5).item() == 1.5
    assert math.isnan(x.quantile(0.0).item())
    assert math.isnan(cr.tensor([NAN, NAN]).nanmean().item())
    assert cr.tensor([NAN, NAN]).nansum().item() == 0.0
    assert x.topk(3).indices.tolist() == [1, 3, 0]


def test_logcumsumexp_neither_overflows_nor_makes_nan():
    x = cr.tensor([-INF, -INF, 1000.0, 1000.0, -1000.0, INF, 0.0], dtype=cr.float64, requires_grad=True)
    out = x.logcumsumexp(0)
    ln2 = math.log(2)
    np.testing.assert_allclose(value(out), [-INF, -INF, 1000, 1000 + ln2, 1000 + ln2, INF, INF])
    (g,) = cr.autograd.grad(out[:5].sum(), x)
    np.testing.assert_allclose(value(g)[:5], [0.0, 0.0, 2.0, 1.0, 0.0], atol=1e-12)


def test_variance_with_too_few_elements():
    assert math.isnan(cr.tensor([1.0]).var().item())
    assert cr.tensor([1.0, 3.0]).var(correction=3).item() == INF
    assert cr.tensor([1.0, 3.0]).var(correction=None).item() == 2.0
    assert cr.tensor([1.0, 3.0]).var(False).item() == 1.0


# ---- dtypes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [cr.bool, cr.uint8, cr.int32])
def test_integers_are_summed_as_int64(dtype):
    x = cr.tensor([1, 0, 1]).to(dtype)
    for result in (x.sum(), x.prod(), x.nansum(), x.cumsum(0), x.cumprod(0), x.count_nonzero()):
        assert result.dtype == cr.int64
    for name in ("sum", "prod", "nansum"):
        for asked in (cr.int32, cr.bool, cr.float64):
            assert getattr(x, name)(dtype=asked).dtype == asked
    assert x.cumsum(0, dtype=cr.int32).dtype == cr.int32
    assert x.max().dtype == x.sort().values.dtype == x.cummax(0).values.dtype == x.unique().dtype == dtype
    expected = cr.uint8 if dtype == cr.uint8 else cr.bool
    assert x.any().dtype == x.all(0).dtype == expected
    for name in ("mean", "nanmean", "std", "var"):
        with pytest.raises(RuntimeError, match=f"{name}: expected a floating-point tensor"):
            getattr(x, name)()
    with pytest.raises(RuntimeError, match="mean: expected a floating-point tensor"):
        x.mean(dtype=cr.int64)


@pytest.mark.parametrize("dtype", [cr.float16, cr.bfloat16])
def test_two_byte_floats_are_accumulated_in_float32(dtype):
    ones = cr.ones(3000, dtype=dtype)  # in their own dtype, a running sum would stop at 2048 or 256
    for result in (ones.sum(), ones.nansum(), ones.cumsum(0)[-1]):
        assert result.dtype == dtype
        assert abs(result.item() - 3000) <= 8
    for result in (ones.mean(), ones.nanmean(), ones.cumprod(0)[-1], ones.prod()):
        assert (result.dtype, result.item()) == (dtype, 1.0)
    assert ones.var().item() == 0.0
    assert abs(cr.tensor([0.0, 1000.0], dtype=dtype).std().item() - 707) < 4  # the variance overflows float16
    assert abs(cr.logsumexp(ones, 0).item() - math.log(3000) - 1) < 0.05


# ---- dimensions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "mean", "nansum", "nanmean", "var", "std", "amax", "amin", "logsumexp"])
def test_forms_of_dim(name):
    x = cr.tensor(np.random.default_rng(0).normal(size=(2, 3, 4)))
    f = getattr(x, name)
    everything = value(f((0, 1, 2)))
    for dim in ((), [], (-1, 0, 1)):
        np.testing.assert_allclose(value(f(dim)), everything)
    np.testing.assert_allclose(value(f([0, -1])), value(f(dim=(0, 2))))
    np.testing.assert_allclose(value(f(axis=1, keepdims=True)), value(f(1, keepdim=True)))
    assert f((0, 2), keepdim=True).shape == (1, 3, 1)
    assert f((), keepdim=True).shape == (1, 1, 1)
    with pytest.raises(RuntimeError, match=f"{name}: a dimension appears twice"):
        f((0, -3))
    with pytest.raises(IndexError, match=f"{name}: dim must be in"):
        f(3)


def test_any_and_all_over_no_dimension_reduce_nothing():
    x = cr.tensor([[1.0, 0.0], [2.0, 3.0]])
    assert x.any(()).tolist() == x.all(()).tolist() == [[True, False], [True, True]]
    assert x.all((0, 1)).item() is False
    assert x.any((0, 1), keepdim=True).shape == (1, 1)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"])
def test_scans_take_axis_and_need_a_dim(name):
    x = cr.tensor([[1.0, 2.0], [4.0, 3.0]])
    a, b = getattr(x, name)(axis=-1), getattr(x, name)(1)
    a, b = (a, b) if isinstance(a, tuple) else ((a,), (b,))
    for left, right in zip(a, b, strict=True):
        assert left.tolist() == right.tolist()
    with pytest.raises(TypeError, match=f"{name}: missing argument 'dim'"):
        getattr(x, name)()


def test_zero_dimensional_tensors():
    x = cr.tensor(3.0, requires_grad=True)
    for f in (
        lambda t: t.cumsum(0), lambda t: t.cumprod(-1), lambda t: t.logcumsumexp(0), lambda t: t.cummax(0)[0],
        lambda t: t.sort()[0], lambda t: t.topk(1)[0], lambda t: t.kthvalue(1)[0], lambda t: t.mode()[0],
        lambda t: t.median(0)[0], lambda t: t.median(), lambda t: t.quantile(0.3), lambda t: t.max(0)[0],
        lambda t: t.prod(0), lambda t: t.nanmean(0),
    ):  # fmt: skip
        result = f(x)
        assert (result.shape, result.item()) == ((), 3.0)
        (g,) = cr.autograd.grad(result, x)
        assert g.item() == 1.0
    assert x.argsort().item() == 0


def test_zero_elements():
    x = cr.zeros(0, 3)
    assert x.sum().item() == 0
    assert x.prod(0).tolist() == [1.0, 1.0, 1.0]
    assert math.isnan(x.mean().item())
    assert math.isnan(x.median().item())
    assert x.amax(1).shape == (0,)
    assert x.cumsum(0).shape == x.cumprod(0).shape == x.cummax(0).values.shape == (0, 3)
    assert x.sort(0).indices.shape == x.logcumsumexp(1).shape == (0, 3)
    assert x.count_nonzero(0).tolist() == [0, 0, 0]
    assert x.unique().shape == (0,)
    for f in (x.max, x.amax, x.aminmax):
        with pytest.raises(RuntimeError, match="there is no extreme of zero elements"):
            f()
    for f in (x.max, x.amin, x.argmax, x.kthvalue, x.median, x.mode):
        with pytest.raises(IndexError):
            f(*([1] if f == x.kthvalue else []), dim=0)


def test_in_place_scans():
    x = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1
    assert y.cumsum_(0) is y
    y.cumprod_(0)
    assert y.tolist() == [1.0, 3.0, 18.0]
    y.sum().backward()
    assert x.grad.tolist() == [1 + (3 + 1) + (18 + 6 + 3), 1 + 6 + 3, 3]
    with pytest.raises(RuntimeError, match="cannot be stored in a chainrule.int32 tensor"):
        cr.tensor([1.0]).int().cumsum_(0, dtype=cr.float32)


def test_named_results():
    x = cr.tensor([3.0, 1.0, 2.0])
    for result in (x.sort(), x.topk(2), x.kthvalue(1), x.mode(), x.median(0), x.cummax(0), x.max(0)):
        assert result._fields == ("values", "indices")
    low, high = x.aminmax()
    assert (low.item(), high.item()) == (1.0, 3.0)
    assert cr.histogram(x, 2)._fields == ("hist", "bin_edges")


def test_sorting_keeps_the_order_of_equal_elements():
    x = cr.tensor([2, 1, 2, 1, 2])
    assert x.sort(stable=True).indices.tolist() == x.argsort().tolist() == [1, 3, 0, 2, 4]
    assert x.argsort(descending=True).tolist() == [0, 2, 4, 1, 3]
    assert cr.sort(x, 0, True).values.tolist() == [2, 2, 2, 1, 1]
    assert cr.msort(cr.tensor([[3, 1], [2, 4]])).tolist() == [[2, 1], [3, 4]]


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantiles_are_numpys(interpolation):
    x = np.random.default_rng(1).normal(size=(3, 7))
    q = np.array([0.0, 0.21, 0.5, 0.9, 1.0])
    for axis in (None, 0, 1):
        ours = cr.quantile(cr.tensor(x), cr.tensor(q), axis, True, interpolation=interpolation)
        np.testing.assert_allclose(value(ours), np.quantile(x, q, axis=axis, keepdims=True, method=interpolation))
    x[0, 2] = x[2, :] = NAN
    ours = cr.nanquantile(cr.tensor(x), cr.tensor(q), 1, interpolation=interpolation)
    theirs = np.nanquantile(x[:2], q, axis=1, method=interpolation)
    np.testing.assert_allclose(value(ours)[:, :2], theirs)
    assert np.isnan(value(ours)[:, 2]).all()


def test_the_probability_of_a_quantile_has_a_gradient():
    q = cr.tensor(0.3, requires_grad=True)
    cr.quantile(cr.tensor([0.0, 10.0, 30.0]), q).backward()
    assert q.grad.item() == pytest.approx(20.0)  # 2 steps of 10 in [0, 1]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: x.topk(4), RuntimeError, r"topk: k must be in \[0, 3\]"),
        (lambda x: x.kthvalue(0), RuntimeError, r"kthvalue: k must be in \[1, 3\]"),
        (lambda x: x.sort(1), IndexError, "sort: dim must be in"),
        (lambda x: x.quantile(1.5), RuntimeError, r"quantile: q must be in \[0, 1\], got 1.5"),
        (lambda x: x.quantile("a"), TypeError, "quantile: q must be a number or a Tensor"),
        (lambda x: x.long().quantile(0.5), RuntimeError, "quantile: expected a float32 or float64 tensor"),
        (lambda x: x.quantile(0.5, interpolation="cubic"), RuntimeError, "interpolation must be one of 'linear'"),
        (lambda x: x.quantile(cr.tensor([0.5]).double()), RuntimeError, "and the dtype chainrule.float32"),
        (lambda x: x.bool().argmax(), RuntimeError, "argmax: expected numbers, got a bool tensor"),
        (lambda x: x.bool().median(), RuntimeError, "median: expected real numbers"),
        (lambda x: x.var(0, True, correction=1), TypeError, "var: expected unbiased or correction, got both"),
        (lambda x: x.diff(n=-1), RuntimeError, "diff: n must not be negative, got -1"),
        (lambda x: x.diff(prepend=cr.zeros(1, 1)), RuntimeError, "diff: prepend must have as many dimensions"),
        (lambda x: cr.gradient(x, edge_order=3), RuntimeError, "gradient: edge_order must be 1 or 2, got 3"),
        (lambda x: cr.gradient(x[:1]), RuntimeError, "gradient: dimension 0 must have at least"),
        (lambda x: cr.gradient(x, spacing=[1.0, 2.0]), RuntimeError, "one for each of 1 dimensions, got 2"),
        (lambda x: cr.trapezoid(x, cr.ones(2)), RuntimeError, "trapezoid: x must have 3 elements"),
        (lambda x: cr.trapezoid(x, x, dx=1.0), TypeError, "trapezoid: expected x or dx, got both"),
        (lambda x: x.renorm(2, 0, 1.0), RuntimeError, "renorm: expected at least 2 dimensions"),
        (lambda x: x.cov(fweights=cr.ones(3)), RuntimeError, "cov: fweights must be 3 integers"),
        (lambda x: x.cov(aweights=-x), RuntimeError, "cov: aweights must not be negative"),
        (lambda x: x.reshape(1, 1, 3).corrcoef(), RuntimeError, "corrcoef: expected numbers in at most 2 dimensions"),
        (lambda x: x.cumsum(0, dtype=cr.bool), RuntimeError, "cumsum: dtype must be one of numbers"),
        (lambda x: x.is_nonzero(), RuntimeError, "is_nonzero: expected one element"),
    ],
)
def test_errors_say_what_was_expected(call, kind, message):
    with pytest.raises(kind, match=message):
        call(cr.tensor([1.0, 2.0, 4.0]))


# ---- pieces ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "prod"])
def test_reductions_of_pieces(reduce):
    x = np.random.default_rng(2).normal(size=(2, 7, 3))
    x[0, 0] = 0.0
    sizes = np.array([[3, 0, 4], [1, 5, 1]])
    t = cr.tensor(x, requires_grad=True)
    found = cr.segment_reduce(t, reduce, lengths=cr.tensor(sizes), axis=1)
    again = cr.segment_reduce(t, reduce, offsets=cr.tensor([[0, 3, 3, 7], [0, 1, 6, 7]]), axis=1)
    np.testing.assert_array_equal(value(found), value(again))
    whole, mine = [], []
    for i in range(2):
        start = 0
        for j, size in enumerate(sizes[i]):
            piece = t[i, start : start + size]
            start += size
            if size:
                plain = getattr(piece, {"max": "amax", "min": "amin"}.get(reduce, reduce))(0)
                np.testing.assert_allclose(value(found[i, j]), value(plain), rtol=1e-12)
                whole.append((plain * (i + j + 1)).sum())
                mine.append((found[i, j] * (i + j + 1)).sum())
    expected = {"sum": 0.0, "mean": NAN, "max": -INF, "min": INF, "prod": 1.0}[reduce]
    np.testing.assert_array_equal(value(found)[0, 1], expected)
    (a,) = cr.autograd.grad(sum(whole), t)
    (b,) = cr.autograd.grad(sum(mine), t)
    np.testing.assert_allclose(value(a), value(b), rtol=1e-12)
    initial = cr.segment_reduce(t.detach(), reduce, lengths=cr.tensor(sizes), axis=1, initial=2.5)
    np.testing.assert_array_equal(value(initial)[0, 1], 2.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected lengths or offsets"),
        ({"lengths": [2, 2]}, "the lengths must not be negative and sum to 3"),
        ({"offsets": [0, 2, 1]}, r"the offsets must rise, and be in \[0, 3\]"),
        ({"lengths": [[3]]}, "lengths must have 1 dimensions"),
        ({"lengths": [1.5, 1.5]}, "lengths must be an integer tensor"),
    ],
)
def test_pieces_that_do_not_fit_are_refused(options, message):
    with pytest.raises(RuntimeError, match=f"segment_reduce: {message}"):
        cr.segment_reduce(cr.ones(3), "sum", **{k: cr.tensor(v) for k, v in options.items()})
    with pytest.raises(RuntimeError, match="reduce must be one of 'sum', 'mean'"):
        cr.segment_reduce(cr.ones(3), "median", lengths=cr.tensor([3]))
