"""Signs, infinities, and neighbours of floating-point numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import function
from chainrule.autograd.samples import Binary, Unary
from chainrule.autograd.tensor import Tensor
from chainrule.backends.shims import finfo


@op(vjp=None, check=Unary(reference=np.signbit), public="signbit")
def signbit(xp, x):
    """Whether the sign is negative, also that of ``-0.0``.

    Example:
        >>> import chainrule as cr
        >>> cr.signbit(cr.tensor([-1.0, -0.0, 0.0]))
        tensor([ True,  True, False])
    """
    return xp.signbit(x)


def _copysign_back(xp: Any, g: Any, x: Any, out: Any) -> Any:
    """``where(x == 0, 0, g * (out / x))``."""
    zero = x == 0
    return xp.where(zero, xp.zeros_like(g), g * (out / xp.where(zero, xp.ones_like(x), x)))


@op(
    vjp={"x": _copysign_back, "y": lambda xp, g: xp.zeros_like(g)},
    check=Binary(reference=np.copysign),
    public="copysign",
    harmonise=True,
    floating=True,
    broadcasts=True,
    inplace=True,
)
def copysign(xp, x, y):
    """The magnitude of ``input`` with the sign of ``other``; the gradient at 0 is 0.

    Example:
        >>> import chainrule as cr
        >>> cr.copysign(cr.tensor([1.0, -2.0]), cr.tensor([-0.0, 3.0]))
        tensor([-1.,  2.])
    """
    return xp.copysign(x, y)


@op(
    vjp={"x": lambda xp, g, x, y: xp.where(x == y, xp.zeros_like(g), g), "y": lambda xp, g: xp.zeros_like(g)},
    check=Binary(reference=np.nextafter),
    public="nextafter",
    harmonise=True,
    broadcasts=True,
    arithmetic=False,
    inplace=True,
)
def nextafter(xp, x, y):
    """The next floating-point number after ``input`` in the direction of ``other``; its gradient passes to ``input``.

    Example:
        >>> import chainrule as cr
        >>> bool(cr.nextafter(cr.tensor([1.0]), cr.tensor([2.0])) > 1)
        True
    """
    return xp.nextafter(x, y)


@op(
    vjp={"x": lambda xp, g: xp.zeros_like(g), "y": lambda xp, g, x: xp.where(x == 0, g, xp.zeros_like(g))},
    check=Binary(reference=np.heaviside),
    harmonise=True,
    broadcasts=True,
    arithmetic=False,
    label="heaviside",
)
def step(xp, x, y):
    """0 where x is negative, 1 where it is positive, y where it is 0."""
    x, y = xp.broadcast_arrays(x, y)
    return xp.where(x == 0, y, xp.astype(x > 0, x.dtype))


@function("heaviside", inplace=True)
def _heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 where ``input`` is negative, 1 where it is positive, ``values`` where it is 0; its gradient passes to those.

    Raises RuntimeError when the dtypes differ.

    Example:
        >>> import chainrule as cr
        >>> cr.heaviside(cr.tensor([-1.0, 0.0, 2.0]), cr.tensor([0.5]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    if isinstance(values, Tensor) and values._data.dtype != input._data.dtype:
        raise RuntimeError(
            f"heaviside: expected values of the dtype of input, {input.dtype}, got {values.dtype}; convert one of them"
        )
    return xp_of_tensors.step(input, values)


@op(vjp=None, check=Unary(reference=np.isposinf), public="isposinf")
def isposinf(xp, x):
    """Whether the element is plus infinity.

    Example:
        >>> import chainrule as cr
        >>> cr.isposinf(cr.tensor([cr.inf, -cr.inf, 1.0]))
        tensor([ True, False, False])
    """
    return x == math.inf


@op(vjp=None, check=Unary(reference=np.isneginf), public="isneginf")
def isneginf(xp, x):
    """Whether the element is minus infinity.

    Example:
        >>> import chainrule as cr
        >>> cr.isneginf(cr.tensor([cr.inf, -cr.inf, 1.0]))
        tensor([False,  True, False])
    """
    return x == -math.inf


@op(vjp=None, check=Unary(reference=np.isreal), public="isreal")
def isreal(xp, x):
    """Whether the imaginary part is 0.

    Example:
        >>> import chainrule as cr
        >>> cr.isreal(cr.tensor([1.0, 2.0]))
        tensor([True, True])
    """
    return xp.imag(x) == 0 if xp.isdtype(x.dtype, "complex floating") else xp.ones(x.shape, dtype=bool)


def _limits(dtype: Any) -> tuple[float, float]:
    found = finfo(dtype)
    return float(found.min), float(found.max)


@op(
    vjp={"x": lambda xp, g, x: xp.where(xp.isfinite(x), g, xp.zeros_like(g))},
    check=Unary(
        attributes=[{}, {"nan": 1.0, "posinf": 2.0, "neginf": -2.0}],
        reference=lambda x, **replaced: np.nan_to_num(x, **replaced),
    ),
    public="nan_to_num",
    arithmetic=False,  # the largest float16 is not that of float32
    inplace=True,
)
def nan_to_num(xp, x, *, nan=0.0, posinf=None, neginf=None):
    """NaN and the infinities replaced by numbers: 0 and the largest and smallest of the dtype, or those given.

    The gradient is 0 where something was replaced.

    Example:
        >>> import chainrule as cr
        >>> cr.nan_to_num(cr.tensor([cr.nan, cr.inf, 1.0]), posinf=5.0)
        tensor([0., 5., 1.])
    """
    if not xp.isdtype(x.dtype, "real floating"):
        return xp.copy(x)
    low, high = _limits(x.dtype)
    low, high = low if neginf is None else neginf, high if posinf is None else posinf
    x = xp.where(x != x, xp.full_like(x, 0.0 if nan is None else nan), x)
    x = xp.where(x == math.inf, xp.full_like(x, high), x)
    return xp.where(x == -math.inf, xp.full_like(x, low), x)


@function("positive")
def _positive(input: Tensor) -> Tensor:
    """The tensor itself. Raises RuntimeError for bools.

    Example:
        >>> import chainrule as cr
        >>> cr.positive(cr.tensor([1.0, -1.0]))
        tensor([ 1., -1.])
    """
    if input._data.dtype.kind == "b":
        raise RuntimeError("positive: expected a tensor of numbers, got one of bools")
    return input
