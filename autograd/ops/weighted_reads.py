"""Weighted sums of elements at arbitrary positions: what images read at the points of a grid are.

Three ops, each linear in both of its arguments, that are each other's gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.samples import Sample, Samples, normal


def _at(xp: Any, index: Any, tap: int, channels: int) -> Any:
    """The positions of one tap for every channel: (N, C, P)."""
    n, _, points = index.shape
    return xp.broadcast_to(index[:, tap : tap + 1], shape=(n, channels, points))


def _sizes(rng: Any) -> Any:
    """Channels, elements and an index (N, K, P)."""
    yield 3, 5, rng.integers(0, 5, (2, 4, 6))
    yield 1, 1, np.zeros((1, 2, 3), np.int64)


def _read_reference(x: Any, weights: Any, index: Any) -> Any:
    return np.einsum("nckp,nkp->ncp", np.stack([row[:, i] for row, i in zip(x, index, strict=True)]), weights)


@op(
    vjp={
        "x": lambda xp, g, x_shape, weights, index: xp.weighted_write(g, weights, index, size=x_shape[2]),
        "weights": lambda xp, g, x, index: xp.products_read(g, x, index),
    },
    check=Samples(
        lambda rng: [Sample((normal(rng, len(i), c, s), normal(rng, *i.shape), i)) for c, s, i in _sizes(rng)],
        reference=_read_reference,
    ),
    label="grid_sample",
)
def weighted_read(xp, x, weights, index):
    """The sums over k of ``weights[n, k, p] * x[n, c, index[n, k, p]]``: (N, C, P) from x (N, C, S)."""
    total = None
    for tap in range(index.shape[1]):
        part = xp.gather(x, _at(xp, index, tap, x.shape[1]), axis=2) * weights[:, tap : tap + 1]
        total = part if total is None else total + part
    return total


def _write_reference(x: Any, weights: Any, index: Any, size: int) -> Any:
    out = np.zeros((*x.shape[:2], size))
    for n, k, p in np.ndindex(*index.shape):
        out[n, :, index[n, k, p]] += weights[n, k, p] * x[n, :, p]
    return out


@op(
    vjp={
        "x": lambda xp, g, weights, index: xp.weighted_read(g, weights, index),
        "weights": lambda xp, g, x, index: xp.products_read(x, g, index),
    },
    check=Samples(
        lambda rng: [
            Sample((normal(rng, len(i), c, i.shape[2]), normal(rng, *i.shape), i), {"size": s})
            for c, s, i in _sizes(rng)
        ],
        reference=_write_reference,
    ),
    label="grid_sample backward",
)
def weighted_write(xp, x, weights, index, *, size):
    """Zeros (N, C, size) with ``weights[n, k, p] * x[n, c, p]`` added at ``index[n, k, p]``, for all k and p."""
    total = None
    for tap in range(index.shape[1]):
        where = _at(xp, index, tap, x.shape[1])
        part = xp.gather_back(x * weights[:, tap : tap + 1], where, shape=(*x.shape[:2], size), axis=2)
        total = part if total is None else total + part
    return total


def _products_reference(x: Any, y: Any, index: Any) -> Any:
    return np.einsum("nckp,ncp->nkp", np.stack([row[:, i] for row, i in zip(y, index, strict=True)]), x)


@op(
    vjp={
        "x": lambda xp, g, y, index: xp.weighted_read(y, g, index),
        "y": lambda xp, g, x, y_shape, index: xp.weighted_write(x, g, index, size=y_shape[2]),
    },
    check=Samples(
        lambda rng: [
            Sample((normal(rng, len(i), c, i.shape[2]), normal(rng, len(i), c, s), i)) for c, s, i in _sizes(rng)
        ],
        reference=_products_reference,
    ),
    label="grid_sample backward",
)
def products_read(xp, x, y, index):
    """The sums over c of ``x[n, c, p] * y[n, c, index[n, k, p]]``: (N, K, P)."""
    sums = []
    for tap in range(index.shape[1]):
        products = x * xp.gather(y, _at(xp, index, tap, y.shape[1]), axis=2)
        sums.append(xp.sum(products, axis=1, keepdims=False))
    return xp.stack(sums, axis=1)
