"""Elementwise functions, in the standard's dtypes and with its signatures; all are recorded."""

from __future__ import annotations

import math

from chainrule.array_api.promotion import array, binary, ours, promoted, unary
from chainrule.autograd.tensor import Tensor

Operand = Tensor | bool | int | float | complex


def abs(x: Tensor, /) -> Tensor:
    """Absolute value."""
    return unary("abs", x)


def acos(x: Tensor, /) -> Tensor:
    """Inverse cosine, in radians."""
    return unary("acos", x)


def acosh(x: Tensor, /) -> Tensor:
    """Inverse hyperbolic cosine."""
    return unary("acosh", x)


def add(x1: Operand, x2: Operand, /) -> Tensor:
    """Sum."""
    return binary("add", x1, x2)


def asin(x: Tensor, /) -> Tensor:
    """Inverse sine, in radians."""
    return unary("asin", x)


def asinh(x: Tensor, /) -> Tensor:
    """Inverse hyperbolic sine."""
    return unary("asinh", x)


def atan(x: Tensor, /) -> Tensor:
    """Inverse tangent, in radians."""
    return unary("atan", x)


def atan2(x1: Operand, x2: Operand, /) -> Tensor:
    """Angle of the point ``(x2, x1)``, in radians."""
    return binary("atan2", x1, x2)


def atanh(x: Tensor, /) -> Tensor:
    """Inverse hyperbolic tangent."""
    return unary("atanh", x)


def bitwise_and(x1: Operand, x2: Operand, /) -> Tensor:
    """AND of the bits."""
    return binary("bitwise_and", x1, x2)


def bitwise_invert(x: Tensor, /) -> Tensor:
    """Every bit inverted."""
    return unary("bitwise_invert", x, "bitwise_not")


def bitwise_left_shift(x1: Operand, x2: Operand, /) -> Tensor:
    """Bits shifted to the left."""
    return binary("bitwise_left_shift", x1, x2)


def bitwise_or(x1: Operand, x2: Operand, /) -> Tensor:
    """OR of the bits."""
    return binary("bitwise_or", x1, x2)


def bitwise_right_shift(x1: Operand, x2: Operand, /) -> Tensor:
    """Bits shifted to the right, keeping the sign."""
    return binary("bitwise_right_shift", x1, x2)


def bitwise_xor(x1: Operand, x2: Operand, /) -> Tensor:
    """XOR of the bits."""
    return binary("bitwise_xor", x1, x2)


def ceil(x: Tensor, /) -> Tensor:
    """The smallest integer that is not less."""
    return unary("ceil", x)


def clip(x: Tensor, /, min: Tensor | float | None = None, max: Tensor | float | None = None) -> Tensor:
    """Elements below ``min`` or above ``max`` replaced by these bounds."""
    x = array("clip", "x", x)
    if min is None and max is None:
        return x.clone()
    if min is not None:
        x = ours("clamp")(*promoted("clip", x, min))
    if max is not None:
        x, bound = promoted("clip", x, max)
        x = ours("clamp")(x, max=bound)
    return x


def conj(x: Tensor, /) -> Tensor:
    """Complex conjugate."""
    return unary("conj", x)


def copysign(x1: Operand, x2: Operand, /) -> Tensor:
    """The magnitude of ``x1`` with the sign of ``x2``."""
    return binary("copysign", x1, x2)


def cos(x: Tensor, /) -> Tensor:
    """Cosine of radians."""
    return unary("cos", x)


def cosh(x: Tensor, /) -> Tensor:
    """Hyperbolic cosine."""
    return unary("cosh", x)


def divide(x1: Operand, x2: Operand, /) -> Tensor:
    """Quotient."""
    return binary("divide", x1, x2, "div")


def equal(x1: Operand, x2: Operand, /) -> Tensor:
    """Whether elements are equal."""
    return binary("equal", x1, x2, "eq")


def exp(x: Tensor, /) -> Tensor:
    """Exponential."""
    return unary("exp", x)


def expm1(x: Tensor, /) -> Tensor:
    """``exp(x) - 1``, exact near 0."""
    result = unary("expm1", x)
    if not x.is_complex() or bool((finite := isfinite(x)).all()):
        return result
    return ours("where")(finite, result, ours("exp")(x) - 1)  # NumPy has NaN here


def floor(x: Tensor, /) -> Tensor:
    """The largest integer that is not greater."""
    return unary("floor", x)


def floor_divide(x1: Operand, x2: Operand, /) -> Tensor:
    """Quotient rounded towards minus infinity."""
    return binary("floor_divide", x1, x2)


def greater(x1: Operand, x2: Operand, /) -> Tensor:
    """Whether ``x1`` is larger."""
    return binary("greater", x1, x2, "gt")


def greater_equal(x1: Operand, x2: Operand, /) -> Tensor:
    """Whether ``x1`` is not smaller."""
    return binary("greater_equal", x1, x2, "ge")


def hypot(x1: Operand, x2: Operand, /) -> Tensor:
    """``sqrt(x1**2 + x2**2)`` without overflow."""
    return binary("hypot", x1, x2)


def imag(x: Tensor, /) -> Tensor:
    """Imaginary part of complex numbers."""
    return unary("imag", x)


def isfinite(x: Tensor, /) -> Tensor:
    """Whether elements are neither infinite nor NaN."""
    return unary("isfinite", x)


def isinf(x: Tensor, /) -> Tensor:
    """Whether elements are infinite."""
    return unary("isinf", x)


def isnan(x: Tensor, /) -> Tensor:
    """Whether elements are NaN."""
    return unary("isnan", x)


def less(x1: Operand, x2: Operand, /) -> Tensor:
    """Whether ``x1`` is smaller."""
    return binary("less", x1, x2, "lt")


def less_equal(x1: Operand, x2: Operand, /) -> Tensor:
    """Whether ``x1`` is not larger."""
    return binary("less_equal", x1, x2, "le")


def log(x: Tensor, /) -> Tensor:
    """Natural logarithm."""
    return unary("log", x)


def log10(x: Tensor, /) -> Tensor:
    """Logarithm to base 10."""
    return unary("log10", x)


def log1p(x: Tensor, /) -> Tensor:
    """``log(1 + x)``, exact near 0."""
    return unary("log1p", x)


def log2(x: Tensor, /) -> Tensor:
    """Logarithm to base 2."""
    return unary("log2", x)


def logaddexp(x1: Operand, x2: Operand, /) -> Tensor:
    """``log(exp(x1) + exp(x2))`` without overflow."""
    return binary("logaddexp", x1, x2)


def logical_and(x1: Operand, x2: Operand, /) -> Tensor:
    """Whether both are true."""
    return binary("logical_and", x1, x2)


def logical_not(x: Tensor, /) -> Tensor:
    """Whether elements are false."""
    return unary("logical_not", x)


def logical_or(x1: Operand, x2: Operand, /) -> Tensor:
    """Whether one is true."""
    return binary("logical_or", x1, x2)


def logical_xor(x1: Operand, x2: Operand, /) -> Tensor:
    """Whether exactly one is true."""
    return binary("logical_xor", x1, x2)


def maximum(x1: Operand, x2: Operand, /) -> Tensor:
    """The larger of two elements."""
    return binary("maximum", x1, x2)


def minimum(x1: Operand, x2: Operand, /) -> Tensor:
    """The smaller of two elements."""
    return binary("minimum", x1, x2)


def multiply(x1: Operand, x2: Operand, /) -> Tensor:
    """Product."""
    return binary("multiply", x1, x2, "mul")


def negative(x: Tensor, /) -> Tensor:
    """The sign changed."""
    return unary("negative", x, "neg")


def nextafter(x1: Operand, x2: Operand, /) -> Tensor:
    """The next float after ``x1`` towards ``x2``."""
    return binary("nextafter", x1, x2)


def not_equal(x1: Operand, x2: Operand, /) -> Tensor:
    """Whether elements differ."""
    return binary("not_equal", x1, x2, "ne")


def positive(x: Tensor, /) -> Tensor:
    """The elements as they are."""
    return array("positive", "x", x).clone()


def pow(x1: Operand, x2: Operand, /) -> Tensor:
    """``x1`` to the power ``x2``."""
    x, y = promoted("pow", x1, x2)
    if not x.is_floating_point() or not bool((y == 0.5).any()):
        return ours("pow")(x, y)
    # NumPy takes the square root here, which is NaN at -inf and -0 at -0; the power is +inf and +0
    half, root = y == 0.5, x.new_full((), math.inf)
    x = ours("where")(half & (x == -math.inf), root, x)
    return ours("pow")(x, y) + ours("where")(half, x.new_zeros(()), -x.new_zeros(()))


def real(x: Tensor, /) -> Tensor:
    """Real part."""
    return unary("real", x)


def reciprocal(x: Tensor, /) -> Tensor:
    """``1 / x``."""
    return unary("reciprocal", x)


def remainder(x1: Operand, x2: Operand, /) -> Tensor:
    """Remainder of the floored division, with the sign of ``x2``."""
    return binary("remainder", x1, x2)


def round(x: Tensor, /) -> Tensor:
    """The nearest integer, the even one of two; of complex numbers, of both parts."""
    if isinstance(x, Tensor) and x.is_complex():
        return ours("complex")(unary("round", real(x)), unary("round", imag(x)))
    return unary("round", x)


def sign(x: Tensor, /) -> Tensor:
    """-1, 0 or 1; of complex numbers ``x / abs(x)``."""
    return unary("sign", x, "sgn")


def signbit(x: Tensor, /) -> Tensor:
    """Whether the sign bit is set."""
    return unary("signbit", x)


def sin(x: Tensor, /) -> Tensor:
    """Sine of radians."""
    return unary("sin", x)


def sinh(x: Tensor, /) -> Tensor:
    """Hyperbolic sine."""
    return unary("sinh", x)


def sqrt(x: Tensor, /) -> Tensor:
    """Principal square root."""
    return unary("sqrt", x)


def square(x: Tensor, /) -> Tensor:
    """The square."""
    return unary("square", x)


def subtract(x1: Operand, x2: Operand, /) -> Tensor:
    """Difference."""
    return binary("subtract", x1, x2, "sub")


def tan(x: Tensor, /) -> Tensor:
    """Tangent of radians."""
    return unary("tan", x)


def tanh(x: Tensor, /) -> Tensor:
    """Hyperbolic tangent."""
    return unary("tanh", x)


def trunc(x: Tensor, /) -> Tensor:
    """The integer part."""
    return unary("trunc", x)
