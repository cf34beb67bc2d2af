"""From sample numbers (or the next of a stream) to a batch: what a loader does, in its own process or in a worker."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.utils.data.collate import default_collate
from chainrule.utils.data.dataset import IterableDataset, Subset, TensorDataset, samples_at

#: what a fetcher gives when its stream has ended
END = object()


def fetcher(dataset: Any, batched: bool, collate: Callable[[Any], Any], drop_last: bool) -> Callable[[Any], Any]:
    """A function from an index to a batch: a list of sample numbers (a number, if not ``batched``), or, for an
    :class:`IterableDataset`, how many samples (None, if not ``batched``)."""
    if isinstance(dataset, IterableDataset):
        return _stream(dataset, collate, drop_last)
    if not batched:
        return lambda number: collate(dataset[number])
    tensors, numbers = _stored(dataset) if collate is default_collate else (None, None)
    if tensors is None:
        return lambda batch: collate(samples_at(dataset, batch))

    def rows(batch: Any) -> Any:
        return [_rows(t, _checked(batch, numbers, t)) for t in tensors] if len(batch) else collate([])

    return rows


def _stream(dataset: Any, collate: Callable[[Any], Any], drop_last: bool) -> Callable[[Any], Any]:
    samples = iter(dataset)

    def following(count: int | None) -> Any:
        if count is None:
            sample = next(samples, END)
            return END if sample is END else collate(sample)
        batch = list(itertools.islice(samples, count))
        return collate(batch) if batch and (len(batch) == count or not drop_last) else END

    return following


def _stored(dataset: Any) -> tuple[tuple[Tensor, ...] | None, np.ndarray | None]:
    """The tensors that the samples are rows of, and which rows (None: all, in order), where that is so."""
    numbers: np.ndarray | None = None
    while type(dataset) is Subset:
        own = np.asarray(dataset.indices)
        if own.ndim != 1 or (own.size and own.dtype.kind not in "iu"):
            return None, None
        numbers = own if numbers is None else own[numbers]
        dataset = dataset.dataset
    # a subclass may change what a sample is; a tensor in a graph must be indexed where that is recorded
    plain = isinstance(dataset, TensorDataset) and type(dataset).__getitem__ is TensorDataset.__getitem__
    if plain and not hasattr(dataset, "__getitems__") and not any(t.requires_grad for t in dataset.tensors):
        return dataset.tensors, numbers
    return None, None


def _checked(batch: Any, numbers: np.ndarray | None, t: Tensor) -> np.ndarray:
    """The rows of ``t`` for the sample numbers of a batch; negative ones count from the end."""
    rows = np.asarray(batch, dtype=np.int64)
    if numbers is not None:
        rows = numbers[rows]
    n = t._data.shape[0]
    if rows.min() < -n or rows.max() >= n:
        wrong = int(rows.min()) if rows.min() < -n else int(rows.max())
        raise IndexError(f"DataLoader: sample {wrong} is out of range for a data set of {n}")
    return np.where(rows < 0, rows + n, rows) if rows.min() < 0 else rows


def _rows(t: Tensor, rows: np.ndarray) -> Tensor:
    device = t._device
    index = rows if device.type == "cpu" else device.backend.from_host(rows, device.index or 0)
    return wrap(device.xp.take(t._data, index, axis=0), device)
