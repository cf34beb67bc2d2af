"""Tensors that a Module registers by itself when they are assigned to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from chainrule.autograd import dtypes
from chainrule.autograd.creation import empty
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device

U = TypeVar("U", bound="UninitializedTensorMixin")


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


class UninitializedTensorMixin(Tensor):
    """A tensor whose shape is not known yet; it has a dtype and a device, and no elements.

    Any use of its elements raises ValueError, any use of its shape RuntimeError, until :meth:`materialize`.
    """

    __slots__ = ()
    #: what it is once it has elements
    cls_to_become: type[Tensor] = Tensor
    # both are taken away again by materialize()
    _dtype: dtypes.dtype
    _wants_grad: bool

    def _start(self, device: Any, dtype: Any, requires_grad: bool) -> None:
        like = empty(0, device=device, dtype=dtype)
        self._device, self._counter, self._view, self._node = like._device, None, None, None
        self._dtype, self._wants_grad = like.dtype, bool(requires_grad)

    @property
    def _data(self) -> NoReturn:
        # read by whatever uses the elements
        raise ValueError(
            f"this {type(self).__name__} has no shape and no elements yet; call the module that it belongs to once, "
            f"with an input of the right shape, or load a state dict"
        )

    @property
    def shape(self) -> NoReturn:
        """Raises RuntimeError: it is not known yet."""
        raise RuntimeError(
            f"this {type(self).__name__} has no shape yet; call the module that it belongs to once, with an input of "
            f"the right shape, or load a state dict"
        )

    @property
    def dtype(self) -> dtypes.dtype:
        """The type that the elements will have."""
        return self._dtype

    @property
    def requires_grad(self) -> bool:
        """Whether operations on it will be recorded."""
        return self._wants_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self._wants_grad = bool(value)

    def requires_grad_(self: U, requires_grad: bool = True) -> U:
        """Say whether operations on it will be recorded; returns it."""
        self._wants_grad = bool(requires_grad)
        return self

    def detach(self: U) -> U:
        """Itself: there is nothing yet to be outside of a graph."""
        return self

    @property
    def data(self) -> Tensor:
        """Itself; assigning another uninitialised tensor takes over its device and dtype."""
        return self

    @data.setter
    def data(self, value: Tensor) -> None:
        if not is_lazy(value):
            raise TypeError(
                f"data: this {type(self).__name__} has no shape yet; give it one with materialize(), then assign"
            )
        self._device, self._dtype = value._device, value.dtype

    def to(self: U, *args: Any, dtype: Any = None, device: Any = None, **ignored: Any) -> U:
        """One that will have another dtype or device: ``to(dtype)``, ``to(device, dtype)``, ``to(other)``."""
        for arg in args:
            if isinstance(arg, Tensor):
                dtype, device = arg.dtype, arg.device
            elif isinstance(arg, Device) or (isinstance(arg, str) and not hasattr(dtypes, arg)):
                device = arg
            elif arg is not None and not isinstance(arg, bool):
                dtype = arg
        other: U = object.__new__(type(self))
        device, dtype = self._device if device is None else device, self._dtype if dtype is None else dtype
        other.__dict__.update(self.__dict__)
        other._start(device, dtype, self._wants_grad)
        return other

    def float(self: U, memory_format: Any = None) -> U:
        """One that will hold float32."""
        return self.to(dtypes.float32)

    def double(self: U, memory_format: Any = None) -> U:
        """One that will hold float64."""
        return self.to(dtypes.float64)

    def half(self: U, memory_format: Any = None) -> U:
        """One that will hold float16."""
        return self.to(dtypes.float16)

    def bfloat16(self: U, memory_format: Any = None) -> U:
        """One that will hold bfloat16."""
        return self.to(dtypes.bfloat16)

    def cpu(self: U, memory_format: Any = None) -> U:
        """One that will be on the CPU."""
        return self.to("cpu")

    def cuda(self: U, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> U:
        """One that will be on a GPU. Raises RuntimeError with the reason where there is none."""
        return self.to("cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device)

    def materialize(self, shape: Sequence[int], device: Any = None, dtype: Any = None) -> None:
        """Make it an ordinary tensor of this shape, with arbitrary elements; every reference to it sees that.

        Args:
            shape: the length of each dimension.
            device, dtype: others than it was made with.
        """
        made = empty(*shape, device=device or self._device, dtype=dtype or self._dtype)
        requires_grad = self._wants_grad
        del self.__dict__["_dtype"], self.__dict__["_wants_grad"]
        self.__class__ = self.cls_to_become  # type: ignore[assignment]
        _take_over(self, type(self).__name__, made)
        if requires_grad:
            self.requires_grad_()

    # mypy drops the names of a dunder method's parameters, and then finds that this one is missing
    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"<{type(self).__name__}>"

    def __deepcopy__(self: U, memo: dict[int, Any]) -> U:
        memo[id(self)] = other = self.to()
        return other

    def __copy__(self: U) -> U:
        return self.__deepcopy__({})

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (type(self), str(self._device), self._dtype, self._wants_grad)


def _rebuild(cls: type[U], device: str, dtype: Any, requires_grad: bool) -> U:
    """A pickled uninitialised tensor again."""
    t: U = object.__new__(cls)
    t._start(device, dtype, requires_grad)
    return t


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape the first call of its module decides; see :class:`chainrule.nn.LazyLinear`.

    Args:
        requires_grad: whether operations on it will be recorded.

    Example:
        >>> from chainrule import nn
        >>> weight = nn.UninitializedParameter()
        >>> weight
        <UninitializedParameter>
        >>> weight.materialize((2, 3))
        >>> type(weight).__name__, weight.shape
        ('Parameter', (2, 3))
    """

    __slots__ = ()
    cls_to_become = Parameter

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        self._start(device, dtype, requires_grad)


class UninitializedBuffer(UninitializedTensorMixin, Buffer):
    """A buffer whose shape the first call of its module decides.

    Args:
        requires_grad: whether operations on it will be recorded.
        persistent: whether it is part of the module's ``state_dict``.

    Example:
        >>> from chainrule import nn
        >>> mean = nn.UninitializedBuffer()
        >>> mean.materialize((3,))
        >>> mean.shape
        (3,)
    """

    __slots__ = ()

    def __init__(
        self, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> None:
        self._start(device, dtype, requires_grad)
        self.persistent = persistent


def is_lazy(param: Any) -> bool:
    """Whether it is a parameter or buffer that has no shape yet.

    Example:
        >>> from chainrule import nn
        >>> nn.parameter.is_lazy(nn.LazyLinear(3).weight)
        True
    """
    return isinstance(param, UninitializedTensorMixin)
