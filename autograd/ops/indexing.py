"""Reading and writing by index: slices, masks and integer arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.batching.array import BatchedArray, extremes, make_room
from chainrule.autograd.inplace import _check_recorded, _records, adopt, check_memory
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import method_only
from chainrule.autograd.runtime import bump, cast, describe, mixed_devices, tracked_node, unbroadcast, wrap
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.saved import restored_all
from chainrule.autograd.tensor import Tensor

# ---- understanding an index -----------------------------------------------------------------------------------------


class _Slot:
    """Where the next index tensor stands in a layout."""

    def __repr__(self) -> str:
        return "<tensor>"


SLOT = _Slot()
#: where a bool stands: a new dimension of length 1, from which it selects all or nothing
NEW_SLOT = _Slot()


def locate(x: Tensor, index: Any) -> tuple[Tensor, tuple[Any, ...], tuple[Tensor, ...]]:
    """What an index selects from: ``x``, a layout and its index tensors.

    Integers and bools next to index tensors are applied first, by a view, as PyTorch does: ``x[0, :, i]`` is
    ``x[0][:, i]`` (NumPy would count the 0 as an index array, and move the dimension of ``i`` to the front).
    """
    layout, tensors = parse(x, index)
    if not tensors or not any(p is NEW_SLOT or isinstance(p, int) for p in layout):
        return x, layout, tensors
    first = tuple([slice(None) if p is SLOT else None if p is NEW_SLOT else p for p in layout])
    rest = [
        SLOT if isinstance(p, _Slot) else p if p is Ellipsis else slice(None) for p in layout if not isinstance(p, int)
    ]
    return xp_of_tensors.getitem(x, index=first), tuple(rest), tensors


def parse(x: Tensor, index: Any) -> tuple[tuple[Any, ...], tuple[Tensor, ...]]:
    """An index as a layout and its index tensors.

    The layout has ints, slices, None, one Ellipsis, :data:`SLOT` where an integer tensor stands and :data:`NEW_SLOT`
    for a bool. Masks have become integers (their ``nonzero``), 0-d integer tensors ints.
    """
    parts = index if isinstance(index, tuple) else (index,)
    layout: list[Any] = []
    tensors: list[Tensor] = []
    consumed = 0
    for position, part in enumerate(parts):
        if part is None or isinstance(part, slice):
            if isinstance(part, slice):
                part = slice(*(None if v is None else v.__index__() for v in (part.start, part.stop, part.step)))
                if part.step is not None and part.step < 1:
                    raise ValueError(f"index: the step of a slice must be positive, got {part.step}; use flip()")
                consumed += 1
            layout.append(part)
        elif part is Ellipsis:
            if any(p is Ellipsis for p in parts[:position]):
                raise IndexError("index: only one ellipsis is allowed")
            named = sum([_dimensions(p) for p in parts[position + 1 :]])
            if x._data.ndim - named > consumed:
                layout.append(part)
                consumed = x._data.ndim - named
            # else it stands for nothing, and must not separate the index tensors around it, as it would for NumPy
        elif isinstance(part, (bool, np.bool_)) or _is_scalar(part, bools=True):
            layout.append(NEW_SLOT)
            tensors.append(wrap(x._device.asarray([0] if part else [], np.int64), x._device))
        elif isinstance(part, (int, np.integer)) or _is_scalar(part, bools=False):
            layout.append(_checked_int(x, int(part), consumed))
            consumed += 1
        else:
            for t in _index_tensors(x, part, consumed):
                layout.append(SLOT)
                tensors.append(t)
                consumed += 1
    if consumed > x._data.ndim:
        raise IndexError(
            f"index: too many indices for a {x._data.ndim}-d tensor of shape {tuple(x.shape)}: got {consumed}"
        )
    if not any(p is Ellipsis for p in layout):
        layout.append(Ellipsis)
    return tuple(layout), tuple(tensors)


def _is_scalar(part: Any, *, bools: bool) -> bool:
    """Whether a part of an index is a 0-d tensor or array of a bool, or of an integer."""
    if not isinstance(part, (Tensor, np.ndarray)) or part.ndim:
        return False
    return dtypes.category(np.dtype(part.dtype)) == (0 if bools else 1)


def _dimensions(part: Any) -> int:
    """How many dimensions of the tensor a part of an index uses up."""
    if part is None or part is Ellipsis or isinstance(part, (bool, np.bool_)):
        return 0
    dtype = getattr(part, "dtype", None)
    if dtype is not None and dtype == np.bool_:
        return int(part.ndim)
    if isinstance(part, (list, tuple, range)):
        array = np.asarray(part)
        return array.ndim if array.dtype == np.bool_ else 1
    return 1


def _checked_int(x: Tensor, i: int, dim: int) -> int:
    if dim < x._data.ndim and not -x._data.shape[dim] <= i < x._data.shape[dim]:
        raise IndexError(f"index: {i} is out of bounds for dimension {dim} with length {x._data.shape[dim]}")
    return i


def _index_tensors(x: Tensor, part: Any, dim: int) -> tuple[Tensor, ...]:
    """An index array as integer tensors on the device of ``x``; a mask gives one for each of its dimensions."""
    if isinstance(part, (list, tuple, range)):
        part = np.asarray([p.item() if isinstance(p, Tensor) else p for p in part])
        if part.size == 0:
            part = part.astype(np.int64)
    if isinstance(part, np.ndarray):
        if x._device.type != "cpu":
            part = x._device.backend.from_host(part, x._device.index or 0)
        part = wrap(part, x._device)
    if not isinstance(part, Tensor):
        raise TypeError(f"index: expected ints, slices, None, ..., or tensors of ints or bools, got {describe(part)}")
    if part._device is not x._device:
        # inside vmap one of the two may be batched, on the same device below
        together = x._device.covers(part._device) or part._device.covers(x._device)
        if part._device.type != "cpu" and not together:
            raise mixed_devices(_getitem_op(), x, part)
        part = part.to(x._device)
    kind = dtypes.category(part._data.dtype)
    if kind == 0:
        expected = tuple(x._data.shape[dim : dim + part._data.ndim])
        if tuple(part._data.shape) != expected:
            raise IndexError(
                f"index: the mask has shape {tuple(part.shape)}, the dimensions it selects from {expected}"
            )
        return tuple([wrap(a, x._device) for a in x._device.xp.nonzero(part._data)])
    if kind != 1:
        raise IndexError(f"index: tensors used as indices must be integers or bools, got {part.dtype}")
    if dim < x._data.ndim and part._data.size:
        n = x._data.shape[dim]
        low, high = map(int, extremes(part._data))
        if low < -n or high >= n:
            raise IndexError(f"index: {low if low < -n else high} is out of bounds for dimension {dim} with length {n}")
        if low < 0:  # CuPy and scatter-adds want them from 0
            part = wrap(part._device.xp.where(part._data < 0, part._data + n, part._data), part._device)
    return (part,)


def _getitem_op() -> Any:
    from chainrule.autograd.op import OPS

    return OPS["getitem"]


def fill_layout(layout: tuple[Any, ...], indices: Any) -> tuple[Any, ...]:
    """The index an array takes: the layout with its tensors in place."""
    rest = iter(indices)
    return tuple([next(rest) if p is SLOT else p for p in layout])


# ---- reading --------------------------------------------------------------------------------------------------------

#: elements of a mask from which on its dimensions are joined
_LARGE_MASK = 1 << 12

_LAYOUTS = [
    ((2, 3), (0, ...)),
    ((2, 3), (slice(None), 1, ...)),
    ((4, 3), (slice(0, 4, 2), None, ...)),
    ((4,), (slice(None, None, -1), ...)),
    ((2, 3), (1, 2, ...)),
    ((2, 3), (..., slice(0, 0))),
]


def _add_slice(node: Any, g: Any, total: Any) -> None:
    total[node.saved_index] += g


@op(
    vjp={"x": lambda xp, g, x_shape, index: xp.getitem_back(g, shape=x_shape, index=index)},
    check=Samples(
        lambda rng: [Sample((normal(rng, *shape),), {"index": index}) for shape, index in _LAYOUTS],
        reference=lambda x, index: x[index],
    ),
    view=True,
    label="index",
    into=_add_slice,
)
def getitem(xp, x, *, index):
    """The part of a tensor that slices and integers select; a view."""
    return x[index]


@op(
    vjp={"x": lambda xp, g, index: xp.getitem(g, index=index)},
    check=Samples(
        lambda rng: [Sample((normal(rng, 3),), {"shape": (2, 3), "index": (1, ...)})],
        reference=lambda x, shape, index: np.stack([np.zeros(3), x]),
    ),
    arithmetic=False,
    label="index_back",
)
def getitem_back(xp, x, *, shape, index):
    """Zeros of the given shape with ``x`` at the index."""
    out = xp.zeros(shape, dtype=x.dtype)
    out[index] = x
    return out


def _take_samples(rng: Any) -> Any:
    i, j = np.array([0, 2, 2]), np.array([[1], [0]])
    yield Sample((normal(rng, 3, 4), i), {"layout": (SLOT, ...)})
    yield Sample((normal(rng, 3, 4), i), {"layout": (slice(None), SLOT, ...)})
    yield Sample((normal(rng, 3, 4), i, j), {"layout": (SLOT, SLOT, ...)})
    yield Sample((normal(rng, 3, 4, 3), i, i), {"layout": (SLOT, slice(None), SLOT, ...)})
    yield Sample((normal(rng, 3, 4), i), {"layout": (SLOT, None, slice(0, 2), ...)})


def _add_at(node: Any, g: Any, total: Any) -> None:
    indices = restored_all(node, "indices", False)
    node.device.backend.scatter_add(total, fill_layout(node.saved_layout, indices), g)


@op(
    vjp={"x": lambda xp, g, x_shape, indices, layout: xp.take_at_back(g, *indices, shape=x_shape, layout=layout)},
    check=Samples(_take_samples, reference=lambda x, *indices, layout: x[fill_layout(layout, indices)]),
    arithmetic=False,
    label="index",
    into=_add_at,
)
def take_at(xp, x, *indices, layout):
    """The elements that integer tensors (and slices between them) select; a copy."""
    return x[fill_layout(layout, indices)]


def _take_back_samples(rng: Any) -> Any:
    yield Sample((normal(rng, 3, 4), np.array([0, 2, 2])), {"shape": (3, 4), "layout": (SLOT, ...)})


def _take_back_reference(x: Any, *indices: Any, shape: Any, layout: Any) -> Any:
    out = np.zeros(shape)
    np.add.at(out, fill_layout(layout, indices), x)
    return out


@op(
    vjp={"x": lambda xp, g, indices, layout: xp.take_at(g, *indices, layout=layout)},
    check=Samples(_take_back_samples, reference=_take_back_reference),
    label="index_back",
)
def take_at_back(xp, x, *indices, shape, layout):
    """Zeros of the given shape with ``x`` added at the index, repeated indices included."""
    return xp.scatter_add_at(xp.zeros(shape, dtype=x.dtype), fill_layout(layout, indices), x)


def _joined(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """A large mask of the first dimensions of x with these as one: an element is then found by one number, not several.

    Both as they are where that would take a copy, or where they do not fit.
    """
    count, device = mask._data.ndim, x._device
    if device.type != "cpu" or mask._device is not device or mask._data.size < _LARGE_MASK:
        return x, mask
    if x._data.shape[:count] != mask._data.shape or not x._data.flags.c_contiguous or not mask._data.flags.c_contiguous:
        return x, mask
    size = mask._data.size
    joined = xp_of_tensors.reshape(x, shape=(size, *x._data.shape[count:]))
    return joined, wrap(mask._data.reshape(size), device)


def getitem_of(x: Tensor, index: Any) -> Tensor:
    """``x[index]``, as in PyTorch and NumPy: slices give views, masks and integer tensors copies.

    Raises IndexError when the index is out of bounds or does not fit, TypeError for what is no index.
    """
    if type(index) is int and x._data.ndim:  # the common case
        return xp_of_tensors.getitem(x, index=(_checked_int(x, index, 0), ...))
    if isinstance(index, Tensor) and index._data.dtype.kind == "b" and index._data.ndim > 1:
        x, index = _joined(x, index)
    x, layout, tensors = locate(x, index)
    if not tensors:
        return xp_of_tensors.getitem(x, index=layout)
    return xp_of_tensors.take_at(x, *tensors, layout=layout)


method_only("__getitem__")(getitem_of)


# ---- writing --------------------------------------------------------------------------------------------------------


def _put_samples(rng: Any) -> Any:
    yield Sample((normal(rng, 3, 4), normal(rng, 2, 4), np.array([0, 2])), {"layout": (SLOT, ...), "accumulate": False})
    yield Sample((normal(rng, 3, 4), normal(rng), np.array([0, 2])), {"layout": (SLOT, ...), "accumulate": False})
    yield Sample(
        (normal(rng, 3, 4), normal(rng, 1, 1, 4), np.array([0, 2])), {"layout": (SLOT, ...), "accumulate": False}
    )
    yield Sample(
        (normal(rng, 3, 4), normal(rng, 3, 4), np.array([0, 2, 2])), {"layout": (SLOT, ...), "accumulate": True}
    )


def _sum_to(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Unbroadcast, to a shape that may have more leading dimensions of length 1 than the gradient."""
    extra = len(shape) - g.ndim
    return unbroadcast(xp, g, shape) if extra <= 0 else xp.reshape(unbroadcast(xp, g, shape[extra:]), shape=shape)


def _put_reference(x: Any, y: Any, *indices: Any, layout: Any, accumulate: bool) -> Any:
    out = x.copy()
    if accumulate:
        np.add.at(out, fill_layout(layout, indices), y)
    else:
        out[fill_layout(layout, indices)] = y
    return out


@op(
    vjp={
        "x": lambda xp, g, y_shape, indices, layout, accumulate: (
            g
            if accumulate
            else xp.put_at(g, xp.zeros_like(xp.take_at(g, *indices, layout=layout)), *indices, layout=layout)
        ),
        "y": lambda xp, g, y_shape, indices, layout: _sum_to(xp, xp.take_at(g, *indices, layout=layout), y_shape),
    },
    check=Samples(_put_samples, reference=_put_reference),
    label="index_put",
)
def put_at(xp, x, y, *indices, layout, accumulate=False):
    """``x`` with the elements that integer tensors select replaced by ``y``, or with ``y`` added to them."""
    index = fill_layout(layout, indices)
    return xp.scatter_add_at(x, index, y) if accumulate else xp.put(x, index, y)


def setitem(x: Tensor, index: Any, value: Any) -> None:
    """``x[index] = value``: written into the memory of ``x``, recorded when one of the two requires grad.

    Raises IndexError for a bad index, RuntimeError where ``x`` cannot be changed in place or the shapes do not fit.
    """
    if not isinstance(value, Tensor):
        array = np.asarray(value) if not isinstance(value, (int, float, bool, complex)) else value
        if dtypes.category(np.asarray(array).dtype) > dtypes.category(x._data.dtype) == 0:
            array = np.asarray(array).astype(bool)
        host = np.asarray(array).astype(x._data.dtype)
        value = wrap(
            host if x._device.type == "cpu" else x._device.backend.from_host(host, x._device.index or 0), x._device
        )
    elif value._device is not x._device:
        if value._data.ndim and not x._device.covers(value._device):
            raise mixed_devices(_getitem_op(), x, value)
        value = value.to(x._device)
    if type(x._data) is BatchedArray:  # inside vmap
        make_room(x._data, value._data)
    tracked = _records(x, (value,))
    if tracked:
        _check_recorded("setitem", x)
    elif value._data.ndim == 0 and _is_mask_of(x, index):  # no need for the places of its elements
        check_memory("setitem", x)
        x._data[...] = x._device.xp.where(index._data, cast(value, x._data.dtype)._data, x._data)
        bump(x)
        return
    x, layout, tensors = locate(x, index)
    value = cast(value, x._data.dtype)
    if not tensors:
        part = xp_of_tensors.getitem(x, index=layout)
        check_memory("setitem", part)
        shape = _squeezed(value, part._data.shape)
        if shape is not None:
            value = xp_of_tensors.reshape(value, shape=shape)
        if not tracked:
            _store(x, part._data, value)
        else:
            part.copy_(value)
        return
    check_memory("setitem", x)
    if not tracked:
        selected = fill_layout(layout, [t._data for t in tensors])
        try:
            x._data[selected] = value._data
        except ValueError as error:
            raise RuntimeError(f"setitem: {error} (value: {describe(value)}; tensor: {describe(x)})") from error
        bump(x)
        return
    source = wrap(x._data.copy(), x._device, tracked_node(x))
    adopt("setitem", x, xp_of_tensors.put_at(source, value, *tensors, layout=layout, accumulate=False))


def _is_mask_of(x: Tensor, index: Any) -> bool:
    """Whether an index is one mask for all elements of ``x``, both NumPy arrays."""
    if not isinstance(index, Tensor) or type(x._data) is not np.ndarray or type(index._data) is not np.ndarray:
        return False
    return bool(index._data.ndim) and index._data.dtype.char == "?" and index._data.shape == x._data.shape


def _squeezed(value: Tensor, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Without leading dimensions of length 1 that the target does not have, as PyTorch allows."""
    have = value._data.shape
    extra = len(have) - len(shape)
    return have[extra:] if extra > 0 and all(n == 1 for n in have[:extra]) else None


def _store(x: Tensor, part: Any, value: Tensor) -> None:
    try:
        part[...] = value._data
    except ValueError as error:
        raise RuntimeError(f"setitem: {error} (value: {describe(value)}; tensor: {describe(x)})") from error
    bump(x)


method_only("__setitem__")(setitem)
