"""Puts a handler between a function and its callers while a profiler runs, whoever holds the function.

Programs keep operations in many places (``Tensor`` methods, ``from chainrule import exp``, ``cube = Cube.apply``), and
a test in each of them for a profiler that is almost never there would cost every call. So the function object stays
and only its code is exchanged; afterwards it is exactly what it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

from chainrule.autograd.op import Op

#: held while code is exchanged
_exchanging = threading.RLock()


def _template(*args: Any, **kwargs: Any) -> Any:
    handler: Any = "HANDLER"
    return handler(*args, **kwargs)


def _code_calling(handler: Callable[..., Any], name: str) -> CodeType:
    """The code of a function that hands its arguments to ``handler``: a constant of the code, so that it fits any."""
    code = _template.__code__
    constants = tuple([handler if c == "HANDLER" else c for c in code.co_consts])
    return code.replace(co_consts=constants, co_name=name)


class Interposed:
    """One function, and ``handler(real, args, kwargs)`` that runs in its place between ``begin`` and ``end``."""

    def __init__(self, function: Any, handler: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]) -> None:
        if function.__closure__ is not None:
            raise TypeError(f"{function.__qualname__} is a closure, whose code cannot be exchanged")
        self.function = function
        self._handler = handler
        self._original: CodeType | None = None
        self._real: Any = None

    def begin(self) -> None:
        """Put the handler in."""
        f = self.function
        with _exchanging:
            self._original = f.__code__
            self._real = FunctionType(f.__code__, f.__globals__, f.__name__, f.__defaults__)
            self._real.__kwdefaults__ = f.__kwdefaults__
            f.__code__ = _code_calling(self._call, f.__name__)

    def end(self) -> None:
        """Take it out again."""
        with _exchanging:
            if self._original is not None:
                self.function.__code__, self._original = self._original, None

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        return self._handler(self._real, args, kwargs)


class InterposedOp(Interposed):
    """The same for the function of an op, which may not have been written yet (``autograd/codegen.py``)."""

    def __init__(self, op: Op, handler: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]) -> None:
        super().__init__(op.apply, handler)
        self._op = op

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        if "apply" in self._op.waiting:
            self._write()
        return self._handler(self._real, args, kwargs)

    def _write(self) -> None:
        """Have the code written, which puts it into the function in place of ours, and step between again."""
        with _exchanging:
            # another thread may have had it written meanwhile, or the profiler may be over
            if "apply" in self._op.waiting and self._original is not None:
                self.function.__globals__["COMPILE"](self.function)
                self.begin()
