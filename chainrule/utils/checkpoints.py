"""Checkpoints of a training run: everything that a killed program needs to go on as if nothing had happened.

(:mod:`chainrule.utils.checkpoint`, without the s, computes activations again to save memory.)
"""

from __future__ import annotations

import copy
import glob
import os
import random as python_random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chainrule.autograd.random import Generator, default_generator
from chainrule.nn.module import Module
from chainrule.saving import load, save

__all__ = ["Checkpoints", "load_checkpoint", "save_checkpoint"]

_VERSION = 1


def save_checkpoint(
    path: str | os.PathLike[str],
    model: Any = None,
    optimizer: Any = None,
    scheduler: Any = None,
    epoch: int | None = None,
    **extra: Any,
) -> None:
    """Write the state of a training run in one file, with the state of the random numbers.

    The file is replaced when the new one is complete and on the disk. Kept are the random states of this package, of
    Python's ``random`` and of NumPy's global functions.

    Args:
        model, optimizer, scheduler: what has ``state_dict()``; or a list or a dict of such.
        epoch: how far the run is.
        extra: more of these, generators of random numbers, and whatever ``cr.save`` takes (a list of losses, settings).

    Raises:
        TypeError: something cannot be saved; the message says what. OSError: the file cannot be written.

    Example:
        >>> import os, tempfile, chainrule as cr
        >>> from chainrule.utils.checkpoints import load_checkpoint, save_checkpoint
        >>> model = cr.nn.Linear(2, 1)
        >>> optimizer = cr.optim.Adam(model.parameters())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "run.safetensors")
        ...     save_checkpoint(path, model, optimizer, epoch=3, losses=[0.5, 0.25])
        ...     load_checkpoint(path, model, optimizer)
        {'epoch': 3, 'losses': [0.5, 0.25]}
    """
    given = {"model": model, "optimizer": optimizer, "scheduler": scheduler, **extra}
    objects, values = _sorted_out(given)
    if epoch is not None:
        values = {"epoch": epoch, **values}
    states = {name: {"kind": type(o).__name__, "state": _access(o).get()} for name, o in objects.items()}
    random = {name: access.get() for name, access in _RANDOM.items()}
    save({"checkpoint": _VERSION, "objects": states, "values": values, "random": random}, path)


def load_checkpoint(
    path: str | os.PathLike[str],
    model: Any = None,
    optimizer: Any = None,
    scheduler: Any = None,
    *,
    map_location: Any = None,
    random: bool = True,
    **extra: Any,
) -> dict[str, Any]:
    """Put everything back as :func:`save_checkpoint` found it; all of it, or nothing where something does not fit.

    Args:
        model, optimizer, scheduler, extra: what was saved under these names. What is left out is not loaded.
        map_location: as in ``cr.load``.
        random: also go on with the random numbers where the checkpoint was.

    Returns:
        the epoch, and the values that were saved beside it, by name.

    Raises:
        RuntimeError: the file is no checkpoint or damaged, or something does not fit it; nothing was changed then.
        OSError: the file cannot be read.

    Example:
        >>> import os, tempfile, chainrule as cr
        >>> from chainrule.utils.checkpoints import load_checkpoint, save_checkpoint
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "run.safetensors")
        ...     save_checkpoint(path, cr.nn.Linear(2, 1), epoch=3)
        ...     first = load_checkpoint(path, cr.nn.Linear(2, 1)), cr.rand(1).item()
        ...     first == (load_checkpoint(path, cr.nn.Linear(2, 1)), cr.rand(1).item())  # the same random number
        True
    """
    label = f"load_checkpoint: {os.fspath(path)!r}"
    saved = load(path, map_location)
    if not isinstance(saved, dict) or set(saved) != {"checkpoint", "objects", "values", "random"}:
        raise RuntimeError(f"{label} is no file of save_checkpoint; cr.load reads it")
    if saved["checkpoint"] != _VERSION:
        raise RuntimeError(f"{label} has version {saved['checkpoint']!r}, this reads {_VERSION}; update chainrule")
    objects, values = _sorted_out({"model": model, "optimizer": optimizer, "scheduler": scheduler, **extra})
    if values:
        raise TypeError(
            f"load_checkpoint: {sorted(values)} cannot be loaded into: they have no state; what was saved under such a "
            f"name is among the values that are returned"
        )
    _check_names(label, objects, saved["objects"])
    targets = [(name, _access(o), saved["objects"][name]["state"]) for name, o in objects.items()]
    if random:
        targets += [(name, access, saved["random"][name]) for name, access in _RANDOM.items()]
    _load_all(label, targets)
    return saved["values"]


class Checkpoints:
    """The checkpoints of one run in a folder: the last ones are kept, older ones are deleted.

    One program at a time may save; others may read.

    Args:
        folder: made where it does not exist.
        keep: how many checkpoints stay; None keeps all.
        name: what their files are called, before the number of the epoch.

    Raises:
        ValueError: ``keep`` is not positive, or ``name`` is no plain file name.

    Example:
        A program that can be killed at any time, and goes on when it is started again:

        >>> import tempfile, chainrule as cr
        >>> from chainrule.utils.checkpoints import Checkpoints
        >>> folder = tempfile.TemporaryDirectory()
        >>> model = cr.nn.Linear(2, 1)
        >>> optimizer = cr.optim.SGD(model.parameters(), lr=0.1)
        >>> checkpoints = Checkpoints(folder.name, keep=2)
        >>> found = checkpoints.load(model, optimizer)  # None at the first start
        >>> for epoch in range(found["epoch"] + 1 if found else 0, 4):
        ...     checkpoints.save(epoch, model, optimizer)
        >>> [path.name for path in checkpoints.paths()]
        ['checkpoint-000002.safetensors', 'checkpoint-000003.safetensors']
        >>> folder.cleanup()
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int | None = 3, name: str = "checkpoint") -> None:
        if keep is not None and keep < 1:
            raise ValueError(f"Checkpoints: keep must be positive, or None for all, got {keep}")
        if not name or name != os.path.basename(name):
            raise ValueError(f"Checkpoints: name must be a plain file name, got {name!r}")
        self.folder, self.keep, self.name = Path(folder), keep, name
        self.folder.mkdir(parents=True, exist_ok=True)

    def paths(self) -> list[Path]:
        """The files of the checkpoints, the lowest epoch first."""
        pattern = re.compile(re.escape(self.name) + r"-(\d+)\.safetensors")
        found = [(int(m[1]), path) for path in self.folder.iterdir() if (m := pattern.fullmatch(path.name))]
        return [path for _, path in sorted(found)]

    def latest(self) -> Path | None:
        """The file of the highest epoch, or None."""
        return next(reversed(self.paths()), None)

    def save(
        self, epoch: int, model: Any = None, optimizer: Any = None, scheduler: Any = None, **extra: Any
    ) -> None:
        """:func:`save_checkpoint` under the epoch's name; then the oldest ones beyond ``keep`` are deleted."""
        if not isinstance(epoch, int) or epoch < 0:
            raise ValueError(f"Checkpoints.save: epoch must be a number of at least 0, got {epoch!r}")
        for left in self.folder.glob(f".{glob.escape(self.name)}-*.safetensors.*.tmp"):  # by a save that was killed
            left.unlink(missing_ok=True)
        path = self.folder / f"{self.name}-{epoch:06d}.safetensors"
        save_checkpoint(path, model, optimizer, scheduler, epoch, **extra)
        others = [p for p in self.paths() if p != path]  # the one just written stays, whatever its number
        for old in others[: len(others) + 1 - self.keep] if self.keep is not None else ():
            old.unlink(missing_ok=True)

    def load(
        self, model: Any = None, optimizer: Any = None, scheduler: Any = None, **options: Any
    ) -> dict[str, Any] | None:
        """:func:`load_checkpoint` of the highest epoch; None, and nothing loaded, where there is no checkpoint."""
        path = self.latest()
        return None if path is None else load_checkpoint(path, model, optimizer, scheduler, **options)


# ---- what has a state ------------------------------------------------------------------------------------------------


class _Access(NamedTuple):
    """How the state of something is read and put back."""

    get: Callable[[], Any]
    put: Callable[[Any], Any]
    check: Callable[[Any], None] = lambda state: None


def _access(value: Any) -> _Access:
    if hasattr(value, "state_dict"):
        return _Access(value.state_dict, value.load_state_dict, _groups_check(value))
    if isinstance(value, np.random.Generator):

        def put(state: Any) -> None:
            value.bit_generator.state = state

        return _Access(lambda: value.bit_generator.state, put)
    return _Access(value.get_state, value.set_state)


def _has_state(value: Any) -> bool:
    if isinstance(value, (Generator, np.random.Generator)):
        return True
    return hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


def _groups_check(scheduler: Any) -> Callable[[Any], None]:
    """A scheduler takes over whatever it is given; at least the learning rates must be as many as the groups."""

    def check(state: Any) -> None:
        rates = state.get("base_lrs") if isinstance(state, dict) else None
        groups = getattr(getattr(scheduler, "optimizer", None), "param_groups", None)
        if rates is not None and groups is not None and len(rates) != len(groups):
            raise ValueError(f"it has {len(rates)} learning rates, the optimizer {len(groups)} parameter groups")

    return check


def _put_numpy(state: Any) -> None:
    np.random.set_state(state)  # noqa: NPY002  (what programs use that draw from the global functions)


_RANDOM = {
    "chainrule": _Access(default_generator.get_state, default_generator.set_state),
    "python": _Access(python_random.getstate, python_random.setstate),
    "numpy": _Access(lambda: np.random.get_state(legacy=False), _put_numpy),  # noqa: NPY002  (as above)
}


def _sorted_out(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What has a state, by name, also in lists and dicts; and the plain values."""
    objects: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for name, value in given.items():
        parts = dict(_parts(name, value))
        if parts and all(_has_state(part) for part in parts.values()):
            objects.update(parts)
        elif name not in ("model", "optimizer", "scheduler"):
            values[name] = value
        elif value is not None:
            raise TypeError(
                f"checkpoint: {name} must have state_dict() and load_state_dict(), or be a list or a dict of such, got "
                f"{type(value).__name__}"
            )
    return objects, values


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (list, tuple)) and not isinstance(value, Module):
        yield from ((f"{name}[{i}]", part) for i, part in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f"{name}[{key!r}]", part) for key, part in value.items())
    else:
        yield name, value


def _check_names(label: str, objects: dict[str, Any], saved: dict[str, Any]) -> None:
    for name, value in objects.items():
        if name not in saved:
            raise RuntimeError(f"{label} has no {name!r}; it has {', '.join(map(repr, saved)) or 'nothing'}")
        kind = saved[name]["kind"]
        if not isinstance(value, Module) and kind != type(value).__name__:
            raise RuntimeError(f"{label}: {name} is of type {type(value).__name__}, the one that was saved {kind}")


def _load_all(label: str, targets: list[tuple[str, _Access, Any]]) -> None:
    """Put all states, or put back what there was."""
    before: list[tuple[_Access, Any]] = []
    current = ""
    try:
        for name, access, state in targets:
            current = name
            access.check(state)
        for name, access, state in targets:
            current = name
            before.append((access, copy.deepcopy(access.get())))
            access.put(state)
    except Exception as error:
        for access, state in reversed(before):
            access.put(state)
        raise RuntimeError(f"{label}: {current} does not fit, and nothing was loaded: {error}") from error
