"""Data sets: anything with a length and samples by number."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from chainrule.autograd.random import Generator, randperm
from chainrule.autograd.tensor import Tensor

T = TypeVar("T")


class Dataset(Generic[T]):
    """Base of data sets: a subclass defines ``__getitem__`` and ``__len__``.

    Example:
        >>> from chainrule.utils.data import Dataset
        >>> class Squares(Dataset):
        ...     def __len__(self):
        ...         return 10
        ...     def __getitem__(self, i):
        ...         return i * i
        >>> Squares()[3]
        9
    """

    def __getitem__(self, index: Any) -> T:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__()")

    def __add__(self, other: Dataset[T]) -> ConcatDataset[T]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T]):
    """Base of data sets that are streams: a subclass defines ``__iter__``, and ``__len__`` where it knows it.

    In a :class:`DataLoader` with workers each worker has a copy and iterates over all of it: divide the work by
    :func:`get_worker_info`.

    Example:
        >>> from chainrule.utils.data import DataLoader, IterableDataset
        >>> class Countdown(IterableDataset):
        ...     def __iter__(self):
        ...         return iter([3, 2, 1])
        >>> list(DataLoader(Countdown(), batch_size=2))
        [tensor([3, 2]), tensor([1])]
    """

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__()")

    def __add__(self, other: Dataset[T]) -> Any:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset[T]):
    """Iterable data sets one after another.

    Raises TypeError, when iterated over, for a data set that is no :class:`IterableDataset`.

    Example:
        >>> from chainrule.utils.data import ChainDataset, IterableDataset
        >>> class Letters(IterableDataset):
        ...     def __iter__(self):
        ...         return iter("ab")
        >>> list(ChainDataset([Letters(), Letters()]))
        ['a', 'b', 'a', 'b']
    """

    def __init__(self, datasets: Iterable[Dataset[T]]) -> None:
        super().__init__()
        self.datasets = datasets

    def __iter__(self) -> Iterator[T]:
        for dataset in self._checked():
            yield from dataset

    def __len__(self) -> int:
        return sum(length("ChainDataset", dataset) for dataset in self._checked())

    def _checked(self) -> Iterator[IterableDataset[T]]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise TypeError(
                    f"ChainDataset: expected IterableDatasets, got {type(dataset).__name__}; ConcatDataset takes others"
                )
            yield dataset


def length(caller: str, dataset: Any) -> int:
    """``len(dataset)``. Raises TypeError, naming ``caller``, when it has none."""
    try:
        return len(dataset)
    except TypeError:
        raise TypeError(
            f"{caller}: the data set must define __len__() and __getitem__(), got {type(dataset).__name__}"
        ) from None


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples along the first dimension of tensors: sample i is ``(tensors[0][i], tensors[1][i], ...)``.

    Raises TypeError for anything but Tensors, ValueError when their first dimensions differ.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.data import TensorDataset
        >>> TensorDataset(cr.zeros(3, 2), cr.tensor([5, 6, 7]))[1]
        (tensor([0., 0.]), tensor(6))
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset: expected at least one tensor, got none")
        for i, t in enumerate(tensors):
            if not isinstance(t, Tensor):
                raise TypeError(f"TensorDataset: tensors[{i}] must be a Tensor, got {type(t).__name__}")
            if not t.ndim:
                raise ValueError(f"TensorDataset: tensors[{i}] must have a first dimension, got a 0-d tensor")
        if len({t.shape[0] for t in tensors}) != 1:
            shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
            raise ValueError(f"TensorDataset: all tensors must have the same first dimension, got shapes {shapes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class StackDataset(Dataset[Any]):
    """Data sets side by side: sample i is the tuple (for keywords, the dict) of their samples i.

    Raises ValueError when there are none, when they differ in length, or for both kinds of arguments at once.

    Example:
        >>> from chainrule.utils.data import StackDataset
        >>> StackDataset("abc", range(3))[1], StackDataset(letter="abc", number=range(3))[2]
        (('b', 1), {'letter': 'c', 'number': 2})
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError(
                "StackDataset: expected data sets as arguments (samples are tuples) or as keywords (dicts), got "
                + ("both" if args else "none")
            )
        self.datasets = args or kwargs
        sizes = [length("StackDataset", dataset) for dataset in self._parts()]
        if len(set(sizes)) > 1:
            raise ValueError(f"StackDataset: the data sets must be of one length, got {sizes}")
        self._length = sizes[0]

    def _parts(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def _sample(self, parts: Iterable[Any]) -> Any:
        return dict(zip(self.datasets, parts)) if isinstance(self.datasets, dict) else tuple(parts)

    def __getitem__(self, index: Any) -> Any:
        return self._sample(dataset[index] for dataset in self._parts())

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The samples at the given numbers, each data set being asked for all of its own at once."""
        columns = [samples_at(dataset, indices) for dataset in self._parts()]
        for dataset, column in zip(self._parts(), columns):
            if len(column) != len(indices):
                raise ValueError(
                    f"StackDataset: {type(dataset).__name__}.__getitems__ must give {len(indices)} samples for as many "
                    f"numbers, got {len(column)}"
                )
        return [self._sample(parts) for parts in zip(*columns)]

    def __len__(self) -> int:
        return self._length


def samples_at(dataset: Any, indices: Sequence[int]) -> Sequence[Any]:
    """Samples by number: all at once by ``__getitems__`` where the data set has it."""
    together = getattr(dataset, "__getitems__", None)
    return together(indices) if callable(together) else [dataset[i] for i in indices]


class Subset(Dataset[T]):
    """The samples of another data set at the given numbers.

    Example:
        >>> from chainrule.utils.data import Subset
        >>> list(Subset("abcdef", [0, 2]))
        ['a', 'c']
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> Sequence[T]:
        """The samples at the given numbers."""
        return samples_at(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[T]):
    """Data sets one after another.

    Raises ValueError when there are none.

    Example:
        >>> from chainrule.utils.data import ConcatDataset
        >>> ConcatDataset(["abc", "de"])[3]
        'd'
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one data set, got none")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise TypeError("ConcatDataset: an IterableDataset has no sample numbers; use ChainDataset")
        self.cumulative_sizes = list(itertools.accumulate(length("ConcatDataset", d) for d in self.datasets))

    def __getitem__(self, index: int) -> T:
        i = index + len(self) if index < 0 else index
        if not 0 <= i < len(self):
            raise IndexError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        which = bisect.bisect_right(self.cumulative_sizes, i)
        return self.datasets[which][i - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


def random_split(
    dataset: Any, lengths: Sequence[int] | Sequence[float], generator: Generator | None = None
) -> list[Subset[Any]]:
    """Split a data set at random into parts of the given lengths, or of the given fractions (which add up to 1).

    What fractions leave over after rounding down goes to the first parts, one sample each.

    Raises ValueError when the lengths do not add up to the data set's.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.data import random_split
        >>> train, test = random_split(range(10), [0.8, 0.2], generator=cr.Generator().manual_seed(0))
        >>> len(train), len(test)
        (8, 2)
    """
    total = length("random_split", dataset)
    parts = list(lengths)
    if any(part < 0 for part in parts):
        raise ValueError(f"random_split: lengths must not be negative, got {parts}")
    if math.isclose(sum(parts), 1) and sum(parts) <= 1 + 1e-9 and not all(isinstance(p, int) for p in parts):
        sizes = [math.floor(total * fraction) for fraction in parts]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
    else:
        if sum(parts) != total or any(part != int(part) for part in parts):
            raise ValueError(
                f"random_split: lengths must add up to the {total} samples of the data set, or to 1 as fractions, got "
                f"{parts}"
            )
        sizes = [int(part) for part in parts]
    order = randperm(total, generator=generator, device="cpu").tolist()
    ends = list(itertools.accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
