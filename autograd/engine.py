"""The backward pass: one iterative walk of the graph serves ``backward()`` and ``grad()``.

The gradient of a real L with respect to a complex z travels as ``dL/dRe z - i dL/dIm z``: the chain rule then reads
as for real numbers, and the rule of a holomorphic function is its derivative. What users give and see is PyTorch's
``dL/dRe z + i dL/dIm z``: seeds, hooks, ``.grad`` and results are conjugated where they are complex.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from chainrule.autograd import batching, dtypes
from chainrule.autograd.edges import GradientEdge, edge_target, edge_tensor
from chainrule.autograd.hook_calls import after_node, before_node
from chainrule.autograd.modes import _GradContext, mode, ordinary
from chainrule.autograd.node import Leaf, OutputSlot
from chainrule.autograd.op import traced
from chainrule.autograd.ownership import is_ours
from chainrule.autograd.runtime import bump, conjugated, tracked_node, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.autograd.watch import checker

_by_sequence = attrgetter("sequence")

#: elements from which on gradients are added by the backend, whose kernel minds their memory order
_LARGE = 1 << 19


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Accumulate the gradients of ``tensors`` into the ``.grad`` of the leaves they were computed from.

    Args:
        tensors: one tensor, or several whose gradients are summed.
        grad_tensors: the gradient of each; None stands for 1 and is allowed for single elements.
        retain_graph: keep what the graph saved (default: ``create_graph``).
        create_graph: record the backward pass itself.
        inputs: accumulate into these tensors only.

    Raises:
        RuntimeError: see :meth:`Tensor.backward`.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([3.0], requires_grad=True)
        >>> cr.autograd.backward([w * 2, w * 5])
        >>> w.grad
        tensor([7.])
    """
    roots = [edge_tensor(t) if isinstance(t, GradientEdge) else t for t in _list(tensors)]
    seeds = [grad_tensors] if isinstance(tensors, (Tensor, GradientEdge)) else list(grad_tensors or [None] * len(roots))
    targets: list[Any] | None = None
    if inputs is not None:
        wanted = _list(inputs)
        if not wanted:
            raise RuntimeError("backward: inputs is empty; leave it out to accumulate into every leaf")
        targets = [_target("backward", t) for t in wanted]
    grads = _start("backward", roots, seeds, create_graph)
    captured = _run(grads, targets, create_graph if retain_graph is None else retain_graph, create_graph, True)
    if targets is not None:
        for t, target in zip(wanted, targets, strict=True):
            if type(target) is not Leaf and target in captured:
                found = _as_tensor(captured[target], t)
                t.grad = found if t._grad is None else t._grad + found


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``; no ``.grad`` is touched.

    Args:
        outputs: one tensor, or several whose gradients are summed.
        inputs: the tensors to differentiate with respect to; intermediate results too.
        grad_outputs: the gradient of each output; None stands for 1 and is allowed for single elements.
        retain_graph: keep what the graph saved (default: ``create_graph``).
        create_graph: record the backward pass, so that the result can be differentiated again.
        only_inputs: an old argument, ignored with a warning where it is False: no other ``.grad`` is ever touched.
        allow_unused: give None for an input that the outputs do not depend on, instead of an error.
        is_grads_batched: the first dimension of each grad_output runs over several gradients, pulled back at once.
        materialize_grads: give zeros for such an input.

    Raises:
        RuntimeError: an input does not require grad or is not used, and what :meth:`Tensor.backward` raises.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([2.0], requires_grad=True)
        >>> (dx,) = cr.autograd.grad(x ** 3, x, create_graph=True)
        >>> cr.autograd.grad(dx, x)
        (tensor([12.]),)
    """
    if not only_inputs:
        text = "grad: only_inputs is deprecated and ignored: only gradients of the inputs are computed"
        warnings.warn(text, FutureWarning, stacklevel=2)
    roots = [edge_tensor(t) if isinstance(t, GradientEdge) else t for t in _list(outputs)]
    wanted = _list(inputs)
    if grad_outputs is None or isinstance(grad_outputs, Tensor):
        seeds = [grad_outputs] * len(roots) if grad_outputs is None else [grad_outputs]
    else:
        seeds = list(grad_outputs)
    if len(seeds) != len(roots):
        raise RuntimeError(f"grad: expected one grad_output for each of the {len(roots)} outputs, got {len(seeds)}")
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    if is_grads_batched:
        from chainrule.autograd.transforms import batched_grad

        return batched_grad(roots, wanted, seeds, retain_graph, create_graph, allow_unused, materialize_grads)
    targets = [_target("grad", t) for t in wanted]
    # a seed with a hidden batch dimension (vmap) meets saved arrays without one: the rules run on Tensors, which mix
    taped = create_graph or any(isinstance(s, Tensor) and s._device is not r._device for r, s in zip(roots, seeds))
    grads = _start("grad", roots, seeds, taped)
    retain = create_graph if retain_graph is None else retain_graph
    captured = _run(grads, targets, retain, taped, False, create_graph)
    results: list[Tensor | None] = []
    for i, (t, target) in enumerate(zip(wanted, targets, strict=True)):
        if target in captured:
            results.append(_as_tensor(captured[target], t))
        elif materialize_grads and isinstance(t, Tensor):
            results.append(wrap(t._device.xp.zeros(t._data.shape, dtype=t._data.dtype), t._device))
        elif allow_unused:
            results.append(None)
        else:
            raise RuntimeError(
                f"grad: inputs[{i}] was not used to compute the outputs; pass allow_unused=True to get None instead"
            )
    return tuple(results)


def _list(value: Any) -> list[Any]:
    return [value] if isinstance(value, (Tensor, GradientEdge)) else list(value)


def _target(caller: str, t: Any) -> Any:
    if isinstance(t, GradientEdge):
        return edge_target(t)
    if not isinstance(t, Tensor):
        raise TypeError(f"{caller}: inputs must be Tensors, got {type(t).__name__}")
    node = tracked_node(t)
    if node is None:
        raise RuntimeError(f"{caller}: one of the inputs does not require grad, so nothing was recorded for it")
    return node


def _start(caller: str, roots: list[Any], seeds: list[Any], create_graph: bool) -> dict[Any, Any]:
    """Check outputs and their gradients; the gradients to start from, by node."""
    if len(seeds) != len(roots):
        raise RuntimeError(f"{caller}: expected {len(roots)} gradients, one for each output, got {len(seeds)}")
    grads: dict[Any, Any] = {}
    for root, seed in zip(roots, seeds, strict=True):
        if not isinstance(root, Tensor):
            raise TypeError(f"{caller}: expected a Tensor, got {type(root).__name__}")
        node = tracked_node(root)
        if node is None:
            raise RuntimeError(
                f"{caller}: the tensor (shape {tuple(root.shape)}, {root.dtype}) does not require grad and has no "
                f"grad_fn: nothing it was computed from requires grad, or it was computed under no_grad() or from "
                f"detach()ed tensors"
            )
        if seed is None:
            if root._data.size != 1:
                raise RuntimeError(
                    f"{caller}: grad can be implicitly created only for scalar outputs, got shape {tuple(root.shape)}; "
                    f"reduce it to one element (for example with .sum()) or pass the gradient"
                )
            if root._data.dtype.kind == "c":
                raise RuntimeError(
                    f"{caller}: grad can be implicitly created only for real scalar outputs but got {root.dtype}; "
                    f"differentiate a real function of it (such as .abs() or .real), or pass the gradient"
                )
            g = root._device.xp.ones(root._data.shape, dtype=root._data.dtype)
            g = wrap(g, root._device) if create_graph else g
        else:
            g = _check_seed(caller, root, seed)
            g = conjugated(g if create_graph else g._data, root._device)
        grads[node] = grads[node] + g if node in grads else g
    return grads


def _check_seed(caller: str, root: Tensor, seed: Any) -> Tensor:
    if not isinstance(seed, Tensor):
        raise TypeError(f"{caller}: the gradient must be a Tensor, got {type(seed).__name__}")
    if seed._device is not root._device:  # inside vmap they can be brought together
        root, seed = batching.together((root, seed)) or (root, seed)
    if seed._data.shape != root._data.shape:
        raise RuntimeError(
            f"{caller}: the gradient must have the shape {tuple(root.shape)} of the tensor, got {tuple(seed.shape)}"
        )
    if seed._device is not root._device:
        raise RuntimeError(f"{caller}: the tensor is on {root._device}, its gradient on {seed._device}")
    if (seed._data.dtype.kind == "c") != (root._data.dtype.kind == "c"):
        raise RuntimeError(
            f"{caller}: for complex Tensors, both gradient and tensor are required to have the same dtype, got a "
            f"{seed.dtype} gradient of a {root.dtype} tensor"
        )
    if dtypes.category(seed._data.dtype) > dtypes.category(root._data.dtype):
        raise RuntimeError(f"{caller}: the gradient of a {root.dtype} tensor cannot be {seed.dtype}")
    return seed if seed._data.dtype == root._data.dtype else traced.astype(seed, dtype=root._data.dtype)


def _order(roots: Any) -> list[Any]:
    """Every edge target that the roots lead to, latest first: a reverse topological order, leaves at the end."""
    seen = {None, *roots}
    found = list(roots)
    for node in found:  # grows while it is walked
        for edge in node.inputs:
            if edge not in seen:
                seen.add(edge)
                found.append(edge)
    found.sort(key=_by_sequence, reverse=True)
    return found


def _restrict(order: list[Any], targets: Sequence[Any]) -> set[Any]:
    """The nodes on a path to a target, targets included."""
    needed = set(targets)
    for node in reversed(order):
        if node not in needed:
            for edge in node.inputs:
                if edge in needed:
                    needed.add(node)
                    break
    return needed


def _run(
    grads: dict[Any, Any],
    targets: list[Any] | None,
    retain_graph: bool,
    create_graph: bool,
    accumulate: bool,
    record: bool | None = None,
) -> dict[Any, Any]:
    """Walk the graph; gradients of ``targets`` are returned, those of leaves accumulated when no targets are given.

    The first gradient to reach a node is borrowed, the second makes a fresh array, later ones are added in
    place (``owned``); those of slices already from the second on. ``create_graph``: the rules run on Tensors;
    ``record`` (the same by default): and are recorded.
    """
    order = _order(grads)
    needed = None if targets is None else _restrict(order, targets)
    check = None if ordinary.everywhere else checker.of_pass()  # anomaly mode, a profiler
    record = create_graph if record is None else record
    if not create_graph and check is None:
        # rules on arrays record nothing; hooks, which could, are called under the context by themselves
        return _walk(grads, order, needed, frozenset(targets or ()), retain_graph, create_graph, accumulate, None)
    with _GradContext(record):
        captured = _walk(
            grads, order, needed, frozenset(targets or ()), retain_graph, create_graph, accumulate, check
        )
    if check is not None and checker.end_of_pass is not None:
        checker.end_of_pass()
    return captured


def _walk(
    grads: dict[Any, Any],
    order: list[Any],
    needed: set[Any] | None,
    capture: frozenset[Any],
    retain_graph: bool,
    create_graph: bool,
    accumulate: bool,
    check: Any,
) -> dict[Any, Any]:
    """The loop of :func:`_run`."""
    captured: dict[Any, Any] = {}
    owned: set[Any] = set()
    apart, free = create_graph or check is not None, not retain_graph
    for node in order:
        g = grads.pop(node, None)
        if g is None or (needed is not None and node not in needed):
            continue
        if node.hooks is not None:
            outer, mode.running = mode.running, (owned, order, needed)
            try:
                with _GradContext(create_graph and mode.enabled):
                    g = before_node(node, g, create_graph)
            finally:
                mode.running = outer
        if capture and node in capture:
            captured[node] = g
            if type(node) is not Leaf and not any(e in needed for e in node.inputs):  # type: ignore[operator]
                continue
        kind = type(node)
        if kind is Leaf:
            if needed is None or (accumulate and node in capture):
                results = gradient = before = None  # so that only `g` refers to the array
                captured.pop(node, None)
                _accumulate(node, g)
            continue
        if kind is OutputSlot:
            parent = node.inputs[0]
            parts = grads.get(parent)
            if parts is None:
                parts = grads[parent] = [None] * len(parent.output_meta)
            parts[node.index] = g if parts[node.index] is None else parts[node.index] + g
            continue
        if apart:
            results = check(node, g, needed, create_graph) if check is not None else node.run_taped(g, needed)
            if node.saves and not retain_graph:
                node.release()
        elif kind.into is None or node.hooks is not None:
            results = node.run(g, needed, free)
        else:
            results = _add_or_run(node, g, needed, free, grads, owned)
        if node.hooks is not None and node.hooks.after:
            with _GradContext(create_graph and mode.enabled):
                results = after_node(node, results, g, create_graph)
        i = 0
        for edge in node.inputs:  # an index is quicker than zip
            gradient = results[i]
            i += 1
            if edge is None or gradient is None:
                continue
            before = grads.get(edge)
            if before is None:
                grads[edge] = gradient
            elif create_graph or edge not in owned:
                large = edge.shape and not create_graph and before.size >= _LARGE
                grads[edge] = node.device.backend.add(before, gradient) if large else before + gradient
                owned.add(edge)
            elif edge.shape and before.size >= _LARGE:  # a scalar's own size takes 60 ns to read
                grads[edge] = node.device.backend.add(before, gradient, before)
            else:
                before += gradient
                grads[edge] = before  # a NumPy scalar is not changed in place
    return captured


def _add_or_run(node: Any, g: Any, needed: Any, free: bool, grads: dict[Any, Any], owned: set[Any]) -> Any:
    """Add the gradient of a node's input to what the engine has of it, in place; or compute it, as a new array.

    So a loop over the slices of a tensor takes the time of one pass over it, not of one for each slice.
    """
    (edge,) = node.inputs
    total = grads.get(edge)
    if total is None:
        results = node.run(g, needed, free)
        if results[0] is not None:
            owned.add(edge)
        return results
    if edge not in owned or type(total) is not node.device.backend.array_type or total.dtype != g.dtype:
        return node.run(g, needed, free)
    node.into(g, total)
    if free and node.saves:
        node.release()
    return (None,)


def _accumulate(leaf: Leaf, g: Any) -> None:
    """Add a gradient to a leaf's ``.grad``, which is writable and belongs to that tensor alone."""
    before = leaf.grad
    if leaf.dtype.kind == "c":
        g = conjugated(g, leaf.device)
    if isinstance(g, Tensor):  # create_graph: the gradient keeps its graph
        g = traced.clone(g) if g._data.dtype == leaf.dtype else traced.astype(g, dtype=leaf.dtype)
        leaf.grad = g if before is None else before + g
    elif before is None:
        if g.dtype != leaf.dtype:
            g = leaf.device.xp.astype(g, leaf.dtype)
        elif not is_ours(g, leaf):
            g = g.copy()
        leaf.grad = wrap(g, leaf.device)
    elif before._node is not None or before._data.dtype != leaf.dtype:
        with _GradContext(False):
            leaf.grad = before + wrap(g, leaf.device)
    else:
        before._data += g
        bump(before)
    if leaf.hooks is not None and leaf.hooks.accumulated:
        tensor = leaf.tensor_ref()
        if tensor is not None:
            with _GradContext(isinstance(g, Tensor) and mode.enabled):
                for hook in list(leaf.hooks.accumulated.values()):
                    hook(tensor)


def _as_tensor(g: Any, like: Any) -> Tensor:
    """A captured gradient as a tensor of the dtype of the tensor it belongs to, owned by the caller."""
    if isinstance(like, GradientEdge):
        g = conjugated(g, like.node.device)
        return g if isinstance(g, Tensor) else wrap(g.copy(), like.node.device)
    if like._data.dtype.kind == "c":
        g = conjugated(g, like._device)
    if isinstance(g, Tensor):
        return g if g._data.dtype == like._data.dtype else traced.astype(g, dtype=like._data.dtype)
    if g.dtype != like._data.dtype:
        return wrap(like._device.xp.astype(g, like._data.dtype), like._device)
    return wrap(g.copy(), like._device)
