"""NumPy's functions on Tensors: ``np.sum(t)``, ``np.concatenate([t, u])`` run our recorded functions.

Each function here has the signature and the meaning of NumPy's (``np.std`` divides by the count, ``np.sort`` gives
values alone, ``np.median`` the mean of the middle two); dtypes are ours, see ``numpy_ufuncs.py``. A function that is
not in the table raises a TypeError that says how to leave the graph.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.autograd.numpy_ufuncs import WAY_OUT
from chainrule.autograd.public import FUNCTIONS

#: NumPy function -> ours, filled by the modules of _TABLES when a function is first called
TABLE: dict[Any, Callable[..., Any]] = {}

_TABLES = ("numpy_reductions", "numpy_shapes", "numpy_algebra")
_UNSET: Any = np._NoValue


def apply_function(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What ``Tensor.__array_function__`` gives."""
    for module in _TABLES if not TABLE else ():
        importlib.import_module(f"chainrule.autograd.{module}")
    name = label_of(function)
    found = TABLE.get(function)
    if found is None:
        raise TypeError(f"{name}: not available for a Tensor; {WAY_OUT}")
    if kwargs.get("out") is not None:
        raise TypeError(f"{name}: out= is not taken for a Tensor, because the result is recorded; leave it away")
    for option, plain in (("out", None), ("where", True), ("initial", None), ("subok", None), ("like", None)):
        if option in kwargs:
            value = kwargs.pop(option)
            if option in ("where", "initial") and value is not _UNSET and value is not plain:
                raise TypeError(f"{name}: {option}= is not taken for a Tensor; {WAY_OUT}")
    return found(*args, **{k: v for k, v in kwargs.items() if v is not _UNSET})


def label_of(function: Any) -> str:
    """``np.linalg.inv`` and the like."""
    module = getattr(function, "__module__", "numpy") or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{getattr(function, '__name__', function)}"


def implements(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function into the table as the meaning of NumPy's."""

    def enter(ours: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            TABLE[function] = ours
        return ours

    return enter


def ours(name: str) -> Callable[..., Any]:
    """The public function ``chainrule.name``."""
    try:
        return FUNCTIONS[name]
    except KeyError:
        raise TypeError(f"chainrule.{name} does not exist; {WAY_OUT}") from None


def pass_on(namespace: Any, names: str, prefix: str = "") -> None:
    """Enter NumPy functions whose positional arguments mean the same in our function of the same name."""
    for name in names.split():
        numpy_name, _, our_name = name.partition(":")
        implements(getattr(namespace, numpy_name))(_forward(prefix + (our_name or numpy_name)))


def _forward(name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return ours(name)(*args, **kwargs)

    return call
