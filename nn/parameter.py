"""Tensors that a Module registers by itself when they are assigned to it."""

from __future__ import annotations

from typing import Any

from chainrule.autograd.creation import empty
from chainrule.autograd.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a :class:`Module` counts among its parameters as soon as it is assigned as an attribute.

    Args:
        data: the values; the parameter shares their memory. Without it, an empty tensor.
        requires_grad: whether operations on it are recorded.

    Raises:
        TypeError: ``data`` is not a Tensor.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Parameter(cr.zeros(2))
        Parameter containing:
        tensor([0., 0.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        _take_over(self, "Parameter", empty(0) if data is None else data)
        if requires_grad:
            self.requires_grad_()


class Buffer(Tensor):
    """A tensor that a :class:`Module` counts among its buffers as soon as it is assigned as an attribute.

    Args:
        data: the values; the buffer shares their memory.
        persistent: whether it is part of the module's ``state_dict``.

    Raises:
        TypeError: ``data`` is not a Tensor.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> class Shift(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.by = nn.Buffer(cr.ones(1))
        >>> list(Shift().state_dict())
        ['by']
    """

    __slots__ = ()
    persistent: bool

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        _take_over(self, "Buffer", empty(0) if data is None else data)
        self.persistent = persistent


def _take_over(t: Tensor, kind: str, data: Any) -> None:
    """Make ``t`` a second handle on the memory of ``data``, outside of its graph."""
    if not isinstance(data, Tensor):
        raise TypeError(f"{kind}: data must be a Tensor, got {type(data).__name__}")
    source = data.detach()
    t._data, t._device, t._counter, t._view, t._node = source._data, source._device, source._counter, source._view, None
