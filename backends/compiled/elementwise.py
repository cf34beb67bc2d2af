"""Elementary functions of float32 arrays: one pass over memory, on all threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, elementary
from chainrule.backends.compiled.jit import loop
from chainrule.backends.cpu_elementwise import apply_flat

#: elements that take about 200 us, from which on a second thread pays
_SHARED = 1 << 18


@loop
def _exp(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = elementary.exp(x[i])


@loop
def _tanh(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = elementary.tanh(x[i])


@loop
def _sigmoid(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = elementary.sigmoid(x[i])


@loop
def _erf(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = elementary.erf(x[i])


def _kernel(compute: Callable[[Any, Any], None]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        if x.dtype != np.float32:
            return NotImplemented
        out = apply_flat(compute, x, _SHARED)
        return NotImplemented if out is None else out

    return run


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    for op, compute in {"exp": _exp, "tanh": _tanh, "sigmoid": _sigmoid, "erf": _erf}.items():
        compiled_kernel(op, backend)(_kernel(compute))
