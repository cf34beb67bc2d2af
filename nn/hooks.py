"""The part of ``Module.__call__`` that runs only when a module has hooks or the graph is being recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.autograd.modes import mode
from chainrule.autograd.node import HookDict, RemovableHandle
from chainrule.autograd.op import traced as xp
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
        stack = mode.modules = []  # type: ignore[attr-defined]
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


class _BackwardHooks:
    """Collects the gradients of one call's inputs and outputs, then runs the module's backward hooks."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.grad_inputs: list[Tensor | None] = []
        self.grad_outputs: list[Tensor | None] = []
        self.waiting = 0  # inputs whose gradient has not arrived yet
        self.missing = 0  # the same for outputs

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        watched = []
        self.grad_inputs = [None] * len(args)
        for i, arg in enumerate(args):
            if isinstance(arg, Tensor) and arg.requires_grad:
                # a copy with a node of its own, whose gradient comes through this module only
                arg = xp.clone(arg)
                arg.register_hook(lambda g, i=i: self._input_arrived(i, g))
                self.waiting += 1
            watched.append(arg)
        return tuple(watched)

    def watch_output(self, output: Any) -> Any:
        outputs = output if isinstance(output, tuple) else (output,)
        self.grad_outputs = [None] * len(outputs)
        for i, t in enumerate(outputs):
            if isinstance(t, Tensor) and t.requires_grad:
                t.register_hook(lambda g, i=i: self._output_arrived(i, g))
                self.missing += 1
        return output

    def _output_arrived(self, i: int, g: Tensor) -> None:
        self.grad_outputs[i] = g
        self.missing -= 1
        if not self.waiting and not self.missing and self._run() is not None:
            raise RuntimeError(
                f"{type(self.module).__name__}: a backward hook returned a gradient, but no input of the module requires grad"
            )

    def _input_arrived(self, i: int, g: Tensor) -> Tensor | None:
        self.grad_inputs[i] = g
        self.waiting -= 1
        if self.waiting:
            return None
        replaced = self._run()
        if replaced is None:
            return None
        replaced = replaced if isinstance(replaced, tuple) else (replaced,)
        if sum(g is not None for g in self.grad_inputs) > 1:
            raise RuntimeError(
                f"{type(self.module).__name__}: a backward hook can replace the gradient of a module with one differentiable "
                f"input only; use Tensor.register_hook on the inputs"
            )
        return replaced[i]  # type: ignore[no-any-return]

    def _run(self) -> Any:
        result = None
        for hook in list(self.module._backward_hooks.values()):
            given = tuple(self.grad_inputs) if result is None else result
            changed = hook(self.module, given, tuple(self.grad_outputs))
            result = result if changed is None else changed
        return result


def add(hooks: HookDict, hook: Any, prepend: bool) -> RemovableHandle:
    """Register ``hook`` at the end, or at the beginning, of ``hooks``."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


