"""Attention as one op: its backward computes the weights again from the logarithms of their sums.

A backend's kernel never needs more than a block of the scores at once (Dao et al., FlashAttention, 2022); the
declarations, which it is tested against, make all of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op, traced
from chainrule.autograd.ops.shape import matrix_transpose
from chainrule.autograd.samples import Sample, Samples, normal


def _samples(rng: Any) -> Any:
    def qkv(*lead: int, length: int = 3, keys: int = 4) -> tuple[Any, ...]:
        return normal(rng, *lead, length, 2), normal(rng, *lead, keys, 2), normal(rng, *lead, keys, 3)

    seen = rng.random((3, 4)) > 0.4
    seen[1] = False  # a query that sees nothing
    added = np.where(seen, normal(rng, 2, 3, 4), -np.inf)
    yield Sample((None, *qkv(2)), {"scale": 0.7, "causal": False})
    yield Sample((None, *qkv(length=5)), {"scale": 1.0, "causal": True})
    yield Sample((seen, *qkv(2, 2)), {"scale": 0.7, "causal": False})
    yield Sample((added, *qkv(2)), {"scale": 1.0, "causal": False})


def _reference(mask: Any, q: Any, k: Any, v: Any, *, scale: float, causal: bool) -> Any:
    scores = scale * (q @ np.swapaxes(k, -1, -2))
    if causal:
        scores = np.where(np.arange(k.shape[-2]) > np.arange(q.shape[-2])[:, None], -np.inf, scores)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    total = np.exp(scores).sum(-1)
    return np.exp(scores) @ v / np.where(total == 0, 1, total)[..., None], np.log(np.where(total == 0, 1, total))


def _scores(xp: Any, q: Any, k: Any, mask: Any, scale: float, causal: bool) -> Any:
    """(..., L, S), minus infinity where a query does not look."""
    scores = xp.matmul(q * scale, matrix_transpose(xp, k))
    if causal:
        scores = xp.where(xp.tril(xp.ones_like(scores)) > 0, scores, xp.zeros_like(scores) - math.inf)
    if mask is None:
        return scores
    return xp.where(mask, scores, xp.zeros_like(scores) - math.inf) if _is_bool(mask) else scores + mask


def _is_bool(mask: Any) -> bool:
    return dtypes.category(np.dtype(getattr(mask, "_data", mask).dtype)) == 0


def _column(xp: Any, x: Any) -> Any:
    return xp.reshape(x, shape=(*x.shape, 1))


def _back(
    xp: Any, q: Any, k: Any, v: Any, mask: Any, out: Any, total: Any, g_out: Any, g_total: Any, scale: Any, causal: Any
) -> tuple[Any, ...]:
    """The gradients of q, k and v."""
    last = len(q.shape) - 1
    weights = xp.exp(_scores(xp, q, k, mask, scale, causal) - _column(xp, total))
    along = xp.sum(g_out * out, axis=last, keepdims=True) - _column(xp, g_total)
    slope = weights * (xp.matmul(g_out, matrix_transpose(xp, v)) - along)
    of_q = xp.matmul(slope, k) * scale
    of_k = xp.matmul(matrix_transpose(xp, slope), q) * scale
    return of_q, of_k, xp.matmul(matrix_transpose(xp, weights), g_out)


def _rule(xp: Any, g: Any, mask: Any, tensors: Any, out: Any, total: Any, scale: float, causal: bool) -> Any:
    if xp is traced:
        return _back(xp, *tensors, mask, out, total, *g, scale, causal)
    return xp.attention_back(*tensors, out, total, *g, mask, scale=scale, causal=causal)


@op(
    vjp={"tensors": _rule},
    check=Samples(_samples, reference=_reference),
    outputs=("out", "total"),
    label="scaled_dot_product_attention",
)
def attention(xp, mask=None, *tensors, scale, causal):
    """``softmax(scale * q @ k.mT + mask) @ v`` of q (..., L, E), k (..., S, E), v (..., S, V), equal in ``...``.

    The mask, if there is one, has no gradient: bools (..., L, S), true where a query looks at a key, or numbers to add.
    Gives the result, 0 for a query that looks at nothing, and for each query the logarithm of the sum of exponentials
    (..., L), 0 where there is none.
    """
    q, k, v = tensors
    scores = _scores(xp, q, k, mask, scale, causal)
    highest = xp.max(scores, axis=-1, keepdims=True)
    nothing = highest == -math.inf
    highest = xp.where(nothing, xp.zeros_like(highest), highest)
    weights = xp.exp(scores - highest)
    total = xp.sum(weights, axis=-1, keepdims=True)
    total = xp.where(nothing, xp.ones_like(total), total)
    logarithm = xp.log(total) + highest
    return xp.matmul(weights / total, v), xp.reshape(logarithm, q.shape[:-1])


def _back_samples(rng: Any) -> Any:
    for sample in _samples(rng):
        out, total = _reference(*sample.args, **sample.kwargs)
        gradients = normal(rng, *out.shape), normal(rng, *total.shape)
        yield Sample((*sample.args[1:], out, total, *gradients, sample.args[0]), sample.kwargs)


@op(
    # the rule of the op itself is recorded in its parts where its gradient is differentiated
    vjp=None,
    check=Samples(_back_samples),
    outputs=("of_q", "of_k", "of_v"),
    label="scaled_dot_product_attention",
)
def attention_back(xp, q, k, v, out, total, g_out, g_total, mask=None, *, scale=1.0, causal=False):
    """The gradients of :func:`attention`."""
    return _back(xp, q, k, v, mask, out, total, g_out, g_total, scale, causal)
