"""Tensors on memory that something else made: NumPy arrays, buffers, arrays of other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.creation import _on, tensor
from chainrule.autograd.public import function
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device


@function(method=False)
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor, on the same memory where that is possible (tensors, and NumPy arrays on the CPU).

    Example:
        >>> import chainrule as cr
        >>> t = cr.ones(2)
        >>> cr.as_tensor(t) is t
        True
    """
    if isinstance(data, Tensor):
        return data.to(data._device if device is None else device, dtype)
    where = _on(device)
    if isinstance(data, np.ndarray) and where.type == "cpu":
        spec = dtypes.as_dtype(data.dtype if dtype is None else dtype).dtype
        if data.dtype == spec:
            return from_numpy(data)
    return tensor(data, dtype=dtype, device=where)


@function(method=False)
def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A CPU tensor on the memory of a NumPy array: changes of one are changes of the other.

    Raises TypeError for anything else, and for dtypes that have no counterpart.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> cr.from_numpy(np.zeros(2)).dtype
        chainrule.float64
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(ndarray).__name__}")
    if not ndarray.dtype.isnative:
        raise ValueError(f"from_numpy: the array has a foreign byte order ({ndarray.dtype.str}); use array.byteswap()")
    dtypes.as_dtype(ndarray.dtype)
    return adopt_array(ndarray, Device("cpu"))


def adopt_array(array: Any, device: Device) -> Tensor:
    """A tensor on the memory of a user's array."""
    t = wrap(array, device)
    if not array.flags.c_contiguous:
        # this memory order is the user's, so the tensor must not be re-laid: it is a view of a hidden base
        from chainrule.autograd.node import View

        t._view = View(Tensor._alias(t), (), 0, "single")
    return t


@function(method=False)
def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool | None = None
) -> Tensor:
    """``obj`` as a tensor, on the same memory where that is possible.

    Args:
        obj: a tensor, an array of NumPy or of any library with DLPack, a buffer such as ``bytearray`` (whose bytes
            are read as ``dtype``), a number or nested sequences.
        copy: True always copies, False raises ValueError where a copy is needed.
        requires_grad: whether the result is recorded; None keeps a tensor's place in the graph.

    Raises:
        ValueError: a copy is needed and ``copy`` is False.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> array = np.zeros(2, np.float32)
        >>> t = cr.asarray(array, device="cpu")
        >>> array[0] = 7.0
        >>> t
        tensor([7., 0.])
    """
    shared = _shared(obj, dtype)
    if shared is None:
        if copy is False:
            raise ValueError(
                f"asarray: {type(obj).__name__} has no memory that a tensor could share; leave out copy=False"
            )
        return tensor(obj, dtype=dtype, device=device, requires_grad=bool(requires_grad))
    where = shared._device if device is None and (isinstance(obj, Tensor) or not _host_only(obj)) else _on(device)
    result = shared.to(where, dtype)
    if result is not shared and copy is False:
        raise ValueError(
            f"asarray: copy=False, but {shared.dtype} on {shared.device} cannot be shared as "
            f"{result.dtype} on {result.device}"
        )
    if copy and result is shared:
        result = result.clone()
    if requires_grad is None or requires_grad == result.requires_grad:
        return result
    return result.detach().requires_grad_(requires_grad)


def _host_only(obj: Any) -> bool:
    """Whether an object can only be in host memory, so that the default device decides where its tensor is."""
    return isinstance(obj, (np.ndarray, np.generic)) or not hasattr(obj, "__dlpack__")


def _shared(obj: Any, dtype: Any) -> Tensor | None:
    """A tensor on the memory of ``obj``; None where it has none to share."""
    if isinstance(obj, Tensor):
        return obj
    if isinstance(obj, np.ndarray):
        return from_numpy(obj)
    if isinstance(obj, (bool, int, float, complex, np.generic, list, tuple)):
        return None
    if hasattr(obj, "__dlpack__"):
        from chainrule.autograd.dlpack import from_dlpack

        return from_dlpack(obj)
    if isinstance(obj, (bytes, bytearray, memoryview)):
        return from_numpy(np.frombuffer(obj, dtypes.as_dtype(dtypes.get_default_dtype() if dtype is None else dtype)))
    try:
        return from_numpy(np.asarray(memoryview(obj)))
    except TypeError:
        return None
