"""PackedSequence: what recurrent layers take for sequences of unequal lengths. The functions are in nn.utils.rnn."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.autograd import dtypes
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """Sequences of unequal lengths without padding: the first step of all of them, then the second of those left, ...

    Made by :func:`pack_padded_sequence` or :func:`pack_sequence`, longest sequence first; recurrent layers take and
    give it.

    Args:
        data: (sum of the lengths, ...).
        batch_sizes: (steps), int64 on the CPU: how many sequences have each step.
        sorted_indices: the order in which the sequences were taken, if they were not sorted.
        unsorted_indices: its inverse.

    Raises:
        ValueError: batch_sizes is not on the CPU.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn.utils.rnn import pack_sequence
        >>> packed = pack_sequence([cr.tensor([1, 2, 3]), cr.tensor([4, 5])])
        >>> packed.data.tolist(), packed.batch_sizes.tolist()
        ([1, 4, 2, 5, 3], [2, 2, 1])
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:  # PyTorch takes PackedSequence((data, batch_sizes)) too
            data, batch_sizes = data
        for name, value in (("data", data), ("batch_sizes", batch_sizes)):
            if not isinstance(value, Tensor):
                raise TypeError(f"PackedSequence: {name} must be a Tensor, got {describe(value)}")
        if batch_sizes._device.type != "cpu":
            raise ValueError(
                f"PackedSequence: batch_sizes must be on the CPU, got a tensor on {batch_sizes.device}; use .cpu()"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequences on another device or in another dtype, as in ``Tensor.to``; itself where nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self

        def moved(index: Tensor | None) -> Tensor | None:
            return None if index is None else index.to(data.device)

        return type(self)(data, self.batch_sizes, moved(self.sorted_indices), moved(self.unsorted_indices))

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequences on a CUDA GPU."""
        return self.to(*args, **kwargs) if args or "device" in kwargs else self.to("cuda", **kwargs)

    def cpu(self) -> PackedSequence:
        """The sequences on the CPU."""
        return self.to("cpu")

    def double(self) -> PackedSequence:
        """The sequences in float64."""
        return self.to(dtypes.float64)

    def float(self) -> PackedSequence:
        """The sequences in float32."""
        return self.to(dtypes.float32)

    def half(self) -> PackedSequence:
        """The sequences in float16."""
        return self.to(dtypes.float16)

    def long(self) -> PackedSequence:
        """The sequences in int64."""
        return self.to(dtypes.int64)

    def int(self) -> PackedSequence:
        """The sequences in int32."""
        return self.to(dtypes.int32)

    def short(self) -> PackedSequence:
        """The sequences in int16."""
        return self.to(dtypes.int16)

    def char(self) -> PackedSequence:
        """The sequences in int8."""
        return self.to(dtypes.int8)

    def byte(self) -> PackedSequence:
        """The sequences in uint8."""
        return self.to(dtypes.uint8)

    def pin_memory(self) -> PackedSequence:
        """The sequences with their data in page-locked memory."""
        return self._replace(data=self.data.pin_memory())

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA GPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is in page-locked memory."""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes another one; None for None.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn.utils.rnn import invert_permutation
        >>> invert_permutation(cr.tensor([2, 0, 1])).tolist()
        [1, 2, 0]
    """
    return None if permutation is None else permutation.argsort()


def permuted(hidden: Tensor, order: Tensor | None) -> Tensor:
    """The states (layers, N, features) of all sequences in another order; as they are for None."""
    return hidden if order is None else FUNCTIONS["index_select"](hidden, 1, order)
