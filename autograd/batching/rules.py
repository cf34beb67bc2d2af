"""How array functions run on batched arrays: ``rule(level, xp, *args, **kwargs)``, ``xp`` being the inner namespace.

The batch stands in dimension 0 of the inner array, so most rules only shift the dimensions that they are given.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.autograd.batching.array import BatchedArray, Level, _array, align, made
from chainrule.autograd.batching.index import _move

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}

#: functions of each element alone, which broadcast their arguments
ELEMENTWISE = """
abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_invert bitwise_or
bitwise_right_shift bitwise_xor ceil clip conj copysign cos cosh divide equal exp expm1 floor floor_divide greater
greater_equal hypot imag isfinite isinf isnan less less_equal log log1p log2 log10 logaddexp logical_and logical_not
logical_or logical_xor maximum minimum multiply negative nextafter not_equal positive pow real reciprocal remainder
round sign signbit sin sinh square sqrt subtract tan tanh trunc where zeros_like ones_like astype copy
ascontiguousarray full_like empty_like power_by_number
""".split()
REDUCTIONS = "sum mean prod max min any all var std count_nonzero".split()
CREATION = "arange empty eye full linspace ones zeros".split()
#: what only looks at dtypes
PLAIN = "result_type can_cast isdtype finfo iinfo".split()


def rule(*names: str) -> Callable[[Rule], Rule]:
    def register(f: Rule) -> Rule:
        for name in names:
            RULES[name] = f
        return f

    return register


def mine(x: Any, level: Level) -> BatchedArray | None:
    return x if type(x) is BatchedArray and x.level is level else None


def bare(x: Any, level: Level) -> Any:
    """The inner array of an argument that does not differ over the batch."""
    return x.data if type(x) is BatchedArray and x.level is level else x


def is_batched(x: Any, level: Level) -> bool:
    return type(x) is BatchedArray and x.level is level and x.batched


def _shift(axis: int, ndim: int) -> int:
    """A dimension of one element as a dimension of the inner array."""
    if not -max(ndim, 1) <= axis < max(ndim, 1):
        raise IndexError(f"axis {axis} is out of bounds for {ndim} dimensions")
    return axis + 1 if axis >= 0 else axis + ndim + 1


def _shift_all(axis: Any, ndim: int) -> Any:
    if axis is None:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, (tuple, list)):
        return tuple([_shift(a, ndim) for a in axis])
    return _shift(axis, ndim)


def elementwise(name: str) -> Rule:
    def run(level: Level, xp: Any, *args: Any, **kwargs: Any) -> Any:
        aligned, batched = align(args, level)
        kwargs = {k: bare(v, level) for k, v in kwargs.items()}
        return made(_array(getattr(xp, name)(*aligned, **kwargs)), level, batched, args[:1])

    return run


for _name in ELEMENTWISE:
    RULES[_name] = elementwise(_name)


def _along(name: str) -> Rule:
    def run(level: Level, xp: Any, x: Any, *rest: Any, axis: Any = None, **kwargs: Any) -> Any:
        if rest:
            axis, *rest = rest  # type: ignore[assignment]
        if is_batched(x, level):
            axis = _shift_all(axis, x.ndim)
        return BatchedArray(
            _array(getattr(xp, name)(bare(x, level), *rest, axis=axis, **kwargs)), level, is_batched(x, level)
        )

    return run


for _name in REDUCTIONS:
    RULES[_name] = _along(_name)


def _one_axis(name: str, default: int | None) -> Rule:
    """Functions along one dimension that is given, or of the flat array."""

    def run(level: Level, xp: Any, x: Any, *, axis: Any = default, **kwargs: Any) -> Any:
        inner, batched = bare(x, level), is_batched(x, level)
        if batched and axis is None:
            keepdims, ndim = kwargs.pop("keepdims", False), x.ndim
            inner = xp.reshape(inner, (inner.shape[0], x.size))
            found = getattr(xp, name)(inner, axis=1, **kwargs)
            if keepdims:
                found = xp.reshape(found, (inner.shape[0],) + (1,) * ndim)
            return BatchedArray(_array(found), level, True)
        if batched:
            axis = _shift(axis, x.ndim)
        if batched and x.ndim == 0:  # one element along a dimension of its own
            if name in ("argmax", "argmin", "argsort"):
                return BatchedArray(xp.zeros(inner.shape, dtype=np.dtype(np.int64)), level, True)
            return BatchedArray(xp.copy(inner), level, True)
        return BatchedArray(_array(getattr(xp, name)(inner, axis=axis, **kwargs)), level, batched)

    return run


for _name, _default in {
    "argmax": None, "argmin": None, "argsort": -1, "sort": -1, "cumulative_sum": None, "cumulative_prod": None,
}.items():  # fmt: skip
    RULES[_name] = _one_axis(_name, _default)


def creation(name: str) -> Rule:
    def run(level: Level, xp: Any, *args: Any, **kwargs: Any) -> Any:
        args = tuple([bare(a, level) for a in args])
        return BatchedArray(getattr(xp, name)(*args, **kwargs), level, False)

    return run


for _name in CREATION:
    RULES[_name] = creation(_name)


def _plain(name: str) -> Rule:
    return lambda level, xp, *args, **kwargs: getattr(xp, name)(*[bare(a, level) for a in args], **kwargs)


for _name in PLAIN:
    RULES[_name] = _plain(_name)


@rule("asarray")
def asarray(level: Level, xp: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    found = xp.asarray(bare(x, level), *args, **kwargs)
    return made(found, level, is_batched(x, level), (x,))


# ---- shapes ---------------------------------------------------------------------------------------------------------


@rule("reshape")
def reshape(level: Level, xp: Any, x: Any, shape: Any, **kwargs: Any) -> Any:
    m = mine(x, level)
    if m is None:
        return BatchedArray(xp.reshape(x, shape, **kwargs), level, False)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if -1 in shape:
        rest = math.prod(n for n in shape if n != -1)
        shape = tuple([m.size // rest if n == -1 and rest else n for n in shape])
    if math.prod(shape) != m.size:
        raise ValueError(f"cannot reshape array of size {m.size} into shape {shape}")
    return m.view_of(xp.reshape(m.data, (m.data.shape[0], *shape) if m.batched else shape, **kwargs))


@rule("permute_dims")
def permute_dims(level: Level, xp: Any, x: Any, axes: Any) -> Any:
    if not is_batched(x, level):
        inner = xp.permute_dims(bare(x, level), axes)
    else:
        inner = xp.permute_dims(x.data, (0, *[_shift(a, x.ndim) for a in axes]))
    m = mine(x, level)
    return BatchedArray(inner, level, False) if m is None else m.view_of(inner)


@rule("matrix_transpose")
def matrix_transpose(level: Level, xp: Any, x: Any) -> Any:
    n = x.ndim
    return permute_dims(level, xp, x, (*range(n - 2), n - 1, n - 2))


@rule("moveaxis")
def moveaxis(level: Level, xp: Any, x: Any, source: Any, destination: Any) -> Any:
    ndim = x.ndim
    sources = [s % ndim for s in ((source,) if isinstance(source, int) else source)]
    targets = [d % ndim for d in ((destination,) if isinstance(destination, int) else destination)]
    order = [i for i in range(ndim) if i not in sources]
    for target, s in sorted(zip(targets, sources, strict=True)):
        order.insert(target, s)
    return permute_dims(level, xp, x, tuple(order))


@rule("expand_dims")
def expand_dims(level: Level, xp: Any, x: Any, *, axis: int) -> Any:
    at = axis if axis >= 0 else axis + x.ndim + 1
    return reshape(level, xp, x, (*x.shape[:at], 1, *x.shape[at:]))


@rule("squeeze")
def squeeze(level: Level, xp: Any, x: Any, *, axis: Any) -> Any:
    axes = [a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis)]
    return reshape(level, xp, x, tuple([n for i, n in enumerate(x.shape) if i not in axes]))


@rule("broadcast_to")
def broadcast_to(level: Level, xp: Any, x: Any, shape: Any) -> Any:
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    m = mine(x, level)
    if m is None or not m.batched:
        inner = xp.broadcast_to(bare(x, level), shape)
    else:
        wide = xp.reshape(m.data, (m.data.shape[0],) + (1,) * (len(shape) - m.ndim) + tuple(m.shape))
        inner = xp.broadcast_to(wide, (m.data.shape[0], *shape))
        wide = None
    return BatchedArray(inner, level, False) if m is None else m.view_of(inner)


@rule("spread")
def spread(level: Level, xp: Any, x: Any, *, shape: Any) -> Any:
    found = broadcast_to(level, xp, x, shape)
    return BatchedArray(xp.copy(found.data), level, found.batched)


@rule("broadcast_arrays")
def broadcast_arrays(level: Level, xp: Any, *arrays: Any) -> Any:
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    return [broadcast_to(level, xp, a, shape) for a in arrays]


@rule("roll")
def roll(level: Level, xp: Any, x: Any, shift: Any, axis: Any = None) -> Any:
    if not is_batched(x, level):
        return BatchedArray(xp.roll(bare(x, level), shift, axis=axis), level, False)
    if axis is None:
        flat = xp.reshape(x.data, (x.data.shape[0], x.size))
        return BatchedArray(xp.reshape(xp.roll(flat, shift, axis=1), x.data.shape), level, True)
    return BatchedArray(xp.roll(x.data, shift, axis=_shift_all(axis, x.ndim)), level, True)


def _last_two(name: str) -> Rule:
    def run(level: Level, xp: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        return BatchedArray(getattr(xp, name)(bare(x, level), *args, **kwargs), level, is_batched(x, level))

    return run


for _name in ("tril", "triu"):
    RULES[_name] = _last_two(_name)


# ---- joining --------------------------------------------------------------------------------------------------------


def _all_batched(arrays: Sequence[Any], level: Level, xp: Any) -> tuple[list[Any], bool]:
    if not any(is_batched(a, level) for a in arrays):
        return [bare(a, level) for a in arrays], False
    whole = [a if mine(a, level) is not None else BatchedArray(a, level, False) for a in arrays]
    return [a.materialise() for a in whole], True


@rule("concat")
def concat(level: Level, xp: Any, arrays: Any, *, axis: int = 0) -> Any:
    ndim = arrays[0].ndim
    inner, batched = _all_batched(arrays, level, xp)
    return BatchedArray(xp.concat(inner, axis=_shift(axis, ndim) if batched else axis), level, batched)


@rule("stack")
def stack(level: Level, xp: Any, arrays: Any, *, axis: int = 0) -> Any:
    ndim = arrays[0].ndim
    inner, batched = _all_batched(arrays, level, xp)
    return BatchedArray(xp.stack(inner, axis=_shift(axis, ndim + 1) if batched else axis), level, batched)


# ---- products -------------------------------------------------------------------------------------------------------


@rule("matmul")
def matmul(level: Level, xp: Any, x: Any, y: Any) -> Any:
    a, b = is_batched(x, level), is_batched(y, level)
    xi, yi = bare(x, level), bare(y, level)
    product = (lambda p, q: p @ q) if xp is None else xp.matmul
    if not (a or b):
        return BatchedArray(_array(product(xi, yi)), level, False)
    n, m = x.ndim, y.ndim
    if n and m and x.shape[-1] != y.shape[-2 if m > 1 else 0]:
        raise ValueError(f"matmul: shapes {tuple(x.shape)} and {tuple(y.shape)} do not fit")
    if n == 0 or m == 0:
        raise ValueError("matmul: 0-d arrays have no product")
    if a and not b and m == 2 and n == 1:  # (B, k) @ (k, m): one product
        return BatchedArray(product(xi, yi), level, True)
    if b and not a and n == 2 and m == 1:  # (n, k) @ (B, k): one product
        return BatchedArray(product(yi, _move(xi, 1, 0)), level, True)
    if a and not b and m == 2 and n == 2:  # all rows at once
        flat = product(
            xi.reshape((-1, xi.shape[-1])) if xp is None else xp.reshape(xi, (xi.shape[0] * xi.shape[1], xi.shape[2])),
            yi,
        )
        return BatchedArray(
            flat.reshape((*xi.shape[:2], yi.shape[1]))
            if xp is None
            else xp.reshape(flat, (*xi.shape[:2], yi.shape[1])),
            level,
            True,
        )
    xi = xi[..., None, :] if n == 1 else xi
    yi = yi[..., None] if m == 1 else yi
    wide = max(n, m, 2)
    if a:
        xi = xi[(slice(None),) + (None,) * (wide - max(n, 2))]
    if b:
        yi = yi[(slice(None),) + (None,) * (wide - max(m, 2))]
    out = product(xi, yi)
    if n == 1:
        out = out[..., 0, :]
    if m == 1:
        out = out[..., 0]
    return BatchedArray(_array(out), level, True)


@rule("einsum", "einsum_of")
def einsum(level: Level, xp: Any, *args: Any, equation: str | None = None, **kwargs: Any) -> Any:
    named = equation is not None
    text, operands = (equation, args) if named else (args[0], args[1:])
    if not any(is_batched(o, level) for o in operands):
        inner = [bare(o, level) for o in operands]
        found = xp.einsum_of(*inner, equation=text) if named else xp.einsum(text, *inner, **kwargs)
        return BatchedArray(_array(found), level, False)
    from chainrule.autograd.ops.einsum import parse_einsum

    inputs, out = parse_einsum(str(text), [tuple(o.shape) for o in operands])
    used = set("".join(inputs) + out)
    letter = next(c for c in string.ascii_letters if c not in used)
    inputs = [letter + s if is_batched(o, level) else s for s, o in zip(inputs, operands, strict=True)]
    inner = [bare(o, level) for o in operands]
    changed = f"{','.join(inputs)}->{letter}{out}"
    found = xp.einsum_of(*inner, equation=changed)
    return BatchedArray(_array(found), level, True)


# ---- reading and writing by index -----------------------------------------------------------------------------------


@rule("put")
def put(level: Level, xp: Any, x: Any, index: Any, values: Any) -> Any:
    m = x if mine(x, level) is not None else BatchedArray(x, level, False)
    out = BatchedArray(xp.copy(m.data), level, m.batched)
    out[index] = values
    return out


@rule("scatter_add_at")
def scatter_add_at(level: Level, xp: Any, x: Any, index: Any, values: Any) -> Any:
    """All elements of the batch in one flat array, in which each has its own part."""
    from chainrule.autograd.batching.index import _like, positions

    parts = index if isinstance(index, tuple) else (index,)
    if not any(is_batched(v, level) for v in (x, values, *parts)):
        inner = tuple([bare(p, level) for p in parts])
        return BatchedArray(xp.scatter_add_at(bare(x, level), inner, bare(values, level)), level, False)
    whole = x if mine(x, level) is not None else BatchedArray(x, level, False)
    size = level.size
    data = xp.reshape(xp.copy(whole.materialise()), (size * whole.size,))
    where = positions(whole, parts)
    offsets = _like(np.arange(size).reshape((size,) + (1,) * where.ndim) * whole.size, whole.data)
    places = (where.data if where.batched else where.data[None]) + offsets
    v = mine(values, level)
    given = bare(values, level)
    if v is not None and v.batched:
        given = given[(slice(None),) + (None,) * (where.ndim - v.ndim)]
    given = xp.broadcast_to(given, places.shape)
    count = math.prod(places.shape)
    flat = xp.scatter_add_at(data, (xp.reshape(places, (count,)),), xp.reshape(given, (count,)))
    return BatchedArray(xp.reshape(flat, (size, *whole.shape)), level, True)
