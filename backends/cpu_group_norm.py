"""Group normalisation of the NumPy backend, in blocks of groups that stay in the cache from the first pass to the last.

Sums are products with ones, which BLAS adds up at the speed of memory. Other layouts, dtypes and small arrays run the
declared forward.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.backends.base import Backend, kernel
from chainrule.backends.cpu_rows import blocks_of, centred
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import parallel, scratch

Array = np.ndarray

#: elements from which on the kernels are used, and the shortest channel that pays
_WORTH = 1 << 15
_SHORTEST = 16


def _pays(x: Array, *others: Array | None) -> bool:
    same = all(v is None or v.dtype == x.dtype for v in others)
    return same and x.dtype.char in "fd" and x.size >= _WORTH and math.prod(x.shape[2:]) >= _SHORTEST


def _of_rows(v: Array | None, groups: int, first: int, last: int) -> Array | None:
    """What a vector for the channels is for some rows of groups: (rows, channels of a group)."""
    return None if v is None else v.reshape(groups, -1)[np.arange(first, last) % groups]


def forward(x: Array, weight: Array | None, bias: Array | None, groups: int, eps: float) -> Array:
    """The result for x (N, C, ...)."""
    out = np.empty(x.shape, dtype=x.dtype)
    rows, target = (np.ascontiguousarray(a).reshape(len(x) * groups, -1) for a in (x, out))
    per_channel = out.reshape(len(rows), x.shape[1] // groups, -1)
    ones = np.ones(rows.shape[1], dtype=x.dtype)
    blocks = blocks_of(*rows.shape)

    def run(block: int) -> None:
        a, b = blocks[block]
        scale, of_bias = centred(rows[a:b], ones, eps, target[a:b]), _of_rows(bias, groups, a, b)
        if weight is not None:
            scale = scale * _of_rows(weight, groups, a, b)
        np.multiply(per_channel[a:b], scale[:, :, None], out=per_channel[a:b])
        if of_bias is not None:
            np.add(per_channel[a:b], of_bias[:, :, None], out=per_channel[a:b])

    parallel(run, len(blocks))
    return out


def backward(g: Array, x: Array, weight: Array | None, groups: int, eps: float) -> tuple[Array, Array, Array]:
    """The gradients for x, weight and bias."""
    n, channels = x.shape[:2]
    out = np.empty(x.shape, dtype=x.dtype)  # not a view: it can become a ``.grad`` as it is
    slopes, rows, target = (np.ascontiguousarray(a).reshape(n * groups, channels // groups, -1) for a in (g, x, out))
    _, width, length = rows.shape
    size = width * length
    alongs, totals = np.empty((2, *rows.shape[:2]), dtype=x.dtype)
    ones = np.ones(size, dtype=x.dtype)
    blocks = blocks_of(len(rows), size)

    def run(block: int) -> None:
        a, b = blocks[block]
        z = scratch("standardised", (b - a, width, length), x.dtype)
        rstd = centred(rows[a:b].reshape(b - a, size), ones, eps, z.reshape(b - a, size))
        along, total, scale = alongs[a:b], totals[a:b], _of_rows(weight, groups, a, b)
        np.multiply(np.vecdot(slopes[a:b], z), rstd, out=along)
        np.matmul(slopes[a:b], ones[:length], out=total)
        whole, part = (np.add.reduce(v if scale is None else v * scale, 1)[:, None] for v in (along, total))
        factor = rstd if scale is None else rstd * scale
        np.multiply(slopes[a:b], factor[:, :, None], out=target[a:b])
        np.multiply(z, (whole * rstd * rstd / -size)[:, :, None], out=z)
        np.add(target[a:b], z, out=target[a:b])
        np.subtract(target[a:b], (part * rstd / size)[:, :, None], out=target[a:b])

    parallel(run, len(blocks))
    of_weight, of_bias = (np.add.reduce(v.reshape(n, channels), 0) for v in (alongs, totals))
    return out, of_weight, of_bias


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    xp = backend.xp

    @kernel("group_norm", backend)
    def group_norm(
        x: Array, weight: Array | None = None, bias: Array | None = None, *, groups: int = 1, eps: float = 1e-5
    ) -> Any:
        if _pays(x, weight, bias):
            return forward(x, weight, bias, groups, eps)
        return FORWARDS["group_norm"](xp, x, weight, bias, groups=groups, eps=eps)

    @kernel("group_norm_back", backend)
    def group_norm_back(x: Array, y: Array, weight: Array | None = None, *, groups: int = 1, eps: float = 1e-5) -> Any:
        if _pays(y, x, weight):
            return backward(x, y, weight, groups, eps)
        return FORWARDS["group_norm_back"](xp, x, y, weight, groups=groups, eps=eps)
