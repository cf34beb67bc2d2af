"""Orders of dimensions and elements: moved, rolled, turned and mirrored."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.methods import TensorMethods
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.shape import _transpose, integers, normal_axis
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


def _axes(caller: str, dims: Any, ndim: int, name: str) -> list[int]:
    axes = [normal_axis(caller, d, ndim, name) for d in (dims if isinstance(dims, (tuple, list)) else (dims,))]
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"{caller}: a dimension appears twice in {name} {dims}")
    return axes


@function("movedim moveaxis")
def _movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions moved from the positions ``source`` to ``destination`` (ints or tuples); a view.

    Example:
        >>> import chainrule as cr
        >>> cr.movedim(cr.zeros(2, 3, 4), 0, -1).shape
        (3, 4, 2)
    """
    ndim = input._data.ndim
    start, end = _axes("movedim", source, ndim, "source"), _axes("movedim", destination, ndim, "destination")
    if len(start) != len(end):
        raise RuntimeError(f"movedim: source {source} and destination {destination} must be equally many")
    if not ndim:
        return xp_of_tensors.permute_dims(input, axes=())
    order = [d for d in range(ndim) if d not in start]
    for to, origin in sorted(zip(end, start, strict=True)):
        order.insert(to, origin)
    return xp_of_tensors.permute_dims(input, axes=tuple(order))


@op(
    vjp={"x": lambda xp, g, shifts, axis: xp.rolled(g, shifts=tuple([-s for s in shifts]), axis=axis)},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 3, 4),), {"shifts": (1,), "axis": (0,)}),
            Sample((normal(rng, 3, 4),), {"shifts": (-1, 6), "axis": (0, 1)}),
            Sample((normal(rng, 0, 2),), {"shifts": (1,), "axis": (0,)}),
        ],
        reference=lambda x, shifts, axis: np.roll(x, shifts, axis),
    ),
    arithmetic=False,
    label="roll",
)
def rolled(xp, x, *, shifts, axis):
    """The elements moved along dimensions, those that leave at one end coming in at the other."""
    return xp.roll(x, shifts, axis=axis)


@function("roll")
def _roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """The elements moved by ``shifts`` along ``dims``, those that leave at one end coming in at the other; a copy.

    Without ``dims`` the tensor is rolled as one row of elements.

    Example:
        >>> import chainrule as cr
        >>> cr.roll(cr.arange(4), 1)
        tensor([3, 0, 1, 2])
    """
    amounts = integers("roll", (shifts,))
    given = () if dims is None else integers("roll", (dims,))
    if not given:
        if len(amounts) != 1:
            raise RuntimeError(f"roll: without dims there must be one shift, got {amounts}")
        flat = xp_of_tensors.reshape(input, shape=(input._data.size,))
        return xp_of_tensors.reshape(
            xp_of_tensors.rolled(flat, shifts=amounts, axis=(0,)), shape=tuple(input._data.shape)
        )
    if len(given) != len(amounts):
        raise RuntimeError(f"roll: shifts {amounts} and dims {given} must be equally many")
    if not input._data.ndim:
        return xp_of_tensors.clone(input)
    axes = tuple([normal_axis("roll", d, input._data.ndim, "dims") for d in given])
    return xp_of_tensors.rolled(input, shifts=amounts, axis=axes)


@function("rot90")
def _rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """Turned ``k`` times by 90 degrees in the plane of two dimensions, from the first towards the second; a copy.

    Example:
        >>> import chainrule as cr
        >>> cr.rot90(cr.tensor([[1, 2], [3, 4]]))
        tensor([[2, 4],
                [1, 3]])
    """
    plane = integers("rot90", (dims,))
    if len(plane) != 2 or input._data.ndim < 2:
        raise RuntimeError(f"rot90: expected two dims of a tensor with at least 2, got {plane} of {input._data.ndim}")
    a, b = _axes("rot90", plane, input._data.ndim, "dims")
    turns = k % 4
    if turns == 0:
        return xp_of_tensors.clone(input)
    if turns == 2:
        return xp_of_tensors.flip(input, axis=(a, b))
    mirrored = xp_of_tensors.flip(input, axis=(b if turns == 1 else a,))
    return xp_of_tensors.clone(_transpose(mirrored, a, b))


@function("fliplr")
def _fliplr(input: Tensor) -> Tensor:
    """Columns in reverse order: flipped along dimension 1; a copy.

    Example:
        >>> import chainrule as cr
        >>> cr.fliplr(cr.tensor([[1, 2], [3, 4]]))
        tensor([[2, 1],
                [4, 3]])
    """
    if input._data.ndim < 2:
        raise RuntimeError(f"fliplr: expected at least 2 dimensions, got shape {tuple(input.shape)}")
    return xp_of_tensors.flip(input, axis=(1,))


@function("flipud")
def _flipud(input: Tensor) -> Tensor:
    """Rows in reverse order: flipped along dimension 0; a copy.

    Example:
        >>> import chainrule as cr
        >>> cr.flipud(cr.tensor([1, 2, 3]))
        tensor([3, 2, 1])
    """
    if not input._data.ndim:
        raise RuntimeError("flipud: expected at least 1 dimension, got a 0-d tensor")
    return xp_of_tensors.flip(input, axis=(0,))


def _conjugate(t: Tensor) -> Tensor:
    """The complex conjugate; a real tensor as it is."""
    return t.conj() if t.is_complex() else t


@function("adjoint")
def _adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged, and complex numbers conjugated.

    Example:
        >>> import chainrule as cr
        >>> cr.adjoint(cr.tensor([[1.0, 2.0]])).shape
        (2, 1)
    """
    if input._data.ndim < 2:
        raise RuntimeError(f"adjoint: expected at least 2 dimensions, got shape {tuple(input.shape)}")
    return _conjugate(_transpose(input, -2, -1))


def _hermitian(input: Tensor) -> Tensor:
    """The conjugate transpose of a matrix; a 0-d tensor as it is."""
    if input._data.ndim not in (0, 2):
        raise RuntimeError(f"H: expected a matrix, got shape {tuple(input.shape)}; use .mH for batches of matrices")
    return _conjugate(_transpose(input, 0, 1)) if input._data.ndim else _conjugate(input)


for _name, _property in {"H": _hermitian, "mH": _adjoint}.items():
    setattr(TensorMethods, _name, property(_property))


# ---- at least so many dimensions ------------------------------------------------------------------------------------


def _at_least(name: str, ndim: int, widen: Any, example: str) -> None:
    def at_least(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
            return tuple([one(t) for t in tensors[0]])
        return one(tensors[0]) if len(tensors) == 1 else tuple([one(t) for t in tensors])

    def one(t: Any) -> Tensor:
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: expected Tensors, got {describe(t)}")
        return t if t._data.ndim >= ndim else xp_of_tensors.reshape(t, shape=widen(t._data.shape))

    at_least.__name__ = name
    at_least.__doc__ = f"""Each tensor with {ndim} or more dimensions, new ones having length 1.

    Example:
        >>> import chainrule as cr
        >>> {example}
    """
    function(name, method=False)(at_least)


_at_least("atleast_1d", 1, lambda s: (1,), "cr.atleast_1d(cr.tensor(5))\n        tensor([5])")
_at_least("atleast_2d", 2, lambda s: (1, *s) if s else (1, 1), "cr.atleast_2d(cr.arange(2))\n        tensor([[0, 1]])")
_at_least(
    "atleast_3d",
    3,
    lambda s: (1, 1, 1) if not s else (1, *s, 1) if len(s) == 1 else (*s, 1),
    "cr.atleast_3d(cr.arange(2)).shape\n        (1, 2, 1)",
)
