"""Elementary functions of float32 numbers that loops can be vectorised over: no branches, no calls, no tables.

Coefficients are those of the Cephes library (Moshier, 1989), but for erf.
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
def exp(x: Any) -> Any:
    """``e**x`` within 0.7 units in the last place; subnormal, zero and infinite results and NaN as they should be."""
    x = _f(-104.0) if x < _f(-104.0) else x
    x = _f(89.0) if x > _f(89.0) else x
    shifted = _f(x * _LOG2_E + _ROUND)
    n = shifted - _ROUND
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = _f(1.9875691500e-4)
    p = p * r + _f(1.3981999507e-3)
    p = p * r + _f(8.3334519073e-3)
    p = p * r + _f(4.1665795894e-2)
    p = p * r + _f(1.6666665459e-1)
    p = p * r + _f(5.0000001201e-1)
    p = p * (r * r) + r + _f(1.0)
    # 2**n in two factors, as n may be outside what the exponent of one number holds
    power = _i(shifted.view(_i) - _ROUND_BITS)
    half = _i(power >> _i(1))
    first = _i(_i(half + _i(127)) << _i(23)).view(_f)
    second = _i(_i(power - half + _i(127)) << _i(23)).view(_f)
    return p * first * second


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
