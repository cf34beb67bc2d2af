"""The NumPy backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends import (
    compiled,
    cpu_attention,
    cpu_batch_norm,
    cpu_borders,
    cpu_choices,
    cpu_contract,
    cpu_convolution,
    cpu_ctc,
    cpu_elementwise,
    cpu_extremes,
    cpu_group_norm,
    cpu_indexing,
    cpu_matmul,
    cpu_ordering,
    cpu_pooling,
    cpu_recurrent,
    cpu_rows,
    layout,
    pool,
    runtime,
    special,
)
from chainrule.backends.base import Backend
from chainrule.backends.cpu_large import CpuArithmetic
from chainrule.backends.cpu_shortcuts import SHORTCUTS
from chainrule.backends.large import Arithmetic
from chainrule.backends.namespace import ArrayNamespace
from chainrule.backends.philox import host_bits, host_fill

#: True computes convolutions by the plain sum (float32 error 1e-6), not by Winograd's algorithm (2e-5, faster).
precise = False


class NumpyBackend(Backend):
    """Arithmetic on the CPU by NumPy."""

    name = "numpy"
    device_type = "cpu"
    array_type = np.ndarray

    def __init__(self) -> None:
        runtime.prepare()
        pool.get_num_threads()  # an environment variable that makes no sense is told about here
        self.xp = ArrayNamespace(np, self.name, self.scatter_add)
        for name, fast in SHORTCUTS.items():
            setattr(self.xp, name, fast)
        cpu_convolution.register(self, lambda: not precise)
        cpu_pooling.register(self)
        cpu_matmul.register(self)
        cpu_contract.register(self)
        cpu_recurrent.register(self)
        cpu_attention.register(self)
        cpu_rows.register(self)
        cpu_batch_norm.register(self)
        cpu_group_norm.register(self)
        special.register(self)
        cpu_elementwise.register(self)
        cpu_borders.register(self)
        cpu_choices.register(self)
        cpu_ctc.register(self)
        cpu_extremes.register(self)
        cpu_indexing.register(self)
        cpu_ordering.register(self)
        compiled.register(self)

    # it wraps each 0-d result: no Python function around it
    asarray: Any = staticmethod(np.asarray)

    def from_host(self, array: np.ndarray, index: int = 0) -> np.ndarray:
        return np.array(array)

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return array

    def from_dlpack(self, source: Any) -> np.ndarray:
        # NumPy below 2.2 takes every array that comes through DLPack for read-only, even its own
        return source.view() if isinstance(source, np.ndarray) else np.from_dlpack(source)

    def shares_memory(self, x: Any, y: Any) -> bool:
        return bool(np.shares_memory(x, y))

    def scatter_add(self, array: Any, index: Any, values: Any) -> None:
        cpu_indexing.add_in_place(self.xp, array, index, values)

    def add(self, x: Any, y: Any, out: Any = None) -> Any:
        total = layout.mixed(np.add, x, y, out)
        return super().add(x, y, out) if total is None else total

    def arithmetic(self) -> Arithmetic:
        return CpuArithmetic(self.xp)

    def random_bits(self, key: int, stream: int, count: int) -> np.ndarray:
        return host_bits(key, stream, count)

    def fill_from_bits(
        self, key: int, stream: int, out: Any, per_word: int, convert: Callable[[Any, Any], None]
    ) -> None:
        host_fill(key, stream, out, per_word, convert)

    def describe(self) -> dict[str, str]:
        return {"numpy": np.__version__, "threads": str(pool.get_num_threads()), **runtime.describe()}
