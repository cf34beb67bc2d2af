"""An optimizer's formula written down by running it once on symbols, as the source of one loop.

NumPy makes a pass over memory for every operation of a formula. Here ``update`` gets symbols in place of arrays: each
operation on them adds a line to the body of a loop, and each number becomes an argument of it. Another learning rate
is then another argument of the same loop, and another branch of the formula another loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Group = dict[str, Any]


class Unrecordable(Exception):
    """The formula does something that is not written down; nobody sees this, NumPy does the work then."""


class _Recorder:
    """The lines of the loop so far, and its numbers."""

    __slots__ = ("dtype", "lines", "numbers")

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.lines: list[str] = []
        self.numbers: list[float] = []

    def number(self, value: Any) -> str:
        """The name of a number, which becomes an argument."""
        kind = type(value)
        if kind is not float and kind is not int and kind is not bool:
            # NumPy's own numbers may ask for another dtype to be computed in
            if not isinstance(value, (np.floating, np.integer)) or np.result_type(value, self.dtype) != self.dtype:
                raise Unrecordable
            value = float(value)
        self.numbers.append(value)
        return f"n{len(self.numbers) - 1}"

    def name(self, value: Any) -> str:
        """The name of a symbol or a number."""
        if type(value) is not Symbol:
            return self.number(value)
        if value.recorder is not self:
            raise Unrecordable  # of an earlier step
        return value.name

    def line(self, expression: str) -> str:
        """Add ``name = expression`` and give the name."""
        name = f"t{len(self.lines)}"
        self.lines.append(f"{name} = {expression}")
        return name


class Mask:
    """Stands for an array of truth values."""

    __slots__ = ("name", "recorder")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, recorder: _Recorder, name: str) -> None:
        self.recorder = recorder
        self.name = name

    def __bool__(self) -> bool:
        raise Unrecordable  # a branch that depends on data

    def __eq__(self, other: object) -> Any:
        raise Unrecordable


class Symbol:
    """Stands for an array of real numbers; operations in place change its ``name``."""

    __slots__ = ("name", "recorder")
    __array_ufunc__ = None  # NumPy's numbers leave arithmetic to this class
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, recorder: _Recorder, name: str) -> None:
        self.recorder = recorder
        self.name = name

    def __bool__(self) -> bool:
        raise Unrecordable

    def __neg__(self) -> Symbol:
        return _new("-{}", self)

    def __pos__(self) -> Symbol:
        return _new("{}", self)

    def __abs__(self) -> Symbol:
        return _new("abs({})", self)


def _new(template: str, *values: Any, kind: Any = Symbol) -> Any:
    """A symbol for the result of an operation, at least one of whose operands is a symbol."""
    for value in values:
        if type(value) is Symbol:
            recorder = value.recorder
            return kind(recorder, recorder.line(template.format(*map(recorder.name, values))))
    raise Unrecordable


def _arithmetic(sign: str) -> tuple[Callable[..., Any], ...]:
    """The operator, with its operands swapped, and in place."""

    def line(x: Symbol, y: Any, swapped: bool) -> str:
        recorder = x.recorder
        name = recorder.name(y)
        return recorder.line(f"{name} {sign} {x.name}" if swapped else f"{x.name} {sign} {name}")

    def in_place(x: Symbol, y: Any) -> Symbol:
        x.name = line(x, y, False)
        return x

    return (
        lambda x, y: Symbol(x.recorder, line(x, y, False)),
        lambda x, y: Symbol(x.recorder, line(x, y, True)),
        in_place,
    )


def _comparison(sign: str) -> Callable[..., Any]:
    return lambda x, y: _new(f"{{}} {sign} {{}}", x, y, kind=Mask)


for _name, _sign in {"add": "+", "sub": "-", "mul": "*", "truediv": "/"}.items():
    for _prefix, _operator in zip(("", "r", "i"), _arithmetic(_sign), strict=True):
        setattr(Symbol, f"__{_prefix}{_name}__", _operator)
for _name, _sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
    setattr(Symbol, f"__{_name}__", _comparison(_sign))


class Functions:
    """The functions of arrays that can be written down; a formula gets them as ``xp``."""

    def __getattr__(self, name: str) -> Any:
        raise Unrecordable

    @staticmethod
    def sqrt(x: Any) -> Any:
        return _new("sqrt({})", x)

    @staticmethod
    def abs(x: Any) -> Any:
        return _new("abs({})", x)

    @staticmethod
    def square(x: Any) -> Any:
        return _new("{0} * {0}", x)

    @staticmethod
    def sign(x: Any) -> Any:
        return _new("one if {0} > zero else (-one if {0} < zero else (zero if {0} == zero else {0}))", x)

    @staticmethod
    def maximum(x: Any, y: Any) -> Any:
        return _new("{0} if ({0} >= {1}) | ({0} != {0}) else {1}", x, y)

    @staticmethod
    def minimum(x: Any, y: Any) -> Any:
        return _new("{0} if ({0} <= {1}) | ({0} != {0}) else {1}", x, y)

    def clip(self, x: Any, least: Any = None, largest: Any = None) -> Any:
        for bound, restrict in ((least, self.maximum), (largest, self.minimum)):
            if bound is not None:
                x = restrict(x, bound)
        return +x

    @staticmethod
    def where(condition: Any, x: Any, y: Any) -> Any:
        if type(condition) is not Mask:
            raise Unrecordable
        recorder = condition.recorder
        chosen = f"{recorder.name(x)} if {condition.name} else {recorder.name(y)}"
        return Symbol(recorder, recorder.line(chosen))

    @staticmethod
    def zeros_like(x: Any) -> Any:
        return Symbol(x.recorder, "zero")

    @staticmethod
    def ones_like(x: Any) -> Any:
        return Symbol(x.recorder, "one")

    @staticmethod
    def full_like(x: Any, fill_value: Any) -> Any:
        return Symbol(x.recorder, x.recorder.number(fill_value))


FUNCTIONS = Functions()
#: stands for each array in the state that is given to :class:`Recording`
ARRAY = object()

_LOOP = """from math import sqrt

from numpy import {dtype} as real


def run({arguments}):
    zero, one = real(0), real(1)
    {numbers}
    for i in range(p.size):
        {body}
"""


class Recording:
    """What one run of a formula came to.

    Attributes:
        lines: the body of the loop, which with ``dtype`` and ``before``, the number of arrays that it reads, says all.
        numbers: its arguments.
        arrays: names of the state arrays in the order of the loop's arguments; ``fresh`` are those that it makes.
        state: what else the state holds after the step.

    Args:
        dtype: of all arrays.
        state: before the step, with ``ARRAY`` for each array.
        step: given functions, parameter, gradient and state, it changes the parameter and the state.

    Raises:
        Unrecordable: it does something else than arithmetic element by element. Other errors are those of ``step``.
    """

    __slots__ = ("arrays", "before", "dtype", "fresh", "lines", "numbers", "state")

    def __init__(self, dtype: Any, state: dict[str, Any], step: Callable[..., None]) -> None:
        recorder = _Recorder(dtype)
        p, g = Symbol(recorder, "p0"), Symbol(recorder, "g0")
        before = [k for k, v in state.items() if v is ARRAY]
        after = dict(state)
        for i, k in enumerate(before):
            after[k] = Symbol(recorder, f"s{i}")
        step(FUNCTIONS, p, g, after)
        kept = {k: v for k, v in after.items() if type(v) is Symbol}
        different = {id(p), id(g), *map(id, kept.values())}
        if len(different) < len(kept) + 2 or any(v.recorder is not recorder for v in kept.values()):
            raise Unrecordable  # two names of one array
        if g.name != "g0" or any(k not in kept for k in before):
            raise Unrecordable  # the caller's gradient was changed, or state lost
        self.dtype = dtype
        self.before = len(before)
        self.fresh = [k for k in kept if k not in before]
        self.arrays = (*before, *self.fresh)
        self.state = {k: v for k, v in after.items() if k not in kept}
        self.numbers = np.array(recorder.numbers, dtype)
        stores = [f"a{i}[i] = {kept[k].name}" for i, k in enumerate(self.arrays) if kept[k].name != f"s{i}"]
        self.lines = (*recorder.lines, *stores, f"p[i] = {p.name}")

    def source(self) -> str:
        """Of a function ``run(numbers, p, g, *arrays)`` of flat arrays, all but the first of one size."""
        loads = ["p0 = p[i]", "g0 = g[i]", *(f"s{i} = a{i}[i]" for i in range(self.before))]
        return _LOOP.format(
            dtype=self.dtype,
            arguments=", ".join(["numbers", "p", "g", *(f"a{i}" for i in range(len(self.arrays)))]),
            numbers="\n    ".join(f"n{i} = numbers[{i}]" for i in range(len(self.numbers))),
            body="\n        ".join([*loads, *self.lines]),
        )
