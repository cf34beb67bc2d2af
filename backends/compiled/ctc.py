"""Connectionist temporal classification of float32: each sample's recursions, which stay in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel
from chainrule.backends.compiled.crew import crew, item, share
from chainrule.backends.compiled.elementary import exp
from chainrule.backends.compiled.jit import inlined, loop, part
from chainrule.backends.pool import ranges

Array = np.ndarray

#: in place of the largest of numbers that all are minus infinity
_LOWEST = np.float32(np.finfo(np.float32).min / 4)
_NOTHING = np.float32(-np.inf)
_ITEMS = 64


@inlined
def _most(a: Any, b: Any, c: Any) -> Any:
    most = a if a > b else b
    most = c if c > most else most
    return most if most > _LOWEST else _LOWEST


@part
def _states(x: Any, path: Any, jump: Any, n: int, states: Any, most: Any, sums: Any) -> None:
    """For each step (T, W + 2) the logarithm of the sum over all ways to a state, behind two that no way leads to."""
    width = path.shape[1]
    for s in range(width + 2):
        states[0, s] = _NOTHING
    for s in range(min(2, width)):
        states[0, s + 2] = x[0, n, path[n, s]]
    for step in range(1, states.shape[0]):
        before, state = states[step - 1], states[step]
        for s in range(width):
            a, b, c = before[s + 2], before[s + 1], before[s] if jump[n, s] else _NOTHING
            m = _most(a, b, c)
            most[s] = m
            sums[s] = exp(a - m) + exp(b - m) + exp(c - m)
        state[0] = _NOTHING
        state[1] = _NOTHING
        for s in range(width):
            state[s + 2] = np.log(sums[s]) + most[s] + x[step, n, path[n, s]]


@part
def _total(last: Any, ends: Any, n: int) -> Any:
    most = _LOWEST
    for s in range(ends.shape[1]):
        if ends[n, s] and last[s + 2] > most:
            most = last[s + 2]
    total = np.float32(0)
    for s in range(ends.shape[1]):
        if ends[n, s]:
            total += exp(last[s + 2] - most)
    return np.log(total) + most


@item
def _likelihood_item(x: Any, path: Any, jump: Any, ends: Any, times: Any, out: Any, bounds: Any) -> None:
    most, sums = np.empty(path.shape[1], np.float32), np.empty(path.shape[1], np.float32)
    for n in range(bounds[0], bounds[1]):
        if times[n] == 0:
            out[n] = np.float32(0) if ends[n, 0] else _NOTHING
            continue
        states = np.empty((times[n], path.shape[1] + 2), np.float32)
        _states(x, path, jump, n, states, most, sums)
        out[n] = _total(states[times[n] - 1], ends, n)


@loop
def _likelihood(crew: Any, items: int, given: Any, bounds: Any) -> None:
    share(crew, items, _likelihood_item(items, (), given, (bounds,)))


@item
def _back_item(g: Any, x: Any, path: Any, jump: Any, ends: Any, times: Any, out: Any, bounds: Any) -> None:
    width = path.shape[1]
    most, sums = np.empty(width, np.float32), np.empty(width, np.float32)
    rest, later = np.empty(width + 2, np.float32), np.empty(width + 2, np.float32)
    for n in range(bounds[0], bounds[1]):
        if times[n] == 0:
            continue
        states = np.empty((times[n], width + 2), np.float32)
        _states(x, path, jump, n, states, most, sums)
        total = _total(states[times[n] - 1], ends, n)
        if total == _NOTHING:
            total = np.float32(0)
        for s in range(width + 2):
            later[s] = _NOTHING
            rest[s] = np.float32(0) if s < width and ends[n, min(s, width - 1)] else _NOTHING
        for step in range(times[n] - 1, -1, -1):
            state, target = states[step], out[step, n]
            for s in range(width):
                sums[s] = exp(state[s + 2] + rest[s] - total)
            for s in range(width):
                target[path[n, s]] += sums[s] * g[n]
                later[s] = rest[s] + x[step, n, path[n, s]]
            for s in range(width):
                jumped = s + 2 < width and jump[n, min(s + 2, width - 1)]
                a, b, c = later[s], later[s + 1], later[s + 2] if jumped else _NOTHING
                m = _most(a, b, c)
                most[s] = m
                sums[s] = exp(a - m) + exp(b - m) + exp(c - m)
            for s in range(width):
                rest[s] = np.log(sums[s]) + most[s]


@loop
def _back(crew: Any, items: int, given: Any, bounds: Any) -> None:
    share(crew, items, _back_item(items, (), given, (bounds,)))


def _given(x: Array, path: Array, jump: Array, ends: Array, running: Array) -> list[Array] | None:
    """What the loops take: their arguments but for the result; None where they cannot run."""
    if any(type(a) is not np.ndarray for a in (x, path, jump, ends, running)) or x.dtype != np.float32 or not x.size:
        return None
    if not path.size or path.min() < 0 or path.max() >= x.shape[2]:
        return None
    times = running.reshape(running.shape[:2]).sum(0)
    return [np.ascontiguousarray(a) for a in (x, path.astype(np.int64), jump, ends, times)]


def _run(loop: Any, given: list[Array]) -> None:
    bounds = np.array(ranges(given[-1].shape[1 if given[-1].ndim == 3 else 0], _ITEMS))
    loop(crew(len(bounds), True), len(bounds), tuple(given), bounds)


def ctc_log_likelihood(x: Array, path: Array, jump: Array, ends: Array, running: Array) -> Any:
    """The op of this name."""
    given = _given(x, path, jump, ends, running)
    if given is None:
        return NotImplemented
    out = np.empty(len(path), np.float32)
    _run(_likelihood, [*given, out])
    return out


def ctc_back(g: Array, x: Array, path: Array, jump: Array, ends: Array, running: Array) -> Any:
    """The op of this name."""
    given = _given(x, path, jump, ends, running)
    if given is None or type(g) is not np.ndarray or g.dtype != np.float32:
        return NotImplemented
    out = np.zeros(x.shape, np.float32)
    _run(_back, [np.ascontiguousarray(g), *given, out])
    return out


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    for function in (ctc_log_likelihood, ctc_back):
        compiled_kernel(function.__name__, backend)(function)
