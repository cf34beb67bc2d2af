"""Parts of a tensor by name: one slice, a range, sliding windows; copies in which a part is replaced."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import OPS, op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.diagonal import scatter_into
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import function, method_only
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


def at(axis: int, part: Any) -> tuple[Any, ...]:
    """The index that takes ``part`` of one dimension."""
    return (*(slice(None),) * axis, part, ...)


def _position(caller: str, input: Tensor, dim: int, index: Any) -> tuple[Any, ...]:
    if not input._data.ndim:
        raise IndexError(f"{caller}: a 0-d tensor has no dimension to select from")
    d = normal_axis(caller, dim, input._data.ndim)
    i, n = int(index.__index__()), input._data.shape[d]
    if not -n <= i < n:
        raise IndexError(f"{caller}: index {i} is out of bounds for dimension {dim} with length {n}")
    return at(d, i % n)


@function("select")
def _select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice of ``input`` at one position along ``dim``, which it lacks; a view.

    Example:
        >>> import chainrule as cr
        >>> cr.select(cr.tensor([[1, 2], [3, 4]]), 1, 0)
        tensor([1, 3])
    """
    return xp_of_tensors.getitem(input, index=_position("select", input, dim, index))


@function("select_scatter")
def _select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of ``input`` in which ``src`` is the slice at one position along ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.select_scatter(cr.zeros(2, 2), cr.ones(2), 0, 1)
        tensor([[0., 0.],
                [1., 1.]])
    """
    place = _position("select_scatter", input, dim, index)
    return scatter_into("select_scatter", input, src, OPS["getitem"], {"index": place})


def _range(caller: str, input: Tensor, dim: int, start: Any, end: Any, step: Any) -> tuple[Any, ...]:
    if not input._data.ndim:
        raise RuntimeError(f"{caller}: a 0-d tensor has no dimension to take a part of")
    if step < 1:
        raise RuntimeError(f"{caller}: step must be positive, got {step}")
    d = normal_axis(caller, dim, input._data.ndim)
    first, last, _ = slice(start, end, step).indices(input._data.shape[d])
    return at(d, slice(first, max(first, last), step))


@function("slice_scatter")
def _slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy of ``input`` in which ``src`` is the part ``start:end:step`` of ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.slice_scatter(cr.zeros(4), cr.ones(2), start=1, end=3)
        tensor([0., 1., 1., 0.])
    """
    place = _range("slice_scatter", input, dim, start, end, step)
    return scatter_into("slice_scatter", input, src, OPS["getitem"], {"index": place})


@function("slice_copy", method=False)
def _slice_copy(input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    """A copy of the part ``start:end:step`` of ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.slice_copy(cr.arange(5), 0, 1, 4)
        tensor([1, 2, 3])
    """
    place = _range("slice_copy", input, dim, start, end, step)
    return xp_of_tensors.clone(xp_of_tensors.getitem(input, index=place))


@function("narrow")
def _narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """``length`` elements of ``dim`` from ``start`` on; a view.

    Raises IndexError for a start out of bounds, RuntimeError for a length that does not fit.

    Example:
        >>> import chainrule as cr
        >>> cr.narrow(cr.arange(5), 0, 1, 3)
        tensor([1, 2, 3])
    """
    if not input._data.ndim:
        raise RuntimeError("narrow: a 0-d tensor cannot be narrowed")
    d = normal_axis("narrow", dim, input._data.ndim)
    n, first = input._data.shape[d], int(start)
    if not -n <= first <= n:
        raise IndexError(f"narrow: start must be in [{-n}, {n}] for dimension {dim}, got {first}")
    first += n if first < 0 else 0
    if length < 0 or first + length > n:
        raise RuntimeError(f"narrow: start {first} and length {length} exceed dimension {dim} of length {n}")
    return xp_of_tensors.getitem(input, index=at(d, slice(first, first + int(length))))


@function("narrow_copy")
def _narrow_copy(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A copy of ``length`` elements of ``dim`` from ``start`` on.

    Example:
        >>> import chainrule as cr
        >>> cr.narrow_copy(cr.arange(5), 0, 1, 3)
        tensor([1, 2, 3])
    """
    return xp_of_tensors.clone(_narrow(input, dim, start, length))


# ---- sliding windows ------------------------------------------------------------------------------------------------


def _window_samples(rng: Any) -> Any:
    yield Sample((normal(rng, 7),), {"axis": 0, "size": 3, "step": 1})
    yield Sample((normal(rng, 7),), {"axis": 0, "size": 2, "step": 3})
    yield Sample((normal(rng, 2, 5, 2),), {"axis": 1, "size": 3, "step": 2})


def _window_reference(x: Any, axis: int, size: int, step: int) -> Any:
    starts = range(0, x.shape[axis] - size + 1, step)
    return np.stack([np.moveaxis(x.take(range(s, s + size), axis), axis, -1) for s in starts], axis)


@op(
    vjp={
        "x": lambda xp, g, x_shape, axis, size, step: xp.windows_back(g, shape=x_shape, axis=axis, size=size, step=step)
    },
    check=Samples(_window_samples, reference=_window_reference),
    view=True,
    label="unfold",
)
def windows(xp, x, *, axis, size, step):
    """Windows of ``size`` elements along one dimension, ``step`` apart; a view in which they may overlap."""
    return xp.windows_view(x, axis, size, step)


def _windows_back_reference(x: Any, shape: Any, axis: int, size: int, step: int) -> Any:
    out = np.zeros(shape)
    for w in range(x.shape[axis]):
        np.moveaxis(out, axis, -1)[..., w * step : w * step + size] += x.take(w, axis)
    return out


@op(
    vjp={"x": lambda xp, g, axis, size, step: xp.windows(g, axis=axis, size=size, step=step)},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 3, 2),), {"shape": (7,), "axis": 0, "size": 2, "step": 2}),
            Sample((normal(rng, 2, 2, 3),), {"shape": (2, 4), "axis": 1, "size": 3, "step": 1}),
        ],
        reference=_windows_back_reference,
    ),
    label="unfold_back",
)
def windows_back(xp, x, *, shape, axis, size, step):
    """Zeros of the given shape with the windows added where they came from."""
    out = xp.zeros(shape, dtype=x.dtype)
    reach = step * (x.shape[axis] - 1) + 1
    for k in range(size):  # the k-th elements of all windows are a slice
        out[at(axis, slice(k, k + reach, step))] += x[..., k]
    return out


@method_only("unfold")
def _unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of ``size`` elements along a dimension, ``step`` apart, their elements as the last dimension; a view.

    Raises RuntimeError when a window does not fit into the dimension.
    """
    if not input._data.ndim:
        input = xp_of_tensors.reshape(input, shape=(1,))
        if size == 0 or size == 1:  # PyTorch: a 0-d tensor is one window without a dimension of windows
            return xp_of_tensors.getitem(input, index=(slice(0, int(size)), ...))
    d = normal_axis("unfold", dimension, input._data.ndim)
    n = input._data.shape[d]
    if not 0 <= size <= n or step < 1:
        raise RuntimeError(f"unfold: size {size} and step {step} do not fit dimension {dimension} of length {n}")
    return xp_of_tensors.windows(input, axis=d, size=int(size), step=int(step))


# ---- other dtypes on the same bytes ---------------------------------------------------------------------------------


@op(
    vjp=None,
    check=Samples(
        lambda rng: [Sample((normal(rng, 2, 4),), {"dtype": np.dtype(np.int64)})],
        reference=lambda x, dtype: x.view(dtype),
    ),
    view=True,
    label="view",
)
def reinterpret(xp, x, *, dtype):
    """The same bytes as elements of another dtype; it has no gradient."""
    return xp.reinterpret_view(x, dtype)


def view_as_dtype(input: Tensor, spec: Any) -> Tensor:
    """The same bytes as elements of another dtype; the last dimension grows or shrinks with the itemsize."""
    to = dtypes.as_dtype(spec).dtype
    old, new = input._data.dtype.itemsize, to.itemsize
    shape = input._data.shape
    if to == input._data.dtype:
        return xp_of_tensors.getitem(input, index=(...,))
    if old != new:
        if not shape:
            raise RuntimeError(f"view: a 0-d {input.dtype} tensor cannot become {dtypes.as_dtype(spec)}")
        if shape[-1] * old % new or (shape[-1] > 1 and input.stride(-1) != 1):
            raise RuntimeError(
                f"view: a last dimension of {shape[-1]} elements of {input.dtype} and stride {input.stride(-1)} cannot "
                f"be read as {dtypes.as_dtype(spec)}"
            )
    result = xp_of_tensors.reinterpret(input, dtype=to)
    if input.requires_grad:  # what is written through it would not reach the graph
        result._view.kind = "dtype"
    return result


__all__ = ["at", "view_as_dtype"]
