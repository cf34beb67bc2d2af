"""NumPy's reductions, sorting and searching on Tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.numpy_functions import implements, ours
from chainrule.autograd.numpy_ufuncs import tensors
from chainrule.autograd.tensor import Tensor


def as_tensor(value: Any, like: Any = None) -> Tensor:
    """One operand as a Tensor; arrays and lists go to the device of ``like``."""
    if isinstance(value, Tensor):
        return value
    made = tensors("np", [value, like] if isinstance(like, Tensor) else [value])[0]
    if isinstance(made, Tensor):
        return made
    from chainrule.autograd.creation import tensor

    return tensor(made, device=like._device if isinstance(like, Tensor) else None)


def floating(a: Tensor) -> Tensor:
    """Integers as the default floating dtype, which is what NumPy's means give."""
    return a.to(dtypes.get_default_dtype()) if dtypes.category(a._data.dtype) < 2 else a


@implements(np.sum)
def sum(a: Tensor, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
    return ours("sum")(a, axis, keepdims, dtype=dtype) if axis != () else a.clone()


@implements(np.prod)
def prod(a: Tensor, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
    a = a if dtype is None else a.to(dtype)
    if isinstance(axis, tuple):
        for d in sorted([n % a.ndim for n in axis], reverse=True):
            a = ours("prod")(a, d, keepdims)
        return a
    return ours("prod")(a, axis, keepdims)


@implements(np.mean)
def mean(a: Tensor, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
    return ours("mean")(floating(a if dtype is None else a.to(dtype)), axis, keepdims)


def _spread(name: str) -> Any:
    def spread(
        a: Tensor,
        axis: Any = None,
        dtype: Any = None,
        out: None = None,
        ddof: float = 0,
        keepdims: bool = False,
        *,
        mean: Any = None,
        correction: float | None = None,
    ) -> Tensor:
        if mean is not None:
            raise TypeError(f"np.{name}: mean= is not taken for a Tensor")
        a = floating(a if dtype is None else a.to(dtype))
        free = ddof if correction is None else correction
        return ours(name)(a, axis, keepdim=keepdims, correction=free)

    return spread


implements(np.std)(_spread("std"))
implements(np.var)(_spread("var"))


@implements(np.max, np.amax)
def max(a: Tensor, axis: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
    return ours("amax")(a, () if axis is None else axis, keepdims)


@implements(np.min, np.amin)
def min(a: Tensor, axis: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
    return ours("amin")(a, () if axis is None else axis, keepdims)


@implements(np.ptp)
def ptp(a: Tensor, axis: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
    return max(a, axis, None, keepdims) - min(a, axis, None, keepdims)


@implements(np.all)
def all(a: Tensor, axis: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
    return ours("all")(a, axis, keepdims)


@implements(np.any)
def any(a: Tensor, axis: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
    return ours("any")(a, axis, keepdims)


@implements(np.argmax)
def argmax(a: Tensor, axis: Any = None, out: None = None, *, keepdims: bool = False) -> Tensor:
    return ours("argmax")(a, axis, keepdims)


@implements(np.argmin)
def argmin(a: Tensor, axis: Any = None, out: None = None, *, keepdims: bool = False) -> Tensor:
    return ours("argmin")(a, axis, keepdims)


@implements(np.average)
def average(a: Tensor, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    if returned:
        raise TypeError("np.average: returned= is not taken for a Tensor")
    if weights is None:
        return mean(a, axis, keepdims=keepdims)
    weights = as_tensor(weights, a)
    if weights.shape != a.shape:
        if not isinstance(axis, int) or weights.ndim != 1:
            raise TypeError("np.average: weights of another shape than the tensor need one axis")
        shape = [1] * a.ndim
        shape[axis] = -1
        weights = weights.reshape(shape)
    return sum(a * weights, axis, keepdims=keepdims) / sum(weights.expand(a.shape), axis, keepdims=keepdims)


@implements(np.median)
def median(a: Tensor, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    return quantile(a, 0.5, axis, keepdims=keepdims)


@implements(np.quantile)
def quantile(
    a: Tensor,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Any:
    q = q.tolist() if isinstance(q, np.ndarray) else q
    a = floating(a)
    if isinstance(q, (list, tuple)):
        q = as_tensor(np.asarray(q), a).to(a.dtype)
    return ours("quantile")(a, q, axis, keepdims, interpolation=method)


@implements(np.percentile)
def percentile(a: Tensor, q: Any, axis: Any = None, out: None = None, *rest: Any, **options: Any) -> Any:
    return quantile(a, np.asarray(q) / 100 if np.ndim(q) else q / 100, axis, None, *rest, **options)


@implements(np.cumsum)
def cumsum(a: Tensor, axis: Any = None, dtype: Any = None, out: None = None) -> Tensor:
    a = a if dtype is None else a.to(dtype)
    return ours("cumsum")(a.ravel(), 0) if axis is None else ours("cumsum")(a, axis)


@implements(np.cumprod)
def cumprod(a: Tensor, axis: Any = None, dtype: Any = None, out: None = None) -> Tensor:
    a = a if dtype is None else a.to(dtype)
    return ours("cumprod")(a.ravel(), 0) if axis is None else ours("cumprod")(a, axis)


@implements(np.sort)
def sort(a: Tensor, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Tensor:
    return ours("sort")(a.ravel() if axis is None else a, -1 if axis is None else axis)[0]


@implements(np.argsort)
def argsort(a: Tensor, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Tensor:
    return ours("argsort")(a.ravel() if axis is None else a, -1 if axis is None else axis)


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return nonzero(condition)
    like = next(v for v in (condition, x, y) if isinstance(v, Tensor))
    condition = as_tensor(condition, like)
    if condition.dtype != dtypes.bool_:
        condition = condition != 0
    x, y, _ = tensors("np.where", [x, y, like])
    return ours("where")(condition, x, y)


@implements(np.nonzero)
def nonzero(a: Tensor) -> tuple[Tensor, ...]:
    return ours("nonzero")(a, as_tuple=True)


@implements(np.count_nonzero)
def count_nonzero(a: Tensor, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    return sum(a != 0, axis, keepdims=keepdims)


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Tensor:
    like = a if isinstance(a, Tensor) else v
    return ours("searchsorted")(as_tensor(a, like), as_tensor(v, like), right=side == "right", sorter=sorter)


@implements(np.unique)
def unique(
    ar: Tensor,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    if return_index:
        raise TypeError("np.unique: return_index= is not taken for a Tensor")
    if axis is not None:
        return ours("unique")(ar, return_inverse=return_inverse, return_counts=return_counts, dim=axis)
    values, inverse, counts = ours("unique")(ar, return_inverse=True, return_counts=True)
    first_nan = int((values == values).sum())
    if equal_nan and len(values) > first_nan + 1:  # PyTorch counts each NaN on its own
        values, inverse = values[: first_nan + 1], inverse.clamp(max=first_nan)
        counts = ours("cat")([counts[:first_nan], counts[first_nan:].sum(0, keepdim=True)])
    results = (values, *([inverse] if return_inverse else []), *([counts] if return_counts else []))
    return results if len(results) > 1 else values


@implements(np.diff)
def diff(a: Tensor, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    before, after = [None if v is None else as_tensor(v, a) for v in (prepend, append)]
    return ours("diff")(a, n, axis, prepend=before, append=after)


@implements(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: None = None, **bounds: Any) -> Tensor:
    low, high = bounds.pop("min", a_min), bounds.pop("max", a_max)
    if bounds:
        raise TypeError(f"np.clip: {next(iter(bounds))}= is not taken for a Tensor")
    like = next(v for v in (a, low, high) if isinstance(v, Tensor))
    x = as_tensor(a, like)
    low, high, _ = tensors("np.clip", [low, high, like])
    # one after the other: bounds may be a tensor and a number side by side, as in NumPy
    if low is not None:
        x = ours("clamp")(x, min=low)
    return x if high is None else ours("clamp")(x, max=high)
