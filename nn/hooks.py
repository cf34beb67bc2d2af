"""The part of ``Module.__call__`` that runs only when there are hooks or the graph is being recorded."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chainrule.autograd.function import Function
from chainrule.autograd.modes import mode
from chainrule.autograd.node import HookDict
from chainrule.autograd.runtime import tracer
from chainrule.autograd.tensor import Tensor
from chainrule.nn.locate import name_in

if TYPE_CHECKING:
    from chainrule.nn.module import Module

#: hooks of all modules, by the name of the attribute that holds a single module's
EVERYWHERE: dict[str, HookDict] = {
    name: HookDict()
    for name in ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks", "_old_hooks")
}

#: hooks that see each parameter, buffer or module that any module registers, by the name of the registry
REGISTRATIONS: dict[str, HookDict] = {name: HookDict() for name in ("_parameters", "_buffers", "_modules")}


class PathPart(str):
    """A module's name inside the module that called it; remembers the module, to name the next one."""

    module: Module


def call(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module(*args, **kwargs)`` with its hooks, and with its name on the stack that nodes read while recording."""
    if tracer.locate is None:
        return _call_hooked(module, args, kwargs)
    # `mode` is thread-local: each thread has its own stack, made on first use
    stack: list[PathPart] | None = getattr(mode, "modules", None)
    if stack is None:
        stack = mode.modules = []
    part = PathPart(name_in(stack[-1].module, module) if stack else type(module).__name__)
    part.module = module
    stack.append(part)
    try:
        return _call_hooked(module, args, kwargs)
    finally:
        stack.pop()


class Flagged:
    """A hook that was registered with ``with_kwargs`` or ``always_call``; any other stands in its dict as it is."""

    def __init__(self, hook: Any, with_kwargs: bool, always_call: bool) -> None:
        self.hook, self.with_kwargs, self.always_call = hook, with_kwargs, always_call


def _hooks(module: Module, name: str) -> list[tuple[int, Any]]:
    """The hooks of all modules, then this module's, with their numbers."""
    return [*EVERYWHERE[name].items(), *getattr(module, name).items()]


def _flagged_hooks(module: Module, name: str) -> list[tuple[int, Any, bool, bool]]:
    """The same, with whether each takes keyword arguments and whether it is called after an error too."""
    return [
        (number, h.hook, h.with_kwargs, h.always_call) if isinstance(h, Flagged) else (number, h, False, False)
        for number, h in _hooks(module, name)
    ]


def _call_hooked(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    done: set[int] = set()  # numbers of the forward hooks that have run
    output = None
    try:
        for _, hook, with_kwargs, _ in _flagged_hooks(module, "_forward_pre_hooks"):
            changed = hook(module, args, kwargs) if with_kwargs else hook(module, args)
            if changed is None:
                continue
            if with_kwargs:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        f"{type(module).__name__}: a forward pre-hook with kwargs must return None or (args, kwargs), "
                        f"got {type(changed).__name__}"
                    )
                args, kwargs = changed
            else:
                args = changed if isinstance(changed, tuple) else (changed,)
        backward = _BackwardHooks.of(module) if mode.enabled else None
        if backward is not None:
            args = backward.watch_inputs(args)
        output = module.forward(*args, **kwargs)
        for number, hook, with_kwargs, _ in _flagged_hooks(module, "_forward_hooks"):
            done.add(number)
            changed = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
            if changed is not None:
                output = changed
        if backward is not None:
            output = backward.watch_output(output)
        _watch_node(module, output)
        return output
    except Exception:
        # hooks with always_call=True run even so; what they return is of no use, and the first error is the one to see
        for number, hook, with_kwargs, always in _flagged_hooks(module, "_forward_hooks"):
            if always and number not in done:
                try:
                    _ = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
                except Exception as error:
                    name = type(module).__name__
                    warnings.warn(f"{name}: a forward hook with always_call=True raised too: {error}", stacklevel=3)
        raise


def _watch_node(module: Module, output: Any) -> None:
    """Put the hooks of ``register_backward_hook`` on the node that made the first tensor of the output."""
    hooks = [hook for _, hook in _hooks(module, "_old_hooks")]
    while hooks and output is not None and not isinstance(output, Tensor):
        output = next(iter(output.values() if isinstance(output, dict) else output), None)
    if hooks and output is not None and output.grad_fn is not None:
        for hook in hooks:
            output.grad_fn.register_hook(_with_module(hook, module))


def _with_module(hook: Callable[..., Any], module: Module) -> Callable[..., Any]:
    return lambda *grads: hook(module, *grads)


class _InputGate(Function):
    """Passes the inputs of a call on; its backward is where the gradients of all of them are known."""

    @staticmethod
    def forward(ctx: Any, watcher: Any, *tensors: Any) -> Any:
        ctx.watcher = watcher
        return tuple([t.clone() for t in tensors])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, *ctx.watcher.run(grads))


class _OutputGate(Function):
    """Passes the outputs of a call on; its backward is where the gradients of all of them are known."""

    @staticmethod
    def forward(ctx: Any, watcher: Any, *tensors: Any) -> Any:
        ctx.watcher = watcher
        ctx.set_materialize_grads(False)
        return tuple([t.clone() for t in tensors])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, *ctx.watcher.outputs_arrived(grads))


class _BackwardHooks:
    """Collects the gradients of one call's inputs and outputs, and runs the module's backward hooks on them."""

    @staticmethod
    def of(module: Module) -> _BackwardHooks | None:
        """The hooks of a module that is about to be called; None where it has none."""
        before, after = _hooks(module, "_backward_pre_hooks"), _hooks(module, "_backward_hooks")
        return _BackwardHooks(module, [h for _, h in before], [h for _, h in after]) if before or after else None

    def __init__(self, module: Module, before: list[Any], after: list[Any]) -> None:
        self.module = module
        self.before = before
        self.after = after
        self.count = 0  # of the inputs
        self.inputs: list[int] = []  # positions of those that have a gradient
        self.outputs: list[int] = []
        self.grad_output: tuple[Any, ...] = ()

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, with those that need a gradient passed through a gate."""
        self.count = len(args)
        args, self.inputs = self._passed(_InputGate, args)
        return args

    def watch_output(self, output: Any) -> Any:
        """The output, likewise; what is neither a tensor nor a tuple is not watched, as in PyTorch."""
        if isinstance(output, Tensor):
            passed, self.outputs = self._passed(_OutputGate, (output,))
            self.grad_output = (None,)
            return passed[0]
        if type(output) is not tuple:
            return output
        self.grad_output = (None,) * len(output)
        passed, self.outputs = self._passed(_OutputGate, output)
        return passed

    def _passed(self, gate: type[Function], values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int]]:
        positions = [i for i, a in enumerate(values) if isinstance(a, Tensor) and a.requires_grad]
        if not positions:
            return values, positions
        passed = gate.apply(self, *[values[i] for i in positions])
        watched = list(values)
        for i, t in zip(positions, passed if isinstance(passed, tuple) else (passed,), strict=True):
            watched[i] = t
        return tuple(watched), positions

    def outputs_arrived(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """The gradients of the outputs, as the pre-hooks leave them; the hooks follow if no input will come."""
        found: list[Any] = [None] * len(self.grad_output)
        for i, g in zip(self.outputs, grads, strict=True):
            found[i] = g
        grad_output = tuple(found)
        for hook in self.before:
            grad_output = self._replaced(hook(self.module, grad_output), grad_output, "pre-hook", "output")
        self.grad_output = grad_output
        if not self.inputs:
            self.run(())
        return tuple([grad_output[i] for i in self.outputs])

    def run(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """The gradients of the inputs, as the hooks leave them."""
        found: list[Any] = [None] * self.count
        for i, g in zip(self.inputs, grads, strict=True):
            found[i] = g
        grad_input = tuple(found)
        for hook in self.after:
            changed = hook(self.module, grad_input, self.grad_output)
            grad_input = self._replaced(changed, grad_input, "hook", "input")
        return tuple([grad_input[i] for i in self.inputs])

    def _replaced(self, changed: Any, before: tuple[Any, ...], kind: str, what: str) -> tuple[Any, ...]:
        if changed is None:
            return before
        changed = changed if isinstance(changed, tuple) else (changed,)
        if len(changed) != len(before):
            raise RuntimeError(
                f"{type(self.module).__name__}: a backward {kind} must return None or {len(before)} gradients, one for "
                f"each {what}, got {len(changed)}"
            )
        return changed


def registered(module: Module, registry: str, name: str, value: Any) -> Any:
    """What is registered in the place of ``value``, after the hooks of all registrations."""
    for hook in list(REGISTRATIONS[registry].values()):
        changed = hook(module, name, value)
        value = value if changed is None else changed
    return value
