"""Saving and loading without pickle: ``cr.save`` and ``cr.load``.

A file is a safetensors container. The tensors stand in it under their dotted names (``model.0.weight``), where any
reader of safetensors finds them; the metadata entry ``chainrule`` is JSON that says how they and everything else
(numbers, strings, dicts, tuples, ...) make up the value that was saved. This format, and not a zip of ``.npy`` files,
because other programs read it, because it can be mapped into memory, and because one header is easier to check than an
archive: a hostile file is refused before anything is allocated for it, and nothing in a file is ever run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device
from chainrule.saving import container, files, values
from chainrule.saving.container import Broken
from chainrule.saving.memory import Loaded, Memory, Place

#: the version of the JSON; a reader refuses newer ones
_VERSION = 1
_KEY = "chainrule"


def save(obj: Any, f: Any, pickle_module: None = None, pickle_protocol: int = 2) -> None:
    """Save tensors, and dicts, lists and tuples of tensors, arrays, numbers and strings, in one file.

    State dicts of models, optimizers and schedulers are such values, and checkpoints made of them. Tensors that share
    memory are written once and share it again after loading. A path is replaced when the new file is complete and on
    the disk: whatever goes wrong, there is the old file or the new one.

    Args:
        obj: what to save.
        f: a path, or a file object open for writing in binary.
        pickle_module: only None; nothing is pickled.
        pickle_protocol: accepted and without effect.

    Raises:
        TypeError: ``obj`` holds something else, such as a module; the message says where, and what to save instead.
        OSError: the file cannot be written.

    Example:
        >>> import io, chainrule as cr
        >>> file = io.BytesIO()
        >>> cr.save({"epoch": 3, "model": cr.nn.Linear(2, 1).state_dict()}, file)
        >>> _ = file.seek(0)
        >>> checkpoint = cr.load(file)
        >>> checkpoint["epoch"], list(checkpoint["model"])
        (3, ['weight', 'bias'])
    """
    if pickle_module is not None:
        raise ValueError("cr.save: pickle_module must be None: nothing is pickled")
    memory = Memory()
    value = values.encode(obj, memory)
    sources, table = memory.written()
    text = json.dumps({"version": _VERSION, "value": value, **table}, separators=(",", ":"), ensure_ascii=False)
    metadata = {"format": "chainrule", _KEY: text}
    files.write_whole(f, lambda file: container.write(file, sources, metadata), "cr.save")


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: None = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
) -> Any:
    """Load what :func:`save` saved, or the tensors of any safetensors file as a dict. Nothing in a file is ever run.

    Args:
        f: a path, or a file object open for reading in binary.
        map_location: where the tensors go instead of where they were: a device, a dict from old to new devices, or a
            function of a tensor on the CPU and the name of its old device, which returns a tensor (None: where it was).
        pickle_module: only None; nothing is unpickled.
        weights_only: accepted and without effect: every load is safe.
        mmap: map the file into memory instead of reading it; its pages are read when they are used, and changes of the
            tensors stay in memory. Only for paths.

    Raises:
        RuntimeError: the file is damaged, is of another kind (a pickle, say), or needs a device that is not there.
        OSError: the file cannot be read.

    Example:
        >>> import io, chainrule as cr
        >>> file = io.BytesIO()
        >>> cr.save([cr.ones(2), (1, "two")], file)
        >>> _ = file.seek(0)
        >>> cr.load(file, map_location="cpu")
        [tensor([1., 1.]), (1, 'two')]
    """
    if pickle_module is not None:
        raise ValueError("cr.load: pickle_module must be None: nothing is unpickled")
    arrays, metadata = read(f, "cr.load", bool(mmap))
    place = _placing(map_location)
    try:
        if _KEY not in metadata:
            return {name: wrap(*place(array, "cpu")) for name, array in arrays.items()}
        table = container.parse(metadata[_KEY], "table of values")
        if not isinstance(table, dict) or table.get("version") != _VERSION:
            version = table.get("version") if isinstance(table, dict) else None
            raise Broken(f"it has version {version!r:.40} of the format, this reads {_VERSION}; update chainrule")
        if "value" not in table:
            raise Broken("its value is missing")
        return values.decode(table["value"], Loaded(arrays, table, place))
    except _Misplaced as error:
        raise error.reason from None
    except RecursionError:
        raise RuntimeError(f"cr.load: {_shown(f)}: its values are nested too deeply") from None
    except Broken as error:
        raise RuntimeError(f"cr.load: {_shown(f)}: {error}") from None


def read(f: Any, caller: str, mmap: bool = False) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the metadata of a container. Raises RuntimeError, with what the file seems to be."""
    if mmap and not isinstance(f, (str, os.PathLike)):
        raise ValueError(f"{caller}: mmap=True needs a path, got {type(f).__name__}")
    with files.open_for_reading(f, caller) as (file, size):
        start = file.tell()
        try:
            entries, metadata, at = container.read_header(file, size)
            if mmap:
                memory = np.memmap(f, np.uint8, "c").view(np.ndarray)[at:]
                return {name: container.mapped_array(memory, entry) for name, entry in entries.items()}, metadata
            return {name: container.read_array(file, entry) for name, entry in entries.items()}, metadata
        except Broken as error:
            hint = files.kind_of(f, file, start)
            what = hint or f"no such file, or a damaged one: {error}"
            raise RuntimeError(f"{caller}: {_shown(f)}: {what}") from None


def _shown(f: Any) -> str:
    return repr(os.fspath(f)) if isinstance(f, (str, os.PathLike)) else type(f).__name__


class _Misplaced(Exception):
    """``map_location`` failed: no fault of the file."""

    def __init__(self, reason: Exception) -> None:
        self.reason = reason


def _placing(map_location: Any) -> Place:
    """What brings an array from the file to its device."""

    def place(array: np.ndarray, location: str) -> tuple[Any, Device]:
        try:
            return move(array, location)
        except Exception as error:
            raise _Misplaced(error) from None

    def move(array: np.ndarray, location: str) -> tuple[Any, Device]:
        target: Any = location
        if isinstance(map_location, Mapping):
            target = map_location.get(location, location)
        elif isinstance(map_location, (str, Device)):
            target = map_location
        elif callable(map_location):
            chosen = map_location(wrap(array, Device("cpu")), location)
            if isinstance(chosen, Tensor):
                if chosen._data.shape != array.shape or chosen._data.dtype != array.dtype:
                    raise RuntimeError("cr.load: map_location must return the tensor that it was given, on some device")
                return chosen._data, chosen.device
            if chosen is not None:
                raise TypeError(f"cr.load: map_location must return a Tensor or None, got {type(chosen).__name__}")
        elif map_location is not None:
            raise TypeError(
                f"cr.load: map_location must be a device, a dict or a function, got {type(map_location).__name__}"
            )
        try:
            device = Device(target)
            backend = device.backend
        except RuntimeError as error:
            raise RuntimeError(
                f"cr.load: the file has tensors of {location!r}, which cannot go to {str(target)!r}: {error}; use "
                f"cr.load(f, map_location='cpu') to have them on the CPU"
            ) from None
        return (array if device.type == "cpu" else backend.from_host(array, device.index or 0)), device

    return place


