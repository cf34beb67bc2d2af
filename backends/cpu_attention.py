"""Attention on the CPU, one block of scores at a time (after Dao et al., FlashAttention, 2022).

Scores lie keys-major, (keys, queries): the maximum over the keys is then a few elementwise maxima of halves. They are
never normalised: the values get a column of ones, whose product is the sum of the exponentials, and only the
result is divided. Blocks of queries, and of the batch, are shared between the threads; keys come block by block with
a running maximum and sum, so that the memory needed grows with L + S and not with L * S.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.backends.base import Backend, kernel
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray

#: The most queries and keys of a block, and the scores of one.
_LENGTH = 512
_BLOCK = 1 << 19
#: Scores (of all) from which on the batch is split for the threads.
_WORTH = 1 << 17


def _flat(x: Array) -> Array:
    """(..., L, E) as (B, L, E)."""
    return x.reshape(-1, *x.shape[-2:]) if x.ndim != 3 else x


@functools.lru_cache(maxsize=8)
def _ahead(first: int, keys: int, queries: int, dtype: Any) -> Array:
    """(keys, queries): minus infinity where key ``first + j`` comes after query ``i``, else 0."""
    later = np.arange(first, first + keys)[:, None] > np.arange(queries)
    return np.where(later, np.asarray(-math.inf, dtype=dtype), np.asarray(0, dtype=dtype))


class _Scores:
    """Blocks of ``scale * k @ q.T`` with the mask in them."""

    def __init__(self, q: Array, k: Array, mask: Array | None, scale: float, causal: bool) -> None:
        self.lead = q.shape[:-2]
        self.queries, self.keys = q.shape[-2], k.shape[-2]
        self.q, self.k = _flat(q), _flat(k)
        self.scale, self.causal = scale, causal
        self.mask = None
        if mask is not None:
            self.mask = np.broadcast_to(mask, (*self.lead, self.queries, self.keys))
            if math.prod(mask.shape[:-2]) == 1:  # the same for the whole batch
                self.mask = np.broadcast_to(mask.reshape(mask.shape[-2:]), (self.queries, self.keys))

    def batches(self) -> list[tuple[int, int]]:
        """Ranges of the batch whose blocks have at most about ``_BLOCK`` scores."""
        count = len(self.q)
        each = min(self.queries, _LENGTH) * min(self.keys, _LENGTH)
        pieces = -(-count // max(_BLOCK // each, 1))
        if self.queries * self.keys * count >= _WORTH:
            pieces = max(pieces + pieces % 2, 2)
        return ranges(count, pieces)

    def blocks_of_keys(self, last: int) -> Iterator[tuple[int, int]]:
        """Ranges of the keys that some query before ``last`` may look at."""
        for first, end in ranges(self.keys, -(-self.keys // _LENGTH)):
            if not self.causal or first < last:
                yield first, end

    def turned(self, batch: slice, queries: slice) -> Array:
        """``scale * q.T`` (b, E, queries)."""
        part = self.q[batch, queries].swapaxes(-1, -2)
        return np.multiply(part, self.scale, out=np.empty(part.shape, dtype=part.dtype))

    def fill(self, turned: Array, batch: slice, queries: slice, keys: slice) -> Array:
        """One block (b, keys, queries)."""
        out = np.matmul(self.k[batch, keys], turned)
        if self.causal and keys.stop - 1 > queries.start:
            wanted = keys.start - queries.start, keys.stop - keys.start, queries.stop - queries.start, out.dtype
            np.add(out, _ahead(*wanted), out=out)
        if self.mask is not None:
            if self.mask.ndim == 2:
                part = self.mask[queries, keys]
            else:
                where = np.unravel_index(np.arange(batch.start, batch.stop), self.lead)
                part = self.mask[(*where, queries, keys)]
            if part.dtype.char == "?":
                part = np.where(part, np.asarray(0, dtype=out.dtype), np.asarray(-math.inf, dtype=out.dtype))
            np.add(out, part.swapaxes(-1, -2), out=out)
        return out


def _highest(scores: Array) -> Array:
    """The maximum over the keys (b, 1, queries), by maxima of halves."""
    rows = scores.shape[1]
    if rows < 4:
        return np.maximum.reduce(scores, 1, keepdims=True)
    half = rows // 2
    best = np.maximum(scores[:, :half], scores[:, half : 2 * half])
    rest = [scores[:, -1:]] if rows % 2 else []
    while half > 1:
        if half % 2:
            rest.append(best[:, half - 1 : half])
        half //= 2
        best = np.maximum(best[:, :half], best[:, half : 2 * half])
    for row in rest:
        best = np.maximum(best, row)
    return best


def _with_ones(v: Array) -> Array:
    """[v, 1]"""
    out = np.empty((*v.shape[:-1], v.shape[-1] + 1), dtype=v.dtype)
    out[..., :-1] = v
    out[..., -1] = 1
    return out


def forward(q: Array, k: Array, v: Array, mask: Array | None, scale: float, causal: bool) -> tuple[Array, Array]:
    """The result (..., L, V), and the logarithms of the sums of exponentials (..., L)."""
    scores = _Scores(q, k, mask, scale, causal)
    values = _flat(v)
    out = np.empty((*q.shape[:-1], v.shape[-1]), dtype=q.dtype)
    total = np.empty(q.shape[:-1], dtype=q.dtype)
    outs, totals = _flat(out), total.reshape(-1, q.shape[-2])
    pieces = ranges(scores.queries, -(-scores.queries // _LENGTH))
    items = [(b, i) for b in scores.batches() for i in pieces]

    def run(item: int) -> None:
        batch, queries = (slice(*bounds) for bounds in items[item])
        turned = scores.turned(batch, queries)
        found = high = None
        for first, end in scores.blocks_of_keys(queries.stop):
            block = scores.fill(turned, batch, queries, slice(first, end))
            best = _highest(block)
            best = best if high is None else np.maximum(best, high)
            shift = np.where(best == -math.inf, np.zeros_like(best), best)
            np.exp(np.subtract(block, shift, out=block), out=block)
            part = np.matmul(block.swapaxes(-1, -2), _with_ones(values[batch, first:end]))
            if found is not None and high is not None:
                found *= np.exp(high - shift).swapaxes(-1, -2)
                part += found
            found, high = part, best
        assert found is not None  # there is a key, and it is not after the last query
        sums = found[..., -1:]
        sums[sums == 0] = 1  # a query that looks at nothing
        np.divide(found[..., :-1], sums, out=outs[batch, queries])
        np.add(np.log(sums[..., 0]), shift[:, 0], out=totals[batch, queries])

    parallel(run, len(items))
    return out, total


def back(
    q: Array,
    k: Array,
    v: Array,
    out: Array,
    total: Array,
    g_out: Array,
    g_total: Array,
    mask: Array | None,
    scale: float,
    causal: bool,
) -> tuple[Array, Array, Array]:
    """The gradients of q, k and v."""
    scores = _Scores(q, k, mask, scale, causal)
    values, outs, gradients = _flat(v), _flat(out), _flat(g_out)
    totals, of_totals = (x.reshape(-1, scores.queries) for x in (total, g_total))
    found = [np.zeros(x.shape, dtype=x.dtype) for x in (q, k, v)]
    of_q, of_k, of_v = (_flat(x) for x in found)
    items = scores.batches()

    def run(item: int) -> None:
        batch = slice(*items[item])
        for bounds in ranges(scores.queries, -(-scores.queries // _LENGTH)):
            queries = slice(*bounds)
            turned = scores.turned(batch, queries)
            g = np.ascontiguousarray(gradients[batch, queries])
            wide = np.empty((len(g), g.shape[2] + 1, g.shape[1]), dtype=g.dtype)  # [g.T; -(g . out)]
            wide[:, :-1] = g.swapaxes(-1, -2)
            np.subtract(of_totals[batch, queries], np.vecdot(g, outs[batch, queries]), out=wide[:, -1])
            for first, end in scores.blocks_of_keys(queries.stop):
                keys = slice(first, end)
                weights = scores.fill(turned, batch, queries, keys)
                np.exp(np.subtract(weights, totals[batch, None, queries], out=weights), out=weights)
                of_v[batch, keys] += np.matmul(weights, g)
                slope = np.matmul(_with_ones(values[batch, keys]), wide)
                np.multiply(slope, weights, out=slope)
                of_q[batch, queries] += np.matmul(slope.swapaxes(-1, -2), scores.k[batch, keys])
                of_k[batch, keys] += np.matmul(slope, scores.q[batch, queries])
        of_q[batch] *= scale
        of_k[batch] *= scale

    parallel(run, len(items))
    return found[0], found[1], found[2]


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    xp = backend.xp

    def suits(mask: Array | None, *arrays: Array) -> bool:
        dtype, lead = arrays[0].dtype, arrays[0].shape[:-2]
        fits = all(a.dtype == dtype and a.size for a in arrays) and all(a.shape[:-2] == lead for a in arrays[:3])
        return dtype.char in "fd" and fits and (mask is None or mask.dtype.char == "?" or mask.dtype == dtype)

    @kernel("attention", backend)
    def attention(mask: Array | None, *tensors: Array, scale: float, causal: bool) -> Any:
        if suits(mask, *tensors):
            return forward(*tensors, mask, scale, causal)
        return FORWARDS["attention"](xp, mask, *tensors, scale=scale, causal=causal)

    @kernel("attention_back", backend)
    def attention_back(
        q: Array,
        k: Array,
        v: Array,
        out: Array,
        total: Array,
        g_out: Array,
        g_total: Array,
        mask: Array | None = None,
        *,
        scale: float = 1.0,
        causal: bool = False,
    ) -> Any:
        if suits(mask, q, k, v, out, total, g_out, g_total):
            return back(q, k, v, out, total, g_out, g_total, mask, scale, causal)
        return FORWARDS["attention_back"](xp, q, k, v, out, total, g_out, g_total, mask, scale=scale, causal=causal)
