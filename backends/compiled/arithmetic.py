"""Arithmetic of large arrays: the four operations and the change of sign, in one pass on all threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.compiled import flat
from chainrule.backends.compiled.crew import item, share
from chainrule.backends.compiled.jit import loop

Array = np.ndarray


@item
def _add(x: Any, y: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] + y[i]


@item
def _subtract(x: Any, y: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] - y[i]


@item
def _multiply(x: Any, y: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] * y[i]


@item
def _divide(x: Any, y: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] / y[i]


@loop
def _two(crew: Any, items: int, code: int, x: Any, y: Any, out: Any) -> None:
    if code == 0:
        share(crew, items, _add(items, (x, y, out), (), ()))
    elif code == 1:
        share(crew, items, _subtract(items, (x, y, out), (), ()))
    elif code == 2:
        share(crew, items, _multiply(items, (x, y, out), (), ()))
    else:
        share(crew, items, _divide(items, (x, y, out), (), ()))


@item
def _times(x: Any, out: Any, number: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] * number


@item
def _plus(x: Any, out: Any, number: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] + number


@item
def _over(x: Any, out: Any, number: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] / number


@item
def _under(x: Any, out: Any, number: Any) -> None:
    for i in range(x.size):
        out[i] = number / x[i]


@item
def _from(x: Any, out: Any, number: Any) -> None:
    for i in range(x.size):
        out[i] = number - x[i]


@loop
def _one(crew: Any, items: int, code: int, number: Any, x: Any, out: Any) -> None:
    if code == 0:
        share(crew, items, _plus(items, (x, out), (number,), ()))
    elif code == 1:
        share(crew, items, _from(items, (x, out), (number,), ()))
    elif code == 2:
        share(crew, items, _times(items, (x, out), (number,), ()))
    elif code == 3:
        share(crew, items, _over(items, (x, out), (number,), ()))
    else:
        share(crew, items, _under(items, (x, out), (number,), ()))


_CODES = {"add": 0, "subtract": 1, "multiply": 2, "divide": 3}


def compute(name: str, arrays: list[Array], numbers: list[Any]) -> Array | None:
    """The op of this name on one or two arrays of one shape; None where they are in different orders of memory.

    ``numbers`` has an element for each operand: a number of the arrays' dtype, or None where it is an array.
    """
    if name == "negative":  # not 0 - x, which loses the sign of 0
        code, number = 2, arrays[0].dtype.type(-1)
    elif len(arrays) == 2:
        code = _CODES[name]
        return flat.apply(_two, flat.QUICK, arrays[0], arrays[1], before=(code,))
    else:
        code = _CODES[name]
        number = numbers[0] if numbers[1] is None else numbers[1]
        if name == "subtract" and numbers[0] is None:
            code, number = 0, -number
        elif name == "divide" and numbers[1] is None:
            code = 4
    return flat.apply(_one, flat.QUICK, arrays[0], before=(code, number))
