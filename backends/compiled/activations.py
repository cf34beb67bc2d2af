"""Activations and their gradients, each in one pass over memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, elementary, flat
from chainrule.backends.compiled.crew import item, share
from chainrule.backends.compiled.jit import loop

_f = np.float32
_HALF, _ONE, _ROOT_HALF, _DENSITY = _f(0.5), _f(1.0), _f(0.7071067811865476), _f(0.3989422804014327)
_ROOT_TWO_OVER_PI, _CUBIC = _f(0.7978845608028654), _f(0.044715)


@item
def _tanh_back_item(g: Any, y: Any, out: Any) -> None:
    for i in range(g.size):
        out[i] = g[i] * (1 - y[i] * y[i])


@loop
def _tanh_back(crew: Any, items: Any, g: Any, y: Any, out: Any) -> None:
    share(crew, items, _tanh_back_item(items, (g, y, out), (), ()))


@item
def _sigmoid_back_item(g: Any, y: Any, out: Any) -> None:
    for i in range(g.size):
        out[i] = g[i] * (y[i] * (1 - y[i]))


@loop
def _sigmoid_back(crew: Any, items: Any, g: Any, y: Any, out: Any) -> None:
    share(crew, items, _sigmoid_back_item(items, (g, y, out), (), ()))


@item
def _relu_item(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = 0 if x[i] <= 0 else x[i]  # NaN stays, and -0 does not


@loop
def _relu(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _relu_item(items, (x, out), (), ()))


@item
def _relu_back_item(g: Any, y: Any, out: Any) -> None:
    for i in range(g.size):
        out[i] = g[i] * (y[i] > 0)


@loop
def _relu_back(crew: Any, items: Any, g: Any, y: Any, out: Any) -> None:
    share(crew, items, _relu_back_item(items, (g, y, out), (), ()))


@item
def _gelu_item(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] * _HALF * (elementary.erf(x[i] * _ROOT_HALF) + _ONE)


@loop
def _gelu(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _gelu_item(items, (x, out), (), ()))


@item
def _gelu_tanh_item(x: Any, out: Any) -> None:
    for i in range(x.size):
        v = x[i]
        out[i] = v * _HALF * (elementary.tanh(v * (v * v * _CUBIC + _ONE) * _ROOT_TWO_OVER_PI) + _ONE)


@loop
def _gelu_tanh(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _gelu_tanh_item(items, (x, out), (), ()))


@item
def _gelu_back_item(g: Any, x: Any, out: Any) -> None:
    for i in range(g.size):
        v = x[i]
        density = elementary.exp(v * v * -_HALF) * _DENSITY
        out[i] = g[i] * ((elementary.erf(v * _ROOT_HALF) + _ONE) * _HALF + v * density)


@loop
def _gelu_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _gelu_back_item(items, (g, x, out), (), ()))


@item
def _gelu_tanh_back_item(g: Any, x: Any, out: Any) -> None:
    for i in range(g.size):
        v = x[i]
        square = v * v
        t = elementary.tanh(v * (square * _CUBIC + _ONE) * _ROOT_TWO_OVER_PI)
        slope = (_ONE - t * t) * (square * (_f(3.0) * _CUBIC) + _ONE) * v
        out[i] = g[i] * ((slope * _ROOT_TWO_OVER_PI + t + _ONE) * _HALF)


@loop
def _gelu_tanh_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _gelu_tanh_back_item(items, (g, x, out), (), ()))


@item
def _silu_item(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] * elementary.sigmoid(x[i])


@loop
def _silu(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _silu_item(items, (x, out), (), ()))


@item
def _silu_back_item(g: Any, x: Any, out: Any) -> None:
    for i in range(g.size):
        s = elementary.sigmoid(x[i])
        out[i] = g[i] * (s * (x[i] * (_ONE - s) + _ONE))


@loop
def _silu_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _silu_back_item(items, (g, x, out), (), ()))


def _kernel(compute: Callable[..., None], grain: int, dtypes: str) -> Callable[..., Any]:
    def run(first: Any, *others: Any) -> Any:
        if first.dtype.char not in dtypes or any(a.dtype != first.dtype or a.shape != first.shape for a in others):
            return NotImplemented
        out = flat.apply(compute, grain, first, *others)
        return NotImplemented if out is None else out

    return run


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    compiled_kernel("tanh_back", backend)(_kernel(_tanh_back, flat.QUICK, "fd"))
    compiled_kernel("sigmoid_back", backend)(_kernel(_sigmoid_back, flat.QUICK, "fd"))
    compiled_kernel("relu", backend)(_kernel(_relu, flat.QUICK, "fd"))
    compiled_kernel("relu_back", backend)(_kernel(_relu_back, flat.QUICK, "fd"))
    compiled_kernel("silu", backend)(_kernel(_silu, flat.SLOW, "f"))
    compiled_kernel("silu_back", backend)(_kernel(_silu_back, flat.SLOW, "f"))
    forms = {"none": _kernel(_gelu, flat.SLOW, "f"), "tanh": _kernel(_gelu_tanh, flat.SLOW, "f")}
    backs = {"none": _kernel(_gelu_back, flat.SLOW, "f"), "tanh": _kernel(_gelu_tanh_back, flat.SLOW, "f")}

    @compiled_kernel("gelu", backend)
    def _gelu_kernel(x: Any, *, approximate: str = "none") -> Any:
        return forms[approximate](x)

    @compiled_kernel("gelu_back", backend)
    def _gelu_back_kernel(g: Any, x: Any, *, approximate: str) -> Any:
        return backs[approximate](g, x)
