"""Comparisons, logic and tests: results without a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.public import function
from chainrule.autograd.samples import Binary, Sample, Samples, Unary
from chainrule.autograd.tensor import Tensor


@op(vjp=None, check=Binary(reference=np.equal), public="eq", harmonise=True, inplace=True)
def equal(xp, x, y):
    """Whether two elements are equal.

    Example:
        >>> import chainrule as cr
        >>> cr.eq(cr.tensor([1, 2]), 2)
        tensor([False,  True])
    """
    return xp.equal(x, y)


@op(vjp=None, check=Binary(reference=np.not_equal), public="ne not_equal", harmonise=True, inplace=True)
def not_equal(xp, x, y):
    """Whether two elements differ.

    Example:
        >>> import chainrule as cr
        >>> cr.ne(cr.tensor([1, 2]), 2)
        tensor([ True, False])
    """
    return xp.not_equal(x, y)


@op(vjp=None, check=Binary(reference=np.less), public="lt less", harmonise=True, inplace=True)
def less(xp, x, y):
    """Whether the first element is smaller.

    Example:
        >>> import chainrule as cr
        >>> cr.lt(cr.tensor([1, 2]), 2)
        tensor([ True, False])
    """
    return xp.less(x, y)


@op(vjp=None, check=Binary(reference=np.less_equal), public="le less_equal", harmonise=True, inplace=True)
def less_equal(xp, x, y):
    """Whether the first element is not larger.

    Example:
        >>> import chainrule as cr
        >>> cr.le(cr.tensor([1, 2]), 2)
        tensor([True, True])
    """
    return xp.less_equal(x, y)


@op(vjp=None, check=Binary(reference=np.greater), public="gt greater", harmonise=True, inplace=True)
def greater(xp, x, y):
    """Whether the first element is larger.

    Example:
        >>> import chainrule as cr
        >>> cr.gt(cr.tensor([1, 2]), 1)
        tensor([False,  True])
    """
    return xp.greater(x, y)


@op(vjp=None, check=Binary(reference=np.greater_equal), public="ge greater_equal", harmonise=True, inplace=True)
def greater_equal(xp, x, y):
    """Whether the first element is not smaller.

    Example:
        >>> import chainrule as cr
        >>> cr.ge(cr.tensor([1, 2]), 2)
        tensor([False,  True])
    """
    return xp.greater_equal(x, y)


@op(vjp=None, check=Binary(reference=np.logical_and), public="logical_and", harmonise=True, inplace=True)
def logical_and(xp, x, y):
    """Whether both elements are true (not zero).

    Example:
        >>> import chainrule as cr
        >>> cr.logical_and(cr.tensor([True, False]), cr.tensor([True, True]))
        tensor([ True, False])
    """
    return xp.logical_and(x, y)


@op(vjp=None, check=Binary(reference=np.logical_or), public="logical_or", harmonise=True, inplace=True)
def logical_or(xp, x, y):
    """Whether one of the elements is true (not zero).

    Example:
        >>> import chainrule as cr
        >>> cr.logical_or(cr.tensor([True, False]), cr.tensor([False, False]))
        tensor([ True, False])
    """
    return xp.logical_or(x, y)


@op(vjp=None, check=Binary(reference=np.logical_xor), public="logical_xor", harmonise=True, inplace=True)
def logical_xor(xp, x, y):
    """Whether exactly one of the elements is true (not zero).

    Example:
        >>> import chainrule as cr
        >>> cr.logical_xor(cr.tensor([True, False]), cr.tensor([True, True]))
        tensor([False,  True])
    """
    return xp.logical_xor(x, y)


@op(vjp=None, check=Unary(reference=np.logical_not), public="logical_not", inplace=True)
def logical_not(xp, x):
    """Whether the element is false (zero).

    Example:
        >>> import chainrule as cr
        >>> cr.logical_not(cr.tensor([True, False]))
        tensor([False,  True])
    """
    return xp.logical_not(x)


def _bits(rng: Any) -> Any:
    yield Sample((rng.integers(0, 9, (2, 3)), rng.integers(0, 9, (3,))))
    yield Sample((rng.random(3) > 0.5, rng.random(3) > 0.5))


@op(vjp=None, check=Samples(_bits, reference=np.bitwise_and), public="bitwise_and", harmonise=True, inplace=True)
def bitwise_and(xp, x, y):
    """Bits that both elements have; for bools, logical and.

    Example:
        >>> import chainrule as cr
        >>> cr.bitwise_and(cr.tensor([6, 3]), 2)
        tensor([2, 2])
    """
    return xp.bitwise_and(x, y)


@op(vjp=None, check=Samples(_bits, reference=np.bitwise_or), public="bitwise_or", harmonise=True, inplace=True)
def bitwise_or(xp, x, y):
    """Bits that one of the elements has; for bools, logical or.

    Example:
        >>> import chainrule as cr
        >>> cr.bitwise_or(cr.tensor([6, 3]), 1)
        tensor([7, 3])
    """
    return xp.bitwise_or(x, y)


@op(vjp=None, check=Samples(_bits, reference=np.bitwise_xor), public="bitwise_xor", harmonise=True, inplace=True)
def bitwise_xor(xp, x, y):
    """Bits that exactly one of the elements has.

    Example:
        >>> import chainrule as cr
        >>> cr.bitwise_xor(cr.tensor([6, 3]), 1)
        tensor([7, 2])
    """
    return xp.bitwise_xor(x, y)


@op(
    vjp=None,
    check=Samples(lambda rng: [Sample((s.args[0],)) for s in _bits(rng)], reference=np.bitwise_not),
    public="bitwise_not",
    inplace=True,
)
def bitwise_invert(xp, x):
    """All bits flipped; for bools, logical not.

    Example:
        >>> import chainrule as cr
        >>> cr.bitwise_not(cr.tensor([0, 5]))
        tensor([-1, -6])
    """
    return xp.bitwise_invert(x)


@op(vjp=None, check=Unary(reference=np.isfinite), public="isfinite")
def isfinite(xp, x):
    """Whether the element is neither infinite nor NaN.

    Example:
        >>> import chainrule as cr
        >>> cr.isfinite(cr.tensor([1.0, float('inf')]))
        tensor([ True, False])
    """
    return xp.isfinite(x)


@op(vjp=None, check=Unary(reference=np.isnan), public="isnan")
def isnan(xp, x):
    """Whether the element is NaN.

    Example:
        >>> import chainrule as cr
        >>> cr.isnan(cr.tensor([1.0, float('nan')]))
        tensor([False,  True])
    """
    return xp.isnan(x)


@op(vjp=None, check=Unary(reference=np.isinf), public="isinf")
def isinf(xp, x):
    """Whether the element is infinite.

    Example:
        >>> import chainrule as cr
        >>> cr.isinf(cr.tensor([1.0, float('inf')]))
        tensor([False,  True])
    """
    return xp.isinf(x)


@op(vjp=None, check=Unary(reference=np.zeros_like))
def zeros_like(xp, x):
    """Zeros of the same shape and dtype."""
    return xp.zeros_like(x)


@op(vjp=None, check=Unary(reference=np.ones_like))
def ones_like(xp, x):
    """Ones of the same shape and dtype."""
    return xp.ones_like(x)


@function("equal")
def _equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and elements.

    Example:
        >>> import chainrule as cr
        >>> cr.equal(cr.ones(2), cr.ones(2))
        True
    """
    if input._data.shape != other._data.shape:
        return False
    return bool((input == other).all())


@function("isclose")
def _isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether ``|input - other| <= atol + rtol * |other|``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> cr.isclose(cr.tensor([1.0]), cr.tensor([1.0 + 1e-7]))
        tensor([True])
    """
    x, y = input.detach(), other.detach()
    close = (x == y) | ((x - y).abs() <= atol + rtol * y.abs()) & y.isfinite()
    return close | (x.isnan() & y.isnan()) if equal_nan else close


@function("allclose")
def _allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are close; see :func:`isclose`.

    Example:
        >>> import chainrule as cr
        >>> cr.allclose(cr.ones(2), cr.ones(2) + 1e-9)
        True
    """
    return bool(_isclose(input, other, rtol, atol, equal_nan).all())
