"""Special functions of ``xp``: SciPy's on the CPU, CuPy's own on CUDA where it has them, through the host where not."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.pool import parallel, ranges

#: name in ``xp`` -> name in ``scipy.special`` (and in ``cupyx.scipy.special``)
NAMES = {
    "erf": "erf", "erfc": "erfc", "erfinv": "erfinv", "erfcx": "erfcx",
    "ndtr": "ndtr", "ndtri": "ndtri", "log_ndtr": "log_ndtr",
    "log_gamma": "gammaln", "psi": "psi", "zeta": "zeta", "igamma": "gammainc", "igammac": "gammaincc",
    "i0": "i0", "i0e": "i0e", "i1": "i1", "i1e": "i1e",
    "bessel_j0": "j0", "bessel_j1": "j1", "bessel_y0": "y0", "bessel_y1": "y1",
    "bessel_k0": "k0", "bessel_k1": "k1", "bessel_k0e": "k0e", "bessel_k1e": "k1e",
    "airy_functions": "airy", "betainc": "betainc", "igamma_inverse": "gammaincinv",
}  # fmt: skip


#: elements of one part for the threads: the quick ones take 20 ns each, most take 100
_PART = 1 << 14


def in_parts(function: Callable[..., Any], arrays: tuple[Any, ...]) -> Any:
    """An elementwise function of several results or one, on parts of long arrays that the threads share."""
    first = arrays[0]
    whole = all(type(a) is np.ndarray and a.shape == first.shape and a.flags.c_contiguous for a in arrays)
    if not whole or first.size < 2 * _PART:
        return function(*arrays)
    flat = [a.reshape(-1) for a in arrays]
    parts = ranges(first.size, first.size // _PART)
    made: list[Any] = [None] * len(parts)
    asked = np.geterr()  # other threads do not know what this one wants to hear about

    def run(i: int) -> None:
        a, b = parts[i]
        with np.errstate(**asked):
            made[i] = function(*[v[a:b] for v in flat])

    parallel(run, len(parts))
    if isinstance(made[0], tuple):
        return tuple([np.concatenate(pieces).reshape(first.shape) for pieces in zip(*made, strict=True)])
    return np.concatenate(made).reshape(first.shape)


def host_function(name: str) -> Callable[..., Any]:
    """The function of SciPy, which is imported when it is first called."""

    def call(*arrays: Any) -> Any:
        found: Callable[..., Any] = getattr(importlib.import_module("scipy.special"), name)
        return in_parts(found, arrays)

    call.__name__ = name
    return call


def through_host(name: str, backend: Backend) -> Callable[..., Any]:
    """The function of SciPy on arrays of another backend: copied to the host, and the result back."""

    def call(*arrays: Any) -> Any:
        made = host_function(name)(*[backend.to_host(a) for a in arrays])
        if isinstance(made, tuple):
            return tuple([backend.asarray(np.asarray(part)) for part in made])
        return backend.asarray(np.asarray(made))

    return call


def keeping_dtype(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with results of its first argument's dtype: these libraries widen float16."""

    def call(*arrays: Any) -> Any:
        made, dtype = function(*arrays), arrays[0].dtype
        if isinstance(made, tuple):
            return tuple([part.astype(dtype, copy=False) for part in made])
        return made.astype(dtype, copy=False)

    return call


def register(backend: Backend, library: Any = None) -> None:
    """Give ``backend.xp`` the special functions.

    Args:
        library: the backend's own module of them, asked first; None for a backend that has NumPy arrays.
    """
    for name, known_as in NAMES.items():
        if backend.array_type is np.ndarray:  # whose float16 never comes here: the engine computes in float32
            setattr(backend.xp, name, host_function(known_as))
        else:
            own = getattr(library, known_as, None)
            setattr(backend.xp, name, keeping_dtype(own or through_host(known_as, backend)))
