"""Elementwise loops over whole arrays, on all threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.compiled.crew import crew
from chainrule.backends.cpu_elementwise import flat

Array = np.ndarray

#: elements of one item: 10 to 20 us of work where there is an exponential, or where memory is the limit
SLOW, QUICK = 1 << 13, 1 << 15

#: items of work that are worth waking a helper that sleeps
_WORTH_WAKING = 16
_ITEMS = 64


def items_of(size: int, grain: int) -> int:
    """In how many items ``size`` elements are worked on."""
    return min(_ITEMS, max(1, size // grain))


def apply(
    loop: Callable[..., object], grain: int, x: Array, *others: Array, before: tuple[Any, ...] = ()
) -> Array | None:
    """A new array by ``loop(crew, items, *before, x, *others, result)`` on 1-d arrays; None where x has gaps.

    The others have the shape and dtype of x, and must be in the same memory order.
    """
    out = np.empty_like(x)  # keeps the memory order
    arrays = flat(x, *others, out)
    if arrays is None:
        return None
    items = items_of(x.size, grain)
    loop(crew(items, items >= _WORTH_WAKING), items, *before, *arrays)
    return out
