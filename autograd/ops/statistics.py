"""Variance and the logarithm of sums of exponentials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.matrices import conj, is_complex, real
from chainrule.autograd.ops.reduction import (
    _reduction,
    count_of,
    keep_dims,
    normal_axes,
    public_axis,
    restore,
)
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.samples import Reduction, Sample, Samples, normal, special
from chainrule.autograd.tensor import Tensor


def _variance_back(xp: Any, g: Any, x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    """``g * 2 * (x - mean(x)) / (count - correction)``"""
    free = count_of(x.shape, axis) - correction
    centred = x - xp.mean(x, axis=axis, keepdims=True)
    return restore(xp, g * (2.0 / free if free > 0 else math.inf), x.shape, axis, keepdims) * conj(xp, centred)


def _deviation_back(xp: Any, g: Any, x: Any, out: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    """``g * (x - mean(x)) / (out * (count - correction))``"""
    # at out = 0 all elements are equal; 0 is the subgradient PyTorch takes
    flat = out == 0
    slope = xp.where(flat, xp.zeros_like(g), g * 0.5 / xp.where(flat, xp.ones_like(out), out))
    return _variance_back(xp, slope, x, axis, correction, keepdims)


def _spread_samples(rng: Any) -> Any:
    for kwargs in ({}, {"axis": 1}, {"axis": (0, 2), "keepdims": True}, {"axis": -1, "correction": 0}):
        yield Sample((normal(rng, 2, 3, 4),), kwargs)


@op(
    vjp={"x": _variance_back},
    check=Samples(
        _spread_samples,
        reference=lambda x, axis=None, correction=1, keepdims=False: np.var(
            x, axis=axis, ddof=correction, keepdims=keepdims
        ),
    ),
)
def var(xp, x, *, axis=None, correction=1, keepdims=False):
    """Variance over the given axes, with ``correction`` degrees of freedom taken off."""
    if x.dtype.itemsize == 2:  # CuPy's float16: squares overflow early
        wide = xp.astype(x, np.float32)
        return xp.astype(xp.var(wide, axis=axis, correction=correction, keepdims=keepdims), x.dtype)
    free = count_of(x.shape, axis) - correction
    centred = x - xp.mean(x, axis=axis, keepdims=True)
    squares = xp.square(xp.real(centred)) + xp.square(xp.imag(centred)) if is_complex(x) else centred * centred
    total = xp.sum(squares, axis=axis, keepdims=keepdims)
    return total * (1.0 / free if free > 0 else math.inf)  # of equal elements nan, as 0 / 0


@op(
    vjp={"x": _deviation_back},
    check=Samples(
        _spread_samples,
        reference=lambda x, axis=None, correction=1, keepdims=False: np.std(
            x, axis=axis, ddof=correction, keepdims=keepdims
        ),
    ),
)
def std(xp, x, *, axis=None, correction=1, keepdims=False):
    """Standard deviation over the given axes; its gradient is 0 where all elements are equal."""
    if x.dtype.itemsize == 2:
        wide = xp.astype(x, np.float32)
        return xp.astype(xp.std(wide, axis=axis, correction=correction, keepdims=keepdims), x.dtype)
    return xp.sqrt(xp.var(x, axis=axis, correction=correction, keepdims=keepdims))


def _spread_arguments(caller: str, input: Tensor, dim: Any, unbiased: Any, keepdim: Any, correction: Any) -> Any:
    """The attributes of ``var`` and ``std`` from PyTorch's overlapping signatures."""
    if isinstance(dim, bool):  # var(input, unbiased)
        dim, unbiased = None, dim
    if correction is not None and unbiased is not None:
        raise TypeError(f"{caller}: expected unbiased or correction, got both")
    if unbiased is not None:
        correction = 1 if unbiased else 0
    if dtypes.category(input._data.dtype) < 2:
        raise RuntimeError(
            f"{caller}: expected a floating-point tensor, got {input.dtype}; convert first, e.g. with .float()"
        )
    return {
        "axis": public_axis(caller, dim, input._data.ndim),
        "correction": 1 if correction is None else correction,
        "keepdims": bool(keepdim),
    }


def _spread(name: str, what: str, shown: str) -> None:
    def spread(
        input: Tensor,
        dim: Any = None,
        unbiased: Any = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
        axis: Any = NOT_GIVEN,
        keepdims: Any = NOT_GIVEN,
    ) -> Tensor:
        dim = dim if axis is NOT_GIVEN else axis
        keepdim = keepdim if keepdims is NOT_GIVEN else keepdims
        attributes = _spread_arguments(name, input, dim, unbiased, keepdim, correction)
        return getattr(xp_of_tensors, name)(input, **attributes)

    spread.__name__ = name
    spread.__doc__ = f"""{what} of all elements, or over the dimensions ``dim``.

    Args:
        unbiased: False means a correction of 0.
        correction: degrees of freedom taken off the count (1, the default: the unbiased estimate).

    Example:
        >>> import chainrule as cr
        >>> cr.{name}(cr.tensor([1.0, 3.0]), correction=0)
        {shown}
    """
    function(name)(spread)

    def with_mean(
        input: Tensor,
        dim: Any = None,
        unbiased: Any = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
        axis: Any = NOT_GIVEN,
        keepdims: Any = NOT_GIVEN,
    ) -> tuple[Tensor, Tensor]:
        dim = dim if axis is NOT_GIVEN else axis
        keepdim = keepdim if keepdims is NOT_GIVEN else keepdims
        attributes = _spread_arguments(f"{name}_mean", input, dim, unbiased, keepdim, correction)
        mean = xp_of_tensors.mean(input, axis=attributes["axis"], keepdims=attributes["keepdims"])
        return getattr(xp_of_tensors, name)(input, **attributes), mean

    with_mean.__name__ = f"{name}_mean"
    with_mean.__doc__ = f"""{what} and mean of all elements, or over the dimensions ``dim``; see :func:`{name}`.

    Example:
        >>> import chainrule as cr
        >>> cr.{name}_mean(cr.tensor([1.0, 3.0]), correction=0)
        ({shown}, tensor(2.))
    """
    function(f"{name}_mean", method=False)(with_mean)


_spread("var", "Variance", "tensor(1.)")
_spread("std", "Standard deviation", "tensor(1.)")


@op(
    vjp={
        "x": lambda xp, g, x, out, axis, keepdims: (
            keep_dims(xp, g, x.shape, axis, keepdims)
            * xp.exp(x - _above(xp, keep_dims(xp, out, x.shape, axis, keepdims)))
        )
    },
    check=Reduction(reference=lambda x, axis=None, keepdims=False: special.logsumexp(x, axis=axis, keepdims=keepdims)),
    floating=True,
)
def logsumexp(xp, x, *, axis=None, keepdims=False):
    """``log(sum(exp(x)))`` over the given axes, without overflow."""
    if x.dtype.itemsize == 2:  # CuPy's float16: the sum is accumulated in float32
        total = xp.logsumexp(xp.astype(x, np.float32), axis=axis, keepdims=keepdims)
        return xp.astype(total, x.dtype)
    if 0 in x.shape and count_of(x.shape, axis) == 0:
        return xp.sum(x, axis=axis, keepdims=keepdims) - math.inf
    size = real(xp, x)
    top = _finite(xp, xp.max(size, axis=axis, keepdims=True)) if x.ndim else _finite(xp, size)
    total = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    if keepdims or not x.ndim:
        return total
    axes = normal_axes(axis, x.ndim)
    return xp.reshape(total, shape=tuple([n for i, n in enumerate(x.shape) if i not in axes]))


def _finite(xp: Any, x: Any) -> Any:
    """0 in the place of infinities: inf - inf would be nan."""
    return xp.where(xp.isfinite(x), x, xp.zeros_like(x))


def _above(xp: Any, x: Any) -> Any:
    """0 in the place of minus infinity, the result of minus infinities alone, whose gradient is 0."""
    return xp.where(x == -math.inf, xp.zeros_like(x), x)


function("logsumexp")(
    _reduction(
        "logsumexp",
        """``log(sum(exp(x)))`` over the dimensions ``dim``, without overflow.

    Example:
        >>> import chainrule as cr
        >>> cr.logsumexp(cr.tensor([1000.0, 1000.0]), dim=0)
        tensor(1000.6932)
    """,
    )
)
