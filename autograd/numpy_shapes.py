"""NumPy's functions of shape, order and joining on Tensors, and its creation functions ``*_like``."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from chainrule.autograd.numpy_functions import implements, ours
from chainrule.autograd.numpy_reductions import as_tensor
from chainrule.autograd.tensor import Tensor


def _axes(axis: Any) -> tuple[int, ...]:
    return tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)


def all_tensors(arrays: Any) -> list[Tensor]:
    """Members of a sequence, arrays among them copied to the device of the first Tensor."""
    given = list(arrays)
    like = next((v for v in given if isinstance(v, Tensor)), None)
    return [as_tensor(v, like) for v in given]


# ---- what it is -----------------------------------------------------------------------------------------------------


@implements(np.shape)
def shape(a: Tensor) -> tuple[int, ...]:
    return tuple(a.shape)


@implements(np.ndim)
def ndim(a: Tensor) -> int:
    return a.ndim


@implements(np.size)
def size(a: Tensor, axis: Any = None) -> int:
    return a.numel() if axis is None else math.prod(a.shape[d] for d in _axes(axis))


@implements(np.iscomplexobj)
def iscomplexobj(x: Tensor) -> bool:
    return x.is_complex()


@implements(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    return np.result_type(*[v.numpy(force=True) if isinstance(v, Tensor) else v for v in arrays_and_dtypes])


@implements(np.shares_memory, np.may_share_memory)
def shares_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    x, y = [v._data if isinstance(v, Tensor) else v for v in (a, b)]
    backend = next(v._device.backend for v in (a, b) if isinstance(v, Tensor))
    return type(x) is type(y) and backend.shares_memory(x, y)


# ---- another shape --------------------------------------------------------------------------------------------------


@implements(np.reshape)
def reshape(a: Tensor, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Tensor:
    if order != "C":
        raise TypeError(f"np.reshape: a Tensor has C order, got order={order!r}")
    result = a.reshape(shape)
    return result.clone() if copy else result


@implements(np.ravel)
def ravel(a: Tensor, order: str = "C") -> Tensor:
    return reshape(a, -1, order) if a.numel() else a.ravel()


@implements(np.transpose)
def transpose(a: Tensor, axes: Any = None) -> Tensor:
    return a.permute(tuple(reversed(range(a.ndim))) if axes is None else tuple(axes))


@implements(np.swapaxes)
def swapaxes(a: Tensor, axis1: int, axis2: int) -> Tensor:
    return a.transpose(axis1, axis2)


@implements(np.moveaxis)
def moveaxis(a: Tensor, source: Any, destination: Any) -> Tensor:
    return ours("movedim")(a, source, destination)


@implements(np.rollaxis)
def rollaxis(a: Tensor, axis: int, start: int = 0) -> Tensor:
    axis, start = axis % a.ndim, start % (a.ndim + 1) if start >= 0 else start + a.ndim
    return moveaxis(a, axis, start - 1 if axis < start else start)


@implements(np.squeeze)
def squeeze(a: Tensor, axis: Any = None) -> Tensor:
    if axis is not None and any(a.shape[d] != 1 for d in _axes(axis)):
        raise ValueError(
            f"np.squeeze: only dimensions of length 1 can be taken out, got axis {axis} of {tuple(a.shape)}"
        )
    return a.squeeze(axis) if axis is not None else a.squeeze()


@implements(np.expand_dims)
def expand_dims(a: Tensor, axis: Any) -> Tensor:
    places = sorted(d % (a.ndim + len(_axes(axis))) for d in _axes(axis))
    for d in places:
        a = a.unsqueeze(d)
    return a


@implements(np.broadcast_to)
def broadcast_to(array: Tensor, shape: Any, subok: bool = False) -> Tensor:
    return array.expand(shape)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Tensor, ...]:
    given = all_tensors(args)
    common = np.broadcast_shapes(*[tuple(t.shape) for t in given])
    return tuple([t.expand(common) for t in given])


def _atleast(n: int) -> Any:
    def atleast(*arys: Any) -> Any:
        results = []
        for t in all_tensors(arys):
            if n == 3 and t.ndim == 1:
                results.append(t[None, :, None])
            elif n == 3 and t.ndim == 2:
                results.append(t[:, :, None])
            else:
                results.append(t.reshape((1,) * (n - t.ndim) + tuple(t.shape)) if t.ndim < n else t)
        return results[0] if len(results) == 1 else tuple(results)

    return atleast


atleast_1d, atleast_2d, atleast_3d = _atleast(1), _atleast(2), _atleast(3)
for _numpy, _ours in ((np.atleast_1d, atleast_1d), (np.atleast_2d, atleast_2d), (np.atleast_3d, atleast_3d)):
    implements(_numpy)(_ours)


# ---- joining and splitting ------------------------------------------------------------------------------------------


@implements(np.concatenate)
def concatenate(arrays: Any, /, axis: Any = 0, out: None = None, *, dtype: Any = None, casting: str = "") -> Tensor:
    given = all_tensors(arrays)
    if axis is None:
        given, axis = [t.ravel() for t in given], 0
    joined = ours("cat")(given, axis)
    return joined if dtype is None else joined.to(dtype)


@implements(np.stack)
def stack(arrays: Any, axis: int = 0, out: None = None, *, dtype: Any = None, casting: str = "") -> Tensor:
    joined = ours("stack")(all_tensors(arrays), axis)
    return joined if dtype is None else joined.to(dtype)


@implements(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: str = "") -> Tensor:
    return concatenate([atleast_2d(t) for t in all_tensors(tup)], 0, dtype=dtype)


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: str = "") -> Tensor:
    given = [atleast_1d(t) for t in all_tensors(tup)]
    return concatenate(given, 0 if given[0].ndim == 1 else 1, dtype=dtype)


@implements(np.dstack)
def dstack(tup: Any) -> Tensor:
    return concatenate([atleast_3d(t) for t in all_tensors(tup)], 2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Tensor:
    return concatenate([t.reshape(-1, 1) if t.ndim < 2 else t for t in all_tensors(tup)], 1)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Tensor:
    return concatenate([arr, values], axis)


@implements(np.split)
def split(ary: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    if isinstance(indices_or_sections, int) and ary.shape[axis] % indices_or_sections:
        raise ValueError(f"np.split: {ary.shape[axis]} rows cannot be split into {indices_or_sections} equal parts")
    return array_split(ary, indices_or_sections, axis)


@implements(np.array_split)
def array_split(ary: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    length = ary.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        each, extra = divmod(length, int(indices_or_sections))
        sizes = [each + 1] * extra + [each] * (int(indices_or_sections) - extra)
        edges = [0, *np.cumsum(sizes).tolist()]
    else:
        edges = [0, *[int(i) for i in indices_or_sections], length]
    lead = (slice(None),) * (axis % ary.ndim)
    return [ary[(*lead, slice(a, b))] for a, b in pairwise(edges)]


for _name, _axis in (("vsplit", 0), ("hsplit", 1), ("dsplit", 2)):
    implements(getattr(np, _name))(lambda ary, parts, axis=_axis: split(ary, parts, axis if ary.ndim > 1 else 0))


@implements(np.unstack)
def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    return x.unbind(axis)


# ---- repeating and moving elements ----------------------------------------------------------------------------------


@implements(np.tile)
def tile(A: Tensor, reps: Any) -> Tensor:
    return ours("tile")(A, _axes(reps))


@implements(np.repeat)
def repeat(a: Tensor, repeats: Any, axis: Any = None) -> Tensor:
    if isinstance(repeats, (list, tuple, np.ndarray)):
        repeats = as_tensor(np.asarray(repeats), a)
    return ours("repeat_interleave")(a, repeats, axis)


@implements(np.take)
def take(a: Tensor, indices: Any, axis: Any = None, out: None = None, mode: str = "raise") -> Tensor:
    if mode != "raise":
        raise TypeError(f"np.take: mode={mode!r} is not taken for a Tensor")
    if axis is None:
        a, axis = a.ravel(), 0
    index = indices if isinstance(indices, (Tensor, int)) else as_tensor(np.asarray(indices), a)
    return a[(slice(None),) * (axis % a.ndim) + (index,)]


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Tensor:
    like = arr if isinstance(arr, Tensor) else indices
    x, index = as_tensor(arr, like), as_tensor(indices, like)
    if axis is None:
        x, axis = x.ravel(), 0
    return along_axis(x, index, axis)


def along_axis(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """The elements that ``index`` names along an axis; the other dimensions broadcast, negative indices count back."""
    d = axis % x.ndim
    n = x.shape[d]
    index = ours("where")(index < 0, index + n, index).to("int64")
    rest = np.broadcast_shapes(*[tuple(1 if i == d else m for i, m in enumerate(t.shape)) for t in (x, index)])
    x, index = [t.expand(tuple(t.shape[d] if i == d else m for i, m in enumerate(rest))) for t in (x, index)]
    return ours("gather")(x, d, index)


@implements(np.roll)
def roll(a: Tensor, shift: Any, axis: Any = None) -> Tensor:
    if axis is None:
        return ours("roll")(a, shift)
    axes = _axes(axis)
    shifts = _axes(shift) * (len(axes) if len(_axes(shift)) == 1 else 1)
    return ours("roll")(a, shifts, axes * (len(shifts) if len(axes) == 1 else 1))


@implements(np.flip)
def flip(m: Tensor, axis: Any = None) -> Tensor:
    return m.flip(tuple(range(m.ndim)) if axis is None else _axes(axis))


@implements(np.flipud)
def flipud(m: Tensor) -> Tensor:
    return m.flip(0)


@implements(np.fliplr)
def fliplr(m: Tensor) -> Tensor:
    return m.flip(1)


@implements(np.rot90)
def rot90(m: Tensor, k: int = 1, axes: Any = (0, 1)) -> Tensor:
    return ours("rot90")(m, k, list(axes))


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Tensor, ...]:
    return grids(all_tensors(xi), indexing, sparse)


def grids(given: list[Tensor], indexing: str, sparse: bool = False) -> tuple[Tensor, ...]:
    """The coordinates of a grid that vectors span."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    dims = len(given)
    places = list(range(dims))
    if indexing == "xy" and dims > 1:
        places[:2] = [1, 0]
    shaped = [t.reshape((1,) * p + (-1,) + (1,) * (dims - p - 1)) for t, p in zip(given, places, strict=True)]
    if sparse or not dims:
        return tuple(shaped)
    full = np.broadcast_shapes(*[tuple(t.shape) for t in shaped])
    return tuple([t.expand(full).clone() for t in shaped])


@implements(np.pad)
def pad(array: Tensor, pad_width: Any, mode: str = "constant", **options: Any) -> Tensor:
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    names = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}
    value = options.pop("constant_values", 0)
    if mode not in names or options or not isinstance(value, (int, float)):
        raise TypeError(f"np.pad: for a Tensor, mode is one of {', '.join(names)} with one constant, got {mode!r}")
    from chainrule.autograd.ops.border import pad as ours_pad

    pairs = [n for low_high in reversed(widths) for n in low_high]
    return ours_pad(array, pairs, names[mode], value if mode == "constant" else None)


# ---- creation -------------------------------------------------------------------------------------------------------


@implements(np.copy)
def copy(a: Tensor, order: str = "K", subok: bool = False) -> Tensor:
    return a.clone()


def _like(name: str) -> Any:
    def like(
        a: Tensor, *fill: Any, dtype: Any = None, order: str = "K", shape: Any = None, device: Any = None
    ) -> Tensor:
        if shape is not None:
            raise TypeError(f"np.{name}: shape= is not taken for a Tensor")
        return ours(name)(a, *fill, dtype=dtype)

    return like


for _name in ("zeros_like", "ones_like", "empty_like", "full_like"):
    implements(getattr(np, _name))(_like(_name))
