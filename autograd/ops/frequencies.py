"""Frequencies of the points of a discrete Fourier transform, and their order."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.shape import integers, normal_axis
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device
from chainrule.backends.devices import get_default_device


def _points(caller: str, n: Any) -> int:
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 0:
        raise TypeError(f"{caller}: argument 'n' must be a non-negative int, got {describe(n)}")
    return int(n)


def _frequencies(
    caller: str, numbers: np.ndarray, n: int, d: float, dtype: Any, device: Any, requires_grad: bool
) -> Tensor:
    spec = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    if not spec.is_floating_point:
        raise RuntimeError(f"{caller}: expected a floating-point dtype, got {spec}")
    step = 1.0 / (n * d) if n * d else np.inf
    wide = np.float32 if spec.itemsize < 4 else spec.dtype  # numbers beyond 2048 are no float16
    host = (numbers.astype(wide) * np.asarray(step, wide)).astype(spec.dtype)
    where = get_default_device() if device is None else Device(device)
    t = wrap(host if where.type == "cpu" else where.backend.from_host(host, where.index or 0), where)
    return t.requires_grad_() if requires_grad else t


@function("fft.fftfreq")
def _fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The frequencies of the ``n`` points of ``fft``, in cycles per unit, for samples ``d`` units apart.

    Example:
        >>> import chainrule as cr
        >>> cr.fft.fftfreq(4)
        tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    numbers = np.arange(_points("fft.fftfreq", n))
    numbers[(n + 1) // 2 :] -= n
    return _frequencies("fft.fftfreq", numbers, n, d, dtype, device, requires_grad)


@function("fft.rfftfreq")
def _rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The frequencies of the ``n // 2 + 1`` points of ``rfft``, in cycles per unit, for samples ``d`` units apart.

    Example:
        >>> import chainrule as cr
        >>> cr.fft.rfftfreq(4)
        tensor([0.0000, 0.2500, 0.5000])
    """
    numbers = np.arange(_points("fft.rfftfreq", n) // 2 + 1)
    return _frequencies("fft.rfftfreq", numbers, n, d, dtype, device, requires_grad)


def _shifted(caller: str, input: Tensor, dim: Any, back: bool) -> Tensor:
    shape = input._data.shape
    named = range(len(shape)) if dim is None else integers(caller, (dim,))
    dims = tuple([normal_axis(caller, d, len(shape)) for d in named])
    if not dims:
        return xp_of_tensors.clone(input)
    shifts = tuple([(shape[d] + 1) // 2 if back else shape[d] // 2 for d in dims])
    return xp_of_tensors.rolled(input, shifts=shifts, axis=dims)


@function("fft.fftshift")
def _fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The points of a transform with frequency 0 in the middle (of ``dim``, or of all dimensions).

    Example:
        >>> import chainrule as cr
        >>> cr.fft.fftshift(cr.fft.fftfreq(4))
        tensor([-0.5000, -0.2500,  0.0000,  0.2500])
    """
    return _shifted("fft.fftshift", input, dim, False)


@function("fft.ifftshift")
def _ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The points of a transform with frequency 0 first again: the inverse of ``fftshift``.

    Example:
        >>> import chainrule as cr
        >>> cr.fft.ifftshift(cr.fft.fftshift(cr.arange(5)))
        tensor([0, 1, 2, 3, 4])
    """
    return _shifted("fft.ifftshift", input, dim, True)
