"""Samplers: in which order the samples of a data set are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

from chainrule.autograd.random import Generator, randint, randperm
from chainrule.utils.data.dataset import length


class Sampler:
    """Base of samplers: an iterable of sample numbers (or of lists of them), which may have a length."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__()")


class SequentialSampler(Sampler):
    """The samples in order.

    Example:
        >>> from chainrule.utils.data import SequentialSampler
        >>> list(SequentialSampler("abc"))
        [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """The samples in random order, another one each time.

    Args:
        replacement: draw each sample anew from all of them.
        num_samples: how many are drawn (default: the length of the data set).
        generator: where randomness comes from (default: the global generator).

    Raises:
        ValueError: ``num_samples`` is not positive, or the data set is empty and is to be drawn from.

    Example:
        >>> from chainrule.utils.data import RandomSampler
        >>> sorted(RandomSampler("abc"))
        [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if num_samples is not None and num_samples < 1:
            raise ValueError(f"RandomSampler: num_samples must be positive, got {num_samples}")
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """How many samples are drawn."""
        return length("RandomSampler", self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n = length("RandomSampler", self.data_source)
        count = self.num_samples
        if not n and count:
            raise ValueError("RandomSampler: the data set is empty")
        if self.replacement:
            yield from randint(0, n, (count,), generator=self.generator, device="cpu").tolist()
            return
        while count > 0:
            order = randperm(n, generator=self.generator, device="cpu").tolist()
            yield from order[:count]
            count -= n

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given samples in random order, another one each time.

    Example:
        >>> from chainrule.utils.data import SubsetRandomSampler
        >>> sorted(SubsetRandomSampler([3, 1]))
        [1, 3]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in randperm(len(self.indices), generator=self.generator, device="cpu").tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class BatchSampler(Sampler):
    """Lists of ``batch_size`` numbers that another sampler gives; with ``drop_last`` none that is shorter.

    Raises ValueError when ``batch_size`` is not a positive integer.

    Example:
        >>> from chainrule.utils.data import BatchSampler
        >>> list(BatchSampler(range(5), 2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"BatchSampler: batch_size must be a positive integer, got {batch_size!r}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = bool(drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
