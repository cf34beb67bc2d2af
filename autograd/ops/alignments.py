"""All alignments of a label sequence with the steps of an input, by dynamic programming (Graves et al., 2006).

A path is a label sequence with a blank before, between and after its labels: an alignment stays in a state of its path,
moves on by one, or by two where ``jump`` says that the state between may be left out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.samples import Sample, Samples, normal


def _emitted(xp: Any, x: Any, path: Any) -> tuple[Any, Any]:
    """What each step emits in each state, (T, N, W), and where that stands among the classes."""
    index = xp.broadcast_to(path, shape=(x.shape[0], *path.shape))
    return xp.gather(x, index, axis=2), index


def _states(xp: Any, emitted: Any, jump: Any, running: Any) -> list[Any]:
    """For each step the logarithm of the sum over all ways that lead to a state; the last repeats itself."""
    width = jump.shape[1]
    nothing = xp.zeros_like(emitted[0]) - math.inf
    start = emitted[0][:, : min(2, width)]
    states = [xp.pad_constant(start, widths=((0, 0), (0, max(width - 2, 0))), value=-math.inf)]
    for step in range(1, emitted.shape[0]):
        state = states[-1]
        padded = xp.pad_constant(state, widths=((0, 0), (2, 0)), value=-math.inf)
        ways = xp.stack_tensors(state, padded[:, 1:-1], xp.where(jump, padded[:, :-2], nothing), axis=0)
        moved = xp.logsumexp(ways, axis=0) + emitted[step]
        states.append(xp.where(running[step], moved, state))
    return states


def _total(xp: Any, last: Any, ends: Any, running: Any) -> Any:
    """The sum over the states that are ends. Of a sample without steps only the empty sequence is possible."""
    found = xp.logsumexp(xp.where(ends, last, xp.zeros_like(last) - math.inf), axis=1)
    empty = xp.zeros_like(found)
    empty = xp.where(ends[:, 0], empty, empty - math.inf)
    return xp.where(xp.reshape(running[0], shape=(-1,)), found, empty)


def _back(xp: Any, g: Any, x: Any, path: Any, jump: Any, ends: Any, running: Any) -> Any:
    """``g`` times the share of each class at each step: that of the alignments which are there in one of its states."""
    emitted, index = _emitted(xp, x, path)
    states = _states(xp, emitted, jump, running)
    total = _total(xp, states[-1], ends, running)
    total = xp.where(total == -math.inf, xp.zeros_like(total), total)  # no alignment: all shares are 0
    total = xp.reshape(total, shape=(-1, 1))
    zero = xp.zeros_like(states[-1])
    nothing = zero - math.inf
    rest, shares = xp.where(ends, zero, nothing), []  # the sum over all ways from a state to an end
    for step in range(len(states) - 1, -1, -1):
        shares.append(xp.where(running[step], xp.exp(states[step] + rest - total), zero))
        later = rest + emitted[step]
        one = xp.pad_constant(later, widths=((0, 0), (0, 1)), value=-math.inf)
        two = xp.pad_constant(xp.where(jump, later, nothing), widths=((0, 0), (0, 2)), value=-math.inf)
        moved = xp.logsumexp(xp.stack_tensors(later, one[:, 1:], two[:, 2:], axis=0), axis=0)
        rest = xp.where(running[step], moved, rest)
    share = xp.stack_tensors(*shares[::-1], axis=0) * xp.reshape(g, shape=(1, -1, 1))
    return xp.gather_back(share, index, shape=tuple(x.shape), axis=2)


def _arguments(rng: Any, times: list[int], labels: list[list[int]], classes: int, steps: int) -> tuple[Any, ...]:
    batch, longest = len(times), max(map(len, labels))
    path = np.zeros((batch, 2 * longest + 1), np.int64)
    ends = np.zeros(path.shape, bool)
    for i, row in enumerate(labels):
        path[i, 1 : 2 * len(row) : 2] = row
        ends[i, max(2 * len(row) - 1, 0) : 2 * len(row) + 1] = True
    jump = np.zeros(path.shape, bool)
    jump[:, 2:] = path[:, 2:] != path[:, :-2]
    running = np.arange(steps)[:, None, None] < np.array(times)[None, :, None]
    return normal(rng, steps, batch, classes), path, jump, ends, running


def _samples(rng: Any) -> Any:
    yield Sample(_arguments(rng, [4, 3], [[1, 2], [1]], 3, 4))
    yield Sample(_arguments(rng, [3, 0, 2, 4], [[2, 2], [], [1, 2], []], 3, 4))


def _ways(jump: Any, ends: Any, steps: int) -> list[list[int]]:
    """All ways of so many steps through the states of one path, to one of its ends."""
    if not steps:
        return [[]] if ends[0] else []
    found = [[s] for s in range(min(2, len(ends)))]
    for _ in range(steps - 1):
        longer = [way + [s] for way in found for s in (way[-1], way[-1] + 1) if s < len(ends)]
        found = longer + [way + [way[-1] + 2] for way in found if way[-1] + 2 < len(ends) and jump[way[-1] + 2]]
    return [way for way in found if ends[way[-1]]]


def _shares(x: Any, path: Any, jump: Any, ends: Any, running: Any) -> tuple[Any, Any]:
    """The sums over all alignments, one by one; and the share of each class at each step."""
    totals, shares = np.zeros(len(path)), np.zeros(x.shape)
    for n, row in enumerate(path):
        for way in _ways(jump[n], ends[n], int(running[:, n].sum())):
            places = (np.arange(len(way)), n, row[way])
            weight = np.exp(x[places].sum())
            totals[n] += weight
            shares[places] += weight
    return totals, shares / totals[:, None]


@op(
    vjp={"x": _back},
    check=Samples(_samples, reference=lambda *given: np.log(_shares(*given)[0])),
    together=lambda xp, g, x, path, jump, ends, running: (xp.ctc_back(g, x, path, jump, ends, running),),
    label="ctc_loss",
)
def ctc_log_likelihood(xp, x, path, jump, ends, running):
    """The logarithm of the sum over all alignments of each path (N, W) with log-probabilities (T, N, C).

    ``jump`` and ``ends`` (N, W) say which states may be jumped to, and which are the last ones; ``running`` (T, N, 1),
    which steps a sample has.
    """
    return _total(xp, _states(xp, _emitted(xp, x, path)[0], jump, running)[-1], ends, running)


def _back_samples(rng: Any) -> Any:
    for sample in _samples(rng):
        yield Sample((normal(rng, len(sample.args[1])), *sample.args))


@op(
    vjp=None,
    check=Samples(_back_samples, reference=lambda g, *given: g[:, None] * _shares(*given)[1]),
    label="ctc_loss backward",
)
def ctc_back(xp, x, y, path, jump, ends, running):
    """The gradient of :func:`ctc_log_likelihood` for its first argument ``y``, from that of its result, ``x``."""
    return _back(xp, x, y, path, jump, ends, running)
