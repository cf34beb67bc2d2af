"""Rows of a table by number: one for each index, or one for each bag of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp
from chainrule.autograd.runtime import bump, describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional.arguments import need_tensor, need_tensor_or_none
from chainrule.nn.functional.reduction import asynchronous


def _checked(caller: str, input: Any, weight: Any, padding_idx: int | None, sparse: bool) -> tuple[Any, int | None]:
    """The indices as int64, and ``padding_idx`` counted from 0."""
    need_tensor(caller, input=input, weight=weight)
    if sparse:
        raise ValueError(f"{caller}: sparse=True is not supported: gradients are dense here")
    if dtypes.category(input._data.dtype) != 1:
        raise RuntimeError(f"{caller}: input must hold integer indices, got {describe(input)}")
    if weight._data.ndim != 2:
        raise RuntimeError(f"{caller}: weight must have 2 dimensions, got {describe(weight)}")
    rows = weight._data.shape[0]
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise ValueError(f"{caller}: padding_idx must be in [{-rows}, {rows - 1}], got {padding_idx}")
        padding_idx %= rows
    if input._data.size and not asynchronous(input):
        f = input._device.xp
        low, high = int(f.min(input._data)), int(f.max(input._data))
        if low < 0 or high >= rows:
            raise IndexError(f"{caller}: index {low if low < 0 else high} is out of range for {rows} rows")
    return input.long(), padding_idx


def _renormalise(weight: Any, index: Any, max_norm: float, norm_type: float) -> None:
    """Rows that are looked up shortened in place to a norm of ``max_norm``."""
    f = weight._device.xp
    used = f.zeros((weight._data.shape[0],), dtype=bool)
    used[f.reshape(index._data, (-1,))] = True
    size = f.abs(weight._data)
    if norm_type == float("inf"):
        norms = f.max(size, axis=1)
    else:
        norms = f.sum(size**norm_type, axis=1) ** (1.0 / norm_type)
    scale = f.where(used & (norms > max_norm), max_norm / (norms + 1e-7), f.ones_like(norms))
    weight._data *= f.astype(scale, weight._data.dtype)[:, None]
    bump(weight)


def _factor(index: Any, rows: int, padding_idx: int | None, by_frequency: bool, dtype: Any) -> Any:
    """What each looked-up row's gradient is multiplied by; None for 1."""
    if padding_idx is None and not by_frequency:
        return None
    f, i = index._device.xp, index._data
    factor = f.ones(i.shape, dtype=dtype)
    if by_frequency:
        flat = f.reshape(i, (-1,))
        counts = f.scatter_add_at(f.zeros((rows,), dtype=dtype), flat, f.ones(flat.shape, dtype=dtype))
        factor = factor / f.maximum(counts, 1)[i]
    if padding_idx is not None:
        factor = factor * f.astype(i != padding_idx, dtype)
    return wrap(f.astype(factor, dtype), index._device)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight`` (rows, features) that ``input`` names: (*input.shape, features).

    Args:
        padding_idx: a row that gets no gradient.
        max_norm: rows with a larger norm are shortened to it first, in place.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide what a row gets by how often it is named.
        sparse: not supported.

    Raises:
        IndexError: an index is out of range. RuntimeError: shapes or dtypes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.embedding(cr.tensor([1, 0]), cr.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([[3., 4.],
                [1., 2.]])
    """
    index, padding_idx = _checked("embedding", input, weight, padding_idx, sparse)
    if max_norm is not None:
        _renormalise(weight, index, max_norm, norm_type)
    factor = _factor(index, weight._data.shape[0], padding_idx, scale_grad_by_freq, weight._data.dtype)
    return xp.table_rows(weight, index, factor)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of ``weight`` that each bag of indices names: (bags, features).

    Args:
        input: (bags, n); or all indices in one dimension, with ``offsets``.
        offsets: where each bag starts.
        max_norm, norm_type, scale_grad_by_freq, sparse: see :func:`embedding`.
        mode: ``"sum"``, ``"mean"`` or ``"max"``; an empty bag gives 0.
        per_sample_weights: of the shape of ``input``: what each row is multiplied by (mode ``"sum"`` only).
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: indices that do not count.

    Raises:
        IndexError: an index is out of range. ValueError, RuntimeError: arguments do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.embedding_bag(cr.tensor([0, 1, 1]), cr.tensor([[1.0], [3.0]]), cr.tensor([0, 2]), mode="sum")
        tensor([[4.],
                [3.]])
    """
    caller = "embedding_bag"
    index, padding_idx = _checked(caller, input, weight, padding_idx, sparse)
    need_tensor_or_none(caller, offsets=offsets, per_sample_weights=per_sample_weights)
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{caller}: mode must be 'sum', 'mean' or 'max', got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError(f"{caller}: scale_grad_by_freq is not supported with mode 'max'")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(f"{caller}: per_sample_weights are supported with mode 'sum' only, got {mode!r}")
        if per_sample_weights._data.shape != input._data.shape:
            raise ValueError(
                f"{caller}: per_sample_weights must have the input's shape {tuple(input.shape)}, got "
                f"{tuple(per_sample_weights.shape)}"
            )
        per_sample_weights = per_sample_weights.reshape(-1)
    starts = _starts(caller, index, offsets, include_last_offset)
    index = index.reshape(-1)
    if max_norm is not None:
        _renormalise(weight, index, max_norm, norm_type)
    count = index._data.shape[0]
    lengths = np.diff(np.append(starts, count))
    counted = np.ones(count, bool)
    if padding_idx is not None:
        counted = weight._device.backend.to_host(index._data) != padding_idx
    bags = np.repeat(np.arange(starts.size), lengths)
    factor = _factor(index, weight._data.shape[0], padding_idx, scale_grad_by_freq, weight._data.dtype)
    rows = xp.table_rows(weight, index, factor)
    if mode == "max":
        return _largest(rows, bags[counted], np.flatnonzero(counted), starts.size)
    return _sum(rows, bags, counted, starts.size, per_sample_weights, mode == "mean")


def _starts(caller: str, index: Any, offsets: Any, include_last: bool) -> np.ndarray:
    """Where each bag starts in the flattened indices."""
    if index._data.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{caller}: offsets have no meaning for 2-d input, whose rows are the bags")
        bags, n = index._data.shape
        return np.arange(bags) * n
    if index._data.ndim != 1 or offsets is None or offsets._data.ndim != 1:
        raise ValueError(
            f"{caller}: expected 2-d input, or 1-d input with 1-d offsets, got {describe(index)} and "
            f"{describe(offsets)}"
        )
    starts = offsets._device.backend.to_host(offsets._data).astype(np.int64)
    count = index._data.shape[0]
    if include_last:
        if not starts.size:
            raise RuntimeError(f"{caller}: include_last_offset=True needs at least one offset")
        if starts[-1] != count:
            raise RuntimeError(f"{caller}: the last offset must be the number of indices {count}, got {starts[-1]}")
        starts = starts[:-1]
    if starts.size and (starts[0] != 0 or starts[-1] > count or (np.diff(starts) < 0).any()):
        raise RuntimeError(
            f"{caller}: offsets must start with 0, not fall, and not exceed {count}, got {starts.tolist()}"
        )
    return starts


def _sum(rows: Any, bags: Any, counted: Any, count: int, weights: Any, mean: bool) -> Any:
    device, dtype = rows._device, rows._data.dtype
    f = device.xp
    if weights is not None:
        rows = rows * weights.unsqueeze(1)
    if not counted.all():
        mask = wrap(f.asarray(counted[:, None]), device)
        rows = xp.where(mask, rows, wrap(f.zeros((), dtype=dtype), device))
    out = xp.add_rows(rows, wrap(f.asarray(bags), device), shape=(count, rows._data.shape[1]))
    if not mean:
        return out
    sizes = np.maximum(np.bincount(bags[counted], minlength=count), 1)
    return out * wrap(f.asarray(1.0 / sizes[:, None], dtype=dtype), device)


def _largest(rows: Any, bags: Any, where: Any, count: int) -> Any:
    """The largest element of each column of every bag; the first one gets the gradient, and an empty bag gives 0."""
    device, dtype = rows._device, rows._data.dtype
    f, features = device.xp, rows._data.shape[1]
    lengths = np.bincount(bags, minlength=count)
    longest = int(lengths.max(initial=0))
    if not longest:
        return xp.sum(rows, axis=0, keepdims=True).expand(count, features) * 0.0
    table = np.zeros((count, longest), np.int64)  # the places of each bag's rows
    inside = np.arange(longest) < lengths[:, None]
    table[inside] = where
    values = rows._data[f.asarray(table)]
    values = f.where(f.asarray(inside[:, :, None]), values, f.asarray(-np.inf, dtype=dtype))
    best = f.argmax(values, axis=1)
    places = f.take_along_axis(f.asarray(table), best, axis=1)
    out = xp.gather(rows, wrap(places, device), axis=0)
    filled = wrap(f.asarray((lengths > 0)[:, None]), device)
    return xp.where(filled, out, wrap(f.zeros((), dtype=dtype), device))
