"""Data sets: anything with a length and samples by number."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Sequence
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
