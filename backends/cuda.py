"""The CuPy backend: CUDA GPUs. The only module that imports CuPy."""

from __future__ import annotations

import contextlib
import functools
import importlib
from typing import Any

import numpy as np

from chainrule.backends import special
from chainrule.backends.base import Backend
from chainrule.backends.namespace import ArrayNamespace
from chainrule.backends.philox import CUDA_SOURCE, host_bits

INSTALL = "pip install 'chainrule[cuda13]' (CUDA 13) or pip install 'chainrule[cuda12]' (CUDA 12)"

_THREADS = 256

#: What scatter-add runs through: CuPy adds these dtypes atomically, and no others.
_ADDABLE = {"int32", "uint32", "uint64", "float16", "float32", "float64"}
_ADD_AS = {"int64": "uint64", "bfloat16": "float32", "bool": "int32", "int8": "int32", "int16": "int32",
           "uint8": "int32", "uint16": "int32"}  # fmt: skip


@functools.cache
def _find() -> tuple[Any, str | None]:
    """CuPy and None, or None and why it cannot be used."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        return None, f"CuPy cannot be imported ({error})"
    try:
        if cupy.cuda.is_available():
            return cupy, None
        count = cupy.cuda.runtime.getDeviceCount()
        return None, f"CuPy {cupy.__version__} finds {count} usable GPUs"
    except Exception as error:
        return None, f"CuPy {cupy.__version__} finds no usable GPU ({error})"


def unavailable_reason() -> str | None:
    """Why CUDA cannot be used on this machine, with the line that installs CuPy; None when it can.

    Example:
        >>> reason = unavailable_reason()
        >>> reason is None or "pip install" in reason
        True
    """
    reason = _find()[1]
    return None if reason is None else f"CUDA is not available: {reason}. To install CuPy: {INSTALL}"


class CupyBackend(Backend):
    """Arithmetic on CUDA GPUs by CuPy.

    Args:
        module: an array module with CuPy's interface in place of CuPy (the guard passes its own).

    Raises:
        RuntimeError: CuPy is missing or finds no GPU; the message has the reason and the install line.
    """

    name = "cupy"
    device_type = "cuda"

    def __init__(self, module: Any = None) -> None:
        if module is None:
            reason = unavailable_reason()
            if reason is not None:
                raise RuntimeError(reason)
            module = _find()[0]
        self.module = module
        self.array_type = module.ndarray
        self.xp = ArrayNamespace(module, self.name, self.scatter_add)
        self._philox: Any = None
        # the guard has no such module: its special functions take the way through the host
        special.register(self, importlib.import_module("cupyx.scipy.special") if module is _find()[0] else None)

    def device_count(self) -> int:
        return int(self.module.cuda.runtime.getDeviceCount())

    def asarray(self, obj: Any, dtype: Any = None) -> Any:
        return self.module.asarray(obj, dtype)

    def from_host(self, array: np.ndarray, index: int = 0) -> Any:
        with self.device_context(index):
            return self.module.asarray(array)

    def to_host(self, array: Any) -> np.ndarray:
        return array.get()

    def from_dlpack(self, source: Any) -> Any:
        return self.module.from_dlpack(source)

    def shares_memory(self, x: Any, y: Any) -> bool:
        return bool(self.module.shares_memory(x, y))

    def scatter_add(self, array: Any, index: Any, values: Any) -> None:
        """As :meth:`Backend.scatter_add`, by atomic additions: the order of float additions is not fixed."""
        m, dtype = self.module, array.dtype
        if dtype.kind == "c":
            values = m.asarray(values, dtype)
            self.scatter_add(array.real, index, values.real)
            self.scatter_add(array.imag, index, values.imag)
            return
        if dtype.name in _ADDABLE:
            array.scatter_add(index, values)
            return
        if dtype.name == "int64":  # the same bits: two's complement
            array.view(np.uint64).scatter_add(index, m.asarray(values, dtype).view(np.uint64))
            return
        if dtype.name not in _ADD_AS:
            raise TypeError(f"scatter_add: expected an array of numbers, got {dtype}")
        wide = array.astype(_ADD_AS[dtype.name])
        wide.scatter_add(index, values)
        array[...] = wide.astype(dtype)

    def random_bits(self, key: int, stream: int, count: int) -> Any:
        m = self.module
        raw_kernel = getattr(m, "RawKernel", None)
        if raw_kernel is None:  # the guard
            return self.from_host(host_bits(key, stream, count))
        if self._philox is None:
            self._philox = raw_kernel(CUDA_SOURCE, "philox4x64")
        words = m.empty((count,), dtype=np.uint64)
        if count:
            grid = min(-(-count // (4 * _THREADS)), 65535)
            mask = (1 << 64) - 1
            self._philox(
                (grid,), (_THREADS,), (np.uint64(key & mask), np.uint64(stream & mask), np.uint64(count), words)
            )
        return words

    def synchronize(self) -> None:
        self.module.cuda.get_current_stream().synchronize()

    def memory_stats(self) -> dict[str, int]:
        pool = self.module.get_default_memory_pool()
        return {"allocated": int(pool.used_bytes()), "reserved": int(pool.total_bytes())}

    def empty_cache(self) -> None:
        self.module.get_default_memory_pool().free_all_blocks()

    def device_context(self, index: int) -> contextlib.AbstractContextManager[Any]:
        return self.module.cuda.Device(index)

    def event(self) -> Any:
        mark = self.module.cuda.Event()
        mark.record()
        return mark

    def elapsed_ms(self, start: Any, end: Any) -> float:
        end.synchronize()
        return float(self.module.cuda.get_elapsed_time(start, end))

    def describe(self) -> dict[str, str]:
        version = self.module.cuda.runtime.runtimeGetVersion()
        return {
            self.name: str(self.module.__version__),
            "cuda runtime": f"{version // 1000}.{version % 1000 // 10}",
            "devices": ", ".join(self._device_name(i) for i in range(self.device_count())),
        }

    def _device_name(self, index: int) -> str:
        name = self.module.cuda.runtime.getDeviceProperties(index)["name"]
        return name.decode() if isinstance(name, bytes) else str(name)
