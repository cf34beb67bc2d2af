"""Reading and writing batched arrays by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.batching.array import BatchedArray, DataDependent, Level


def _is_array(part: Any) -> bool:
    return (
        isinstance(part, BatchedArray) or (hasattr(part, "shape") and hasattr(part, "dtype")) or isinstance(part, list)
    )


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def read(x: BatchedArray, index: Any) -> BatchedArray:
    parts = _parts(index)
    if not any(_is_array(p) for p in parts):
        return x.view_of(x.data[(slice(None), *parts) if x.batched else parts])
    return _gather(x, parts)


def _mine(part: Any, level: Level) -> Any:
    return part if type(part) is BatchedArray and part.level is level else None


def _gather(x: BatchedArray, parts: tuple[Any, ...]) -> BatchedArray:
    """``x[parts]`` with integer arrays among the parts, of which any may differ over the batch."""
    level = x.level
    parts = tuple([np.asarray(p) if isinstance(p, list) else p for p in parts])
    if any(_is_array(p) and p.dtype == np.bool_ and p.ndim for p in parts):
        raise DataDependent("vmap: a mask as an index selects another number of elements for each; use where()")
    advanced = [i for i, p in enumerate(parts) if _is_array(p) or isinstance(p, (int, np.integer))]
    together = advanced[-1] - advanced[0] == len(advanced) - 1
    ndim = max([p.ndim for p in parts if _is_array(p)])
    differs = any((m := _mine(p, level)) is not None and m.batched for p in parts)
    inner: list[Any] = []
    for p in parts:
        m = _mine(p, level)
        if m is None:
            inner.append(p)
        elif m.batched:  # (B, 1, ..., 1, *shape): broadcasts against the other index arrays
            inner.append(m.data[(slice(None),) + (None,) * (ndim - m.ndim)])
        else:
            inner.append(m.data)
    # how many dimensions of the result come before the index arrays' own
    before = 0
    for p in parts[: advanced[0]]:
        if p is Ellipsis:
            named = sum([1 for q in parts if q is not None and q is not Ellipsis])
            before += x.ndim - named
        else:
            before += 1
    if not x.batched:
        found = x.data[tuple(inner)]
        if not differs:
            return BatchedArray(found, level, False)
        return BatchedArray(_move(found, before if together else 0, 0), level, True)
    if not differs:
        found = x.data[(slice(None), *inner)]
        return BatchedArray(found if together else _move(found, ndim, 0), level, True)
    count = np.arange(x.data.shape[0]).reshape((-1,) + (1,) * ndim)
    found = x.data[(_like(count, x.data), *inner)]
    # the batch and the index arrays' dimensions stand in front now, together or not
    if together and before:
        for _ in range(ndim):
            found = _move(found, 1, before + ndim)  # each in turn behind the ones that belong before
    return BatchedArray(found, level, True)


def _move(x: Any, source: int, target: int) -> Any:
    if source == target:
        return x
    if isinstance(x, BatchedArray):
        return x.view_of(_move(x.data, source + x.batched, target + x.batched))
    axes = [i for i in range(x.ndim) if i != source]
    axes.insert(target, source)
    return x.transpose(axes)


def _like(host: np.ndarray, data: Any) -> Any:
    """A NumPy array on the device of ``data``."""
    while isinstance(data, BatchedArray):
        data = data.data
    if isinstance(data, np.ndarray):
        return host
    from chainrule.backends.devices import device_of

    return device_of(data).backend.from_host(host)


def positions(x: BatchedArray, parts: tuple[Any, ...]) -> BatchedArray:
    """Where in one flat element each selected value stands."""
    host = np.arange(x.size).reshape(x.shape)
    return BatchedArray(_like(host, x.data), x.level, False)[parts]


def write(x: BatchedArray, index: Any, value: Any) -> None:
    x.check_writable()
    parts = _parts(index)
    level = x.level
    v = _mine(value, level)
    advanced = any(_is_array(p) for p in parts)
    if (v is not None and v.batched) or any((m := _mine(p, level)) is not None and m.batched for p in parts):
        x.own_batch()
    if not x.batched:
        x.data[tuple([m.data if (m := _mine(p, level)) is not None else p for p in parts])] = (
            value if v is None else v.data
        )
        return
    given = value if v is None else v.data
    if not advanced:
        target = x.data[(slice(None), *parts)]
        if v is not None and v.batched and v.ndim < target.ndim - 1:
            given = given[(slice(None),) + (None,) * (target.ndim - 1 - v.ndim)]
        x.data[(slice(None), *parts)] = given
        return
    where = positions(x, parts)
    if isinstance(x.data, BatchedArray):
        raise DataDependent("vmap: index arrays cannot be written to in nested vmap")
    flat = x.data.reshape(x.data.shape[0], -1)
    if not x.data.flags.c_contiguous:
        raise DataDependent("vmap: index arrays can only be written to in contiguous memory")
    rows = _like(np.arange(flat.shape[0]).reshape((-1,) + (1,) * where.ndim), x.data)
    if v is not None and v.batched and v.ndim < where.ndim:
        given = given[(slice(None),) + (None,) * (where.ndim - v.ndim)]
    flat[rows, where.data if where.batched else where.data[None]] = given
