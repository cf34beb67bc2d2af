"""In-place operations: the ``_`` twins of ops, ``copy_`` and ``x[index] = value``.

The result is computed out of place, written into the tensor's memory, and the tensor takes over the
result's node. A write into a view also gives the base a new node, so that the gradient of everything
read from the base afterwards flows through the write.
"""

from __future__ import annotations

import sys
from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.modes import _GradContext, mode, no_grad
from chainrule.autograd.node import Leaf, Node
from chainrule.autograd.op import Op
from chainrule.autograd.runtime import bump, counter_of, describe, keep_retained, make_node, tracked_node, wrap
from chainrule.autograd.saved import pack_slot
from chainrule.autograd.tensor import Tensor


def make_inplace(name: str, function: Any, op: Op | None) -> Any:
    """The twin ``name_`` of ``function``: computes ``function(x, ...)`` and writes it into ``x``."""

    def inplace(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}_: expected a Tensor, got {describe(input)}")
        tracked = _records(input, (*args, *kwargs.values()))
        _check_writable(f"{name}_", input, tracked)
        if not tracked:
            with no_grad():
                _write(f"{name}_", input, function(input, *args, **kwargs))
            return input
        source = input
        if op is None or any("x" in needs for needs in op.needs.values()):
            # the op saves what is about to be overwritten
            source = wrap(input._data.copy(), input._device, tracked_node(input))
        adopt(f"{name}_", input, function(source, *args, **kwargs))
        return input

    inplace.__name__ = inplace.__qualname__ = f"{name}_"
    inplace.__doc__ = f"In-place version of :func:`{name}`; returns the tensor itself."
    return inplace


def has_sharers(t: Tensor) -> bool:
    """Whether other tensors, or saved ones, share the memory of a tensor: they share its version counter."""
    # one reference is the tensor's, one the argument of getrefcount
    return t._counter is not None and sys.getrefcount(t._counter) > 2


def make_inplace_view(name: str, function: Any) -> Any:
    """The twin ``name_`` of a function that gives a view: the tensor itself becomes that view of what it was."""

    def inplace(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}_: expected a Tensor, got {describe(input)}")
        tracked = _records(input, ())
        if tracked:
            _check_recorded(f"{name}_", input)
        leaf = input._node if type(input._node) is Leaf else None
        if leaf is not None and has_sharers(input):
            raise RuntimeError(f"{name}_: this leaf has views or was detached; change it before those are made")
        before = Tensor._alias(input)  # it takes the place of the tensor as the base of its views
        before._view, before._node = input._view, None if leaf is not None else input._node
        with _GradContext(mode.enabled or before._node is not None):
            result = function(before, *args, **kwargs)
        if result is before:
            return input
        if leaf is not None or (result._view is None and not result._data.size):
            input._data = input._device.xp.ascontiguousarray(result._data)
            if leaf is not None:
                leaf.shape = input._data.shape
        else:
            keep_retained(input._node, result._node)
            input._data, input._view, input._node = result._data, result._view, result._node
        bump(input)
        if input._view is not None:
            input._view.version = counter_of(input)[0]
        return input

    inplace.__name__ = inplace.__qualname__ = f"{name}_"
    inplace.__doc__ = f"In-place version of :func:`{name}`; returns the tensor itself, which has become the view."
    return inplace


def _records(x: Tensor, others: tuple[Any, ...]) -> bool:
    """Whether an in-place operation on ``x`` with these arguments is recorded."""
    if not mode.enabled:
        return False
    if x._view is not None and x._view.kind in ("no_grad", "dtype"):  # its base is recorded: refused below
        return True
    return tracked_node(x) is not None or any(isinstance(o, Tensor) and tracked_node(o) is not None for o in others)


def _check_writable(caller: str, x: Tensor, tracked: bool) -> None:
    check_memory(caller, x)
    if tracked:
        _check_recorded(caller, x)


def _check_recorded(caller: str, x: Tensor) -> None:
    """Refuse what PyTorch refuses to record."""
    if type(x._node) is Leaf:
        raise RuntimeError(
            f"{caller}: a leaf tensor that requires grad cannot be changed in place where operations are recorded; use "
            f"no_grad() to update it, or the out-of-place operation"
        )
    view = x._view
    if view is not None:
        if type(view.base._node) is Leaf:
            raise RuntimeError(
                f"{caller}: a view of a leaf tensor that requires grad cannot be changed in place where operations are "
                f"recorded; use no_grad(), or write into a clone() of the leaf"
            )
        if view.kind == "multi":
            raise RuntimeError(
                f"{caller}: this tensor is one of several views made by one operation (split, chunk, unbind); it "
                f"cannot be changed in place where operations are recorded. Use a slice, or clone() it"
            )
        if view.kind == "dtype":
            raise RuntimeError(
                f"{caller}: this view shows the memory of a recorded tensor as another dtype, and no gradient passes "
                f"through it; use no_grad() to change it"
            )
        if view.kind == "no_grad":
            raise RuntimeError(
                f"{caller}: this view was made under no_grad() and is now changed where operations are recorded; make "
                f"it where they are recorded too"
            )


def check_memory(caller: str, x: Tensor) -> None:
    """Refuse to write into memory that several elements share or that is read-only."""
    if x._view is not None and not x._data.flags.c_contiguous and x._data.size and _overlaps(x._data):
        raise RuntimeError(
            f"{caller}: more than one element of the written-to tensor refers to a single memory location (it was made "
            f"by expand, unfold or as_strided); clone() it before writing"
        )
    if not getattr(x._data.flags, "writeable", True):  # NumPy marks all that comes from an expanded array
        owner = x._data
        while owner.base is not None and hasattr(owner.base, "flags"):
            owner = owner.base
        if not owner.flags.writeable:
            raise RuntimeError(f"{caller}: this tensor lies on a read-only NumPy array; clone() it before writing")
        x._data.flags.writeable = True


def _overlaps(array: Any) -> bool:
    """Whether elements may share memory: some dimension's step is less than what the finer dimensions reach over."""
    reach = array.dtype.itemsize
    for step, n in sorted([(abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1]):
        if step < reach:
            return True
        reach += step * (n - 1)
    return False


def _check_result(caller: str, x: Tensor, result: Tensor) -> None:
    if result._data.shape != x._data.shape:
        raise RuntimeError(
            f"{caller}: the result has shape {tuple(result.shape)}, which does not fit into the tensor's shape "
            f"{tuple(x.shape)}; use the out-of-place operation"
        )
    if not x._device.covers(result._device):
        raise RuntimeError(
            f"{caller}: the result is another one for each element of the batch that vmap runs over, and does not fit "
            f"into a tensor from outside; use the out-of-place operation"
        )
    have, want = dtypes.category(result._data.dtype), dtypes.category(x._data.dtype)
    if have > want:
        raise RuntimeError(f"{caller}: a result of dtype {result.dtype} cannot be stored in a {x.dtype} tensor")


def _write(caller: str, x: Tensor, result: Tensor) -> None:
    """Put the elements of ``result`` into the memory of ``x`` and count the change."""
    _check_result(caller, x, result)
    x._data[...] = result._data
    bump(x)


def adopt(caller: str, x: Tensor, result: Tensor) -> None:
    """Write ``result`` into ``x`` and let ``x`` (and its base) continue from the node of ``result``."""
    _check_result(caller, x, result)
    if result._data.dtype != x._data.dtype:
        from chainrule.autograd.runtime import cast

        result = cast(result, x._data.dtype)
    node = tracked_node(result)
    _write(caller, x, result)
    if isinstance(node, Node) and node.op.needs and "out" in _saved_names(node.op) and result._view is None:
        # what the node saved as its result is now x's memory, and guarded by x's counter
        node.saved_out = x._data  # type: ignore[attr-defined]
        node.saved_out_version = counter_of(x)  # type: ignore[attr-defined]
        node.saved_out_at = counter_of(x)[0]  # type: ignore[attr-defined]
        if mode.saved_hooks:
            pack_slot(node, "out")
    view = x._view
    if view is None:
        keep_retained(x._node, node)
        x._node = node
        return
    base = view.base
    scattered = make_node(
        "view_scatter",
        (tracked_node(base), node),
        x._device,
        base._data.shape,
        saved_steps=view.steps,
    )
    keep_retained(base._node, scattered)
    base._node = scattered
    # the node of x (and of every other view of the base) is made anew from the base when it is next asked for


def _saved_names(op: Op) -> set[str]:
    return {n for needs in op.needs.values() for n in needs}
