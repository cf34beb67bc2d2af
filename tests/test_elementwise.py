"""Elementwise functions: what their declarations do not say. Dtypes, refusals, in-place twins, aliases, activations."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.nn import functional as F


def test_functions_of_integers_give_the_default_float():
    for name in ("atan", "exp2", "erf", "lgamma", "digamma", "sinc", "deg2rad", "special.i1e", "special.ndtr"):
        function = getattr(cr.special, name[8:]) if name.startswith("special.") else getattr(cr, name)
        assert function(cr.tensor([1, 2])).dtype == cr.float32, name
    for f in (F.gelu, F.silu, F.mish, F.softsign, F.logsigmoid):
        assert f(cr.tensor([1, 2])).dtype == cr.float32


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "fix", "round"])
def test_rounding_keeps_integers_and_refuses_bools(name):
    x = cr.tensor([1, -2])
    out = getattr(cr, name)(x)
    assert out.dtype == cr.int64 and out.tolist() == [1, -2]
    assert getattr(x.clone(), f"{name}_")().tolist() == [1, -2]
    with pytest.raises(TypeError, match="bools"):
        getattr(cr, name)(cr.tensor([True]))


def test_round_to_decimals():
    assert cr.round(cr.tensor([2.5, 3.5])).tolist() == [2.0, 4.0]
    assert cr.round(cr.tensor([1250.0]), decimals=-2).tolist() == [1200.0]
    with pytest.raises(RuntimeError, match="round: expected a floating-point"):
        cr.round(cr.tensor([15]), decimals=-1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: cr.tensor([1, 2]) // 0,
        lambda: cr.tensor([1, 2]) % cr.tensor([1, 0]),
        lambda: cr.fmod(cr.tensor([1, 2]), 0),
        lambda: cr.div(cr.tensor([1, 2]), 0, rounding_mode="trunc"),
        lambda: cr.div(cr.tensor([1, 2]), 0, rounding_mode="floor"),
    ],
)
def test_integers_are_not_divided_by_zero(call):
    with pytest.raises(RuntimeError, match="integer division by zero"):
        call()


@pytest.mark.parametrize("symbol", ["//", "%", "**", "<<", ">>"])
def test_arithmetic_of_bools_is_refused_as_in_pytorch(symbol):
    t = cr.tensor([True])
    with pytest.raises(TypeError, match="bools"):
        eval(f"t {symbol} t", {"t": t})
    assert (t**2).dtype == (t // 1).dtype == (t % 2).dtype == cr.int64


def test_division_rounded_to_zero_is_exact_for_large_integers():
    x = cr.tensor([2**62 + 1, -(2**62) - 1, -7, 7])
    assert cr.div(x, 2, rounding_mode="trunc").tolist() == [2**61, -(2**61), -3, 3]
    assert cr.div(cr.tensor([-7, 7]), -2, rounding_mode="trunc").tolist() == [3, -3]


def test_integers_to_negative_powers():
    x, y = cr.tensor([2, 1, -1, -1, 3]), cr.tensor([-1, -5, -2, -3, 2])
    assert (x**y).tolist() == [0, 1, 1, -1, 9]


def test_shifts_have_one_meaning_beyond_the_number_of_bits():
    x = cr.tensor([8, -8])
    assert (x << 64).tolist() == (x << -1).tolist() == [0, 0]
    assert (x >> 64).tolist() == (x >> -1).tolist() == [0, -1]
    assert (1 << cr.tensor([3])).tolist() == [8] and (8 >> cr.tensor([3])).tolist() == [1]
    assert (cr.tensor([255], dtype=cr.uint8) << 9).tolist() == [0]
    x <<= 1
    x >>= 2
    assert x.tolist() == [4, -4]


def test_operators_on_bits_write_in_place():
    x = y = cr.tensor([6, 3])
    x &= 2
    x |= 4
    x ^= 1
    assert y is x and y.tolist() == [7, 7]


def test_comparisons_write_in_place_and_keep_the_dtype():
    x = cr.tensor([1.0, 2.0, 3.0])
    assert x.ge_(2).tolist() == [0.0, 1.0, 1.0] and x.dtype == cr.float32
    assert cr.tensor([1, 0]).logical_and_(cr.tensor([2, 2])).tolist() == [1, 0]
    assert cr.tensor([3, 5]).bitwise_xor_(1).tolist() == [2, 4]


def test_an_in_place_comparison_ends_the_graph():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    y.eq_(1.0)
    assert not y.requires_grad


@pytest.mark.parametrize("name", ["asin", "erf", "exp2", "sinc", "digamma", "logit", "i0", "tan", "log2"])
def test_in_place_twins_have_the_same_gradient(name):
    data = [0.2, 0.7]
    x, y = cr.tensor(data, requires_grad=True), cr.tensor(data, requires_grad=True)
    getattr(cr, name)(x).sum().backward()
    getattr(y * 1, f"{name}_")().sum().backward()
    assert x.grad.tolist() == y.grad.tolist()


def test_aliases_are_the_same_function():
    for short, long in [("acos", "arccos"), ("atanh", "arctanh"), ("atan2", "arctan2"), ("trunc", "fix")]:
        assert getattr(cr, short) is getattr(cr, long)
    x = cr.tensor([0.3, 0.6])
    for name, other in [("expit", "sigmoid"), ("psi", "digamma"), ("gammaln", "lgamma"), ("exp2", "exp2")]:
        assert getattr(cr.special, name)(x).tolist() == getattr(cr, other)(x).tolist()
    assert x.polygamma(1).tolist() == cr.polygamma(1, x).tolist() == cr.special.polygamma(1, x).tolist()


@pytest.mark.parametrize("function", [cr.special.zeta])
def test_an_unknown_derivative_is_an_error_and_not_zero(function):
    x, y = cr.tensor([2.0], requires_grad=True), cr.tensor([1.5], requires_grad=True)
    out = function(x, y)
    (g,) = cr.autograd.grad(out.sum(), [y], retain_graph=True)
    assert g.item() != 0
    with pytest.raises(RuntimeError, match="no formula for the derivative with respect to 'input'"):
        out.sum().backward()


def test_special_functions_work_in_half_precision():
    x = cr.tensor([0.5, 1.0], dtype=cr.float16)
    for f in (cr.erf, cr.special.ndtr, cr.special.bessel_j0, cr.digamma):
        assert f(x).dtype == cr.float16


def test_the_numbers_for_infinities_are_those_of_the_dtype():
    for dtype, largest in [
        (cr.float16, 65504.0),
        (cr.bfloat16, 3.3895313892515355e38),
        (cr.float64, 1.7976931348623157e308),
    ]:
        x = cr.tensor([float("inf"), float("-inf"), float("nan")], dtype=dtype)
        assert cr.nan_to_num(x).tolist() == [largest, -largest, 0.0]
    assert cr.nan_to_num(cr.tensor([1, 2])).tolist() == [1, 2]


def test_where_as_a_method_keeps_the_tensor_where_the_condition_holds():
    x = cr.tensor([1.0, 2.0])
    assert x.where(x > 1, 0.0).tolist() == cr.where(x > 1, x, 0.0).tolist() == [0.0, 2.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: cr.lerp(x, x.double(), 0.5), "lerp: expected chainrule.float32 for 'end'"),
        (lambda x: cr.lerp(x.long(), x.long(), 0.5), "lerp: expected a floating-point tensor"),
        (lambda x: cr.addcdiv(x.long(), x.long(), x.long()), "addcdiv: expected floating-point"),
        (lambda x: cr.addcmul(x.long(), x.long(), x.long(), value=0.5), "alpha must be an integer"),
        (lambda x: cr.heaviside(x, x.double()), "heaviside: expected values of the dtype of input"),
        (lambda x: cr.polygamma(-1, x), "polygamma: n must not be negative"),
        (lambda x: cr.mvlgamma(x, 0), "mvlgamma: p must be at least 1"),
        (lambda x: cr.positive(x > 0), "positive: expected a tensor of numbers"),
        (lambda x: cr.celu(x, 0.0), "celu: alpha must not be 0"),
        (lambda x: cr.prelu(x, cr.ones(2)), "prelu: weight must have 1 element"),
        (lambda x: F.softshrink(x, -1.0), "softshrink: lambd must not be negative"),
        (lambda x: F.glu(x), "glu: expected an even length"),
        (lambda x: F.glu(x[0]), "glu: expected a tensor with dimensions"),
        (lambda x: cr.frexp(x.long()), "frexp: expected a floating-point"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((RuntimeError, TypeError), match=message):
        call(cr.tensor([1.0, 2.0, 3.0]))


def test_activations_write_in_place():
    data = [-2.0, 0.4, 3.0]
    for name, *arguments in [
        ("relu",), ("elu", 0.7), ("celu", 0.7), ("selu",), ("hardtanh", -0.5, 0.5), ("leaky_relu", 0.2),
        ("threshold", 0.5, 9.0), ("rrelu", 0.25, 0.25),
    ]:  # fmt: skip
        x = cr.tensor(data)
        out = getattr(F, f"{name}_")(x, *arguments)
        assert out is x and x.tolist() == getattr(F, name)(cr.tensor(data), *arguments).tolist(), name


def test_rrelu_draws_a_slope_for_each_negative_element():
    cr.manual_seed(0)
    x = cr.linspace(-1.0, 1.0, 1001, requires_grad=True)
    out = F.rrelu(x, 0.1, 0.3, training=True)
    out.sum().backward()
    slope, negative = (out / x).detach(), (x < 0).detach()
    assert bool((slope[negative] > 0.0999).all()) and bool((slope[negative] < 0.3001).all())
    assert slope[negative].std().item() > 0.04  # uniform on that range: 0.058
    assert cr.allclose(x.grad[x != 0], slope[x != 0], rtol=1e-5)
    assert F.rrelu(cr.tensor([-1.0]), 0.1, 0.3).item() == pytest.approx(-0.2)


def test_gumbel_softmax_samples_by_the_probabilities():
    cr.manual_seed(0)
    logits = cr.tensor([[0.0, np.log(3.0)]]).expand(4000, 2).clone().requires_grad_()
    soft = F.gumbel_softmax(logits, tau=0.5)
    assert cr.allclose(soft.sum(1), cr.ones(4000))
    hard = F.gumbel_softmax(logits, hard=True)
    assert set(hard.detach().reshape(-1).round().tolist()) == {0.0, 1.0}
    assert abs(hard[:, 1].mean().item() - 0.75) < 0.03
    (hard * cr.tensor([1.0, 2.0])).sum().backward()
    assert bool(logits.grad.isfinite().all()) and float(logits.grad.abs().sum()) > 0


def test_maxout_takes_the_largest_of_neighbours():
    x = cr.arange(12.0).reshape(1, 6, 2).requires_grad_()
    out = F.maxout(x, 3)
    assert out.tolist() == [[[4.0, 5.0], [10.0, 11.0]]]
    out.sum().backward()
    assert x.grad[0, :, 0].tolist() == [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    with pytest.raises(ValueError, match="maxout: expected a length"):
        F.maxout(x, 4)


def test_adaptive_piecewise_linear_units_follow_their_definition():
    rng = np.random.default_rng(0)
    x, a, b = rng.normal(size=(5, 3)), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    expected = np.maximum(x, 0) + sum(a[s] * np.maximum(0, -x + b[s]) for s in range(2))
    leaves = [cr.tensor(v, requires_grad=True) for v in (x, a, b)]
    np.testing.assert_allclose(F.apl(*leaves).numpy(force=True), expected)
    assert cr.autograd.gradcheck(F.apl, leaves)
    with pytest.raises(ValueError, match="apl: slopes and hinges must have one shape"):
        F.apl(leaves[0], leaves[1], leaves[2][:1])


def test_slopes_near_zero_lose_no_digits():
    x = cr.tensor([1e-5], dtype=cr.float64, requires_grad=True)
    cr.special.spherical_bessel_j0(x).sum().backward()
    assert x.grad.item() == pytest.approx(-1e-5 / 3, rel=1e-9)


def test_nothing_of_scipy_is_imported_before_it_is_needed():
    import subprocess
    import sys

    code = "import sys, chainrule as cr; cr.tan(cr.ones(2)); print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
