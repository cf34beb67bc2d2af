"""Elementary functions of float32 numbers that loops can be vectorised over: no branches, no calls, no tables.

Coefficients are those of the Cephes library (Moshier, 1989), but for erf and the normal distribution.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.compiled.jit import inlined

_f, _i = np.float32, np.int32

_LOG2_E = _f(1.44269504)
_LN2_HIGH, _LN2_LOW = _f(0.693359375), _f(-2.12194440e-4)
#: adding 1.5 * 2**23 rounds to an integer, which then stands in the last bits
_ROUND = _f(12582912.0)
_ROUND_BITS = _i(0x4B400000)


@inlined
def _reduced(x: Any) -> Any:
    """n and r with ``x = n * log(2) + r``, and ``exp(r) - 1 - r``."""
    shifted = _f(x * _LOG2_E + _ROUND)
    n = shifted - _ROUND
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = _f(1.9875691500e-4)
    p = p * r + _f(1.3981999507e-3)
    p = p * r + _f(8.3334519073e-3)
    p = p * r + _f(4.1665795894e-2)
    p = p * r + _f(1.6666665459e-1)
    p = p * r + _f(5.0000001201e-1)
    return _i(_f(shifted).view(_i) - _ROUND_BITS), r, p * (r * r)


@inlined
def _power_of_2(n: Any) -> Any:
    return _i(_i(n + _i(127)) << _i(23)).view(_f)


@inlined
def exp(x: Any) -> Any:
    """``e**x`` within 0.7 units in the last place; subnormal, zero and infinite results and NaN as they should be."""
    x = _f(-104.0) if x < _f(-104.0) else x
    x = _f(89.0) if x > _f(89.0) else x
    n, r, rest = _reduced(x)
    # 2**n in two factors, as n may be outside what the exponent of one number holds
    half = _i(n >> _i(1))
    return (rest + r + _f(1.0)) * _power_of_2(half) * _power_of_2(n - half)


@inlined
def expm1(x: Any) -> Any:
    """``e**x - 1`` within 2 units in the last place, the sign of 0 kept."""
    within = _f(-20.0) if x < _f(-20.0) else x
    within = _f(89.0) if within > _f(89.0) else within
    n, r, rest = _reduced(within)
    half = _i(n >> _i(1))
    other = n - half
    # (first * e**r - 1 / second) * second, without the cancellation of e**r - 1
    first = _power_of_2(half)
    y = ((rest + r) * first + (first - _power_of_2(-other))) * _power_of_2(other)
    return x if x == _f(0.0) else y


@inlined
def _mantissa(x: Any) -> Any:
    """n and r with ``x = 2**n * (1 + r)`` for a normal number x, r from -0.3 to 0.42."""
    bits = _i(_f(x).view(_i) + _i(0x3F800000 - 0x3F3504F3))
    n = _f(_i(_i(bits >> _i(23)) - _i(127)))
    return n, _i(_i(bits & _i(0x007FFFFF)) + _i(0x3F3504F3)).view(_f) - _f(1.0)


@inlined
def _log_rest(r: Any) -> Any:
    """``log(1 + r) - r``"""
    z = r * r
    p = _f(7.0376836292e-2)
    p = p * r + _f(-1.1514610310e-1)
    p = p * r + _f(1.1676998740e-1)
    p = p * r + _f(-1.2420140846e-1)
    p = p * r + _f(1.4249322787e-1)
    p = p * r + _f(-1.6668057665e-1)
    p = p * r + _f(2.0000714765e-1)
    p = p * r + _f(-2.4999993993e-1)
    p = p * r + _f(3.3333331174e-1)
    return p * (r * z) - _f(0.5) * z


@inlined
def _parts(x: Any) -> Any:
    """As ``_mantissa``, of subnormal numbers too."""
    small = x < _f(1.17549435e-38)
    n, r = _mantissa(x * _f(8388608.0) if small else x)
    return n - (_f(23.0) if small else _f(0.0)), r


@inlined
def _log_or_special(x: Any, y: Any) -> Any:
    """y, a logarithm of x, but for what x has none that is a number."""
    y = y if x < _f(np.inf) else x
    y = y if x >= _f(0.0) else _f(np.nan)
    return _f(-np.inf) if x == _f(0.0) else y


@inlined
def log(x: Any) -> Any:
    """The natural logarithm within 1 unit in the last place."""
    n, r = _parts(x)
    return _log_or_special(x, n * _LN2_HIGH + (r + (_log_rest(r) + n * _LN2_LOW)))


@inlined
def log2(x: Any) -> Any:
    """The logarithm to base 2, exact for powers of 2."""
    n, r = _parts(x)
    rest = _log_rest(r)
    over_1 = _f(0.44269504088896341)  # log2(e) - 1
    return _log_or_special(x, n + (r + (rest + (rest * over_1 + r * over_1))))


@inlined
def log10(x: Any) -> Any:
    """The logarithm to base 10."""
    n, r = _parts(x)
    rest = _log_rest(r)
    high, low = _f(4.3359375e-1), _f(7.00731903251827651129e-4)  # of log10(e)
    small = rest * low + r * low + rest * high + n * _f(2.48745663981195213739e-4)
    return _log_or_special(x, n * _f(3.0078125e-1) + (r * high + small))


@inlined
def log1p(x: Any) -> Any:
    """``log(1 + x)`` within 2 units in the last place, the sign of 0 kept."""
    u = x + _f(1.0)
    n, r = _mantissa(u)
    lost = (x - (u - _f(1.0))) / u
    y = n * _LN2_HIGH + (r + (_log_rest(r) + n * _LN2_LOW + lost))
    y = x if x == _f(0.0) else y
    return _log_or_special(u, y)


@inlined
def tanh(x: Any) -> Any:
    """The hyperbolic tangent, within 2 units in the last place."""
    size = abs(x)
    z = x * x
    p = _f(-5.70498872745e-3)
    p = p * z + _f(2.06390887954e-2)
    p = p * z + _f(-5.37397155531e-2)
    p = p * z + _f(1.33314422036e-1)
    p = p * z + _f(-3.33332819422e-1)
    near = x * (_f(1.0) + p * z)
    far = _f(1.0) - _f(2.0) / (exp(_f(2.0) * size) + _f(1.0))
    far = -far if x < _f(0.0) else far
    return near if size < _f(0.625) else far


@inlined
def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))``, exact in both tails."""
    e = exp(-abs(x))
    return (_f(1.0) if x >= _f(0.0) else e) / (_f(1.0) + e)


@inlined
def erf(x: Any) -> Any:
    """The error function as ``tanh(x P(x^2))``, with an absolute error below 3e-7."""
    z = x * x
    p = _f(1.58954331e-7)
    p = p * z + _f(-5.98561884e-6)
    p = p * z + _f(8.97122822e-5)
    p = p * z + _f(-6.25719018e-4)
    p = p * z + _f(-1.84384124e-4)
    p = p * z + _f(0.102765482)
    p = p * z + _f(1.12837971)
    return tanh(x * p)


@inlined
def _half_of_exp(x: Any) -> Any:
    """``e**x / 2`` for x that is not negative, where ``e**x`` may be too large."""
    n, r, rest = _reduced(_f(90.0) if x > _f(90.0) else x)
    half = _i(n >> _i(1))
    return (rest + r + _f(1.0)) * _power_of_2(half) * _power_of_2(n - half - _i(1))


@inlined
def sinh(x: Any) -> Any:
    """The hyperbolic sine, within 2 units in the last place."""
    size, z = abs(x), x * x
    p = _f(2.03721912945e-4)
    p = p * z + _f(8.33028376239e-3)
    p = p * z + _f(1.66667160211e-1)
    near = p * (z * x) + x
    half = _half_of_exp(size)
    far = half - _f(0.25) / half
    return near if size < _f(1.0) else (-far if x < _f(0.0) else far)


@inlined
def cosh(x: Any) -> Any:
    """The hyperbolic cosine, within 2 units in the last place."""
    half = _half_of_exp(abs(x))
    return half + _f(0.25) / half


@inlined
def atan(x: Any) -> Any:
    """The inverse tangent, within 2 units in the last place."""
    size = abs(x)
    far, middle = size > _f(2.414213562373095), size > _f(0.4142135623730950)
    over = _f(-1.0) if far else (size - _f(1.0) if middle else size)
    under = size if far else (size + _f(1.0) if middle else _f(1.0))
    base = _f(1.5707963267948966) if far else (_f(0.7853981633974483) if middle else _f(0.0))
    lost = _f(-4.371139e-8) if far else (_f(-2.1855695e-8) if middle else _f(0.0))
    v = over / under
    z = v * v
    p = _f(8.05374449538e-2)
    p = p * z + _f(-1.38776856032e-1)
    p = p * z + _f(1.99777106478e-1)
    p = p * z + _f(-3.33329491539e-1)
    y = base + (p * (z * v) + lost + v)
    y = -y if x < _f(0.0) else y
    return x if x == _f(0.0) else y


@inlined
def normal(x: Any) -> Any:
    """The probability that a normal variable is less than x, within 1.2e-7, and ``exp(-x**2 / 2)``.

    By formula 7.1.26 of Abramowitz and Stegun (1964), which has the same exponential.
    """
    density = exp(_f(-0.5) * x * x)
    t = _f(1.0) / (_f(0.2316418) * abs(x) + _f(1.0))
    p = _f(0.5 * 1.061405429)
    p = p * t + _f(0.5 * -1.453152027)
    p = p * t + _f(0.5 * 1.421413741)
    p = p * t + _f(0.5 * -0.284496736)
    p = p * t + _f(0.5 * 0.254829592)
    tail = p * t * density
    return tail if x < _f(0.0) else _f(1.0) - tail, density
