"""Joining tensors, splitting them, and writing into views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.runtime import describe, replay
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


def _split_back(xp: Any, g: Any, tensors_shape: Any, axis: int) -> list[Any]:
    """``split(g)``"""
    pieces, start = [], 0
    for shape in tensors_shape:
        index = (slice(None),) * axis + (slice(start, start + shape[axis]),)
        pieces.append(g[index])
        start += shape[axis]
    return pieces


def _listed(caller: str, tensors: Any) -> list[Any]:
    """The members of a list or tuple of tensors."""
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(f"{caller}: argument 'tensors' must be a list or tuple of Tensors, got {describe(tensors)}")
    if not tensors:
        raise ValueError(f"{caller}: expected at least one tensor, got an empty list")
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"{caller}: tensors[{i}] must be a Tensor, got {describe(t)}")
    return list(tensors)


@op(
    vjp={"tensors": _split_back},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 2, 3), normal(rng, 1, 3)), {"axis": 0}),
            Sample((normal(rng, 2, 3), normal(rng, 2, 1), normal(rng, 2, 2)), {"axis": 1}),
        ],
        reference=lambda *xs, axis: np.concatenate(xs, axis),
    ),
    arithmetic=False,
    label="cat",
)
def concatenate(xp, *tensors, axis):
    """Tensors joined along an existing dimension."""
    return xp.concat(tensors, axis=axis)


@function("cat concat concatenate", method=False)
def _cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: Any = NOT_GIVEN) -> Tensor:
    """Tensors joined along an existing dimension; all other dimensions must agree.

    Example:
        >>> import chainrule as cr
        >>> cr.cat([cr.zeros(2), cr.ones(1)])
        tensor([0., 0., 1.])
    """
    dim = dim if axis is NOT_GIVEN else axis
    given = _listed("cat", tensors)
    # PyTorch skips empty 1-d tensors whatever the other shapes are
    kept = [t for t in given if t._data.shape != (0,)] or given
    first = kept[0]
    d = normal_axis("cat", dim, first._data.ndim)
    for i, t in enumerate(given):
        if t._data.shape == (0,):
            continue
        a, b = t._data.shape, first._data.shape
        if len(a) != len(b) or a[:d] != b[:d] or a[d + 1 :] != b[d + 1 :]:
            raise RuntimeError(f"cat: tensors[{i}] of shape {a} does not fit {b} along dimension {dim}")
    return xp_of_tensors.concatenate(*common_dtype(kept), axis=d)


def common_dtype(tensors: list[Tensor]) -> list[Tensor]:
    """The tensors in their common dtype."""
    from chainrule.autograd.runtime import cast, result_dtype

    to = result_dtype(list(tensors))
    return [cast(t, to) for t in tensors]


@op(
    vjp={
        "tensors": lambda xp, g, tensors_shape, axis: [
            g[(slice(None),) * axis + (i,)] for i in range(len(tensors_shape))
        ]
    },
    check=Samples(
        lambda rng: [Sample((normal(rng, 2, 3), normal(rng, 2, 3)), {"axis": a}) for a in (0, 1, 2)],
        reference=lambda *xs, axis: np.stack(xs, axis),
    ),
    arithmetic=False,
    label="stack",
)
def stack_tensors(xp, *tensors, axis):
    """Tensors of one shape joined along a new dimension."""
    return xp.stack(tensors, axis=axis)


@function("stack", method=False)
def _stack(tensors: Sequence[Tensor], dim: int = 0, *, axis: Any = NOT_GIVEN) -> Tensor:
    """Tensors of one shape joined along a new dimension.

    Example:
        >>> import chainrule as cr
        >>> cr.stack([cr.zeros(2), cr.ones(2)]).shape
        (2, 2)
    """
    given = _listed("stack", tensors)
    for i, t in enumerate(given):
        if t._data.shape != given[0]._data.shape:
            raise RuntimeError(f"stack: tensors[{i}] has shape {t._data.shape}, tensors[0] has {given[0]._data.shape}")
    d = normal_axis("stack", dim if axis is NOT_GIVEN else axis, given[0]._data.ndim + 1)
    return xp_of_tensors.stack_tensors(*common_dtype(given), axis=d)


@op(
    vjp={"x": lambda xp, g, axis: xp.concatenate(*g, axis=axis)},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 5, 2),), {"sizes": (2, 3), "axis": 0}),
            Sample((normal(rng, 2, 6),), {"sizes": (1, 2, 3), "axis": 1}),
        ],
        reference=lambda x, sizes, axis: np.split(x, np.cumsum(sizes)[:-1], axis),
    ),
    outputs=["pieces"],
    differentiable_outputs=-1,
    view=True,
    label="split",
)
def split_sizes(xp, x, *, sizes, axis):
    """Consecutive pieces of the given lengths along one dimension."""
    pieces, start = [], 0
    for n in sizes:
        pieces.append(x[(slice(None),) * axis + (slice(start, start + n),)])
        start += n
    return pieces


@function("split")
def _split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Consecutive pieces along ``dim``: of one size (the last may be smaller), or of the listed sizes. Views.

    Example:
        >>> import chainrule as cr
        >>> [len(p) for p in cr.split(cr.arange(5), 2)]
        [2, 2, 1]
    """
    d = normal_axis("split", dim, tensor._data.ndim)
    length = tensor._data.shape[d]
    if isinstance(split_size_or_sections, (list, tuple)):
        sizes = tuple(split_size_or_sections)
        if sum(sizes) != length or any(n < 0 for n in sizes):
            raise RuntimeError(f"split: sizes {sizes} must add up to {length}, the length of dimension {dim}")
    else:
        size = int(split_size_or_sections)
        if size < 1:
            raise RuntimeError(f"split: the size must be positive, got {size}")
        sizes = tuple([min(size, length - i) for i in range(0, length, size)]) or (0,)
    return xp_of_tensors.split_sizes(tensor, sizes=sizes, axis=d)


@function("chunk")
def _chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` consecutive pieces of equal size (the last may be smaller) along ``dim``. Views.

    Example:
        >>> import chainrule as cr
        >>> [len(p) for p in cr.chunk(cr.arange(5), 2)]
        [3, 2]
    """
    if chunks < 1:
        raise RuntimeError(f"chunk: chunks must be positive, got {chunks}")
    length = input._data.shape[normal_axis("chunk", dim, input._data.ndim)]
    if not length:
        return _split(input, [0] * chunks, dim)
    return _split(input, max(-(-length // chunks), 1), dim)


@op(
    vjp={"x": lambda xp, g, axis: xp.stack_tensors(*g, axis=axis)},
    check=Samples(
        lambda rng: [Sample((normal(rng, 3, 2),), {"axis": 0}), Sample((normal(rng, 2, 3),), {"axis": 1})],
        reference=lambda x, axis: list(np.moveaxis(x, axis, 0)),
    ),
    outputs=["pieces"],
    differentiable_outputs=-1,
    view=True,
    label="unbind",
)
def unstack(xp, x, *, axis):
    """The slices along one dimension, which they lack."""
    return [x[(slice(None),) * axis + (i, ...)] for i in range(x.shape[axis])]


@function("unbind")
def _unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along ``dim``, which they lack. Views.

    Example:
        >>> import chainrule as cr
        >>> cr.unbind(cr.tensor([[1, 2], [3, 4]]))
        (tensor([1, 2]), tensor([3, 4]))
    """
    return xp_of_tensors.unstack(input, axis=normal_axis("unbind", dim, input._data.ndim))


def _read_at(xp: Any, g: Any, steps: Any) -> Any:
    """The gradient of what was written. Of a complex tensor the parts (``imag`` among the steps) are read from the
    conjugate, which is dL/dRe + i dL/dIm.
    """
    part = replay(xp, xp.conj(g) if dtypes.is_complex(g.dtype) else g, steps)
    return xp.conj(part) if dtypes.is_complex(part.dtype) else part


@op(
    vjp={
        "x": lambda xp, g, steps: xp.view_scatter(g, xp.zeros_like(replay(xp, g, steps)), steps=steps),
        "y": lambda xp, g, steps: _read_at(xp, g, steps),
    },
    check=Samples(lambda rng: []),
    arithmetic=False,
)
def view_scatter(xp, x, y, *, steps):
    """A copy of ``x`` in which the view that ``steps`` lead to is replaced by ``y``."""
    out = xp.ascontiguousarray(x)  # in another memory order some steps would give a copy, and the write be lost
    out = xp.copy(x) if out is x else out
    target = replay(xp, out, steps)
    if not getattr(target.flags, "writeable", True):  # NumPy marks all that comes from an expanded array
        target.flags.writeable = True
    target[...] = y
    return out
