"""Copies and conversions of dtype and device."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import function, method_only
from chainrule.autograd.runtime import cast, describe, wrap
from chainrule.autograd.samples import Sample, Samples, Unary, normal
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device


@op(
    vjp={"x": lambda xp, g, x_dtype: xp.astype(g, dtype=x_dtype)},
    check=Samples(
        lambda rng: [Sample((normal(rng, 2, 3),), {"dtype": np.dtype("float64")})],
        reference=lambda x, dtype: x.astype(dtype),
    ),
    arithmetic=False,
    label="to",
)
def astype(xp, x, *, dtype):
    """The tensor in another dtype; the gradient comes back in the first one."""
    return xp.astype(x, dtype)


@op(vjp={"x": lambda xp, g: g}, check=Unary(reference=np.copy), arithmetic=False)
def clone(xp, x):
    """A copy with its own memory; the gradient passes through."""
    return xp.copy(x)


@function("clone")
def _clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with its own memory; the gradient passes through. ``memory_format`` changes nothing.

    Example:
        >>> import chainrule as cr
        >>> cr.clone(cr.ones(2))
        tensor([1., 1.])
    """
    return xp_of_tensors.clone(input)


@op(
    vjp={"x": lambda xp, g: xp.zeros_like(g), "y": lambda xp, g: g},
    check=Samples(lambda rng: [Sample((normal(rng, 2, 3), normal(rng, 2, 3)))], reference=lambda x, y: y),
    arithmetic=False,
)
def overwrite(xp, x, y):
    """``y`` in the place of ``x``: what remains of ``x`` is that its gradient is zero."""
    return xp.copy(y)


def _copy(input: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """The elements of ``src``, broadcast and converted, in the place of those of ``input``."""
    if not isinstance(src, Tensor):
        src = wrap(input._device.asarray(src, input._data.dtype), input._device)
    if src._device is not input._device:
        src = _to(src, input._device)
    src = cast(src, input._data.dtype)
    if src._data.shape != input._data.shape:
        src = xp_of_tensors.broadcast_to(src, shape=input._data.shape)
    return xp_of_tensors.overwrite(input, src)


@function("fill", inplace=True)
def _fill(input: Tensor, value: Any) -> Tensor:
    """``value`` (a number or 0-d tensor) in the place of every element.

    Example:
        >>> import chainrule as cr
        >>> cr.fill(cr.zeros(2), 3)
        tensor([3., 3.])
    """
    if not isinstance(input, Tensor):
        raise TypeError(f"fill: argument 'input' must be a Tensor, got {describe(input)}")
    if isinstance(value, Tensor) and value._data.ndim:
        raise RuntimeError(f"fill_: expected a number or a 0-d tensor, got shape {tuple(value.shape)}")
    return _copy(input, value)


def _zero(input: Tensor) -> Tensor:
    """Zero in the place of every element."""
    return _copy(input, 0)


function("copy", inplace=True, publish=False)(_copy)
function("zero", inplace=True, publish=False)(_zero)


@method_only("to")
def _to(
    input: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    other: Tensor | None = None,
    copy: bool = False,
    non_blocking: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """The tensor in another dtype and on another device; itself when nothing changes (unless ``copy``).

    Takes ``to(dtype)``, ``to(device)``, ``to(device, dtype)`` and ``to(other_tensor)``, each followed by
    ``non_blocking`` and ``copy``. ``non_blocking`` and ``memory_format`` change nothing.
    """
    flags = [arg for arg in args if isinstance(arg, bool)]
    if len(flags) > 2:
        raise TypeError(f"to: expected at most non_blocking and copy after dtype and device, got {args!r:.80}")
    copy = flags[1] if len(flags) == 2 else copy
    for arg in (*args, other):
        if isinstance(arg, Tensor):
            dtype, device = arg.dtype, arg._device
        elif isinstance(arg, Device) or (isinstance(arg, str) and not hasattr(dtypes, arg)):
            device = arg
        elif arg is not None and not isinstance(arg, bool):
            dtype = arg
    result = input
    if device is not None:
        target = Device(device)
        if target is not input._device:
            _ = target.backend  # fail with the reason before anything is moved
            result = _move(input, target)
    if dtype is not None:
        result = cast(result, dtypes.as_dtype(dtype).dtype)
    return xp_of_tensors.clone(result) if copy and result is input else result


def _move(t: Tensor, target: Device) -> Tensor:
    """A copy on another device, recorded: the gradient is moved back."""
    if target.covers(t._device):
        from chainrule.autograd.batching import lift

        return lift(t, target)
    if t._device.covers(target):  # inside vmap, where the tensor is already there
        return t
    from chainrule.autograd.modes import mode
    from chainrule.autograd.runtime import make_node, tracked_node

    host = t._device.backend.to_host(t._data)
    moved = wrap(target.backend.from_host(np.asarray(host), target.index or 0), target)
    node = tracked_node(t)
    if node is not None and mode.enabled:
        moved._node = make_node("to_device", (node,), target, t._data.shape, saved_source=t._device)
    return moved


@op(
    vjp={"x": lambda xp, g, source: _back(g, source)},
    check=Samples(lambda rng: []),
    arithmetic=False,
)
def to_device(xp, x, *, source):
    """Stands in the graph for a copy between devices; never called itself (see ``_move``)."""
    raise RuntimeError("to_device is recorded by Tensor.to and has no forward of its own")


def _back(g: Any, source: Device) -> Any:
    if isinstance(g, Tensor):
        return _to(g, source)
    from chainrule.backends.devices import backend_for

    for kind in ("cpu", "cuda", "guard"):
        try:
            backend = backend_for(kind)
        except RuntimeError:
            continue
        if type(g) is backend.array_type:
            return source.backend.from_host(np.asarray(backend.to_host(g)), source.index or 0)
    raise TypeError(f"to: gradient of unknown kind {type(g).__name__}")


def _conversion(name: str, spec: Any, doc: str) -> None:
    def convert(input: Tensor, memory_format: Any = None) -> Tensor:
        return cast(input, dtypes.as_dtype(spec).dtype)

    convert.__name__ = name
    convert.__doc__ = doc
    method_only(name)(convert)


for _name, _spec in {
    "float": dtypes.float32,
    "double": dtypes.float64,
    "half": dtypes.float16,
    "bfloat16": dtypes.bfloat16,
    "long": dtypes.int64,
    "int": dtypes.int32,
    "short": dtypes.int16,
    "char": dtypes.int8,
    "byte": dtypes.uint8,
    "bool": dtypes.bool_,
}.items():
    _conversion(_name, _spec, f"The tensor as {_spec.name}.")


@method_only("type_as")
def _type_as(input: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype of ``other``."""
    return cast(input, other._data.dtype)


@method_only("type")
def _type(input: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The tensor in another dtype; without one, the dtype's name."""
    return str(input.dtype) if dtype is None else cast(input, dtypes.as_dtype(dtype).dtype)


@method_only("cpu")
def _cpu(input: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor on the CPU."""
    return _to(input, "cpu")


@method_only("cuda")
def _cuda(input: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """The tensor on a CUDA GPU. Raises RuntimeError with the reason where there is none."""
    return _to(
        input, "cuda" if device is None else Device(device) if isinstance(device, (str, Device)) else f"cuda:{device}"
    )
