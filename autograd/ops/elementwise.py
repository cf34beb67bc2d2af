"""Elementwise arithmetic and functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import function
from chainrule.autograd.runtime import cast, harmonise, result_dtype, wrap
from chainrule.autograd.samples import Binary, Sample, Samples, Unary, normal, special
from chainrule.autograd.tensor import Tensor

# ---- arithmetic -----------------------------------------------------------------------------------------------------


@op(
    vjp={"x": lambda xp, g: g, "y": lambda xp, g: g},
    check=Binary(reference=np.add),
    harmonise=True,
    broadcasts=True,
)
def add(xp, x, y):
    """Sum of two tensors, elementwise with broadcasting."""
    return xp.add(x, y)


@op(
    vjp={"x": lambda xp, g: g, "y": lambda xp, g: -g},
    check=Binary(reference=np.subtract),
    harmonise=True,
    broadcasts=True,
    label="sub",
)
def subtract(xp, x, y):
    """Difference of two tensors, elementwise with broadcasting."""
    return xp.subtract(x, y)


@op(
    vjp={"x": lambda xp, g, y: g * y, "y": lambda xp, g, x: g * x},
    check=Binary(reference=np.multiply),
    public="mul multiply",
    harmonise=True,
    broadcasts=True,
    inplace=True,
)
def multiply(xp, x, y):
    """Product of two tensors, elementwise with broadcasting.

    Example:
        >>> import chainrule as cr
        >>> cr.mul(cr.tensor([1.0, 2.0]), 3.0)
        tensor([3., 6.])
    """
    return xp.multiply(x, y)


@op(
    vjp={"x": lambda xp, g, y: g / y, "y": lambda xp, g, x, y: -(g * (x / y)) / y},
    check=Binary(0.5, 2.0, reference=np.divide),
    harmonise=True,
    floating=True,
    broadcasts=True,
    label="div",
)
def divide(xp, x, y):
    """Quotient of two tensors, elementwise with broadcasting."""
    return xp.divide(x, y)


@op(
    vjp={"x": lambda xp, g: xp.zeros_like(g), "y": lambda xp, g: xp.zeros_like(g)},
    check=Binary(-5.0, 5.0, y=(0.7, 2.0), reference=np.floor_divide),
    public="floor_divide",
    harmonise=True,
    broadcasts=True,
    inplace=True,
)
def floor_divide(xp, x, y):
    """Quotient of two tensors, rounded towards minus infinity; its gradient is 0 everywhere.

    Example:
        >>> import chainrule as cr
        >>> cr.floor_divide(cr.tensor([7.0, -7.0]), 2)
        tensor([ 3., -4.])
    """
    return xp.floor_divide(x, y)


@op(
    vjp={"x": lambda xp, g: g, "y": lambda xp, g, x, y: -g * xp.floor_divide(x, y)},
    check=Binary(-5.0, 5.0, y=(0.7, 2.0), reference=np.remainder),
    public="remainder",
    harmonise=True,
    broadcasts=True,
    inplace=True,
)
def remainder(xp, x, y):
    """Remainder of the floored division, with the sign of the divisor.

    Example:
        >>> import chainrule as cr
        >>> cr.remainder(cr.tensor([7.0, -7.0]), 3)
        tensor([1., 2.])
    """
    return xp.remainder(x, y)


def _power_base(xp: Any, g: Any, x: Any, y: Any) -> Any:
    # d/dx x**0 is 0, also at x = 0 where 0 * 0**-1 would be nan
    exponent = xp.where(y == 0, xp.ones_like(y), y - 1)
    return xp.where(y == 0, xp.zeros_like(g), g * y * xp.pow(x, exponent))


def _power_exponent(xp: Any, g: Any, x: Any, y: Any, out: Any) -> Any:
    # d/dy 0**y is 0 for y >= 0, where out * log(0) would be nan
    zero = (x == 0) & (y >= 0)
    return xp.where(zero, xp.zeros_like(g), g * out * xp.log(xp.where(zero, xp.ones_like(x), x)))


@op(
    vjp={"x": _power_base, "y": _power_exponent},
    check=Binary(0.3, 2.0, y=(-2.0, 2.0), reference=np.power),
    harmonise=True,
    broadcasts=True,
)
def pow(xp, x, y):
    """Power of two tensors, elementwise with broadcasting."""
    return xp.pow(x, y)


def _scalar_power_samples(rng: Any) -> Any:
    for exponent in (2, 3, 0.5, -1, 0, 1, 2.5, -2):
        yield Sample((normal(rng, 2, 3, low=0.3, high=2.0),), {"exponent": exponent})


@op(
    vjp={
        "x": lambda xp, g, x, exponent: (
            xp.zeros_like(g) if exponent == 0 else g * (xp.power_by_number(x, exponent=exponent - 1) * exponent)
        )
    },
    check=Samples(_scalar_power_samples, reference=lambda x, exponent: np.power(x, exponent)),
    floating=False,
    label="pow",
)
def power_by_number(xp, x, *, exponent):
    """``x ** exponent`` for a Python number; small exponents avoid the slow general power."""
    if exponent == 2:
        return x * x
    if exponent == 1:
        return xp.multiply(x, 1)
    if exponent == 3:
        return x * x * x
    if exponent == 0.5:
        return xp.sqrt(x)
    if exponent == -1:
        return xp.reciprocal(x)
    return xp.pow(x, exponent)


@op(vjp={"x": lambda xp, g: -g}, check=Unary(reference=np.negative), public="neg negative", inplace=True)
def negative(xp, x):
    """The tensor with its sign changed.

    Example:
        >>> import chainrule as cr
        >>> cr.neg(cr.tensor([1.0, -2.0]))
        tensor([-1.,  2.])
    """
    return xp.negative(x)


def _scaled(caller: str, input: Any, other: Any, alpha: Any) -> Any:
    """``other * alpha``; a fraction of integers is refused, as it would change the dtype of the result."""
    if isinstance(alpha, float) and dtypes.category(result_dtype([input, other])) < 2:
        raise RuntimeError(f"{caller}: alpha must be an integer for integer tensors, got {alpha}")
    return other * alpha


@function("add", inplace=True)
def _add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """``input + alpha * other``, elementwise with broadcasting.

    Example:
        >>> import chainrule as cr
        >>> cr.add(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 1.0]), alpha=10)
        tensor([11., 12.])
    """
    return xp_of_tensors.add(input, other if alpha == 1 else _scaled("add", input, other, alpha))


@function("sub subtract", inplace=True)
def _sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """``input - alpha * other``, elementwise with broadcasting.

    Example:
        >>> import chainrule as cr
        >>> cr.sub(cr.tensor([1.0, 2.0]), 1.0)
        tensor([0., 1.])
    """
    return xp_of_tensors.subtract(input, other if alpha == 1 else _scaled("sub", input, other, alpha))


@function("div divide true_divide", inplace=True)
def _div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """``input / other``, elementwise with broadcasting; integers give the default floating dtype.

    Args:
        rounding_mode: None, ``"floor"`` or ``"trunc"``.

    Example:
        >>> import chainrule as cr
        >>> cr.div(cr.tensor([1, 2]), 2)
        tensor([0.5000, 1.0000])
    """
    if rounding_mode is None:
        return xp_of_tensors.divide(input, other)
    if rounding_mode == "floor":
        return xp_of_tensors.floor_divide(input, other)
    if rounding_mode == "trunc":
        quotient = xp_of_tensors.divide(input, other)
        whole = xp_of_tensors.trunc(quotient)
        both_integer = all(dtypes.category(np.dtype(getattr(v, "dtype", type(v)))) < 2 for v in (input, other))
        return whole.to(input.dtype) if both_integer and isinstance(input, Tensor) else whole
    raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")


@function("pow", inplace=True)
def _pow(input: Any, exponent: Any) -> Tensor:
    """``input ** exponent``, elementwise with broadcasting; one of the two may be a number.

    Raises RuntimeError for integers to negative integer powers.

    Example:
        >>> import chainrule as cr
        >>> cr.pow(cr.tensor([1.0, 2.0, 3.0]), 2)
        tensor([1., 4., 9.])
    """
    if isinstance(input, Tensor) and isinstance(exponent, (int, float)) and not isinstance(exponent, bool):
        if dtypes.category(input._data.dtype) < 2:
            if isinstance(exponent, float):
                input = input.to(dtypes.get_default_dtype())
            elif exponent < 0:
                raise RuntimeError(
                    "pow: integers to negative integer powers are not allowed; convert with .float() first"
                )
        if dtypes.category(input._data.dtype) >= 2:
            return xp_of_tensors.power_by_number(input, exponent=exponent)
    return xp_of_tensors.pow(input, exponent)


# ---- functions of one tensor ----------------------------------------------------------------------------------------


@op(
    vjp={"x": lambda xp, g, x: g * xp.sign(x)},
    check=Unary(special=[0.0], reference=np.abs),
    public="abs absolute",
    inplace=True,
)
def abs(xp, x):
    """Absolute value; its gradient at 0 is 0.

    Example:
        >>> import chainrule as cr
        >>> cr.abs(cr.tensor([1.0, -2.0]))
        tensor([1., 2.])
    """
    return xp.abs(x)


@op(vjp={"x": lambda xp, g: xp.zeros_like(g)}, check=Unary(reference=np.sign), public="sign", inplace=True)
def sign(xp, x):
    """-1, 0 or 1; its gradient is 0 everywhere.

    Example:
        >>> import chainrule as cr
        >>> cr.sign(cr.tensor([-3.0, 0.0, 2.0]))
        tensor([-1.,  0.,  1.])
    """
    return xp.sign(x)


@op(vjp={"x": lambda xp, g: xp.zeros_like(g)}, check=Unary(reference=np.trunc), public="trunc", inplace=True)
def trunc(xp, x):
    """The integer part; its gradient is 0 everywhere.

    Example:
        >>> import chainrule as cr
        >>> cr.trunc(cr.tensor([-1.5, 1.5]))
        tensor([-1.,  1.])
    """
    return xp.trunc(x)


@op(vjp={"x": lambda xp, g, out: g * out}, check=Unary(reference=np.exp), public="exp", floating=True, inplace=True)
def exp(xp, x):
    """Exponential.

    Example:
        >>> import chainrule as cr
        >>> cr.exp(cr.tensor([0.0, 1.0]))
        tensor([1.0000, 2.7183])
    """
    return xp.exp(x)


@op(
    vjp={"x": lambda xp, g, out: g * (out + 1)},
    check=Unary(special=[0.0, 1e-10], reference=np.expm1),
    public="expm1",
    floating=True,
    inplace=True,
)
def expm1(xp, x):
    """``exp(x) - 1``, exact near 0.

    Example:
        >>> import chainrule as cr
        >>> cr.expm1(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 1.7183])
    """
    return xp.expm1(x)


@op(
    vjp={"x": lambda xp, g, x: g / x},
    check=Unary(0.2, 3.0, reference=np.log),
    public="log",
    floating=True,
    inplace=True,
)
def log(xp, x):
    """Natural logarithm.

    Example:
        >>> import chainrule as cr
        >>> cr.log(cr.tensor([1.0, 10.0]))
        tensor([0.0000, 2.3026])
    """
    return xp.log(x)


@op(
    vjp={"x": lambda xp, g, x: g / (x + 1)},
    check=Unary(-0.8, 3.0, special=[0.0, 1e-10], reference=np.log1p),
    public="log1p",
    floating=True,
    inplace=True,
)
def log1p(xp, x):
    """``log(1 + x)``, exact near 0.

    Example:
        >>> import chainrule as cr
        >>> cr.log1p(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.6931])
    """
    return xp.log1p(x)


@op(
    vjp={"x": lambda xp, g, out: g * 0.5 / out},
    check=Unary(0.2, 3.0, reference=np.sqrt),
    public="sqrt",
    floating=True,
    inplace=True,
)
def sqrt(xp, x):
    """Square root.

    Example:
        >>> import chainrule as cr
        >>> cr.sqrt(cr.tensor([4.0, 9.0]))
        tensor([2., 3.])
    """
    return xp.sqrt(x)


@op(
    vjp={"x": lambda xp, g, out: g * -0.5 * (out * out * out)},
    check=Unary(0.2, 3.0, reference=lambda x: 1 / np.sqrt(x)),
    public="rsqrt",
    floating=True,
    inplace=True,
)
def rsqrt(xp, x):
    """Reciprocal of the square root.

    Example:
        >>> import chainrule as cr
        >>> cr.rsqrt(cr.tensor([4.0, 1.0]))
        tensor([0.5000, 1.0000])
    """
    return xp.reciprocal(xp.sqrt(x))


@op(vjp={"x": lambda xp, g, x: g * (x + x)}, check=Unary(reference=np.square))
def square(xp, x):
    """The square of each element."""
    return xp.square(x)


@function("square", inplace=True)
def _square(input: Tensor) -> Tensor:
    """The square of each element; bools give int64.

    Example:
        >>> import chainrule as cr
        >>> cr.square(cr.tensor([1.0, -3.0]))
        tensor([1., 9.])
    """
    if isinstance(input, Tensor) and input._data.dtype.kind == "b":
        input = cast(input, dtypes.int64.dtype)
    return xp_of_tensors.square(input)


@op(
    vjp={"x": lambda xp, g, out: -g * (out * out)},
    check=Unary(0.3, 3.0, reference=np.reciprocal),
    public="reciprocal",
    floating=True,
    inplace=True,
)
def reciprocal(xp, x):
    """``1 / x``.

    Example:
        >>> import chainrule as cr
        >>> cr.reciprocal(cr.tensor([4.0, 2.0]))
        tensor([0.2500, 0.5000])
    """
    return xp.reciprocal(x)


@op(vjp={"x": lambda xp, g, x: g * xp.cos(x)}, check=Unary(reference=np.sin), public="sin", floating=True, inplace=True)
def sin(xp, x):
    """Sine; the argument in radians.

    Example:
        >>> import chainrule as cr
        >>> cr.sin(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8415])
    """
    return xp.sin(x)


@op(
    vjp={"x": lambda xp, g, x: -g * xp.sin(x)}, check=Unary(reference=np.cos), public="cos", floating=True, inplace=True
)
def cos(xp, x):
    """Cosine; the argument in radians.

    Example:
        >>> import chainrule as cr
        >>> cr.cos(cr.tensor([0.0, 1.0]))
        tensor([1.0000, 0.5403])
    """
    return xp.cos(x)


@op(
    vjp={"x": lambda xp, g, out: g * (1 - out * out)},
    check=Unary(special=[0.0, 1000.0, -1000.0], reference=np.tanh),
    public="tanh",
    floating=True,
    inplace=True,
)
def tanh(xp, x):
    """Hyperbolic tangent.

    Example:
        >>> import chainrule as cr
        >>> cr.tanh(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616])
    """
    return xp.tanh(x)


@op(
    vjp={"x": lambda xp, g, out: g * (out * (1 - out))},
    check=Unary(special=[0.0, 1000.0, -1000.0], reference=lambda x: special.expit(x)),
    public="sigmoid",
    floating=True,
    inplace=True,
)
def sigmoid(xp, x):
    """Logistic function ``1 / (1 + exp(-x))``, without overflow and exact in both tails.

    Example:
        >>> import chainrule as cr
        >>> cr.sigmoid(cr.tensor([0.0, 2.0]))
        tensor([0.5000, 0.8808])
    """
    return xp.exp(xp.minimum(x, 0)) / (xp.exp(-xp.abs(x)) + 1)


# ---- rectifiers -----------------------------------------------------------------------------------------------------


@op(
    vjp={"x": lambda xp, g, out: g * (out > 0)},
    check=Unary(special=[0.0], reference=lambda x: np.maximum(x, 0)),
    public="relu",
    inplace=True,
)
def relu(xp, x):
    """``max(x, 0)``; its gradient at 0 is 0.

    Example:
        >>> import chainrule as cr
        >>> cr.relu(cr.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return xp.maximum(x, 0)


@op(
    vjp={"x": lambda xp, g, x, negative_slope: xp.where(x > 0, g, g * negative_slope)},
    check=Unary(attributes=[{}, {"negative_slope": 0.2}], special=[0.0]),
)
def leaky_relu(xp, x, *, negative_slope=0.01):
    """``x`` where positive, else ``negative_slope * x`` (Maas et al., 2013)."""
    return xp.where(x > 0, x, x * negative_slope)


@op(
    vjp={"x": lambda xp, g, x, alpha: xp.where(x > 0, g, g * (xp.exp(xp.minimum(x, 0)) * alpha))},
    check=Unary(attributes=[{}, {"alpha": 0.7}], special=[0.0, 1000.0]),
    floating=True,
)
def elu(xp, x, *, alpha=1.0):
    """``x`` where positive, else ``alpha * (exp(x) - 1)`` (Clevert et al., 2016)."""
    return xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0)) * alpha)


@op(
    vjp={
        "x": lambda xp, g, x, beta, threshold: xp.where(x * beta > threshold, g, g * xp.sigmoid(x * beta)),
    },
    check=Unary(attributes=[{}, {"beta": 2.0, "threshold": 3.0}], special=[0.0, 1000.0, -1000.0]),
    floating=True,
)
def softplus(xp, x, *, beta=1.0, threshold=20.0):
    """``log(1 + exp(beta * x)) / beta``, and ``x`` itself where ``beta * x`` exceeds ``threshold``."""
    scaled = x * beta
    smooth = (xp.maximum(scaled, 0) + xp.log1p(xp.exp(-xp.abs(scaled)))) / beta
    return xp.where(scaled > threshold, x, smooth)


@op(
    vjp={"x": lambda xp, g, x, min, max: g * _inside(x, min, max)},
    check=Unary(attributes=[{"min": -0.5, "max": 0.7}, {"min": 0.1}, {"max": 0.3}]),
)
def clip(xp, x, *, min=None, max=None):
    """The tensor with its elements limited to [min, max]; the gradient is 1 on the bounds."""
    if min is not None:
        x = xp.maximum(x, min)
    return x if max is None else xp.minimum(x, max)


def _inside(x: Any, min: Any, max: Any) -> Any:
    if min is None:
        return x <= max
    return x >= min if max is None else (x >= min) & (x <= max)


@function("clamp clip", inplace=True)
def _clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """The elements limited to [min, max]; the bounds are numbers or tensors, one of them may be left out.

    Raises ValueError when both are missing.

    Example:
        >>> import chainrule as cr
        >>> cr.clamp(cr.tensor([-1.0, 0.5, 3.0]), 0, 1)
        tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        if min is not None:
            input = _where(input < min, min, input)
        return input if max is None else _where(input > max, max, input)
    if dtypes.category(input._data.dtype) < 2 and any(isinstance(v, float) for v in (min, max)):
        input = input.to(dtypes.get_default_dtype())
    return xp_of_tensors.clip(input, min=min, max=max)


@op(
    vjp={
        "x": lambda xp, g, x, y: g * (x > y) + (g * 0.5) * (x == y),
        "y": lambda xp, g, x, y: g * (y > x) + (g * 0.5) * (x == y),
    },
    check=Binary(reference=np.maximum),
    public="maximum",
    harmonise=True,
    broadcasts=True,
)
def maximum(xp, x, y):
    """The larger of two elements; where they are equal each gets half of the gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.maximum(cr.tensor([1.0, 5.0]), cr.tensor([3.0, 2.0]))
        tensor([3., 5.])
    """
    return xp.maximum(x, y)


@op(
    vjp={
        "x": lambda xp, g, x, y: g * (x < y) + (g * 0.5) * (x == y),
        "y": lambda xp, g, x, y: g * (y < x) + (g * 0.5) * (x == y),
    },
    check=Binary(reference=np.minimum),
    public="minimum",
    harmonise=True,
    broadcasts=True,
)
def minimum(xp, x, y):
    """The smaller of two elements; where they are equal each gets half of the gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.minimum(cr.tensor([1.0, 5.0]), cr.tensor([3.0, 2.0]))
        tensor([1., 2.])
    """
    return xp.minimum(x, y)


def _where_samples(rng: Any) -> Any:
    for c, a, b in [((3,), (3,), (3,)), ((2, 1), (3,), (2, 3)), ((2, 3), (), ()), ((), (2,), (1,))]:
        yield Sample((np.asarray(rng.random(c) > 0.5), normal(rng, *a), normal(rng, *b)))


@op(
    vjp={
        "x": lambda xp, g, condition: xp.where(condition, g, xp.zeros_like(g)),
        "y": lambda xp, g, condition: xp.where(condition, xp.zeros_like(g), g),
    },
    check=Samples(_where_samples, reference=np.where),
    broadcasts=True,
    arithmetic=False,
)
def where(xp, condition, x, y):
    """Elements of ``x`` where the condition holds, else of ``y``."""
    return xp.where(condition, x, y)


@function("where")
def _where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Elements of ``input`` where ``condition`` holds, else of ``other``; all three broadcast.

    A NaN in the branch that is not taken still reaches the gradient of what computed it: make the argument of the
    dangerous function safe as well, ``where(x > 0, log(where(x > 0, x, 1)), 0)``.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([-1.0, 2.0])
        >>> cr.where(x > 0, x, 0.0)
        tensor([0., 2.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if not isinstance(condition, Tensor):
        raise TypeError(f"where: condition must be a bool Tensor, got {type(condition).__name__}")
    if condition._data.dtype.kind != "b":
        raise TypeError(
            f"where: condition must be a bool tensor, got {condition.dtype}; compare it with something first"
        )
    from chainrule.autograd.op import OPS

    if not isinstance(input, Tensor) and not isinstance(other, Tensor):  # numbers go where the condition is
        common, place = result_dtype([input, other]), condition._device
        input, other = [wrap(place.asarray(v, common), place) for v in (input, other)]
    x, y = harmonise(OPS["where"], input, other)
    return xp_of_tensors.where(condition, x, y)
