"""Which parameters an optimizer updates together.

A ufunc call on a bias of 10 elements takes as long as one on 2,000, so the small tensors of a group are joined: their
state is kept in flat arrays, their gradients are gathered, and each step of the formula is one call for all of them.
Large ones are cut into blocks that stay in the cache, and all threads take part. Parameters themselves never move:
whoever else holds their memory keeps seeing them.
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
#: elements that are updated at a time; half a dozen float32 arrays of them fit into the last-level cache, and a call on
#: them is long enough for a second thread not to wait for the interpreter's lock
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
    """Parameters of one device, dtype and number of updates, that are updated together.

    It is of one of four kinds: ``large``, one tensor in blocks; ``flat``, tensors joined in one array (or one that is
    complex, of half precision or 0-d); ``plain``, one tensor that the formula is applied to as it is; or none of
    these: one tensor of a formula that is not elementwise, and has to be converted first.
    """

    __slots__ = ("bounds", "device", "dtype", "flat", "large", "params", "places", "plain", "rows", "size", "state")

    def __init__(self, params: list[Tensor], slots: list[Slot], places: list[int], elementwise: bool) -> None:
        first = params[0]._data
        self.params = params
        self.places = places  # positions among the parameters that have gradients
        self.device = params[0]._device
        self.dtype = computed_in(first.dtype)
        self.bounds: list[tuple[int, int]] = []
        end = 0
        for p in params:
            self.bounds.append((end, end := end + p._data.size * _reals(p._data.dtype)))
        self.size = end
        single, as_it_is = len(params) == 1, self.dtype == first.dtype
        real = _reals(first.dtype) == 1
        self.large = elementwise and single and real and self.device.type == "cpu" and end > BLOCK
        self.plain = single and first.ndim > 0 and as_it_is and not self.large
        self.flat = elementwise and not self.plain and not self.large
        arrays, xp = self.device.array_type, self.device.xp
        self.state: dict[str, Any] = {}
        for name, value in slots[0].entries.items():
            if not isinstance(value, arrays):
                self.state[name] = value
            elif self.flat:
                self.state[name] = xp.concat([flat_reals(s.entries[name]) for s in slots])
            elif self.large:
                self.state[name] = xp.ascontiguousarray(value).reshape(-1)
            else:
                # arithmetic on 0-d arrays gives scalars, which nothing can be done to in place
                self.state[name] = value if value.ndim else value.reshape(1)
        self.state["step"] = slots[0].step
        self.rows: Any = None  # kept by `fused`

    def slots(self) -> list[Slot]:
        """The state of each parameter; arrays as views of the chunk's."""
        arrays, step = self.device.array_type, self.state["step"]
        entries = {k: v for k, v in self.state.items() if k != "step"}
        if self.plain:
            return [Slot(step, entries)]
        if not (self.flat or self.large):
            shape = self.params[0]._data.shape
            return [Slot(step, {k: v.reshape(shape) if isinstance(v, arrays) and not shape else v
                                for k, v in entries.items()})]  # fmt: skip
        return [
            Slot(step, {k: _shaped(v[start:end], p._data) if isinstance(v, arrays) else v for k, v in entries.items()})
            for p, (start, end) in zip(self.params, self.bounds)
        ]


def computed_in(dtype: Any) -> Any:
    """The real dtype that a parameter's update is computed in: float32 for those of half precision."""
    if dtype.itemsize == 2:
        return np.dtype(np.float32)
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def _reals(dtype: Any) -> int:
    """How many real numbers an element is."""
    return 2 if dtype.kind == "c" else 1


def flat_reals(array: Any) -> Any:
    """All elements in one row, complex ones as pairs of real numbers; a view where the memory allows one."""
    flat = array.reshape(-1)
    return flat.view(computed_in(array.dtype)) if array.dtype.kind == "c" else flat


def _shaped(row: Any, like: Any) -> Any:
    """The inverse of :func:`flat_reals`: a view of the shape, and if complex the dtype, of ``like``."""
    return (row.view(like.dtype) if like.dtype.kind == "c" else row).reshape(like.shape)


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
        #: whether compiled loops do the steps; found out at the first one
        self.fused: bool | None = None

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


def make(
    optimizer: Optimizer, before: Plan | None, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]
) -> Plan:
    """Arrange ``params`` anew; their state is carried over."""
    label = type(optimizer).__name__
    for i, (p, g) in enumerate(zip(params, grads)):
        if g._data.dtype != p._data.dtype or g._data.shape != p._data.shape or g._device is not p._device:
            raise RuntimeError(
                f"{label}: the gradient of parameter {i} must be of its kind, {_kind(p)}, got {_kind(g)}; "
                "was p.data replaced after backward()?"
            )
    if before is not None:
        before.write_back(optimizer._slots)
    changes = 0 if before is None else before.changes + 1
    joins = optimizer.gathers(group) and changes < _PATIENCE
    open_: dict[Any, tuple[list[Tensor], list[Slot], list[int]]] = {}
    runs: list[tuple[list[Tensor], list[Slot], list[int]]] = []
    for i, p in enumerate(params):
        slot = slot_of(optimizer, p, group)
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


def _kind(t: Tensor) -> str:
    return f"{t.dtype} of shape {tuple(t.shape)} on {t.device}"


def slot_of(optimizer: Optimizer, p: Tensor, group: dict[str, Any]) -> Slot:
    """The state of ``p``, where ``p`` is now; made when it is updated for the first time."""
    slot = optimizer._slots.get(p)
    if slot is None:
        check_dtype(optimizer, p, group)
        seen = optimizer._state.get(p)
        if seen:
            from chainrule.optim.state import read

            keep = bool(group.get("differentiable"))
            slot = read(type(optimizer).__name__, optimizer, "a parameter", p, group, seen, keep=keep)
        else:
            slot = Slot(0, fresh(optimizer, p, group))
        optimizer._slots[p] = slot
        return slot
    for name, value in slot.entries.items():
        if hasattr(value, "dtype"):
            slot.entries[name] = placed(value, p._device, state_dtype(p))
    return slot


def fresh(optimizer: Optimizer, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    """The state before the first update."""
    array, xp = p._data, p._device.xp
    if array.dtype.kind != "c":
        like = xp.astype(array, np.dtype(np.float32)) if array.dtype.itemsize == 2 else array
        return optimizer.init_state(xp, like, group)
    entries = optimizer.init_state(xp, flat_reals(array), group)
    return {k: _shaped(v, array) if isinstance(v, p._device.array_type) else v for k, v in entries.items()}


def state_dtype(p: Tensor) -> Any:
    """The dtype of the state arrays of a parameter."""
    return np.dtype(np.float32) if p._data.dtype.itemsize == 2 else p._data.dtype


def check_dtype(optimizer: Optimizer, p: Tensor, group: dict[str, Any]) -> None:
    """Raise TypeError where the formula cannot be applied to a parameter of this dtype."""
    label, category = type(optimizer).__name__, dtypes.category(p._data.dtype)
    if category == 3:
        if not optimizer.elementwise or group.get("differentiable"):
            how = "with differentiable=True" if optimizer.elementwise else "by this optimizer"
            raise TypeError(f"{label}: complex parameters cannot be optimized {how}, got {p.dtype}; use view_as_real")
    elif category != 2:
        raise TypeError(f"{label}: expected floating-point parameters, got {p.dtype}")


def placed(array: Any, device: Any, dtype: Any) -> Any:
    """An array (of any library) or a Tensor as an array of ``device`` and ``dtype``."""
    if isinstance(array, Tensor):
        array = array.to(device)._data
    if not isinstance(array, device.array_type):
        host = array.get() if hasattr(array, "get") else array
        host = np.asarray(host)
        array = device.asarray(host) if device.type == "cpu" else device.backend.from_host(host, device.index or 0)
    return array if array.dtype == dtype else device.xp.astype(array, dtype)
