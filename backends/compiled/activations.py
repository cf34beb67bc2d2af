"""Activations and their gradients, each in one pass over memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, elementary
from chainrule.backends.compiled.crew import item, share
from chainrule.backends.compiled.flat import QUICK, SLOW, kernel
from chainrule.backends.compiled.jit import at, loop

_f = np.float32
_HALF, _ONE, _DENSITY = _f(0.5), _f(1.0), _f(0.3989422804014327)
_ROOT_TWO_OVER_PI, _CUBIC = _f(0.7978845608028654), _f(0.044715)


@item
def _tanh_back_item(g: Any, y: Any, out: Any) -> None:
    one = out.dtype.type(1)
    for i in range(out.size):
        out[i] = at(g, i) * (one - y[i] * y[i])


@loop
def _tanh_back(crew: Any, items: Any, g: Any, y: Any, out: Any) -> None:
    share(crew, items, _tanh_back_item(items, (g, y, out), (), ()))


@item
def _sigmoid_back_item(g: Any, y: Any, out: Any) -> None:
    one = out.dtype.type(1)
    for i in range(out.size):
        out[i] = at(g, i) * (y[i] * (one - y[i]))


@loop
def _sigmoid_back(crew: Any, items: Any, g: Any, y: Any, out: Any) -> None:
    share(crew, items, _sigmoid_back_item(items, (g, y, out), (), ()))


@item
def _relu_item(x: Any, out: Any) -> None:
    zero = out.dtype.type(0)
    for i in range(x.size):
        out[i] = zero if x[i] <= zero else x[i]  # NaN stays, and -0 does not


@loop
def _relu(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _relu_item(items, (x, out), (), ()))


@item
def _relu_back_item(g: Any, y: Any, out: Any) -> None:
    zero, one = out.dtype.type(0), out.dtype.type(1)
    for i in range(out.size):
        out[i] = at(g, i) * (one if y[i] > zero else zero)


@loop
def _relu_back(crew: Any, items: Any, g: Any, y: Any, out: Any) -> None:
    share(crew, items, _relu_back_item(items, (g, y, out), (), ()))


@item
def _gelu_item(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] * elementary.normal(x[i])[0]


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
    for i in range(out.size):
        v = x[i]
        below, density = elementary.normal(v)
        out[i] = at(g, i) * (below + v * (density * _DENSITY))


@loop
def _gelu_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _gelu_back_item(items, (g, x, out), (), ()))


@item
def _gelu_tanh_back_item(g: Any, x: Any, out: Any) -> None:
    for i in range(out.size):
        v = x[i]
        square = v * v
        t = elementary.tanh(v * (square * _CUBIC + _ONE) * _ROOT_TWO_OVER_PI)
        slope = (_ONE - t * t) * (square * (_f(3.0) * _CUBIC) + _ONE) * v
        out[i] = at(g, i) * ((slope * _ROOT_TWO_OVER_PI + t + _ONE) * _HALF)


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
    for i in range(out.size):
        s = elementary.sigmoid(x[i])
        out[i] = at(g, i) * (s * (x[i] * (_ONE - s) + _ONE))


@loop
def _silu_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _silu_back_item(items, (g, x, out), (), ()))


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    compiled_kernel("tanh_back", backend)(kernel(_tanh_back, QUICK, "fd"))
    compiled_kernel("sigmoid_back", backend)(kernel(_sigmoid_back, QUICK, "fd"))
    compiled_kernel("relu", backend)(kernel(_relu, QUICK, "fd"))
    compiled_kernel("relu_back", backend)(kernel(_relu_back, QUICK, "fd"))
    compiled_kernel("silu", backend)(kernel(_silu, SLOW, "f"))
    compiled_kernel("silu_back", backend)(kernel(_silu_back, SLOW, "f"))
    forms = {"none": kernel(_gelu, SLOW, "f"), "tanh": kernel(_gelu_tanh, SLOW, "f")}
    backs = {"none": kernel(_gelu_back, SLOW, "f"), "tanh": kernel(_gelu_tanh_back, SLOW, "f")}

    @compiled_kernel("gelu", backend)
    def _gelu_kernel(x: Any, *, approximate: str = "none") -> Any:
        return forms[approximate](x)

    @compiled_kernel("gelu_back", backend)
    def _gelu_back_kernel(g: Any, x: Any, *, approximate: str) -> Any:
        return backs[approximate](g, x)
