"""Switches of the whole program that PyTorch scripts set, and control flow as functions."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor

_PRECISIONS = ("highest", "high", "medium")
_DEBUG_MODES = {"default": 0, "warn": 1, "error": 2}


class _Settings:
    precision = "highest"
    deterministic = 0
    warn_always = False
    interop_threads = os.cpu_count() or 1


_settings = _Settings()


@function(method=False)
def set_float32_matmul_precision(precision: str) -> None:
    """Say how exact float32 matrix products must be; ``"highest"``, ``"high"`` and ``"medium"`` are all exact here.

    Raises ValueError for another word.

    Example:
        >>> import chainrule as cr
        >>> cr.set_float32_matmul_precision("high"); cr.get_float32_matmul_precision()
        'high'
        >>> cr.set_float32_matmul_precision("highest")
    """
    if precision not in _PRECISIONS:
        raise ValueError(f"set_float32_matmul_precision: expected one of {_PRECISIONS}, got {precision!r}")
    _settings.precision = precision


@function(method=False)
def get_float32_matmul_precision() -> str:
    """What :func:`set_float32_matmul_precision` was last given.

    Example:
        >>> import chainrule as cr
        >>> cr.get_float32_matmul_precision()
        'highest'
    """
    return _settings.precision


@function(method=False)
def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for operations that give the same bits in every run. On the CPU all do; on CUDA see the documentation.

    Example:
        >>> import chainrule as cr
        >>> cr.use_deterministic_algorithms(True); cr.are_deterministic_algorithms_enabled()
        True
        >>> cr.use_deterministic_algorithms(False)
    """
    _settings.deterministic = (1 if warn_only else 2) if mode else 0


@function(method=False)
def are_deterministic_algorithms_enabled() -> bool:
    """Whether :func:`use_deterministic_algorithms` is on.

    Example:
        >>> import chainrule as cr
        >>> cr.are_deterministic_algorithms_enabled()
        False
    """
    return _settings.deterministic > 0


@function(method=False)
def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether :func:`use_deterministic_algorithms` was asked to warn only.

    Example:
        >>> import chainrule as cr
        >>> cr.is_deterministic_algorithms_warn_only_enabled()
        False
    """
    return _settings.deterministic == 1


@function(method=False)
def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """The same switch by a number or word: 0 ``"default"``, 1 ``"warn"``, 2 ``"error"``.

    Raises ValueError for anything else.

    Example:
        >>> import chainrule as cr
        >>> cr.set_deterministic_debug_mode("warn"); cr.get_deterministic_debug_mode()
        1
        >>> cr.set_deterministic_debug_mode(0)
    """
    level = _DEBUG_MODES.get(debug_mode) if isinstance(debug_mode, str) else debug_mode
    if level not in (0, 1, 2):
        raise ValueError(f"set_deterministic_debug_mode: expected 0, 1, 2 or {list(_DEBUG_MODES)}, got {debug_mode!r}")
    _settings.deterministic = int(level)


@function(method=False)
def get_deterministic_debug_mode() -> int:
    """0, 1 or 2; see :func:`set_deterministic_debug_mode`.

    Example:
        >>> import chainrule as cr
        >>> cr.get_deterministic_debug_mode()
        0
    """
    return _settings.deterministic


@function(method=False)
def set_flush_denormal(mode: bool) -> bool:
    """False: NumPy gives no way to flush denormal numbers to zero, and PyTorch says False where it cannot.

    Example:
        >>> import chainrule as cr
        >>> cr.set_flush_denormal(True)
        False
    """
    return False


@function(method=False)
def set_warn_always(b: bool, /) -> None:
    """Show warnings of this package each time, or (the default) as Python's filters say.

    Example:
        >>> import chainrule as cr
        >>> cr.set_warn_always(True); cr.is_warn_always_enabled()
        True
        >>> cr.set_warn_always(False)
    """
    _settings.warn_always = bool(b)
    warnings.filterwarnings("always" if b else "default", category=UserWarning, module=r"chainrule(\.|$)")


@function(method=False)
def is_warn_always_enabled() -> bool:
    """Whether :func:`set_warn_always` is on.

    Example:
        >>> import chainrule as cr
        >>> cr.is_warn_always_enabled()
        False
    """
    return _settings.warn_always


@function(method=False)
def get_num_interop_threads() -> int:
    """How many operations may run at the same time: those of as many threads as the program starts.

    Example:
        >>> import chainrule as cr
        >>> cr.get_num_interop_threads() >= 1
        True
    """
    return _settings.interop_threads


@function(method=False)
def set_num_interop_threads(threads: int, /) -> None:
    """Note a number for :func:`get_num_interop_threads`; Python's threads are not limited by it.

    Raises RuntimeError where it is not positive.

    Example:
        >>> import chainrule as cr
        >>> cr.set_num_interop_threads(cr.get_num_interop_threads())
    """
    if not isinstance(threads, int) or threads < 1:
        raise RuntimeError(f"set_num_interop_threads: expected a positive number of threads, got {threads!r}")
    _settings.interop_threads = threads


@function(method=False)
def init_num_threads() -> None:
    """Does nothing: the number of threads is set when the package is imported.

    Example:
        >>> import chainrule as cr
        >>> cr.init_num_threads()
    """


@function(method=False)
def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """``model`` itself: there is no compiler, and a script that asks for one runs as it is. Also a decorator.

    Example:
        >>> import chainrule as cr
        >>> @cr.compile
        ... def double(x):
        ...     return 2 * x
        >>> double(cr.ones(1))
        tensor([2.])
    """
    return (lambda f: f) if model is None else model


@function(method=False)
def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()) -> Any:
    """``true_fn(*operands)`` where ``pred`` holds, else ``false_fn(*operands)``; recorded as any other call.

    Raises RuntimeError where ``pred`` has more than one element.

    Example:
        >>> import chainrule as cr
        >>> cr.cond(cr.tensor(True), lambda x: x + 1, lambda x: x - 1, (cr.ones(1),))
        tensor([2.])
    """
    if not callable(true_fn) or not callable(false_fn):
        raise RuntimeError("cond: expected two functions, true_fn and false_fn")
    if not isinstance(operands, (tuple, list)):
        raise RuntimeError(f"cond: operands must be a tuple, got {describe(operands)}")
    return (true_fn if bool(pred) else false_fn)(*operands)


@function(method=False)
def while_loop(cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Sequence[Any]) -> Any:
    """Repeat ``carried = body_fn(*carried)`` while ``cond_fn(*carried)`` holds; gives the last ``carried``.

    Example:
        >>> import chainrule as cr
        >>> cr.while_loop(lambda x: x < 10, lambda x: (x * 2,), (cr.tensor(1),))
        (tensor(16),)
    """
    if not isinstance(carried_inputs, (tuple, list)):
        raise RuntimeError(f"while_loop: carried_inputs must be a tuple, got {describe(carried_inputs)}")
    carried = tuple(carried_inputs)
    while bool(cond_fn(*carried)):
        made = body_fn(*carried)
        carried = tuple(made) if isinstance(made, (tuple, list)) else (made,)
        if len(carried) != len(carried_inputs):
            raise RuntimeError(
                f"while_loop: body_fn must return as many values as it takes, {len(carried_inputs)}, got {len(carried)}"
            )
    return carried


@function()
def is_inference(input: Tensor) -> bool:
    """False: tensors made in inference mode can be used anywhere afterwards.

    Example:
        >>> import chainrule as cr
        >>> cr.is_inference(cr.ones(1))
        False
    """
    return False
