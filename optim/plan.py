"""Which parameters an optimizer updates together.

A ufunc call on a bias of 10 elements takes as long as one on 2,000, so the small tensors of a group are joined: their
state is kept in flat arrays, their gradients are gathered, and each step of the formula is one call for all of them.
Parameters themselves never move: whoever else holds their memory keeps seeing them.
"""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.tensor import Tensor

if TYPE_CHECKING:
    from chainrule.optim.optimizer import Optimizer

#: tensors of at most this many elements are joined: above, copying the gradient costs more than the calls
SMALL = 16_384
#: elements that are updated at a time; half a dozen float32 arrays of them fit into the last-level cache
BLOCK = 262_144
#: how often a group is arranged anew before joining is given up: the set of parameters with gradients keeps changing
_PATIENCE = 8


class Slot:
    """What is remembered of one parameter between arrangements: the number of its updates, arrays and numbers."""

    __slots__ = ("entries", "step")

    def __init__(self, step: int, entries: dict[str, Any]) -> None:
        self.step = step
        self.entries = entries


class Chunk:
    """Parameters of one device, dtype and number of updates, that are updated together."""

    __slots__ = ("blocks", "bounds", "device", "dtype", "half", "params", "places", "plain", "state")

    def __init__(self, params: list[Tensor], slots: list[Slot], places: list[int], elementwise: bool) -> None:
        first = params[0]
        self.params = params
        self.places = places  # positions among the parameters that have gradients
        self.device = first._device
        # half-precision parameters are updated in float32
        self.half = first._data.dtype.itemsize == 2
        self.dtype: Any = np.dtype(np.float32) if self.half else first._data.dtype
        self.bounds: list[tuple[int, int]] = []
        end = 0
        for p in params:
            self.bounds.append((end, end := end + p._data.size))
        self.blocks = (
            elementwise and len(params) == 1 and self.device.type == "cpu" and end > 2 * BLOCK and not self.half
        )
        self.plain = len(params) == 1 and first._data.ndim > 0 and not self.half and not self.blocks
        arrays, xp = self.device.array_type, self.device.xp
        if len(params) == 1:
            # arithmetic on 0-d arrays gives scalars, which nothing can be done to in place
            flat = first._data.ndim == 0
            entries = slots[0].entries.items()
            self.state = {k: v.reshape(1) if flat and isinstance(v, arrays) else v for k, v in entries}
        else:
            self.state = {
                name: xp.concat([s.entries[name].reshape(-1) for s in slots]) if isinstance(value, arrays) else value
                for name, value in slots[0].entries.items()
            }
        self.state["step"] = slots[0].step

    def slots(self) -> list[Slot]:
        """The state of each parameter; arrays as views of the chunk's."""
        arrays, step = self.device.array_type, self.state["step"]
        entries = {k: v for k, v in self.state.items() if k != "step"}
        if self.plain:
            return [Slot(step, entries)]
        return [
            Slot(
                step,
                {
                    k: v.reshape(-1)[start:end].reshape(p._data.shape) if isinstance(v, arrays) else v
                    for k, v in entries.items()
                },
            )
            for p, (start, end) in zip(self.params, self.bounds)
        ]


class Plan:
    """The arrangement of one group's parameters that have gradients."""

    def __init__(self, params: list[Tensor], chunks: list[Chunk], changes: int) -> None:
        self.params = params
        self.arrays = [p._data for p in params]
        #: single tensors that need nothing but the formula: (place, parameter, state, functions)
        self.plain = [(c.places[0], c.params[0], c.state, c.device.xp) for c in chunks if c.plain]
        self.others = [c for c in chunks if not c.plain]
        self.chunks = chunks
        self.changes = changes

    def fits(self, params: list[Tensor]) -> bool:
        """Whether these are the parameters it was made for, where they were and of the dtype they had."""
        if len(params) != len(self.params) or not all(map(is_, params, self.params)):
            return False
        arrays = [p._data for p in params]
        if all(map(is_, arrays, self.arrays)):
            return True
        # p.data was assigned: the plan still fits if the new arrays are like the old ones
        if any(type(a) is not type(b) or a.dtype != b.dtype or a.shape != b.shape for a, b in zip(arrays, self.arrays)):
            return False
        if any(p._device is not c.device for c in self.chunks for p in c.params):
            return False
        self.arrays = arrays
        return True

    def write_back(self, slots: dict[Tensor, Slot]) -> None:
        """Put the state where single parameters find it."""
        for chunk in self.chunks:
            slots.update(zip(chunk.params, chunk.slots()))


def make(optimizer: Optimizer, before: Plan | None, params: list[Tensor], group: dict[str, Any]) -> Plan:
    """Arrange ``params`` anew; their state is carried over."""
    if before is not None:
        before.write_back(optimizer._slots)
    changes = 0 if before is None else before.changes + 1
    joins = optimizer.gathers(group) and changes < _PATIENCE
    open_: dict[Any, tuple[list[Tensor], list[Slot], list[int]]] = {}
    runs: list[tuple[list[Tensor], list[Slot], list[int]]] = []
    for i, p in enumerate(params):
        slot = _slot(optimizer, p, group)
        if not joins or p._data.size > SMALL:
            runs.append(([p], [slot], [i]))
            continue
        numbers = tuple(sorted((k, None if hasattr(v, "dtype") else v) for k, v in slot.entries.items()))
        key = (p._device, p._data.dtype, slot.step, numbers)
        run = open_.get(key)
        if run is None or sum(q._data.size for q in run[0]) + p._data.size > BLOCK:
            run = open_[key] = ([], [], [])
            runs.append(run)
        run[0].append(p)
        run[1].append(slot)
        run[2].append(i)
    return Plan(params, [Chunk(*run, optimizer.elementwise) for run in runs], changes)


def _slot(optimizer: Optimizer, p: Tensor, group: dict[str, Any]) -> Slot:
    """The state of ``p``, where ``p`` is now; made when it is updated for the first time."""
    device, xp = p._device, p._device.xp
    half = p._data.dtype.itemsize == 2
    dtype = np.dtype(np.float32) if half else p._data.dtype
    slot = optimizer._slots.get(p)
    if slot is None:
        if not optimizer_takes(p):
            raise TypeError(f"{type(optimizer).__name__}: expected floating-point parameters, got {p.dtype}")
        like = xp.astype(p._data, dtype) if half else p._data
        slot = optimizer._slots[p] = Slot(0, optimizer.init_state(xp, like, group))
        return slot
    for name, value in slot.entries.items():
        if hasattr(value, "dtype"):
            slot.entries[name] = placed(value, device, dtype)
    return slot


def optimizer_takes(p: Tensor) -> bool:
    """Whether a parameter is of a real floating dtype."""
    return dtypes.category(p._data.dtype) == 2


def placed(array: Any, device: Any, dtype: Any) -> Any:
    """An array (of any backend) or a Tensor as an array of ``device`` and ``dtype``."""
    if isinstance(array, Tensor):
        array = array.to(device)._data
    if not isinstance(array, device.array_type):
        host = array.get() if hasattr(array, "get") else array
        host = np.asarray(host)
        array = device.asarray(host) if device.type == "cpu" else device.backend.from_host(host, device.index or 0)
    return array if array.dtype == dtype else device.xp.astype(array, dtype)
