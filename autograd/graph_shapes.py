"""Shapes of intermediate results, read off what the nodes saved.

A node keeps only what its gradient rules need, so the shape of a result is known from the node itself,
from an operation that used it, or from one that keeps shapes. After a backward pass the saved arrays are gone
and the saved shapes are left.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule.autograd.codegen import PUBLIC_NAMES
from chainrule.autograd.node import Leaf, OutputSlot
from chainrule.autograd.op import Op

Shape = tuple[int, ...]

#: Operations whose result has the shape of their first argument.
KEEP_SHAPE = frozenset(
    """
    abs astype clip clone cos cumulative_sum elu exp expm1 flip leaky_relu log log1p negative overwrite
    power_by_number reciprocal relu rsqrt scatter_add sigmoid sign sin softplus sqrt square tanh to_device trunc
    softmax log_softmax view_scatter
    """.split()
)


def declared_op(node: Any) -> Op | None:
    """The declaration behind a node; None for a custom Function."""
    op = getattr(node, "op", None)
    return op if isinstance(op, Op) else None


def argument_names(node: Any) -> tuple[list[str], list[tuple[str, Any]]]:
    """The names of a node's tensor arguments in order, and each of its edges with its argument's name."""
    op = declared_op(node)
    if op is None:
        names = [f"input {i}" for i in range(len(node.inputs))]
        return names, list(zip(names, node.inputs, strict=True))
    names, rules = _fixed_names(op)
    if op.variadic not in op.rules:
        return names, list(zip(rules, node.inputs, strict=True))
    count = len(node.inputs) - len(rules) + 1
    variadic = [f"{op.variadic}[{i}]" for i in range(count)]
    edges = [name for p in rules for name in (variadic if p == op.variadic else [p])]
    return [*names, *variadic], list(zip(edges, node.inputs, strict=True))


@functools.cache
def _fixed_names(op: Op) -> tuple[list[str], list[str]]:
    return [public_name(p) for p in op.parameters], [public_name(p) for p in op.rules]


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
    op = declared_op(node)
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
    op = declared_op(node)
    if op is None:
        return ()
    if op.name in KEEP_SHAPE:
        return node.inputs[:1]
    if op.broadcasts and getattr(node, "shapes", 0) is None:
        return node.inputs
    return ()


def _tell_inputs(node: Any, shape: Shape, known: dict[tuple[Any, int], Shape]) -> None:
    for edge in _equal_inputs(node):
        _tell(edge, shape, known)
    op = declared_op(node)
    if op is not None and op.name == "linear":
        weight = _known(node.inputs[1], known)
        if weight is not None:
            _tell(node.inputs[0], (*shape[:-1], weight[1]), known)


def _from_inputs(node: Any, known: dict[tuple[Any, int], Shape]) -> Shape | None:
    for edge in _equal_inputs(node):
        shape = _known(edge, known)
        if shape is not None:
            return shape
    op = declared_op(node)
    if op is None:
        return None
    x = _argument(node, op, 0, known)
    if op.name == "linear":
        weight = _argument(node, op, 1, known)
        return None if x is None or weight is None else (*x[:-1], weight[0])
    if op.name == "matmul":
        return _matmul(node.saved_x_shape, node.saved_y_shape)
    if op.name == "conv2d":
        weight = _argument(node, op, 1, known)
        return None if x is None or weight is None else _convolved(node, x, weight)
    if op.name == "permute_dims":
        return None if x is None else tuple([x[a] for a in node.saved_axes])
    if "keepdims" in op.attributes:
        return None if x is None else _reduced(x, node.saved_axis, node.saved_keepdims)
    return None


def _argument(node: Any, op: Op, position: int, known: dict[tuple[Any, int], Shape]) -> Shape | None:
    """The shape of one argument, saved or told by whoever made it."""
    if position >= len(op.parameters):
        return None
    name = op.parameters[position]
    shape = getattr(node, f"saved_{name}_shape", None)
    if shape is None:
        shape = getattr(getattr(node, f"saved_{name}", None), "shape", None)
    if shape is None and name in op.rules:
        shape = _known(node.inputs[list(op.rules).index(name)], known)
    return shape


def _convolved(node: Any, x: Shape, weight: Shape) -> Shape:
    windows = zip(x[2:], weight[2:], node.saved_stride, node.saved_padding, node.saved_dilation, strict=True)
    return (x[0], weight[0], *[(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in windows])


def _reduced(x: Shape, axis: Any, keepdims: bool) -> Shape:
    """The shape of a reduction of ``x``."""
    chosen = range(len(x)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    gone = {a % len(x) for a in chosen} if x else set()
    return tuple([1 if i in gone else n for i, n in enumerate(x) if keepdims or i not in gone])


def _matmul(x: Shape, y: Shape) -> Shape:
    """The shape of ``x @ y``."""
    rows, columns = x[-2:-1], y[-1:] if len(y) > 1 else ()
    return (*np.broadcast_shapes(x[:-2], y[:-2]), *rows, *columns)
