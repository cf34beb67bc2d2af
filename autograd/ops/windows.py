"""Windows that need not be regular: where their maxima are, and putting values back to such places.

Images are (N, C, ...) with any number of further dimensions; a window is the product of one list of positions for each
of them. A place is the number of an element in its channel, in row-major order.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.ops.gather import along
from chainrule.autograd.samples import Sample, Samples, normal

#: positions of each window along one dimension; -1 where a window has fewer, or sticks out
Positions = tuple[tuple[int, ...], ...]


def regular(size: int, count: int, kernel: int, stride: int, padding: int, dilation: int) -> Positions:
    """The positions of ``count`` windows of a pooling."""
    found = np.arange(count)[:, None] * stride + np.arange(kernel) * dilation - padding
    found[(found < 0) | (found >= size)] = -1
    return tuple(map(tuple, found.tolist()))


def adaptive(size: int, count: int) -> Positions:
    """The positions of ``count`` windows spread evenly: from floor(i n / count) to ceil((i + 1) n / count)."""
    spans = [range(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
    longest = max([len(s) for s in spans], default=0)
    return tuple([(*s, *(-1,) * (longest - len(s))) for s in spans])


def _samples(rng: Any) -> Any:
    yield Sample((normal(rng, 2, 2, 7),), {"windows": (regular(7, 4, 3, 2, 1, 1),)})
    yield Sample((normal(rng, 1, 2, 4, 5),), {"windows": (adaptive(4, 3), adaptive(5, 2))})
    volume = (adaptive(3, 2), regular(4, 2, 2, 2, 0, 1), adaptive(4, 1))
    yield Sample((normal(rng, 1, 1, 3, 4, 4),), {"windows": volume})


def _reference(x: Any, windows: tuple[Positions, ...]) -> Any:
    out = np.zeros((*x.shape[:2], *[len(w) for w in windows]), dtype=np.int64)
    for at in np.ndindex(out.shape[2:]):
        best = None
        for place in itertools.product(*[windows[d][i] for d, i in enumerate(at)]):
            if min(place) < 0:
                continue
            value = x[(slice(None), slice(None), *place)]
            number = np.ravel_multi_index(place, x.shape[2:])
            better = np.ones(value.shape, bool) if best is None else value > best
            best = value if best is None else np.where(better, value, best)
            out[(slice(None), slice(None), *at)] = np.where(better, number, out[(slice(None), slice(None), *at)])
    return out


@op(vjp=None, check=Samples(_samples, reference=_reference))
def window_argmax(xp, x, *, windows):
    """The place of the first maximum in each window (or of a NaN, the last), as integers (N, C, ...)."""
    tables = [np.asarray(w, dtype=np.int64) for w in windows]
    tables = [t if t.ndim == 2 else np.zeros((0, 0), dtype=np.int64) for t in tables]  # no windows at all
    counts = tuple([t.shape[0] for t in tables])
    steps = [int(np.prod(x.shape[3 + d :])) for d in range(len(tables))]
    dims = len(tables)
    place = xp.zeros((*x.shape[:2], *counts), dtype=np.int64)
    best = None
    seen = np.zeros(counts, dtype=bool)
    for tap in itertools.product(*[range(t.shape[1]) for t in tables]):
        columns = [t[:, j] for t, j in zip(tables, tap, strict=True)]
        grid = [np.reshape(column, (-1, *(1,) * (dims - 1 - d))) for d, column in enumerate(columns)]
        inside = np.ones(counts, dtype=bool)
        number = np.zeros(counts, dtype=np.int64)
        for positions, step in zip(grid, steps, strict=True):
            inside = inside & (positions >= 0)
            number = number + positions * step
        values = x[(slice(None), slice(None), *[xp.asarray(np.maximum(positions, 0)) for positions in grid])]
        if best is None:
            better = xp.broadcast_to(xp.asarray(inside), values.shape)
            best = values
        else:
            better = xp.asarray(inside & seen) & ((values > best) | (values != values)) | xp.asarray(inside & ~seen)
            best = xp.where(better, values, best)
        place = xp.where(better, xp.asarray(number), place)
        seen = seen | inside
    return place


def _unpool_reference(x: Any, index: Any, length: int) -> Any:
    out = np.zeros((*x.shape[:2], length))
    np.put_along_axis(out, index, x, 2)
    return out


@op(
    vjp={"x": lambda xp, g, index: xp.gather(g, index, axis=2)},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 2, 2, 3), np.array([[[0, 3, 1], [4, 0, 2]], [[2, 1, 0], [3, 4, 1]]])), {"length": 5})
        ],
        reference=_unpool_reference,
    ),
    label="max_unpool",
    arithmetic=False,
)
def unpool(xp, x, index, *, length):
    """Zeros (N, C, length) with the elements of ``x`` (N, C, L) at the places that ``index`` (N, C, L) names."""
    return xp.put(xp.zeros((*x.shape[:2], length), dtype=x.dtype), along(xp, index, 2), x)
