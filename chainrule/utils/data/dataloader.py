"""DataLoader: an iterable of batches."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chainrule.autograd.random import Generator, default_generator, randint
from chainrule.utils.data.collate import default_collate, default_convert
from chainrule.utils.data.dataset import IterableDataset, length
from chainrule.utils.data.fetch import END, fetcher
from chainrule.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

#: what cannot be changed once a loader is made: its samplers were made for it
_FIXED = frozenset(["batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"])


class DataLoader:
    """Batches of the samples of a data set; each iteration over it is one pass, newly shuffled if ``shuffle``.

    Batches of a :class:`TensorDataset` (or of parts of one) are taken from its tensors at once; samples of a data set
    with ``__getitems__`` are asked for together, others one by one. Worker processes are started by forkserver or
    spawn, so what they work with must be picklable, and where that includes classes or functions of the script itself,
    its work must stand under ``if __name__ == "__main__":``. Batches come back through shared memory. With the same
    seed they are the same in each run, and but for what is drawn in the workers the same for any number of workers.

    Args:
        dataset: with ``__getitem__`` and ``__len__``, or an :class:`IterableDataset`.
        batch_size: samples per batch; None gives the samples themselves.
        shuffle: in random order.
        sampler: an iterable of sample numbers, instead of ``shuffle``.
        batch_sampler: an iterable of lists of sample numbers, instead of all of the above and ``drop_last``.
        num_workers: how many processes fetch batches; 0 for this process.
        collate_fn: makes a batch of a list of samples (default: :func:`default_collate`, without batches
            :func:`default_convert`).
        pin_memory: accepted; there is no page-locked memory here.
        drop_last: leave out the last batch if it is smaller.
        timeout: seconds to wait for a batch of the workers; 0 for as long as it takes.
        worker_init_fn: called in each worker with its number, once it is seeded.
        multiprocessing_context: ``"forkserver"`` (the default where there is one), ``"spawn"`` or a context.
        generator: where the random order and the workers' seeds come from (default: the global generator).
        prefetch_factor: batches that each worker fetches ahead (default: 2).
        persistent_workers: keep the workers from one pass to the next.
        pin_memory_device: accepted and without effect.
        in_order: give batches in the order of the sampler; False gives what is ready first.

    Raises:
        ValueError: arguments that exclude each other, or sizes that are not positive. TypeError: no data set.
        RuntimeError: while iterating, a worker ended or a batch did not come in time. An exception in a worker is
            raised with its type and its traceback in the message.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.data import DataLoader, TensorDataset
        >>> data = TensorDataset(cr.zeros(5, 2), cr.arange(5))
        >>> [y.tolist() for x, y in DataLoader(data, batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    dataset: Any
    batch_size: int | None
    sampler: Any
    batch_sampler: Any
    drop_last: bool
    persistent_workers: bool

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self._streams = isinstance(dataset, IterableDataset)
        if not hasattr(dataset, "__getitem__"):
            raise TypeError(f"DataLoader: dataset must define __getitem__(), got {type(dataset).__name__}")
        if self._streams and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader: an IterableDataset decides its order itself; leave out shuffle, sampler and batch_sampler"
            )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler and shuffle exclude each other; the sampler decides the order")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "DataLoader: batch_sampler decides the batches; leave out batch_size, shuffle, sampler and "
                    "drop_last"
                )
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError("DataLoader: without batches (batch_size=None) there is no last one to drop")
        if self._streams:
            sampler = _Endless()
        elif sampler is None:
            length("DataLoader", dataset)
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        self.prefetch_factor = 2 if prefetch_factor is None and num_workers else prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self.multiprocessing_context = multiprocessing_context
        self._team: Any = None
        self._initialized = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and self.__dict__.get("_initialized"):
            raise ValueError(f"DataLoader: {name} cannot be changed once it is made; make another one")
        if name == "multiprocessing_context" and value is not None:
            from chainrule.utils.data.team import start_context

            if not self.num_workers:
                raise ValueError("DataLoader: multiprocessing_context is for workers, but num_workers is 0")
            value = start_context(value)
        object.__setattr__(self, name, value)

    def __len__(self) -> int:
        if not self._streams:
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)
        samples = length("DataLoader", self.dataset)
        if self.batch_size is None:
            batches = samples
        else:
            batches = samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)
        self._claimed = batches
        return batches

    def __iter__(self) -> Iterator[Any]:
        # drawn without workers too, so that the order of the samples does not depend on their number
        base_seed = _draw_seed(self.generator)
        if not self.num_workers:
            return _Here(self)
        from chainrule.utils.data.parallel import InWorkers, start_team

        if not self.persistent_workers:
            return InWorkers(self, start_team(self, base_seed))
        if self._team is None or self._team.broken:
            self._team = start_team(self, base_seed)
        return InWorkers(self, self._team)

    def _indices(self) -> Iterator[Any]:
        """What a fetcher is given for each batch of a pass."""
        if self._streams:
            return itertools.repeat(self.batch_size)
        return iter(self.sampler if self.batch_sampler is None else self.batch_sampler)

    def _check_length(self, given: int) -> None:
        """Warn when a stream gives more than its length, which somebody asked for, said."""
        claimed = getattr(self, "_claimed", None)
        if self._streams and claimed is not None and given > claimed:
            more = " (each worker goes through all of it unless it uses get_worker_info())" if self.num_workers else ""
            warnings.warn(
                f"DataLoader: {type(self.dataset).__name__} said by its length that there are {claimed} batches, but "
                f"gives batch {given}{more}",
                stacklevel=3,
            )


class _Here:
    """One pass over a loader's data in this process."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._indices = loader._indices()
        self._given = 0
        batched = loader.batch_sampler is not None
        self._fetch = fetcher(loader.dataset, batched, loader.collate_fn, loader.drop_last)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return len(self._loader)

    def __next__(self) -> Any:
        batch = self._fetch(next(self._indices))
        if batch is END:
            raise StopIteration
        self._given += 1
        if self._loader._streams:
            self._loader._check_length(self._given)
        return batch


class _Endless(Sampler[None]):
    """What stands for the sampler of a stream."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


def _draw_seed(generator: Generator | None) -> int:
    source = default_generator if generator is None else generator
    return int(randint(0, 2**63 - 1, (), generator=source, device="cpu").item())


def _check_workers(num_workers: Any, timeout: float, prefetch_factor: int | None, persistent: bool) -> None:
    if isinstance(num_workers, bool) or not isinstance(num_workers, int):
        raise TypeError(f"DataLoader: num_workers must be an integer, got {num_workers!r}")
    if num_workers < 0:
        raise ValueError(f"DataLoader: num_workers must not be negative, got {num_workers}")
    if timeout < 0:
        raise ValueError(f"DataLoader: timeout must not be negative, got {timeout}")
    if prefetch_factor is not None and not num_workers:
        raise ValueError("DataLoader: prefetch_factor is for workers, but num_workers is 0")
    if prefetch_factor is not None and (not isinstance(prefetch_factor, int) or prefetch_factor < 1):
        raise ValueError(f"DataLoader: prefetch_factor must be a positive integer, got {prefetch_factor!r}")
    if persistent and not num_workers:
        raise ValueError("DataLoader: persistent_workers is for workers, but num_workers is 0")
