"""From samples to a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.creation import tensor
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples as a batch: tensors, arrays and numbers are stacked along a new first dimension, containers searched.

    Floats become float64 and ints int64 as in PyTorch; strings and bytes stay as they are; tuples and lists of samples
    become lists of batches, named tuples and dicts those of batches.

    Raises:
        RuntimeError: tensors or arrays of unequal shapes, samples of unequal lengths. TypeError: samples of a kind that
        is not known. KeyError: dicts of unequal keys.

    Example:
        >>> from chainrule.utils.data import default_collate
        >>> default_collate([(1, "a"), (2, "b")])
        [tensor([1, 2]), ('a', 'b')]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        _same_shapes("tensors", [tuple(t.shape) for t in batch])
        return FUNCTIONS["stack"](list(batch))
    if isinstance(first, (np.ndarray, np.generic)):
        arrays = [np.asarray(a) for a in batch]
        if arrays[0].dtype.kind in "SUO":
            raise TypeError(f"default_collate: expected arrays of numbers, got dtype {arrays[0].dtype}; {_WAY_OUT}")
        _same_shapes("arrays", [a.shape for a in arrays])
        return tensor(np.stack(arrays))
    if isinstance(first, float):
        return tensor(list(batch), dtype=dtypes.float64)
    if isinstance(first, int):  # bools too: they stay bools
        return tensor(list(batch))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _like_mapping(first, {key: default_collate([sample[key] for sample in batch]) for key in first})
    if isinstance(first, Sequence):
        lengths = {len(sample) for sample in batch}
        if len(lengths) > 1:
            raise RuntimeError(
                f"default_collate: the samples of a batch must have the same number of parts, got {sorted(lengths)}"
            )
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        if isinstance(first, tuple):
            return type(first)(*parts) if hasattr(first, "_fields") else parts
        return _like_sequence(first, parts)
    raise TypeError(
        f"default_collate: samples must be tensors, arrays, numbers, strings, or tuples, lists and dicts of them, got "
        f"{type(first).__name__}; {_WAY_OUT}"
    )


def default_convert(data: Any) -> Any:
    """Arrays and NumPy numbers as tensors, containers searched, the rest as it is: what a loader without batches does.

    Example:
        >>> import numpy as np
        >>> from chainrule.utils.data import default_convert
        >>> default_convert((np.float32(2), "a", [3]))
        [tensor(2.), 'a', [3]]
    """
    if isinstance(data, (Tensor, str, bytes)):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        return data if np.asarray(data).dtype.kind in "SUO" else tensor(np.asarray(data))
    return map_leaves(default_convert, data)


def map_leaves(function: Callable[[Any], Any], data: Any) -> Any:
    """``function`` of each part of a mapping or sequence, in one of the same kind; other data unchanged."""
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: function(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*[function(part) for part in data])
    if isinstance(data, tuple):
        return [function(part) for part in data]  # a list, as PyTorch's
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [function(part) for part in data])
    return data


_WAY_OUT = "pass a collate_fn"


def _same_shapes(what: str, shapes: list[tuple[int, ...]]) -> None:
    if len(set(shapes)) > 1:
        raise RuntimeError(
            f"default_collate: the {what} of a batch must have the same shape, got {sorted(set(shapes))}; pad them, "
            f"or {_WAY_OUT}"
        )


def _like_mapping(sample: Mapping[Any, Any], parts: dict[Any, Any]) -> Any:
    """``parts`` in a mapping of the kind of ``sample`` (a dict where that cannot be made)."""
    if type(sample) is dict:
        return parts
    try:
        if isinstance(sample, MutableMapping):
            made = copy.copy(sample)  # keeps what a subclass holds, such as a default factory
            made.update(parts)
            return made
        return type(sample)(parts)  # type: ignore[call-arg]
    except TypeError:
        return parts


def _like_sequence(sample: Sequence[Any], parts: list[Any]) -> Any:
    """``parts`` in a sequence of the kind of ``sample`` (a list where that cannot be made)."""
    if type(sample) is list:
        return parts
    try:
        if isinstance(sample, MutableSequence):
            made = copy.copy(sample)
            for i, part in enumerate(parts):  # a deque takes no slices
                made[i] = part
            return made
        return type(sample)(parts)  # type: ignore[call-arg]
    except TypeError:
        return parts
