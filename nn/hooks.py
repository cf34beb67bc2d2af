"""The part of ``Module.__call__`` that runs only when a module has hooks or the graph is being recorded."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from chainrule.autograd.function import Function
from chainrule.autograd.modes import mode
from chainrule.autograd.node import HookDict, RemovableHandle
from chainrule.autograd.runtime import tracer
from chainrule.autograd.tensor import Tensor
from chainrule.nn.locate import name_in

if TYPE_CHECKING:
    from chainrule.nn.module import Module


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


def _call_hooked(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    for hook, with_kwargs in list(module._forward_pre_hooks.values()):
        changed = hook(module, args, kwargs) if with_kwargs else hook(module, args)
        if changed is None:
            continue
        if with_kwargs:
            if not (isinstance(changed, tuple) and len(changed) == 2):
                raise RuntimeError(
                    f"{type(module).__name__}: a forward pre-hook with kwargs must return None or (args, kwargs), got "
                    f"{type(changed).__name__}"
                )
            args, kwargs = changed
        else:
            args = changed if isinstance(changed, tuple) else (changed,)
    backward = _BackwardHooks(module) if module._backward_hooks and mode.enabled else None
    if backward is not None:
        args = backward.watch_inputs(args)
    output = module.forward(*args, **kwargs)
    for hook, with_kwargs in list(module._forward_hooks.values()):
        changed = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
        if changed is not None:
            output = changed
    return output if backward is None else backward.watch_output(output)


class _Gate(Function):
    """Passes the inputs of a call on; its backward is where the gradients of all of them are known."""

    @staticmethod
    def forward(ctx: Any, watcher: Any, *tensors: Any) -> Any:
        ctx.watcher = watcher
        return tuple([t.clone() for t in tensors])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, *ctx.watcher.run(grads))


class _BackwardHooks:
    """Collects the gradients of one call's inputs and outputs, then runs the module's backward hooks."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.positions: list[int] = []  # of the inputs that have a gradient
        self.count = 0
        self.grad_outputs: list[Tensor | None] = []
        self.missing = 0  # outputs whose gradient has not arrived yet

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.count = len(args)
        self.positions = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        if not self.positions:
            return args
        passed = _Gate.apply(self, *[args[i] for i in self.positions])
        watched = list(args)
        for i, t in zip(self.positions, passed if isinstance(passed, tuple) else (passed,), strict=True):
            watched[i] = t
        return tuple(watched)

    def watch_output(self, output: Any) -> Any:
        outputs = output if isinstance(output, tuple) else (output,)
        self.grad_outputs = [None] * len(outputs)
        for i, t in enumerate(outputs):
            if isinstance(t, Tensor) and t.requires_grad:
                t.register_hook(functools.partial(self._output_arrived, i))
                self.missing += 1
        return output

    def _output_arrived(self, i: int, g: Tensor) -> None:
        self.grad_outputs[i] = g
        self.missing -= 1
        if not self.missing and not self.positions:  # no input will come: the outputs are all there is
            self.run(())

    def run(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        grad_input: Any = [None] * self.count
        for i, g in zip(self.positions, grads, strict=True):
            grad_input[i] = g
        grad_input = tuple(grad_input)
        for hook in list(self.module._backward_hooks.values()):
            changed = hook(self.module, grad_input, tuple(self.grad_outputs))
            if changed is not None:
                grad_input = changed if isinstance(changed, tuple) else (changed,)
                if len(grad_input) != self.count:
                    raise RuntimeError(
                        f"{type(self.module).__name__}: a backward hook must return None or {self.count} gradients, "
                        f"one for each input, got {len(grad_input)}"
                    )
        return tuple([grad_input[i] for i in self.positions])


def add(hooks: HookDict, hook: Any, prepend: bool) -> RemovableHandle:
    """Register ``hook`` at the end, or at the beginning, of ``hooks``."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle
