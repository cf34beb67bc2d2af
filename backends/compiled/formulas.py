"""Formulas recorded at run time, compiled: one pass over memory, each operation rounded as NumPy rounds it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numba


def function(source: str, dtype: Any, count: int) -> Callable[..., None]:
    """The function ``run`` that ``source`` defines, compiled for ``count`` flat arrays of ``dtype``.

    The machine code is kept on disk for other processes. It runs without the interpreter's lock. Nothing is reordered
    or contracted, so that it gives what the same operations of NumPy give, bit for bit.
    """
    row = numba.from_dtype(dtype)[::1]
    return _compiled(source, [numba.types.void(*[row] * count)])


def _compiled(source: str, signatures: list[Any]) -> Callable[..., None]:
    path = _kept(source)
    # what comes from disk asks for the module that it belongs to
    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(source, path or "<formula>", "exec"), names)
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    if path is not None:
        with contextlib.suppress(RuntimeError, OSError):  # the folder cannot be written to
            return numba.njit(signatures, cache=True, **options)(names["run"])
    return numba.njit(signatures, **options)(names["run"])


def _folder() -> str:
    """Where sources are kept, and their machine code beside them: Numba caches functions of real files only."""
    root = os.environ.get("NUMBA_CACHE_DIR")
    if not root and sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA")
    elif not root and sys.platform == "darwin":
        root = os.path.expanduser("~/Library/Caches")
    return os.path.join(root or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "chainrule")


def _kept(source: str) -> str | None:
    """The file that holds ``source``, named for its content; None where no file can be written."""
    folder = _folder()
    path = os.path.join(folder, f"formula_{hashlib.sha256(source.encode()).hexdigest()[:32]}.py")
    try:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                if file.read() == source:
                    return path
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(source)
        os.replace(temporary, path)  # at once: another process may be at the same formula
    except OSError:
        return None
    return path
