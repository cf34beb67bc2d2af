"""Elementwise loops over whole arrays, on all threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends import layout
from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel
from chainrule.backends.compiled.crew import crew
from chainrule.backends.cpu_elementwise import flat

Array = np.ndarray

#: elements of one item: 10 to 20 us of work where there is an exponential, or where memory is the limit
SLOW, QUICK = 1 << 13, 1 << 15

#: items of work that are worth waking a helper that sleeps
WORTH_WAKING = 16
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
    loop(crew(items, items >= WORTH_WAKING), items, *before, *arrays)
    return out


def alike(dtypes: str, *arrays: Any) -> bool:
    """Whether these are NumPy arrays of one shape and one dtype among ``dtypes``."""
    shape, dtype = arrays[0].shape, arrays[0].dtype
    if dtype.char not in dtypes or not dtype.isnative:
        return False
    return all(type(a) is np.ndarray and a.dtype == dtype and a.shape == shape for a in arrays)


def _none() -> tuple[float, ...]:
    return ()


def kernel(
    loop: Callable[..., object], grain: int, dtypes: str, numbers: Callable[..., tuple[float, ...]] = _none
) -> Callable[..., Any]:
    """The op that ``loop`` computes, for arrays of one shape and dtype, one of ``dtypes``, in any order of memory.

    ``numbers(**attributes)`` are the numbers that come before the arrays in the loop's arguments.
    """

    def run(*arrays: Array, **attributes: Any) -> Any:
        if not alike(dtypes, *arrays) or (attributes and numbers is _none):  # NumPy's own arguments, such as `out`
            return NotImplemented
        before = tuple([arrays[0].dtype.type(number) for number in numbers(**attributes)])
        return over(loop, grain, *arrays, before=before)

    return run


def register(backend: Backend, kernels: dict[str, tuple[Any, ...]]) -> None:
    """Make kernels for ``backend`` from what :func:`kernel` gets for each op."""
    for op, made_of in kernels.items():
        compiled_kernel(op, backend)(kernel(*made_of))


def over(loop: Callable[..., object], grain: int, *arrays: Array, before: tuple[Any, ...] = ()) -> Array:
    """:func:`apply` to arrays of one shape and dtype that may be in any order of memory and have gaps.

    The result is in the order of the last. The first of several goes to the loop as a number where it is one
    everywhere, as the gradient of a sum is.
    """
    whole: tuple[Array, ...] = arrays
    number: tuple[Any, ...] = ()
    if len(arrays) > 1 and arrays[0].size > 1 and not any(arrays[0].strides):
        whole, number = arrays[1:], (arrays[0][(0,) * arrays[0].ndim],)
    out = np.empty_like(whole[-1])
    given = flat(*whole, out)
    if given is None:
        ordered = [layout.like(a, out) for a in whole]
        given = [a.transpose(_axes(out)).reshape(-1) for a in (*ordered, out)]
    items = items_of(out.size, grain)
    loop(crew(items, items >= WORTH_WAKING), items, *before, *number, *given)
    return out


def _axes(x: Array) -> list[int]:
    """The dimensions of an array without gaps, the outermost in memory first."""
    return sorted(range(x.ndim), key=lambda axis: (-x.strides[axis], axis))
