"""Elementwise functions at zeros of both signs, infinities, NaN, kinks and huge numbers: values and gradients."""

from __future__ import annotations

import warnings
from functools import reduce

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = pytest.mark.oracle

INF, NAN = np.inf, np.nan
POINTS = [0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, 2.0, -2.0, 3.0, -3.0, 6.0, 0.25, 30.0, -30.0,
          200.0, 1e-9, -1e-9, 1e-30, 1e30, -1e30]  # fmt: skip

ONE = """abs acos acosh asin asinh atan atanh cosh sinh tan sin cos tanh ceil floor round trunc frac exp exp2 expm1 log
log1p log2 log10 sqrt rsqrt square reciprocal sigmoid sgn sign signbit isneginf isposinf isreal nan_to_num deg2rad
rad2deg erf erfc erfinv lgamma digamma i0 sinc logit isfinite isnan isinf relu neg positive logical_not
special.entr special.erfcx special.expit special.i0e special.i1 special.i1e special.log_ndtr special.ndtr special.ndtri
special.bessel_j0 special.bessel_j1 special.bessel_y0 special.bessel_y1 special.modified_bessel_k0
special.modified_bessel_k1 special.scaled_modified_bessel_k0 special.scaled_modified_bessel_k1
special.spherical_bessel_j0 special.airy_ai nn.functional.gelu nn.functional.silu nn.functional.mish
nn.functional.selu nn.functional.celu nn.functional.elu nn.functional.relu6 nn.functional.hardtanh
nn.functional.hardsigmoid nn.functional.hardswish nn.functional.hardshrink nn.functional.softshrink
nn.functional.logsigmoid nn.functional.softsign nn.functional.tanhshrink nn.functional.softplus
nn.functional.leaky_relu nn.functional.rrelu""".split()

TWO = """add sub mul div floor_divide remainder fmod atan2 hypot copysign fmax fmin maximum minimum logaddexp logaddexp2
xlogy pow nextafter heaviside eq lt special.xlog1py special.zeta igamma igammac float_power ldexp clamp_min
clamp_max""".split()

MORE = {
    "gelu by tanh": (1, lambda lib, x: lib.nn.functional.gelu(x, approximate="tanh")),
    "threshold": (1, lambda lib, x: lib.threshold(x, 0.5, 9.0)),
    "polygamma(1)": (1, lambda lib, x: lib.polygamma(1, x)),
    "polygamma(2)": (1, lambda lib, x: lib.polygamma(2, x)),
    "logit with eps": (1, lambda lib, x: lib.logit(x, 0.25)),
    "clamp": (1, lambda lib, x: lib.clamp(x, -0.5, 1.0)),
    "round to tenths": (1, lambda lib, x: lib.round(x, decimals=1)),
    "mantissa": (1, lambda lib, x: lib.frexp(x)[0]),
    "2 ** x": (1, lambda lib, x: 2**x),
    "0 ** x": (1, lambda lib, x: 0**x),
    "x ** 2": (1, lambda lib, x: x**2),
    "x ** 0": (1, lambda lib, x: x**0),
    "prelu": (2, lambda lib, x, y: lib.prelu(x, y[:1])),
    "lerp half way": (2, lambda lib, x, y: lib.lerp(x, y, 0.5)),
    "lerp": (2, lambda lib, x, y: lib.lerp(x, y, 0.2)),
}


def named(name):
    return lambda lib, *tensors: reduce(getattr, name.split("."), lib)(*tensors)


CASES = {**{n: (1, named(n)) for n in ONE}, **{n: (2, named(n)) for n in TWO}, **MORE}


def some_nan(*points):
    return np.isnan(sum(points))


def beyond(limit):
    return lambda x, *_: (x <= limit) | np.isnan(x)


#: where we differ on purpose, by case: the sign of a zero
ANY_ZERO = {
    "erfinv", "relu", "remainder", "fmax", "fmin", "clamp_min", "clamp_max", "nn.functional.selu", "nn.functional.celu",
    "nn.functional.elu", "nn.functional.relu6", "nn.functional.softshrink", "nn.functional.gelu", "gelu by tanh",
}  # fmt: skip

#: a NaN stays one, where PyTorch makes it a number
NAN_STAYS = {"sgn", "sign", "igamma", "igammac"}

#: case -> the points whose value is PyTorch's fault: it has 0 * inf or loses what is small, and the reason
VALUES_DIFFER = {
    "special.bessel_j0": (lambda x: np.abs(x) > 5, "PyTorch is off by 1e-8"),
    "special.bessel_j1": (lambda x: np.abs(x) > 5, "PyTorch is off by 1e-8"),
    "special.bessel_y0": (lambda x: np.abs(x) > 5, "PyTorch is off by 1e-8"),
    "special.bessel_y1": (lambda x: np.abs(x) > 5, "PyTorch is off by 1e-8"),
    "special.airy_ai": (lambda x: (x < -2) | (x == INF), "PyTorch is off by 1e-6, and NaN at infinity"),
    "special.zeta": (lambda x, q: q > 1e29, "0, not NaN"),
    "remainder": (lambda x, y: np.abs(x) > 1e29, "NaN in float32 where the quotient overflows"),
    "fmod": (lambda x, y: np.abs(x) > 1e29, "NaN in float32 where the quotient overflows"),
    "polygamma(2)": (lambda x: x == INF, "0, not NaN"),
    "igamma": (lambda a, x: (a >= 25) & (x >= 25), "PyTorch is off by 1e-8"),
    "igammac": (lambda a, x: (a >= 25) & (x >= 25), "PyTorch is off by 1e-8"),
}

#: the same for gradients
GRADIENTS_DIFFER = {
    "abs": (np.isnan, "NaN, not 0"),
    "acosh": (beyond(-1.0), "NaN where the value is"),
    "sinc": (lambda x: np.abs(x) < 1e-6, "PyTorch gives 0 for the small slope"),
    "relu": (np.isnan, "0, as the gradient is read off the result"),
    "special.i1": (np.isnan, "NaN, not 0.5"),
    "special.i1e": (np.isnan, "NaN, not 0.5"),
    "special.log_ndtr": (lambda x: x < -1e9, "-x, not infinity"),
    "logaddexp": (lambda x, y: (x == y) & np.isinf(x), "one half, not NaN"),
    "logaddexp2": (lambda x, y: (x == y) & np.isinf(x), "one half, not NaN"),
    "special.zeta": (lambda x, q: (q > 1e29) | ((x >= 200) & (q < 0)), "0, not NaN; powers that cancel"),
    "polygamma(1)": (lambda x: x == INF, "0, not NaN"),
    "polygamma(2)": (lambda x: x == INF, "0, not NaN"),
    "igamma": (lambda a, x: (a > 1e9) & (x > 1e9), "lost digits in both"),
    "igammac": (lambda a, x: (a > 1e9) & (x > 1e9), "lost digits in both"),
    "nn.functional.softsign": (np.isinf, "0, not NaN"),
    "clamp_min": (some_nan, "the gradient goes to the element that was chosen, not to none"),
    "clamp_max": (some_nan, "the gradient goes to the element that was chosen, not to none"),
}


def points_of(count):
    if count == 1:
        return [np.array(POINTS)]
    return [a.ravel() for a in np.meshgrid(POINTS, POINTS)]


def agree(ours, theirs, skip, points, rtol, what, zeros=True):
    a, b = ours.numpy(force=True), theirs.detach().numpy(force=True)
    assert a.dtype == b.dtype, what
    fine = np.isclose(a, b, rtol=rtol, atol=rtol, equal_nan=True) | skip
    if not zeros and b.dtype.kind == "f":
        fine &= (np.signbit(a) == np.signbit(b)) | (b != 0) | (a != 0) | skip
    wrong = [f"{[p[i] for p in points]}: {a[i]} instead of {b[i]}" for i in np.flatnonzero(~fine)]
    assert not wrong, f"{what}: {wrong[:8]}"


def skipped(table, name, points):
    return table[name][0](*points) if name in table else np.zeros(points[0].shape, dtype=bool)


#: PyTorch has no formula, or refuses one
NO_GRADIENT = {"heaviside", "floor_divide", *(n for n in ONE if "bessel" in n and "special" in n), "special.airy_ai"}
#: PyTorch has a formula for the second argument only
SECOND_ONLY = {"special.zeta", "igamma", "igammac"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_special_points(name, dtype):
    count, function = CASES[name]
    points = points_of(count)
    # PyTorch computes some float64 results with float32 constants
    rtol = 2e-5 if dtype == "float32" else 1e-7 if name == "nn.functional.hardsigmoid" else 1e-9
    theirs = [torch.tensor(p, dtype=getattr(torch, dtype), requires_grad=True) for p in points]
    ours = [cr.tensor(p, dtype=getattr(cr, dtype), requires_grad=True) for p in points]
    if name in SECOND_ONLY:
        theirs[0], ours[0] = theirs[0].detach(), ours[0].detach()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, got = function(torch, *theirs), function(cr, *ours)
        skip = skipped(VALUES_DIFFER, name, points) | ((name in NAN_STAYS) & some_nan(*points))
        agree(got, expected, skip, points, rtol, name, name in ANY_ZERO)
        if not expected.requires_grad or name in NO_GRADIENT:
            return
        leaves = [i for i in range(count) if theirs[i].requires_grad]
        wanted = torch.autograd.grad(expected.sum(), [theirs[i] for i in leaves], allow_unused=True)
        found = cr.autograd.grad(got.sum(), [ours[i] for i in leaves], allow_unused=True)
        skip = skipped(GRADIENTS_DIFFER, name, points)
        for i, g, w in zip(leaves, found, wanted, strict=True):
            zeros = cr.zeros_like(ours[i]) if g is None else g
            agree(zeros, torch.zeros_like(theirs[i]) if w is None else w, skip, points, rtol, f"{name}, gradient {i}")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
@pytest.mark.parametrize(
    "name",
    """floor_divide remainder fmod pow bitwise_left_shift bitwise_right_shift gcd lcm maximum fmax atan2 copysign ldexp
    float_power xlogy eq logical_xor""".split(),
)
def test_integers(name, dtype):
    """The same dtype and values, or an error in both."""
    function = named(name)
    values = [0, 1, 1, 1] if dtype == "bool" else [3, 7, 1, 200] if dtype == "uint8" else [-7, 7, -1, 3]
    others = [1, 1, 0, 1] if dtype == "bool" else [1, 2, 3, 9]
    x, y = np.array(values, dtype=dtype), np.array(others, dtype=dtype)
    try:
        expected = function(torch, torch.tensor(x), torch.tensor(y))
    except RuntimeError:  # NotImplementedError is one
        with pytest.raises((RuntimeError, TypeError)):
            function(cr, cr.tensor(x), cr.tensor(y))
        return
    got = function(cr, cr.tensor(x), cr.tensor(y))
    assert str(got.dtype).split(".")[-1] == str(expected.dtype).split(".")[-1]
    np.testing.assert_allclose(got.numpy(force=True), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("family", ["chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v",
    "chebyshev_polynomial_w", "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w", "hermite_polynomial_h",
    "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p"])  # fmt: skip
def test_polynomials(family):
    x = np.linspace(-0.95, 0.95, 7)
    n = np.arange(-1, 12)[:, None]
    expected = getattr(torch.special, family)(torch.tensor(x), torch.tensor(n))
    got = getattr(cr.special, family)(cr.tensor(x), cr.tensor(n))
    np.testing.assert_allclose(got.numpy(force=True), expected.numpy(), rtol=1e-9, atol=1e-9)
