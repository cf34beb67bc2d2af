"""How a recorded operation was called, read off its node: argument names, attributes, constants."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from chainrule.autograd.node import FREED
from chainrule.autograd.op import PUBLIC_NAMES, Op

_UNSET: Any = object()


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
    return [_public_name(p) for p in op.parameters], [_public_name(p) for p in op.rules]


def _public_name(parameter: str) -> str:
    """What users call a tensor argument: ``input`` for ``x``."""
    return PUBLIC_NAMES.get(parameter, parameter)


def attributes_of(node: Any, op: Any, name: str | None) -> dict[str, str]:
    """What the op was called with, where that is no default; ``name`` is what the user calls the result."""
    found = {"name": name} if name is not None else {}
    for attribute, default in op.attributes.items() if op is not None else ():
        value = getattr(node, f"saved_{attribute}", _UNSET)
        if value is _UNSET or value is FREED or (type(value) is type(default) and value == default):
            continue
        text = format_attribute(value)
        if text is not None:
            found[{"axis": "dim", "axes": "dims", "keepdims": "keepdim"}.get(attribute, attribute)] = text
    return found


def constants_of(node: Any, op: Any, arguments: list[str], tracked: set[str]) -> dict[str, str]:
    """What the node still knows of the arguments that do not require grad."""
    found: dict[str, str] = {}
    if op is None:
        return found
    count = len(op.parameters)
    for position, argument in enumerate(arguments):
        if argument in tracked:
            continue
        parameter = op.parameters[position] if position < count else op.variadic
        saved: Any = getattr(node, f"saved_{parameter}", None)
        dims = getattr(node, f"saved_{parameter}_shape", None)
        if position >= count:  # one of the variadic tensors
            saved = saved[position - count] if isinstance(saved, tuple) else None
            dims = None if dims is None else dims[position - count]
        if hasattr(saved, "dtype") and saved.ndim == 0 and saved.dtype.kind in "fiub":
            host = saved if node.device.type == "cpu" else node.device.backend.to_host(saved)
            found[argument] = f"{host.item():g}"
            continue
        if hasattr(saved, "shape"):
            dims = saved.shape
        if dims is not None:
            found[argument] = f"constant {tuple(dims)}"
        elif parameter not in op.optional:
            found[argument] = "constant"
    return found


def format_attribute(value: Any) -> str | None:
    """An attribute in a few characters; None for what has no short form.

    Example:
        >>> format_attribute((slice(1, None), None, 3))
        '[1:, None, 3]'
        >>> format_attribute((2, -1))
        '(2, -1)'
    """
    if isinstance(value, tuple) and any(isinstance(v, slice) or v is Ellipsis for v in value):
        return f"[{', '.join(_format_index(v) for v in value)}]"
    if isinstance(value, slice):
        return f"[{_format_index(value)}]"
    if isinstance(value, np.dtype):
        return str(value)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} {tuple(value.shape)}"
    if value is None or isinstance(value, (bool, int, float, complex, str, tuple, list)):
        text = repr(value)
        return text if len(text) <= 40 and " object at " not in text and "<" not in text else None
    text = str(value)
    return text if len(text) <= 40 and "<" not in text else None


def _format_index(value: Any) -> str:
    if isinstance(value, slice):
        start, stop, step = ("" if v is None else str(v) for v in (value.start, value.stop, value.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    if value is Ellipsis:
        return "..."
    return format_attribute(value) or "?"
