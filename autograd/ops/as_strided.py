"""Views by strides and offset, which look at memory as they like: ``as_strided`` and its copies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd.modes import mode, no_grad
from chainrule.autograd.op import OPS, op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.diagonal import scatter_into
from chainrule.autograd.ops.shape import integers
from chainrule.autograd.public import function
from chainrule.autograd.runtime import make_node, tracked_node
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor

#: shape, strides and offset in elements
Geometry = tuple[tuple[int, ...], tuple[int, ...], int]


def reach(shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> int:
    """How many elements memory must have for a view of this geometry."""
    if not all(shape):
        return offset
    return offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([math.prod(shape[i + 1 :]) for i in range(len(shape))])


def _places(xp: Any, geometry: Geometry) -> Any:
    """The positions in memory of all elements, in one dimension."""
    shape, strides, offset = geometry
    total = xp.full(shape, offset, dtype=np.int64)
    for d, (n, s) in enumerate(zip(shape, strides, strict=True)):
        total = total + xp.reshape(xp.arange(n) * s, (-1, *[1] * (len(shape) - d - 1)))
    return xp.reshape(total, (-1,))


def _restride_reference(x: Any, length: int, origin: Geometry, target: Geometry) -> Any:
    memory = np.zeros(length)
    np.add.at(memory, _places(np, origin), x.reshape(-1))
    return memory[_places(np, target)].reshape(target[0])


@op(
    vjp={
        "x": lambda xp, g, length, origin, target: xp.restride(g, length=length, origin=target, target=origin),
    },
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 2, 3),), {"length": 7, "origin": ((2, 3), (3, 1), 1), "target": ((3,), (2,), 0)}),
            Sample((normal(rng, 2, 3),), {"length": 4, "origin": ((2, 3), (1, 1), 0), "target": ((4,), (1,), 0)}),
        ],
        reference=_restride_reference,
    ),
    label="as_strided_back",
)
def restride(xp, x, *, length, origin, target):
    """What memory of zeros shows through ``target`` after ``x`` was added to it through ``origin``."""
    memory = xp.scatter_add_at(xp.zeros((length,), dtype=x.dtype), (_places(xp, origin),), xp.reshape(x, (-1,)))
    return xp.reshape(memory[_places(xp, target)], target[0])


@op(
    vjp={
        "x": lambda xp, g, x_shape, shape, strides, offset: xp.restride(
            g,
            length=math.prod(x_shape),
            origin=(shape, strides, offset),
            target=(x_shape, contiguous_strides(x_shape), 0),
        )
    },
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 2, 3),), {"shape": (2, 2), "strides": (1, 2), "offset": 1}),
            Sample((normal(rng, 5),), {"shape": (3, 3), "strides": (1, 1), "offset": 0}),
        ],
        reference=lambda x, shape, strides, offset: x.reshape(-1)[_places(np, (shape, strides, offset))].reshape(shape),
    ),
    view=True,
    label="as_strided",
)
def strided_view(xp, x, *, shape, strides, offset):
    """A view of contiguous memory with any shape, strides and start."""
    return xp.memory_view(x, shape, strides, offset)


@function("as_strided", inplace="view")
def _as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the tensor's memory (of its base, if it is a view) with any size, strides and start, in elements.

    Elements that are seen several times can be read and differentiated, but not written.

    Raises RuntimeError when the view would reach beyond the memory.

    Example:
        >>> import chainrule as cr
        >>> cr.as_strided(cr.arange(6), (2, 2), (1, 2), 1)
        tensor([[1, 3],
                [2, 4]])
    """
    shape, strides = integers("as_strided", (size,)), integers("as_strided", (stride,))
    start = input.storage_offset() if storage_offset is None else int(storage_offset)
    if len(shape) != len(strides) or any(n < 0 for n in (*shape, *strides, start)):
        raise RuntimeError(
            f"as_strided: size {shape} and stride {strides} must be equally many, none of them or the offset {start} "
            f"negative"
        )
    base = input if input._view is None else input._view.base
    if base is not input and not base._data.flags.c_contiguous:
        raise RuntimeError("as_strided: this tensor lies on a NumPy array that is not contiguous; clone() it first")
    if reach(shape, strides, start) > base._data.size:
        raise RuntimeError(
            f"as_strided: size {shape}, stride {strides} and offset {start} reach beyond the "
            f"{base._data.size} elements in memory"
        )
    attributes = {"shape": shape, "strides": strides, "offset": start}
    if base is input:
        return xp_of_tensors.strided_view(input, **attributes)
    node = tracked_node(input)
    with no_grad():
        result = xp_of_tensors.strided_view(base, **attributes)
    if node is not None and mode.enabled:
        origin = (input._data.shape, input.stride(), input.storage_offset())
        if any(s == 0 and n > 1 for n, s in zip(origin[0], origin[1], strict=True)):
            raise RuntimeError("as_strided: an expanded tensor that requires grad is not taken; clone() it first")
        result._node = make_node(
            "restride_view", (node,), input._device, shape,
            saved_length=base._data.size, saved_origin=origin, saved_target=(shape, strides, start),
        )  # fmt: skip
    if mode.enabled:
        result._view.kind = "single"
    return result


@op(
    vjp={"x": lambda xp, g, length, origin, target: xp.restride(g, length=length, origin=target, target=origin)},
    check=Samples(lambda rng: []),
    arithmetic=False,
    label="as_strided",
)
def restride_view(xp, x, *, length, origin, target):
    """Stands in the graph for ``as_strided`` of a view, which looks at its base; never called itself."""
    raise RuntimeError("restride_view is recorded by as_strided and has no forward of its own")


@function("as_strided_copy", method=False)
def _as_strided_copy(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A copy of what :func:`as_strided` shows.

    Example:
        >>> import chainrule as cr
        >>> cr.as_strided_copy(cr.arange(4), (2,), (2,))
        tensor([0, 2])
    """
    return xp_of_tensors.clone(_as_strided(input, size, stride, storage_offset))


@function("as_strided_scatter")
def _as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """A contiguous copy of ``input`` in which ``src`` is what :func:`as_strided` shows.

    Raises RuntimeError when an element would be written twice.

    Example:
        >>> import chainrule as cr
        >>> cr.as_strided_scatter(cr.zeros(4), cr.ones(2), (2,), (2,))
        tensor([1., 0., 1., 0.])
    """
    shape, strides = integers("as_strided_scatter", (size,)), integers("as_strided_scatter", (stride,))
    start = 0 if storage_offset is None else int(storage_offset)
    if len(shape) != len(strides) or reach(shape, strides, start) > input._data.size:
        raise RuntimeError(
            f"as_strided_scatter: size {shape}, stride {strides} and offset {start} do not fit the "
            f"{input._data.size} elements of input"
        )
    places = _places(np, (shape, strides, start))
    if np.unique(places).size != places.size:
        raise RuntimeError(f"as_strided_scatter: size {shape} and stride {strides} name an element twice")
    place = {"shape": shape, "strides": strides, "offset": start}
    return scatter_into("as_strided_scatter", xp_of_tensors.clone(input), src, OPS["strided_view"], place)
