"""Nodes of the graph: what the tape keeps of each operation.

A node holds *edges*: for every tensor argument of the op either the node that made it, a :class:`Leaf`,
or None where no gradient is wanted. It never holds Tensors, so a graph is freed by reference counting
as soon as the last result is gone.
"""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from chainrule.autograd.tensor import Tensor

#: creation numbers: inputs of a node are always older than the node
next_sequence = itertools.count().__next__


class _Freed:
    def __repr__(self) -> str:
        return "<freed>"


#: stands in a node where a saved array was, once a backward pass has consumed it
FREED: Any = _Freed()


#: the version of a value that was freed: none that a value can have been saved at
GONE = (-1,)


class RemovableHandle:
    """Removes a hook again: by :meth:`remove`, or at the end of a ``with`` block.

    Example:
        >>> import chainrule as cr
        >>> w = cr.ones(2, requires_grad=True)
        >>> handle = w.register_hook(lambda g: g * 2)
        >>> handle.remove()
    """

    _ids = itertools.count()

    def __init__(self, hooks: OrderedDict[int, Any]) -> None:
        self._hooks = weakref.ref(hooks)
        self.id = next(self._ids)

    def remove(self) -> None:
        """Take the hook away; does nothing the second time."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class HookDict(OrderedDict[int, Any]):
    """An ordered dict that can be weakly referenced (a handle must not keep the hooks alive)."""


class Hooks:
    """The hooks of one node, by the moment at which they run."""

    __slots__ = ("tensor", "before", "after", "accumulated", "retain")

    def __init__(self) -> None:
        self.tensor = HookDict()  # hook(gradient) -> gradient or None
        self.before = HookDict()  # hook(grad_outputs) -> grad_outputs or None
        self.after = HookDict()  # hook(grad_inputs, grad_outputs) -> grad_inputs or None
        self.accumulated = HookDict()  # hook(tensor), leaves only
        self.retain: weakref.ref[Tensor] | None = None


def add_hook(hooks: OrderedDict[int, Any], hook: Callable[..., Any]) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


class Edge:
    """Base of everything an edge can point to; the engine orders these by ``sequence``."""

    __slots__ = ("inputs", "sequence", "hooks", "shape", "__weakref__")
    #: shape of the tensor whose gradient arrives here (None for the node of an op with several outputs)
    shape: tuple[int, ...]
    inputs: tuple[Any, ...]
    sequence: int
    hooks: Hooks | None

    def ensure_hooks(self) -> Hooks:
        if self.hooks is None:
            self.hooks = Hooks()
        return self.hooks


class Node(Edge):
    """One recorded operation; subclasses are generated per op and save what the op's rules name."""

    __slots__ = ("device", "output_slots", "where", "_metadata")
    #: the declaration, set by the generated subclass
    op: Any = None
    #: whether there are saved arrays to release
    saves = True
    #: the names of the saved tensors: those of arguments and results that some rule asks for
    saved_names: tuple[str, ...] = ()
    #: adds the gradient of the input to an array in place, where that costs less than making it; set by the subclass
    into: Any = None
    device: Any
    where: Any

    def run(self, g: Any, needed: Any, free: bool = False) -> tuple[Any, ...]:
        """The gradients of the inputs, as arrays, from the gradient ``g`` of the output; ``free``: then release."""
        raise NotImplementedError

    def run_taped(self, g: Any, needed: Any) -> tuple[Any, ...]:
        """The same with Tensors, recorded."""
        raise NotImplementedError

    def release(self) -> None:
        """Drop the saved arrays."""

    def name(self) -> str:
        """The node's name, such as ``"MulBackward0"``."""
        return type(self).__name__ + "0"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Pairs of (node, index of that node's output), one for each input, as in PyTorch."""
        return tuple(_edge_pair(edge) for edge in self.inputs)

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dict for whatever belongs to this node; it lives as long as the node."""
        try:
            return self._metadata
        except AttributeError:
            self._metadata: dict[Any, Any] = {}
            return self._metadata

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(grad_inputs, grad_outputs)`` after this node ran; it may return new grad_inputs."""
        return add_hook(self.ensure_hooks().after, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(grad_outputs)`` before this node runs; it may return new grad_outputs."""
        return add_hook(self.ensure_hooks().before, hook)

    def __repr__(self) -> str:
        return f"<{self.name()}>"


def _edge_pair(edge: Any) -> tuple[Any, int]:
    if isinstance(edge, OutputSlot):
        return edge.inputs[0], edge.index
    return edge, 0


class OutputSlot(Edge):
    """One output of an op that has several: collects that output's gradient for the op's node."""

    __slots__ = ("index",)

    def __init__(self, node: Node, index: int, shape: tuple[int, ...]) -> None:
        self.inputs = (node,)
        self.shape = shape
        self.index = index
        self.sequence = next_sequence()
        self.hooks = None

    def name(self) -> str:
        return self.inputs[0].name()


def new_output_slot(node: Any, index: int, shape: tuple[int, ...]) -> OutputSlot:
    """The slot of an output that was just made; the node remembers it weakly."""
    slot = OutputSlot(node, index, shape)
    if not hasattr(node, "output_slots"):
        node.output_slots = {}
    node.output_slots[index] = weakref.ref(slot)
    return slot


def output_slot(node: Any, index: int, shape: tuple[int, ...]) -> OutputSlot:
    """The slot of an output that a rule saved: the one its tensor has, so that gradients meet there."""
    known = node.output_slots.get(index)
    slot = known() if known is not None else None
    return slot if slot is not None else new_output_slot(node, index, shape)


class Leaf(Edge):
    """Where a gradient ends: it owns the ``.grad`` of a tensor that the user made.

    It refers to the tensor weakly (the tensor owns the leaf), and lives on in graphs.
    """

    __slots__ = ("grad", "tensor_ref", "dtype", "device")

    def __init__(self, tensor: Tensor) -> None:
        self.inputs = ()
        self.sequence = -1  # runs after every node
        self.hooks = None
        self.grad: Tensor | None = None
        self.tensor_ref = weakref.ref(tensor)
        self.shape = tensor._data.shape
        self.dtype: np.dtype[Any] = tensor._data.dtype
        self.device = tensor._device

    @property
    def variable(self) -> Tensor | None:
        """The tensor whose gradient this is; None once nothing else refers to that tensor."""
        return self.tensor_ref()

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return ()

    def name(self) -> str:
        return "AccumulateGrad"

    def __repr__(self) -> str:
        return "<AccumulateGrad>"


class View:
    """How a tensor looks into the memory of its base."""

    __slots__ = ("_base", "steps", "version", "kind")

    def __init__(self, base: Tensor, steps: tuple[Any, ...], version: int, kind: str) -> None:
        self._base = base
        self.steps = steps  # ((op, attributes), ...): replaying them on the base gives the view
        self.version = version  # the counter's value for which the tensor's node is up to date
        #: "single", "multi" (one of several outputs), "no_grad" (made where nothing was recorded), "dtype" (of other
        #: elements on the same bytes, which no gradient passes)
        self.kind = kind

    @property
    def base(self) -> Tensor:
        """The tensor that the memory belongs to, never itself a view.

        A base that was transposed in place has become a view of what it was.
        """
        while self._base._view is not None:
            self._base = self._base._view._base
        return self._base


def _recorded(node: Node) -> str:
    """Where a node was recorded, in brackets, if that is known."""
    where = getattr(node, "where", None)
    if where is None:
        return ""
    return f" ({f'{where.module}, ' if where.module else ''}recorded at {where})"


_SWITCH_ON = "Run it inside autograd.detect_anomaly() to see the lines."


def stale(node: Node, name: str, saved_at: int, version: Any) -> RuntimeError:
    """The error for a saved array that was changed in place; ``version`` is its counter, with the lines of changes."""
    made = _recorded(node)
    change = next((where for at, where in version[1:] if at > saved_at), None)
    changed = f" {change} changed it." if change is not None else ""
    return RuntimeError(
        f"{node.op.label}{made}: one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: it saved {name!r} at version {saved_at}, which is now at version {version[0]}.{changed} Use the "
        f"out-of-place form of the operation that changed it, or change a clone()."
        f"{'' if made and changed else f' {_SWITCH_ON}'}"
    )


def freed(node: Node) -> RuntimeError:
    """The error for a second backward through a graph whose saved arrays are gone."""
    return RuntimeError(
        f"{node.op.label}{_recorded(node)}: trying to backward through the graph a second time, but its saved "
        f"arrays were freed by the first backward. Call backward(retain_graph=True) the first time if you "
        f"need both; if the second pass was not meant, a tensor of an earlier step is still in this graph: detach() it."
        f"{'' if _recorded(node) else f' {_SWITCH_ON}'}"
    )
