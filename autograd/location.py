"""Where a node was made: the line of the user's program, and the module that was running."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

from chainrule.autograd.modes import mode
from chainrule.autograd.runtime import tracer

# Reached through chainrule/, as every frame of the package is: this file is chainrule/autograd/location.py.
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class _Inside(dict[str, bool]):
    """Whether a file belongs to the package, remembered by file name."""

    def __missing__(self, filename: str) -> bool:
        # Generated wrappers are compiled under names such as "<chainrule op add>".
        inside = self[filename] = filename.startswith((_PACKAGE, "<chainrule "))
        return inside


_inside = _Inside()


class Location:
    """A line of a program, kept as a code object and an instruction offset until somebody asks.

    ``str()`` gives ``"file.py:41"``, which is what error messages and drawings show.

    Example:
        >>> import chainrule as cr
        >>> w = cr.ones(2, requires_grad=True)
        >>> with record_locations():
        ...     y = w * 2
        >>> y.grad_fn.where.line
        2
    """

    __slots__ = ("code", "lasti", "module")

    def __init__(self, code: CodeType, lasti: int, module: str | None) -> None:
        self.code = code
        self.lasti = lasti
        #: path of the nn.Module that was running, such as ``"encoder.0"``; None outside modules
        self.module = module

    @property
    def filename(self) -> str:
        """The whole name of the file."""
        return self.code.co_filename

    @property
    def line(self) -> int:
        """The number of the line, counted from 1."""
        for start, end, line in self.code.co_lines():
            if start <= self.lasti < end and line is not None:
                return line
        return self.code.co_firstlineno

    def __str__(self) -> str:
        return f"{os.path.basename(self.filename)}:{self.line}"

    def __repr__(self) -> str:
        return f"<Location {self}{f' in {self.module}' if self.module else ''}>"


def locate() -> Location:
    """The line outside the package that is running now; what :func:`record_locations` hangs on each node.

    It keeps a code object and never a frame, so no local variable is kept alive.
    """
    frame = sys._getframe(1)
    while _inside[frame.f_code.co_filename]:
        outer = frame.f_back
        if outer is None:  # nothing but the package on the stack: the outermost frame has to do
            break
        frame = outer
    modules: list[Any] | None = getattr(mode, "modules", None)
    return Location(frame.f_code, frame.f_lasti, ".".join(map(str, modules)) if modules else None)


_lock = threading.Lock()
_recording = 0
_before: Any = None  # what the tracer did outside, such as anomaly mode's


@contextmanager
def record_locations() -> Iterator[None]:
    """Keep, with each operation recorded inside, the source line and the module it came from.

    Costs about a microsecond for each operation. Drawings and error messages show what was kept.

    Example:
        >>> import chainrule as cr
        >>> w = cr.ones(2, requires_grad=True)
        >>> with record_locations():
        ...     y = w * 2
        >>> y.grad_fn.where is None
        False
        >>> (w * 2).grad_fn.where is None
        True
    """
    # One tracer serves all threads: the first to enter switches it on, the last to leave off.
    global _recording, _before
    with _lock:
        if not _recording:
            _before, tracer.locate = tracer.locate, locate
        _recording += 1
    try:
        yield
    finally:
        with _lock:
            _recording -= 1
            if not _recording:
                tracer.locate, _before = _before, None
