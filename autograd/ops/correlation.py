"""Covariance, correlation, and rows brought to a largest norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.indexing import getitem_of
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import function
from chainrule.autograd.runtime import cast, describe, to_floating, wrap
from chainrule.autograd.tensor import Tensor


def _weights(name: str, weights: Any, count: int, kinds: tuple[int, ...], what: str) -> Tensor | None:
    """The weights of ``count`` observations, checked."""
    if weights is None:
        return None
    if not isinstance(weights, Tensor):
        raise TypeError(f"cov: {name} must be a Tensor, got {describe(weights)}")
    if weights._data.shape not in ((count,), ()) or dtypes.category(weights._data.dtype) not in kinds:
        raise RuntimeError(f"cov: {name} must be {count} {what}, one for each observation, got {describe(weights)}")
    if weights._data.size and bool((weights._data < 0).any()):
        raise RuntimeError(f"cov: {name} must not be negative")
    return weights.reshape(-1)


@function("cov")
def _cov(input: Tensor, *, correction: float = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """The covariance matrix of variables in rows, whose columns are observations; of one variable, its variance.

    Args:
        correction: degrees of freedom taken off the number of observations (1: the unbiased estimate).
        fweights: how often each observation occurs, an integer tensor.
        aweights: how much each observation counts.

    Example:
        >>> import chainrule as cr
        >>> cr.cov(cr.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """
    if input._data.ndim > 2 or input._data.dtype.kind == "b":
        raise RuntimeError(f"cov: expected numbers in at most 2 dimensions, got a {describe(input)}")
    x = input.reshape(1, -1) if input._data.ndim < 2 else input
    count = x._data.shape[1]
    often = _weights("fweights", fweights, count, (1,), "integers")
    much = _weights("aweights", aweights, count, (2,), "floating-point numbers")
    weights = often if much is None else much if often is None else often * much
    x = to_floating(x)
    total: Any = count
    if weights is not None:
        total = weights.sum()
        if count and not bool(total._data):
            raise RuntimeError("cov: the weights must not sum to 0")
    weighted = x if weights is None else x * weights
    centred = x - (weighted.sum(1) / total).unsqueeze(1)
    if weights is not None and much is not None and correction != 0:
        freedom = total - (weights * much).sum() * correction / total
    else:
        freedom = total - correction
    if bool(freedom <= 0):
        freedom = 0.0
    other = centred if weights is None else centred * weights
    if dtypes.category(x._data.dtype) == 3:
        other = xp_of_tensors.conj(other)
    return ((centred @ other.transpose(0, 1)) / freedom).squeeze()


@function("corrcoef")
def _corrcoef(input: Tensor) -> Tensor:
    """The correlation coefficients of variables in rows, whose columns are observations.

    Example:
        >>> import chainrule as cr
        >>> cr.corrcoef(cr.tensor([[1.0, 2.0, 4.0], [3.0, 1.0, 2.0]]))
        tensor([[ 1.0000, -0.3273],
                [-0.3273,  1.0000]])
    """
    if input._data.ndim > 2 or input._data.dtype.kind == "b":
        raise RuntimeError(f"corrcoef: expected numbers in at most 2 dimensions, got a {describe(input)}")
    c = _cov(input)
    if not c._data.ndim:
        return c / c
    places = wrap(c._device.xp.arange(c._data.shape[0]), c._device)
    variance = getitem_of(c, (places, places))
    if dtypes.category(c._data.dtype) == 3:
        scale = xp_of_tensors.sqrt(xp_of_tensors.real(variance))
        return c / scale.unsqueeze(1) / scale
    scale = xp_of_tensors.sqrt(variance)
    return xp_of_tensors.clip(c / scale.unsqueeze(1) / scale, min=-1.0, max=1.0)


@function("renorm", inplace=True)
def _renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """``input`` with those slices along ``dim`` scaled down whose p-norm exceeds ``maxnorm``.

    Example:
        >>> import chainrule as cr
        >>> cr.renorm(cr.tensor([[3.0, 4.0], [0.3, 0.4]]), 2, 0, 1.0)
        tensor([[0.6000, 0.8000],
                [0.3000, 0.4000]])
    """
    if input._data.ndim < 2:
        raise RuntimeError(f"renorm: expected at least 2 dimensions, got a {describe(input)}")
    if not p > 0 or not maxnorm >= 0:
        raise RuntimeError(f"renorm: expected p > 0 and maxnorm >= 0, got p={p}, maxnorm={maxnorm}")
    if dtypes.category(input._data.dtype) < 2:
        raise RuntimeError(f"renorm: expected a floating-point tensor, got {input.dtype}")
    d = normal_axis("renorm", dim, input._data.ndim)
    x = cast(input, np.dtype(np.float32)) if input._data.dtype.itemsize == 2 else input
    size = (x.abs() if x.is_complex() else x).norm(p, tuple([a for a in range(x._data.ndim) if a != d]), True)
    above = size > maxnorm
    factor = xp_of_tensors.where(above, maxnorm / (size + 1e-7), xp_of_tensors.ones_like(size))
    return cast(x * factor, input._data.dtype)
