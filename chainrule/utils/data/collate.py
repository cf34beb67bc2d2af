"""From samples to a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.creation import tensor
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples as a batch: tensors, arrays and numbers are stacked along a new first dimension, containers searched.

    Floats become float64 and ints int64 as in PyTorch; strings stay a list; tuples and lists of samples become lists of
    batches, dicts dicts of them.

    Raises:
        RuntimeError: tensors of unequal shapes. TypeError: samples of a kind that is not known, or of unequal lengths.

    Example:
        >>> from chainrule.utils.data import default_collate
        >>> default_collate([(1, "a"), (2, "b")])
        [tensor([1, 2]), ['a', 'b']]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        shapes = {tuple(t.shape) for t in batch}
        if len(shapes) > 1:
            raise RuntimeError(
                f"default_collate: the tensors of a batch must have the same shape, got {sorted(shapes)}; pad them, "
                "or pass a "
                f"collate_fn"
            )
        return FUNCTIONS["stack"](list(batch))
    if isinstance(first, (np.ndarray, np.generic)):
        return tensor(np.stack([np.asarray(a) for a in batch]))
    if isinstance(first, bool):
        return tensor(list(batch))
    if isinstance(first, float):
        return tensor(list(batch), dtype=dtypes.float64)
    if isinstance(first, int):
        return tensor(list(batch))
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, Sequence):
        lengths = {len(sample) for sample in batch}
        if len(lengths) > 1:
            raise RuntimeError(
                f"default_collate: the samples of a batch must have the same number of parts, got {sorted(lengths)}"
            )
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    raise TypeError(
        f"default_collate: samples must be tensors, arrays, numbers, strings, or tuples, lists and dicts of them, got "
        f"{type(first).__name__}; pass a collate_fn"
    )
