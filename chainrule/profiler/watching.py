"""What profilers look at: the handlers that are put between the functions of the package and their callers.

Nothing here is in force, and nothing in the package asks for it, while no profiler runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from chainrule.autograd import batching, engine, function, inplace
from chainrule.autograd.modes import ordinary
from chainrule.autograd.node import Leaf, RemovableHandle
from chainrule.autograd.op import OPS, Op
from chainrule.autograd.ops import convert
from chainrule.autograd.tensor import Tensor
from chainrule.autograd.watch import checker
from chainrule.backends import cpu_convolution, cpu_direct, cpu_winograd
from chainrule.nn.module import Module
from chainrule.optim import hooks
from chainrule.profiler.interposing import Interposed, InterposedOp
from chainrule.utils.data import dataloader, parallel

if TYPE_CHECKING:
    from chainrule.profiler.recording import profile

Handler = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]


class _Active(threading.local):
    """The profilers that this thread entered, outermost first."""

    profiles: tuple[profile, ...] = ()


_active = _Active()
_of_all_threads: tuple[profile, ...] = ()
_running = 0
_interposed: list[Interposed] = []
_handles: list[RemovableHandle] = []
_lock = threading.RLock()


def active() -> tuple[profile, ...]:
    """The profilers that see what this thread does."""
    own = _active.profiles
    return own if not _of_all_threads else (*[p for p in _of_all_threads if p not in own], *own)


def add(p: profile) -> None:
    """Let a profiler see what this thread does, or all threads."""
    global _running, _of_all_threads
    with _lock:
        if not _running:
            _begin()
        _running += 1
        if p.all_threads:
            _of_all_threads = (*_of_all_threads, p)
    _active.profiles = (*_active.profiles, p)


def remove(p: profile) -> None:
    """The end of that; called in the thread that called ``add``."""
    global _running, _of_all_threads
    _active.profiles = tuple([q for q in _active.profiles if q is not p])
    with _lock:
        _of_all_threads = tuple([q for q in _of_all_threads if q is not p])
        _running -= 1
        if not _running:
            _end()


def _begin() -> None:
    try:
        _step_between()
    except BaseException:
        _end()
        raise


def _step_between() -> None:
    ordinary.count(1)  # the engine asks for `checker.around` where it is
    checker.around = _node
    _interposed[:] = [InterposedOp(op, _op_handler(op)) for op in OPS.values()]
    functions: list[tuple[Any, Handler]] = [
        (function.Function.apply.__func__, _function),  # type: ignore[attr-defined]
        (inplace._write, _write),
        (engine._run, _named("backward pass", "span", "backward")),
        (Module.__call__, _module),
        (Tensor.item, _named("item", "wait")),
        (Tensor.tolist, _named("tolist", "wait")),
        (Tensor.__bool__, _named("bool", "wait")),
        (convert._move, _moved),
        (dataloader._Here.__next__, _named("DataLoader", "data")),
        (parallel.InWorkers.__next__, _named("DataLoader with workers", "data")),
        (cpu_convolution.conv2d, _kernel("row blocks of windows")),
        (cpu_convolution.conv2d_input, _kernel("row blocks of windows")),
        (cpu_convolution.conv2d_weight, _kernel("row blocks of windows")),
        (cpu_direct.images, _kernel("direct sums")),
        (cpu_direct.images_gradient, _kernel("direct sums")),
        (cpu_direct.filters_gradient, _kernel("direct sums")),
        (cpu_winograd.forward, _kernel("Winograd")),
        (cpu_winograd.weight_gradient, _kernel("Winograd")),
    ]
    _interposed.extend(Interposed(f, handler) for f, handler in functions if isinstance(f, FunctionType))
    for each in _interposed:
        each.begin()
    before = hooks.add(hooks._before_any, _before_step, prepend=True)
    _handles[:] = [before, hooks.add(hooks._after_any, _after_step)]


def _end() -> None:
    for handle in _handles:
        handle.remove()
    for each in reversed(_interposed):
        each.end()
    _interposed.clear()
    _handles.clear()
    checker.around = None
    ordinary.count(-1)


# ---- the handlers ----------------------------------------------------------------------------------------------------


def timed(
    name: str, kind: str, real: Any, args: tuple[Any, ...], kwargs: dict[str, Any], direction: str = ""
) -> tuple[Any, list[Any]]:
    """Run a function as an event of each profiler; gives its result and (profiler, event) pairs."""
    opened = [(p, p._open(name, kind, direction)) for p in active()]
    try:
        result = real(*args, **kwargs)
    except BaseException:
        for p, event in reversed(opened):
            event.failed = True
            p._close(event)
        raise
    for p, event in reversed(opened):
        p._close(event, result)
    return result, opened


def _named(name: str, kind: str, direction: str = "") -> Handler:
    def handler(real: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not active():
            return real(*args, **kwargs)
        return timed(name, kind, real, args, kwargs, direction)[0]

    return handler


def _op_handler(op: Op) -> Handler:
    name, shared = op.label, bool(op.view)

    def handler(real: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not (_active.profiles or _of_all_threads):
            return real(*args, **kwargs)
        result, opened = timed(name, "op", real, args, kwargs)
        for p, event in opened:
            p._note(event, args, result, shared)
        return result

    return handler


def _function(real: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A custom Function: an operation in which others may run."""
    if not active():
        return real(*args, **kwargs)
    result, opened = timed(args[0].__name__, "op", real, args, kwargs)
    for p, event in opened:
        p._note(event, args[1:], result, True)
    return result


def _write(real: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The write of an in-place operation, after what is written was computed."""
    if not active():
        return real(*args, **kwargs)
    caller, x = args[0], args[1]
    result, opened = timed(caller, "op", real, args, kwargs)
    for p, event in opened:
        p._note(event, (x, args[2]), x, True)
    return result


def _moved(real: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A copy between devices."""
    if not active():
        return real(*args, **kwargs)
    name = f"copy from {args[0]._device} to {args[1]}"
    result, opened = timed(name, "wait", real, args, kwargs)
    for p, event in opened:
        p._note(event, args[:1], result, False)
    return result


def _module(real: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of a module."""
    module = args[0]
    opened = [(p, p._open_module(module)) for p in active()]
    try:
        return real(*args, **kwargs)
    except BaseException:
        for _, event in opened:
            event.failed = True
        raise
    finally:
        for p, event in reversed(opened):
            p._close(event)


def _kernel(name: str) -> Handler:
    """A backend's function: its name is kept with the event that it runs in, unless one that it calls was."""

    def handler(real: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        lists = [p._kernels() for p in active()]
        before = [len(kernels) for kernels in lists]
        result = real(*args, **kwargs)
        for kernels, count in zip(lists, before, strict=True):
            if len(kernels) == count:
                kernels.append(name)
        return result

    return handler


def _node(node: Any, run: Any, arguments: tuple[Any, ...]) -> Any:
    """A node of a backward pass."""
    opened = [(p, p._open_node(node)) for p in active()]
    if not opened:
        return run(*arguments)
    try:
        results = run(*arguments)
    except BaseException:
        for p, event in reversed(opened):
            event.failed = True
            p._close(event)
        raise
    for p, event in reversed(opened):
        p._close(event, device=node.device)
        p._note_node(event, node, results)
    return results


def _before_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    for p in active():
        p._note_leaves(optimizer)
        p._open(f"{type(optimizer).__name__}.step", "optimizer")


def _after_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    for p in active():
        p._close_step(optimizer)


def made_node(result: Any) -> Any:
    """The node that an operation just recorded; None where it recorded none."""
    for t in result if isinstance(result, tuple) else (result,):
        node = t._node if isinstance(t, Tensor) else None
        if node is not None and type(node) is not Leaf:
            return node.inputs[0] if type(node).__name__ == "OutputSlot" else node
    return None


def tensors_of(args: tuple[Any, ...]) -> list[Tensor]:
    """The tensors among arguments, in lists and tuples too."""
    return [t for a in args for t in (a if isinstance(a, (tuple, list)) else (a,)) if isinstance(t, Tensor)]


def wait_for(device: Any) -> None:
    """Wait until a device has done all that it was given."""
    batching.base_of(device).backend.synchronize()
