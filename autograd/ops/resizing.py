"""Methods that change a tensor itself in ways that have no out-of-place form: its size, or elements by Python calls."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.autograd.inplace import check_memory, has_sharers, make_inplace_view
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.shape import sizes_given
from chainrule.autograd.public import function, method_only
from chainrule.autograd.runtime import bump, describe
from chainrule.autograd.tensor import Tensor


def _first_elements(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    flat = xp_of_tensors.reshape(input, shape=(input._data.size,))
    return xp_of_tensors.reshape(xp_of_tensors.getitem(flat, index=(slice(0, math.prod(shape)), ...)), shape=shape)


_cut = make_inplace_view("resize", _first_elements)


@method_only("resize_")
def _resize(input: Tensor, *sizes: Any, memory_format: Any = None, **named: Any) -> Tensor:
    """Change the tensor's size, keeping the elements that fit, in order; new ones are uninitialised.

    Raises RuntimeError for a tensor that requires grad, and where memory that others share would have to grow.
    """
    shape = sizes_given("resize_", sizes, "sizes", named)
    if input.requires_grad:
        raise RuntimeError("resize_: a tensor that requires grad cannot be resized; use reshape() or narrow()")
    if any(n < 0 for n in shape):
        raise RuntimeError(f"resize_: sizes must not be negative, got {shape}")
    if shape == tuple(input._data.shape):
        return input
    if math.prod(shape) <= input._data.size and (input._view is not None or has_sharers(input)):
        _cut(input, shape)
        return input
    if input._data.size and (input._view is not None or has_sharers(input)):
        raise RuntimeError(
            f"resize_: memory that is shared with other tensors cannot grow from shape {tuple(input.shape)} to {shape}"
        )
    xp = input._device.xp
    new = xp.empty((math.prod(shape),), dtype=input._data.dtype)
    kept = min(math.prod(shape), input._data.size)
    new[:kept] = xp.reshape(input._data, (-1,))[:kept]
    input._data, input._view = xp.reshape(new, shape), None
    bump(input)
    return input


@method_only("resize_as_")
def _resize_as(input: Tensor, the_template: Tensor, memory_format: Any = None) -> Tensor:
    """Change the tensor's size to that of another one; see :meth:`resize_`."""
    return _resize(input, tuple(the_template._data.shape))


@function("resize_as_", method=False)
def _resize_as_function(input: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """In-place version of :func:`resize_as`, which may also change the number of elements; returns the tensor itself.

    Example:
        >>> import chainrule as cr
        >>> cr.resize_as_(cr.arange(4), cr.zeros(2))
        tensor([0, 1])
    """
    return _resize_as(input, the_template, memory_format)


def _deprecated(name: str) -> None:
    warnings.warn(f"non-inplace {name} is deprecated; use reshape", UserWarning, stacklevel=3)


def _reshaped(caller: str, input: Tensor, shape: tuple[int, ...]) -> Tensor:
    if math.prod(shape) != input._data.size:
        raise RuntimeError(
            f"{caller}: the number of elements has to stay the same, got shapes {tuple(input.shape)} and {shape}"
        )
    return xp_of_tensors.reshape(input, shape=shape)


@method_only("resize")
def _resized(input: Tensor, *sizes: Any) -> Tensor:
    """The elements in another shape; deprecated, as in PyTorch: use ``reshape``."""
    _deprecated("resize")
    return _reshaped("resize", input, tuple(sizes_given("resize", sizes, "sizes", {})))


@method_only("resize_as")
def _resized_as(input: Tensor, tensor: Tensor) -> Tensor:
    """The elements in the shape of another tensor; deprecated, as in PyTorch: use ``reshape``."""
    _deprecated("resize_as")
    return _reshaped("resize_as", input, tuple(tensor._data.shape))


@method_only("set_")
def _set(input: Tensor, *source: Any, **named: Any) -> Tensor:
    """Refused: a tensor cannot be put on other memory; assign to ``.data``, or use ``copy_``."""
    raise RuntimeError("set_: a tensor cannot be put on other memory; assign to .data, or use copy_()")


def _on_host(caller: str, input: Tensor) -> None:
    if input.requires_grad:
        raise RuntimeError(f"{caller}: a Python function cannot be recorded; detach() the tensor first")
    if input._device.type == "cuda":
        raise TypeError(f"{caller}: only for tensors on the CPU, this one is on {input._device}")
    check_memory(caller, input)


def _store(input: Tensor, values: list[Any]) -> Tensor:
    host = np.empty(input._data.shape, input._data.dtype)
    host[...] = np.asarray(values, dtype=host.dtype).reshape(host.shape)
    input._data[...] = host if input._device.type == "cpu" else input._device.backend.from_host(host, 0)
    bump(input)
    return input


@method_only("apply_")
def _apply(input: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace each element by what ``callable`` gives for it as a Python number. Slow; not recorded."""
    _on_host("apply_", input)
    return _store(input, [callable(v) for v in input.reshape(-1).tolist()])


@method_only("map_")
def _map(input: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace each element by what ``callable`` gives for it and that of ``tensor``, which broadcasts. Slow."""
    _on_host("map_", input)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"map_: argument 'tensor' must be a Tensor, got {describe(tensor)}")
    other = tensor.detach().expand(tuple(input._data.shape)).reshape(-1).tolist()
    return _store(input, [callable(a, b) for a, b in zip(input.reshape(-1).tolist(), other, strict=True)])


@method_only("map2_")
def _map2(input: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
    """Replace each element by what ``callable`` gives for it and those of ``x`` and ``y``, which broadcast. Slow."""
    _on_host("map2_", input)
    others = []
    for name, t in (("x", x), ("y", y)):
        if not isinstance(t, Tensor):
            raise TypeError(f"map2_: argument {name!r} must be a Tensor, got {describe(t)}")
        others.append(t.detach().expand(tuple(input._data.shape)).reshape(-1).tolist())
    return _store(input, [callable(*v) for v in zip(input.reshape(-1).tolist(), *others, strict=True)])


@function("detach", method=False)
def _detach(input: Tensor) -> Tensor:
    """A tensor on the same memory that is not in the graph.

    Example:
        >>> import chainrule as cr
        >>> cr.detach(cr.ones(2, requires_grad=True))
        tensor([1., 1.])
    """
    return input.detach()


@function("detach_", method=False)
def _detach_in_place(input: Tensor) -> Tensor:
    """In-place version of :func:`detach`; returns the tensor itself."""
    return input.detach_()
