"""Making tensors from data, and tensors of constants and ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.batching.array import BatchedArray, extremes, make_room
from chainrule.autograd.formats import check_layout
from chainrule.autograd.ops.shape import sizes_given
from chainrule.autograd.public import function, method_only
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device
from chainrule.backends.devices import get_default_device


def _on(device: Any) -> Device:
    return get_default_device() if device is None else Device(device)


def _finish(array: Any, device: Device, requires_grad: bool) -> Tensor:
    t = wrap(array, device)
    return t.requires_grad_() if requires_grad else t


def _place(host: np.ndarray, device: Device) -> Any:
    """A fresh host array as an array of ``device``."""
    return host if device.type == "cpu" else device.backend.from_host(host, device.index or 0)


def _host_array(data: Any, dtype: Any) -> np.ndarray:
    """Data of any kind as a new NumPy array of PyTorch's inferred dtype."""
    if isinstance(data, (np.ndarray, np.generic)):
        spec = dtypes.as_dtype(data.dtype if dtype is None else dtype).dtype
        return np.array(data, dtype=spec, order="C")
    if isinstance(data, (list, tuple)):
        data = _plain(data)
    elif not isinstance(data, (bool, int, float, complex)) and hasattr(data, "__array__"):
        return _host_array(np.asarray(data), dtype)
    try:
        array = np.array(data)
    except ValueError as error:
        raise ValueError(f"tensor: the nested sequences do not form a rectangular array: {error}") from None
    if (array.dtype.kind in "OUSV" and dtype is None) or array.dtype.kind in "OUS":
        raise TypeError(f"tensor: expected numbers or nested sequences of numbers, got {data!r:.80}")
    if dtype is not None:
        spec = dtypes.as_dtype(dtype).dtype
        if dtypes.category(spec) == 1 and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise RuntimeError(f"tensor: infinities and NaN cannot be converted to {dtypes.as_dtype(dtype)}")
        return array.astype(spec)
    if array.dtype.kind == "f" and not _holds_numpy(data):
        return array.astype(dtypes.get_default_dtype().dtype)
    if array.dtype.kind == "c" and not _holds_numpy(data):
        return array.astype(dtypes.default_complex().dtype)
    if array.size == 0 and array.dtype == np.float64:
        return array.astype(dtypes.get_default_dtype().dtype)
    dtypes.as_dtype(array.dtype)
    return array


def _plain(data: Any) -> Any:
    """Nested sequences with the tensors in them as NumPy arrays or numbers."""
    return [
        _plain(v)
        if isinstance(v, (list, tuple))
        else (v.numpy(force=True) if v.ndim else v.item())
        if isinstance(v, Tensor)
        else v
        for v in data
    ]


def _holds_numpy(data: Any) -> bool:
    """Whether the first number of nested sequences is NumPy's, whose dtype is meant."""
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic))


@function(method=False)
def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A tensor with a copy of ``data``: numbers, nested sequences, NumPy arrays or tensors.

    Python floats become the default dtype (float32), ints int64; NumPy data keeps its dtype.

    Raises:
        TypeError: the data are not numbers. ValueError: nested sequences of unequal lengths.

    Example:
        >>> import chainrule as cr
        >>> cr.tensor([[1.0, 2.0], [3.0, 4.0]])
        tensor([[1., 2.],
                [3., 4.]])
    """
    if isinstance(data, Tensor):
        where = data._device if device is None else Device(device)
        copied = data.detach().to(where, dtype, copy=True)
        return copied.requires_grad_() if requires_grad else copied
    where = _on(device)
    return _finish(_place(_host_array(data, dtype), where), where, requires_grad)


def legacy_tensor(*data: Any, device: Any = None) -> Tensor:
    """What ``Tensor(...)`` makes: sizes give an uninitialised tensor, data a copy, both of the default dtype."""
    if not data:
        return zeros(0, device=device)
    if len(data) == 1 and not isinstance(data[0], (int, np.integer)):
        return tensor(data[0], dtype=dtypes.get_default_dtype(), device=device)
    return empty(*data, device=device)


def rebuild(cls: type, array: np.ndarray, device: str, requires_grad: bool) -> Tensor:
    """A pickled tensor again."""
    t: Tensor = object.__new__(cls)
    where = Device(device)
    t._data, t._device, t._counter, t._view, t._node = _place(np.array(array), where), where, None, None, None
    return t.requires_grad_() if requires_grad else t


# ---- constants ------------------------------------------------------------------------------------------------------


def _dtype(dtype: Any) -> np.dtype[Any]:
    return dtypes.get_default_dtype().dtype if dtype is None else dtypes.as_dtype(dtype).dtype


def _sizes(caller: str, size: tuple[Any, ...], named: dict[str, Any] | None = None) -> tuple[int, ...]:
    shape = sizes_given(caller, size, "size", named or {})
    if any(n < 0 for n in shape):
        raise RuntimeError(f"{caller}: sizes must not be negative, got {shape}")
    return shape


@function(method=False)
def zeros(
    *size: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    **named: Any,
) -> Tensor:
    """Zeros of the given size.

    Example:
        >>> import chainrule as cr
        >>> cr.zeros(2, 2)
        tensor([[0., 0.],
                [0., 0.]])
    """
    check_layout("zeros", layout)
    where = _on(device)
    return _finish(where.xp.zeros(_sizes("zeros", size, named), dtype=_dtype(dtype)), where, requires_grad)


@function(method=False)
def ones(
    *size: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    **named: Any,
) -> Tensor:
    """Ones of the given size.

    Example:
        >>> import chainrule as cr
        >>> cr.ones(2)
        tensor([1., 1.])
    """
    check_layout("ones", layout)
    where = _on(device)
    return _finish(where.xp.ones(_sizes("ones", size, named), dtype=_dtype(dtype)), where, requires_grad)


@function(method=False)
def empty(
    *size: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
    **named: Any,
) -> Tensor:
    """A tensor of the given size with whatever was in its memory.

    Example:
        >>> import chainrule as cr
        >>> cr.empty(2, 3).shape
        (2, 3)
    """
    check_layout("empty", layout)
    where = _on(device)
    return _finish(where.xp.empty(_sizes("empty", size, named), dtype=_dtype(dtype)), where, requires_grad)


@function(method=False)
def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """``fill_value`` in every element; its type decides the dtype when none is given.

    Example:
        >>> import chainrule as cr
        >>> cr.full((2,), 7)
        tensor([7, 7])
    """
    check_layout("full", layout)
    where = _on(device)
    if isinstance(fill_value, (Tensor, np.generic)):  # NumPy's numbers count as Python's
        fill_value = fill_value.item()
    if not isinstance(fill_value, (bool, int, float, complex)):
        raise TypeError(f"full: fill_value must be a number, got {describe(fill_value)}")
    spec = dtypes.as_dtype(type(fill_value)).dtype if dtype is None else dtypes.as_dtype(dtype).dtype
    shape = _sizes("full", (size,))
    return _finish(where.xp.full(shape, fill_value, dtype=spec), where, requires_grad)


def _like(name: str, make: Any, example: str) -> None:
    def like(
        input: Tensor,
        *,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        check_layout(f"{name}_like", layout)
        spec = input._data.dtype if dtype is None else dtypes.as_dtype(dtype).dtype
        where = input._device if device is None else Device(device)
        made = make(*input._data.shape, dtype=spec, device=where, requires_grad=requires_grad)
        if type(input._data) is BatchedArray and device is None:  # inside vmap: each element may write into its own
            make_room(made._data, input._data)
        return made

    like.__name__ = f"{name}_like"
    like.__doc__ = f"""{name.capitalize()} with the size, dtype and device of ``input`` unless others are given.

    Example:
        >>> import chainrule as cr
        >>> {example}
    """
    function(method=False)(like)

    def new(
        input: Tensor,
        *size: Any,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        **named: Any,
    ) -> Tensor:
        check_layout(f"new_{name}", layout)
        spec = input._data.dtype if dtype is None else dtypes.as_dtype(dtype).dtype
        where = input._device if device is None else Device(device)
        return make(
            sizes_given(f"new_{name}", size, "size", named), dtype=spec, device=where, requires_grad=requires_grad
        )

    new.__name__ = f"new_{name}"
    new.__doc__ = f"{name.capitalize()} of the given size, with the dtype and device of the tensor."
    method_only()(new)


_like("zeros", zeros, "cr.zeros_like(cr.ones(2))\n        tensor([0., 0.])")
_like("ones", ones, "cr.ones_like(cr.zeros(2))\n        tensor([1., 1.])")
_like("empty", empty, "cr.empty_like(cr.zeros(2)).shape\n        (2,)")


@function(method=False)
def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """``fill_value`` in every element, with the size, dtype and device of ``input``.

    Example:
        >>> import chainrule as cr
        >>> cr.full_like(cr.zeros(2), 3)
        tensor([3., 3.])
    """
    spec = input._data.dtype if dtype is None else dtype
    check_layout("full_like", layout)
    where = input._device if device is None else device
    return full(tuple(input._data.shape), fill_value, dtype=spec, device=where, requires_grad=requires_grad)


@method_only()
def new_full(input: Tensor, size: Any, fill_value: Any, **options: Any) -> Tensor:
    """``fill_value`` in every element of a tensor of the given size, with the dtype and device of this one."""
    return full(size, fill_value, **{"dtype": input._data.dtype, "device": input._device, **options})


@method_only()
def new_tensor(input: Tensor, data: Any, **options: Any) -> Tensor:
    """A tensor with a copy of ``data``, with the dtype and device of this one."""
    return tensor(data, **{"dtype": input._data.dtype, "device": input._device, **options})


@function(method=False)
def scalar_tensor(
    value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A 0-d tensor of the default dtype.

    Example:
        >>> import chainrule as cr
        >>> cr.scalar_tensor(1)
        tensor(1.)
    """
    return full((), value, dtype=_dtype(dtype), device=device, requires_grad=requires_grad)


@function("one_hot", method=False)
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Class numbers as rows of zeros with a one: shape (...) of int64 to (..., num_classes).

    Raises RuntimeError for negative classes or classes that are not below ``num_classes``.

    Example:
        >>> import chainrule as cr
        >>> cr.one_hot(cr.tensor([0, 2]), 3)
        tensor([[1, 0, 0],
                [0, 0, 1]])
    """
    if dtypes.category(tensor._data.dtype) != 1:
        raise RuntimeError(f"one_hot: expected integer classes, got {tensor.dtype}")
    size = tensor._data.size
    low, high = map(int, extremes(tensor._data)) if size else (0, -1)
    if low < 0:
        raise RuntimeError("one_hot: classes must not be negative")
    if num_classes == -1:
        if not size:
            raise RuntimeError("one_hot: num_classes cannot be found from an empty tensor; pass it")
        num_classes = high + 1
    if high >= num_classes:
        raise RuntimeError(f"one_hot: class {high} is not below num_classes {num_classes}")
    xp = tensor._device.xp
    return wrap(xp.astype(tensor._data[..., None] == xp.arange(num_classes), np.int64), tensor._device)
