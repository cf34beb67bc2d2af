"""Tensors with a hidden batch dimension: what ``vmap`` runs a function on.

Such a tensor is an ordinary Tensor whose array is a :class:`~chainrule.autograd.batching.array.BatchedArray` and whose
device is a :class:`BatchedDevice`: ``device.xp`` has the batching rules. Everything else (shapes, recording, gradients,
views) is what it always is, so ordinary tensors pay nothing, and gradients inside ``vmap`` are those of each element.

Three nodes lead in and out of a level: a tensor *enters* it with one of its dimensions as the batch, *exits* it
with the batch as a dimension again, or is *lifted* to it, being the same for all elements.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from typing import Any

from chainrule.autograd.batching.array import BatchedArray as BatchedArray
from chainrule.autograd.batching.array import Level
from chainrule.autograd.batching.namespace import BatchedNamespace
from chainrule.autograd.modes import mode
from chainrule.autograd.node import Node, next_sequence
from chainrule.autograd.runtime import tracked_node, where, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device

_number = itertools.count(1).__next__


def new_level(size: int, randomness: str) -> Level:
    """A level inside all that there are."""
    return Level(_number(), size, randomness)


class _Active(threading.local):
    """The levels of the ``vmap`` calls that this thread is inside of, outermost first."""

    def __init__(self) -> None:
        self.levels: list[Level] = []


active = _Active()


class _NoConstants(dict[Any, Any]):
    """Constants are made anew: a kept one would keep its device alive, and that the constant."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class _BatchedBackend:
    """The inner backend, for batched arrays."""

    def __init__(self, level: Level, inner: Any) -> None:
        self._level = level
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def from_host(self, array: Any, index: int = 0) -> BatchedArray:
        return BatchedArray(self._inner.from_host(array, index), self._level, False)

    def to_host(self, array: Any) -> Any:
        if array.batched:
            from chainrule.autograd.batching.array import _refuse

            raise _refuse("NumPy")
        return self._inner.to_host(array.data)


class BatchedDevice(Device):
    """The device of the tensors of one level; it shows itself as the device below."""

    level: Level
    inner: Device

    def __new__(cls, level: Level, inner: Device) -> BatchedDevice:
        made = object.__new__(cls)
        made.level, made.inner = level, inner
        made.type, made.index = inner.type, inner.index
        made.backend = _BatchedBackend(level, inner.backend)  # type: ignore[assignment]
        made.xp = BatchedNamespace(level, inner.xp)
        made.array_type = BatchedArray
        made.constants = _NoConstants()
        made._outer = threading.local()
        level.devices.append(weakref.ref(made))
        return made

    def asarray(self, obj: Any, dtype: Any = None) -> BatchedArray:
        if type(obj) is BatchedArray and obj.level is self.level:
            return obj if dtype is None or obj.dtype == dtype else obj.astype(dtype)
        return BatchedArray(
            self.inner.asarray(obj) if dtype is None else self.inner.asarray(obj, dtype), self.level, False
        )

    def covers(self, other: Device) -> bool:
        return base_of(other) is base_of(self) and set(levels_of(other)) <= set(levels_of(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and base_of(self) is base_of(other)

    def __hash__(self) -> int:
        return hash((self.type, self.index))


def levels_of(device: Device) -> tuple[Level, ...]:
    """The levels of a device, innermost (the most recent) first."""
    found = []
    while isinstance(device, BatchedDevice):
        found.append(device.level)
        device = device.inner
    return tuple(found)


def base_of(device: Device) -> Device:
    while isinstance(device, BatchedDevice):
        device = device.inner
    return device


def device_with(base: Device, levels: Any) -> Device:
    """The device of these levels on ``base``: the oldest level lies innermost in the array."""
    device = base
    for level in sorted(set(levels), key=lambda each: each.number):
        known = next((d for ref in level.devices if (d := ref()) is not None and d.inner is device), None)
        device = BatchedDevice(level, device) if known is None else known
    return device


# ---- arrays ---------------------------------------------------------------------------------------------------------


def _enter(a: Any, level: Level, dim: int) -> BatchedArray:
    """Dimension ``dim`` of an array becomes the batch of ``level``."""
    if type(a) is BatchedArray and a.level.number > level.number:
        return BatchedArray(_enter(a.data, level, dim + a.batched), a.level, a.batched)
    from chainrule.autograd.batching.index import _move

    return BatchedArray(_move(a, dim, 0), level, True)


def _exit(a: Any, level: Level, dim: int) -> Any:
    """The batch of ``level`` becomes dimension ``dim``."""
    assert type(a) is BatchedArray
    if a.level is not level:
        return BatchedArray(_exit(a.data, level, dim + a.batched), a.level, a.batched)
    from chainrule.autograd.batching.index import _move

    return _move(a.materialise(), 0, dim)


def _lift(a: Any, source: tuple[Level, ...], target: tuple[Level, ...]) -> Any:
    """An array at more levels, at which it is the same for all elements."""
    if source == target:
        return a
    if source and source[0] is target[0]:
        return BatchedArray(_lift(a.data, source[1:], target[1:]), a.level, a.batched)
    return BatchedArray(_lift(a, source, target[1:]), target[0], False)


# ---- tensors and nodes ----------------------------------------------------------------------------------------------


class _Label:
    def __init__(self, label: str) -> None:
        self.label = self.name = label
        self.needs: dict[str, tuple[str, ...]] = {}


class _Border(Node):
    """A node between two levels."""

    __slots__ = ("source", "level", "dim")
    saves = False
    source: Device
    level: Any
    dim: int

    def run(self, g: Any, needed: Any, free: bool = False) -> tuple[Any, ...]:
        return (self.back(wrap(g, self.device))._data,)

    def run_taped(self, g: Any, needed: Any) -> tuple[Any, ...]:
        return (self.back(g),)

    def back(self, g: Tensor) -> Tensor:
        raise NotImplementedError


class Enter(_Border):
    """``vmap``'s way in."""

    __slots__ = ()
    op = _Label("vmap_in")

    def back(self, g: Tensor) -> Tensor:
        return exit(g, self.level, self.dim)


class Exit(_Border):
    """``vmap``'s way out."""

    __slots__ = ()
    op = _Label("vmap_out")

    def back(self, g: Tensor) -> Tensor:
        return enter(g, self.level, self.dim)


class Lift(_Border):
    """A tensor that is the same for all elements: its gradient is the sum of theirs."""

    __slots__ = ()
    op = _Label("vmap_same")

    def back(self, g: Tensor) -> Tensor:
        for level in self.level:
            if any(level is running for running in active.levels):
                raise RuntimeError(
                    "vmap: backward inside the function reached a tensor from outside of it, which is shared by all "
                    "elements of the batch; use chainrule.func.grad inside vmap, which gives each element its own "
                    "gradient, or call backward on the result of vmap"
                )
            g = exit(g, level, 0).sum(0)
        return g


def _made(kind: type[_Border], t: Tensor, array: Any, device: Device, level: Any, dim: int) -> Tensor:
    out = wrap(array, device)
    edge = tracked_node(t) if mode.enabled else None
    if edge is not None:
        node = object.__new__(kind)
        node.inputs = (edge,)
        node.sequence = next_sequence()
        node.hooks = None
        node.shape = out._data.shape
        node.device = device
        node.where = where()
        node.source, node.level, node.dim = t._device, level, dim
        out._node = node
    return out


def enter(t: Tensor, level: Level, dim: int) -> Tensor:
    """``t`` as one element of the batch that stands in its dimension ``dim``."""
    device = device_with(base_of(t._device), (*levels_of(t._device), level))
    return _made(Enter, t, _enter(t._data, level, dim), device, level, dim)


def exit(t: Tensor, level: Level, dim: int) -> Tensor:
    """``t`` with the batch of ``level`` as its dimension ``dim``."""
    levels = levels_of(t._device)
    if level not in levels:
        t = lift(t, device_with(base_of(t._device), (*levels, level)))
        levels = levels_of(t._device)
    device = device_with(base_of(t._device), [each for each in levels if each is not level])
    return _made(Exit, t, _exit(t._data, level, dim), device, level, dim)


def lift(t: Tensor, device: Device) -> Tensor:
    """``t`` at all levels of ``device``; at those it did not have, it is the same for all elements."""
    if t._device is device:
        return t
    have, want = levels_of(t._device), levels_of(device)
    added = tuple([level for level in want if level not in have])
    return _made(Lift, t, _lift(t._data, have, want), device, added, 0)


def lift_to_active(t: Tensor) -> Tensor:
    """``t`` at every level that this thread is inside of."""
    if not active.levels:
        return t
    return lift(t, at_active_levels(t._device))


def at_active_levels(device: Device) -> Device:
    """A device with every level that this thread is inside of."""
    return device_with(base_of(device), (*levels_of(device), *active.levels))


def drawn(array: Any, levels: list[Level], device: Device) -> Any:
    """Random numbers with the batches of ``levels`` in their first dimensions (outermost first), for ``device``."""
    for level in levels:
        array = BatchedArray(array, level, True)
    have, want = tuple(reversed(levels)), levels_of(device)
    if not set(have) <= set(want):
        raise RuntimeError(
            "vmap: random numbers that differ over the batch cannot be written into a tensor that does not; make it "
            "from the inputs, for example with zeros_like"
        )
    return _lift(array, have, want)


def together(tensors: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Tensors of several levels, lifted to all of them; None where the devices below differ."""
    found = [t for t in tensors if isinstance(t, Tensor)]
    bases = {id(base_of(t._device)) for t in found}
    levels = [level for t in found for level in levels_of(t._device)]
    if len(bases) > 1 or not levels:
        return None
    target = device_with(base_of(found[0]._device), levels)
    return tuple([lift(t, target) if isinstance(t, Tensor) else t for t in tensors])
