"""Running sums, products, extremes and logarithms of sums along one dimension."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.reduction import ValuesIndices, has_zero, products_before, summand
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.runtime import cast
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor

# ---- the rules ------------------------------------------------------------------------------------------------------


def _sum_from_behind(xp: Any, g: Any, axis: int) -> Any:
    """For each element the sum of itself and all behind it."""
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=(axis,)), axis=axis), axis=(axis,))


def _recurrence_from_behind(xp: Any, g: Any, factors: Any, axis: int) -> Any:
    """The solution of ``s[i] = g[i] + factors[i] * s[i + 1]``, with one factor less than elements.

    In log2(n) steps: before each, ``s[i]`` has the terms of ``step`` elements, and ``f[i]`` is the product of the
    factors that lead behind them.
    """
    lead = (slice(None),) * axis
    s, f, n, step = g, factors, g.shape[axis], 1
    while step < n:
        more = f * s[(*lead, slice(step, None))]
        s = xp.concatenate(s[(*lead, slice(0, n - step))] + more, s[(*lead, slice(n - step, None))], axis=axis)
        f = f[(*lead, slice(0, max(n - 2 * step, 0)))] * f[(*lead, slice(min(step, n - step), None))]
        step *= 2
    return s


def _cumulative_prod_back(xp: Any, g: Any, x: Any, out: Any, axis: int) -> Any:
    """``reverse_cumsum(g * out) / x``"""
    if not has_zero(xp, x):
        return _sum_from_behind(xp, g * out, axis) / x
    # out[j] without x[i] is the product before i times that of the elements i + 1 to j
    behind = x[(*(slice(None),) * axis, slice(1, None))]
    return products_before(xp, x, axis) * _recurrence_from_behind(xp, g, behind, axis)


def _logcumsumexp_back(xp: Any, g: Any, x: Any, out: Any, axis: int) -> Any:
    """``exp(x) * reverse_cumsum(g * exp(-out))``"""
    # The slope of out[j] at x[i] is exp(x[i] - out[j]), the product of exp(x[i] - out[i]) and of the factors
    # exp(out[k] - out[k + 1]) between. None of them exceeds 1, so nothing overflows.
    lead = (slice(None),) * axis
    here, behind = out[(*lead, slice(0, -1))], out[(*lead, slice(1, None))]
    same = here == behind  # infinities, whose difference is nan
    zeros = xp.zeros_like(here)
    factors = xp.exp(xp.where(same, zeros, here) - xp.where(same, zeros, behind))
    # as with logsumexp, minus infinity has no slope, and infinity none that is a number
    slopes = xp.exp(x - xp.where(out == -math.inf, xp.zeros_like(out), out))
    return slopes * _recurrence_from_behind(xp, g, factors, axis)


# ---- the ops --------------------------------------------------------------------------------------------------------


@op(
    vjp={"x": lambda xp, g, axis: _sum_from_behind(xp, g, axis)},
    check=Samples(
        lambda rng: [Sample((normal(rng, 2, 3),), {"axis": a}) for a in (0, 1)],
        reference=lambda x, axis: np.cumsum(x, axis),
    ),
    label="cumsum",
)
def cumulative_sum(xp, x, *, axis):
    """Running sum along one axis."""
    return xp.cumulative_sum(x, axis=axis)


def _product_samples(rng: Any) -> Any:
    for axis in (0, 1):
        yield Sample((normal(rng, 3, 4),), {"axis": axis})
    yield Sample((normal(rng, 0, 2),), {"axis": 0})
    for count in (1, 2, 5):  # zeros, in each part of the row
        x = normal(rng, 2, 7)
        x[0, :count] = x[1, -count:] = x[1, 1] = 0.0
        yield Sample((x,), {"axis": 1})


@op(
    vjp={"x": _cumulative_prod_back},
    check=Samples(_product_samples, reference=lambda x, axis: np.cumprod(x, axis)),
    label="cumprod",
)
def cumulative_prod(xp, x, *, axis):
    """Running product along one axis; its gradient is right where elements are zero too."""
    return xp.cumulative_prod(x, axis=axis)


def _rows(rng: Any) -> Any:
    for shape, axis in (((2, 3), 0), ((2, 7), 1), ((1, 4), 0), ((3, 1, 2), 2), ((0, 2), 0), ((9,), 0)):
        yield Sample((normal(rng, *shape),), {"axis": axis})


def _logcumsumexp_samples(rng: Any) -> Any:
    yield from _rows(rng)
    yield Sample((np.array([-1000.0, 3.0, 1000.0, 5.0]),), {"axis": 0})


@op(
    vjp={"x": _logcumsumexp_back},
    check=Samples(_logcumsumexp_samples, reference=lambda x, axis: np.logaddexp.accumulate(x, axis)),
    floating=True,
)
def logcumsumexp(xp, x, *, axis):
    """``log(cumsum(exp(x)))`` along one axis, without overflow."""
    if x.dtype.itemsize == 2:  # CuPy's float16: each sum would be rounded
        return xp.astype(xp.running_logaddexp(xp.astype(x, np.float32), axis=axis), x.dtype)
    return xp.running_logaddexp(x, axis=axis)


def _last_record(xp: Any, x: Any, records: Any, axis: int) -> Any:
    """For each element the index of the last record up to it; NaN is one."""
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    places = xp.reshape(xp.arange(x.shape[axis]), tuple(shape))
    return xp.running_maximum(xp.where((x == records) | (x != x), places, xp.zeros_like(places)), axis=axis)


def _records_reference(better: Any) -> Any:
    def reference(x: Any, axis: int) -> Any:
        def of_row(row: Any) -> Any:
            found, best = [], 0
            for i in range(len(row)):
                best = i if better(row[i], row[best]) else best
                found.append(best)
            return np.array(found, dtype=np.int64)

        return np.apply_along_axis(of_row, axis, x) if x.size else np.zeros(x.shape, dtype=np.int64)

    return reference


def _rows_with_ties(rng: Any) -> Any:
    yield from _rows(rng)
    yield Sample((rng.integers(0, 3, (3, 6)).astype(float),), {"axis": 1})


@op(vjp=None, check=Samples(_rows_with_ties, reference=_records_reference(lambda new, old: new >= old)))
def argument_of_cummax(xp, x, *, axis):
    """The index of the (last) maximum up to each element."""
    return _last_record(xp, x, xp.running_maximum(x, axis=axis), axis)


@op(vjp=None, check=Samples(_rows_with_ties, reference=_records_reference(lambda new, old: new <= old)))
def argument_of_cummin(xp, x, *, axis):
    """The index of the (last) minimum up to each element."""
    return _last_record(xp, x, xp.running_minimum(x, axis=axis), axis)


# ---- the functions --------------------------------------------------------------------------------------------------


def _axis_of(caller: str, input: Tensor, dim: Any, axis: Any) -> int:
    dim = dim if axis is NOT_GIVEN else axis
    if dim is NOT_GIVEN:
        raise TypeError(f"{caller}: missing argument 'dim'")
    return normal_axis(caller, dim, input._data.ndim)


def _accumulated(caller: str, input: Tensor, dim: Any, dtype: Any, axis: Any) -> Tensor:
    d = _axis_of(caller, input, dim, axis)
    if dtype is not None and dtypes.as_dtype(dtype) == np.bool_:
        raise RuntimeError(f"{caller}: dtype must be one of numbers, got {dtype}")
    input = summand(input, dtype)
    if not input._data.ndim:
        return xp_of_tensors.clone(input)
    name = "cumulative_sum" if caller == "cumsum" else "cumulative_prod"
    return cast(getattr(xp_of_tensors, name)(input, axis=d), input._data.dtype)


@function("cumsum", inplace=True)
def _cumsum(input: Tensor, dim: Any = NOT_GIVEN, *, dtype: Any = None, axis: Any = NOT_GIVEN) -> Tensor:
    """Running sum along ``dim``; integers and bools give int64.

    Example:
        >>> import chainrule as cr
        >>> cr.cumsum(cr.tensor([1.0, 2.0, 3.0]), 0)
        tensor([1., 3., 6.])
    """
    return _accumulated("cumsum", input, dim, dtype, axis)


@function("cumprod", inplace=True)
def _cumprod(input: Tensor, dim: Any = NOT_GIVEN, *, dtype: Any = None, axis: Any = NOT_GIVEN) -> Tensor:
    """Running product along ``dim``; integers and bools give int64.

    Example:
        >>> import chainrule as cr
        >>> cr.cumprod(cr.tensor([1.0, 2.0, 3.0]), 0)
        tensor([1., 2., 6.])
    """
    return _accumulated("cumprod", input, dim, dtype, axis)


@function("logcumsumexp")
def _logcumsumexp(input: Tensor, dim: Any = NOT_GIVEN, *, axis: Any = NOT_GIVEN) -> Tensor:
    """``log(cumsum(exp(input)))`` along ``dim``, without overflow.

    Example:
        >>> import chainrule as cr
        >>> cr.logcumsumexp(cr.tensor([1000.0, 1000.0]), 0)
        tensor([1000.0000, 1000.6932])
    """
    d = _axis_of("logcumsumexp", input, dim, axis)
    if not input._data.ndim:
        return xp_of_tensors.logcumsumexp(input.reshape(1), axis=0).reshape(())
    return xp_of_tensors.logcumsumexp(input, axis=d)


def _records(caller: str, input: Tensor, dim: Any, axis: Any) -> ValuesIndices:
    d = _axis_of(caller, input, dim, axis)
    if not input._data.ndim:
        return ValuesIndices(xp_of_tensors.clone(input), xp_of_tensors.argmax(input))
    indices = getattr(xp_of_tensors, f"argument_of_{caller}")(input, axis=d)
    return ValuesIndices(xp_of_tensors.gather(input, indices, axis=d), indices)


@function("cummax")
def _cummax(input: Tensor, dim: Any = NOT_GIVEN, *, axis: Any = NOT_GIVEN) -> ValuesIndices:
    """Running maximum along ``dim``, and where it was last reached.

    Example:
        >>> import chainrule as cr
        >>> cr.cummax(cr.tensor([1.0, 3.0, 2.0]), 0)
        ValuesIndices(values=tensor([1., 3., 3.]), indices=tensor([0, 1, 1]))
    """
    return _records("cummax", input, dim, axis)


@function("cummin")
def _cummin(input: Tensor, dim: Any = NOT_GIVEN, *, axis: Any = NOT_GIVEN) -> ValuesIndices:
    """Running minimum along ``dim``, and where it was last reached.

    Example:
        >>> import chainrule as cr
        >>> cr.cummin(cr.tensor([3.0, 1.0, 2.0]), 0)
        ValuesIndices(values=tensor([3., 1., 1.]), indices=tensor([0, 1, 1]))
    """
    return _records("cummin", input, dim, axis)
