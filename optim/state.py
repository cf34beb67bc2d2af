"""The state of an optimizer as a dict in PyTorch's form, and back."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autograd.foreign import host_array
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device
from chainrule.optim.plan import Slot, check_dtype, fresh, placed, state_dtype

if TYPE_CHECKING:
    from chainrule.optim.optimizer import Optimizer


def _shown(optimizer: Optimizer, p: Tensor, slot: Slot, group: dict[str, Any]) -> dict[str, Any]:
    """What is remembered of a parameter as PyTorch keeps it: Tensors, which may share the optimizer's memory."""
    device, host = p._device, Device("cpu")
    entries = optimizer.export_state(device.xp, {"step": slot.step, **slot.entries}, group)
    result: dict[str, Any] = {}
    for name, value in entries.items():
        if name == "step":
            if optimizer.counts:
                result[name] = wrap(np.asarray(float(value), dtype=np.float32), host)
        elif name in optimizer.numbers:
            result[name] = wrap(np.asarray(float(value), dtype=np.float64), host)
        elif hasattr(value, "dtype") and not isinstance(value, Tensor):
            result[name] = wrap(device.asarray(value), device)  # a 0-d array times a number is a scalar
        else:
            result[name] = value
    return result


def settle(optimizer: Optimizer) -> None:
    """Move what is remembered to where people see and change it; the next step takes it from there."""
    for p, slot, group in list(optimizer.slots()):
        shown = _shown(optimizer, p, slot, group)
        if shown:
            entries = optimizer._state[p]
            entries.clear()
            entries.update(shown)
    optimizer._slots, optimizer._plans = {}, {}


def copied(value: Any) -> Any:
    """A copy of a state entry with memory of its own."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {k: copied(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(copied(v) for v in value)
    return copy.deepcopy(value)


def state_dict(optimizer: Optimizer) -> dict[str, Any]:
    """``{"state": {index: {...}}, "param_groups": [{..., "params": [index, ...]}]}``"""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    index = {id(p): i for i, p in enumerate(params)}
    groups = []
    for group in optimizer.param_groups:
        settings = {k: copied(v) for k, v in group.items() if k != "params"}
        groups.append({**settings, "params": [index[id(p)] for p in group["params"]]})
    live = {id(p): _shown(optimizer, p, slot, group) for p, slot, group in optimizer.slots()}
    state: dict[Any, Any] = {}
    for p in params:
        entries = live.get(id(p), optimizer._state.get(p))
        if entries:
            state[index[id(p)]] = copied(entries)
    others = {k: copied(v) for k, v in optimizer._state.items() if not (isinstance(k, Tensor) and id(k) in index)}
    return {"state": {**state, **others}, "param_groups": groups}


def load(optimizer: Optimizer, given: Mapping[str, Any]) -> None:
    """``optimizer.load_state_dict``: everything is checked before anything is changed."""
    label = f"{type(optimizer).__name__}.load_state_dict"
    if not isinstance(given, Mapping) or "state" not in given or "param_groups" not in given:
        raise ValueError(f"{label}: expected a dict with 'state' and 'param_groups'")
    saved, own = given["param_groups"], optimizer.param_groups
    if len(saved) != len(own):
        raise ValueError(f"{label}: the optimizer has {len(own)} parameter groups, the state dict {len(saved)}")
    by_index: dict[Any, tuple[Tensor, dict[str, Any]]] = {}
    groups = []
    for i, (mine, theirs) in enumerate(zip(own, saved, strict=True)):
        if len(mine["params"]) != len(theirs["params"]):
            raise ValueError(
                f"{label}: group {i} has {len(mine['params'])} parameters, {len(theirs['params'])} in the state dict"
            )
        groups.append({**mine, **{k: _setting(v) for k, v in theirs.items() if k != "params"}})
        by_index.update({j: (p, groups[-1]) for j, p in zip(theirs["params"], mine["params"], strict=True)})
    formula = type(optimizer).update is not _base().update
    slots: dict[Tensor, Slot] = {}
    state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
    for j, entries in given["state"].items():
        if j not in by_index:
            if isinstance(j, int):
                raise ValueError(f"{label}: there is state for parameter {j!r}, which no group has")
            state[j] = copied(entries)
            continue
        p, group = by_index[j]
        if not entries:
            continue
        if formula:
            check_dtype(optimizer, p, group)
            slots[p] = read(label, optimizer, f"parameter {j}", p, group, entries, copy=True)
        else:
            state[p] = {k: _brought(v, p, k) for k, v in entries.items()}
    for group, settings in zip(own, groups, strict=True):
        group.update(settings)
    optimizer._slots, optimizer._plans, optimizer._state = slots, {}, state


def _base() -> type[Optimizer]:
    from chainrule.optim.optimizer import Optimizer

    return Optimizer


def _setting(value: Any) -> Any:
    """A copy of a group's setting; another library's tensor (a learning rate) becomes one of ours."""
    if hasattr(value, "shape") and not isinstance(value, Tensor):
        return wrap(np.array(value), Device("cpu"))
    return copied(value)


def _host(value: Any) -> Any:
    """Another library's tensor as an array; a Tensor as it is."""
    return value if isinstance(value, Tensor) or hasattr(value, "get") else host_array(value)


def _brought(value: Any, p: Tensor, name: Any = None) -> Any:
    """A loaded entry where ``p`` is: Tensors get its device and, if it is floating-point, its dtype."""
    if hasattr(value, "shape"):
        if name == "step":
            return wrap(np.array(_host(value)), Device("cpu")) if not isinstance(value, Tensor) else copied(value)
        value = _host(value)
        own = value._data.dtype if isinstance(value, Tensor) else value.dtype
        dtype = p._data.dtype if p.is_floating_point() else own
        return wrap(placed(value, p._device, dtype).copy(), p._device)
    if isinstance(value, Mapping):
        return {k: _brought(v, p, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_brought(v, p) for v in value)
    return copy.deepcopy(value)


def read(
    label: str,
    optimizer: Optimizer,
    which: str,
    p: Tensor,
    group: dict[str, Any],
    entries: Mapping[str, Any],
    copy: bool = False,
    keep: bool = False,
) -> Slot:
    """The state of one parameter as ``update`` wants it; raise ValueError where it does not fit.

    Args:
        label, which: what messages begin with, and what they call the parameter.
        copy: arrays get memory of their own.
        keep: Tensors stay Tensors, and connected to their graph.
    """
    device, xp = p._device, p._device.xp
    expected = optimizer.export_state(xp, {"step": 0, **fresh(optimizer, p, group)}, group)
    given = {k: v for k, v in entries.items() if v is not None}  # PyTorch's SGD without momentum saves None
    missing = [k for k in expected if k not in given and (k != "step" or optimizer.counts)]
    if missing:
        raise ValueError(
            f"{label}: the state of {which} has no {missing[0]!r}, only {sorted(map(str, given))}; "
            "is it of another optimizer, or of other settings?"
        )
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name == "step":
            found[name] = int(value)
        elif name in optimizer.numbers:
            found[name] = float(value)
        elif hasattr(value, "shape"):
            like = expected.get(name, p._data)
            if (name in expected or optimizer.elementwise) and tuple(value.shape) != tuple(like.shape):
                raise ValueError(
                    f"{label}: {name!r} of {which} has shape {tuple(value.shape)}, expected {tuple(like.shape)}"
                )
            if keep and isinstance(value, Tensor):
                found[name] = value
                continue
            found[name] = placed(_host(value), device, state_dtype(p))
            if copy:
                found[name] = found[name].copy()
        else:
            found[name] = copied(value)
    found = optimizer.import_state(xp, found, group)
    # state without a count (PyTorch's SGD) belongs to a parameter that was updated at least once
    return Slot(found.pop("step", 1), found)
