"""Shape and order: views of the same elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.methods import TensorMethods
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import NOT_GIVEN, function, method_only
from chainrule.autograd.runtime import unbroadcast
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


def normal_axis(caller: str, axis: Any, ndim: int, name: str = "dim") -> int:
    """``axis`` as a number from 0; raises IndexError outside of [-ndim, ndim)."""
    try:
        axis = axis.__index__()
    except AttributeError:
        raise TypeError(f"{caller}: {name} must be an int, got {type(axis).__name__}") from None
    bound = max(ndim, 1)
    if not -bound <= axis < bound:
        raise IndexError(f"{caller}: {name} must be in [{-bound}, {bound - 1}] for a {ndim}-d tensor, got {axis}")
    return int(axis) % bound


def integers(caller: str, values: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given as ``f(2, 3)`` or ``f((2, 3))``."""
    if len(values) == 1:
        only = values[0]
        if isinstance(only, (Tensor, np.ndarray)) and only.ndim:
            values = tuple(only.tolist())
        elif isinstance(only, Sequence) and not isinstance(only, str):
            values = tuple(only)
    try:
        return tuple([int(v.__index__()) for v in values])
    except AttributeError:
        raise TypeError(f"{caller}: expected ints, got {values!r:.80}") from None


def sizes_given(caller: str, values: tuple[Any, ...], keyword: str, named: dict[str, Any]) -> tuple[int, ...]:
    """Sizes given as ``f(2, 3)``, as ``f((2, 3))``, or by PyTorch's keyword for them."""
    if named:
        if values or set(named) != {keyword}:
            unknown = next((k for k in named if k != keyword), keyword)
            raise TypeError(f"{caller}: unexpected keyword argument {unknown!r}")
        values = (named[keyword],)
    return integers(caller, values)


# ---- reshape --------------------------------------------------------------------------------------------------------


@op(
    vjp={"x": lambda xp, g, x_shape: xp.reshape(g, shape=x_shape)},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 2, 3),), {"shape": (3, 2)}),
            Sample((normal(rng, 2, 3),), {"shape": (6,)}),
            Sample((normal(rng),), {"shape": (1, 1)}),
            Sample((normal(rng, 0, 3),), {"shape": (3, 0)}),
        ],
        reference=lambda x, shape: np.reshape(x, shape),
    ),
    view="maybe",
)
def reshape(xp, x, *, shape):
    """The elements in another shape: a view where the memory order allows it."""
    return xp.reshape(x, shape)


def resolve_shape(caller: str, shape: tuple[int, ...], count: int, old: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with its -1 filled in; raises RuntimeError when it does not fit."""
    unknown = [i for i, n in enumerate(shape) if n == -1]
    known = math.prod(n for n in shape if n != -1)
    if len(unknown) > 1 or any(n < -1 for n in shape):
        raise RuntimeError(f"{caller}: only one dimension can be -1 and none less, got {shape}")
    if unknown:
        if known == 0 or count % known:
            raise RuntimeError(f"{caller}: shape {shape} is invalid for a tensor of shape {old} ({count} elements)")
        return tuple([count // known if n == -1 else n for n in shape])
    if known != count:
        raise RuntimeError(f"{caller}: shape {shape} is invalid for a tensor of shape {old} ({count} elements)")
    return shape


@function("reshape")
def _reshape(input: Tensor, *shape: Any, **named: Any) -> Tensor:
    """The elements in another shape, in which one dimension may be -1; a view where the memory order allows it.

    Raises RuntimeError when the number of elements differs.

    Example:
        >>> import chainrule as cr
        >>> cr.reshape(cr.arange(6), (2, -1))
        tensor([[0, 1, 2],
                [3, 4, 5]])
    """
    old = input._data.shape
    sizes = sizes_given("reshape", shape, "shape", named)
    return xp_of_tensors.reshape(input, shape=resolve_shape("reshape", sizes, input._data.size, old))


@method_only("view")
def _view(input: Tensor, *shape: Any, **named: Any) -> Tensor:
    """The same memory in another shape, in which one dimension may be -1, or, given a dtype, as such elements.

    Raises RuntimeError when the number of elements differs, or when the memory order needs a copy.
    """
    if (len(shape) == 1 and isinstance(shape[0], (dtypes.dtype, np.dtype, type))) or "dtype" in named:
        from chainrule.autograd.ops.slicing import view_as_dtype

        return view_as_dtype(input, named["dtype"] if named else shape[0])
    old = input._data.shape
    sizes = sizes_given("view", shape, "size", named)
    result = xp_of_tensors.reshape(input, shape=resolve_shape("view", sizes, input._data.size, old))
    if result._view is None and result._data.size:
        raise RuntimeError(
            f"view: shape {tuple(result.shape)} needs a copy, because this tensor of shape {old} is not contiguous; "
            f"use reshape(), or contiguous().view()"
        )
    return result


@method_only("reshape_as")
def _reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """The elements in the shape of ``other``."""
    return _reshape(input, tuple(other._data.shape))


@method_only("view_as")
def _view_as(input: Tensor, other: Tensor) -> Tensor:
    """The same memory in the shape of ``other``."""
    return _view(input, tuple(other._data.shape))


@function("flatten")
def _flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions ``start_dim`` to ``end_dim`` (included) as one.

    Example:
        >>> import chainrule as cr
        >>> cr.flatten(cr.zeros(2, 3, 4), 1).shape
        (2, 12)
    """
    shape = input._data.shape
    if not shape:
        return xp_of_tensors.reshape(input, shape=(1,))
    start, end = normal_axis("flatten", start_dim, len(shape)), normal_axis("flatten", end_dim, len(shape))
    if start > end:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    if start == end:
        return input
    joined = (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
    return xp_of_tensors.reshape(input, shape=joined)


@function("ravel")
def _ravel(input: Tensor) -> Tensor:
    """All elements in one dimension.

    Example:
        >>> import chainrule as cr
        >>> cr.ravel(cr.zeros(2, 3)).shape
        (6,)
    """
    return xp_of_tensors.reshape(input, shape=(input._data.size,))


@function("unflatten")
def _unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """Dimension ``dim`` as several of the given sizes, of which one may be -1.

    Example:
        >>> import chainrule as cr
        >>> cr.unflatten(cr.zeros(6, 2), 0, (2, -1)).shape
        (2, 3, 2)
    """
    shape = input._data.shape
    d = normal_axis("unflatten", dim, len(shape))
    inner = resolve_shape("unflatten", integers("unflatten", (sizes,)), shape[d], (shape[d],))
    return xp_of_tensors.reshape(input, shape=(*shape[:d], *inner, *shape[d + 1 :]))


@function("squeeze", inplace="view")
def _squeeze(input: Tensor, dim: Any = None, *, axis: Any = NOT_GIVEN) -> Tensor:
    """Without its dimensions of length 1: all of them, or those named by ``dim`` that have it.

    Example:
        >>> import chainrule as cr
        >>> cr.squeeze(cr.zeros(1, 3, 1)).shape
        (3,)
    """
    dim = dim if axis is NOT_GIVEN else axis
    shape = input._data.shape
    if dim is None:
        kept = tuple([n for n in shape if n != 1])
    else:
        dims = [normal_axis("squeeze", d, len(shape)) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))]
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"squeeze: a dimension appears twice in dim {dim}")
        kept = tuple([n for i, n in enumerate(shape) if n != 1 or i not in dims])
    return xp_of_tensors.reshape(input, shape=kept)


@function("unsqueeze", inplace="view")
def _unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new dimension of length 1 at ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.unsqueeze(cr.zeros(3), 1).shape
        (3, 1)
    """
    shape = input._data.shape
    d = normal_axis("unsqueeze", dim, len(shape) + 1)
    return xp_of_tensors.reshape(input, shape=(*shape[:d], 1, *shape[d:]))


# ---- order ----------------------------------------------------------------------------------------------------------


@op(
    vjp={"x": lambda xp, g, axes: xp.permute_dims(g, axes=tuple(np.argsort(axes).tolist()))},
    check=Samples(
        lambda rng: [Sample((normal(rng, 2, 3, 4),), {"axes": axes}) for axes in [(0, 1, 2), (2, 0, 1), (1, 0, 2)]],
        reference=lambda x, axes: np.transpose(x, axes),
    ),
    view=True,
    label="permute",
)
def permute_dims(xp, x, *, axes):
    """The dimensions in another order."""
    return xp.permute_dims(x, axes)


@function("permute")
def _permute(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """The dimensions in the order given; a view.

    Example:
        >>> import chainrule as cr
        >>> cr.permute(cr.zeros(2, 3, 4), (2, 0, 1)).shape
        (4, 2, 3)
    """
    ndim = input._data.ndim
    given = sizes_given("permute", dims, "dims", named)
    axes = tuple([normal_axis("permute", d, ndim) for d in given])
    if sorted(axes) != list(range(ndim)):
        raise RuntimeError(f"permute: expected each of the {ndim} dimensions once, got {given}")
    return xp_of_tensors.permute_dims(input, axes=axes)


@function("transpose swapaxes swapdims", inplace="view")
def _transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Dimensions ``dim0`` and ``dim1`` exchanged; a view.

    Example:
        >>> import chainrule as cr
        >>> cr.transpose(cr.zeros(2, 3), 0, 1).shape
        (3, 2)
    """
    axes = list(range(input._data.ndim))
    if not axes:
        return xp_of_tensors.permute_dims(input, axes=())
    a, b = normal_axis("transpose", dim0, len(axes)), normal_axis("transpose", dim1, len(axes))
    axes[a], axes[b] = axes[b], axes[a]
    return xp_of_tensors.permute_dims(input, axes=tuple(axes))


@function("t", inplace="view")
def _t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a vector or 0-d tensor as it is. Raises RuntimeError for more dimensions.

    Example:
        >>> import chainrule as cr
        >>> cr.t(cr.tensor([[1, 2], [3, 4]]))
        tensor([[1, 3],
                [2, 4]])
    """
    if input._data.ndim > 2:
        raise RuntimeError(f"t: expected at most 2 dimensions, got shape {tuple(input.shape)}; use .mT or transpose()")
    return input if input._data.ndim < 2 else _transpose(input, 0, 1)


def _reverse_dims(input: Tensor) -> Tensor:
    """The dimensions in reverse order."""
    return xp_of_tensors.permute_dims(input, axes=tuple(reversed(range(input._data.ndim))))


def _matrix_transpose(input: Tensor) -> Tensor:
    """The last two dimensions exchanged."""
    if input._data.ndim < 2:
        raise RuntimeError(f"mT: expected at least 2 dimensions, got shape {tuple(input.shape)}")
    return _transpose(input, -1, -2)


TensorMethods.T = property(_reverse_dims)  # type: ignore[assignment, method-assign]
TensorMethods.mT = property(_matrix_transpose)  # type: ignore[assignment, method-assign]


def matrix_transpose(xp: Any, x: Any) -> Any:
    """The last two dimensions exchanged, for arrays and Tensors."""
    n = x.ndim
    return xp.permute_dims(x, axes=(*range(n - 2), n - 1, n - 2))


@op(
    vjp={"x": lambda xp, g, axis: xp.flip(g, axis=axis)},
    check=Samples(
        lambda rng: [Sample((normal(rng, 2, 3),), {"axis": axis}) for axis in [(0,), (1,), (0, 1)]],
        reference=lambda x, axis: np.flip(x, axis),
    ),
    arithmetic=False,
)
def flip(xp, x, *, axis):
    """The elements in reverse order along the given dimensions; a copy."""
    index = tuple([slice(None, None, -1) if i in axis else slice(None) for i in range(x.ndim)])
    return xp.copy(x[index])


@function("flip")
def _flip(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """The elements in reverse order along the given dimensions; a copy.

    Example:
        >>> import chainrule as cr
        >>> cr.flip(cr.arange(3), (0,))
        tensor([2, 1, 0])
    """
    given = sizes_given("flip", dims, "dims", named)
    axes = tuple([normal_axis("flip", d, input._data.ndim, "dims") for d in given])
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"flip: a dimension appears twice in dims {given}")
    return xp_of_tensors.flip(input, axis=axes if input._data.ndim else ())


@op(
    vjp={"x": lambda xp, g, x_shape: unbroadcast(xp, g, x_shape)},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 3),), {"shape": (2, 3)}),
            Sample((normal(rng, 2, 1),), {"shape": (2, 4)}),
            Sample((normal(rng),), {"shape": (2, 2)}),
        ],
        reference=lambda x, shape: np.broadcast_to(x, shape),
    ),
    view=True,
    label="expand",
)
def broadcast_to(xp, x, *, shape):
    """The tensor repeated to a larger shape without a copy."""
    return xp.broadcast_to(x, shape)


@op(
    vjp={"x": lambda xp, g, x_shape: unbroadcast(xp, g, x_shape)},
    check=Samples(
        lambda rng: [Sample((normal(rng, 3),), {"shape": (2, 3)}), Sample((normal(rng),), {"shape": (2, 2)})],
        reference=lambda x, shape: np.array(np.broadcast_to(x, shape)),
    ),
    arithmetic=False,
    label="expand",
)
def spread(xp, x, *, shape):
    """The tensor repeated to a larger shape, with its own memory; for small results quicker than a view."""
    return xp.copy(xp.broadcast_to(x, shape))


@function("expand broadcast_to")
def _expand(input: Tensor, *shape: Any, implicit: bool = False, **named: Any) -> Tensor:
    """Dimensions of length 1 repeated to the given shape, without a copy; -1 keeps a length.

    Raises RuntimeError when a dimension has another length than 1 and than the one asked for.

    Example:
        >>> import chainrule as cr
        >>> cr.zeros(2, 1).expand(-1, 3).shape
        (2, 3)
    """
    sizes, old = sizes_given("expand", shape, "size", named), input._data.shape
    new = len(sizes) - len(old)
    if new < 0 or any(n < 0 for n in sizes[:new]) or any(n < -1 for n in sizes):
        raise RuntimeError(f"expand: sizes {sizes} do not fit a tensor of shape {old}")
    full = tuple([old[i - new] if n == -1 else n for i, n in enumerate(sizes)])
    if any(n != m and m != 1 for n, m in zip(full[new:], old, strict=True)):
        raise RuntimeError(f"expand: shape {old} cannot be expanded to {full}; only dimensions of length 1 can")
    return xp_of_tensors.broadcast_to(input, shape=full)


@method_only("expand_as")
def _expand_as(input: Tensor, other: Tensor) -> Tensor:
    """Expanded to the shape of ``other``."""
    return _expand(input, tuple(other._data.shape))


@method_only("contiguous")
def _contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if ``view`` can give it any shape, else a copy that allows it.

    A memory format changes nothing: the memory order of results is ours to choose.
    """
    return input if input.is_contiguous() else xp_of_tensors.clone(input)
