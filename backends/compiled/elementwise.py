"""Elementary functions of float32 arrays: one pass over memory, on all threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, elementary, flat
from chainrule.backends.compiled.crew import item, share
from chainrule.backends.compiled.jit import loop


@item
def _exp_item(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = elementary.exp(x[i])


@loop
def _exp(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _exp_item(items, (x, out), (), ()))


@item
def _tanh_item(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = elementary.tanh(x[i])


@loop
def _tanh(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _tanh_item(items, (x, out), (), ()))


@item
def _sigmoid_item(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = elementary.sigmoid(x[i])


@loop
def _sigmoid(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _sigmoid_item(items, (x, out), (), ()))


@item
def _erf_item(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = elementary.erf(x[i])


@loop
def _erf(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _erf_item(items, (x, out), (), ()))


def _kernel(compute: Callable[..., None]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        if x.dtype != np.float32:
            return NotImplemented
        out = flat.apply(compute, flat.SLOW, x)
        return NotImplemented if out is None else out

    return run


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    for op, compute in {"exp": _exp, "tanh": _tanh, "sigmoid": _sigmoid, "erf": _erf}.items():
        compiled_kernel(op, backend)(_kernel(compute))
