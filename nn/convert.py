"""What Module does to all its parameters and buffers at once: dtype and device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from chainrule.autograd import dtypes
from chainrule.autograd.functions import empty_like
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device

if TYPE_CHECKING:
    from chainrule.nn.module import Module

M = TypeVar("M", bound="Convertible")


class Convertible:
    """The conversions of :class:`Module`."""

    if TYPE_CHECKING:

        def modules(self) -> Iterator[Module]: ...

    def _apply(self: M, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> M:
        """Replace what every parameter, gradient and buffer holds by ``fn`` of it."""
        for module in self.modules() if recurse else [cast("Module", self)]:
            for parameter in module._parameters.values():
                if parameter is None:
                    continue
                grad = parameter.grad
                parameter.data = fn(parameter.detach())
                if grad is not None:
                    grad.data = fn(grad.detach())
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = fn(buffer)
        return self

    def to(
        self: M,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        non_blocking: bool = False,
        tensor: Tensor | None = None,
        memory_format: Any = None,
    ) -> M:
        """Move all parameters and buffers to a device, and those of floating dtype to a dtype, in place.

        Takes ``to(device)``, ``to(dtype)``, ``to(device, dtype)`` and ``to(tensor)``; returns the module. A memory
        format has no effect: the kernels choose the order in memory.

        Raises TypeError for a dtype that is not floating, RuntimeError for a device that is not available.
        """
        for arg in args if tensor is None else (*args, tensor):
            if isinstance(arg, Tensor):
                dtype, device = arg.dtype, arg.device
            elif isinstance(arg, Device) or (isinstance(arg, str) and not hasattr(dtypes, arg)):
                device = arg
            elif arg is not None and not isinstance(arg, bool):
                dtype = arg
        target = None if device is None else Device(device)
        wanted = None if dtype is None else dtypes.as_dtype(dtype)
        if wanted is not None and not (wanted.is_floating_point or wanted.is_complex):
            raise TypeError(f"{type(self).__name__}.to: expected a floating-point dtype, got {wanted}")
        if target is not None:
            _ = target.backend  # fail here, with the reason, before anything is moved

        def convert(t: Tensor) -> Tensor:
            floating = t.is_floating_point() or t.is_complex()
            return t.to(device=target, dtype=wanted if floating else None)

        return self._apply(convert)

    def to_empty(self: M, *, device: Any, recurse: bool = True) -> M:
        """Move to a device without the values: parameters and buffers hold what happens to be in memory.

        Args:
            device: where to; None for where they are.
            recurse: the modules in this one too.

        Example:
            >>> from chainrule import nn
            >>> nn.Linear(2, 3).to_empty(device="cpu").weight.shape
            (3, 2)
        """
        target = None if device is None else Device(device)
        return self._apply(lambda t: empty_like(t, device=target), recurse)

    def type(self: M, dst_type: Any) -> M:
        """Convert all parameters and buffers, those of integers too, to a dtype; returns the module."""
        wanted = dtypes.as_dtype(dst_type)
        return self._apply(lambda t: t.to(wanted))

    def cpu(self: M) -> M:
        """Move to the CPU; returns the module."""
        return self.to("cpu")

    def cuda(self: M, device: Any = None) -> M:
        """Move to a CUDA GPU; returns the module. Raises RuntimeError with the reason where there is none."""
        return self.to("cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device)

    def float(self: M) -> M:
        """Convert floating parameters and buffers to float32; returns the module."""
        return self.to(dtypes.float32)

    def double(self: M) -> M:
        """Convert floating parameters and buffers to float64; returns the module."""
        return self.to(dtypes.float64)

    def half(self: M) -> M:
        """Convert floating parameters and buffers to float16; returns the module."""
        return self.to(dtypes.float16)

    def bfloat16(self: M) -> M:
        """Convert floating parameters and buffers to bfloat16; returns the module."""
        return self.to(dtypes.bfloat16)
