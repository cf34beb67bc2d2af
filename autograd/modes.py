"""Switches of the tape: whether operations are recorded, in this thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Mode(threading.local):
    """Per-thread state that ``apply`` reads when an input requires grad."""

    enabled = True
    inference = False
    exception: Any = None  # while this thread does not record
    #: hooks on saved tensors, innermost last (autograd/saved.py), and the message where they are refused
    saved_hooks: tuple[Any, ...] = ()
    hooks_refused: str | None = None
    #: while hooks of a backward pass run: what identifies it, its nodes, and those that are needed (None: all)
    running: Any = None
    #: in anomaly mode, the node whose gradient is being computed
    differentiating: Any = None


mode = Mode()


class Ordinary:
    """Whether every thread records and nothing is traced: then ``apply`` need not ask its thread (60 ns an op)."""

    __slots__ = ("_exceptions", "_lock", "everywhere")

    def __init__(self) -> None:
        self.everywhere = True
        self._exceptions = 0
        self._lock = threading.RLock()  # __del__ may run while it is held

    def count(self, change: int) -> None:
        """Note that one more (or one less) exception is in force."""
        with self._lock:
            self._exceptions += change
            self.everywhere = self._exceptions == 0


ordinary = Ordinary()


class Tracer:
    """Set ``locate`` to record where each node was made (anomaly mode, recording)."""

    def __init__(self) -> None:
        self._locate: Callable[[], Any] | None = None

    @property
    def locate(self) -> Callable[[], Any] | None:
        """Gives the place of the running operation; None when nothing is traced."""
        return self._locate

    @locate.setter
    def locate(self, locate: Callable[[], Any] | None) -> None:
        ordinary.count((locate is not None) - (self._locate is not None))
        self._locate = locate


tracer = Tracer()


class _Exception:
    """Counts as an exception while it lives: a thread that ends without recording takes its own along."""

    def __init__(self) -> None:
        ordinary.count(1)

    def __del__(self) -> None:
        ordinary.count(-1)


def switch(enabled: bool) -> bool:
    """Set whether this thread records; gives what it was."""
    before = mode.enabled
    if before is not enabled:
        mode.enabled = enabled
        mode.exception = None if enabled else _Exception()
    return before


class _GradContext:
    """A context manager, and a decorator, that sets whether operations are recorded."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._outer: list[bool] = []

    def __enter__(self) -> None:
        self._outer.append(switch(self._enabled))

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        switch(self._outer.pop())

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            with type(self)._again(self):
                return function(*args, **kwargs)

        return inner  # type: ignore[return-value]

    def _again(self) -> _GradContext:
        return _GradContext(self._enabled)


class no_grad(_GradContext):
    """Do not record operations: results do not require grad. A context manager and a decorator.

    Example:
        >>> import chainrule as cr
        >>> w = cr.ones(2, requires_grad=True)
        >>> with cr.no_grad():
        ...     (w * 2).requires_grad
        False
    """

    def __new__(cls, function: Any = None) -> Any:
        return object.__new__(cls) if function is None else _GradContext(False)(function)

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_GradContext):
    """Record operations again inside :class:`no_grad`. A context manager and a decorator.

    Example:
        >>> import chainrule as cr
        >>> w = cr.ones(2, requires_grad=True)
        >>> with cr.no_grad(), cr.enable_grad():
        ...     (w * 2).requires_grad
        True
    """

    def __new__(cls, function: Any = None) -> Any:
        return object.__new__(cls) if function is None else _GradContext(True)(function)

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_GradContext):
    """Switch recording on or off: at once when called, back again when used as a context manager.

    Example:
        >>> import chainrule as cr
        >>> with cr.set_grad_enabled(False):
        ...     cr.is_grad_enabled()
        False
    """

    def __init__(self, enabled: bool) -> None:
        super().__init__(bool(enabled))
        self._before = switch(self._enabled)

    def __enter__(self) -> None:
        self._outer.append(self._before)
        switch(self._enabled)

    def __call__(self, function: F) -> F:
        switch(self._before)  # used as a decorator: the switch belongs to the function
        return super().__call__(function)


class inference_mode(_GradContext):
    """Like :class:`no_grad`, for code that never needs gradients of what it computes.

    Example:
        >>> import chainrule as cr
        >>> with cr.inference_mode():
        ...     cr.is_inference_mode_enabled()
        True
    """

    def __new__(cls, enabled: Any = True) -> Any:
        if callable(enabled):
            return cls()(enabled)
        return object.__new__(cls)

    def __init__(self, enabled: bool = True) -> None:
        super().__init__(not enabled)
        self._inference = bool(enabled)
        self._outer_inference: list[bool] = []

    def __enter__(self) -> None:
        self._outer_inference.append(mode.inference)
        self._outer.append(switch(False) if self._inference else mode.enabled)
        mode.inference = self._inference

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        mode.inference = self._outer_inference.pop()

    def _again(self) -> _GradContext:
        return inference_mode(self._inference)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread.

    Example:
        >>> is_grad_enabled()
        True
    """
    return mode.enabled


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside :class:`inference_mode`.

    Example:
        >>> is_inference_mode_enabled()
        False
    """
    return mode.inference
