"""DataLoader: an iterable of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from chainrule.autograd.random import Generator
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.utils.data.collate import default_collate
from chainrule.utils.data.dataset import Subset, TensorDataset, length
from chainrule.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler


class DataLoader:
    """Batches of the samples of a data set; each iteration over it is one pass, newly shuffled if ``shuffle``.

    Batches of a :class:`TensorDataset` (or of parts of one) are taken from its tensors at once, sample by sample
    otherwise.

    Args:
        dataset: with ``__getitem__`` and ``__len__``.
        batch_size: samples per batch; None gives the samples themselves.
        shuffle: in random order.
        sampler: an iterable of sample numbers, instead of ``shuffle``.
        batch_sampler: an iterable of lists of sample numbers, instead of all of the above and ``drop_last``.
        num_workers: 0; there are no worker processes yet.
        collate_fn: makes a batch of a list of samples (default: :func:`default_collate`).
        pin_memory: accepted and without effect.
        drop_last: leave out the last batch if it is smaller.
        generator: where the random order comes from (default: the global generator).

    Raises:
        ValueError: arguments that exclude each other, or sizes that are not positive. TypeError: no data set.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.data import DataLoader, TensorDataset
        >>> data = TensorDataset(cr.zeros(5, 2), cr.arange(5))
        >>> [y.tolist() for x, y in DataLoader(data, batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        *,
        generator: Generator | None = None,
    ) -> None:
        if num_workers < 0:
            raise ValueError(f"DataLoader: num_workers must not be negative, got {num_workers}")
        if num_workers:
            raise ValueError(
                f"DataLoader: worker processes are not supported yet, got num_workers={num_workers}; use num_workers=0"
            )
        if not hasattr(dataset, "__getitem__"):
            raise TypeError(f"DataLoader: dataset must define __getitem__(), got {type(dataset).__name__}")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler and shuffle exclude each other; the sampler decides the order")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "DataLoader: batch_sampler decides the batches; leave out batch_size, shuffle, sampler and "
                    "drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("DataLoader: without batches (batch_size=None) there is no last one to drop")
        if sampler is None and batch_sampler is None:
            length("DataLoader", dataset)
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None:
            assert sampler is not None
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.generator = generator

    def __len__(self) -> int:
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        if self.batch_sampler is None:
            assert self.sampler is not None
            for index in self.sampler:
                sample = self.dataset[index]
                yield sample if self.collate_fn is None else self.collate_fn(sample)
            return
        tensors, numbers = _stored(self.dataset) if self.collate_fn is None else (None, None)
        collate = default_collate if self.collate_fn is None else self.collate_fn
        for batch in self.batch_sampler:
            if tensors is not None and batch:
                yield [_rows(t, _checked(batch, numbers, t)) for t in tensors]
            else:
                yield collate([self.dataset[i] for i in batch])


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
    if plain and not any(t.requires_grad for t in dataset.tensors):
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
