"""DLPack: memory shared with other array libraries, in both directions and without a copy."""

from __future__ import annotations

import ctypes
from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe
from chainrule.autograd.sharing import adopt_array
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import backend_for
from chainrule.backends.devices import device as Device

CPU, CUDA, CUDA_HOST = 1, 2, 3


def device_of(t: Tensor) -> tuple[int, int]:
    """The device of a tensor in DLPack's numbers."""
    if t._device.type == "cpu":
        return CPU, 0
    if t._device.type == "cuda":
        return CUDA, t._device.index or 0
    raise BufferError(f"DLPack: a tensor on {t._device} cannot be shared; move it with .cpu() first")


def capsule(t: Tensor, stream: Any, max_version: Any, dl_device: Any, copy: bool | None) -> Any:
    """What ``Tensor.__dlpack__`` gives: the tensor's memory in a capsule.

    Raises BufferError for a tensor that requires grad, for bfloat16, and for devices that cannot be shared.
    """
    if t.requires_grad:
        raise BufferError(
            "DLPack: this tensor requires grad, and another library would not record; use .detach() first"
        )
    if t._data.dtype.kind == "V":
        raise BufferError(f"DLPack: {t.dtype} cannot be exported from the array library; convert with .float() first")
    here = device_of(t)
    if here[0] == CPU and stream is not None:
        raise BufferError(f"DLPack: a CPU tensor has no stream, got {stream!r}")
    own = t.detach()  # in the memory order that the tensor shows
    t._data = own._data
    given = {"stream": stream, "max_version": max_version, "copy": copy}
    if dl_device is not None and tuple(dl_device) != here:
        given["dl_device"] = dl_device
    return own._data.__dlpack__(**{name: value for name, value in given.items() if value is not None})


class _Capsule:
    """A bare capsule as an object that exports it."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule
        self._device = _device_in(capsule)

    def __dlpack__(self, **options: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


def _device_in(capsule: Any) -> tuple[int, int]:
    """The device that is written in a capsule, behind the data pointer."""
    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_in = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_in.restype, pointer_in.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    name = name_of(capsule)
    if name not in (b"dltensor", b"dltensor_versioned"):
        shown = (name or b"").decode()
        raise RuntimeError(f"from_dlpack: expected a capsule that was not used before, got one named {shown!r}")
    # a versioned capsule starts with its version, two pointers and flags: 32 bytes
    start = (32 if name == b"dltensor_versioned" else 0) + ctypes.sizeof(ctypes.c_void_p)
    kind, index = (ctypes.c_int32 * 2).from_address(pointer_in(capsule, name) + start)
    return int(kind), int(index)


@function("from_dlpack", method=False)
def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of another library's array: changes of one are changes of the other.

    Args:
        ext_tensor: an array with ``__dlpack__``, or a DLPack capsule (whose memory counts as read-only where the
            capsule cannot say otherwise).
        device: where the result has to be; another device than the array's makes a copy.
        copy: True always copies, False raises where a copy is needed.

    Raises:
        TypeError: the argument is neither of these. BufferError: the array cannot be exported, because it requires
            grad, say. ValueError: a copy is needed and ``copy`` is False.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> array = np.zeros(2)
        >>> t = cr.from_dlpack(array)
        >>> array[0] = 7.0
        >>> t
        tensor([7., 0.], dtype=chainrule.float64)
    """
    source = _Capsule(ext_tensor) if type(ext_tensor).__name__ == "PyCapsule" else ext_tensor
    if not hasattr(source, "__dlpack__") or not hasattr(source, "__dlpack_device__"):
        raise TypeError(f"from_dlpack: expected an array with __dlpack__, or a capsule, got {describe(ext_tensor)}")
    kind, index = source.__dlpack_device__()
    if kind not in (CPU, CUDA, CUDA_HOST):
        raise BufferError(
            f"from_dlpack: the array is on DLPack device {int(kind)}; only the CPU (1) and CUDA (2) can be used"
        )
    where = Device("cuda", int(index)) if kind == CUDA else Device("cpu")
    wanted = where if device is None else Device(device)
    if wanted is not where and copy is False:
        raise ValueError(f"from_dlpack: the array is on {where}, and copy=False forbids to copy it to {wanted}")
    array = backend_for(where.type).from_dlpack(source)
    dtypes.as_dtype(array.dtype)
    t = adopt_array(array, where)
    if wanted is not where:
        return t.to(wanted)
    return t.clone() if copy else t


@function(method=False)
def to_dlpack(tensor: Tensor) -> Any:
    """The tensor's memory as a DLPack capsule, which another library can take over once.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils import dlpack
        >>> dlpack.from_dlpack(dlpack.to_dlpack(cr.ones(2, device="cpu")))
        tensor([1., 1.])
    """
    return tensor.__dlpack__()
