"""Kernels compiled by Numba: the extra ``chainrule[fast]``.

NumPy makes one pass over memory for every operation of a formula; a compiled loop makes one for the whole formula. The
kernels here stand for those operations where that wins by measurement (``python -m chainrule.benchmarks.peers``).
Without Numba, or with ``CHAINRULE_FAST=0`` in the environment, the plain kernels do the work.

Numba takes half a second to import, so the module of a kernel is imported when the first array comes that is worth it.
Loops run without the interpreter's lock, on the threads of :mod:`chainrule.backends.pool`; they are compiled on first
use and kept on disk.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.base import Backend

_VARIABLE = "CHAINRULE_FAST"

#: the module here that has the kernel of an op; importing it gives ``register(backend)``
MODULES: dict[str, str] = {
    "abs": "piecewise",
    "abs_back": "piecewise",
    "atan": "logarithms",
    "atan_back": "logarithms",
    "attention": "attention",
    "attention_back": "attention",
    "avg_pool2d": "pooling",
    "avg_pool2d_back": "pooling",
    "batch_norm": "batch_norm",
    "batch_norm_back": "batch_norm",
    "class_cross_entropy": "softmax",
    "class_cross_entropy_back": "softmax",
    "clip": "choices",
    "cos": "sines",
    "cos_back": "sines",
    "cosh": "logarithms",
    "cosh_back": "logarithms",
    "ctc_back": "ctc",
    "ctc_log_likelihood": "ctc",
    "cumulative_sum": "choices",
    "depthwise": "depthwise",
    "depthwise_input": "depthwise",
    "depthwise_weight": "depthwise",
    "elu": "piecewise",
    "elu_back": "piecewise",
    "erf": "elementwise",
    "exp": "elementwise",
    "expm1": "logarithms",
    "expm1_back": "logarithms",
    "gather": "indexing",
    "gather_back": "indexing",
    "gelu": "activations",
    "gelu_back": "activations",
    "group_norm": "group_norm",
    "group_norm_back": "group_norm",
    "gru_sequence": "gru",
    "gru_sequence_back": "gru",
    "hardswish": "piecewise",
    "hardswish_back": "piecewise",
    "hardtanh_back": "piecewise",
    "huber": "losses",
    "huber_back": "losses",
    "layer_norm": "layer_norm",
    "layer_norm_back": "layer_norm",
    "leaky_relu": "piecewise",
    "leaky_relu_back": "piecewise",
    "log": "logarithms",
    "log10": "logarithms",
    "log1p": "logarithms",
    "log1p_back": "logarithms",
    "log2": "logarithms",
    "log_back": "logarithms",
    "log_softmax": "softmax",
    "log_softmax_back": "softmax",
    "logistic_cross_entropy": "smooth",
    "logistic_cross_entropy_back": "smooth",
    "logsigmoid": "smooth",
    "logsigmoid_back": "smooth",
    "lstm_sequence": "lstm",
    "lstm_sequence_back": "lstm",
    "max_pool2d": "pooling",
    "max_pool2d_back": "pooling",
    "mean_squared_error": "losses",
    "mish": "smooth",
    "mish_back": "smooth",
    "power_back": "piecewise",
    "power_by_number": "piecewise",
    "products_read": "weighted_reads",
    "relu": "activations",
    "relu_back": "activations",
    "resample": "pooling",
    "rms_norm": "layer_norm",
    "rms_norm_back": "layer_norm",
    "rows_added": "indexing",
    "rows_summed": "indexing",
    "scaled_difference": "losses",
    "scatter_add": "indexing",
    "scatter_put": "indexing",
    "sigmoid": "elementwise",
    "sigmoid_back": "activations",
    "sign": "piecewise",
    "silu": "activations",
    "silu_back": "activations",
    "sin": "sines",
    "sin_back": "sines",
    "sinh": "logarithms",
    "sinh_back": "logarithms",
    "softmax": "softmax",
    "softmax_back": "softmax",
    "softplus": "smooth",
    "softplus_back": "smooth",
    "standardise": "layer_norm",
    "standardise_back": "layer_norm",
    "tanh": "elementwise",
    "tanh_back": "activations",
    "weighted_read": "weighted_reads",
    "weighted_write": "weighted_reads",
    "where": "choices",
    "window_argmax": "pooling",
}

#: elements of its largest array from which on an op goes to its compiled kernel
worth = 1 << 13

#: whether compiled loops may be used, which `register` finds out once
available = False

_loading = threading.RLock()


def enabled() -> bool:
    """Whether Numba is installed and ``CHAINRULE_FAST`` is not 0.

    Raises ValueError when ``CHAINRULE_FAST`` is neither 0 nor 1.
    """
    wanted = os.environ.get(_VARIABLE, "1")
    if wanted not in ("0", "1"):
        raise ValueError(f"{_VARIABLE} is {wanted!r}; expected 0 (never use the compiled kernels) or 1")
    return wanted == "1" and importlib.util.find_spec("numba") is not None


def module(name: str) -> Any:
    """A module of this package whose functions a kernel calls itself; None where it has to do without."""
    return _imported(name) if available else None


@functools.cache
def _imported(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")


def register(backend: Backend) -> None:
    """Let the compiled kernels take over from those of ``backend``, module by module, when they are needed."""
    global available
    available = enabled()
    if not available:
        return
    backend.plain_kernels = {op: getattr(backend.xp, op) for op in MODULES}
    backend.compiled_modules = set()
    for op in MODULES:
        setattr(backend.xp, op, _until_worth_it(op, backend))


def load(backend: Backend, module: str) -> None:
    """Import a module and put its kernels in place."""
    with _loading:
        if module not in backend.compiled_modules:
            importlib.import_module(f"{__name__}.{module}").register(backend)
            backend.compiled_modules.add(module)


def load_all(backend: Backend) -> None:
    """Import Numba and every module here now, and start its compiler, so that no later operation has to."""
    if available:
        for name in sorted(set(MODULES.values())):
            load(backend, name)
        backend.xp.exp(np.zeros(worth, np.float32))


def _worth_it(arrays: tuple[Any, ...]) -> bool:
    for a in arrays:  # noqa: SIM110 - a generator takes three times as long
        if type(a) is np.ndarray and a.size >= worth:
            return True
    return False


def _until_worth_it(op: str, backend: Backend) -> Callable[..., Any]:
    """The plain kernel, which loads the compiled one when the first large array comes."""
    plain = backend.plain_kernels[op]

    def plain_or_load(*arrays: Any, **attributes: Any) -> Any:
        if not _worth_it(arrays):
            return plain(*arrays, **attributes)
        load(backend, MODULES[op])
        return getattr(backend.xp, op)(*arrays, **attributes)

    return plain_or_load


def compiled_kernel(op: str, backend: Backend) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a compiled implementation of ``op``, which must agree with the declared forward.

    It gets the op's arrays and attributes, and may give NotImplemented for those that it is not made for: then the
    plain kernel does the work, as it does for small arrays.
    """
    plain = backend.plain_kernels[op]

    def put(function: Callable[..., Any]) -> Callable[..., Any]:
        def compiled_or_plain(*arrays: Any, **attributes: Any) -> Any:
            if _worth_it(arrays):
                result = function(*arrays, **attributes)
                if result is not NotImplemented:
                    return result
            return plain(*arrays, **attributes)

        setattr(backend.xp, op, compiled_or_plain)
        return compiled_or_plain

    return put
