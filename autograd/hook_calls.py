"""Calling the hooks of a node during a backward pass: what they see, and what the engine takes from them."""

from __future__ import annotations

from typing import Any

from chainrule.autograd.node import Node, OutputSlot
from chainrule.autograd.runtime import conjugated, wrap
from chainrule.autograd.tensor import Tensor


def before_node(node: Any, g: Any, create_graph: bool) -> Any:
    """Run a node's tensor hooks and prehooks on the gradient of its output."""
    hooks = node.hooks
    many = isinstance(g, list)
    if hooks.tensor:
        t = _shown(node, g)
        for hook in list(hooks.tensor.values()):
            replaced = _call(node, hook, (t,), t)
            if replaced is not None:
                if not isinstance(replaced, Tensor) or replaced.shape != t.shape:
                    raise RuntimeError(
                        f"{node.name()}: a hook must return None or a gradient of shape {tuple(t.shape)}, "
                        f"got {replaced!r:.80}"
                    )
                t = replaced
        g = _taken(t, create_graph)
    if hooks.before:
        given = tuple([_shown(node, a) for a in g]) if many else (_shown(node, g),)
        for hook in list(hooks.before.values()):
            replaced = _call(node, hook, given, given)
            if replaced is not None:
                given = replaced if isinstance(replaced, tuple) else (replaced,)
        raw = [_taken(a, create_graph) for a in given]
        g = raw if many else raw[0]
    if hooks.retain is not None:
        tensor = hooks.retain()
        if tensor is not None:
            kept = _shown(node, g) if create_graph else wrap(_shown(node, g)._data.copy(), tensor._device)
            tensor._grad = kept if tensor._grad is None else tensor._grad + kept
    return g


def _call(node: Any, hook: Any, shown: tuple[Any, ...], *arguments: Any) -> Any:
    """Call a hook, and refuse what it did if it changed a gradient in place: others may hold the same array."""
    versions = [0 if t is None or t._counter is None else t._counter[0] for t in shown]
    replaced = hook(*arguments)
    for t, version in zip(shown, versions, strict=True):
        if t is not None and t._counter is not None and t._counter[0] != version:
            raise RuntimeError(
                f"{node.name()}: a hook changed the gradient it was given in place, which other tensors may share; "
                f"return the new gradient instead, for example g * 2 for g.mul_(2)"
            )
    return replaced


def after_node(node: Node, results: tuple[Any, ...], g: Any, create_graph: bool) -> tuple[Any, ...]:
    assert node.hooks is not None
    given = tuple([_shown(node, r) for r in results])
    outputs = tuple([_shown(node, a) for a in (g if isinstance(g, list) else [g])])
    for hook in list(node.hooks.after.values()):
        replaced = _call(node, hook, (*given, *outputs), given, outputs)
        if replaced is not None:
            given = replaced if isinstance(replaced, tuple) else (replaced,)
    return tuple([_taken(a, create_graph) for a in given])


def _shown(node: Any, g: Any) -> Any:
    """A gradient as hooks see it."""
    if g is None:
        return None
    device = node.device if not isinstance(node, OutputSlot) else node.inputs[0].device
    g = conjugated(g, device)
    return g if isinstance(g, Tensor) else wrap(g, device)


def _taken(t: Any, create_graph: bool) -> Any:
    """A gradient from a hook as the engine passes it on."""
    return None if t is None else conjugated(t if create_graph else t._data, t._device)
