"""Tensors as pieces of memory: tensors that share memory are written once, and share it again after loading."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.node import View
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device
from chainrule.nn.parameter import Buffer, Parameter
from chainrule.saving.container import METADATA, NAMES, Broken, Source, is_sizes

_COMPLEX128 = np.dtype(np.complex128)
_BYTE = np.dtype(np.uint8)


class _Member(NamedTuple):
    """One tensor or array that is to be saved."""

    array: Any  # of the device
    device: Device
    name: str
    low: int  # first byte
    high: int  # behind the last byte

    @property
    def fills(self) -> bool:
        """Whether the elements fill the bytes in order: such a tensor can be read by itself."""
        return bool(self.array.flags.c_contiguous)


class Memory:
    """Collects the tensors of a value; tells apart the pieces of memory that they lie on."""

    def __init__(self) -> None:
        self._members: list[_Member] = []
        self._notes: list[dict[str, Any]] = []  # what is to be remembered of each member
        self._known: dict[int, int] = {}  # id -> number; the objects live on in the value that is saved
        self._kept: list[Any] = []

    def add(self, value: Any, path: tuple[str, ...]) -> int:
        """The number of a tensor or array; the same for the same object."""
        if id(value) in self._known:
            return self._known[id(value)]
        note: dict[str, Any] = {}
        if isinstance(value, Tensor):
            note = {"kind": "parameter"} if isinstance(value, Parameter) else note
            note = {"kind": "buffer", "persistent": value.persistent} if isinstance(value, Buffer) else note
            note |= {"grad": True} if value.requires_grad else {}
            array, device = value.detach()._data, value.device
        else:
            array, device = value, Device("cpu")
        if any(stride < 0 or stride % array.dtype.itemsize for stride in array.strides):
            array = device.xp.ascontiguousarray(array)
        low, high = _bounds(array, device)
        self._known[id(value)] = len(self._members)
        self._kept.append((value, array))
        self._members.append(_Member(array, device, ".".join(path) or "value", low, high))
        self._notes.append(note)
        return len(self._members) - 1

    def written(self) -> tuple[dict[str, Source], dict[str, Any]]:
        """The arrays to write by name, and the JSON that leads from them to the tensors."""
        sources: dict[str, Source] = {}
        storages: dict[str, Any] = {}
        for group in self._groups():
            members = [self._members[i] for i in group]
            first, low = members[0], min(m.low for m in members)
            size = max(m.high for m in members) - low
            whole = next((m for m in members if m.fills and m.high - m.low == size), None)
            alone = len(group) == 1 and first.array.size * first.array.dtype.itemsize <= size
            if whole is None and alone:
                whole = first  # written in order; only its strides are forgotten
            name = _free_name(first.name if whole is None else whole.name, sources)
            storage: dict[str, Any] = {} if first.device.type == "cpu" else {"device": str(first.device)}
            if whole is not None:
                sources[name] = _source(whole)
                if whole.array.dtype == _COMPLEX128:
                    storage["dtype"] = "complex128"
            else:
                sources[name] = Source(_BYTE, (size,), _Assembled(members, low, size))
            for i, m in zip(group, members, strict=True):
                self._notes[i]["storage"] = name
                if not (alone or (m.fills and m.high - m.low == size and _alike(m, whole))):
                    steps = [s // m.array.dtype.itemsize for s in m.array.strides]
                    kind = dtypes.of_array(m.array).name
                    self._notes[i]["view"] = [kind, m.low - low, list(m.array.shape), steps]
            if storage:
                storages[name] = storage
        return sources, {"tensors": self._notes, "storages": storages}

    def shared(self) -> list[list[str]]:
        """The names of the tensors that lie on the same memory, group by group."""
        return [[self._members[i].name for i in group] for group in self._groups() if len(group) > 1]

    def _groups(self) -> list[list[int]]:
        """The numbers of the members that share memory, in the order in which they were added."""
        order = sorted(range(len(self._members)), key=lambda i: (str(self._members[i].device), self._members[i].low))
        groups: list[list[int]] = []
        device, end = "", -1
        for i in order:
            m = self._members[i]
            if groups and str(m.device) == device and m.low < end and m.low < m.high:
                groups[-1].append(i)
            else:
                groups.append([i])
                device, end = str(m.device), m.high
            end = max(end, m.high)
        return sorted([sorted(group) for group in groups])


def _bounds(array: Any, device: Device) -> tuple[int, int]:
    """The first byte of an array and the one behind its last."""
    address = device.xp.address(array)
    if not array.size:
        return address, address
    reach = sum(stride * (n - 1) for stride, n in zip(array.strides, array.shape, strict=True))
    return address, address + reach + array.dtype.itemsize


def _alike(m: _Member, whole: _Member | None) -> bool:
    return whole is not None and m.array.shape == whole.array.shape and m.array.dtype == whole.array.dtype


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    number, free = 1, name
    while free in taken or free == METADATA:
        number += 1
        free = f"{name}#{number}"
    return free


def _source(m: _Member) -> Source:
    def host() -> np.ndarray:
        array = np.ascontiguousarray(m.device.backend.to_host(m.array)).reshape(m.array.shape)
        return array.view(np.float64).reshape((*m.array.shape, 2)) if pairs else array

    pairs = m.array.dtype == _COMPLEX128  # the format has no complex128: pairs of float64
    dtype = np.dtype(np.float64) if pairs else m.array.dtype
    assert dtype in NAMES
    return Source(dtype, (*m.array.shape, 2) if pairs else tuple(m.array.shape), host)


class _Assembled:
    """The memory under several tensors of which none covers it all; bytes that no tensor sees are zero."""

    def __init__(self, members: list[_Member], low: int, size: int) -> None:
        self.members, self.low, self.size = members, low, size

    def __call__(self) -> np.ndarray:
        memory = np.zeros(self.size, _BYTE)
        for m in self.members:
            part = memory[m.low - self.low : m.high - self.low].view(m.array.dtype)
            seen = np.lib.stride_tricks.as_strided(part, m.array.shape, m.array.strides)
            seen[...] = m.device.backend.to_host(m.array)
        return memory


# ---- loading ---------------------------------------------------------------------------------------------------------

Place = Callable[[np.ndarray, str], tuple[Any, Device]]


class Loaded:
    """Makes the tensors of a file, each when it is first asked for.

    Args:
        arrays: what was read, by name.
        table: the JSON of :meth:`Memory.written`.
        place: brings the bytes of one storage to the device where they belong.
    """

    def __init__(self, arrays: dict[str, np.ndarray], table: Any, place: Place) -> None:
        if not isinstance(table, dict) or not isinstance(table.get("tensors"), list):
            raise Broken("its table of tensors is missing")
        if not isinstance(table.get("storages"), dict):
            raise Broken("its table of storages is missing")
        self._arrays, self._place = arrays, place
        self._notes: list[Any] = table["tensors"]
        self._storages: Any = table["storages"]
        self._made: dict[int, Any] = {}
        self._placed: dict[str, tuple[Any, Device, list[int]]] = {}

    def get(self, number: Any, kind: str) -> Any:
        """Tensor or array ``number``. Raises ValueError, KeyError or TypeError for a damaged table."""
        if type(number) is not int or not 0 <= number < len(self._notes):
            raise ValueError(f"there is no tensor {number!r:.40}")
        if number not in self._made:
            note = self._notes[number]
            self._made[number] = self._array(note) if kind == "array" else self._tensor(note)
        return self._made[number]

    def _array(self, note: Any) -> np.ndarray:
        array, note = self._storage(note["storage"]), note.get("view")
        return array if note is None else _view(Device("cpu"), array, note)

    def _storage(self, name: str) -> np.ndarray:
        array = self._arrays[name]
        if self._storages.get(name, {}).get("dtype") == "complex128":
            if array.dtype != np.float64 or array.ndim == 0 or array.shape[-1] != 2:
                raise ValueError("complex128 must be stored as pairs of F64")
            return array.view(_COMPLEX128).reshape(array.shape[:-1])
        return array

    def _tensor(self, note: Any) -> Tensor:
        name = note["storage"]
        if name not in self._placed:
            location = self._storages.get(name, {}).get("device", "cpu")
            if not isinstance(location, str):
                raise TypeError("a device must be a name")
            self._placed[name] = (*self._place(self._storage(name), location), [0])
        array, device, counter = self._placed[name]
        if note.get("view") is not None:
            array = _view(device, array, note["view"])
        t = wrap(array, device)
        t._counter = counter  # a change of one of them is a change of all
        if not t._data.flags.c_contiguous:
            t._view = View(Tensor._alias(t), (), counter[0], "single")
        kind, grad = note.get("kind"), note.get("grad") is True
        if grad and t._data.dtype not in dtypes.DIFFERENTIABLE:
            raise ValueError(f"a {t.dtype} tensor cannot require grad")
        if kind == "parameter":
            return Parameter(t, requires_grad=grad)
        made = Buffer(t, persistent=note.get("persistent") is not False) if kind == "buffer" else t
        return made.requires_grad_() if grad else made


def _view(device: Device, array: Any, note: Any) -> Any:
    """A part of a storage, checked to lie inside of it."""
    name, offset, shape, strides = note
    dtype = dtypes.as_dtype(name).dtype
    size = array.size * array.dtype.itemsize
    if not is_sizes(shape) or not is_sizes(strides) or len(shape) != len(strides) or not is_sizes([offset]):
        raise ValueError("shape, strides and offset of a view must be whole numbers")
    reach = sum(stride * (n - 1) for stride, n in zip(strides, shape, strict=True)) + 1 if math.prod(shape) else 0
    if offset + reach * dtype.itemsize > size or len(shape) > 64 or math.prod([n for n in shape if n]) >= 1 << 60:
        raise ValueError(f"a view of shape {shape!r:.60} reaches beyond its memory of {size} bytes")
    xp = device.xp
    flat = xp.reinterpret_view(xp.reshape(array, (-1,)), np.uint8) if size else xp.zeros((0,), dtype=np.uint8)
    part = xp.reinterpret_view(flat[offset : offset + reach * dtype.itemsize], dtype)
    return xp.memory_view(part, tuple(shape), tuple(strides), 0)
