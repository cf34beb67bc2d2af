"""Files of tensors by name, in the format of https://github.com/huggingface/safetensors: the functions of
``safetensors.torch``.

A file that PyTorch wrote with ``safetensors.torch.save_file(model.state_dict(), path)`` is read here, and the other way
round. The format is read and written by :mod:`chainrule.saving`, so the package ``safetensors`` need not be installed.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device
from chainrule.nn.module import Module
from chainrule.saving import container, files, read
from chainrule.saving.memory import Memory

__all__ = ["load", "load_file", "load_model", "save", "save_file", "save_model"]


def save_file(
    tensors: Mapping[str, Any], filename: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors (or NumPy arrays) by name; the old file is replaced when the new one is complete.

    Args:
        metadata: strings by name that are kept beside the tensors.

    Raises:
        RuntimeError: some share memory, which the format cannot keep: use :func:`save_model`, or ``cr.save``.
        TypeError: something is no tensor, has a dtype that the format lacks (complex128), or no string for a name.

    Example:
        >>> import os, tempfile, chainrule as cr
        >>> from chainrule.utils.safetensors import load_file, save_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.safetensors")
        ...     save_file({"weight": cr.ones(2, dtype=cr.bfloat16)}, path, metadata={"epoch": "3"})
        ...     load_file(path)
        {'weight': tensor([1., 1.], dtype=chainrule.bfloat16)}
    """
    sources, notes = _sources("save_file", tensors), _metadata("save_file", metadata)
    files.write_whole(filename, lambda file: container.write(file, sources, notes), "save_file")


def save(tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes that :func:`save_file` would write; raises what it raises.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils import safetensors
        >>> safetensors.load(safetensors.save({"a": cr.arange(3)}))
        {'a': tensor([0, 1, 2])}
    """
    file = io.BytesIO()
    container.write(file, _sources("save", tensors), _metadata("save", metadata))
    return file.getvalue()


def load_file(filename: str | os.PathLike[str], device: str | Device = "cpu") -> dict[str, Tensor]:
    """The tensors of a file, by name.

    Args:
        device: where they go.

    Raises:
        RuntimeError: the file is damaged or of another kind. OSError: it cannot be read.

    Example:
        >>> from chainrule.utils.safetensors import load_file
        >>> load_file("nowhere.safetensors")
        Traceback (most recent call last):
        FileNotFoundError: load_file: there is no file 'nowhere.safetensors'
    """
    return _tensors(read(filename, "load_file")[0], Device(device))


def load(data: bytes) -> dict[str, Tensor]:
    """The tensors of what :func:`save` gave. Raises RuntimeError when the bytes are damaged or of another kind.

    Example:
        >>> from chainrule.utils import safetensors
        >>> safetensors.load(b"{}")
        Traceback (most recent call last):
        RuntimeError: load: BytesIO: no such file, or a damaged one: it has 2 bytes, too few for a header
    """
    return _tensors(read(io.BytesIO(data), "load")[0], Device("cpu"))


def save_model(
    model: Module,
    filename: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
    force_contiguous: bool = True,
) -> None:
    """Write the state dict of a model; of tied tensors one is written, and the metadata says which stands for which.

    Args:
        metadata: strings by name that are kept beside the tensors.
        force_contiguous: accepted and without effect: tensors are always written in order.

    Raises:
        RuntimeError: tensors share a part of their memory only; save such a model with ``cr.save``.

    Example:
        >>> import os, tempfile, chainrule as cr
        >>> from chainrule.utils.safetensors import load_file, save_model
        >>> model = cr.nn.Sequential(cr.nn.Linear(2, 2, bias=False), cr.nn.Linear(2, 2, bias=False))
        >>> model[1].weight = model[0].weight
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_model(model, os.path.join(folder, "model.safetensors"))
        ...     list(load_file(os.path.join(folder, "model.safetensors")))
        ['0.weight']
    """
    state = model.state_dict()
    notes = _metadata("save_model", metadata) or {}
    for name, kept in _tied("save_model", state).items():
        del state[name]
        notes.setdefault(name, kept)
    sources = _sources("save_model", state)
    files.write_whole(filename, lambda file: container.write(file, sources, notes or None), "save_model")


def load_model(
    model: Module, filename: str | os.PathLike[str], strict: bool = True, device: str | Device = "cpu"
) -> tuple[list[str], list[str]]:
    """Load what :func:`save_model` (or PyTorch's) wrote into a model; nothing is changed unless everything fits.

    Args:
        strict: names that only one side has are an error.
        device: where the file's tensors go first; the model's stay where they are.

    Returns:
        the names that the model has alone, and those that the file has alone.

    Raises:
        RuntimeError: names or shapes differ, and all of them are listed; or the file is damaged or of another kind.

    Example:
        >>> import os, tempfile, chainrule as cr
        >>> from chainrule.utils.safetensors import load_model, save_model
        >>> model = cr.nn.Sequential(cr.nn.Linear(2, 2), cr.nn.Linear(2, 2))
        >>> model[1].weight = model[0].weight
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_model(model, os.path.join(folder, "model.safetensors"))
        ...     load_model(model, os.path.join(folder, "model.safetensors"))
        ([], [])
    """
    given: dict[str, Any] = dict(load_file(filename, device))
    tied = _tied("load_model", model.state_dict())
    for name, kept in tied.items():  # the file may have kept another one of the names that are tied here
        group = [kept, *(n for n, k in tied.items() if k == kept)]
        there = next((n for n in group if n in given), None)
        if name not in given and there is not None:
            given[name] = given[there]
        if kept not in given and there is not None:
            given[kept] = given[there]
    missing, unexpected = model.load_state_dict(given, strict=strict)
    return missing, unexpected


# ---- details ---------------------------------------------------------------------------------------------------------


def _sources(caller: str, tensors: Mapping[str, Any]) -> dict[str, container.Source]:
    """What the container writes, or the reason why it cannot."""
    if not isinstance(tensors, Mapping):
        raise TypeError(f"{caller}: expected a dict of names and tensors, got {type(tensors).__name__}")
    sources: dict[str, container.Source] = {}
    memory = Memory()
    for name, value in tensors.items():
        if not isinstance(name, str) or name == container.METADATA:
            raise TypeError(f"{caller}: a name must be a string other than {container.METADATA!r}, got {name!r:.80}")
        if not isinstance(value, (Tensor, np.ndarray)):
            raise TypeError(f"{caller}: {name!r} must be a Tensor or a NumPy array, got {type(value).__name__}")
        dtype = dtypes.as_dtype(value.dtype)
        if dtype.dtype not in container.NAMES:
            raise TypeError(
                f"{caller}: {name!r} is {dtype}, which the format does not have; save cr.view_as_real of it, or use "
                f"cr.save"
            )
        memory.add(value, (name,))
        sources[name] = container.Source(dtype.dtype, tuple(value.shape), _Host(value))
    names = [id(v) for v in tensors.values()]
    shared = memory.shared()
    if shared or len(set(names)) != len(names):
        raise RuntimeError(
            f"{caller}: {shared or 'some names of one tensor'} share memory, which the format does not keep; use "
            f"save_model for a model with tied weights, cr.save for any others, or clone() them"
        )
    return sources


class _Host:
    """Fetches a tensor when its turn comes."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self) -> np.ndarray:
        array = self.value.numpy(force=True) if isinstance(self.value, Tensor) else self.value
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _metadata(caller: str, metadata: Mapping[str, str] | None) -> dict[str, str] | None:
    if metadata is None:
        return None
    if not all(isinstance(k, str) and isinstance(v, str) for k, v in metadata.items()):
        raise TypeError(f"{caller}: metadata must map strings to strings, got {dict(metadata)!r:.80}")
    return dict(metadata)


def _tied(caller: str, state: Mapping[str, Tensor]) -> dict[str, str]:
    """The names that can be left out, because another name stands for the same elements: name -> that name."""
    memory = Memory()
    for name, tensor in state.items():
        memory.add(tensor, (name,))
    left_out: dict[str, str] = {}
    for group in memory.shared():
        first = min(group)
        for name in group:
            x, y = state[first], state[name]
            same = x.shape == y.shape and x.stride() == y.stride() and x.dtype == y.dtype
            if not same or x.data_ptr() != y.data_ptr():
                raise RuntimeError(f"{caller}: {first!r} and {name!r} share a part of their memory only; use cr.save")
            if name != first:
                left_out[name] = first
    return left_out


def _tensors(arrays: dict[str, np.ndarray], device: Device) -> dict[str, Tensor]:
    backend = device.backend  # fails here where there is no such device
    if device.type == "cpu":
        return {name: wrap(array, device) for name, array in arrays.items()}
    return {name: wrap(backend.from_host(array, device.index or 0), device) for name, array in arrays.items()}
