"""Borders and triangles: padding, and matrices with one side of their diagonal."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.indexing import getitem_of
from chainrule.autograd.ops.resampling import Taps
from chainrule.autograd.public import function
from chainrule.autograd.runtime import wrap
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


def _pad_samples(rng: Any) -> Any:
    yield Sample((normal(rng, 2, 3),), {"widths": ((0, 0), (1, 2)), "value": 0.0})
    yield Sample((normal(rng, 2, 3),), {"widths": ((2, 0), (0, 1)), "value": -1.5})


def _inner(x_shape: tuple[int, ...], widths: tuple[tuple[int, int], ...]) -> tuple[Any, ...]:
    """Where the padded tensor itself lies in the result."""
    return (*[slice(low, low + n) for n, (low, _) in zip(x_shape, widths, strict=True)], ...)


@op(
    vjp={"x": lambda xp, g, x_shape, widths: xp.getitem(g, index=_inner(x_shape, widths))},
    check=Samples(_pad_samples, reference=lambda x, widths, value: np.pad(x, widths, constant_values=value)),
    arithmetic=False,
    label="pad",
)
def pad_constant(xp, x, *, widths, value):
    """The tensor with a border of ``value``: ``widths`` has the lengths before and after, for each dimension."""
    shape = tuple([n + low + high for n, (low, high) in zip(x.shape, widths, strict=True)])
    out = xp.full(shape, value, dtype=x.dtype)
    out[_inner(x.shape, widths)] = x
    return out


def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """The tensor with a border, or without one where a width is negative.

    Args:
        pad: lengths before and after, of the last dimension, then of the one before it, and so on.
        mode: ``"constant"`` (``value``, 0 by default), ``"reflect"`` (mirrored without the edge), ``"replicate"`` (the
            edge repeated) or ``"circular"``.

    Raises:
        ValueError: an unknown mode, or widths that do not fit the tensor.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.functional.pad(cr.tensor([1.0, 2.0]), (1, 2))
        tensor([0., 1., 2., 0., 0.])
    """
    numbers = [int(n) for n in pad]
    shape = tuple(input._data.shape)
    if len(numbers) % 2 or len(numbers) > 2 * len(shape):
        raise ValueError(f"pad: expected pairs of widths for at most {len(shape)} dimensions, got {tuple(pad)}")
    pairs = [(0, 0)] * (len(shape) - len(numbers) // 2)
    pairs += [(numbers[i], numbers[i + 1]) for i in range(len(numbers) - 2, -1, -2)]
    if any(n + low + high < 0 for n, (low, high) in zip(shape, pairs, strict=True)):
        raise ValueError(f"pad: widths {tuple(pad)} take away more than there is of a tensor of shape {shape}")
    if mode == "constant":
        cut = [(max(-low, 0), n - max(-high, 0)) for n, (low, high) in zip(shape, pairs, strict=True)]
        if any(low < 0 or high < 0 for low, high in pairs):
            input = getitem_of(input, tuple([slice(a, b) for a, b in cut]))
        widths = tuple([(max(low, 0), max(high, 0)) for low, high in pairs])
        return xp_of_tensors.pad_constant(input, widths=widths, value=0.0 if value is None else value)
    if value is not None:
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
    for d, (low, high) in enumerate(pairs):
        if low or high:
            length = shape[d]
            if mode == "circular" and min(low, high) < 0:  # the rest is wrapped around once the edge is cut off
                first, last = max(-low, 0), length - max(-high, 0)
                input = getitem_of(input, ((slice(None),) * d + (slice(first, last),)))
                length, low, high = last - first, max(low, 0), max(high, 0)
            positions = _positions(mode, length, low, high)
            if dtypes.category(input._data.dtype) == 2 and min(low, high) >= 0:
                # by weights of 1: the gradient is a sum of a few elements for each, and no scattering
                input = xp_of_tensors.resample(input, taps=_repeated(length, tuple(positions.tolist())), axis=d)
                continue
            if low < 0 or high < 0:
                input = _picked(input, positions, d)
                continue
            # only the border is picked element by element: its gradient is scattered, the middle's is a slice
            parts = [_picked(input, positions[:low], d), input, _picked(input, positions[low + length :], d)]
            kept = [part for part, width in zip(parts, (low, 1, high), strict=True) if width]
            input = xp_of_tensors.concatenate(*kept, axis=d)
    return input


@functools.lru_cache(maxsize=256)
def _repeated(length: int, positions: tuple[int, ...]) -> Taps:
    """The taps that put the elements at ``positions`` of a dimension one after another."""
    count = len(positions)
    return Taps(count, length, np.arange(count), np.array(positions, np.int64), np.ones(count))


def _picked(input: Tensor, positions: np.ndarray, dim: int) -> Tensor:
    """``input`` at some positions of one dimension."""
    if input._device.type == "cpu":
        where = input._device.asarray(positions)
    else:
        where = input._device.backend.from_host(positions, input._device.index or 0)
    return getitem_of(input, ((slice(None),) * dim + (wrap(where, input._device),)))


def _positions(mode: str, n: int, low: int, high: int) -> np.ndarray:
    """The element that stands at each place of a padded dimension of length ``n``."""
    i = np.arange(-low, n + high)
    if mode == "replicate" and n:
        return np.clip(i, 0, n - 1)
    if mode == "circular" and max(low, high) <= n:
        return i % n
    if mode == "reflect" and max(low, high) < n:
        return n - 1 - np.abs(n - 1 - np.abs(i))
    if mode in ("reflect", "circular", "replicate"):
        raise ValueError(f"pad: mode {mode!r} cannot pad a dimension of length {n} by {low} and {high}")
    raise ValueError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")


def _triangle_samples(rng: Any) -> Any:
    for k in (0, 1, -1):
        yield Sample((normal(rng, 3, 4),), {"k": k})
    yield Sample((normal(rng, 2, 3, 3),), {"k": 0})


@op(
    vjp={"x": lambda xp, g, k: xp.tril(g, k=k)},
    check=Samples(_triangle_samples, reference=lambda x, k: np.tril(x, k)),
    arithmetic=False,
)
def tril(xp, x, *, k=0):
    """The lower triangle of matrices, up to diagonal ``k``; zeros above it."""
    return xp.tril(x, k=k)


@op(
    vjp={"x": lambda xp, g, k: xp.triu(g, k=k)},
    check=Samples(_triangle_samples, reference=lambda x, k: np.triu(x, k)),
    arithmetic=False,
)
def triu(xp, x, *, k=0):
    """The upper triangle of matrices, from diagonal ``k`` on; zeros below it."""
    return xp.triu(x, k=k)


def _matrices(caller: str, input: Tensor) -> None:
    if input._data.ndim < 2:
        raise RuntimeError(f"{caller}: expected at least 2 dimensions, got shape {tuple(input.shape)}")


@function("tril", inplace=True)
def _tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, up to a diagonal (0: the main one); zeros above it.

    Example:
        >>> import chainrule as cr
        >>> cr.tril(cr.ones(2, 2))
        tensor([[1., 0.],
                [1., 1.]])
    """
    _matrices("tril", input)
    return xp_of_tensors.tril(input, k=int(diagonal))


@function("triu", inplace=True)
def _triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, from a diagonal on (0: the main one); zeros below it.

    Example:
        >>> import chainrule as cr
        >>> cr.triu(cr.ones(2, 2), 1)
        tensor([[0., 1.],
                [0., 0.]])
    """
    _matrices("triu", input)
    return xp_of_tensors.triu(input, k=int(diagonal))
