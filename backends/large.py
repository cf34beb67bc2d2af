"""Arithmetic of large arrays: what generated code calls in place of NumPy's functions from LARGE elements on.

NumPy's own functions are the quickest for small arrays, so nothing stands around them; here there is time for a look at
the operands. A backend that has nothing to gain uses :class:`Arithmetic` as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: elements of the first operand, or of the gradient, from which on an op that says ``large=True`` comes here
LARGE = 1 << 18

#: the ops
NAMES = ("add", "subtract", "multiply", "divide", "negative")


class Arithmetic:
    """The functions of a namespace, by the names of :data:`NAMES`."""

    add: Callable[..., Any]
    subtract: Callable[..., Any]
    multiply: Callable[..., Any]
    divide: Callable[..., Any]
    negative: Callable[..., Any]

    def __init__(self, xp: Any) -> None:
        for name in NAMES:
            setattr(self, name, getattr(xp, name))

    def by_rule(self, rule: Callable[..., Any], xp: Any, *arrays: Any) -> Any:
        """What a gradient rule gives that contains nothing but products, quotients and signs."""
        return rule(xp, *arrays)
