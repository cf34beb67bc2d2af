"""gradcheck and gradgradcheck notice planted mistakes, and say what they saw."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import Function, GradcheckError, gradcheck, gradgradcheck
from chainrule.autograd.op import OPS, op
from chainrule.autograd.samples import Unary


def value(t):
    return t.numpy(force=True)


def leaf(data, dtype=None):
    return cr.tensor(data, dtype=dtype or cr.float64, requires_grad=True)


def function(forward, backward, save=lambda x, y: (x,)):
    """A custom function with a planted rule: ``backward(g, *saved)``."""

    class Planted(Function):
        @staticmethod
        def forward(ctx, x):
            y = forward(x)
            ctx.save_for_backward(*save(x, y))
            return y

        @staticmethod
        def backward(ctx, g):
            return backward(g, *ctx.saved_tensors)

    return Planted.apply


X = [[0.3, 0.8, -0.6], [1.1, -0.4, 0.7]]


def test_right_rules_pass():
    f = function(lambda x: x**3, lambda g, x: g * 3 * x**2)
    assert gradcheck(f, leaf(X))
    assert gradgradcheck(f, leaf(X))


WRONG = {
    "a factor": function(lambda x: x**3, lambda g, x: g * 3.01 * x**2),
    "a sign": function(lambda x: -x, lambda g, x: g),
    "a power": function(lambda x: x**3, lambda g, x: g * 3 * x),
    "a small share": function(lambda x: x**3, lambda g, x: g * (3 * x**2 + 1e-3)),
    "one element": function(lambda x: x * 2, lambda g,
    x: cr.where(cr.tensor(np.arange(6).reshape(2, 3) == 4), g, g * 2)),
    "the cotangent dropped": function(lambda x: x * 2, lambda g, x: g * 0 + 2),
    "transposed": function(lambda x: x.t() * 1, lambda g, x: g.reshape(2, 3)),
    "a sum for a mean": function(lambda x: x.mean(), lambda g, x: g.expand(2, 3)),
    "zero": function(lambda x: x * 2, lambda g, x: g * 0),
    "no gradient": function(lambda x: x * 2, lambda g, x: None),
    "at negative inputs only": function(lambda x: x.abs(), lambda g, x: g),
    "a saved result used as the input": function(lambda x: x.exp(), lambda g, y: g * y.exp(), lambda x, y: (y,)),
    "an output that is cut off": lambda x: x * x.detach(),
    "an output without a graph": lambda x: x.detach() * 2,
}


@pytest.mark.parametrize("f", WRONG.values(), ids=list(WRONG))
def test_wrong_first_derivatives_are_noticed(f):
    with pytest.raises(GradcheckError, match=r"input 0, element \(\d+, \d+\) \(value .*\): the gradient is"):
        gradcheck(f, leaf(X))
    assert gradcheck(f, leaf(X), raise_exception=False) is False


def escaped(t):
    """The values of a tensor outside the graph."""
    return cr.tensor(value(t))


WRONG_SECOND = {
    "detached input": function(lambda x: x**3, lambda g, x: g * 3 * x.detach() ** 2),
    "through NumPy": function(lambda x: x**3, lambda g, x: escaped(g * 3 * x**2)),
    "cotangent through NumPy": function(lambda x: x**3, lambda g, x: escaped(g) * 3 * x**2),
    "cotangent detached": function(lambda x: x * 2, lambda g, x: g.detach() * 2),
    "saved detached": function(lambda x: x**3, lambda g, x: g * 3 * x**2, lambda x, y: (x.detach().clone(),)),
    "an auxiliary taken for a constant": function(
        lambda x: x / x.norm(), lambda g, x: (g - (g * x).sum() * x / escaped(x.norm()) ** 2) / escaped(x.norm())
    ),
    "result rebuilt": function(lambda x: x.exp(), lambda g, y: g * escaped(y), lambda x, y: (y,)),
}


@pytest.mark.parametrize("f", WRONG_SECOND.values(), ids=list(WRONG_SECOND))
def test_wrong_second_derivatives_are_noticed(f):
    assert gradcheck(f, leaf(X))
    with pytest.raises(GradcheckError):
        gradgradcheck(f, leaf(X))


def test_a_second_derivative_lost_for_one_of_two_inputs_is_noticed():
    """The gradient of y is right but cut off; that of x is fine and would alone hide it."""

    class Product(Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y * y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * y * y, escaped(g * 2 * x * y)

    assert gradcheck(Product.apply, [leaf(X), leaf(X)])
    with pytest.raises(GradcheckError, match="does not require grad|central differences"):
        gradgradcheck(Product.apply, [leaf(X), leaf(X)])


# ---- planted rules in declared ops ----------------------------------------------------------------------------------

PLANTED = {}


def planted(name, vjp, forward, **options):
    forward.__doc__ = "An op with a wrong rule."
    PLANTED[name] = op(vjp=vjp, check=Unary(), name=f"planted_{name}", **options)(forward)
    OPS.pop(f"planted_{name}")  # the tests of all ops need not see it


planted("factor", {"x": lambda xp, g, x: g * xp.cos(x) * 2}, lambda xp, x: xp.sin(x))
planted("sign", {"x": lambda xp, g, x: -g * xp.cos(x)}, lambda xp, x: xp.sin(x))
planted("unbroadcast", {"x": lambda xp, g, y: g * y, "y": lambda xp, g, x: g * x}, lambda xp, x, y: x * y)
planted(
    "broadcast_sum",
    {"x": lambda xp, g, y: g * y, "y": lambda xp, g, x: xp.reshape((g * x)[0], shape=(1, 3))},
    lambda xp, x, y: x * y,
)
planted(
    "auxiliary",
    {"x": lambda xp, g, x, scale: g[0] * 2 * x * scale},
    lambda xp, x: (x * x * xp.exp(xp.sum(x)), xp.exp(xp.sum(x))),
    outputs=["out", "scale"],
)


@pytest.mark.parametrize("name", ["factor", "sign", "auxiliary"])
def test_wrong_rules_of_ops_are_noticed(name):
    f = PLANTED[name]
    with pytest.raises(GradcheckError, match="the gradient is"):
        gradcheck((lambda x: f(x)[0]) if name == "auxiliary" else f, leaf(X))


def test_a_missing_sum_over_broadcast_dimensions_is_noticed():
    x, y = leaf(X), leaf([[0.5, 1.5, -0.3]])
    with pytest.raises((GradcheckError, RuntimeError), match=r"shape|broadcast"):
        gradcheck(PLANTED["unbroadcast"], [x, y])
    with pytest.raises(GradcheckError, match="input 1"):
        gradcheck(PLANTED["broadcast_sum"], [x, y])


def test_rules_are_checked_when_they_are_declared():
    def forward(xp, x):
        """Doc."""
        return x

    for vjp, message in [
        ({"z": lambda xp, g: g}, "vjp has a rule for 'z', which is no tensor argument"),
        ({"x": lambda g: g}, r"must take \(xp, g, ...\)"),
        ({"x": lambda xp, g, nothing: g}, "asks for .*nothing.*, known names are"),
    ]:
        with pytest.raises(TypeError, match=message):
            op(vjp=vjp, check=Unary(), name="planted_bad")(forward)
    with pytest.raises(TypeError, match="`together` may ask only for what the rules"):
        op(vjp={"x": lambda xp, g: g}, check=Unary(), name="planted_bad", together=lambda xp, g, x: (g,))(forward)
    forward.__doc__ = None
    with pytest.raises(TypeError, match="a declaration needs a docstring"):
        op(vjp=None, check=Unary(), name="planted_bad")(forward)


# ---- what it says ---------------------------------------------------------------------------------------------------


def test_the_worst_element_is_named_with_both_values():
    f = function(lambda x: x * 2, lambda g, x: g * cr.tensor([[2.0, 2.0, 2.0], [2.0, 2.1, 5.0]], dtype=cr.float64))
    with pytest.raises(GradcheckError,
        match=r"input 0, element \(1, 2\) \(value np.float64\(0.7\)\): the gradient is .*, central"):
        gradcheck(f, leaf(X))


@pytest.mark.parametrize(
    ("f", "at"),
    [
        (lambda x: x.relu() * 1, 0.0), (lambda x: x.clamp(-1, 1), 1.0), (lambda x: cr.where(x > 0, x * 3, x), 0.0),
    ],
)  # fmt: skip
def test_a_kink_is_called_a_kink(f, at):
    with pytest.raises(GradcheckError,
        match=r"the function has a kink here \(slope .* from the left, .* from the right\)"):
        gradcheck(f, leaf([0.1, at, 3.0]))
    assert gradcheck(f, leaf([0.3, 3.3, 0.7]))


def test_a_wrong_rule_is_not_called_a_kink():
    with pytest.raises(GradcheckError) as caught:
        gradcheck(WRONG["a factor"], leaf(X))
    assert "kink" not in str(caught.value)


@pytest.mark.parametrize("dtype", [cr.float16, cr.float32, cr.bfloat16])
def test_narrow_inputs_are_checked_in_float64(dtype):
    seen = []

    def f(x):
        seen.append(x.dtype)
        return (x * x).sin()

    x = leaf([0.3, 1.2], dtype)
    assert gradcheck(f, x)
    assert gradgradcheck(f, x)
    assert set(seen) == {cr.float64}
    assert x.dtype == dtype
    assert x.grad is None


def test_nondeterminism_is_reported():
    rng = np.random.default_rng(0)
    f = function(lambda x: x * 2, lambda g, x: g * 2 + float(rng.normal()) * 1e-9)
    with pytest.raises(GradcheckError, match="two backward passes gave different gradients for input 0"):
        gradcheck(f, leaf(X))
    assert gradcheck(f, leaf(X), nondet_tol=1e-6)


def test_a_random_forward_is_noticed():
    rng = np.random.default_rng(0)
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: x * float(rng.normal()), leaf(X))


def test_inputs_that_need_no_gradient_and_plain_values():
    x = leaf(X)
    assert gradcheck(lambda x, c, k: x * c * k, [x, cr.ones(3, dtype=cr.float64), 3])
    assert gradcheck(lambda x, i: x[i], [x, cr.tensor([1, 1, 0])])
    with pytest.raises(ValueError, match="none of the inputs requires grad"):
        gradcheck(lambda x: x * 2, cr.ones(2))


def test_several_outputs_and_integer_outputs():
    x = leaf(X)
    assert gradcheck(lambda x: (x.sin(), x.argmax(), x > 0, x.sum()), x)
    assert gradcheck(lambda x: x.max(1), x)
    bad = WRONG["a sign"]
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: (x.sin(), bad(x)), x)


def test_the_same_input_twice_and_repeated_inputs():
    x = leaf(X)
    assert gradcheck(lambda a, b: a * b.sin(), [x, x])


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (2, 0, 2)])
def test_shapes_at_the_edge(shape):
    x = leaf(np.full(shape, 0.4))
    assert gradcheck(lambda t: t.sin() * t, x)
    assert gradgradcheck(lambda t: t.sin() * t, x)


def test_strided_inputs():
    x = cr.tensor(np.array(X)).t().requires_grad_()
    assert gradcheck(lambda t: (t * t).sum(0), x)


def test_inputs_are_left_as_they_were():
    x = leaf(X)
    before = value(x).copy()
    gradcheck(lambda t: t.exp(), x)
    with pytest.raises(GradcheckError):
        gradcheck(WRONG["zero"], x)
    np.testing.assert_array_equal(value(x), before)
    assert x.grad is None


def test_it_works_under_no_grad():
    with cr.no_grad():
        assert gradcheck(lambda t: t.exp(), leaf(X))
        with pytest.raises(GradcheckError):
            gradcheck(WRONG["a factor"], leaf(X))
        with pytest.raises(GradcheckError):
            gradgradcheck(WRONG_SECOND["detached input"], leaf(X))


def test_given_cotangents_of_the_second_check():
    assert gradgradcheck(lambda t: t**3, leaf([0.5, 0.7]), cr.tensor([1.0, -2.0], dtype=cr.float64))
    assert gradgradcheck(lambda t: t * 2, leaf([0.5, 0.7]))
    assert gradgradcheck(lambda t: (t > 0).sum(), leaf([0.5, 0.7]))


def test_infinite_gradients_are_noticed():
    with pytest.raises(GradcheckError), np.errstate(all="ignore"):
        gradcheck(lambda t: t.sqrt(), leaf([0.0, 1.0]))
    with pytest.raises(GradcheckError), np.errstate(all="ignore"):
        gradcheck(function(lambda x: x * 2, lambda g, x: g * float("nan")), leaf([1.0]))
