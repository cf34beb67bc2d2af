"""The state of an optimizer as a dict in PyTorch's form, and back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autograd.foreign import host_array
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.optim.plan import Slot, placed

if TYPE_CHECKING:
    from chainrule.optim.optimizer import Optimizer


def export(optimizer: Optimizer) -> dict[Tensor, dict[str, Any]]:
    """What is remembered of each parameter, with Tensors of their own memory."""
    result: dict[Tensor, dict[str, Any]] = {}
    for p, slot, group in optimizer.slots():
        device = p._device
        entries = optimizer.export_state(device.xp, {"step": slot.step, **slot.entries}, group)
        result[p] = {
            name: wrap(device.asarray(value).copy(), device) if hasattr(value, "dtype") else value
            for name, value in entries.items()
        }
        if not result[p]:
            del result[p]  # nothing is remembered
    return result


def state_dict(optimizer: Optimizer) -> dict[str, Any]:
    """``{"state": {index: {...}}, "param_groups": [{..., "params": [index, ...]}]}``"""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    index = {id(p): i for i, p in enumerate(params)}
    groups = []
    for group in optimizer.param_groups:
        settings = {k: copy.copy(v) for k, v in group.items() if k != "params"}
        groups.append({**settings, "params": [index[id(p)] for p in group["params"]]})
    return {"state": {index[id(p)]: entries for p, entries in export(optimizer).items()}, "param_groups": groups}


def load(optimizer: Optimizer, given: Mapping[str, Any]) -> None:
    """``optimizer.load_state_dict``: everything is checked before anything is changed."""
    label = f"{type(optimizer).__name__}.load_state_dict"
    if not isinstance(given, Mapping) or "state" not in given or "param_groups" not in given:
        raise ValueError(f"{label}: expected a dict with 'state' and 'param_groups'")
    saved, own = given["param_groups"], optimizer.param_groups
    if len(saved) != len(own):
        raise ValueError(f"{label}: the optimizer has {len(own)} parameter groups, the state dict {len(saved)}")
    by_index: dict[int, tuple[Tensor, dict[str, Any]]] = {}
    groups = []
    for i, (mine, theirs) in enumerate(zip(own, saved, strict=True)):
        if len(mine["params"]) != len(theirs["params"]):
            raise ValueError(
                f"{label}: group {i} has {len(mine['params'])} parameters, {len(theirs['params'])} in the state dict"
            )
        groups.append({**mine, **copy.deepcopy({k: v for k, v in theirs.items() if k != "params"})})
        by_index.update({j: (p, groups[-1]) for j, p in zip(theirs["params"], mine["params"], strict=True)})
    slots: dict[Tensor, Slot] = {}
    for j, entries in given["state"].items():
        if j not in by_index:
            raise ValueError(f"{label}: there is state for parameter {j!r}, which no group has")
        p, group = by_index[j]
        slots[p] = _slot(label, optimizer, j, p, group, entries)
    for group, settings in zip(own, groups, strict=True):
        group.update(settings)
    optimizer._slots = slots
    optimizer._plans = {}


def _slot(label: str, optimizer: Optimizer, j: int, p: Tensor, group: dict[str, Any], entries: Any) -> Slot:
    device = p._device
    dtype = np.dtype(np.float32) if p._data.dtype.itemsize == 2 else p._data.dtype
    read: dict[str, Any] = {}
    for name, value in entries.items():
        if value is None:
            continue  # PyTorch's SGD without momentum saves None
        if name == "step":
            read[name] = int(value)
        elif hasattr(value, "shape"):
            if tuple(value.shape) != tuple(p._data.shape):
                raise ValueError(
                    f"{label}: {name!r} of parameter {j} has shape {tuple(value.shape)}, the parameter {tuple(p.shape)}"
                )
            array = value if isinstance(value, Tensor) else host_array(value)
            fresh = placed(array, device, dtype)
            read[name] = fresh.copy()
        else:
            read[name] = copy.deepcopy(value)
    read = optimizer.import_state(device.xp, read, group)
    # state without a count (PyTorch's SGD) belongs to a parameter that was updated at least once
    return Slot(read.pop("step", 1), read)
