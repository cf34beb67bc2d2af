"""Maxima and minima, their positions, any and all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.reduction import (
    ValuesIndices,
    count_of,
    keep_dims,
    public_axis,
)
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.runtime import cast
from chainrule.autograd.samples import Reduction, Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


def _extreme_back(xp: Any, g: Any, x: Any, out: Any, axis: Any, keepdims: bool) -> Any:
    """``g * (x == out) / count(x == out)``"""
    chosen = x == keep_dims(xp, out, x.shape, axis, keepdims)
    if axis is None:  # an extreme of all elements that is NaN comes from each NaN
        chosen = chosen | ((x != x) & (out != out))
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
        kind = RuntimeError if axis is None and not caller.startswith("arg") else IndexError
        raise kind(f"{caller}: there is no extreme of zero elements, got shape {tuple(input.shape)} and dim {axis}")


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


class MinMax(NamedTuple):
    """What ``aminmax`` gives."""

    min: Tensor
    max: Tensor


@function("aminmax")
def _aminmax(
    input: Tensor, *, dim: Any = None, keepdim: bool = False, axis: Any = NOT_GIVEN, keepdims: Any = NOT_GIVEN
) -> MinMax:
    """Minimum and maximum of all elements, or along ``dim``; equal extremes share the gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.aminmax(cr.tensor([3.0, 1.0, 2.0]))
        MinMax(min=tensor(1.), max=tensor(3.))
    """
    dim = dim if axis is NOT_GIVEN else axis
    keep = bool(keepdim if keepdims is NOT_GIVEN else keepdims)
    ax = None if dim is None else normal_axis("aminmax", dim, input._data.ndim)
    if not input._data.ndim:
        ax = None
    _nonempty("aminmax", input, ax)
    return MinMax(
        xp_of_tensors.min(input, axis=ax, keepdims=keep),
        xp_of_tensors.max(input, axis=ax, keepdims=keep),
    )


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


def _position(name: str, shown: str) -> None:
    def position(
        input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = NOT_GIVEN, keepdims: Any = NOT_GIVEN
    ) -> Tensor:
        dim = dim if axis is NOT_GIVEN else axis
        if input._data.dtype.kind == "b":
            raise RuntimeError(f"{name}: expected numbers, got a bool tensor; convert first, e.g. with .int()")
        ax = None if dim is None else normal_axis(name, dim, input._data.ndim)
        if not input._data.ndim:
            ax = None
        _nonempty(name, input, ax)
        keep = bool(keepdim if keepdims is NOT_GIVEN else keepdims)
        return getattr(xp_of_tensors, name)(input, axis=ax, keepdims=keep)

    position.__name__ = name
    position.__doc__ = f"""Index of the first {name[3:]}imum: of the flattened tensor, or along ``dim``.

    Raises RuntimeError when there is no element, or the elements are bools.

    Example:
        >>> import chainrule as cr
        >>> cr.{name}(cr.tensor([1.0, 3.0, 2.0]))
        {shown}
    """
    function(name)(position)


_position("argmax", "tensor(1)")
_position("argmin", "tensor(0)")


def _truth(name: str, doc: str) -> None:
    def truth(
        input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = NOT_GIVEN, keepdims: Any = NOT_GIVEN
    ) -> Tensor:
        dim = dim if axis is NOT_GIVEN else axis
        if isinstance(dim, (tuple, list)) and not dim:  # PyTorch reduces no dimension here, where sum reduces all
            found = xp_of_tensors.not_equal(input, 0)
            return cast(found, input._data.dtype) if input._data.dtype == np.uint8 else found
        ax = public_axis(name, dim, input._data.ndim)
        found = getattr(xp_of_tensors, name)(
            input, axis=ax, keepdims=bool(keepdim if keepdims is NOT_GIVEN else keepdims)
        )
        return cast(found, input._data.dtype) if input._data.dtype == np.uint8 else found

    truth.__name__ = name
    truth.__doc__ = f"""{doc} true (not zero): of all, or over the dimensions ``dim``; of uint8 as uint8.

    Example:
        >>> import chainrule as cr
        >>> cr.{name}(cr.tensor([1.0, 3.0, 2.0]))
        tensor(True)
    """
    function(name)(truth)


_truth("any", "Whether any element is")
_truth("all", "Whether all elements are")
