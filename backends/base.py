"""What every backend provides: an array library, its transfers, its clock and its kernels."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.large import Arithmetic
from chainrule.backends.namespace import KERNELS, ArrayNamespace


class Backend:
    """One array library and the device type it serves.

    Subclasses set ``name`` (``"numpy"``), ``device_type`` (``"cpu"``), ``array_type`` and ``xp``.
    """

    name: str
    device_type: str
    array_type: type
    xp: ArrayNamespace
    #: what does the work where a compiled kernel does not, by op; and the modules whose kernels are in place
    plain_kernels: dict[str, Callable[..., Any]]
    compiled_modules: set[str]

    def device_count(self) -> int:
        """How many devices of this type there are."""
        return 1

    def asarray(self, obj: Any, dtype: Any = None) -> Any:
        """An array of this backend that holds ``obj``; copies only when it must."""
        raise NotImplementedError

    def from_host(self, array: np.ndarray, index: int = 0) -> Any:
        """Copy a NumPy array to device ``index`` of this backend."""
        raise NotImplementedError

    def to_host(self, array: Any) -> np.ndarray:
        """The array as a NumPy array (the same memory where that is possible)."""
        raise NotImplementedError

    def from_dlpack(self, source: Any) -> Any:
        """An array on the memory that an object with ``__dlpack__`` exports."""
        raise NotImplementedError

    def shares_memory(self, x: Any, y: Any) -> bool:
        """Whether two arrays of this backend overlap in memory."""
        raise NotImplementedError

    def scatter_add(self, array: Any, index: Any, values: Any) -> None:
        """``array[index] += values`` in place, where an element that the index names twice gets both values."""
        raise NotImplementedError

    def add(self, x: Any, y: Any, out: Any = None) -> Any:
        """``x + y`` of large arrays in whatever memory orders; into ``out`` where it is given."""
        return self.xp.add(x, y) if out is None else self.xp.add(x, y, out=out)

    def arithmetic(self) -> Arithmetic:
        """What generated code calls for large arrays."""
        return Arithmetic(self.xp)

    def random_bits(self, key: int, stream: int, count: int) -> Any:
        """``count`` random 64-bit words of call number ``stream`` under ``key``, as an array of this backend."""
        raise NotImplementedError

    def fill_from_bits(
        self, key: int, stream: int, out: Any, per_word: int, convert: Callable[[Any, Any], None]
    ) -> None:
        """Fill the 1-d array ``out`` by ``convert(random words, out)``, an elementwise function.

        Each word gives ``per_word`` elements; a backend may call ``convert`` on consecutive pieces.
        """
        convert(self.random_bits(key, stream, -(-out.size // per_word)), out)

    def synchronize(self) -> None:
        """Wait until all work handed to the device is done."""

    def event(self) -> Any:
        """A mark in the device's stream of work, for :meth:`elapsed_ms`."""
        return time.perf_counter()

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Milliseconds of device time between two marks of :meth:`event`; waits for the second."""
        return float(end - start) * 1e3

    def memory_stats(self) -> dict[str, int]:
        """Bytes in use and reserved by the backend's allocator, where it knows them."""
        return {}

    def empty_cache(self) -> None:
        """Give the memory that is kept for later use back, where the allocator keeps any."""

    def device_context(self, index: int) -> contextlib.AbstractContextManager[Any]:
        """A context in which new arrays are made on device ``index``."""
        return contextlib.nullcontext()

    def describe(self) -> dict[str, str]:
        """Facts for :func:`chainrule.backends.show_config`."""
        return {}


def kernel(op: str, backend: Backend) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a faster implementation of ``op`` for one backend.

    The kernel takes the op's arrays and attributes (no ``xp``) and must agree with the declared
    forward, which stays the reference it is tested against.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        KERNELS[backend.name, op] = function
        setattr(backend.xp, op, function)
        return function

    return register
