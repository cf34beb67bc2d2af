"""Sequences of unequal lengths in one tensor: padded to the longest, or packed step by step without padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.creation import full, tensor
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn.packed_sequence import PackedSequence as PackedSequence
from chainrule.nn.packed_sequence import invert_permutation as invert_permutation


def _lengths(caller: str, lengths: Any, most: int, count: int) -> np.ndarray:
    """Lengths, given as a tensor or a sequence, as host integers."""
    if isinstance(lengths, Tensor):
        if dtypes.category(lengths._data.dtype) != 1:
            raise TypeError(f"{caller}: lengths must hold integers, got {describe(lengths)}")
        lengths = lengths._device.backend.to_host(lengths._data)
    found = np.asarray([int(n) for n in lengths], dtype=np.int64)
    if found.size != count:
        raise RuntimeError(f"{caller}: expected {count} lengths, one for each sequence, got {found.size}")
    if found.size and (found.min() <= 0 or found.max() > most):
        raise RuntimeError(f"{caller}: lengths must be between 1 and {most}, the padded length, got {found.tolist()}")
    return found


def _host_sizes(batch_sizes: Tensor) -> np.ndarray:
    return np.asarray(batch_sizes._device.backend.to_host(batch_sizes._data), dtype=np.int64)


def _index(values: np.ndarray, like: Tensor) -> Tensor:
    return tensor(np.ascontiguousarray(values, dtype=np.int64), device=like.device)


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The sequences of a padded tensor (T, N, ...) without their padding.

    Args:
        lengths: the length of each sequence, at least 1.
        batch_first: the input is (N, T, ...).
        enforce_sorted: the sequences must come longest first; with False they are sorted, and recurrent layers put
            their results back in the given order.

    Raises:
        RuntimeError: lengths do not fit, or are not sorted where they must be.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn.utils.rnn import pack_padded_sequence
        >>> padded = cr.tensor([[1, 2, 0], [3, 4, 5]])
        >>> pack_padded_sequence(padded, [2, 3], batch_first=True, enforce_sorted=False).data
        tensor([3, 1, 4, 2, 5])
    """
    caller = "pack_padded_sequence"
    if not isinstance(input, Tensor) or input._data.ndim < 2:
        raise RuntimeError(f"{caller}: input must be a Tensor (T, N, ...), got {describe(input)}")
    if batch_first:
        input = input.transpose(0, 1)
    steps, batch = input._data.shape[:2]
    if not steps or not batch:
        raise RuntimeError(f"{caller}: input must hold at least one sequence and one step, got {describe(input)}")
    sizes = _lengths(caller, lengths, steps, batch)
    order = None
    if enforce_sorted:
        if (np.diff(sizes) > 0).any():
            raise RuntimeError(
                f"{caller}: with enforce_sorted=True the lengths must not rise, got {sizes.tolist()}; sort the "
                f"sequences, or give enforce_sorted=False"
            )
    else:
        order = np.argsort(-sizes, kind="stable")
        sizes = sizes[order]
    running = sizes[None, :] > np.arange(sizes.max())[:, None]  # (steps, N): which sequences have each step
    t, n = np.nonzero(running)
    rows = t * batch + (n if order is None else order[n])
    data = FUNCTIONS["index_select"](input.reshape(steps * batch, *input._data.shape[2:]), 0, _index(rows, input))
    counts = tensor(running.sum(axis=1, dtype=np.int64), device="cpu")
    return PackedSequence(data, counts, None if order is None else _index(order, input))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The inverse of :func:`pack_padded_sequence`: the padded tensor (T, N, ...) and the lengths.

    Args:
        batch_first: give (N, T, ...).
        padding_value: what stands after the end of each sequence.
        total_length: the T to pad to; the longest length unless given.

    Raises:
        ValueError: total_length is less than the longest length.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn.utils.rnn import pack_sequence, pad_packed_sequence
        >>> padded, lengths = pad_packed_sequence(pack_sequence([cr.tensor([1, 2]), cr.tensor([3])]), batch_first=True)
        >>> padded.tolist(), lengths.tolist()
        ([[1, 2], [3, 0]], [2, 1])
    """
    caller = "pad_packed_sequence"
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"{caller}: sequence must be a PackedSequence, got {describe(sequence)}")
    data, counts = sequence.data, _host_sizes(sequence.batch_sizes)
    steps, batch = counts.size, int(counts[0])
    if total_length is not None:
        if total_length < steps:
            raise ValueError(f"{caller}: total_length must be at least the longest length {steps}, got {total_length}")
        steps = total_length
    t = np.repeat(np.arange(counts.size), counts)
    n = np.arange(t.size) - np.repeat(np.cumsum(counts) - counts, counts)
    lengths = (counts[None, :] > np.arange(batch)[:, None]).sum(axis=1, dtype=np.int64)
    if sequence.unsorted_indices is not None:
        back = _host_sizes(sequence.unsorted_indices)
        lengths = lengths[back]
        n = np.argsort(back)[n]
    rows = n * steps + t if batch_first else t * batch + n
    outer = (batch, steps) if batch_first else (steps, batch)
    return _placed(data, rows, outer, padding_value), tensor(lengths, device="cpu")


def _placed(data: Tensor, rows: np.ndarray, outer: tuple[int, int], padding_value: float) -> Tensor:
    """The rows of ``data`` at the given places of a tensor (*outer, ...) of the padding value."""
    inner = data._data.shape[1:]
    blank = full((outer[0] * outer[1], *inner), padding_value, dtype=data.dtype, device=data.device)
    return FUNCTIONS["index_copy"](blank, 0, _index(rows, data), data).reshape(*outer, *inner)


def pad_sequence(
    sequences: Tensor | Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (L, ...) of unequal lengths as one tensor (longest, N, ...), padded at the end.

    Args:
        batch_first: give (N, longest, ...).
        padding_value: what the padding holds.
        padding_side: ``"left"`` pads at the start instead.

    Raises:
        ValueError: another padding_side. RuntimeError: no sequences, or their other dimensions differ.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn.utils.rnn import pad_sequence
        >>> pad_sequence([cr.tensor([1, 2]), cr.tensor([3])], batch_first=True, padding_side="left").tolist()
        [[1, 2], [0, 3]]
    """
    caller = "pad_sequence"
    if padding_side not in ("left", "right"):
        raise ValueError(f"{caller}: padding_side must be 'left' or 'right', got {padding_side!r}")
    items = _sequences(caller, sequences)
    first = items[0]
    for i, item in enumerate(items):
        if item._data.ndim == 0 or item._data.shape[1:] != first._data.shape[1:] or item.dtype != first.dtype:
            raise RuntimeError(
                f"{caller}: all sequences must have one dtype and one shape after the first dimension; sequence {i} is "
                f"{describe(item)}, the first {describe(first)}"
            )
    lengths = np.array([item._data.shape[0] for item in items])
    steps, batch = int(lengths.max()), len(items)
    n = np.repeat(np.arange(batch), lengths)
    t = np.arange(n.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    if padding_side == "left":
        t = t + np.repeat(steps - lengths, lengths)
    rows = n * steps + t if batch_first else t * batch + n
    outer = (batch, steps) if batch_first else (steps, batch)
    if first._data.ndim > 1:
        return _placed(FUNCTIONS["cat"](items, 0), rows, outer, padding_value)
    # cat leaves empty vectors out, also of the graph
    data = FUNCTIONS["cat"]([item.unsqueeze(1) for item in items], 0)
    return _placed(data, rows, outer, padding_value).squeeze(2)


def _sequences(caller: str, sequences: Any) -> list[Tensor]:
    items = list(sequences.unbind(0) if isinstance(sequences, Tensor) else sequences)
    if not items:
        raise RuntimeError(f"{caller}: expected at least one sequence, got none")
    for i, item in enumerate(items):
        if not isinstance(item, Tensor):
            raise TypeError(f"{caller}: sequence {i} must be a Tensor, got {describe(item)}")
    return items


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded tensor (T, N, ...), each cut to its length.

    Args:
        batch_first: the input is (N, T, ...).

    Raises:
        RuntimeError: lengths do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn.utils.rnn import unpad_sequence
        >>> unpad_sequence(cr.tensor([[1, 2], [3, 0]]), cr.tensor([2, 1]), batch_first=True)
        [tensor([1, 2]), tensor([3])]
    """
    caller = "unpad_sequence"
    if not isinstance(padded_sequences, Tensor) or padded_sequences._data.ndim < 2:
        raise RuntimeError(f"{caller}: padded_sequences must be a Tensor (T, N, ...), got {describe(padded_sequences)}")
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    batch, steps = padded_sequences._data.shape[:2]
    sizes = _host_sizes(lengths) if isinstance(lengths, Tensor) else np.asarray(lengths, dtype=np.int64)
    if sizes.shape != (batch,) or (sizes < 0).any() or (sizes > steps).any():
        raise RuntimeError(
            f"{caller}: lengths must be {batch} numbers between 0 and {steps}, one for each sequence, got "
            f"{sizes.tolist()}"
        )
    return [row[: int(n)] for row, n in zip(padded_sequences.unbind(0), sizes, strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (L, ...) of unequal lengths, packed.

    Args:
        enforce_sorted: they must come longest first; see :func:`pack_padded_sequence`.

    Raises:
        RuntimeError: there is none, an empty one, or they are not sorted where they must be.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn.utils.rnn import pack_sequence
        >>> pack_sequence([cr.tensor([1]), cr.tensor([2, 3])], enforce_sorted=False).sorted_indices
        tensor([1, 0])
    """
    items = _sequences("pack_sequence", sequences)
    lengths = [item._data.shape[0] if item._data.ndim else 0 for item in items]
    return pack_padded_sequence(pad_sequence(items), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The inverse of :func:`pack_sequence`: the list of sequences.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn.utils.rnn import pack_sequence, unpack_sequence
        >>> unpack_sequence(pack_sequence([cr.tensor([1, 2]), cr.tensor([3])]))
        [tensor([1, 2]), tensor([3])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
