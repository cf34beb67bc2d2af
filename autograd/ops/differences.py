"""Differences between neighbours, numerical derivatives and integrals by the trapezoidal rule."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.reduction import public_axis
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor


def _part(x: Tensor, axis: int, start: int | None, stop: int | None) -> Tensor:
    """``x[start:stop]`` along one dimension."""
    return xp_of_tensors.getitem(x, index=(*(slice(None),) * axis, slice(start, stop), ...))


@function("diff")
def _diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None, *, axis: Any = NOT_GIVEN
) -> Tensor:
    """The ``n``-th differences between neighbours along ``dim``; of bools, whether they differ.

    Args:
        prepend, append: tensors that are joined to ``input`` along ``dim`` first.

    Example:
        >>> import chainrule as cr
        >>> cr.diff(cr.tensor([1, 4, 9]))
        tensor([3, 5])
    """
    if n < 0:
        raise RuntimeError(f"diff: n must not be negative, got {n}")
    if not input._data.ndim:
        raise RuntimeError("diff: input must have at least one dimension, got a 0-d tensor")
    d = normal_axis("diff", dim if axis is NOT_GIVEN else axis, input._data.ndim)
    for name, other in (("prepend", prepend), ("append", append)):
        if other is None:
            continue
        if not isinstance(other, Tensor):
            raise TypeError(f"diff: {name} must be a Tensor, got {describe(other)}")
        if other._data.ndim != input._data.ndim:
            raise RuntimeError(
                f"diff: {name} must have as many dimensions as input, got {describe(other)} for {describe(input)}"
            )
    if not n:  # PyTorch joins nothing then
        return xp_of_tensors.clone(input)
    joined = [t for t in (prepend, input, append) if t is not None]
    if len(joined) > 1:
        from chainrule.autograd.ops.joining import _cat

        input = _cat(joined, d)
    for _ in range(max(min(n, input._data.shape[d]), 1)):
        later, earlier = _part(input, d, 1, None), _part(input, d, None, max(input._data.shape[d] - 1, 0))
        input = xp_of_tensors.logical_xor(later, earlier) if input._data.dtype.kind == "b" else later - earlier
    return input


# ---- numerical derivatives ------------------------------------------------------------------------------------------


def _spacings(spacing: Any, count: int) -> list[Any]:
    """One spacing for each dimension: a number, or the coordinates along it."""
    if spacing is None:
        return [1.0] * count
    if isinstance(spacing, numbers.Number):
        return [spacing] * count
    found = [spacing] if isinstance(spacing, Tensor) else list(spacing)
    if len(found) != count:
        raise RuntimeError(f"gradient: expected one spacing, or one for each of {count} dimensions, got {len(found)}")
    return found


@function("gradient", method=False)
def _gradient(input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Numerical derivatives of sampled values, one tensor for each dimension, by central differences.

    Args:
        spacing: the distance of neighbours, one for each dimension, or tensors of coordinates.
        dim: the dimensions (all by default).
        edge_order: 1 or 2, the order of the one-sided differences at the edges.

    Example:
        >>> import chainrule as cr
        >>> cr.gradient(cr.tensor([1.0, 4.0, 9.0]))
        (tensor([3., 4., 5.]),)
    """
    if input._data.dtype in (np.bool_, np.uint8):
        raise RuntimeError(f"gradient: expected numbers with a sign, got a {input.dtype} tensor")
    if edge_order not in (1, 2):
        raise RuntimeError(f"gradient: edge_order must be 1 or 2, got {edge_order}")
    axes = public_axis("gradient", dim, input._data.ndim)
    if axes is None:
        axes = tuple(range(input._data.ndim))
    axes = axes if isinstance(axes, tuple) else (axes,)
    for d in axes:
        if input._data.shape[d] < edge_order + 1:
            raise RuntimeError(
                f"gradient: dimension {d} must have at least edge_order + 1 = {edge_order + 1} elements, got shape "
                f"{tuple(input.shape)}"
            )
    found = []
    for d, h in zip(axes, _spacings(spacing, len(axes)), strict=True):
        if isinstance(h, Tensor) and h._data.ndim:
            if h._data.shape != (input._data.shape[d],):
                raise RuntimeError(
                    f"gradient: the coordinates along dimension {d} must have shape ({input._data.shape[d]},), got "
                    f"{describe(h)}"
                )
            found.append(_by_coordinates(input, d, h, edge_order))
        else:
            found.append(_by_distance(input, d, h, edge_order))
    return tuple(found)


def _by_distance(x: Tensor, d: int, h: Any, edge_order: int) -> Tensor:
    from chainrule.autograd.ops.joining import _cat

    inner = (_part(x, d, 2, None) - _part(x, d, None, -2)) / 2.0
    if edge_order == 1:
        first = _part(x, d, 1, 2) - _part(x, d, 0, 1)
        last = _part(x, d, -1, None) - _part(x, d, -2, -1)
    else:
        first = _part(x, d, 0, 1) * -1.5 + _part(x, d, 1, 2) * 2.0 - _part(x, d, 2, 3) * 0.5
        last = _part(x, d, -1, None) * 1.5 - _part(x, d, -2, -1) * 2.0 + _part(x, d, -3, -2) * 0.5
    return _cat([first, inner, last], d) / h


def _by_coordinates(x: Tensor, d: int, places: Tensor, edge_order: int) -> Tensor:
    from chainrule.autograd.ops.joining import _cat

    shape = [1] * x._data.ndim
    shape[d] = -1
    steps = (places[1:] - places[:-1]).reshape(shape)
    left, right = _part(steps, d, None, -1), _part(steps, d, 1, None)
    both = left + right
    inner = (
        _part(x, d, None, -2) * (-right / (left * both))
        + _part(x, d, 1, -1) * ((right - left) / (left * right))
        + _part(x, d, 2, None) * (left / (right * both))
    )
    if edge_order == 1:
        first = (_part(x, d, 1, 2) - _part(x, d, 0, 1)) / _part(steps, d, 0, 1)
        last = (_part(x, d, -1, None) - _part(x, d, -2, -1)) / _part(steps, d, -1, None)
    else:
        a, b = _part(steps, d, 0, 1), _part(steps, d, 1, 2)
        first = (
            _part(x, d, 0, 1) * (-(a * 2 + b) / (a * (a + b)))
            + _part(x, d, 1, 2) * ((a + b) / (a * b))
            + _part(x, d, 2, 3) * (-a / (b * (a + b)))
        )
        a, b = _part(steps, d, -2, -1), _part(steps, d, -1, None)
        last = (
            _part(x, d, -3, -2) * (b / (a * (a + b)))
            + _part(x, d, -2, -1) * (-(a + b) / (a * b))
            + _part(x, d, -1, None) * ((b * 2 + a) / (b * (a + b)))
        )
    return _cat([first, inner, last], d)


# ---- integrals ------------------------------------------------------------------------------------------------------


def _trapezoids(caller: str, y: Tensor, x: Any, dx: Any, dim: int) -> tuple[Tensor, int]:
    """The areas between neighbours, and the dimension along which they lie."""
    if not isinstance(y, Tensor):
        raise TypeError(f"{caller}: argument 'y' must be a Tensor, got {describe(y)}")
    if x is not None and dx is not None:
        raise TypeError(f"{caller}: expected x or dx, got both")
    d = normal_axis(caller, dim, y._data.ndim)
    if "b" in (y._data.dtype.kind, x._data.dtype.kind if isinstance(x, Tensor) else ""):
        raise RuntimeError(f"{caller}: expected numbers, got bools")
    if not y._data.ndim:
        raise IndexError(f"{caller}: argument 'y' must have at least one dimension, got a 0-d tensor")
    sides = _part(y, d, 1, None) + _part(y, d, None, max(y._data.shape[d] - 1, 0))
    if x is None:
        return sides * ((1.0 if dx is None else dx) / 2.0), d
    if not isinstance(x, Tensor):
        raise TypeError(f"{caller}: argument 'x' must be a Tensor, got {describe(x)}")
    if x._data.ndim == 1:
        if x._data.shape[0] != y._data.shape[d]:
            raise RuntimeError(f"{caller}: x must have {y._data.shape[d]} elements, got {describe(x)}")
        shape = [1] * y._data.ndim
        shape[d] = x._data.shape[0]
        x = x.reshape(shape)
    elif x._data.ndim < y._data.ndim:
        x = x.reshape((1,) * (y._data.ndim - x._data.ndim) + x._data.shape)
    widths = _part(x, d, 1, None) - _part(x, d, None, max(x._data.shape[d] - 1, 0))
    return sides * widths / 2.0, d


@function("trapezoid trapz", method=False)
def _trapezoid(y: Tensor, x: Any = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral of ``y`` along ``dim`` by the trapezoidal rule, at places ``x`` or at distance ``dx`` (default 1).

    Example:
        >>> import chainrule as cr
        >>> cr.trapezoid(cr.tensor([1.0, 2.0, 3.0]))
        tensor(4.)
    """
    areas, d = _trapezoids("trapezoid", y, x, dx, dim)
    return xp_of_tensors.sum(areas, axis=d)


@function("cumulative_trapezoid", method=False)
def _cumulative_trapezoid(y: Tensor, x: Any = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integrals of ``y`` up to each place but the first, by the trapezoidal rule; see :func:`trapezoid`.

    Example:
        >>> import chainrule as cr
        >>> cr.cumulative_trapezoid(cr.tensor([1.0, 2.0, 3.0]))
        tensor([1.5000, 4.0000])
    """
    areas, d = _trapezoids("cumulative_trapezoid", y, x, dx, dim)
    return xp_of_tensors.cumulative_sum(areas, axis=d)
