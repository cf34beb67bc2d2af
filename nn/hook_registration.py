"""Registering hooks: on one module, and on all modules at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from chainrule.autograd.node import HookDict, RemovableHandle
from chainrule.nn import hooks as _hooks

Hook = Callable[..., Any]


def _flagged(hook: Any, with_kwargs: bool, always_call: bool = False) -> Any:
    return _hooks.Flagged(hook, with_kwargs, always_call) if with_kwargs or always_call else hook


def _add(hooks: HookDict, hook: Any, prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


class Hookable:
    """The hooks of :class:`Module`; each ``register`` function returns a handle whose ``remove()`` takes it away."""

    # made on an instance when its first hook is registered; `_hooked` sends calls through nn/hooks.py
    _hooked = False
    _forward_pre_hooks: ClassVar[Mapping[int, Any]] = {}
    _forward_hooks: ClassVar[Mapping[int, Any]] = {}
    _backward_pre_hooks: ClassVar[Mapping[int, Any]] = {}
    _backward_hooks: ClassVar[Mapping[int, Any]] = {}
    _old_hooks: ClassVar[Mapping[int, Any]] = {}

    def _hook_dict(self, name: str) -> HookDict:
        if name not in self.__dict__:
            self.__dict__[name] = HookDict()
        return self.__dict__[name]

    def _call_hooks(self, name: str) -> HookDict:
        self.__dict__["_hooked"] = True
        return self._hook_dict(name)

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before each ``forward``; what it returns replaces the arguments.

        With ``with_kwargs`` it is ``hook(module, args, kwargs)``, which returns None or ``(args, kwargs)``.
        """
        return _add(self._call_hooks("_forward_pre_hooks"), _flagged(hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after each ``forward``; what it returns replaces the output.

        With ``with_kwargs`` it is ``hook(module, args, kwargs, output)``; with ``always_call`` it is called, and its
        result ignored, after a forward that raised too.
        """
        return _add(self._call_hooks("_forward_hooks"), _flagged(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` once the gradients of a call's outputs are known.

        It gets a tuple with None where there is no gradient; what it returns replaces these gradients.
        """
        return _add(self._call_hooks("_backward_pre_hooks"), hook, prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` once the gradients of a call's inputs are known.

        Both are tuples with None where there is no gradient; what the hook returns replaces ``grad_input``.

        Raises RuntimeError on a module that has hooks of :meth:`register_backward_hook`.
        """
        self._one_kind("_old_hooks")
        return _add(self._call_hooks("_backward_hooks"), hook, prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the last operation of a call has been differentiated.

        The older form, kept for old scripts: the gradients are those of that operation, not of the module. Use
        :meth:`register_full_backward_hook`.

        Raises RuntimeError on a module that has full hooks.
        """
        self._one_kind("_backward_hooks")
        return _add(self._call_hooks("_old_hooks"), hook)

    def _one_kind(self, other: str) -> None:
        if self.__dict__.get(other):
            raise RuntimeError(
                f"{type(self).__name__}: a module has either full backward hooks or those of register_backward_hook"
            )


# ---- hooks of all modules --------------------------------------------------------------------------------------------


class _EverywhereHandle(RemovableHandle):
    """Lets calls be fast again when the last hook of all modules is gone."""

    def remove(self) -> None:
        super().remove()
        Hookable._hooked = any(map(len, _hooks.EVERYWHERE.values()))


def _add_everywhere(name: str, hook: Any) -> RemovableHandle:
    Hookable._hooked = True  # from now on every call looks for hooks
    hooks = _hooks.EVERYWHERE[name]
    handle = _EverywhereHandle(hooks)
    hooks[handle.id] = hook
    return handle


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """:meth:`Module.register_forward_pre_hook` for all modules that there are and will be."""
    return _add_everywhere("_forward_pre_hooks", hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """:meth:`Module.register_forward_hook` for all modules that there are and will be.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn.modules.module import register_module_forward_hook
        >>> with register_module_forward_hook(lambda module, args, output: print(type(module).__name__)):
        ...     _ = cr.nn.Sequential(cr.nn.ReLU(), cr.nn.Tanh())(cr.ones(1))
        ReLU
        Tanh
        Sequential
    """
    return _add_everywhere("_forward_hooks", _flagged(hook, with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """:meth:`Module.register_full_backward_pre_hook` for all modules that there are and will be."""
    return _add_everywhere("_backward_pre_hooks", hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """:meth:`Module.register_full_backward_hook` for all modules that there are and will be."""
    return _add_everywhere("_backward_hooks", hook)


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """:meth:`Module.register_backward_hook` for all modules that there are and will be."""
    return _add_everywhere("_old_hooks", hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, name, parameter)`` when any module gets a parameter; what it returns replaces it."""
    return _add(_hooks.REGISTRATIONS["_parameters"], hook)


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, name, buffer)`` when any module gets a buffer; what it returns replaces it."""
    return _add(_hooks.REGISTRATIONS["_buffers"], hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, name, child)`` when any module gets a child module; what it returns replaces it."""
    return _add(_hooks.REGISTRATIONS["_modules"], hook)
