"""Shapes of intermediate results, read off what the nodes saved.

A node keeps only what its gradient rules need, so the shape of a result is known from the node itself,
from an operation that used it, or from one that keeps shapes. After a backward pass the saved arrays are gone
and the saved shapes are left.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule.autograd.codegen import PUBLIC_NAMES
from chainrule.autograd.node import Leaf, OutputSlot

Shape = tuple[int, ...]

#: Operations whose result has the shape of their first argument.
KEEP_SHAPE = frozenset(
    """
    abs astype clip clone cos cumulative_sum elu exp expm1 flip leaky_relu log log1p negative overwrite
    power_by_number reciprocal relu rsqrt scatter_add sigmoid sign sin softplus sqrt square tanh to_device trunc
    softmax log_softmax view_scatter
    """.split()
)


def argument_names(node: Any) -> tuple[list[str], list[tuple[str, Any]]]:
    """The names of a node's tensor arguments in order, and each of its edges with its argument's name."""
    op = getattr(node, "op", None)
    if op is None:  # a custom Function
        names = [f"input {i}" for i in range(len(node.inputs))]
        return names, list(zip(names, node.inputs, strict=True))
    fixed = sum(1 for p in op.rules if p != op.variadic)
    variadic = [f"{op.variadic}[{i}]" for i in range(len(node.inputs) - fixed)] if op.variadic in op.rules else []
    edges: list[str] = []
    for parameter in op.rules:
        edges += variadic if parameter == op.variadic else [public_name(parameter)]
    return [*map(public_name, op.parameters), *variadic], list(zip(edges, node.inputs, strict=True))


def public_name(parameter: str) -> str:
    """What users call a tensor argument: ``input`` for ``x``."""
    return PUBLIC_NAMES.get(parameter, parameter)


def infer_shapes(order: list[Any], roots: Iterable[tuple[Any, Any]]) -> dict[tuple[Any, int], Shape]:
    """The shape of each output of the operations in ``order`` (oldest first), where it can be known.

    Args:
        order: the operations.
        roots: pairs of an edge and the tensor it made.
    """
    known: dict[tuple[Any, int], Shape] = {}
    for edge, t in roots:
        known[_key(edge)] = tuple(t._data.shape)
    for node in order:
        _from_saved(node, known)
    # Users tell their sources going back, sources their users going forward; one round settles all but odd graphs.
    for node in reversed(order):
        shape = known.get((node, 0))
        if shape is not None:
            _tell_inputs(node, shape, known)
    for node in order:
        if (node, 0) not in known:
            shape = _from_inputs(node, known)
            if shape is not None:
                known[node, 0] = shape
    return known


def _key(edge: Any) -> tuple[Any, int]:
    return (edge.inputs[0], edge.index) if type(edge) is OutputSlot else (edge, 0)


def _known(edge: Any, known: dict[tuple[Any, int], Shape]) -> Shape | None:
    if edge is None:
        return None
    return edge.shape if type(edge) is Leaf else known.get(_key(edge))


def _tell(edge: Any, shape: Any, known: dict[tuple[Any, int], Shape]) -> None:
    if edge is not None and type(edge) is not Leaf:
        known.setdefault(_key(edge), tuple(shape))


def _from_saved(node: Any, known: dict[tuple[Any, int], Shape]) -> None:
    """What a node kept: the shapes of its outputs and of its arguments."""
    for i, (shape, _) in enumerate(getattr(node, "output_meta", ())):
        known.setdefault((node, i), tuple(shape))
    op = getattr(node, "op", None)
    if op is None:
        return
    out = getattr(getattr(node, "saved_out", None), "shape", None)
    if out is not None:
        known.setdefault((node, 0), tuple(out))
    shapes = getattr(node, "shapes", None)
    if shapes is not None:
        known.setdefault((node, 0), np.broadcast_shapes(*shapes))
    position = 0
    for parameter in op.rules:
        if parameter == op.variadic:
            rest = node.inputs[position : position + len(node.inputs) - len(op.rules) + 1]
            arrays = getattr(node, f"saved_{parameter}", None)
            dims = getattr(node, f"saved_{parameter}_shape", None)
            if dims is None and isinstance(arrays, tuple):
                dims = [a.shape for a in arrays]
            for edge, shape in zip(rest, dims or (), strict=False):
                _tell(edge, shape, known)
            position += len(rest)
            continue
        shape = getattr(node, f"saved_{parameter}_shape", None)
        if shape is None:
            shape = getattr(getattr(node, f"saved_{parameter}", None), "shape", None)
        if shape is None and shapes is not None:
            shape = shapes[op.parameters.index(parameter)]
        if shape is not None:
            _tell(node.inputs[position], shape, known)
            if op.name in KEEP_SHAPE and parameter == op.parameters[0]:
                known.setdefault((node, 0), tuple(shape))
        position += 1


def _equal_inputs(node: Any) -> tuple[Any, ...]:
    """The edges whose shape is that of the result."""
    op = getattr(node, "op", None)
    if op is None:
        return ()
    if op.name in KEEP_SHAPE:
        return node.inputs[:1]  # type: ignore[no-any-return]
    if op.broadcasts and getattr(node, "shapes", 0) is None:
        return node.inputs  # type: ignore[no-any-return]
    return ()


def _tell_inputs(node: Any, shape: Shape, known: dict[tuple[Any, int], Shape]) -> None:
    for edge in _equal_inputs(node):
        _tell(edge, shape, known)
    if getattr(node, "op", None) is not None and node.op.name == "linear":
        weight = _known(node.inputs[1], known)
        if weight is not None:
            _tell(node.inputs[0], (*shape[:-1], weight[1]), known)


def _from_inputs(node: Any, known: dict[tuple[Any, int], Shape]) -> Shape | None:
    for edge in _equal_inputs(node):
        shape = _known(edge, known)
        if shape is not None:
            return shape
    op = getattr(node, "op", None)
    if op is None:
        return None
    if op.name == "linear":
        x, weight = (_known(edge, known) for edge in node.inputs[:2])
        if x is None:
            x = getattr(getattr(node, "saved_x", None), "shape", None)
        if weight is None:
            weight = getattr(getattr(node, "saved_weight", None), "shape", None)
        return None if x is None or weight is None else (*x[:-1], weight[0])
    if op.name == "matmul":
        return _matmul(node.saved_x_shape, node.saved_y_shape)
    if "keepdims" in op.attributes:
        x = getattr(node, "saved_x_shape", None) or _known(node.inputs[0], known)
        return None if x is None else _reduced(x, node.saved_axis, node.saved_keepdims)
    return None


def _reduced(x: Shape, axis: Any, keepdims: bool) -> Shape:
    """The shape of a reduction of ``x``."""
    chosen = range(len(x)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    gone = {a % len(x) for a in chosen} if x else set()
    return tuple([1 if i in gone else n for i, n in enumerate(x) if keepdims or i not in gone])


def _matmul(x: Shape, y: Shape) -> Shape:
    """The shape of ``x @ y``."""
    rows, columns = x[-2:-1], y[-1:] if len(y) > 1 else ()
    return (*np.broadcast_shapes(x[:-2], y[:-2]), *rows, *columns)
