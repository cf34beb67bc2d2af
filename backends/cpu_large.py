"""Arithmetic of large arrays on all threads, for the NumPy backend; by compiled loops where there is Numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends import compiled, cpu_elementwise, layout
from chainrule.backends.large import NAMES, Arithmetic

Array = np.ndarray

#: elements from which on NumPy's functions gain from a second thread
_THREADED = 1 << 20


class CpuArithmetic(Arithmetic):
    """NumPy's functions, for contiguous operands of one dtype and shape, or one operand that is a single number."""

    def __init__(self, xp: Any) -> None:
        super().__init__(xp)
        for name in NAMES:
            setattr(self, name, _shared(name, getattr(self, name)))

    def by_rule(self, rule: Callable[..., Any], xp: Any, *arrays: Any) -> Any:
        """What a gradient rule gives that contains nothing but products, quotients and signs."""
        result = rule(xp, *[_Operand(self, a) for a in arrays])
        return result.array


class _Operand:
    """An array whose operators ``*``, ``/`` and ``-`` are those of an ``Arithmetic``.

    The gradient of a sum is one number everywhere, often 1: what it is multiplied with is then the result itself, and
    what comes from such numbers alone is again one number everywhere, which takes no memory. So a result may be an
    operand, which somebody else holds; the engine never changes what others hold.
    """

    __slots__ = ("array", "by")

    def __init__(self, by: CpuArithmetic, array: Any) -> None:
        self.by = by
        self.array = array

    def __mul__(self, other: _Operand) -> _Operand:
        x, y = self.array, other.array
        if x.shape == y.shape and x.dtype == y.dtype:
            a, b = _number(x), _number(y)
            if a is not None and b is not None:
                return self._everywhere(np.multiply(a, b))
            if a == 1 or b == 1:
                return other if a == 1 else self
        return _Operand(self.by, self.by.multiply(x, y))

    def __truediv__(self, other: _Operand) -> _Operand:
        return _Operand(self.by, self.by.divide(self.array, other.array))

    def __neg__(self) -> _Operand:
        number = _number(self.array)
        if number is not None:
            return self._everywhere(np.negative(number))
        return _Operand(self.by, self.by.negative(self.array))

    def _everywhere(self, number: Any) -> _Operand:
        return _Operand(self.by, np.broadcast_to(number, self.array.shape))


def _number(x: Array) -> Any:
    """The number that all elements of an array are, where its shape or strides say so; else None."""
    if x.ndim and any(x.strides):
        return None
    return x[(0,) * x.ndim] if x.size else None


def _shared(name: str, function: Any) -> Callable[..., Any]:
    """A function of NumPy that works on parts of large arrays on all threads."""

    def compute(*operands: Any) -> Any:
        x = operands[0]
        if x.dtype.char not in "fd" or any(type(a) is not np.ndarray or a.dtype != x.dtype for a in operands):
            return function(*operands)
        numbers = [_number(a) for a in operands]
        arrays = [a for a, number in zip(operands, numbers, strict=True) if number is None]
        if not arrays or any(a.shape != arrays[0].shape for a in arrays):
            return function(*operands)
        if any(a.ndim > arrays[0].ndim or a.size not in (1, arrays[0].size) for a in operands):
            return function(*operands)  # the result has another shape than the array
        out = None
        if compiled.available:
            out = compiled.module("arithmetic").compute(name, arrays, numbers)
        elif arrays[0].size >= _THREADED:
            out = cpu_elementwise.apply_flat(_with_numbers(function, numbers), arrays[0], _THREADED, *arrays[1:])
        if out is None and len(arrays) == 2:
            out = layout.mixed(function, *arrays)
        return function(*operands) if out is None else out

    return compute


def _with_numbers(function: Any, numbers: list[Any]) -> Callable[..., object]:
    """``function(..., out=last argument)``, the numbers among its operands being given."""

    def run(*parts: Any) -> None:
        *given, out = parts
        left = iter(given)
        function(*[next(left) if number is None else number for number in numbers], out=out)

    return run
