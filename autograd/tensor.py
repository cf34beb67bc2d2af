"""The Tensor: an array, the device it is on, and its place in the graph. It holds no mathematics:
operators and methods such as ``sum`` are attached from their declarations (``public.py``)."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.interop import ArrayProtocols
from chainrule.autograd.methods import TensorMethods
from chainrule.autograd.modes import tracer
from chainrule.autograd.node import Leaf, RemovableHandle, View, add_hook

if TYPE_CHECKING:
    from chainrule.backends.devices import device as Device


class Size(tuple[int, ...]):
    """A shape: a tuple of ints with PyTorch's ``numel()``.

    Example:
        >>> Size((2, 3)).numel()
        6
    """

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        count = 1
        for n in self:
            count *= n
        return count


class ElementCount(int):
    """``x.size``: the number of elements, which can also be called as PyTorch's ``x.size()`` and ``x.size(0)``."""

    shape: Size

    def __call__(self, dim: int | None = None) -> Any:
        if dim is None:
            return self.shape
        if not -len(self.shape) <= dim < len(self.shape):
            raise IndexError(
                f"size: dim must be in [{-len(self.shape)}, {len(self.shape) - 1}], for shape "
                f"{tuple(self.shape)}, got {dim}"
            )
        return self.shape[dim]


class Tensor(TensorMethods, ArrayProtocols):
    """An n-dimensional array that records what is computed with it.

    Made by :func:`chainrule.tensor`, the other creation functions, and by operations. ``Tensor(2, 3)`` and
    ``Tensor([1.0, 2.0])`` work as in PyTorch: an uninitialised tensor of that shape, or one of those values,
    of the default dtype.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4., 6.])
    """

    __slots__ = ("_data", "_device", "_counter", "_view", "_node", "__weakref__", "__dict__")
    _data: Any  # the backend's array
    _device: Device
    _counter: list[int] | None  # [in-place changes], shared by all tensors on the same memory; None before any is noted
    _view: View | None
    _node: Any  # the node that made it, a Leaf when it requires grad, or None
    _grad: Tensor | None = None  # of tensors that are no leaf; a Leaf keeps its own

    def __init__(self, *data: Any, device: Any = None) -> None:
        from chainrule.autograd.creation import legacy_tensor

        made = legacy_tensor(*data, device=device)
        self._data, self._device, self._counter, self._view, self._node = made._data, made._device, None, None, None

    # ---- what it is -------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The length of each dimension."""
        return Size(self._data.shape)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return int(self._data.ndim)

    def dim(self) -> int:
        """The number of dimensions."""
        return int(self._data.ndim)

    @property
    def size(self) -> ElementCount:
        """The number of elements; called, PyTorch's ``size()`` and ``size(dim)``."""
        count = ElementCount(self._data.size)
        count.shape = self.shape
        return count

    def numel(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    def nelement(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    def element_size(self) -> int:
        """Bytes per element."""
        return int(self._data.dtype.itemsize)

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return int(self._data.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(self._data.size) * int(self._data.dtype.itemsize)

    @property
    def dtype(self) -> dtypes.dtype:
        """The type of the elements."""
        return dtypes.of_array(self._data)

    @property
    def device(self) -> Device:
        """Where the elements live."""
        return self._device

    @property
    def is_cuda(self) -> bool:
        """Whether the elements live on a CUDA GPU."""
        return self._device.type == "cuda"

    def is_floating_point(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the elements are complex numbers."""
        return self.dtype.is_complex

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether ``view`` can give it any shape without a copy.

        The memory order of a tensor that is no view is ours to choose, and reported as contiguous in every format.
        """
        return self._order_is_ours() or bool(self._data.flags.c_contiguous)

    def stride(self, dim: int | None = None) -> Any:
        """Steps between neighbours along each dimension, in elements."""
        if self._order_is_ours():
            strides, step = [], 1
            for n in reversed(self._data.shape):
                strides.append(step)
                step *= max(n, 1)
            steps = tuple(reversed(strides))
        else:
            steps = tuple([s // self._data.dtype.itemsize for s in self._data.strides])
        return steps if dim is None else steps[dim]

    # ---- its place in the graph -------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on it are recorded. Settable on leaves."""
        return self._current_node() is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Start (or stop) recording operations on this tensor; returns it.

        Raises RuntimeError for integer and bool tensors, and for results of recorded operations when False.
        """
        node = self._current_node()
        if bool(requires_grad) == (node is not None):
            return self
        if requires_grad:
            if self._data.dtype not in dtypes.DIFFERENTIABLE:
                raise RuntimeError(
                    f"requires_grad_: only floating-point and complex tensors can require gradients, got {self.dtype}; "
                    f"convert first, for example with .float()"
                )
            leaf = self.__dict__.pop("_frozen", None)  # graphs recorded before it was frozen lead to its old leaf
            if leaf is None or leaf.shape != self._data.shape or leaf.dtype != self._data.dtype:
                leaf = Leaf(self)
            leaf.grad = self.__dict__.pop("_grad", None)
            self._node = leaf
            if self._view is not None:  # a view that the user made a leaf stands for itself
                self._view = None
        else:
            if type(node) is not Leaf:
                raise RuntimeError(
                    "requires_grad_(False): only leaf tensors can stop requiring grad; this one is the result of "
                    f"{node.name()}. Use detach() to cut it out of the graph."
                )
            if node.grad is not None:
                self._grad, node.grad = node.grad, None
            self._node, self.__dict__["_frozen"] = None, node
        return self

    def _order_is_ours(self) -> bool:
        """Whether the order of the elements in memory may be changed: not of a view, nor of a user's own memory."""
        return self._view is None and not (type(self._node) is Leaf and self._data.base is not None)

    def _current_node(self) -> Any:
        if self._view is None:
            return self._node
        from chainrule.autograd.runtime import view_edge

        return view_edge(self)

    @property
    def _version(self) -> int:
        """How often its memory was changed in place."""
        return 0 if self._counter is None else self._counter[0]

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user and not by a recorded operation."""
        node = self._current_node()
        return node is None or type(node) is Leaf

    @property
    def grad_fn(self) -> Any:
        """The node of the operation that made it; None for leaves."""
        node = self._current_node()
        if node is None or type(node) is Leaf:
            return None
        return node.inputs[0] if hasattr(node, "index") else node

    @property
    def output_nr(self) -> int:
        """Which output of ``grad_fn`` it is."""
        return getattr(self._current_node(), "index", 0)

    @property
    def grad(self) -> Tensor | None:
        """The gradient that :meth:`backward` accumulated, or None."""
        node = self._node
        if type(node) is Leaf:
            return node.grad
        if self._grad is None and node is not None and not self.retains_grad:
            warnings.warn(
                "the .grad of a tensor that is no leaf is read: it stays None unless retain_grad() is called before "
                "backward(); or is the .grad of a leaf (a parameter, an input) meant?",
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if value._data.shape != self._data.shape or value._data.dtype != self._data.dtype:
                raise RuntimeError(
                    f"grad: expected shape {tuple(self.shape)} and {self.dtype}, "
                    f"got {tuple(value.shape)} and {value.dtype}"
                )
            if value._device is not self._device:
                raise RuntimeError(f"grad: the tensor is on {self._device}, the gradient on {value._device}")
        node = self._node
        if type(node) is Leaf:
            node.grad = value
        else:
            self._grad = value

    @property
    def data(self) -> Tensor:
        """The same memory without the graph; like :meth:`detach`, it shares the version counter."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data: expected a Tensor, got {type(value).__name__}")
        if type(self._node) is Leaf and value._data.dtype not in dtypes.DIFFERENTIABLE:
            raise RuntimeError(f"data: a tensor that requires grad cannot hold {value.dtype}")
        self._data, self._device, self._view = value._data, value._device, None
        if type(self._node) is Leaf:
            self._node.shape, self._node.dtype, self._node.device = value._data.shape, value._data.dtype, value._device

    def detach(self) -> Tensor:
        """A tensor on the same memory that is not in the graph; an in-place change of either is noticed by both."""
        if self._order_is_ours() and not self._data.flags.c_contiguous:
            self._data = self._device.xp.ascontiguousarray(self._data)
        t: Tensor = object.__new__(Tensor)
        if self._counter is None:
            self._counter = [0]
        t._data, t._device, t._counter, t._node = self._data, self._device, self._counter, None
        t._view = None
        if not self._data.flags.c_contiguous:
            t._view = View(Tensor._alias(t), (), self._counter[0], "single")
        if tracer.locate is not None:
            from chainrule.autograd import cuts

            cuts.note("detach()", "detach", tracer.locate(), t, [self._current_node()])
        return t

    @staticmethod
    def _alias(t: Tensor) -> Tensor:
        """A second handle on the same memory, outside the graph."""
        if t._counter is None:
            t._counter = [0]
        other: Tensor = object.__new__(Tensor)
        other._data, other._device, other._counter, other._view, other._node = (
            t._data,
            t._device,
            t._counter,
            None,
            None,
        )
        return other

    def detach_(self) -> Tensor:
        """Cut this tensor itself out of the graph; returns it."""
        if self._view is not None:
            raise RuntimeError("detach_: a view cannot be detached in place; use detach()")
        if type(self._node) is Leaf:
            self._grad = self._node.grad
        self._node = None
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Accumulate the gradient of this tensor into the ``.grad`` of the leaves it was computed from.

        Args:
            gradient: the gradient of this tensor itself; may be left out for a single element (then 1).
            retain_graph: keep what the graph saved, for another backward (default: ``create_graph``).
            create_graph: record the backward pass, so that it can be differentiated again.
            inputs: accumulate into these tensors only.

        Raises:
            RuntimeError: nothing here requires grad, ``gradient`` is missing or misshapen, the graph was
                freed by an earlier backward, or a saved tensor was changed in place.
        """
        from chainrule.autograd.engine import backward

        backward(self, gradient, retain_graph, create_graph, inputs)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call ``hook(gradient)`` when the gradient of this tensor is known; what it returns replaces it.

        Raises RuntimeError when the tensor does not require grad.
        """
        node = self._current_node()
        if node is None:
            raise RuntimeError("register_hook: this tensor does not require grad, so it gets no gradient")
        return add_hook(node.ensure_hooks().tensor, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call ``hook(tensor)`` after a backward pass has accumulated into this leaf's ``.grad``."""
        node = self._current_node()
        if type(node) is not Leaf:
            raise RuntimeError(
                "register_post_accumulate_grad_hook: only leaves that require grad accumulate a gradient"
            )
        return add_hook(node.ensure_hooks().accumulated, hook)

    def retain_grad(self) -> None:
        """Keep the gradient of this intermediate result in ``.grad``."""
        import weakref

        node = self._current_node()
        if node is None:
            raise RuntimeError("retain_grad: this tensor does not require grad")
        if type(node) is not Leaf:
            node.ensure_hooks().retain = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        """Whether this intermediate result keeps its gradient."""
        node = self._current_node()
        return type(node) is not Leaf and node is not None and node.hooks is not None and node.hooks.retain is not None

    # ---- to Python and NumPy ----------------------------------------------------------------------------------------

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The elements as a NumPy array on the same memory.

        Args:
            force: also detach, and copy from the device, where that is needed.

        Raises RuntimeError or TypeError when that is needed and ``force`` is False.
        """
        if self.requires_grad and not force:
            raise RuntimeError("numpy: this tensor requires grad, and NumPy does not record; use .numpy(force=True)")
        if self._device.type != "cpu" and not force:
            raise TypeError(f"numpy: this tensor is on {self._device}; use .cpu().numpy() or .numpy(force=True)")
        if self._order_is_ours() and not self._data.flags.c_contiguous:
            self._data = self._device.xp.ascontiguousarray(self._data)
        return self._device.backend.to_host(self._data)

    def item(self) -> Any:
        """The only element as a Python number. Raises RuntimeError when there are more or none."""
        if self._data.size != 1:
            raise RuntimeError(f"item: expected a tensor of one element, got shape {tuple(self.shape)}")
        return self._data.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._device.backend.to_host(self._data).tolist()

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise RuntimeError(
                f"bool: a tensor of shape {tuple(self.shape)} is neither true nor false; use .any(), .all() or .item()"
            )
        return bool(self._data.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if dtypes.category(self._data.dtype) > 1 or self._data.size != 1:
            raise TypeError(
                f"only integer tensors of one element can be an index, got {self.dtype} of shape {tuple(self.shape)}"
            )
        return int(self.item())

    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError("len: a 0-d tensor has no length")
        return int(self._data.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self._data.ndim:
            raise TypeError("a 0-d tensor cannot be iterated over")
        return iter(self.unbind(0))

    __hash__ = object.__hash__

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        from chainrule.autograd.printing import tensor_repr

        return tensor_repr(self)

    def __format__(self, spec: str) -> str:
        if not self._data.ndim:
            return format(self.item(), spec)
        return object.__format__(self, spec)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError("deepcopy: only leaf tensors can be deep-copied; detach() or clone() this one first")
        t: Tensor = object.__new__(type(self))
        t._data, t._device, t._counter, t._view, t._node = self._data.copy(), self._device, None, None, None
        memo[id(self)] = t
        for name, value in self.__dict__.items():
            if name == "_frozen":
                continue
            t.__dict__[name] = copy.deepcopy(value, memo)
        if self.requires_grad:
            t.requires_grad_()
            t.grad = copy.deepcopy(self.grad, memo)
        return t

    def __copy__(self) -> Tensor:
        t = self.detach()
        t.__class__ = type(self)
        t.__dict__.update(self._attributes())
        return t.requires_grad_(self.requires_grad)

    def __reduce_ex__(self, protocol: Any) -> Any:
        from chainrule.autograd.creation import rebuild

        host = np.array(self._device.backend.to_host(self._data), order="C")  # ascontiguousarray gives 0-d a dimension
        arguments = (type(self), host, str(self._device), self.requires_grad)
        return rebuild, arguments, self._attributes() or None

    def _attributes(self) -> dict[str, Any]:
        """What users (and subclasses) have attached to it."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_frozen", "_grad")}
