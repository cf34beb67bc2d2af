"""Softmax, its logarithm and cross-entropy of float32 rows: each row is read once and worked on while it is cached."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, elementary
from chainrule.backends.compiled.highest import highest
from chainrule.backends.compiled.jit import loop
from chainrule.backends.compiled.sums import SUMMED, parts_of, sum_of
from chainrule.backends.pool import parallel

Array = np.ndarray


@loop
def _exponentials(x: Any, top: Any, out: Any) -> Any:
    """``exp(x - top)``, and their sum."""
    total: Any = 0.0
    for a in range(0, x.size, SUMMED):
        part = np.float32(0)
        for j in range(a, min(a + SUMMED, x.size)):
            out[j] = elementary.exp(x[j] - top)
            part += out[j]
        total += part
    return total


@loop
def _sum_of_exponentials(x: Any, top: Any) -> Any:
    total: Any = 0.0
    for a in range(0, x.size, SUMMED):
        part = np.float32(0)
        for j in range(a, min(a + SUMMED, x.size)):
            part += elementary.exp(x[j] - top)
        total += part
    return total


@loop
def _softmax(x: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        target = out[i]
        scale = np.float32(1 / _exponentials(x[i], highest(x, i, x.shape[1]), target))
        for j in range(target.size):
            target[j] *= scale


@loop
def _softmax_back(g: Any, y: Any, out: Any) -> None:
    for i in range(g.shape[0]):
        slope, row, target = g[i], y[i], out[i]
        total: Any = 0.0
        for a in range(0, row.size, SUMMED):
            part = np.float32(0)
            for j in range(a, min(a + SUMMED, row.size)):
                part += slope[j] * row[j]
            total += part
        along = np.float32(total)
        for j in range(row.size):
            target[j] = row[j] * (slope[j] - along)


@loop
def _log_softmax(x: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        row, target, top = x[i], out[i], highest(x, i, x.shape[1])
        log = np.float32(np.log(_sum_of_exponentials(row, top)))
        for j in range(row.size):
            target[j] = (row[j] - top) - log


@loop
def _log_softmax_back(g: Any, y: Any, out: Any) -> None:
    for i in range(g.shape[0]):
        slope, row, target = g[i], y[i], out[i]
        total = np.float32(sum_of(slope))
        for j in range(row.size):
            target[j] = slope[j] - elementary.exp(row[j]) * total


@loop
def _cross_entropy(x: Any, target: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        row, top = x[i], highest(x, i, x.shape[1])
        out[i] = np.log(_sum_of_exponentials(row, top)) - (row[target[i]] - top)


@loop
def _cross_entropy_back(x: Any, target: Any, y: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        row, found = x[i], out[i]
        total = _exponentials(row, highest(x, i, x.shape[1]), found)
        at_target = np.float32((found[target[i]] / total - 1) * y[i])
        scale = np.float32(y[i] / total)
        for j in range(row.size):
            found[j] *= scale
        found[target[i]] = at_target


# ---- the ops --------------------------------------------------------------------------------------------------------


def _rows(x: Array, axis: int) -> Array | None:
    """x as a matrix whose rows lie along ``axis``, a view or a copy; None where that is not its last dimension."""
    if x.dtype != np.float32 or not x.size or not x.ndim or axis not in (-1, x.ndim - 1):
        return None
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def _one(compute: Any) -> Any:
    """A kernel of x, from a loop of (x, result)."""

    def run(x: Array, *, axis: int) -> Any:
        rows = _rows(x, axis)
        if rows is None:
            return NotImplemented
        out = np.empty(x.shape, dtype=x.dtype)
        made, parts = out.reshape(rows.shape), parts_of(*rows.shape)

        def part(i: int) -> None:
            a, b = parts[i]
            compute(rows[a:b], made[a:b])

        parallel(part, len(parts))
        return out

    return run


def _two(compute: Any) -> Any:
    """A kernel of a gradient and a result, from a loop of (gradient, result, gradient of what it was computed from)."""

    def run(x: Array, y: Array, *, axis: int) -> Any:
        slopes, rows = _rows(x, axis), _rows(y, axis)
        if slopes is None or rows is None or x.shape != y.shape:
            return NotImplemented
        out = np.empty(x.shape, dtype=x.dtype)  # not a view: it can become a ``.grad`` as it is
        made, parts = out.reshape(rows.shape), parts_of(*rows.shape)

        def part(i: int) -> None:
            a, b = parts[i]
            compute(slopes[a:b], rows[a:b], made[a:b])

        parallel(part, len(parts))
        return out

    return run


def _classes(x: Array, target: Array) -> Array | None:
    """The class of each row of x (N, C); None where the kernels cannot run, or a class would be outside of its row."""
    count = x.shape[1] if x.ndim == 2 else 0
    if not count or x.dtype != np.float32 or not x.size or target.dtype.kind not in "iu" or target.shape != x.shape[:1]:
        return None
    if int(target.min()) < -count or int(target.max()) >= count:
        return None
    wide = target.astype(np.int64)
    return np.where(wide < 0, wide + count, wide)


def cross_entropy(x: Array, target: Array) -> Any:
    """The op ``class_cross_entropy``."""
    classes = _classes(x, target)
    if classes is None:
        return NotImplemented
    rows = np.ascontiguousarray(x)
    out = np.empty(len(x), dtype=x.dtype)
    parts = parts_of(*rows.shape)

    def part(i: int) -> None:
        a, b = parts[i]
        _cross_entropy(rows[a:b], classes[a:b], out[a:b])

    parallel(part, len(parts))
    return out


def cross_entropy_back(x: Array, target: Array, y: Array) -> Any:
    """The op ``class_cross_entropy_back``."""
    classes = _classes(x, target)
    if classes is None or y.dtype != x.dtype or y.shape != target.shape:
        return NotImplemented
    rows, slopes = np.ascontiguousarray(x), np.ascontiguousarray(y)
    out = np.empty(x.shape, dtype=x.dtype)
    parts = parts_of(*rows.shape)

    def part(i: int) -> None:
        a, b = parts[i]
        _cross_entropy_back(rows[a:b], classes[a:b], slopes[a:b], out[a:b])

    parallel(part, len(parts))
    return out


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    kernels = {
        "class_cross_entropy": cross_entropy,
        "class_cross_entropy_back": cross_entropy_back,
        "log_softmax": _one(_log_softmax),
        "log_softmax_back": _two(_log_softmax_back),
        "softmax": _one(_softmax),
        "softmax_back": _two(_softmax_back),
    }
    for op, function in kernels.items():
        compiled_kernel(op, backend)(function)
