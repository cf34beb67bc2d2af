"""Activations and losses of exponentials and their logarithms, and their gradients, of float32 numbers: one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import elementary, flat
from chainrule.backends.compiled.crew import item, share
from chainrule.backends.compiled.flat import SLOW
from chainrule.backends.compiled.jit import at, inlined, loop

_f = np.float32
_ZERO, _ONE, _TWO, _FOUR, _MANY = _f(0.0), _f(1.0), _f(2.0), _f(4.0), _f(20.0)


@inlined
def _log_of_sum(x: Any) -> Any:
    """``log(1 + exp(-|x|))``"""
    return elementary.log1p(elementary.exp(-abs(x)))


@inlined
def _positive(x: Any) -> Any:
    """``max(x, 0)``, NaN of NaN."""
    return _ZERO if x < _ZERO else x


@item
def _softplus_item(x: Any, out: Any, beta: Any, threshold: Any) -> None:
    for i in range(out.size):
        scaled = x[i] * beta
        smooth = (_positive(scaled) + _log_of_sum(scaled)) / beta
        out[i] = x[i] if scaled > threshold else smooth


@loop
def _softplus(crew: Any, items: Any, beta: Any, threshold: Any, x: Any, out: Any) -> None:
    share(crew, items, _softplus_item(items, (x, out), (beta, threshold), ()))


@item
def _softplus_back_item(g: Any, x: Any, out: Any, beta: Any, threshold: Any) -> None:
    for i in range(out.size):
        scaled = x[i] * beta
        slope = elementary.sigmoid(scaled)
        out[i] = at(g, i) * (_ONE if scaled > threshold else slope)


@loop
def _softplus_back(crew: Any, items: Any, beta: Any, threshold: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _softplus_back_item(items, (g, x, out), (beta, threshold), ()))


@item
def _logsigmoid_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        v = x[i]
        out[i] = (_ZERO if v > _ZERO else v) - _log_of_sum(v)


@loop
def _logsigmoid(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _logsigmoid_item(items, (x, out), (), ()))


@item
def _logsigmoid_back_item(g: Any, x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = at(g, i) * elementary.sigmoid(-x[i])


@loop
def _logsigmoid_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _logsigmoid_back_item(items, (g, x, out), (), ()))


@inlined
def _mish_of(v: Any) -> Any:
    """With ``e = exp(v)``, tanh(log(1 + e)) is ``e (e + 2) / (e (e + 2) + 2)``."""
    e = elementary.exp(_MANY if v > _MANY else v)
    n = e * (e + _TWO)
    return v * (n / (n + _TWO))


@item
def _mish_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = _mish_of(x[i])


@loop
def _mish(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _mish_item(items, (x, out), (), ()))


@item
def _mish_back_item(g: Any, x: Any, out: Any) -> None:
    for i in range(out.size):
        v = x[i]
        e = elementary.exp(_MANY if v > _MANY else v)
        n = e * (e + _TWO)
        inverse = _ONE / (n + _TWO)
        slope = _ZERO if v > _MANY else _FOUR * e * (e + _ONE) * inverse * inverse  # sigmoid(x) * (1 - tanh ** 2)
        out[i] = at(g, i) * (n * inverse + v * slope)


@loop
def _mish_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _mish_back_item(items, (g, x, out), (), ()))


@item
def _logistic_item(x: Any, y: Any, out: Any) -> None:
    for i in range(out.size):
        v = at(x, i)
        out[i] = _positive(v) - v * y[i] + _log_of_sum(v)


@loop
def _logistic(crew: Any, items: Any, x: Any, y: Any, out: Any) -> None:
    share(crew, items, _logistic_item(items, (x, y, out), (), ()))


@item
def _logistic_back_item(g: Any, x: Any, y: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = at(g, i) * (elementary.sigmoid(x[i]) - y[i])


@loop
def _logistic_back(crew: Any, items: Any, g: Any, x: Any, y: Any, out: Any) -> None:
    share(crew, items, _logistic_back_item(items, (g, x, y, out), (), ()))


def _numbers(beta: float = 1.0, threshold: float = 20.0) -> tuple[float, ...]:
    return beta, threshold


KERNELS: dict[str, tuple[Any, ...]] = {
    "logistic_cross_entropy": (_logistic, SLOW, "f"),
    "logistic_cross_entropy_back": (_logistic_back, SLOW, "f"),
    "logsigmoid": (_logsigmoid, SLOW, "f"),
    "logsigmoid_back": (_logsigmoid_back, SLOW, "f"),
    "mish": (_mish, SLOW, "f"),
    "mish_back": (_mish_back, SLOW, "f"),
    "softplus": (_softplus, SLOW, "f", _numbers),
    "softplus_back": (_softplus_back, SLOW, "f", _numbers),
}


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    flat.register(backend, KERNELS)
