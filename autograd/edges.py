"""Places in a graph (``chainrule.autograd.graph``): gradient edges, hooks on several gradients, versions."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from chainrule.autograd import dtypes
from chainrule.autograd.modes import mode as thread
from chainrule.autograd.node import Leaf, OutputSlot, RemovableHandle, output_slot
from chainrule.autograd.runtime import bump, tracked_node, wrap
from chainrule.autograd.tensor import Tensor


class GradientEdge(NamedTuple):
    """A place in a graph: an output of a node. It stands for the tensor in ``grad`` and ``backward``."""

    node: Any
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where the gradient of a tensor arrives.

    Raises RuntimeError when the tensor does not require grad.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([3.0], requires_grad=True)
        >>> h = x * 2
        >>> edge = cr.autograd.graph.get_gradient_edge(h)
        >>> y = h * h; del h
        >>> cr.autograd.grad(y, edge)
        (tensor([12.]),)
    """
    node = tracked_node(tensor)
    if node is None:
        raise RuntimeError("get_gradient_edge: this tensor does not require grad, so it has no place in a graph")
    if type(node) is OutputSlot:
        return GradientEdge(node.inputs[0], node.index, node)
    return GradientEdge(node, 0)


def edge_target(edge: GradientEdge) -> Any:
    """What the engine knows the place as."""
    node = edge.node
    meta = getattr(node, "output_meta", None)
    if type(node) is Leaf or meta is None or node.shape is not None:
        return node
    if not 0 <= edge.output_nr < len(meta):
        raise RuntimeError(f"{node.name()} has {len(meta)} outputs, got output_nr {edge.output_nr}")
    return output_slot(node, edge.output_nr, meta[edge.output_nr][0])


def edge_tensor(edge: GradientEdge) -> Tensor:
    """A tensor of no memory that stands for the edge as an output: its shape is that of the gradient to start from."""
    node = edge_target(edge)
    device = node.device if hasattr(node, "device") else edge.node.device
    meta = getattr(edge.node, "output_meta", None)
    dtype = meta[edge.output_nr][1] if meta else getattr(node, "dtype", None)
    if dtype is None:
        dtype = getattr(getattr(node, "saved_out", None), "dtype", None) or dtypes.get_default_dtype().dtype
    zero = device.xp.zeros((), dtype=dtype)
    return wrap(device.xp.broadcast_to(zero, node.shape), device, node)


class MultiHandle(RemovableHandle):
    """Removes the hooks on several tensors together."""

    def __init__(self, handles: tuple[RemovableHandle, ...]) -> None:
        self.handles = handles

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., Any], *, mode: str = "all"
) -> RemovableHandle:
    """Call ``fn`` once in each backward pass: when the gradients of all ``tensors`` that get one are known, or of any.

    Args:
        fn: with ``mode="all"`` it gets the list of gradients, None for a tensor without one; with ``"any"`` the first
            gradient that is known. It cannot replace them.

    Example:
        >>> import chainrule as cr
        >>> a, b = (cr.tensor([v], requires_grad=True) for v in (2.0, 3.0))
        >>> handle = cr.autograd.graph.register_multi_grad_hook((a, b), lambda grads: print([g.item() for g in grads]))
        >>> (a * b).backward()
        [3.0, 2.0]
    """
    if mode not in ("all", "any"):
        raise ValueError(f"register_multi_grad_hook: mode must be 'all' or 'any', got {mode!r}")
    targets = []
    for i, t in enumerate(tensors):
        node = tracked_node(t)
        if node is None:
            raise RuntimeError(f"register_multi_grad_hook: tensors[{i}] does not require grad, so it gets no gradient")
        targets.append(node)
    passes: dict[int, tuple[Any, list[Any]]] = {}  # by backward pass: what is known of the gradients

    def known(i: int) -> Callable[[Tensor], None]:
        def hook(g: Tensor) -> None:
            token, order, needed = thread.running
            entry = passes.get(id(token))
            if entry is None or entry[0]() is not token:  # the first gradient of this pass
                for old in [n for n, (alive, _) in passes.items() if alive() is None]:
                    del passes[old]
                entry = passes[id(token)] = (weakref.ref(token), [None] * len(targets))
                if mode == "any":
                    fn(g)
            grads = entry[1]
            grads[i] = g
            due = [t in order and (needed is None or t in needed) for t in targets]
            if mode == "all" and all(v is not None or not d for v, d in zip(grads, due, strict=True)):
                del passes[id(token)]
                fn(grads)

        return hook

    return MultiHandle(tuple([t.register_hook(known(i)) for i, t in enumerate(tensors)]))


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Note that the memory of a tensor (or of several) was changed in a way that was not seen.

    Example:
        >>> import chainrule as cr
        >>> x = cr.ones(2)
        >>> cr.autograd.graph.increment_version(x); x._version
        1
    """
    for t in [tensor] if isinstance(tensor, Tensor) else tensor:
        bump(t)
