"""NumPy's numbers, operators and ufuncs beside Tensors: dtypes, values, gradients, and what is not covered."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from host_arrays import flat, leaf, t, value

import chainrule as cr
from chainrule.autograd.numpy_ufuncs import COVERED
from chainrule.autograd.op import OPS
from chainrule.autograd.public import FUNCTIONS

# ---- dtypes: a float32 tensor stays float32 --------------------------------------------------------------------------

#: what NumPy makes float64 of a float32 array
WIDENERS = [np.float64(2), np.array(2.0), np.sqrt(10), np.int64(3), 2.0, 3, True, np.bool_(True), np.array(3)]
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod, operator.floordiv]


@pytest.mark.parametrize("f", OPERATORS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("number", WIDENERS, ids=lambda v: f"{type(v).__name__}-{v}")
def test_numbers_of_numpy_are_weak_on_both_sides(f, number):
    x = leaf(dtype=cr.float32)
    for result in (f(x, number), f(number, x)):
        assert result.dtype == cr.float32 and result.requires_grad
        grad = cr.autograd.grad(result.sum(), x)[0]
        assert grad.dtype == cr.float32


@pytest.mark.parametrize("dtype", [cr.float16, cr.bfloat16, cr.float32, cr.float64])
def test_every_float_dtype_survives_scale_factors_and_counts(dtype):
    x = leaf(dtype=dtype)
    y = (x / np.sqrt(10)).mean() + x.sum() * np.float64(0.5) + np.mean(x) + np.std(x) / np.sqrt(len(x))
    assert y.dtype == dtype
    y.backward()
    assert x.grad.dtype == dtype


def number_samples():
    """Every op that takes a float beside its tensors, with the samples of its declaration."""
    rng = np.random.default_rng(0)
    for name, op in OPS.items():
        for sample in op.check.make(rng):
            if any(isinstance(v, float) for v in sample.kwargs.values()):
                yield pytest.param(op, sample, id=f"{name}-{sample}")


@pytest.mark.parametrize(("op", "sample"), list(number_samples()))
def test_numbers_of_numpy_do_not_widen_inside_ops(op, sample):
    attributes = {k: np.float64(v) if isinstance(v, float) else v for k, v in sample.kwargs.items()}
    arrays = [None if a is None else a.astype(np.float32) if a.dtype == np.float64 else a for a in sample.args]
    tensors = [None if a is None else t(a, requires_grad=op.differentiable and a.dtype == np.float32) for a in arrays]
    for result in flat(op.apply(*tensors, **attributes)):
        assert result.dtype != cr.float64


def test_dtypes_that_surprised_others():
    f32 = cr.float32
    assert (t(1.5) + t(2.0, dtype=cr.float64)).dtype == cr.float64  # two 0-d tensors: the wider one
    assert (t([1.5]) + t(2.0, dtype=cr.float64)).dtype == f32  # a 0-d tensor is weak beside a tensor
    assert cr.tensor(np.float64(1)).dtype == cr.float64  # NumPy data keep their dtype
    assert cr.where(t([True]), t([1.5]), 0.0).dtype == np.where(t([True]), t([1.5]), 0.0).dtype == f32
    assert (t([1, 2]) + t([1.5, 2.5])).dtype == (t([1.5]) / t([3])).dtype == f32
    assert (np.array([1, 2]) + t([1, 2])).dtype == cr.int64  # integers stay integers
    assert (t([1.5]) * t([True])).dtype == (np.array([True]) * t([1.5])).dtype == f32
    assert (np.array([1.0, 2.0]) * t([1.5, 2.5])).dtype == cr.float64  # an array with dimensions counts as a tensor
    assert t([1, 2]).sum().dtype == np.sum(t([1, 2], dtype=cr.int32)).dtype == cr.int64
    assert t([0.1]).sum().dtype == f32 and cr.zeros(2).dtype == cr.randn(2).dtype == f32


def test_integer_tensors_refuse_gradients():
    with pytest.raises(RuntimeError, match="only floating-point and complex tensors can require gradients"):
        t([1, 2]).requires_grad_()


@pytest.mark.parametrize("name", ["max", "min", "prod", "std", "var", "sort", "median"])
def test_gradients_of_reductions_stay_float32(name):
    x = leaf(dtype=cr.float32)
    result = getattr(np, name)(x)
    assert result.dtype == cr.float32
    assert cr.autograd.grad(result.sum(), x)[0].dtype == cr.float32


# ---- ufuncs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(COVERED))
def test_ufunc(name):
    """The same numbers as NumPy's, through a recorded function."""
    ufunc = getattr(np, name)
    integers = name.startswith(("bitwise", "left", "right", "gcd", "lcm", "invert"))
    rows = ([[5, 3], [2, 6]], [[2, 1], [1, 2]]) if integers else ([[0.3, 0.7], [0.5, 0.2]], [[0.4, 0.6], [0.1, 0.8]])
    a, b = [np.asarray(r) for r in rows]
    if name == "arccosh":
        a = a + 1
    if name == "ldexp":
        b = np.asarray([[1, 2], [3, 4]])
    arguments = (a,) if ufunc.nin == 1 else (a, b)
    expected = ufunc(*arguments)
    x = t(a)
    calls = [(x, *arguments[1:])]
    if ufunc.nin == 2:
        calls += [(a, t(b)), (x, t(b))]
    for call in calls:
        result = ufunc(*call)
        assert isinstance(result, cr.Tensor)
        np.testing.assert_allclose(value(result), expected, rtol=1e-12)


#: ufuncs that are not covered: of no use to tensors, or without a counterpart
UNCOVERED = {
    "bitwise_count", "cbrt", "divmod", "float_power", "frexp", "isnat", "modf", "spacing", "matvec", "vecmat", "vecdot",
    "bitwise_left_shift", "bitwise_right_shift",
}  # fmt: skip


def test_every_ufunc_of_numpy_is_covered_or_listed():
    all_ufuncs = {f.__name__ for f in vars(np).values() if isinstance(f, np.ufunc)}
    assert all_ufuncs - set(COVERED) <= UNCOVERED
    assert not set(COVERED.values()) - set(FUNCTIONS)


def test_ufuncs_record():
    x = leaf()
    y = np.exp(x) * np.sin(x) + np.square(x)
    np.sum(y).backward()
    a = value(x)
    np.testing.assert_allclose(value(x.grad), np.exp(a) * (np.sin(a) + np.cos(a)) + 2 * a)


def test_methods_of_ufuncs():
    x = leaf()
    a = value(x)
    for ufunc in (np.add, np.multiply, np.maximum, np.minimum):
        for keywords in ({}, {"axis": 1}, {"axis": None}, {"axis": (0, 1), "keepdims": True}):
            result = ufunc.reduce(x, **keywords)
            np.testing.assert_allclose(value(result), ufunc.reduce(a, **keywords))
            assert result.requires_grad and result.shape == np.shape(ufunc.reduce(a, **keywords))
        np.testing.assert_allclose(value(ufunc.accumulate(x, axis=1)), ufunc.accumulate(a, axis=1))
        np.testing.assert_allclose(value(ufunc.outer(x, [1.0, 2.0])), ufunc.outer(a, [1.0, 2.0]))
        np.testing.assert_allclose(value(ufunc.outer(a, x)), ufunc.outer(a, a))
    assert np.logical_and.reduce(t([True, False])).tolist() is False
    assert np.logical_or.reduce(t([True, False])).tolist() is True
    quotient, rest = np.divmod(t([7.0, -7.0]), 3.0)
    assert (quotient.tolist(), rest.tolist()) == ([2.0, -3.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, a: np.add.at(x, 0, 1.0), [r"np\.add\.at", "not available", r"\.numpy\(force=True\)"]),
        (lambda x, a: np.add.reduceat(x, [0]), [r"np\.add\.reduceat", "not available"]),
        (lambda x, a: np.subtract.reduce(x), [r"np\.subtract\.reduce", "not available"]),
        (lambda x, a: np.exp.reduce(x) if False else np.power.accumulate(x), [r"np\.power\.accumulate"]),
        (lambda x, a: np.cbrt(x), [r"np\.cbrt", "not available", "force=True"]),
        (lambda x, a: np.add(x, a, out=a), [r"np\.add: out= cannot be a ndarray", "leave out= away"]),
        (lambda x, a: np.add(a, a, out=x), [r"out= cannot be a Tensor"]),
        (lambda x, a: np.exp(x, where=a > 0), [r"np\.exp: where= is not taken", r"np\.where"]),
        (lambda x, a: np.add.reduce(x, where=a > 0), ["where= is not taken"]),
        (lambda x, a: np.add.reduce(x, initial=1.0), ["initial= is not taken"]),
        (lambda x, a: np.add(x, np.array([None, 1])), ["object", "expected numbers"]),
        (lambda x, a: x + np.array(["a", "b"]), ["dtype|str|<U1"]),
        (lambda x, a: np.polyfit(x, x, 1), [r"np\.polyfit: not available", "force=True"]),
        (lambda x, a: np.linalg.lstsq(x, x), [r"np\.linalg\.lstsq: not available"]),
        (lambda x, a: np.sum(x, out=a), [r"np\.sum: out= is not taken"]),
        (lambda x, a: np.sum(x, where=a > 0), [r"np\.sum: where= is not taken"]),
        (lambda x, a: np.sum(x, initial=3.0), [r"np\.sum: initial= is not taken"]),
        (lambda x, a: np.reshape(x, (4,), order="F"), ["C order"]),
        (lambda x, a: np.pad(x, 1, mode="median"), [r"np\.pad"]),
    ],
)
def test_what_is_not_covered_says_so(call, words):
    with pytest.raises(TypeError) as caught:
        call(leaf(), np.ones((2, 2)))
    import re

    for word in words:
        assert re.search(word, str(caught.value)), (word, str(caught.value))


def test_an_array_is_not_changed_in_place_by_a_tensor():
    a = np.ones(2)
    for f in (operator.iadd, operator.isub, operator.imul, operator.itruediv):
        with pytest.raises(TypeError, match=r"array = array \+ tensor.*numpy\(force=True\)"):
            f(a, t([1.0, 2.0], requires_grad=True))
    assert a.tolist() == [1.0, 1.0]
    x = t([1.0, 2.0])
    x += a  # the other way round is an in-place change of the tensor
    assert x.tolist() == [2.0, 3.0] and x.dtype == cr.float32


def test_an_array_changed_after_its_use_does_not_change_the_gradient():
    a, x = np.array([2.0, 3.0]), leaf([1.0, 1.0])
    for result in (a * x, x * a, np.multiply(a, x), np.where(np.array([True, False]), a * x, x)):
        result.sum()
    y = (a * x + x * a + a @ x + x @ a).sum()
    a[:] = 100.0
    y.backward()
    assert x.grad.tolist() == [12.0, 18.0]  # a * x and x * a give a each, the products a for each of two elements


COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@pytest.mark.parametrize("f", COMPARISONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("other", [np.array([1.0, 2.0]), np.float64(1.5), np.array(1.5), np.array([1, 2])], ids=repr)
def test_comparisons_with_arrays(f, other):
    x = t([1.0, 2.0])
    for result, expected in ((f(x, other), f(value(x), other)), (f(other, x), f(other, value(x)))):
        assert isinstance(result, cr.Tensor) and result.dtype == cr.bool
        np.testing.assert_array_equal(value(result), expected)


def test_arrays_do_not_meet_tensors_of_other_devices():
    x = cr.ones(2, device="guard")
    for call in (lambda: np.ones(2) * x, lambda: x * np.ones(2), lambda: np.concatenate([x, np.ones(2)])):
        with pytest.raises(TypeError, match=r"guard.*nothing is copied silently.*chainrule\.tensor"):
            call()
    assert (np.float64(2) * x).tolist() == [2.0, 2.0]  # numbers have no place
