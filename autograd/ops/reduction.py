"""Sums, extremes, norms and cumulative operations."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.runtime import cast, to_floating
from chainrule.autograd.samples import Reduction, Sample, Samples, normal, special
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
        if dtype is not None:
            input = cast(input, dtypes.as_dtype(dtype).dtype)
        elif promote == "int64" and dtypes.category(input._data.dtype) < 2:
            input = cast(input, dtypes.int64.dtype)
        elif promote == "floating" and dtypes.category(input._data.dtype) < 2:
            raise RuntimeError(
                f"{name}: expected a floating-point tensor, got {input.dtype}; convert first, e.g. with .float()"
            )
        if dim is not None:
            dim = public_axis(name, dim, input._data.ndim)
        return getattr(xp_of_tensors, name)(input, axis=dim, keepdims=bool(keepdim))

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


def _prod_back(xp: Any, g: Any, x: Any, out: Any, axis: Any, keepdims: bool) -> Any:
    g = restore(xp, g, x.shape, axis, keepdims)
    if not bool(xp.any(x == 0)):
        return g * restore(xp, out, x.shape, axis, keepdims) / x
    return g * _others(xp, x, normal_axes(axis, x.ndim))


def _others(xp: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """For each element the product of all others along ``axes``, right with any number of zeros.

    An n x n table whose diagonal is 1, multiplied along its rows.
    """
    rest = tuple([a for a in range(x.ndim) if a not in axes])
    order = (*rest, *axes)
    shape = tuple([x.shape[a] for a in order])
    n = math.prod(x.shape[a] for a in axes)
    lead = shape[: len(rest)]
    rows = xp.reshape(xp.permute_dims(x, axes=order), shape=(*lead, 1, n))
    table = xp.broadcast_to(rows, shape=(*lead, n, n))
    one = xp.identity_like(x, n=n) != 0
    table = xp.where(one, xp.ones_like(table), table)
    products = xp.reshape(xp.prod(table, axis=-1, keepdims=False), shape=shape)
    return xp.permute_dims(products, axes=tuple(np.argsort(order).tolist()))


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


# ---- extremes -------------------------------------------------------------------------------------------------------


def _extreme_back(xp: Any, g: Any, x: Any, out: Any, axis: Any, keepdims: bool) -> Any:
    chosen = x == keep_dims(xp, out, x.shape, axis, keepdims)
    share = chosen * keep_dims(xp, g, x.shape, axis, keepdims)
    return share / xp.sum(xp.astype(chosen, dtype=g.dtype), axis=axis, keepdims=True) if x.ndim else share


@op(
    vjp={"x": _extreme_back},
    check=Reduction(reference=lambda x, axis=None, keepdims=False: np.max(x, axis=axis, keepdims=keepdims)),
)
def max(xp, x, *, axis=None, keepdims=False):
    """Maximum over the given axes; equal maxima share the gradient."""
    return xp.max(x, axis=axis, keepdims=keepdims)


@op(
    vjp={"x": _extreme_back},
    check=Reduction(reference=lambda x, axis=None, keepdims=False: np.min(x, axis=axis, keepdims=keepdims)),
)
def min(xp, x, *, axis=None, keepdims=False):
    """Minimum over the given axes; equal minima share the gradient."""
    return xp.min(x, axis=axis, keepdims=keepdims)


def _nonempty(caller: str, input: Tensor, axis: Any) -> None:
    if 0 in input._data.shape and count_of(input._data.shape, axis) == 0:
        raise RuntimeError(
            f"{caller}: there is no extreme of zero elements, got shape {tuple(input.shape)} and dim {axis}"
        )


def _extreme(name: str) -> None:
    reduce, pick = name, f"arg{name}"
    elementwise = f"{name}imum"

    def extreme(
        input: Tensor,
        dim: Any = None,
        keepdim: bool = False,
        *,
        other: Any = None,
        axis: Any = NOT_GIVEN,
        keepdims: Any = NOT_GIVEN,
    ) -> Any:
        dim = dim if axis is NOT_GIVEN else axis
        keepdim = keepdim if keepdims is NOT_GIVEN else keepdims
        if other is not None or isinstance(dim, Tensor):
            return getattr(xp_of_tensors, elementwise)(input, dim if other is None else other)
        if dim is None:
            _nonempty(name, input, None)
            return getattr(xp_of_tensors, reduce)(input, axis=None, keepdims=False)
        d = normal_axis(name, dim, input._data.ndim)
        _nonempty(name, input, d if input._data.ndim else None)
        if not input._data.ndim:
            return ValuesIndices(input.clone(), getattr(xp_of_tensors, pick)(input, axis=None, keepdims=False))
        indices = getattr(xp_of_tensors, pick)(input, axis=d, keepdims=True)
        values = xp_of_tensors.gather(input, indices, axis=d)
        if not keepdim:
            values, indices = values.squeeze(d), indices.squeeze(d)
        return ValuesIndices(values, indices)

    extreme.__name__ = name
    extreme.__doc__ = f"""The {name}imum of all elements; with ``dim``, values and indices along it; with a tensor, of
    two elements.

    Equal extremes share the gradient, except along a ``dim``, where the element at the index gets it.

    Example:
        >>> import chainrule as cr
        >>> cr.{name}(cr.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1).indices
        tensor({[1, 0] if name == "max" else [0, 1]})
    """
    function(name)(extreme)

    def amount(
        input: Tensor, dim: Any = (), keepdim: bool = False, *, axis: Any = NOT_GIVEN, keepdims: Any = NOT_GIVEN
    ) -> Tensor:
        ax = public_axis(f"a{name}", dim if axis is NOT_GIVEN else axis, input._data.ndim)
        _nonempty(f"a{name}", input, ax)
        return getattr(xp_of_tensors, reduce)(
            input, axis=ax, keepdims=bool(keepdim if keepdims is NOT_GIVEN else keepdims)
        )

    amount.__name__ = f"a{name}"
    amount.__doc__ = f"""The {name}imum over the dimensions ``dim`` (all by default); equal extremes share the gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.a{name}(cr.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=0)
        tensor({"[7., 5.]" if name == "max" else "[1., 2.]"})
    """
    function(f"a{name}")(amount)


_extreme("max")
_extreme("min")


def _arg_samples(rng: Any) -> Any:
    for kwargs in ({}, {"axis": 1}, {"axis": -1, "keepdims": True}):
        yield Sample((normal(rng, 2, 3, 4),), kwargs)


@op(
    vjp=None,
    check=Samples(
        _arg_samples, reference=lambda x, axis=None, keepdims=False: np.argmax(x, axis=axis, keepdims=keepdims)
    ),
)
def argmax(xp, x, *, axis=None, keepdims=False):
    """Index of the (first) maximum."""
    return xp.argmax(x, axis=axis, keepdims=keepdims)


@op(
    vjp=None,
    check=Samples(
        _arg_samples, reference=lambda x, axis=None, keepdims=False: np.argmin(x, axis=axis, keepdims=keepdims)
    ),
)
def argmin(xp, x, *, axis=None, keepdims=False):
    """Index of the (first) minimum."""
    return xp.argmin(x, axis=axis, keepdims=keepdims)


@op(vjp=None, check=Reduction(reference=lambda x, axis=None, keepdims=False: np.any(x, axis=axis, keepdims=keepdims)))
def any(xp, x, *, axis=None, keepdims=False):
    """Whether any element is true."""
    return xp.any(x, axis=axis, keepdims=keepdims)


@op(vjp=None, check=Reduction(reference=lambda x, axis=None, keepdims=False: np.all(x, axis=axis, keepdims=keepdims)))
def all(xp, x, *, axis=None, keepdims=False):
    """Whether all elements are true."""
    return xp.all(x, axis=axis, keepdims=keepdims)


for _name, _doc, _shown in (
    ("argmax", "Index of the first maximum: of the flattened tensor, or along ``dim``.", "tensor(1)"),
    ("argmin", "Index of the first minimum: of the flattened tensor, or along ``dim``.", "tensor(0)"),
    ("any", "Whether any element is true (not zero): of all, or along ``dim``.", "tensor(True)"),
    ("all", "Whether all elements are true (not zero): of all, or along ``dim``.", "tensor(True)"),
):
    function(_name)(
        _reduction(
            _name,
            f"""{_doc}

    Example:
        >>> import chainrule as cr
        >>> cr.{_name}(cr.tensor([1.0, 3.0, 2.0]))
        {_shown}
    """,
        )
    )


# ---- spread and norms -----------------------------------------------------------------------------------------------


def _variance_back(xp: Any, g: Any, x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    free = count_of(x.shape, axis) - correction
    centred = x - xp.mean(x, axis=axis, keepdims=True)
    return restore(xp, g * (2.0 / free if free > 0 else math.nan), x.shape, axis, keepdims) * centred


def _deviation_back(xp: Any, g: Any, x: Any, out: Any, axis: Any, correction: float, keepdims: bool) -> Any:
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
    free = count_of(x.shape, axis) - correction
    centred = x - xp.mean(x, axis=axis, keepdims=True)
    total = xp.sum(centred * centred, axis=axis, keepdims=keepdims)
    return total * (1.0 / free if free > 0 else math.nan)


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
    return xp.sqrt(xp.var(x, axis=axis, correction=correction, keepdims=keepdims))


def _spread(name: str, what: str, shown: str) -> None:
    def spread(
        input: Tensor,
        dim: Any = None,
        unbiased: Any = None,
        keepdim: bool = False,
        *,
        correction: float = 1,
        axis: Any = NOT_GIVEN,
        keepdims: Any = NOT_GIVEN,
    ) -> Tensor:
        if isinstance(dim, bool):  # var(unbiased)
            dim, unbiased = None, dim
        if unbiased is not None:
            correction = 1 if unbiased else 0
        dim = dim if axis is NOT_GIVEN else axis
        if dtypes.category(input._data.dtype) < 2:
            raise RuntimeError(
                f"{name}: expected a floating-point tensor, got {input.dtype}; convert first, e.g. with .float()"
            )
        return getattr(xp_of_tensors, name)(
            input,
            axis=public_axis(name, dim, input._data.ndim),
            correction=correction,
            keepdims=bool(keepdim if keepdims is NOT_GIVEN else keepdims),
        )

    spread.__name__ = name
    spread.__doc__ = f"""{what} of all elements, or over the dimensions ``dim``.

    Args:
        correction: degrees of freedom taken off the count (1: the unbiased estimate).

    Example:
        >>> import chainrule as cr
        >>> cr.{name}(cr.tensor([1.0, 3.0]), correction=0)
        {shown}
    """
    function(name)(spread)


_spread("var", "Variance", "tensor(1.)")
_spread("std", "Standard deviation", "tensor(1.)")


def _norm_back(xp: Any, g: Any, x: Any, out: Any, axis: Any, keepdims: bool) -> Any:
    zero = out == 0  # the subgradient of the norm at 0 is 0
    slope = xp.where(zero, xp.zeros_like(g), g / xp.where(zero, xp.ones_like(out), out))
    return x * keep_dims(xp, slope, x.shape, axis, keepdims)


@op(
    vjp={"x": _norm_back},
    check=Reduction(
        0.5, 2.0, reference=lambda x, axis=None, keepdims=False: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))
    ),
    label="norm",
)
def euclidean_norm(xp, x, *, axis=None, keepdims=False):
    """Square root of the sum of squares; its gradient at 0 is 0."""
    return xp.sqrt(xp.sum(x * x, axis=axis, keepdims=keepdims))


@function("norm")
def _norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    *,
    axis: Any = NOT_GIVEN,
    keepdims: Any = NOT_GIVEN,
) -> Tensor:
    """The p-norm of all elements as one vector, or over the dimensions ``dim``.

    Args:
        p: ``"fro"`` (the same as 2), a number, or ``inf`` / ``-inf``.

    Example:
        >>> import chainrule as cr
        >>> cr.norm(cr.tensor([3.0, 4.0]))
        tensor(5.)
    """
    if dtype is not None:
        input = cast(input, dtypes.as_dtype(dtype).dtype)
    if dtypes.category(input._data.dtype) < 2:
        raise RuntimeError(
            f"norm: expected a floating-point tensor, got {input.dtype}; convert first, e.g. with .float()"
        )
    ax = public_axis("norm", dim if axis is NOT_GIVEN else axis, input._data.ndim)
    keep = {"axis": ax, "keepdims": bool(keepdim if keepdims is NOT_GIVEN else keepdims)}
    xp = xp_of_tensors
    if p == "fro" or p == 2:
        return xp.euclidean_norm(input, **keep)
    if not isinstance(p, (int, float)):
        raise ValueError(f"norm: p must be a number, inf, -inf or 'fro', got {p!r}")
    size = xp.abs(input)
    if p == math.inf:
        return xp.max(size, **keep)
    if p == -math.inf:
        return xp.min(size, **keep)
    if p == 0:
        return xp.sum(xp.abs(xp.sign(size)), **keep)
    if p == 1:
        return xp.sum(size, **keep)
    if p < 1:  # the slope of |x|**p at 0 is infinite; the subgradient taken is 0
        size = xp.where(size == 0, xp.zeros_like(size), size)
    total = xp.sum(xp.power_by_number(size, exponent=p), **keep)
    zero = total == 0  # the subgradient of the norm at 0 is 0
    root = xp.power_by_number(xp.where(zero, xp.ones_like(total), total), exponent=1.0 / p)
    return xp.where(zero, xp.zeros_like(root), root)


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
    if 0 in x.shape and count_of(x.shape, axis) == 0:
        return xp.sum(x, axis=axis, keepdims=keepdims) - math.inf
    top = _finite(xp, xp.max(x, axis=axis, keepdims=True)) if x.ndim else _finite(xp, x)
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


# ---- cumulative, sorted ---------------------------------------------------------------------------------------------


@op(
    vjp={
        "x": lambda xp, g, axis: xp.flip(xp.cumulative_sum(xp.flip(g, axis=(axis,)), axis=axis), axis=(axis,)),
    },
    check=Samples(
        lambda rng: [Sample((normal(rng, 2, 3),), {"axis": a}) for a in (0, 1)],
        reference=lambda x, axis: np.cumsum(x, axis),
    ),
    label="cumsum",
)
def cumulative_sum(xp, x, *, axis):
    """Running sum along one axis."""
    return xp.cumulative_sum(x, axis=axis)


@function("cumsum")
def _cumsum(input: Tensor, dim: Any = NOT_GIVEN, *, dtype: Any = None, axis: Any = NOT_GIVEN) -> Tensor:
    """Running sum along ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.cumsum(cr.tensor([1.0, 2.0, 3.0]), 0)
        tensor([1., 3., 6.])
    """
    dim = dim if axis is NOT_GIVEN else axis
    if dim is NOT_GIVEN:
        raise TypeError("cumsum: missing argument 'dim'")
    d = normal_axis("cumsum", dim, input._data.ndim)
    if dtype is not None:
        input = cast(input, dtypes.as_dtype(dtype).dtype)
    elif dtypes.category(input._data.dtype) < 2:
        input = cast(input, dtypes.int64.dtype)
    if not input._data.ndim:
        return xp_of_tensors.clone(input)
    return xp_of_tensors.cumulative_sum(input, axis=d)


@op(
    vjp=None,
    check=Samples(
        lambda rng: [Sample((normal(rng, 2, 3),), {"axis": a, "descending": b}) for a in (0, 1) for b in (False, True)],
        reference=lambda x, axis, descending: np.argsort(-x if descending else x, axis=axis, kind="stable"),
    ),
)
def argsort(xp, x, *, axis=-1, descending=False):
    """Indices that sort along one axis; equal elements keep their order."""
    return xp.argsort(x, axis=axis, descending=descending)


@function("argsort")
def _argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """Indices that sort along ``dim``; equal elements keep their order.

    Example:
        >>> import chainrule as cr
        >>> cr.argsort(cr.tensor([3.0, 1.0, 2.0]))
        tensor([1, 2, 0])
    """
    return _sort(input, dim, descending).indices


@function("sort")
def _sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """Values and indices sorted along ``dim``; equal elements keep their order.

    Example:
        >>> import chainrule as cr
        >>> cr.sort(cr.tensor([3.0, 1.0, 2.0])).values
        tensor([1., 2., 3.])
    """
    d = normal_axis("sort", dim, input._data.ndim)
    if not input._data.ndim:
        return ValuesIndices(xp_of_tensors.clone(input), xp_of_tensors.argmax(input))
    indices = xp_of_tensors.argsort(input, axis=d, descending=bool(descending))
    return ValuesIndices(xp_of_tensors.gather(input, indices, axis=d), indices)


@function("topk")
def _topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The k largest (or smallest) values along ``dim``, and their indices, in order.

    Raises RuntimeError when k exceeds the length of the dimension.

    Example:
        >>> import chainrule as cr
        >>> cr.topk(cr.tensor([3.0, 1.0, 2.0]), 2).values
        tensor([3., 2.])
    """
    d = normal_axis("topk", dim, input._data.ndim)
    length = input._data.shape[d] if input._data.ndim else 1
    if not 0 <= k <= length:
        raise RuntimeError(f"topk: k must be in [0, {length}], the length of dimension {dim}, got {k}")
    if not input._data.ndim:
        return ValuesIndices(xp_of_tensors.clone(input), xp_of_tensors.argmax(input))
    order = xp_of_tensors.argsort(input, axis=d, descending=bool(largest))
    indices = xp_of_tensors.clone(order[(slice(None),) * d + (slice(0, k),)])
    return ValuesIndices(xp_of_tensors.gather(input, indices, axis=d), indices)


__all__ = ["ValuesIndices", "to_floating"]
