"""What nodes keep for the backward pass, and hooks that keep it elsewhere (``chainrule.autograd.graph``).

While no hook is in force nothing here runs: a node's slots hold arrays. A hook replaces an array by a :class:`Packed`
and the version at which it was saved by None, so that reading it back takes the path of values that changed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from chainrule.autograd.modes import _GradContext, mode, no_grad, ordinary
from chainrule.autograd.node import FREED, freed, stale
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor


class Packed:
    """What a pack hook returned for one saved tensor."""

    __slots__ = ("value", "unpack", "shape", "dtype", "device", "guarded_at")

    def __init__(self, t: Tensor, hooks: saved_tensors_hooks, at: int) -> None:
        outer = mode.saved_hooks
        mode.saved_hooks = ()  # what a hook computes is not packed again
        try:
            with no_grad():
                self.value = hooks.pack_hook(t)
        finally:
            mode.saved_hooks = outer
        self.unpack = hooks.unpack_hook
        self.shape, self.dtype, self.device = t._data.shape, t._data.dtype, t._device
        # a hook that hands back the same memory leaves it open to in-place changes, which are noticed as ever
        same = isinstance(self.value, Tensor) and self.value._data is t._data
        self.guarded_at = at if same else None

    def restore(self, node: Any) -> Any:
        """The array again."""
        t = self.unpack(self.value)
        if not isinstance(t, Tensor):
            raise TypeError(f"{node.op.label}: the unpack hook must return a Tensor, got {describe(t)}")
        if t._data.shape != self.shape or t._data.dtype != self.dtype or t._device is not self.device:
            raise RuntimeError(
                f"{node.op.label}: the unpack hook must return a {self.dtype} tensor of shape {tuple(self.shape)} on "
                f"{self.device}, got a {describe(t)} on {t._device}"
            )
        return t._data


def pack(array: Any, device: Any, version: list[int]) -> Packed:
    """An array as the innermost hooks keep it."""
    t = wrap(array, device)
    t._counter = version
    return Packed(t, mode.saved_hooks[-1], version[0])


def pack_node(node: Any) -> None:
    """Hand everything that a node just saved to the hooks in force."""
    for name in node.saved_names:
        pack_slot(node, name)


def pack_slot(node: Any, name: str) -> None:
    slot = f"saved_{name}"
    try:
        array = getattr(node, slot)
    except AttributeError:  # saved for a rule that will not run
        return
    versions = getattr(node, f"{slot}_version")
    if isinstance(array, tuple):
        setattr(node, slot, tuple([pack(a, node.device, v) for a, v in zip(array, versions, strict=True)]))
        setattr(node, f"{slot}_at", (None,) * len(array))
    elif array is not None:
        setattr(node, slot, pack(array, node.device, versions))
        setattr(node, f"{slot}_at", None)


def restored(node: Any, name: str, label: str, taped: bool = True) -> Any:
    """A saved array that is not as it was saved: unpacked, or the error that says why it cannot be used.

    Hooks do not record what they do, unless a backward pass with ``create_graph`` (``taped``) records it.
    """
    saved = getattr(node, f"saved_{name}")
    if saved is FREED:
        raise freed(node)
    version, at = getattr(node, f"saved_{name}_version"), getattr(node, f"saved_{name}_at")
    with _GradContext(taped and mode.enabled):
        return checked(node, saved, label, version, at)


def checked(node: Any, saved: Any, label: str, version: Any, at: Any) -> Any:
    """One saved value as an array."""
    if type(saved) is Packed:
        if saved.guarded_at is not None and saved.guarded_at != version[0]:
            raise stale(node, label, saved.guarded_at, version)
        return saved.restore(node)
    if version[0] != at:
        raise stale(node, label, at, version)
    return saved


def restored_all(node: Any, name: str, taped: bool = True) -> tuple[Any, ...]:
    """The saved arrays of an op's variadic argument, checked."""
    saved = getattr(node, f"saved_{name}")
    if saved is FREED:
        raise freed(node)
    versions, at = getattr(node, f"saved_{name}_version"), getattr(node, f"saved_{name}_at")
    saves = enumerate(zip(saved, versions, at))
    if not any(type(a) is Packed for a in saved):
        return tuple([checked(node, a, f"{name}[{i}]", v, n) for i, (a, v, n) in saves])
    with _GradContext(taped and mode.enabled):
        return tuple([checked(node, a, f"{name}[{i}]", v, n) for i, (a, v, n) in saves])


# ---- reading what a node keeps ------------------------------------------------------------------------------------

#: PyTorch's names for arguments, results and attributes: the usual one first
_TORCH_NAMES = {
    "x": ("self", "input", "mat1"),
    "y": ("other", "mat2"),
    "out": ("result", "output"),
    "axis": ("dim",),
    "axes": ("dims",),
    "keepdims": ("keepdim",),
}


def saved_properties(slots: Iterable[str]) -> dict[str, property]:
    """The properties that read what a node keeps in its slots: ``grad_fn._saved_self``."""
    kept = [slot.removeprefix("saved_") for slot in slots if slot.startswith("saved_")]
    return {
        f"_saved_{public}": property(functools.partial(_saved_value, name=name))
        for name in kept
        if not name.endswith(("_version", "_at"))
        for public in _TORCH_NAMES.get(name, (name,))
    }


def _saved_value(node: Any, name: str) -> Any:
    """What a node keeps, a tensor as a Tensor.

    Raises AttributeError where nothing was kept, RuntimeError where it was freed or changed in place.
    """
    value = getattr(node, f"saved_{name}")
    if name not in node.saved_names or value is None:
        return value
    if isinstance(value, tuple):
        return tuple([wrap(a, node.device) for a in restored_all(node, name)])
    return wrap(restored(node, name, _TORCH_NAMES.get(name, (name,))[0]), node.device)


# ---- the context managers -------------------------------------------------------------------------------------------


class saved_tensors_hooks:
    """Keep what is saved for the backward pass by hooks: ``pack_hook(tensor)`` gives what to keep, ``unpack_hook``
    of that the tensor again.

    Every tensor that an operation recorded inside saves goes through them, a custom Function's too. The unpack hook
    runs each time the tensor is needed. Where the pack hook keeps the tensor itself, in-place changes are noticed
    as without hooks.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([2.0, 3.0], requires_grad=True)
        >>> sizes = []
        >>> with cr.autograd.graph.saved_tensors_hooks(lambda t: (sizes.append(t.nbytes), t)[1], lambda t: t):
        ...     y = (x * x).sum()
        >>> sizes
        [8, 8]
        >>> y.backward(); x.grad
        tensor([4., 6.])
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        hooks = mode.saved_hooks
        if mode.hooks_refused is not None:
            raise RuntimeError(mode.hooks_refused)
        mode.saved_hooks = (*hooks, self)
        ordinary.count(1)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        mode.saved_hooks = mode.saved_hooks[:-1]
        ordinary.count(-1)


class save_on_cpu(saved_tensors_hooks):
    """Keep what is saved for the backward pass in main memory, and copy it back to the device when it is needed.

    Args:
        pin_memory: accepted as in PyTorch.
        device_type: accepted as in PyTorch.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([2.0], requires_grad=True)
        >>> with cr.autograd.graph.save_on_cpu():
        ...     y = x * x
        >>> y.backward(); x.grad
        tensor([4.])
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def to_host(t: Tensor) -> Any:
            return t._device, t.detach().cpu() if t._device.type != "cpu" else t.clone()

        def to_device(kept: Any) -> Tensor:
            device, t = kept
            return t.to(device) if t._device is not device else t

        super().__init__(to_host, to_device)


class allow_mutation_on_saved_tensors(saved_tensors_hooks):
    """Allow in-place changes of what is saved inside: a copy is kept of everything.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([2.0], requires_grad=True)
        >>> with cr.autograd.graph.allow_mutation_on_saved_tensors():
        ...     h = x * 1
        ...     y = h * h
        ...     _ = h.zero_()
        ...     y.backward()
        >>> x.grad
        tensor([4.])
    """

    def __init__(self) -> None:
        super().__init__(lambda t: t.clone(), lambda t: t)


class disable_saved_tensors_hooks:
    """Refuse :class:`saved_tensors_hooks` inside, with ``error_message``: for code that does not work with them.

    Example:
        >>> import chainrule as cr
        >>> with cr.autograd.graph.disable_saved_tensors_hooks("not here"):
        ...     cr.autograd.graph.save_on_cpu().__enter__()
        Traceback (most recent call last):
        RuntimeError: not here
    """

    def __init__(self, error_message: str) -> None:
        self.error_message = error_message
        self._outer: list[str | None] = []

    def __enter__(self) -> None:
        if mode.saved_hooks:
            raise RuntimeError(self.error_message)
        self._outer.append(mode.hooks_refused)
        mode.hooks_refused = self.error_message

    def __exit__(self, *error: object) -> None:
        mode.hooks_refused = self._outer.pop()
