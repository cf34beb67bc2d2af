"""Sample arguments for the checks of an op, declared beside it.

A *check* gives, for a random generator, argument sets as float64 (or integer, or bool) NumPy arrays. The tests run
each op on all of them: value against a reference, gradients to second order, dtypes, memory layouts,
devices. See ``tests/test_ops.py``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    # importing numpy.random takes 30 ms
    from numpy.random import Generator


class _OnFirstUse:
    """A module for references, imported when a check first runs (SciPy would triple the import time)."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


special = _OnFirstUse("scipy.special")
signal = _OnFirstUse("scipy.signal")


@dataclass
class Sample:
    """One set of arguments: arrays for the tensor parameters, keywords for the attributes."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        shapes = ", ".join("None" if a is None else f"{a.dtype}{list(a.shape)}" for a in self.args)
        return f"({shapes}; {self.kwargs})"


@dataclass
class Check:
    """How an op is checked.

    Attributes:
        make: gives the samples for a random generator.
        special: scalar arguments at which value and gradient must be finite and agree with the reference.
        reference: the value as a plain NumPy function of float64 arrays, where one is known.
        why_no_reference: says where the value is checked instead.
        order: to which order the gradients are checked (2 unless a reason is given in ``why_order``).
        atol: tolerance of the gradient check.
        constant: tensor arguments whose rule only raises, because no formula for their gradient is known.
    """

    make: Callable[[Generator], Iterable[Sample]]
    special: Sequence[tuple[float, ...]] = ()
    reference: Callable[..., Any] | None = None
    atol: float = 1e-6
    torch: str | None = None
    constant: Sequence[str] = ()

    def samples(self, seed: int = 0) -> list[Sample]:
        """The argument sets, the same for the same seed."""
        return list(self.make(np.random.default_rng(seed)))


def normal(rng: Generator, *shape: int, low: float = -2.0, high: float = 2.0) -> Any:
    """Distinct values spread over [low, high]: far from ties, and reproducible."""
    count = int(np.prod(shape))
    values = low + (high - low) * (np.arange(count) + rng.uniform(0.2, 0.8, count)) / max(count, 1)
    return rng.permutation(values).reshape(shape)


def Unary(
    low: float = -2.0,
    high: float = 2.0,
    *,
    special: Sequence[float] = (),
    reference: Callable[..., Any] | None = None,
    attributes: Sequence[dict[str, Any]] = ({},),
    integers: bool = False,
) -> Check:
    """Samples for an elementwise op of one tensor with values in [low, high]."""

    def make(rng: Generator) -> Iterable[Sample]:
        for kwargs in attributes:
            for shape in [(3,), (2, 3), (), (0,), (2, 1, 4)]:
                yield Sample((normal(rng, *shape, low=low, high=high),), kwargs)

    return Check(make, special=[(s,) for s in special], reference=reference)


def Binary(
    low: float = -2.0,
    high: float = 2.0,
    *,
    y: tuple[float, float] | None = None,
    special: Sequence[tuple[float, float]] = (),
    reference: Callable[..., Any] | None = None,
    constant: Sequence[str] = (),
) -> Check:
    """Samples for an elementwise op of two tensors: equal shapes, and every kind of broadcasting."""
    y_low, y_high = y if y is not None else (low, high)

    def make(rng: Generator) -> Iterable[Sample]:
        for a, b in [
            ((3,), (3,)),
            ((2, 3), (3,)),
            ((2, 1), (1, 3)),
            ((), (2, 2)),
            ((), ()),
            ((0, 3), (3,)),
            ((2, 3), (2, 3)),
        ]:
            yield Sample((normal(rng, *a, low=low, high=high), normal(rng, *b, low=y_low, high=y_high)))

    return Check(make, special=special, reference=reference, constant=constant)


def Samples(
    make: Callable[[Generator], Iterable[Sample]],
    *,
    reference: Callable[..., Any] | None = None,
    special: Sequence[tuple[float, ...]] = (),
    atol: float = 1e-6,
) -> Check:
    """Samples written out for one op."""
    return Check(make, special=special, reference=reference, atol=atol)


#: axis and keepdims as reductions take them, for a sample of shape (2, 3, 4)
REDUCTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"axis": 1},
    {"axis": -1, "keepdims": True},
    {"axis": (0, 2)},
    {"axis": (0, 1, 2), "keepdims": True},
)


def Reduction(
    low: float = -2.0, high: float = 2.0, *, reference: Callable[..., Any] | None = None, tuples: bool = True
) -> Check:
    """Samples for a reduction: every form of ``axis`` and ``keepdims``."""

    def make(rng: Generator) -> Iterable[Sample]:
        for kwargs in REDUCTIONS:
            if tuples or not isinstance(kwargs.get("axis"), tuple):
                yield Sample((normal(rng, 2, 3, 4, low=low, high=high),), kwargs)
        yield Sample((normal(rng, 5, low=low, high=high),), {"axis": 0})
        yield Sample((normal(rng, low=low, high=high),), {})

    return Check(make, reference=reference)
