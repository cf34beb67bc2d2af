"""Medians, quantiles, the k-th smallest and the most frequent value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.reduction import ValuesIndices
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


def _nonempty(caller: str, input: Tensor, d: int) -> None:
    if input._data.ndim and not input._data.shape[d]:
        raise IndexError(f"{caller}: expected elements along dim {d}, got shape {tuple(input.shape)}")


def _picked(input: Tensor, indices: Tensor, d: int, keepdim: bool) -> ValuesIndices:
    """Values and indices along one dimension, which ``indices`` has with length 1."""
    values = xp_of_tensors.gather(input, indices, axis=d)
    if not keepdim:
        shape = input._data.shape[:d] + input._data.shape[d + 1 :]
        values, indices = xp_of_tensors.reshape(values, shape=shape), xp_of_tensors.reshape(indices, shape=shape)
    return ValuesIndices(values, indices)


def _rows(rng: Any) -> Any:
    """One row of each kind: with NaN, of NaN only, with ties."""
    yield Sample((normal(rng, 3, 4),), {"axis": 0})
    yield Sample((normal(rng, 2, 5, 2),), {"axis": 1})
    x = np.array([[1.0, 5.0, 5.0, 2.0, 2.0], [np.nan, 3.0, np.nan, 1.0, 2.0], [np.nan] * 5, [7.0] * 5])
    yield Sample((x,), {"axis": 1})


# ---- the k-th value and the mode ------------------------------------------------------------------------------------


@function("kthvalue")
def _kthvalue(
    input: Tensor,
    k: int,
    dim: int = -1,
    keepdim: bool = False,
    *,
    axis: Any = NOT_GIVEN,
    keepdims: Any = NOT_GIVEN,
) -> ValuesIndices:
    """The ``k``-th smallest value along ``dim``, counted from 1, and its index; NaN is the largest.

    Raises RuntimeError when k is outside of 1 to the length of the dimension.

    Example:
        >>> import chainrule as cr
        >>> cr.kthvalue(cr.tensor([3.0, 1.0, 2.0]), 2).values
        tensor(2.)
    """
    dim = dim if axis is NOT_GIVEN else axis
    d = normal_axis("kthvalue", dim, input._data.ndim)
    _nonempty("kthvalue", input, d)
    length = input._data.shape[d] if input._data.ndim else 1
    if not 1 <= k <= length:
        raise RuntimeError(f"kthvalue: k must be in [1, {length}], the length of dimension {dim}, got {k}")
    if not input._data.ndim:
        return ValuesIndices(xp_of_tensors.clone(input), xp_of_tensors.argmax(input))
    indices = xp_of_tensors.part_of_order(input, axis=d, first=int(k) - 1, last=int(k), descending=False)
    return _picked(input, indices, d, keepdim if keepdims is NOT_GIVEN else keepdims)


def _mode_reference(x: Any, axis: int) -> Any:
    def of_row(row: Any) -> int:
        values, counts = np.unique(row, return_counts=True, equal_nan=False)
        return int(np.flatnonzero(row == values[np.argmax(counts)])[-1])

    return np.expand_dims(np.apply_along_axis(of_row, axis, x), axis)


def _mode_samples(rng: Any) -> Any:
    yield Sample((normal(rng, 3, 4),), {"axis": 0})
    yield Sample((rng.integers(0, 3, (4, 9)).astype(float),), {"axis": 1})
    yield Sample((rng.integers(0, 3, (9, 2)).astype(float),), {"axis": 0})


@op(vjp=None, check=Samples(_mode_samples, reference=_mode_reference))
def argument_of_mode(xp, x, *, axis):
    """The last index of the most frequent value along one axis, of the smallest one among several."""
    order = xp.argsort(x, axis=axis)
    ordered = xp.take_along_axis(x, order, axis)
    lead = (slice(None),) * axis
    new = ordered[(*lead, slice(1, None))] != ordered[(*lead, slice(0, -1))]
    new = xp.concat([xp.ones_like(new[(*lead, slice(0, 1))]), new], axis=axis) if x.shape[axis] > 1 else x == x
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    places = xp.reshape(xp.arange(x.shape[axis]), tuple(shape))
    start = xp.running_maximum(xp.where(new, places, xp.zeros_like(places)), axis=axis)
    longest = xp.argmax(places - start, axis=axis, keepdims=True)  # the first longest run, at its end
    return xp.take_along_axis(order, longest, axis)


@function("mode")
def _mode(
    input: Tensor, dim: int = -1, keepdim: bool = False, *, axis: Any = NOT_GIVEN, keepdims: Any = NOT_GIVEN
) -> ValuesIndices:
    """The most frequent value along ``dim`` (the smallest one among several), and its last index.

    Example:
        >>> import chainrule as cr
        >>> cr.mode(cr.tensor([2.0, 1.0, 2.0]))
        ValuesIndices(values=tensor(2.), indices=tensor(2))
    """
    d = normal_axis("mode", dim if axis is NOT_GIVEN else axis, input._data.ndim)
    _nonempty("mode", input, d)
    if not input._data.ndim:
        return ValuesIndices(xp_of_tensors.clone(input), xp_of_tensors.argmax(input))
    indices = xp_of_tensors.argument_of_mode(input, axis=d)
    return _picked(input, indices, d, keepdim if keepdims is NOT_GIVEN else keepdims)


# ---- medians --------------------------------------------------------------------------------------------------------


def _median_reference(x: Any, axis: int, skip_nan: bool) -> Any:
    def of_row(row: Any) -> int:
        missing = np.flatnonzero(np.isnan(row))
        if len(missing) and (not skip_nan or len(missing) == len(row)):
            return int(missing[0])
        return int(np.argsort(row, kind="stable")[(len(row) - len(missing) - 1) // 2])

    return np.expand_dims(np.apply_along_axis(of_row, axis, x), axis)


@op(
    vjp=None,
    check=Samples(
        lambda rng: [Sample(s.args, {**s.kwargs, "skip_nan": b}) for s in _rows(rng) for b in (False, True)],
        reference=_median_reference,
    ),
)
def argument_of_median(xp, x, *, axis, skip_nan):
    """The index of the lower median along one axis; NaN is it where there is one, or skipped."""
    order = xp.argsort(x, axis=axis)
    n = x.shape[axis]
    missing = xp.sum(xp.astype(x != x, np.int64), axis=axis, keepdims=True)
    if skip_nan:
        rank = xp.maximum((n - missing - 1) // 2, xp.zeros_like(missing))
    else:
        rank = xp.where(missing > 0, n - missing, xp.full_like(missing, (n - 1) // 2))
    return xp.take_along_axis(order, rank, axis)


def _median_back(xp: Any, g: Any, x: Any, out: Any) -> Any:
    chosen = (x == out) | ((x != x) & (out != out))
    return xp.where(chosen, g / xp.sum(xp.astype(chosen, dtype=g.dtype)), xp.zeros_like(x))


@op(
    vjp={"x": _median_back},
    check=Samples(
        lambda rng: [
            Sample((x,), {"skip_nan": False})
            for x in (normal(rng, 5), normal(rng, 2, 3), normal(rng), normal(rng, 1, 4))
        ],
        reference=lambda x, skip_nan: np.sort(x, axis=None)[(x.size - 1) // 2],
    ),
    label="median",
)
def median_of_all(xp, x, *, skip_nan):
    """The lower median of all elements; equal elements share the gradient."""
    ordered = xp.sort(xp.reshape(x, (-1,)))  # NaN last
    n = ordered.shape[0]
    missing = xp.sum(xp.astype(ordered != ordered, np.int64), axis=None, keepdims=False)
    if skip_nan:
        return xp.take(ordered, xp.maximum((n - missing - 1) // 2, xp.zeros_like(missing)))
    return xp.take(ordered, xp.where(missing > 0, n - 1, (n - 1) // 2))


def _median_function(name: str, what: str, skip_nan: bool) -> None:
    def median(
        input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = NOT_GIVEN, keepdims: Any = NOT_GIVEN
    ) -> Any:
        dim = dim if axis is NOT_GIVEN else axis
        if input._data.dtype.kind in "bc":
            raise RuntimeError(f"{name}: expected real numbers, got a {describe(input)}")
        if dim is None:
            if not input._data.size:
                if dtypes.category(input._data.dtype) < 2:
                    raise RuntimeError(f"{name}: there is no median of zero integers, got shape {tuple(input.shape)}")
                return xp_of_tensors.sum(input) * math.nan
            return xp_of_tensors.median_of_all(input, skip_nan=skip_nan)
        d = normal_axis(name, dim, input._data.ndim)
        _nonempty(name, input, d)
        if not input._data.ndim:
            return ValuesIndices(xp_of_tensors.clone(input), xp_of_tensors.argmax(input))
        indices = xp_of_tensors.argument_of_median(input, axis=d, skip_nan=skip_nan)
        return _picked(input, indices, d, keepdim if keepdims is NOT_GIVEN else keepdims)

    median.__name__ = name
    median.__doc__ = f"""The median of all elements; with ``dim``, values and indices along it. {what}

    Of an even number of elements it is the lower of the two in the middle. Equal elements share the gradient, except
    along a ``dim``, where the element at the index gets it.

    Example:
        >>> import chainrule as cr
        >>> cr.{name}(cr.tensor([4.0, 1.0, 3.0, 2.0]))
        tensor(2.)
    """
    function(name)(median)


_median_function("median", "NaN where there is one.", False)
_median_function("nanmedian", "NaN is left out.", True)


# ---- quantiles ------------------------------------------------------------------------------------------------------

_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile_argument(caller: str, input: Tensor, q: Any, interpolation: str) -> Tensor:
    """``q`` as a tensor, checked."""
    if input._data.dtype not in (np.float32, np.float64):
        raise RuntimeError(f"{caller}: expected a float32 or float64 tensor, got {input.dtype}")
    if not isinstance(q, Tensor):
        if not isinstance(q, (int, float)):
            raise TypeError(f"{caller}: q must be a number or a Tensor, got {describe(q)}")
        q = wrap(input._device.xp.full((), float(q), dtype=input._data.dtype), input._device)
    if q._data.dtype != input._data.dtype or q._data.ndim > 1:
        raise RuntimeError(f"{caller}: q must have 0 or 1 dimensions and the dtype {input.dtype}, got {describe(q)}")
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            f"{caller}: interpolation must be one of {', '.join(map(repr, _INTERPOLATIONS))}, got {interpolation!r}"
        )
    if not input._data.size:
        raise RuntimeError(f"{caller}: there are no quantiles of zero elements, got shape {tuple(input.shape)}")
    if q._data.size and not bool(((q._data >= 0) & (q._data <= 1)).all()):
        raise RuntimeError(f"{caller}: q must be in [0, 1], got {q.tolist()!r:.60}")
    return q


def _quantiles(ordered: Tensor, q: Tensor, interpolation: str, skip_nan: bool) -> Tensor:
    """The quantiles of rows that are sorted along the last dimension, one column for each ``q``."""
    xp, device, n = ordered._device.xp, ordered._device, ordered._data.shape[-1]
    q = q.reshape((1,) * (ordered._data.ndim - 1) + (-1,))
    missing = xp.astype(ordered._data != ordered._data, np.int64)  # NaN is sorted last
    if skip_nan:
        top = xp.maximum(n - 1 - xp.sum(missing, axis=-1, keepdims=True), xp.zeros((), dtype=np.int64))
        rank = q * wrap(xp.astype(top, q._data.dtype), device)
    else:
        rank = (q * float(n - 1)).expand((*ordered._data.shape[:-1], q._data.shape[-1]))
        spoilt = wrap(missing[..., -1:] > 0, device)
        rank = xp_of_tensors.where(spoilt, wrap(xp.full((), n - 1, dtype=q._data.dtype), device), rank)
    exact = rank._data
    if interpolation == "nearest":
        below = above = xp.round(exact)
    else:
        below, above = xp.floor(exact), xp.ceil(exact)
    first, second = [wrap(xp.astype(a, np.int64), device) for a in (below, above)]
    axis = ordered._data.ndim - 1
    if interpolation in ("lower", "higher", "nearest"):
        return xp_of_tensors.gather(ordered, second if interpolation == "higher" else first, axis=axis)
    low, high = [xp_of_tensors.gather(ordered, index, axis=axis) for index in (first, second)]
    if interpolation == "midpoint":
        return high - (high - low) * 0.5
    weight = rank - wrap(below, device)
    # from the nearer end, so that both ends are met exactly
    return xp_of_tensors.where(weight < 0.5, low + weight * (high - low), high - (high - low) * (1.0 - weight))


def _moved(x: Tensor, source: int, target: int) -> Tensor:
    """``x`` with one dimension at another place."""
    axes = [a for a in range(x._data.ndim) if a != source]
    axes.insert(target, source)
    return xp_of_tensors.permute_dims(x, axes=tuple(axes))


def _quantile_function(name: str, what: str, skip_nan: bool) -> None:
    def quantile(
        input: Tensor,
        q: Any,
        dim: Any = None,
        keepdim: bool = False,
        *,
        interpolation: str = "linear",
        axis: Any = NOT_GIVEN,
        keepdims: Any = NOT_GIVEN,
    ) -> Tensor:
        dim = dim if axis is NOT_GIVEN else axis
        keepdim = keepdim if keepdims is NOT_GIVEN else keepdims
        q = _quantile_argument(name, input, q, interpolation)
        ndim = input._data.ndim
        d = 0 if dim is None else normal_axis(name, dim, ndim)
        rows = input.reshape(-1) if dim is None or not ndim else _moved(input, d, ndim - 1)
        kept = rows._data.shape[:-1]
        if keepdim:
            kept = tuple([1 if dim is None or i == d else n for i, n in enumerate(input._data.shape)])
        order = xp_of_tensors.argsort(rows, axis=rows._data.ndim - 1)
        ordered = xp_of_tensors.gather(rows, order, axis=rows._data.ndim - 1)
        found = _quantiles(ordered, q, interpolation, skip_nan)
        if q._data.ndim:
            return _moved(found, found._data.ndim - 1, 0).reshape((q._data.shape[0], *kept))
        return found.reshape(kept)

    quantile.__name__ = name
    quantile.__doc__ = f"""The quantiles ``q`` of all elements, or along ``dim``. {what}

    Args:
        q: a number in [0, 1], or a tensor of them, which becomes the first dimension of the result.
        interpolation: what is taken between two elements: ``"linear"``, ``"lower"``, ``"higher"``, ``"midpoint"`` or
            ``"nearest"``.

    Example:
        >>> import chainrule as cr
        >>> cr.{name}(cr.tensor([1.0, 2.0, 3.0, 4.0]), 0.5)
        tensor(2.5000)
    """
    function(name)(quantile)


_quantile_function("quantile", "NaN where there is one.", False)
_quantile_function("nanquantile", "NaN is left out.", True)
