"""The recorded graph as plain records: walked once, iteratively, for everything that shows or compares graphs.

Operations stand in the order in which they ran, each leaf before the operation that first uses it, so the
records read like the program that made them. Tensors that do not require grad are not in the graph: of them
an operation's ``constants`` say what is still known.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from chainrule.autograd.calls import argument_names, attributes_of, constants_of, declared_op
from chainrule.autograd.edges import GradientEdge as GradientEdge
from chainrule.autograd.edges import get_gradient_edge as get_gradient_edge
from chainrule.autograd.edges import increment_version as increment_version
from chainrule.autograd.edges import register_multi_grad_hook as register_multi_grad_hook
from chainrule.autograd.node import Leaf, OutputSlot
from chainrule.autograd.node import Node as Node
from chainrule.autograd.saved import allow_mutation_on_saved_tensors as allow_mutation_on_saved_tensors
from chainrule.autograd.saved import disable_saved_tensors_hooks as disable_saved_tensors_hooks
from chainrule.autograd.saved import save_on_cpu as save_on_cpu
from chainrule.autograd.saved import saved_tensors_hooks as saved_tensors_hooks
from chainrule.autograd.tensor import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One operation, leaf or result.

    Attributes:
        id: its place in :attr:`Graph.nodes`.
        kind: ``"op"``, ``"leaf"`` (where a gradient ends) or ``"result"`` (a tensor that the graph was asked for).
        name: what users call it: the op's public name, the name of a parameter, ``"leaf 1"``, ``"result"``.
        shape: the shape of its (first) tensor; None where nothing in the graph tells it.
        dtype: the name of its dtype, where known.
        device: where it was computed.
        attributes: what the op was called with where that is not the default, and a result's value.
        arguments: names of an op's tensor arguments, in order.
        constants: by argument, what is known of those that do not require grad.
        outputs_used: how many of its outputs are part of the graph.
        function: the name of the node, such as ``"MulBackward0"``.
        where: ``"file.py:41"``, when locations were recorded.
        module: path of the module that ran it, when locations were recorded.
        requires_grad: False for a parameter that was named but is frozen.
        connected: False for a parameter that was named but does not lead to a result.
        gradient_norm: the 2-norm of its ``.grad``, when it has one.
    """

    id: int
    kind: str
    name: str
    shape: Shape | None = None
    dtype: str | None = None
    device: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    constants: dict[str, str] = field(default_factory=dict)
    outputs_used: int = 1
    function: str | None = None
    where: str | None = None
    module: str | None = None
    requires_grad: bool = True
    connected: bool = True
    gradient_norm: float | None = None


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """A tensor that went from one node to another.

    Attributes:
        source: id of the node that made it.
        target: id of the node that used it.
        output_index: which output of the source it is.
        shape: its shape, where known.
        argument: which argument of the target it is.
    """

    source: int
    target: int
    output_index: int = 0
    shape: Shape | None = None
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """The records of one graph; ``nodes[i].id == i``."""

    nodes: tuple[NodeRecord, ...]
    edges: tuple[EdgeRecord, ...]

    def of_kind(self, kind: str) -> list[NodeRecord]:
        """The nodes of one kind, in order."""
        return [node for node in self.nodes if node.kind == kind]

    def inputs(self) -> list[list[EdgeRecord]]:
        """For each node, the edges that lead into it."""
        found: list[list[EdgeRecord]] = [[] for _ in self.nodes]
        for edge in self.edges:
            found[edge.target].append(edge)
        return found


def record_graph(tensors: Tensor | Sequence[Tensor], params: Any = None) -> Graph:
    """The graph that leads to ``tensors``, as records.

    Args:
        tensors: one result, or several.
        params: names for leaves and intermediate results: a Module, or a dict of names to tensors and
            modules (``locals()`` will do; other values are passed over). Named parameters that do not lead to
            the result are recorded too, as not connected.

    Raises:
        TypeError: ``tensors`` holds something else, or ``params`` is neither a Module nor a dict.
        RuntimeError: nothing was recorded for one of the tensors.

    Example:
        >>> import chainrule as cr
        >>> w = cr.ones(3, requires_grad=True)
        >>> graph = record_graph((w * 2).sum(), {"w": w})
        >>> [(node.kind, node.name, node.shape) for node in graph.nodes]
        [('leaf', 'w', (3,)), ('op', 'mul', (3,)), ('op', 'sum', ()), ('result', 'result', ())]
        >>> [(edge.source, edge.target) for edge in graph.edges]
        [(0, 1), (1, 2), (2, 3)]
    """
    results = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    roots = [_root(t) for t in results]
    named = named_tensors(params)
    names = _names_by_edge(named)
    order = _operations(roots)
    builder = _Builder(names, _outputs_used(order, roots))
    for node in order:
        builder.add_operation(node)
    for i, (t, root) in enumerate(zip(results, roots, strict=True)):
        builder.add_result(t, root, "result" if len(results) == 1 else f"result {i}")
    for name, t in named:
        builder.add_unconnected(name, t)
    return Graph(tuple(builder.nodes), tuple(builder.edges))


def _root(t: Any) -> Any:
    if not isinstance(t, Tensor):
        raise TypeError(f"draw: expected a Tensor or a sequence of Tensors, got {type(t).__name__}")
    node = t._current_node()
    if node is None:
        raise RuntimeError(
            f"draw: the tensor (shape {tuple(t.shape)}, {t.dtype}) has no graph: nothing it was computed from requires "
            f"grad, or it was computed under no_grad() or from detach()ed tensors"
        )
    return node


def named_tensors(params: Any) -> list[tuple[str, Tensor]]:
    """The tensors that ``params`` names, in order; see :func:`record_graph`.

    Example:
        >>> import chainrule as cr
        >>> [name for name, _ in named_tensors({"w": cr.ones(2), "epochs": 3})]
        ['w']
    """
    if params is None:
        return []
    if hasattr(params, "named_parameters"):
        return list(params.named_parameters())
    if not isinstance(params, Mapping):
        raise TypeError(f"draw: params must be a Module or a dict of names to tensors, got {type(params).__name__}")
    found: list[tuple[str, Tensor]] = []
    for name, value in params.items():
        if isinstance(value, Tensor):
            found.append((str(name), value))
        elif hasattr(value, "named_parameters") and not isinstance(value, type):
            found += [(f"{name}.{inner}", t) for inner, t in value.named_parameters()]
    return found


def _names_by_edge(named: Iterable[tuple[str, Tensor]]) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for name, t in named:
        edge = t._current_node()
        if edge is not None:
            names[edge] = f"{names[edge]} = {name}" if edge in names else name  # tied parameters
    return names


def _operations(roots: Iterable[Any]) -> list[Any]:
    """Every operation the roots lead to, oldest first."""
    found = list(dict.fromkeys(_parent(edge)[0] for edge in roots))
    seen = set(found)
    for node in found:  # grows while it is walked
        for edge in node.inputs:
            if edge is not None:
                parent = edge.inputs[0] if type(edge) is OutputSlot else edge
                if parent not in seen:
                    seen.add(parent)
                    found.append(parent)
    return sorted((node for node in found if type(node) is not Leaf), key=attrgetter("sequence"))


def _parent(edge: Any) -> tuple[Any, int]:
    """The node behind an edge, and which of its outputs the edge is."""
    return (edge.inputs[0], edge.index) if type(edge) is OutputSlot else (edge, 0)


def _outputs_used(order: list[Any], roots: list[Any]) -> dict[Any, int]:
    """How many outputs of each multi-output operation something uses."""
    edges = {edge for node in order for edge in node.inputs if type(edge) is OutputSlot}
    edges.update(edge for edge in roots if type(edge) is OutputSlot)
    used = Counter(parent for parent, _ in {_parent(edge) for edge in edges})
    return dict(used)


class _Builder:
    """Turns nodes, oldest first, into records."""

    def __init__(self, names: dict[Any, str], used: dict[Any, int]) -> None:
        self.names = names
        self.outputs_used = used
        self.nodes: list[NodeRecord] = []
        self.edges: list[EdgeRecord] = []
        self.ids: dict[Any, int] = {}
        self.unnamed = 0

    def add_operation(self, node: Any) -> None:
        op = declared_op(node)
        arguments, edges = argument_names(node)
        sources = [(name, edge) for name, edge in edges if edge is not None]
        for _, edge in sources:
            self._leaf(edge)
        location = getattr(node, "where", None)
        record = NodeRecord(
            id=len(self.nodes),
            kind="op",
            name=node.op.label,
            shape=_shape(node),
            dtype=_dtype(node),
            device=str(node.device) if getattr(node, "device", None) is not None else None,
            attributes=attributes_of(node, op, self.names.get(node)),
            arguments=tuple(arguments),
            constants=constants_of(node, op, arguments, {name for name, _ in sources}),
            outputs_used=self.outputs_used.get(node, 1),
            function=node.name(),
            where=str(location) if location is not None else None,
            module=getattr(location, "module", None),
            gradient_norm=_retained(node),
        )
        self._add(node, record, sources)

    def _leaf(self, leaf: Any) -> None:
        if type(leaf) is not Leaf or leaf in self.ids:
            return
        name = self.names.get(leaf)
        if name is None:
            self.unnamed += 1
            name = f"leaf {self.unnamed}"
        record = NodeRecord(
            id=len(self.nodes),
            kind="leaf",
            name=name,
            shape=leaf.shape,
            dtype=str(leaf.dtype),
            device=str(leaf.device),
            function=leaf.name(),
            gradient_norm=_norm(leaf.grad),
        )
        self._add(leaf, record, [])

    def _add(self, node: Any, record: NodeRecord, sources: list[tuple[str, Any]]) -> None:
        self.ids[node] = record.id
        self.nodes.append(record)
        for name, edge in sources:
            source, index = _parent(edge)
            self.edges.append(EdgeRecord(self.ids[source], record.id, index, edge.shape, name))

    def add_result(self, t: Tensor, root: Any, name: str) -> None:
        self._leaf(root)
        record = NodeRecord(
            id=len(self.nodes),
            kind="result",
            name=name,
            shape=tuple(t.shape),
            dtype=t.dtype.name,
            device=str(t.device),
            attributes={"value": f"{t.item():.6g}"} if t.numel() == 1 and not t.is_complex() else {},
            gradient_norm=None,
        )
        self._add(t, record, [("", root)])

    def add_unconnected(self, name: str, t: Tensor) -> None:
        edge = t._current_node()
        if _parent(edge)[0] in self.ids or not t.is_leaf or type(t) is Tensor:
            return  # only parameters are missed: a plain tensor of locals() may well have nothing to do with it
        record = NodeRecord(
            id=len(self.nodes),
            kind="leaf",
            name=name,
            shape=tuple(t.shape),
            dtype=t.dtype.name,
            device=str(t.device),
            requires_grad=t.requires_grad,
            connected=False,
            gradient_norm=_norm(t.grad),
        )
        self._add(edge if edge is not None else t, record, [])


def _norm(gradient: Any) -> float | None:
    """The 2-norm of a gradient, added up in double precision."""
    if gradient is None:
        return None
    xp = gradient._device.xp
    size = xp.astype(xp.abs(gradient._data), np.dtype(np.float64))
    return math.sqrt(float(xp.sum(size * size)))


def _retained(node: Any) -> float | None:
    """The norm of the gradient that ``retain_grad()`` kept of an operation's result."""
    tensor = node.hooks.retain() if node.hooks is not None and node.hooks.retain is not None else None
    return None if tensor is None else _norm(tensor._grad)


def _shape(node: Any) -> Shape | None:
    """The shape of a node's first output."""
    meta = getattr(node, "output_meta", None)
    return meta[0][0] if meta else node.shape


def _dtype(node: Any) -> str | None:
    meta = getattr(node, "output_meta", None)
    if meta:
        return str(meta[0][1])
    dtype = getattr(getattr(node, "saved_out", None), "dtype", None)
    return str(dtype) if isinstance(dtype, np.dtype) else None
