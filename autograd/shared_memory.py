"""Tensors on buffers and files, and on new memory with strides of one's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.creation import _dtype, _finish, empty
from chainrule.autograd.formats import check_layout
from chainrule.autograd.ops.as_strided import reach
from chainrule.autograd.ops.shape import integers
from chainrule.autograd.public import function, method_only
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device


@function("frombuffer", method=False)
def _frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A 1-d CPU tensor on the memory of an object with a buffer, such as ``bytes`` or ``array.array``.

    Args:
        count: how many elements; -1 for as many as there are.
        offset: where they begin, in bytes.

    Raises ValueError where the buffer does not hold that much.

    Example:
        >>> import chainrule as cr
        >>> cr.frombuffer(bytes([1, 2, 3]), dtype=cr.uint8, offset=1)
        tensor([2, 3], dtype=chainrule.uint8)
    """
    spec = dtypes.as_dtype(dtype).dtype
    view = memoryview(buffer)
    left = view.nbytes - offset
    if offset < 0 or left <= 0 or count == 0 or (count < 0 and left % spec.itemsize) or count * spec.itemsize > left:
        raise ValueError(
            f"frombuffer: {view.nbytes} bytes from offset {offset} do not hold count={count} elements of {dtype}"
        )
    size = left // spec.itemsize if count < 0 else count
    array = np.frombuffer(buffer, np.uint8, size * spec.itemsize, offset).view(spec)
    return _finish(array, Device("cpu"), requires_grad)


@function("from_file", method=False)
def _from_file(
    filename: str, shared: bool | None = None, size: int = 0, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """A 1-d CPU tensor on a file that is mapped into memory.

    Args:
        shared: changes of the tensor are written into the file, which is made if there is none.
        size: how many elements; the file must hold as many.

    Example:
        >>> import chainrule as cr, os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "numbers")
        >>> cr.from_file(path, shared=True, size=2, dtype=cr.int64).fill_(7)
        tensor([7, 7])
        >>> cr.from_file(path, size=2, dtype=cr.int64)
        tensor([7, 7])
        >>> folder.cleanup()
    """
    import os

    spec = _dtype(dtype)
    exists = os.path.exists(filename)
    mode: Any = ("r+" if exists else "w+") if shared else "c"
    if not size:
        return _finish(np.empty(0, spec), Device("cpu"), requires_grad)
    return _finish(np.asarray(np.memmap(filename, spec, mode, shape=(size,))), Device("cpu"), requires_grad)


# ---- memory with given strides --------------------------------------------------------------------------------------


@function("empty_strided", method=False)
def _empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of the given size and strides (in elements) with whatever was in its memory.

    Example:
        >>> import chainrule as cr
        >>> cr.empty_strided((2, 3), (1, 2)).stride()
        (1, 2)
    """
    check_layout("empty_strided", layout)
    shape, steps = integers("empty_strided", (size,)), integers("empty_strided", (stride,))
    if len(shape) != len(steps) or any(n < 0 for n in (*shape, *steps)):
        raise RuntimeError(f"empty_strided: size {shape} and stride {steps} must be equally many, none negative")
    memory = empty(reach(shape, steps, 0), dtype=dtype, device=device)
    result = memory.as_strided(shape, steps)
    return result.requires_grad_() if requires_grad else result


@method_only("new_empty_strided")
def _new_empty_strided(
    input: Tensor,
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of the given size and strides with whatever was in its memory; dtype and device of this one."""
    return _empty_strided(
        size,
        stride,
        dtype=input._data.dtype if dtype is None else dtype,
        layout=layout,
        device=input._device if device is None else device,
        requires_grad=requires_grad,
    )


@function("empty_permuted", method=False)
def _empty_permuted(
    size: Any,
    physical_layout: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of the given size whose dimensions lie in memory in the order ``physical_layout``, outermost first.

    Example:
        >>> import chainrule as cr
        >>> cr.empty_permuted((2, 3), (1, 0)).stride()
        (1, 2)
    """
    shape, order = integers("empty_permuted", (size,)), integers("empty_permuted", (physical_layout,))
    if sorted(order) != list(range(len(shape))):
        raise RuntimeError(f"empty_permuted: physical_layout must name each dimension of {shape} once, got {order}")
    strides = [math.prod(shape[d] for d in order[order.index(i) + 1 :]) for i in range(len(shape))]
    return _empty_strided(shape, strides, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)
