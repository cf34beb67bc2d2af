"""Making modules: without drawing their parameters, and in another memory order."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from chainrule.autograd.random import get_rng_state, set_rng_state
from chainrule.nn.module import Module

M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, **kwargs: Any) -> M:
    """``module_cls(*args, **kwargs)`` with arbitrary numbers as parameters, which draws none from the random stream.

    Raises RuntimeError unless the class is a Module that takes ``device``.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.utils.skip_init(cr.nn.Linear, 2, 3).weight.shape
        (3, 2)
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"skip_init: expected a Module's class, got {module_cls!r}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError(f"skip_init: {module_cls.__name__} takes no device")
    # drawing the parameters costs little; what matters is that later draws are the same
    before = get_rng_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        set_rng_state(before)


def convert_conv2d_weight_memory_format(module: M, memory_format: Any) -> M:
    """The module itself: the memory order of weights is chosen by the kernels here, whatever is asked for."""
    return module


def convert_conv3d_weight_memory_format(module: M, memory_format: Any) -> M:
    """The module itself: the memory order of weights is chosen by the kernels here, whatever is asked for."""
    return module
