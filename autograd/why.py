"""Why a gradient is missing or zero, in a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.cuts import Cut, cuts
from chainrule.autograd.engine import _order
from chainrule.autograd.node import Leaf, OutputSlot
from chainrule.autograd.tensor import Tensor

_TRACE = "; run the program inside autograd.record_locations() to learn the line"


def why_no_grad(t: Tensor, result: Tensor | None = None) -> str:
    """A sentence that says why the ``.grad`` of ``t`` is None or zero.

    Lines are known for what was computed inside :func:`chainrule.autograd.record_locations`.

    Args:
        t: the tensor whose gradient is missing.
        result: what ``backward()`` was, or will be, called on: with it the sentence can be more exact, and a gradient
            of zeros is followed to where it became zero (as long as the graph has not been freed).

    Raises:
        TypeError: an argument is no Tensor.

    Example:
        >>> import chainrule as cr
        >>> why_no_grad(cr.tensor([1, 2]))
        'chainrule.int64 tensors carry no gradient: convert it to a floating dtype first, for example with .float().'
        >>> w = cr.ones(2, requires_grad=True)
        >>> with cr.autograd.record_locations():
        ...     loss = (w.detach() * 2).sum()
        >>> why_no_grad(w)  # doctest: +ELLIPSIS
        'no backward pass has reached it; what was computed from it was cut off: detach() at ...'
    """
    for name, value in (("t", t), ("result", result)):
        if not isinstance(value, Tensor) and not (name == "result" and value is None):
            raise TypeError(f"why_no_grad: {name} must be a Tensor, got {type(value).__name__}")
    edge = t._current_node()
    if edge is None:
        return _untracked(t)
    if type(edge) is not Leaf and not t.retains_grad:
        return (
            f"it is the result of {_made(edge)}, not a leaf: only leaves keep their gradient; call retain_grad() on it "
            "before backward()."
        )
    gradient = t._grad if type(edge) is not Leaf else edge.grad
    if gradient is None:
        return _missing(edge, result)
    if bool((gradient == 0).all()):
        return _zero(edge, result)
    return "it has a gradient that is not zero."


def _untracked(t: Tensor) -> str:
    if dtypes.category(t._data.dtype) < 2:
        return (
            f"{t.dtype} tensors carry no gradient: convert it to a floating dtype first, for example with .float()."
        )
    cut = next((c for c in reversed(cuts) if c.result() is t), None)
    if cut is not None:
        return f"it was cut off from the graph: {_cut(cut)}."
    return (
        "requires_grad is False: it is frozen, or never asked for (call requires_grad_() before it is used), or it was "
        f"computed under no_grad() or from detached tensors{_TRACE}."
    )


def _missing(edge: Any, result: Tensor | None) -> str:
    behind = [c for c in cuts if c.concerns(edge)]
    if result is not None:
        root = result._current_node()
        if root is None:
            cut = next((c for c in reversed(cuts) if c.result() is result), None)
            if cut is not None:
                return f"the result has no graph: {_cut(cut)}."
            return (
                "the result has no graph: nothing it was computed from requires grad, or it was computed under "
                f"no_grad() or from detached tensors{_TRACE}."
            )
        if edge not in _order([root]):
            if behind:
                return f"it does not lead to the result: {_cut(behind[-1])}."
            return f"it is not in the graph of the result: nothing there was computed from it{_TRACE}."
        return "no backward pass has run since its gradient was last set to None; it is in the graph of the result."
    if behind:
        return f"no backward pass has reached it; what was computed from it was cut off: {_cut(behind[-1])}."
    return (
        "no backward pass has reached it since its gradient was last set to None; "
        "why_no_grad(t, result) says whether a result depends on it."
    )


def _zero(edge: Any, result: Tensor | None) -> str:
    if result is None:
        return "its gradient is zero everywhere; why_no_grad(t, result) says where it became zero."
    root = result._current_node()
    if root is None or edge not in _order([root]):
        return "its gradient is zero everywhere, and it is not in the graph of the result."
    from chainrule.autograd.explain import follow  # the drawing of graphs is not needed before

    try:
        steps = follow(result, edge)
    except RuntimeError as error:
        return f"its gradient is zero everywhere; where it became zero cannot be seen any more ({error})"
    for node, arrived, contributions in steps:
        if arrived.size and np.any(arrived != 0) and contributions and not any(np.any(c != 0) for c in contributions):
            return (
                f"its gradient is zero everywhere: it became zero in {_made(node)}, which got gradients that are not "
                "zero and passed on zeros only: every element is masked, or in a flat part of the function."
            )
    return "its gradient is zero everywhere: contributions that are not zero cancel, or the gradient was zero at once."


def _made(edge: Any) -> str:
    node = edge.inputs[0] if type(edge) is OutputSlot else edge
    label = node.op.label if getattr(node, "op", None) is not None else node.name()
    place = getattr(node, "where", None)
    return f"{label} ({place})" if place is not None else label


def _cut(cut: Cut) -> str:
    if cut.why == "detach":
        return f"detach() at {cut.where}"
    if cut.why == "no_grad":
        return f"{cut.what} ran under no_grad() at {cut.where}"
    return f"{cut.what} at {cut.where} has no gradient"
