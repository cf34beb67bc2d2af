"""How many bytes each recorded operation adds to what the tape keeps."""

from __future__ import annotations

import weakref
from typing import Any

from chainrule.autograd import batching
from chainrule.autograd.node import FREED, Leaf
from chainrule.autograd.saved import Packed
from chainrule.autograd.tensor import Tensor
from chainrule.model_summary import _Bytes


def _plain(array: Any) -> Any:
    """The array with the elements of the whole batch of vmap."""
    while type(array) is batching.BatchedArray:
        array = array.data
    return array


def _owner(array: Any) -> Any:
    """The array that the memory belongs to."""
    while getattr(array, "base", None) is not None and hasattr(array.base, "strides"):
        array = array.base
    return array


def _saved_arrays(node: Any) -> list[Any]:
    """What a node keeps, as arrays."""
    found: list[Any] = []
    context = getattr(node, "ctx", None)
    saved = getattr(context, "_saved", None)
    if saved is not None and saved is not FREED:
        found += [entry[0] for entry in saved if entry is not None]
    for name in node.saved_names:
        value = getattr(node, f"saved_{name}", None)
        found += value if isinstance(value, tuple) else [value]
    arrays = []
    for value in found:
        kept = value.value if type(value) is Packed else value  # what hooks keep in its place
        kept = kept._data if isinstance(kept, Tensor) else kept
        if hasattr(kept, "strides") and hasattr(kept, "dtype"):
            arrays.append(_plain(kept))
    return arrays


def _keeps(reference: weakref.ref[Any]) -> bool:
    """Whether a node is there and its saved arrays were not freed."""
    node = reference()
    return node is not None and bool(_saved_arrays(node))


class Kept:
    """The memory that the tape keeps; what several nodes save is counted once, parameters and buffers never."""

    def __init__(self) -> None:
        self._apart: dict[tuple[Any, int], Any] = {}  # with the arrays, so that no address is used twice
        self._seen: dict[int, Any] = {}  # arrays that were kept apart, by id
        self._held: dict[tuple[Any, int], tuple[list[weakref.ref[Any]], _Bytes]] = {}

    def keep_apart(self, t: Any) -> None:
        """Do not count the memory of a tensor: it is there anyway."""
        if id(t._data) in self._seen:
            return
        self._seen[id(t._data)] = t._data
        array, device = _plain(t._data), batching.base_of(t._device)
        if array.size:
            owner = _owner(array)
            self._apart[device, device.xp.address(owner)] = owner

    def keep_leaves_apart(self, tensors: list[Any]) -> None:
        """The same for those of the tensors that are leaves, or views of leaves."""
        for t in tensors:
            base = t if t._view is None else t._view.base
            if type(base._node) is Leaf:
                self.keep_apart(base)

    def add(self, node: Any) -> int:
        """How many bytes are new of those that a node saved."""
        device = batching.base_of(node.device)
        new = 0
        for array in _saved_arrays(node):
            if not array.size or not isinstance(array, device.array_type):  # hooks keep it elsewhere
                continue
            key = (device, device.xp.address(_owner(array)))
            if key in self._apart:
                continue
            nodes, known = self._held.get(key, ([], None))
            if known is None or not any(_keeps(n) for n in nodes):
                nodes, known = [], _Bytes()
                self._held[key] = (nodes, known)
            if not nodes or nodes[-1]() is not node:
                nodes.append(weakref.ref(node))
            start = device.xp.address(array)
            reach = [s * (n - 1) for s, n in zip(array.strides, array.shape, strict=True)]
            low, high = start + sum(r for r in reach if r < 0), start + sum(r for r in reach if r > 0)
            new += known.add(low, high + array.dtype.itemsize)
        return new
