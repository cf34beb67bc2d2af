"""Shifts of bits, and divisors and multiples of integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.samples import Sample, Samples


def _shifts(rng: Any) -> Any:
    yield Sample((rng.integers(-9, 9, (2, 3)), rng.integers(0, 5, (3,))))
    yield Sample((rng.integers(-9, 9, ()), rng.integers(0, 5, (2,))))


@op(
    vjp=None,
    check=Samples(_shifts, reference=np.left_shift),
    public="bitwise_left_shift",
    harmonise=True,
    inplace=True,
)
def bitwise_left_shift(xp, x, y):
    """The bits moved to the left by ``other`` places; 0 for a negative number of places, or as many as there are bits.

    Example:
        >>> import chainrule as cr
        >>> cr.bitwise_left_shift(cr.tensor([1, 3]), 2)
        tensor([ 4, 12])
    """
    return xp.bitwise_left_shift(x, y)


@op(
    vjp=None,
    check=Samples(_shifts, reference=np.right_shift),
    public="bitwise_right_shift",
    harmonise=True,
    inplace=True,
)
def bitwise_right_shift(xp, x, y):
    """The bits moved to the right by ``other`` places, the sign kept.

    A negative number of places, or as many as there are bits, leave 0 or -1.

    Example:
        >>> import chainrule as cr
        >>> cr.bitwise_right_shift(cr.tensor([4, -13]), 2)
        tensor([ 1, -4])
    """
    return xp.bitwise_right_shift(x, y)


def _whole(rng: Any) -> Any:
    yield Sample((rng.integers(-30, 30, (2, 3)), rng.integers(-30, 30, (3,))))
    yield Sample((rng.integers(-30, 30, ()), np.array([0, 4])))


@op(vjp=None, check=Samples(_whole, reference=np.gcd), public="gcd", harmonise=True, inplace=True)
def gcd(xp, x, y):
    """The greatest common divisor of integers.

    Example:
        >>> import chainrule as cr
        >>> cr.gcd(cr.tensor([12, 7]), cr.tensor([18, 0]))
        tensor([6, 7])
    """
    return xp.gcd(x, y)


@op(vjp=None, check=Samples(_whole, reference=np.lcm), public="lcm", harmonise=True, inplace=True)
def lcm(xp, x, y):
    """The least common multiple of integers.

    Example:
        >>> import chainrule as cr
        >>> cr.lcm(cr.tensor([4, 6]), cr.tensor([6, 3]))
        tensor([12,  6])
    """
    return xp.lcm(x, y)
