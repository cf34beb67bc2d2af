"""Connectionist temporal classification on the CPU: the recursions in place, over all samples and states at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS

Array = np.ndarray


def _emitted(x: Array, path: Array) -> Array:
    return x[:, np.arange(len(path))[:, None], path]


def _everybody(running: Array) -> Array:
    """Which steps all samples have."""
    return np.logical_and.reduce(running, (1, 2))


def _lowest(x: Array) -> Any:
    """In place of the largest of numbers that all are minus infinity."""
    return np.finfo(x.dtype).min / 4


def _sum(ways: Array, out: Array) -> None:
    """``log(sum(exp(ways)))`` over the first axis, into ``out``; ``ways`` is overwritten."""
    most = np.maximum.reduce(ways, 0)
    np.maximum(most, _lowest(most), out=most)
    np.subtract(ways, most, out=ways)
    np.exp(ways, out=ways)
    np.add.reduce(ways, 0, out=out)
    np.log(out, out=out)
    np.add(out, most, out=out)


def _states(emitted: Array, jump: Array, running: Array) -> Array:
    """What ``_states`` of the op gives: (T, N, W + 2), behind two states that no way leads to."""
    steps, batch, width = emitted.shape
    states = np.full((steps, batch, width + 2), -np.inf, emitted.dtype)
    states[0, :, 2:4] = emitted[0, :, :2]
    barred, everybody = np.where(jump, emitted.dtype.type(0), emitted.dtype.type(-np.inf)), _everybody(running)
    ways = np.empty((3, batch, width), emitted.dtype)
    for step in range(1, steps):
        before, state = states[step - 1], states[step, :, 2:]
        ways[0], ways[1] = before[:, 2:], before[:, 1:-1]
        np.add(before[:, :-2], barred, out=ways[2])
        _sum(ways, state)
        np.add(state, emitted[step], out=state)
        if not everybody[step]:
            np.copyto(state, before[:, 2:], where=~running[step])
    return states


def _total(last: Array, ends: Array, running: Array) -> Array:
    ways = np.where(ends, last, last.dtype.type(-np.inf)).T.copy()
    out = np.empty(len(last), last.dtype)
    _sum(ways, out)
    empty = ~running[0, :, 0]
    if empty.any():
        out[empty] = np.where(ends[empty, 0], 0, -np.inf)
    return out


def log_likelihood(x: Array, path: Array, jump: Array, ends: Array, running: Array) -> Array:
    """The op ``ctc_log_likelihood``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _total(_states(_emitted(x, path), jump, running)[-1, :, 2:], ends, running)


def back(xp: Any, g: Array, x: Array, path: Array, jump: Array, ends: Array, running: Array) -> Array:
    """The op ``ctc_back``."""
    emitted = _emitted(x, path)
    steps, batch, width = emitted.shape
    barred = np.where(jump, x.dtype.type(0), x.dtype.type(-np.inf))
    with np.errstate(divide="ignore", invalid="ignore"):
        states = _states(emitted, jump, running)
        total = _total(states[-1, :, 2:], ends, running)
        total[total == -np.inf] = 0
        share = states[:, :, 2:]
        everybody = _everybody(running)
        rest = np.where(ends, x.dtype.type(0), x.dtype.type(-np.inf))
        later = np.full((2, batch, width + 2), -np.inf, x.dtype)  # before two states that lead nowhere
        ways, moved = np.empty((3, batch, width), x.dtype), np.empty_like(rest)
        for step in range(steps - 1, -1, -1):
            np.add(share[step], rest, out=share[step])
            np.add(rest, emitted[step], out=later[0, :, :-2])
            np.add(later[0, :, :-2], barred, out=later[1, :, :-2])
            ways[0], ways[1], ways[2] = later[0, :, :-2], later[0, :, 1:-1], later[1, :, 2:]
            _sum(ways, moved)
            if everybody[step]:
                rest, moved = moved, rest
            else:
                np.copyto(rest, moved, where=running[step])
        share = np.exp(share - total[:, None])
        share *= g[:, None]
        share[~running[:, :, 0]] = 0
    index = np.broadcast_to(path, (steps, *path.shape))
    result: Array = xp.gather_back(share, index, shape=x.shape, axis=2)
    return result


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    xp = backend.xp

    @kernel("ctc_log_likelihood", backend)
    def ctc_log_likelihood(x: Array, path: Array, jump: Array, ends: Array, running: Array) -> Any:
        if x.dtype.char in "fd":
            return log_likelihood(x, path, jump, ends, running)
        return FORWARDS["ctc_log_likelihood"](xp, x, path, jump, ends, running)

    @kernel("ctc_back", backend)
    def ctc_back(x: Array, y: Array, path: Array, jump: Array, ends: Array, running: Array) -> Any:
        if y.dtype.char in "fd" and x.dtype == y.dtype:
            return back(xp, x, y, path, jump, ends, running)
        return FORWARDS["ctc_back"](xp, x, y, path, jump, ends, running)
