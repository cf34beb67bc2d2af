"""Activations and their gradients, each in one pass over memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, elementary
from chainrule.backends.compiled.jit import loop
from chainrule.backends.cpu_elementwise import apply_flat

#: elements from which on a second thread pays: where there is an exponential, and where memory is the limit
_SLOW, _QUICK = 1 << 18, 1 << 21

_f = np.float32
_HALF, _ONE, _ROOT_HALF, _DENSITY = _f(0.5), _f(1.0), _f(0.7071067811865476), _f(0.3989422804014327)
_ROOT_TWO_OVER_PI, _CUBIC = _f(0.7978845608028654), _f(0.044715)


@loop
def _tanh_back(g: Any, y: Any, out: Any) -> None:
    for i in range(g.size):
        out[i] = g[i] * (1 - y[i] * y[i])


@loop
def _sigmoid_back(g: Any, y: Any, out: Any) -> None:
    for i in range(g.size):
        out[i] = g[i] * (y[i] * (1 - y[i]))


@loop
def _gelu(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] * _HALF * (elementary.erf(x[i] * _ROOT_HALF) + _ONE)


@loop
def _gelu_tanh(x: Any, out: Any) -> None:
    for i in range(x.size):
        v = x[i]
        out[i] = v * _HALF * (elementary.tanh(v * (v * v * _CUBIC + _ONE) * _ROOT_TWO_OVER_PI) + _ONE)


@loop
def _gelu_back(g: Any, x: Any, out: Any) -> None:
    for i in range(g.size):
        v = x[i]
        density = elementary.exp(v * v * -_HALF) * _DENSITY
        out[i] = g[i] * ((elementary.erf(v * _ROOT_HALF) + _ONE) * _HALF + v * density)


@loop
def _gelu_tanh_back(g: Any, x: Any, out: Any) -> None:
    for i in range(g.size):
        v = x[i]
        square = v * v
        t = elementary.tanh(v * (square * _CUBIC + _ONE) * _ROOT_TWO_OVER_PI)
        slope = (_ONE - t * t) * (square * (_f(3.0) * _CUBIC) + _ONE) * v
        out[i] = g[i] * ((slope * _ROOT_TWO_OVER_PI + t + _ONE) * _HALF)


@loop
def _silu(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] * elementary.sigmoid(x[i])


@loop
def _silu_back(g: Any, x: Any, out: Any) -> None:
    for i in range(g.size):
        s = elementary.sigmoid(x[i])
        out[i] = g[i] * (s * (x[i] * (_ONE - s) + _ONE))


def _kernel(compute: Callable[..., None], worth: int, dtypes: str) -> Callable[..., Any]:
    def run(first: Any, *others: Any) -> Any:
        if first.dtype.char not in dtypes or any(a.dtype != first.dtype or a.shape != first.shape for a in others):
            return NotImplemented
        out = apply_flat(compute, first, worth, *others)
        return NotImplemented if out is None else out

    return run


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    compiled_kernel("tanh_back", backend)(_kernel(_tanh_back, _QUICK, "fd"))
    compiled_kernel("sigmoid_back", backend)(_kernel(_sigmoid_back, _QUICK, "fd"))
    compiled_kernel("silu", backend)(_kernel(_silu, _SLOW, "f"))
    compiled_kernel("silu_back", backend)(_kernel(_silu_back, _SLOW, "f"))
    forms = {"none": _kernel(_gelu, _SLOW, "f"), "tanh": _kernel(_gelu_tanh, _SLOW, "f")}
    backs = {"none": _kernel(_gelu_back, _SLOW, "f"), "tanh": _kernel(_gelu_tanh_back, _SLOW, "f")}

    @compiled_kernel("gelu", backend)
    def _gelu_kernel(x: Any, *, approximate: str = "none") -> Any:
        return forms[approximate](x)

    @compiled_kernel("gelu_back", backend)
    def _gelu_back_kernel(g: Any, x: Any, *, approximate: str) -> Any:
        return backs[approximate](g, x)
