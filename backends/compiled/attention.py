"""Attention by blocks of some rows of scores, which never leave the cache of a core (after FlashAttention, 2022).

Keys and values of one sequence and head are copied into the order that the products read; then blocks of queries go by
the blocks of keys with a running maximum and sum. Heads may lie anywhere in memory, and results are written where the
inputs of the same kind would lie: splitting and joining heads costs no copy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel
from chainrule.backends.compiled.elementary import exp
from chainrule.backends.compiled.highest import highest
from chainrule.backends.compiled.jit import loop, part
from chainrule.backends.compiled.recurrent import clear
from chainrule.backends.compiled.tiles import multiply_add, padded
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray
_f = np.float32
_nothing, _zero = _f(-math.inf), _f(0)

#: Queries and keys of a block of scores.
_QUERIES, _KEYS = 32, 256
#: Distance of the rows of scores: those of a power of two would share few places in the cache.
_STEP = _KEYS + 16
#: Queries that share one copy of keys and values, and multiplications of one part of the work.
_CHUNK = 512
_PART = 4_000_000


@part
def _copied(x: Any, at: Any, step: Any, count: Any, length: Any, factor: Any, out: Any) -> None:
    """``count`` rows of ``x``, times a factor, as rows of ``out`` that end in zeros."""
    for r in range(count):
        row = x[at + r * step : at + r * step + length]
        for j in range(length):
            out[r, j] = factor * row[j]
        for j in range(length, out.shape[1]):
            out[r, j] = 0


@part
def _turned(x: Any, at: Any, step: Any, count: Any, length: Any, out: Any) -> None:
    """``count`` rows of ``x`` as columns, in panels of 16 that end in zeros."""
    for first in range(0, count, 16):
        panel = out[first * length : (first + 16) * length]
        if count - first < 16:
            clear(panel)
        for r in range(min(16, count - first)):
            row = x[at + (first + r) * step : at + (first + r) * step + length]
            for j in range(length):
                panel[16 * j + r] = row[j]


@part
def _start(scores: Any, q0: Any, rows: Any, k0: Any, n: Any, masks: Any, at: Any, step: Any, causal: Any) -> None:
    """0 where a query looks at a key and minus infinity where not, or what is added to the scores."""
    allowed, added = masks
    for r in range(rows):
        first = at + (q0 + r) * step + k0
        for j in range(n):
            scores[r, j] = 0
        if allowed.size:
            seen = allowed[first : first + n]
            for j in range(n):
                scores[r, j] = _zero if seen[j] else _nothing
        if added.size:
            numbers = added[first : first + n]
            for j in range(n):
                scores[r, j] = numbers[j]
        if causal:
            for j in range(max(q0 + r + 1 - k0, 0), n):
                scores[r, j] = _nothing
        for j in range(n, (n + 15) // 16 * 16):
            scores[r, j] = 0


@part
def _exponentials(scores: Any, r: Any, n: Any, shift: Any) -> Any:
    """``exp(row - shift)`` in place, and its sum."""
    total = _zero
    for j in range(n):
        scores[r, j] = exp(scores[r, j] - shift)
    for j in range(n):
        total += scores[r, j]
    return total


@loop
def _forward(
    arrays: Any, masks: Any, strides: Any, sizes: Any, scratch: Any, scale: Any, causal: Any, items: Any
) -> None:
    """The items from the first to the last: each is a chunk of the queries of one sequence and head."""
    q, k, v, out, total = arrays
    of_q, of_k, of_v, of_out, of_mask = strides
    heads, queries, keys, depth, width, chunks = sizes
    turned, values, part, scores, found, best, sums = scratch
    wide = found.shape[1]
    for item in range(items[0], items[1]):
        b, h, chunk = item // chunks // heads, item // chunks % heads, item % chunks
        _turned(k, b * of_k[0] + h * of_k[1], of_k[2], keys, depth, turned)
        _copied(v, b * of_v[0] + h * of_v[1], of_v[2], keys, width, _f(1), values)
        last = min(queries, (chunk + 1) * _CHUNK)
        for q0 in range(chunk * _CHUNK, last, _QUERIES):
            rows = min(_QUERIES, last - q0)
            _copied(q, b * of_q[0] + h * of_q[1] + q0 * of_q[2], of_q[2], rows, depth, scale, part)
            for r in range(rows):
                best[r], sums[r] = _nothing, _zero
                for j in range(wide):
                    found[r, j] = 0
            limit = min(keys, q0 + rows) if causal else keys
            for k0 in range(0, limit, _KEYS):
                n = min(_KEYS, limit - k0)
                columns = (n + 15) // 16 * 16
                _start(scores, q0, rows, k0, n, masks, b * of_mask[0] + h * of_mask[1], of_mask[2], causal)
                multiply_add(
                    part, 0, depth, 1, rows, turned, k0 * depth, 16, 16 * depth, depth, columns, scores, 0, _STEP
                )
                for r in range(rows):
                    high = highest(scores, r, n)
                    high = best[r] if best[r] > high else high
                    shift = _zero if high == _nothing else high
                    fade = exp(best[r] - shift)
                    sums[r] = sums[r] * fade + _exponentials(scores, r, n, shift)
                    best[r] = high
                    if k0:
                        for j in range(wide):
                            found[r, j] *= fade
                multiply_add(scores, 0, _STEP, 1, rows, values, k0 * wide, wide, 16, n, wide, found, 0, wide)
            for r in range(rows):
                whole = _f(1) if sums[r] == _zero else sums[r]  # a query that looks at nothing
                target = out[b * of_out[0] + h * of_out[1] + (q0 + r) * of_out[2] :][:width]
                for j in range(width):
                    target[j] = found[r, j] / whole
                shift = _zero if best[r] == _nothing else best[r]
                total[(b * heads + h) * queries + q0 + r] = np.log(whole) + shift


@loop
def _back(arrays: Any, masks: Any, strides: Any, sizes: Any, scratch: Any, scale: Any, causal: Any, items: Any) -> None:
    """The items from the first to the last: each is one sequence and head."""
    q, k, v, out, g_out, total, g_total, of_q, of_k, of_v = arrays
    at_q, at_k, at_v, at_out, at_g, at_mask, to_q, to_k, to_v = strides
    heads, queries, keys, depth, width, deep, wide = sizes
    keys_turned, values_turned, keys_copied, sum_k, sum_v, part, part_g, weights, slope, sum_q, along = scratch
    for item in range(items[0], items[1]):
        b, h = item // heads, item % heads
        _turned(k, b * at_k[0] + h * at_k[1], at_k[2], keys, depth, keys_turned)
        _turned(v, b * at_v[0] + h * at_v[1], at_v[2], keys, width, values_turned)
        _copied(k, b * at_k[0] + h * at_k[1], at_k[2], keys, depth, _f(1), keys_copied)
        for r in range(keys):
            for j in range(deep):
                sum_k[r, j] = 0
            for j in range(wide):
                sum_v[r, j] = 0
        for q0 in range(0, queries, _QUERIES):
            rows = min(_QUERIES, queries - q0)
            _copied(q, b * at_q[0] + h * at_q[1] + q0 * at_q[2], at_q[2], rows, depth, scale, part)
            _copied(g_out, b * at_g[0] + h * at_g[1] + q0 * at_g[2], at_g[2], rows, width, _f(1), part_g)
            for r in range(rows):
                for j in range(deep):
                    sum_q[r, j] = 0
                row = out[b * at_out[0] + h * at_out[1] + (q0 + r) * at_out[2] :][:width]
                total_slope = g_total[item * queries + q0 + r]
                for j in range(width):
                    total_slope -= part_g[r, j] * row[j]
                along[r] = total_slope
            limit = min(keys, q0 + rows) if causal else keys
            for k0 in range(0, limit, _KEYS):
                n = min(_KEYS, limit - k0)
                columns = (n + 15) // 16 * 16
                _start(weights, q0, rows, k0, n, masks, b * at_mask[0] + h * at_mask[1], at_mask[2], causal)
                multiply_add(
                    part, 0, deep, 1, rows, keys_turned, k0 * depth, 16, 16 * depth, depth, columns, weights, 0, _STEP
                )
                for r in range(rows):
                    _exponentials(weights, r, n, total[item * queries + q0 + r])
                    for j in range(columns):
                        slope[r, j] = along[r]
                multiply_add(
                    part_g, 0, wide, 1, rows, values_turned, k0 * width, 16, 16 * width, width, columns, slope, 0, _STEP
                )
                for r in range(rows):
                    for j in range(n):
                        slope[r, j] *= weights[r, j]
                multiply_add(weights, 0, 1, _STEP, n, part_g, 0, wide, 16, rows, wide, sum_v, k0 * wide, wide)
                multiply_add(slope, 0, 1, _STEP, n, part, 0, deep, 16, rows, deep, sum_k, k0 * deep, deep)
                multiply_add(slope, 0, _STEP, 1, rows, keys_copied, k0 * deep, deep, 16, n, deep, sum_q, 0, deep)
            for r in range(rows):
                target = of_q[b * to_q[0] + h * to_q[1] + (q0 + r) * to_q[2] :][:depth]
                for j in range(depth):
                    target[j] = scale * sum_q[r, j]
        for r in range(keys):
            target = of_k[b * to_k[0] + h * to_k[1] + r * to_k[2] :][:depth]
            for j in range(depth):
                target[j] = sum_k[r, j]
            target = of_v[b * to_v[0] + h * to_v[1] + r * to_v[2] :][:width]
            for j in range(width):
                target[j] = sum_v[r, j]


# ---- where things lie -----------------------------------------------------------------------------------------------


def _spread(x: Array) -> tuple[Array, tuple[int, int, int]]:
    """The memory that ``x`` (..., L, E) lies in, as one row, and the distances of batches, heads and positions.

    ``x`` is copied where those three do not describe it.
    """
    lead = x.shape[:-2]
    four = (
        x
        if x.ndim == 4
        else x.reshape(1, -1, *x.shape[-2:])
        if x.ndim < 4
        else x.reshape(-1, *lead[-1:], *x.shape[-2:])
    )
    steps = four.strides
    usable = x.flags.behaved and all(s >= 0 and s % 4 == 0 for s in steps) and (steps[3] == 4 or four.shape[3] == 1)
    if not usable:
        four = four.copy()
        steps = four.strides
    span = sum((n - 1) * s for n, s in zip(four.shape, steps, strict=True)) // 4 + 1
    row = np.lib.stride_tricks.as_strided(four, (span,), (4,))
    return row, (steps[0] // 4, steps[1] // 4, steps[2] // 4)


def _like(x: Array, last: int) -> Array:
    """An empty array (..., L, last) whose dimensions lie in memory in the order of those of ``x``, the last inside."""
    order = sorted(range(x.ndim - 1), key=lambda axis: -x.strides[axis])
    shape = (*x.shape[:-1], last)
    out = np.empty([shape[axis] for axis in (*order, x.ndim - 1)], dtype=x.dtype)
    return out.transpose(np.argsort((*order, x.ndim - 1)))


def _masks(mask: Array | None, heads: int, shape: tuple[int, ...]) -> tuple[tuple[Array, Array], tuple[int, int, int]]:
    """The mask as bools (of one byte) and as numbers to add, one of them empty; its distances as in :func:`_spread`."""
    none = np.empty(0, dtype=np.uint8), np.empty(0, dtype=np.float32)
    if mask is None:
        return none, (0, 0, 0)
    if mask.shape[-2:] != shape[-2:]:
        mask = np.broadcast_to(mask, (*mask.shape[:-2], *shape[-2:]))
    mask = np.ascontiguousarray(mask.view(np.uint8) if mask.dtype.char == "?" else mask)
    row = mask.reshape(-1)
    row = row if row.flags.behaved else row.copy()
    full = np.broadcast_to(mask, shape)
    four = full.reshape(-1, heads, *shape[-2:])
    if not np.shares_memory(four, mask):  # leading dimensions of which some are repeated
        row = four.reshape(-1)
    steps = [s // mask.itemsize for s in four.strides]
    return ((row, none[1]) if mask.itemsize == 1 else (none[0], row)), (steps[0], steps[1], steps[2])


def forward(q: Array, k: Array, v: Array, mask: Array | None, scale: float, causal: bool) -> tuple[Array, Array]:
    """The result (..., L, V), and the logarithms of the sums of exponentials (..., L)."""
    queries, depth, keys, width = *q.shape[-2:], *v.shape[-2:]
    count = math.prod(q.shape[:-2])
    heads = q.shape[-3] if q.ndim >= 4 else count
    out, total = _like(q, width), np.empty(q.shape[:-1], dtype=q.dtype)
    places = [_spread(x) for x in (q, k, v, out)]
    masks, of_mask = _masks(mask, heads, (*q.shape[:-1], keys))
    arrays = *[row for row, _ in places], total.reshape(-1)
    strides = *[steps for _, steps in places], of_mask
    chunks, long, wide = -(-queries // _CHUNK), padded(keys), padded(width)
    sizes = heads, queries, keys, depth, width, chunks
    rows = [(_QUERIES, n) for n in (depth, _STEP, wide)]
    needed: list[Any] = [long * depth, (keys, wide), *rows, _QUERIES, _QUERIES]
    parts = ranges(count * chunks, max(1, count * queries * keys * (depth + width) // _PART))

    def run(i: int) -> None:
        scratch = tuple([np.empty(n, dtype=q.dtype) for n in needed])
        _forward(arrays, masks, strides, sizes, scratch, _f(scale), causal, parts[i])

    parallel(run, len(parts))
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
    queries, depth, keys, width = *q.shape[-2:], *v.shape[-2:]
    count = math.prod(q.shape[:-2])
    heads = q.shape[-3] if q.ndim >= 4 else count
    found = [_like(x, x.shape[-1]) for x in (q, k, v)]
    places = [_spread(x) for x in (q, k, v, out, g_out)]
    targets = [_spread(x) for x in found]
    masks, of_mask = _masks(mask, heads, (*q.shape[:-1], keys))
    totals = [np.ascontiguousarray(x).reshape(-1) for x in (total, g_total)]
    totals = [x if x.flags.behaved else x.copy() for x in totals]
    arrays = *[row for row, _ in places], *totals, *[row for row, _ in targets]
    strides = *[steps for _, steps in places], of_mask, *[steps for _, steps in targets]
    long, deep, wide = padded(keys), padded(depth), padded(width)
    sizes = heads, queries, keys, depth, width, deep, wide
    rows = [(_QUERIES, n) for n in (deep, wide, _STEP, _STEP, deep)]
    needed: list[Any] = [long * depth, long * width, (keys, deep), (keys, deep), (keys, wide), *rows, _QUERIES]
    parts = ranges(count, max(1, count * queries * keys * (3 * depth + 2 * width) // _PART))

    def run(i: int) -> None:
        scratch = tuple([np.empty(n, dtype=q.dtype) for n in needed])
        _back(arrays, masks, strides, sizes, scratch, _f(scale), causal, parts[i])

    parallel(run, len(parts))
    return found[0], found[1], found[2]


def _suits(q: Array, k: Array, v: Array, mask: Array | None, *others: tuple[Array, tuple[int, ...]]) -> bool:
    """Whether everything is float32 and not empty, and the shapes fit."""
    if not all(a.dtype == np.float32 and a.size for a in (q, k, v, *[a for a, _ in others])):
        return False
    lead = q.shape[:-2]
    if not 2 <= q.ndim == k.ndim == v.ndim or k.shape[:-2] != lead or v.shape[:-2] != lead:
        return False
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2] or any(a.shape != shape for a, shape in others):
        return False
    if mask is None:
        return True
    scores = (*q.shape[:-1], k.shape[-2])
    fits = mask.ndim <= len(scores) and np.broadcast_shapes(mask.shape, scores) == scores and mask.ndim >= 2
    return fits and (mask.dtype.char == "?" or mask.dtype == np.float32)


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""

    @compiled_kernel("attention", backend)
    def attention(mask: Array | None, *tensors: Array, scale: float, causal: bool) -> Any:
        q, k, v = tensors
        return forward(q, k, v, mask, scale, causal) if _suits(q, k, v, mask) else NotImplemented

    @compiled_kernel("attention_back", backend)
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
        result, sums = (*q.shape[:-1], v.shape[-1]), q.shape[:-1]
        if not _suits(q, k, v, mask, (out, result), (total, sums), (g_out, result), (g_total, sums)):
            return NotImplemented
        return back(q, k, v, out, total, g_out, g_total, mask, scale, causal)
