"""How the loops of this package are compiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numba.core.cgutils
import numba.core.types
import numba.extending

# Sums may be taken in another order and products joined with additions, which is what vector instructions need. NaN,
# infinities and subnormal numbers stay what they are.
_REORDERED = {"contract", "reassoc", "nsz"}

#: of a function that only loops call
_INSIDE: dict[str, Any] = {"error_model": "numpy", "no_cpython_wrapper": True}


#: these have no types that mypy could follow
cgutils: Any = numba.core.cgutils
types: Any = numba.core.types


def _stamp() -> tuple[float, int]:
    """What changes with any source file of this package: loops are compiled together with the functions they call."""
    files = [path.stat() for path in Path(__file__).parent.glob("*.py")]
    return max(file.st_mtime for file in files), sum(file.st_size for file in files)


#: Numba alone looks at the one file that a loop stands in, and would keep using what other files have changed
STAMP = _stamp()


def intrinsic(function: Callable[..., Any]) -> Any:
    """Numba's decorator for what is written in LLVM's language."""
    return numba.extending.intrinsic(function)


def loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop over arrays for the types that it is called with; it runs without the interpreter's lock.

    The machine code is kept on disk beside the source file, or in the user's cache folder.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": _REORDERED}
    try:
        found: Any = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder to keep it in that can be written to
        return numba.njit(**options)(function)
    found._cache._cache_file._source_stamp = STAMP
    return found


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of numbers into the loops that call it, with its operations in the order that is written."""
    return numba.njit(forceinline=True, error_model="numpy", fastmath={"contract"})(function)


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop that other loops call, and nobody else: it has no entry for Python and no place on disk."""
    return numba.njit(fastmath=_REORDERED, **_INSIDE)(function)


def at(array: Any, i: Any) -> Any:
    """``array[i]`` in loops, where ``array`` may be a number too, which every element is then."""
    return array[i]


@numba.extending.overload(at, jit_options={"forceinline": True})
def _at(array: Any, i: Any) -> Any:
    def element(array: Any, i: Any) -> Any:
        return array[i]

    def number(array: Any, i: Any) -> Any:
        return array

    return element if isinstance(array, types.Array) else number
