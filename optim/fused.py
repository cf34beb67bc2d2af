"""Steps of large parameters in one pass over memory, where the extra ``fast`` is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autograd.runtime import bump
from chainrule.backends import compiled
from chainrule.backends.pool import parallel, ranges
from chainrule.optim import updating
from chainrule.optim.plan import Chunk, flat_reals
from chainrule.optim.recording import ARRAY, Recording

if TYPE_CHECKING:
    from chainrule.optim.optimizer import Optimizer

Group = dict[str, Any]
Loop = Callable[..., None]

#: elements of a group from which on its step is compiled, or loaded from disk, which takes 10 ms; and of one whose
#: formula has so few operations that joining small tensors would not pay
worth, worth_if_short = 1 << 15, 1 << 18
#: elements that are updated at a time, and from which on other threads take part; about 100 us of work
BLOCK = 1 << 18

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
_loops: dict[Any, Loop] = {}


def suits(optimizer: Optimizer, chunks: list[Chunk], group: Group) -> bool:
    """Whether the steps of these chunks are worth a compiled loop."""
    on_host = sum(chunk.size for chunk in chunks if chunk.device.array_type is np.ndarray)
    least = worth if optimizer.gathers(group) else worth_if_short
    return optimizer.elementwise and on_host >= least and compiled.available


class Rows:
    """The memory of a chunk in pieces of at most ``BLOCK`` elements, as the loop takes them.

    Attributes:
        arrays: those of the state that the pieces are views of; they fit as long as these are in use.
        pieces: the parameter's place in the chunk, the bounds of the piece in it, and its views of parameter and state.
    """

    __slots__ = ("arrays", "params", "pieces")

    def __init__(self, chunk: Chunk, arrays: list[Any]) -> None:
        self.params = [p._data for p in chunk.params]
        self.arrays = arrays
        flat = [array.reshape(-1) for array in arrays]
        self.pieces: list[tuple[int, int, int, Any, list[Any]]] = []
        for i, (array, (start, end)) in enumerate(zip(self.params, chunk.bounds, strict=True)):
            row = flat_reals(array)
            for a, b in ranges(end - start, -(-(end - start) // BLOCK), 16):
                self.pieces.append((i, a, b, row[a:b], [s[start + a : start + b] for s in flat]))

    def fit(self, chunk: Chunk, arrays: list[Any]) -> bool:
        """Whether parameters and state are still where they were."""
        if len(arrays) != len(self.arrays) or any(a is not b for a, b in zip(arrays, self.arrays)):
            return False
        return all(p._data is a for p, a in zip(chunk.params, self.params))


def advance(optimizer: Optimizer, chunks: list[Chunk], grads: list[Any], group: Group) -> list[Chunk]:
    """One update of those of ``chunks`` that can be done in compiled loops; the others are given back untouched."""
    recordings: dict[Any, tuple[Recording, Loop] | None] = {}
    calls: list[tuple[Any, ...]] = []
    left, done, size = [], [], 0
    for chunk in chunks:
        rows = _gradients(chunk, grads)
        found = None if rows is None else _recorded(optimizer, chunk, group, recordings)
        if rows is None or found is None:
            left.append(chunk)
            continue
        recording, loop = found
        state = chunk.state
        state.update(recording.state)
        for name in recording.fresh:
            state[name] = np.empty(chunk.params[0]._data.shape if chunk.plain else chunk.size, chunk.dtype)
        arrays = [state[name] for name in recording.arrays]
        if chunk.rows is None or not chunk.rows.fit(chunk, arrays):
            chunk.rows = Rows(chunk, arrays)
        numbers = recording.numbers
        for i, a, b, p, parts in chunk.rows.pieces:
            g = rows[i]
            calls.append((loop, numbers, p, g if g.size == p.size else g[a:b], *parts))
        size += chunk.size
        done.append(chunk)
    _run(calls, size)
    for chunk in done:
        for p in chunk.params:
            if p._counter is not None:  # something saved it, and must notice the change
                bump(p)
    return left


def _run(calls: list[tuple[Any, ...]], size: int) -> None:
    if size < BLOCK:
        for loop, *arguments in calls:
            loop(*arguments)
        return
    # small pieces go together: handing one out takes as long as doing it
    jobs: list[list[tuple[Any, ...]]] = []
    room = 0
    for call in calls:
        if room <= 0:
            jobs.append([])
            room = BLOCK // 2
        jobs[-1].append(call)
        room -= call[2].size

    def job(i: int) -> None:
        for loop, *arguments in jobs[i]:
            loop(*arguments)

    parallel(job, len(jobs))


def _gradients(chunk: Chunk, grads: list[Any]) -> list[Any] | None:
    """The gradients in rows of the dtype that is computed in; None where the loop is not made for the chunk."""
    dtype, rows = chunk.dtype, []
    if chunk.device.array_type is not np.ndarray or dtype not in _DTYPES:
        return None
    for p, place in zip(chunk.params, chunk.places):
        array, g = p._data, grads[place]._data
        if not array.flags.carray or array.itemsize == 2 or g.dtype != array.dtype or g.shape != array.shape:
            return None
        if not g.flags.carray:
            g = g.copy()
        rows.append(g.reshape(-1) if g.dtype == dtype else flat_reals(g))
    for value in chunk.state.values():
        if type(value) is np.ndarray and not (value.dtype == dtype and value.size == chunk.size and value.flags.carray):
            return None
    return rows


def _recorded(
    optimizer: Optimizer, chunk: Chunk, group: Group, recordings: dict[Any, tuple[Recording, Loop] | None]
) -> tuple[Recording, Loop] | None:
    """The step as a loop; chunks whose state has the same numbers share it."""
    state: Group = {k: ARRAY if type(v) is np.ndarray else v for k, v in chunk.state.items()}
    state["step"] += 1
    key = (chunk.dtype, *state.items())
    try:
        if key not in recordings:
            recordings[key] = None

            def step(xp: Any, p: Any, g: Any, after: dict[str, Any]) -> None:
                updating.apply(optimizer, xp, p, g, after, group)

            recording = Recording(chunk.dtype, state, step)
            recordings[key] = recording, _loop(recording)
        return recordings[key]
    except Exception:  # whatever a formula says to a symbol: the plain way does the work, or raises the error
        return None


def _loop(recording: Recording) -> Loop:
    key = (recording.dtype, recording.before, recording.lines)
    found = _loops.get(key)
    if found is None:
        from chainrule.backends.compiled.formulas import function

        found = _loops[key] = function(recording.source(), recording.dtype, 3 + len(recording.arrays))
    return found
