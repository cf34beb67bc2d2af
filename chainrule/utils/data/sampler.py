"""Samplers: in which order the samples of a data set are taken."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

from chainrule.autograd.creation import tensor
from chainrule.autograd.dtypes import float64
from chainrule.autograd.random import Generator, randint, randperm
from chainrule.autograd.sampling import multinomial
from chainrule.autograd.tensor import Tensor
from chainrule.utils.data.dataset import length

T = TypeVar("T")


class Sampler(Generic[T]):
    """Base of samplers: an iterable of sample numbers (or of lists of them), which may have a length.

    Example:
        >>> from chainrule.utils.data import DataLoader, Sampler
        >>> class Backwards(Sampler):
        ...     def __init__(self, n):
        ...         self.n = n
        ...     def __iter__(self):
        ...         return iter(range(self.n - 1, -1, -1))
        >>> list(DataLoader("abc", sampler=Backwards(3), batch_size=None))
        ['c', 'b', 'a']
    """

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__()")


class SequentialSampler(Sampler[int]):
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


class RandomSampler(Sampler[int]):
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
        if not isinstance(replacement, bool):
            raise TypeError(f"RandomSampler: replacement must be a bool, got {replacement!r}")
        if num_samples is not None and (not isinstance(num_samples, int) or num_samples < 1):
            raise ValueError(f"RandomSampler: num_samples must be a positive integer, got {num_samples!r}")
        if num_samples is None and not length("RandomSampler", data_source):
            raise ValueError("RandomSampler: the data set is empty: there is nothing to draw from")
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


class SubsetRandomSampler(Sampler[int]):
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


class WeightedRandomSampler(Sampler[int]):
    """``num_samples`` sample numbers, each drawn with a probability in proportion to its weight.

    Args:
        weights: one for each sample; they need not add up to 1.
        num_samples: how many are drawn.
        replacement: whether a sample may be drawn twice.
        generator: where randomness comes from (default: the global generator).

    Raises:
        ValueError: ``weights`` is not one row of numbers, ``num_samples`` no positive integer, ``replacement`` no bool.

    Example:
        >>> from chainrule.utils.data import WeightedRandomSampler
        >>> sorted(WeightedRandomSampler([0.0, 2.0, 1.0], 2, replacement=False))
        [1, 2]
    """

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        if isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples < 1:
            raise ValueError(f"WeightedRandomSampler: num_samples must be a positive integer, got {num_samples!r}")
        if not isinstance(replacement, bool):
            raise ValueError(f"WeightedRandomSampler: replacement must be a bool, got {replacement!r}")
        self.weights = tensor(weights, dtype=float64, device="cpu")
        if self.weights.ndim != 1:
            raise ValueError(
                f"WeightedRandomSampler: weights must be one row of numbers, got shape {tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of ``batch_size`` numbers that another sampler gives; with ``drop_last`` none that is shorter.

    Raises ValueError when ``batch_size`` is not a positive integer.

    Example:
        >>> from chainrule.utils.data import BatchSampler
        >>> list(BatchSampler(range(5), 2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"BatchSampler: batch_size must be a positive integer, got {batch_size!r}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"BatchSampler: drop_last must be a bool, got {drop_last!r}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        numbers = iter(self.sampler)
        while batch := list(itertools.islice(numbers, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
