"""Checkpointing: keep less for the backward pass, and compute it again when it is needed.

:func:`checkpoint` runs a function with hooks that keep nothing of what its operations save (``saved_tensors_hooks``).
When the backward pass asks for the first of these values, the function runs once more, with the random state, the
modes and the default device of the first run, and every value it saves is handed out in turn. So it works with
``backward``, with ``autograd.grad``, under ``create_graph``, and inside itself.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chainrule.autograd import random
from chainrule.autograd.modes import enable_grad, mode
from chainrule.autograd.runtime import describe
from chainrule.autograd.saved import Packed, pack, saved_tensors_hooks
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import get_default_device
from chainrule.nn.containers import Sequential
from chainrule.nn.module import Module


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function saved other values than the first."""


class _Enough(BaseException):
    """Ends the second run: all that the first one saved is there again."""


def noop_context_fn() -> tuple[Any, Any]:
    """Two contexts that do nothing: the default of ``context_fn``."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = False,
    preserve_rng_state: bool = True,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, keeping only its inputs for the backward pass, which runs it once more.

    Modules that the function is, or refers to, are in the same training mode in the second run, and their buffers (the
    running statistics of batch norm) are updated by the first run only.

    Args:
        use_reentrant: accepted as in PyTorch; there is one implementation, which has the limits of neither of its two.
        preserve_rng_state: draw the same random numbers in the second run.
        context_fn: gives two context managers, one for each run.
        determinism_check: ``"default"`` compares shapes and dtypes of what the two runs save, ``"none"`` does not.
        debug: accepted as in PyTorch; the errors always say what differs.
        early_stop: end the second run as soon as everything is there.

    Raises:
        CheckpointError: the two runs differ, or an input was changed in place in between.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.checkpoint import checkpoint
        >>> x = cr.tensor([1.0, 2.0], requires_grad=True)
        >>> checkpoint(lambda t: (t.exp() * t).sum(), x).backward()
        >>> x.grad
        tensor([ 5.4366, 22.1672])
    """
    if determinism_check not in ("default", "none"):
        raise ValueError(f"checkpoint: determinism_check must be 'default' or 'none', got {determinism_check!r}")
    first, second = context_fn()
    if not mode.enabled:  # nothing is recorded, so nothing is kept
        with first:
            return function(*args, **kwargs)
    frame = _Frame(function, args, kwargs, second)
    frame.state = random.default_generator.get_state() if preserve_rng_state else None
    frame.compare, frame.early_stop = determinism_check == "default", early_stop
    with first, frame.hooks():
        return function(*args, **kwargs)


class _Input:
    """A tensor argument, kept as the hooks outside of the checkpoint keep what is saved."""

    def __init__(self, t: Tensor) -> None:
        if t._counter is None:
            t._counter = [0]
        self.version, self.at = t._counter, t._counter[0]
        self.device, self.requires_grad = t._device, t.requires_grad
        self.kept: Any = pack(t._data, t._device, t._counter) if mode.saved_hooks else t._data

    def tensor(self) -> Tensor:
        from chainrule.autograd.runtime import wrap

        if self.version[0] != self.at:
            raise CheckpointError(
                f"checkpoint: an input was changed in place after the function ran (it was at version {self.at} and is "
                f"at version {self.version[0]}), so it cannot be run again; change a clone()"
            )
        array = self.kept.restore(_Label) if type(self.kept) is Packed else self.kept
        t = wrap(array, self.device)
        return t.requires_grad_() if self.requires_grad else t


class _Label:
    class op:
        label = "checkpoint"


class _Frame:
    """One checkpointed call: how to run it again, and what the second run has computed."""

    state: Any
    compare: bool
    early_stop: bool

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: dict[str, Any], context: Any) -> None:
        self.function = function
        self.args = [_Input(a) if isinstance(a, Tensor) else a for a in args]
        self.kwargs = {k: _Input(v) if isinstance(v, Tensor) else v for k, v in kwargs.items()}
        self.context = context
        self.device = get_default_device()
        self.modules = _modules_of(function, (*args, *kwargs.values()))
        self.training = [m.training for m in self.modules]
        self.meta: list[tuple[Any, Any]] = []  # shape and dtype of all that was saved, in order
        self.values: dict[int, Tensor] = {}

    def hooks(self) -> saved_tensors_hooks:
        def keep_number(t: Tensor) -> int:
            self.meta.append((t._data.shape, t._data.dtype))
            return len(self.meta) - 1

        return saved_tensors_hooks(keep_number, self.value)

    def value(self, number: int) -> Tensor:
        """A saved value; the second run is made when it is not there (again, after it was handed out)."""
        if number not in self.values:
            self.run_again()
        return self.values.pop(number)

    def run_again(self) -> None:
        values: dict[int, Tensor] = {}

        def take(t: Tensor) -> None:
            number = len(values)
            wanted = self.meta[number] if number < len(self.meta) else None
            if self.compare and wanted is not None and (t._data.shape, t._data.dtype) != wanted:
                raise CheckpointError(
                    f"checkpoint: the second run of the function differs from the first: value {number} that it "
                    f"saved was a {wanted[1]} tensor of shape {tuple(wanted[0])}, and is a {describe(t)} now"
                )
            values[number] = t
            if self.early_stop and number == len(self.meta) - 1:
                raise _Enough

        args = [a.tensor() if isinstance(a, _Input) else a for a in self.args]
        kwargs = {k: v.tensor() if isinstance(v, _Input) else v for k, v in self.kwargs.items()}
        with (
            contextlib.suppress(_Enough),
            self._as_at_first(),
            self.context,
            enable_grad(),
            saved_tensors_hooks(take, _never),
        ):
            self.function(*args, **kwargs)
        if len(values) != len(self.meta):
            raise CheckpointError(
                f"checkpoint: the function saved {len(self.meta)} values when it ran first and {len(values)} when it "
                f"was run again; it must do the same both times"
            )
        self.values = values

    @contextlib.contextmanager
    def _as_at_first(self) -> Iterator[None]:
        """Random state, training modes, buffers and default device as in the first run; put back afterwards."""
        state = random.default_generator.get_state()
        training = [m.training for m in self.modules]
        buffers = [(b, b._data.copy()) for m in self.modules for b in m._buffers.values() if b is not None]
        try:
            if self.state is not None:
                random.default_generator.set_state(self.state)
            for m, flag in zip(self.modules, self.training, strict=True):
                m.training = flag
            with self.device:
                yield
        finally:
            if self.state is not None:
                random.default_generator.set_state(state)
            for m, flag in zip(self.modules, training, strict=True):
                m.training = flag
            for b, array in buffers:
                b._data[...] = array


def _never(value: Any) -> Tensor:
    raise RuntimeError("checkpoint: the second run of a checkpointed function must not differentiate what it computes")


def _modules_of(function: Any, args: tuple[Any, ...]) -> list[Module]:
    """The modules that a call runs, as far as they can be seen: the function itself, and what it refers to."""
    found: dict[Module, None] = {}
    waiting: list[Any] = [function, *args]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Module):
            found.update(dict.fromkeys(value.modules()))
        elif isinstance(value, functools.partial):
            waiting += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, (list, tuple)) and len(value) < 1000:
            waiting += [v for v in value if isinstance(v, (Module, functools.partial)) or callable(v)]
        elif hasattr(value, "__self__"):
            waiting.append(value.__self__)
        elif hasattr(value, "__closure__"):
            for cell in value.__closure__ or ():
                with contextlib.suppress(ValueError):  # a variable that is not set yet
                    waiting.append(cell.cell_contents)
    return list(found)


def checkpoint_sequential(
    functions: Sequential | Sequence[Callable[[Any], Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = False,
    **kwargs: Any,
) -> Any:
    """The functions one after the other in ``segments`` checkpoints; the last segment is not checkpointed.

    Args:
        functions: a :class:`~chainrule.nn.Sequential` or a list of functions of one argument.
        kwargs: ``preserve_rng_state``, as in :func:`checkpoint`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.utils.checkpoint import checkpoint_sequential
        >>> model = cr.nn.Sequential(cr.nn.Linear(2, 4), cr.nn.Tanh(), cr.nn.Linear(4, 1), cr.nn.Tanh())
        >>> checkpoint_sequential(model, 2, cr.ones(3, 2)).shape
        (3, 1)
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError(f"checkpoint_sequential: unexpected keyword arguments {sorted(kwargs)}")
    parts: list[Any] = list(functions.children()) if isinstance(functions, Sequential) else list(functions)
    if segments < 1:
        raise ValueError(f"checkpoint_sequential: segments must be at least 1, got {segments}")
    length = len(parts) // segments
    start = 0
    for _ in range(segments - 1):
        if length:
            input = checkpoint(_in_turn(parts[start : start + length]), input, preserve_rng_state=preserve)
        start += length
    return _in_turn(parts[start:])(input)


def _in_turn(parts: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        for part in parts:
            value = part(value)
        return value

    return run
