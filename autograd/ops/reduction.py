"""Sums, means and products, and what all reductions share."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.batching.array import DataDependent
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.runtime import cast
from chainrule.autograd.samples import Reduction, Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


class ValuesIndices(NamedTuple):
    """What ``max``, ``min``, ``sort`` and ``topk`` give along a dimension."""

    values: Tensor
    indices: Tensor


#: elements up to which a copy is quicker to make than a broadcast view
_SMALL = 4096

# ---- helpers of the rules: written for arrays and Tensors -----------------------------------------------------------


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """The reduced dimensions, counted from 0."""
    if axis is None:
        return tuple(range(ndim))
    return tuple([a % ndim if ndim else a for a in (axis if isinstance(axis, tuple) else (axis,))])


def keep_dims(xp: Any, g: Any, x_shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """A reduced gradient with its reduced dimensions back as length 1."""
    if keepdims or not x_shape:
        return g
    axes = normal_axes(axis, len(x_shape))
    return xp.reshape(g, shape=tuple([1 if i in axes else n for i, n in enumerate(x_shape)]))


def restore(xp: Any, g: Any, x_shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """A reduced gradient repeated to the shape before the reduction."""
    if axis is not None or keepdims:
        g = keep_dims(xp, g, x_shape, axis, keepdims)
    repeat = xp.spread if math.prod(x_shape) <= _SMALL else xp.broadcast_to
    return repeat(g, shape=x_shape)


def count_of(x_shape: tuple[int, ...], axis: Any) -> int:
    """How many elements go into each result of a reduction."""
    return math.prod(x_shape[a] for a in normal_axes(axis, len(x_shape)))


def public_axis(caller: str, dim: Any, ndim: int) -> Any:
    """PyTorch's ``dim`` as an axis: None or () mean all, lists are taken, range and repeats are checked."""
    if dim is None:
        return None
    if isinstance(dim, (tuple, list)):
        if not dim:
            return None
        axes = tuple([normal_axis(caller, d, ndim) for d in dim])
        if len(set(axes)) != len(axes):
            raise RuntimeError(f"{caller}: a dimension appears twice in dim {dim}")
        return axes if ndim else None
    axis = normal_axis(caller, dim, ndim)
    return axis if ndim else None


def summand(input: Tensor, dtype: Any) -> Tensor:
    """``input`` in the dtype of its sum: as asked for, else int64 for integers and bools.

    NumPy's sums of short integers are int64; the result is to be cast to the dtype again.
    """
    if dtype is not None:
        return cast(input, dtypes.as_dtype(dtype).dtype)
    return cast(input, dtypes.int64.dtype) if dtypes.category(input._data.dtype) < 2 else input


def _reduction(name: str, doc: str, *, promote: str = "") -> Any:
    """The public function of a reduction: dim as PyTorch takes it, dtype converted first."""

    def reduce(
        input: Tensor,
        dim: Any = None,
        keepdim: bool = False,
        *,
        dtype: Any = None,
        axis: Any = NOT_GIVEN,
        keepdims: Any = NOT_GIVEN,
    ) -> Tensor:
        if axis is not NOT_GIVEN:
            dim = axis
        if keepdims is not NOT_GIVEN:
            keepdim = keepdims
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: argument 'input' must be a Tensor, got {type(input).__name__}")
        if promote == "int64":
            if dtype is not None or dtypes.category(input._data.dtype) < 2:
                input = summand(input, dtype)
        elif dtype is not None:
            input = cast(input, dtypes.as_dtype(dtype).dtype)
        if promote == "floating" and dtypes.category(input._data.dtype) < 2:
            raise RuntimeError(
                f"{name}: expected a floating-point tensor, got {input.dtype}; convert first, e.g. with .float()"
            )
        if dim is not None:
            dim = public_axis(name, dim, input._data.ndim)
        result = getattr(xp_of_tensors, name)(input, axis=dim, keepdims=bool(keepdim))
        return result if dtype is None else cast(result, input._data.dtype)

    reduce.__name__ = reduce.__qualname__ = name
    reduce.__doc__ = doc
    return reduce


# ---- sums -----------------------------------------------------------------------------------------------------------


@op(
    vjp={"x": lambda xp, g, x_shape, axis, keepdims: restore(xp, g, x_shape, axis, keepdims)},
    check=Reduction(reference=lambda x, axis=None, keepdims=False: np.sum(x, axis=axis, keepdims=keepdims)),
)
def sum(xp, x, *, axis=None, keepdims=False):
    """Sum over the given axes."""
    return xp.sum(x, axis=axis, keepdims=keepdims)


@op(
    vjp={"x": lambda xp, g, x_shape, axis, keepdims: restore(xp, g / count_of(x_shape, axis), x_shape, axis, keepdims)},
    check=Reduction(reference=lambda x, axis=None, keepdims=False: np.mean(x, axis=axis, keepdims=keepdims)),
)
def mean(xp, x, *, axis=None, keepdims=False):
    """Arithmetic mean over the given axes."""
    return xp.mean(x, axis=axis, keepdims=keepdims)


def has_zero(xp: Any, x: Any) -> bool:
    """Whether any element is 0; inside vmap, of any element of the batch."""
    try:
        return bool(xp.any(x == 0))
    except DataDependent:
        return True


def _prod_back(xp: Any, g: Any, x: Any, out: Any, axis: Any, keepdims: bool) -> Any:
    """``g * out / x``"""
    g = restore(xp, g, x.shape, axis, keepdims)
    if not has_zero(xp, x):
        return g * restore(xp, out, x.shape, axis, keepdims) / x
    return g * _others(xp, x, normal_axes(axis, x.ndim))


def _others(xp: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """For each element the product of all others along ``axes``, right with any number of zeros.

    It is the product of those before it times the product of those behind it.
    """
    rest = tuple([a for a in range(x.ndim) if a not in axes])
    order = (*rest, *axes)
    shape = tuple([x.shape[a] for a in order])
    n = math.prod(x.shape[a] for a in axes)
    rows = xp.reshape(xp.permute_dims(x, axes=order), shape=(*shape[: len(rest)], n))
    behind = xp.flip(products_before(xp, xp.flip(rows, axis=(len(rest),)), len(rest)), axis=(len(rest),))
    products = xp.reshape(products_before(xp, rows, len(rest)) * behind, shape=shape)
    return xp.permute_dims(products, axes=tuple(np.argsort(order).tolist()))


def products_before(xp: Any, x: Any, axis: int) -> Any:
    """The product of the elements before each one along ``axis``; 1 for the first."""
    lead = (slice(None),) * axis
    one = xp.ones_like(x[(*lead, slice(0, 1))])
    return xp.cumulative_prod(xp.concatenate(one, x[(*lead, slice(0, -1))], axis=axis), axis=axis)


def _prod_samples(rng: Any) -> Any:
    for kwargs in ({}, {"axis": 1}, {"axis": (0, 2), "keepdims": True}):
        yield Sample((normal(rng, 2, 3, 2, low=0.5, high=1.5),), kwargs)
    zeros = normal(rng, 2, 3, low=0.5, high=1.5)
    zeros[0, 1] = 0.0
    yield Sample((zeros,), {"axis": 1})
    zeros = zeros.copy()
    zeros[0, 2] = 0.0
    yield Sample((zeros,), {})


@op(
    vjp={"x": _prod_back},
    check=Samples(
        _prod_samples, reference=lambda x, axis=None, keepdims=False: np.prod(x, axis=axis, keepdims=keepdims)
    ),
)
def prod(xp, x, *, axis=None, keepdims=False):
    """Product over the given axes; its gradient is right where elements are zero too."""
    return xp.prod(x, axis=axis, keepdims=keepdims)


@op(vjp=None, check=Samples(lambda rng: [Sample((normal(rng, 2, 3),), {"n": 3})], reference=lambda x, n: np.eye(n)))
def identity_like(xp, x, *, n):
    """The n x n identity matrix with the dtype and device of ``x``."""
    return xp.asarray(xp.eye(n, dtype=x.dtype))


function("sum")(
    _reduction(
        "sum",
        """Sum of all elements, or over the dimensions ``dim``; integers and bools give int64.

    Example:
        >>> import chainrule as cr
        >>> cr.sum(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
        tensor([4., 6.])
    """,
        promote="int64",
    )
)
function("mean")(
    _reduction(
        "mean",
        """Mean of all elements, or over the dimensions ``dim``. Raises RuntimeError for integers.

    Example:
        >>> import chainrule as cr
        >>> cr.mean(cr.tensor([1.0, 3.0]))
        tensor(2.)
    """,
        promote="floating",
    )
)
function("prod")(
    _reduction(
        "prod",
        """Product of all elements, or over the dimension ``dim``; integers and bools give int64.

    Example:
        >>> import chainrule as cr
        >>> cr.prod(cr.tensor([2.0, 3.0]))
        tensor(6.)
    """,
        promote="int64",
    )
)


# ---- without NaN, and counts ----------------------------------------------------------------------------------------


def _numbers_only(input: Tensor) -> tuple[Tensor, Tensor]:
    """``input`` with 0 in the place of NaN, and where it has numbers."""
    missing = xp_of_tensors.isnan(input)
    return xp_of_tensors.where(missing, xp_of_tensors.zeros_like(input), input), xp_of_tensors.logical_not(missing)


@function("nansum")
def _nansum(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = NOT_GIVEN,
    keepdims: Any = NOT_GIVEN,
) -> Tensor:
    """Sum of all elements that are not NaN, or over the dimensions ``dim``; integers and bools give int64.

    Example:
        >>> import chainrule as cr
        >>> cr.nansum(cr.tensor([1.0, cr.nan, 3.0]))
        tensor(4.)
    """
    dim = dim if axis is NOT_GIVEN else axis
    keepdim = keepdim if keepdims is NOT_GIVEN else keepdims
    if dtypes.category(input._data.dtype) == 3:
        raise RuntimeError(f"nansum: expected real numbers, got {input.dtype}")
    if dtypes.category(input._data.dtype) == 2:
        input = _numbers_only(input)[0]
    input = summand(input, dtype)
    total = xp_of_tensors.sum(input, axis=public_axis("nansum", dim, input._data.ndim), keepdims=bool(keepdim))
    return cast(total, input._data.dtype)


@function("nanmean")
def _nanmean(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = NOT_GIVEN,
    keepdims: Any = NOT_GIVEN,
) -> Tensor:
    """Mean of all elements that are not NaN, or over the dimensions ``dim``; NaN where there are none.

    Example:
        >>> import chainrule as cr
        >>> cr.nanmean(cr.tensor([1.0, cr.nan, 3.0]))
        tensor(2.)
    """
    dim = dim if axis is NOT_GIVEN else axis
    keepdim = keepdim if keepdims is NOT_GIVEN else keepdims
    if dtypes.category(input._data.dtype) < 2:
        raise RuntimeError(
            f"nanmean: expected a floating-point tensor, got {input.dtype}; convert first, e.g. with .float()"
        )
    if dtype is not None:
        if dtypes.category(dtypes.as_dtype(dtype).dtype) < 2:
            raise RuntimeError(f"nanmean: dtype must be a floating-point dtype, got {dtype}")
        input = cast(input, dtypes.as_dtype(dtype).dtype)
    keep = {"axis": public_axis("nanmean", dim, input._data.ndim), "keepdims": bool(keepdim)}
    numbers, present = _numbers_only(input)
    if input._data.dtype.itemsize == 2:  # counts above 2048 are not exact in 2 bytes
        numbers = cast(numbers, np.dtype(np.float32))
    count = xp_of_tensors.sum(cast(present, numbers._data.dtype), **keep)
    return cast(xp_of_tensors.sum(numbers, **keep) / count, input._data.dtype)


@op(
    vjp=None,
    check=Samples(
        lambda rng: [
            Sample((rng.integers(0, 3, (2, 3, 4)).astype(float),), kwargs)
            for kwargs in ({}, {"axis": 1}, {"axis": (0, 2)})
        ],
        reference=lambda x, axis=None: np.count_nonzero(x, axis),
    ),
)
def count_nonzero(xp, x, *, axis=None):
    """How many elements over the given axes are not zero."""
    return xp.count_nonzero(x, axis=axis)


@function("count_nonzero")
def _count_nonzero(input: Tensor, dim: Any = None, *, axis: Any = NOT_GIVEN) -> Tensor:
    """How many elements are not zero: of all, or over the dimensions ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.count_nonzero(cr.tensor([[1, 0], [2, 3]]), dim=1)
        tensor([1, 2])
    """
    dim = dim if axis is NOT_GIVEN else axis
    return xp_of_tensors.count_nonzero(input, axis=public_axis("count_nonzero", dim, input._data.ndim))
