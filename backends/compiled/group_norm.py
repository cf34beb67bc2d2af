"""Group normalisation: a group of channels is read from memory once, and worked on while it is cached."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, flat
from chainrule.backends.compiled.crew import crew, item, share
from chainrule.backends.compiled.jit import loop, part
from chainrule.backends.compiled.sums import SUMMED, squares_about, sum_of, usable, vector

Array = np.ndarray

#: elements of a channel from which on its row of memory is long enough for loops over it
_SHORTEST = 8


@part
def _moments(group: Any, eps: float) -> Any:
    """The mean of all channels of a group (channels, L), and ``1 / sqrt(variance + eps)``."""
    total = 0.0
    for c in range(group.shape[0]):
        total += sum_of(group[c])
    mean = group.dtype.type(total / group.size)
    total = 0.0
    for c in range(group.shape[0]):
        total += squares_about(group[c], mean)
    return mean, group.dtype.type(1 / np.sqrt(total / group.size + eps))


@item
def _group_norm_item(x: Any, out: Any, weight: Any, bias: Any, eps: float, first: Any) -> None:
    """Groups (channels, L) from number ``first`` on. ``weight`` and ``bias``: (groups of a sample, channels)."""
    for i in range(x.shape[0]):
        k = (first[0] + i) % weight.shape[0]
        mean, rstd = _moments(x[i], eps)
        for c in range(x.shape[1]):
            row, target, scale, shift = x[i, c], out[i, c], rstd * weight[k, c], bias[k, c]
            for j in range(row.size):
                target[j] = (row[j] - mean) * scale + shift


@loop
def _group_norm(crew: Any, items: Any, groups: Any, constants: Any, firsts: Any) -> None:
    share(crew, items, _group_norm_item(items, groups, constants, (firsts,)))


@item
def _group_norm_back_item(
    g: Any, x: Any, out: Any, alongs: Any, totals: Any, weight: Any, eps: float, first: Any
) -> None:
    """``alongs`` and ``totals``: the sums of g * standardised x and of g over each channel of each group, float64."""
    for i in range(x.shape[0]):
        k = (first[0] + i) % weight.shape[0]
        mean, rstd = _moments(x[i], eps)
        all_along, all_total = 0.0, 0.0
        for c in range(x.shape[1]):
            row, slope = x[i, c], g[i, c]
            sum_along, sum_total = 0.0, 0.0
            for a in range(0, row.size, SUMMED):
                along, total = row.dtype.type(0), row.dtype.type(0)
                for j in range(a, min(a + SUMMED, row.size)):
                    total += slope[j]
                    along += slope[j] * (row[j] - mean)
                sum_along += along
                sum_total += total
            sum_along *= rstd
            alongs[i, c], totals[i, c] = sum_along, sum_total
            all_along += sum_along * weight[k, c]
            all_total += sum_total * weight[k, c]
        along, total = x.dtype.type(all_along * rstd / x[i].size), x.dtype.type(all_total / x[i].size)
        for c in range(x.shape[1]):
            row, slope, target, scale = x[i, c], g[i, c], out[i, c], weight[k, c]
            for j in range(row.size):
                target[j] = (slope[j] * scale - total - (row[j] - mean) * along) * rstd


@loop
def _group_norm_back(crew: Any, items: Any, groups: Any, constants: Any, firsts: Any) -> None:
    share(crew, items, _group_norm_back_item(items, groups, constants, (firsts,)))


def _run(loop: Any, arrays: list[Array], *constants: Any) -> None:
    """``loop(crew, items, arrays, constants, the number of each item's first group)``."""
    count = len(arrays[0])
    items = min(flat.items_of(arrays[0].size, flat.SLOW), count)
    firsts = np.array([[i * count // items] for i in range(items)])
    loop(crew(items, items >= 16), items, tuple(arrays), constants, firsts)


def _usable(x: Array, *others: Array | None) -> bool:
    return usable(x, *others) and bool(x.size) and math.prod(x.shape[2:]) >= _SHORTEST


def _in_groups(x: Array, groups: int) -> Array:
    """(groups of all samples, channels, L)"""
    return np.ascontiguousarray(x).reshape(x.shape[0] * groups, x.shape[1] // groups, -1)


def group_norm(
    x: Array, weight: Array | None = None, bias: Array | None = None, *, groups: int = 1, eps: float = 1e-5
) -> Any:
    """The op of this name."""
    if not _usable(x, weight, bias):
        return NotImplemented
    out = np.empty(x.shape, dtype=x.dtype)
    scale, shift = (vector(v, x.shape[1], empty, x.dtype).reshape(groups, -1) for v, empty in ((weight, 1), (bias, 0)))
    _run(_group_norm, [_in_groups(a, groups) for a in (x, out)], scale, shift, eps)
    return out


def group_norm_back(g: Array, x: Array, weight: Array | None = None, *, groups: int = 1, eps: float = 1e-5) -> Any:
    """The op of this name."""
    if not _usable(x, g, weight):
        return NotImplemented
    out = np.empty(x.shape, dtype=x.dtype)  # not a view: it can become a ``.grad`` as it is
    arrays = [_in_groups(a, groups) for a in (g, x, out)]
    along, total = np.empty((2, *arrays[0].shape[:2]))
    scale = vector(weight, x.shape[1], 1, x.dtype).reshape(groups, -1)
    _run(_group_norm_back, [*arrays, along, total], scale, eps)
    of_weight, of_bias = (np.add.reduce(v.reshape(x.shape[:2]), 0).astype(x.dtype) for v in (along, total))
    return out, of_weight, of_bias


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    for function in (group_norm, group_norm_back):
        compiled_kernel(function.__name__, backend)(function)
