"""``y = a x + b y`` in one pass over memory, by a function of the BLAS that NumPy brings along."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

#: below this size the call, with the addresses it needs, takes longer than NumPy's passes
_LEAST = 16_384

_Function = Callable[..., None]
_functions: dict[Any, _Function] | None = None
_products: dict[Any, int] = {}


def _find() -> dict[Any, _Function]:
    """The function for each dtype; nothing where NumPy uses another BLAS than the OpenBLAS of its wheels."""
    import threadpoolctl

    for found in threadpoolctl.threadpool_info():
        if found["internal_api"] != "openblas" or "numpy" not in found["filepath"]:
            continue
        try:
            library = ctypes.CDLL(found["filepath"])
        except OSError:
            continue
        result: dict[Any, _Function] = {}
        for dtype, letter, number in ((np.float32, "s", ctypes.c_float), (np.float64, "d", ctypes.c_double)):
            function: Any = getattr(library, f"scipy_cblas_{letter}axpby64_", None)
            if function is not None:
                size, address = ctypes.c_int64, ctypes.c_void_p
                function.argtypes = [size, number, address, size, number, address, size]
                function.restype = None
                result[np.dtype(dtype)] = function
            product: Any = getattr(library, f"scipy_cblas_{letter}gemm64_", None)
            if product is not None:
                _products[np.dtype(dtype)] = ctypes.cast(product, ctypes.c_void_p).value or 0
        return result
    return {}


def gemm(dtype: Any) -> int | None:
    """The address of ``cblas_?gemm`` with 64-bit sizes for a dtype, where NumPy brings OpenBLAS along."""
    global _functions
    if _functions is None:
        _functions = _find()
    return _products.get(dtype)


def axpby(a: Any, x: Any, b: Any, y: Any) -> None:
    """Change ``y`` to ``a * x + b * y``, for arrays of any library and for Tensors.

    Args:
        a, b: numbers, neither of them 0 (or Tensors where ``y`` is one).
        x, y: of one shape and dtype.

    Example:
        >>> y = np.ones(3)
        >>> axpby(2.0, np.ones(3), 0.5, y)
        >>> y
        array([2.5, 2.5, 2.5])
    """
    global _functions
    if type(y) is np.ndarray and type(x) is np.ndarray and y.size >= _LEAST and a and b:
        if _functions is None:
            _functions = _find()
        function = _functions.get(y.dtype)
        if function is not None and x.dtype == y.dtype and x.shape == y.shape:
            flags = x.flags, y.flags
            if flags[0].c_contiguous and flags[1].c_contiguous and flags[1].writeable:
                function(y.size, float(a), x.ctypes.data, 1, float(b), y.ctypes.data, 1)
                return
    y *= b
    y += x if isinstance(a, (int, float)) and a == 1 else x * a
