"""The names of a node's arguments, in the order in which the op was called."""

from __future__ import annotations

import functools
from typing import Any

from chainrule.autograd.codegen import PUBLIC_NAMES
from chainrule.autograd.op import Op


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
