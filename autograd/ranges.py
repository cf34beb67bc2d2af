"""Tensors of evenly spaced values, of powers, and windows for spectra."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.creation import _dtype, _finish, _on, _place
from chainrule.autograd.formats import check_layout
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import function
from chainrule.autograd.runtime import cast, wrap
from chainrule.autograd.tensor import Tensor


def _number(caller: str, name: str, value: Any) -> Any:
    """A Python number, also from a NumPy one or a tensor of one element."""
    if isinstance(value, Tensor):
        if value._data.ndim:
            raise RuntimeError(f"{caller}: {name} must be a number or a 0-d tensor, got shape {tuple(value.shape)}")
        return value.item()
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, (int, float, complex)):
        raise TypeError(f"{caller}: {name} must be a number, got {type(value).__name__}")
    return value


@function(method=False)
def arange(
    *bounds: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    **named: Any,
) -> Tensor:
    """``arange(end)``, ``arange(start, end)`` or ``arange(start, end, step)``: a range without its end.

    Integers give int64, floats the default dtype. Raises RuntimeError for a step of 0 or the wrong sign.

    Example:
        >>> import chainrule as cr
        >>> cr.arange(1, 6, 2)
        tensor([1, 3, 5])
    """
    check_layout("arange", layout)
    start, end, step = named.pop("start", 0), named.pop("end", None), named.pop("step", 1)
    if named or len(bounds) > 3 or (not bounds and end is None):
        raise TypeError(f"arange: expected (end), (start, end) or (start, end, step), got {bounds} {named or ''}")
    if len(bounds) == 1:
        start, end = (bounds[0], end) if end is not None else (start, bounds[0])
    elif len(bounds) > 1:
        start, end, step = (*bounds, step)[:3]
    start, end, step = _number("arange", "start", start), _number("arange", "end", end), _number("arange", "step", step)
    if dtype is None:
        floats = any(isinstance(v, float) for v in (start, end, step))
        spec = dtypes.get_default_dtype().dtype if floats else np.dtype(np.int64)
    else:
        spec = dtypes.as_dtype(dtype).dtype
    if dtypes.category(spec) == 1:  # an integer range counts in integers; all but int64 find their length in floats
        whole = [int(v) for v in (start, end, step)]
        start, end, step = whole if spec == np.int64 else (whole[0], end, whole[2])
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError(f"arange: the step must lead from start to end, got start={start}, end={end}, step={step}")
    where = _on(device)
    count = max(math.ceil((end - start) / step), 0)
    # start + i * step in float64 (or int64), as PyTorch counts; np.arange accumulates in the result's dtype
    host = np.arange(count) * step + start
    return _finish(_place(host.astype(spec), where), where, requires_grad)


@function("range", method=False)
def _range(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``range(end)`` or ``range(start, end, step)``: a range with its end, of the default dtype.

    Deprecated, as in PyTorch: ``arange`` leaves the end out and keeps integers.
    Raises RuntimeError for a step of 0 or the wrong sign.

    Example:
        >>> import warnings
        >>> import chainrule as cr
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     cr.range(1, 3)
        tensor([1., 2., 3.])
    """
    warnings.warn("range is deprecated, as in PyTorch: use arange, whose end is left out", UserWarning, stacklevel=2)
    check_layout("range", layout)
    start, end = (0, start) if end is None else (start, end)
    start, end, step = _number("range", "start", start), _number("range", "end", end), _number("range", "step", step)
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError(f"range: the step must lead from start to end, got start={start}, end={end}, step={step}")
    spec = (dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)).dtype
    where = _on(device)
    host = np.arange(math.floor((end - start) / step) + 1) * step + start
    return _finish(_place(host.astype(spec), where), where, requires_grad)


def _evenly(caller: str, start: Any, end: Any, steps: int, spec: np.dtype[Any]) -> np.ndarray:
    """``steps`` values from start to end in float64 (or complex128), counted from the nearer end."""
    if not isinstance(steps, (int, np.integer)):
        raise TypeError(f"{caller}: steps must be an int, got {type(steps).__name__}")
    if steps < 0:
        raise RuntimeError(f"{caller}: steps must not be negative, got {steps}")
    start, end = _number(caller, "start", start), _number(caller, "end", end)
    if dtypes.category(spec) == 1:
        start, end = int(start), int(end)
    if steps == 1:
        return np.asarray([start])
    step = (end - start) / max(steps - 1, 1)
    i = np.arange(steps)
    return np.where(i < steps // 2, start + step * i, end - step * (steps - 1 - i))


def _spaced_dtype(dtype: Any, *bounds: Any) -> np.dtype[Any]:
    if dtype is None and any(isinstance(b, complex) or (isinstance(b, Tensor) and b.is_complex()) for b in bounds):
        return np.dtype(np.complex128 if dtypes.get_default_dtype().itemsize == 8 else np.complex64)
    return _dtype(dtype)


@function(method=False)
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """``steps`` evenly spaced values from ``start`` to ``end`` (numbers or 0-d tensors), both included.

    Example:
        >>> import chainrule as cr
        >>> cr.linspace(0, 1, 3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    check_layout("linspace", layout)
    where, spec = _on(device), _spaced_dtype(dtype, start, end)
    return _finish(_place(_evenly("linspace", start, end, steps, spec).astype(spec), where), where, requires_grad)


@function(method=False)
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """``base`` to the power of ``steps`` evenly spaced exponents from ``start`` to ``end``, both included.

    Example:
        >>> import chainrule as cr
        >>> cr.logspace(0, 2, 3)
        tensor([  1.,  10., 100.])
    """
    check_layout("logspace", layout)
    where, spec = _on(device), _spaced_dtype(dtype, start, end)
    exponents = _evenly("logspace", start, end, steps, spec)
    values = np.power(np.asarray(base, np.result_type(exponents, np.float64)), exponents)
    return _finish(_place(values.astype(spec), where), where, requires_grad)


@function(method=False)
def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """An n x m matrix (square by default) with ones on its diagonal.

    Example:
        >>> import chainrule as cr
        >>> cr.eye(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    check_layout("eye", layout)
    if n < 0 or (m is not None and m < 0):
        raise RuntimeError(f"eye: n and m must not be negative, got {n} and {m}")
    where = _on(device)
    return _finish(_place(np.eye(n, m, dtype=_dtype(dtype)), where), where, requires_grad)


@function("vander", method=False)
def _vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The matrix whose rows are powers of the elements of a vector, N of them (by default as many as elements).

    Args:
        increasing: the powers begin with 0; otherwise they end with it.

    Example:
        >>> import chainrule as cr
        >>> cr.vander(cr.tensor([1, 2, 3]))
        tensor([[1, 1, 1],
                [4, 2, 1],
                [9, 3, 1]])
    """
    if x._data.ndim != 1:
        raise RuntimeError(f"vander: expected a vector, got shape {tuple(x.shape)}")
    count = x._data.size if N is None else int(N)
    if count < 0:
        raise RuntimeError(f"vander: N must not be negative, got {N}")
    if dtypes.category(x._data.dtype) < 2:
        x = cast(x, np.dtype(np.int64))
    powers = np.arange(count) if increasing else np.arange(count)[::-1]
    exponents = wrap(_place(np.ascontiguousarray(powers).astype(x._data.dtype), x._device), x._device)
    return xp_of_tensors.pow(xp_of_tensors.reshape(x, shape=(x._data.size, 1)), exponents)


# ---- windows --------------------------------------------------------------------------------------------------------


def _window(
    name: str, window_length: int, periodic: bool, shape: Any, dtype: Any, layout: Any, device: Any, grad: bool
) -> Tensor:
    """A window of the given shape, a function of positions 0 ... last."""
    check_layout(name, layout)
    spec = _dtype(dtype)
    if dtypes.category(spec) < 2:
        raise RuntimeError(f"{name}: expected a floating-point dtype, got {dtypes.as_dtype(spec)}")
    if window_length < 0:
        raise RuntimeError(f"{name}: window_length must not be negative, got {window_length}")
    where = _on(device)
    if window_length < 2:
        values = np.ones(window_length)
    else:
        # a periodic window is a symmetric one without its last value
        values = shape(np.arange(window_length), window_length - (0 if periodic else 1))
    return _finish(_place(values.astype(spec), where), where, grad)


@function(method=False)
def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The Hann window: half a period of a raised cosine.

    Example:
        >>> import chainrule as cr
        >>> cr.hann_window(4)
        tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window(
        "hann_window", window_length, periodic, lambda n, last: 0.5 - 0.5 * np.cos(2 * np.pi * n / last),
        dtype, layout, device, requires_grad,
    )  # fmt: skip


@function(method=False)
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The Hamming window: ``alpha - beta * cos``.

    Example:
        >>> import chainrule as cr
        >>> cr.hamming_window(4)
        tensor([0.0800, 0.5400, 1.0000, 0.5400])
    """
    return _window(
        "hamming_window", window_length, periodic, lambda n, last: alpha - beta * np.cos(2 * np.pi * n / last),
        dtype, layout, device, requires_grad,
    )  # fmt: skip


@function(method=False)
def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The Blackman window: a sum of two cosines.

    Example:
        >>> import chainrule as cr
        >>> cr.blackman_window(4, dtype=cr.float64).sum()
        tensor(1.6800, dtype=chainrule.float64)
    """
    return _window(
        "blackman_window", window_length, periodic,
        lambda n, last: 0.42 - 0.5 * np.cos(2 * np.pi * n / last) + 0.08 * np.cos(4 * np.pi * n / last),
        dtype, layout, device, requires_grad,
    )  # fmt: skip


@function(method=False)
def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The triangular window.

    Example:
        >>> import chainrule as cr
        >>> cr.bartlett_window(4)
        tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window(
        "bartlett_window", window_length, periodic, lambda n, last: 1 - np.abs(2 * n / last - 1),
        dtype, layout, device, requires_grad,
    )  # fmt: skip


@function(method=False)
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The Kaiser window: a Bessel function, narrower for a larger ``beta``.

    Example:
        >>> import chainrule as cr
        >>> cr.kaiser_window(3, False, 1.0)
        tensor([0.7898, 1.0000, 0.7898])
    """

    def shape(n: Any, last: int) -> Any:
        inside = np.maximum(1 - (2 * n / last - 1) ** 2, 0)
        return np.i0(beta * np.sqrt(inside)) / np.i0(beta)

    return _window("kaiser_window", window_length, periodic, shape, dtype, layout, device, requires_grad)
