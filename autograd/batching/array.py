"""An array with a hidden batch dimension: to the code that computes with it, it is one element of the batch.

``vmap`` runs a function on tensors whose arrays are these. Shape, indexing and operators are those of one element; the
batch stands in dimension 0 of ``data``, where no rule, forward or check ever sees it.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from chainrule.backends.devices import device_of


class Level:
    """One running (or finished) ``vmap``: its number, and the size of its batch."""

    __slots__ = ("number", "size", "devices", "randomness", "__weakref__")

    def __init__(self, number: int, size: int, randomness: str) -> None:
        self.number = number
        self.size = size
        self.randomness = randomness
        self.devices: list[Any] = []  # weak references to the devices of this level


class DataDependent(RuntimeError):
    """A Python value was asked of a tensor that has another one for each element of the batch."""


def _refuse(what: str) -> DataDependent:
    return DataDependent(
        f"vmap: {what} needs one value, but this tensor has another one for each element of the batch; use "
        f"where(condition, a, b) in place of `if`, and tensors in place of Python numbers"
    )


class BatchedArray:
    """``data`` has the elements of the batch along its dimension 0 if ``batched``, else it is the same for all."""

    __slots__ = ("data", "level", "batched", "base", "viewed", "copied", "__weakref__")
    __array_ufunc__ = None
    __array_priority__ = 2000

    def __init__(self, data: Any, level: Level, batched: bool, base: BatchedArray | None = None) -> None:
        self.data = data
        self.level = level
        self.batched = batched
        self.base = base  # whose memory this one shares
        self.viewed = False
        self.copied = False  # a copy where one element has a view: what is written here would be lost

    # ---- what one element looks like --------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.data.shape
        return shape[1:] if self.batched else shape

    @property
    def ndim(self) -> int:
        return int(self.data.ndim) - self.batched

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def itemsize(self) -> int:
        return int(self.data.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        strides: tuple[int, ...] = self.data.strides
        return strides[1:] if self.batched else strides

    @property
    def flags(self) -> Any:
        return _Flags(self.data.flags)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"BatchedArray(level={self.level.number}, batched={self.batched}, data={self.data!r})"

    # ---- one value for all, or none ---------------------------------------------------------------------------------

    def _agreed(self, what: str) -> Any:
        """The value that all elements of the batch share: then Python may branch on it."""
        if not self.batched:
            return self.data
        flat = self.data.reshape(-1)
        if flat.size and bool((flat == flat[:1]).all()):
            return flat[0]
        raise _refuse(what)

    def __bool__(self) -> bool:
        return bool(self._agreed("a condition (bool)"))

    def __int__(self) -> int:
        return int(self._agreed("int()"))

    def __float__(self) -> float:
        return float(self._agreed("float()"))

    def __complex__(self) -> complex:
        return complex(self._agreed("complex()"))

    def __index__(self) -> int:
        return operator.index(self._agreed("an index"))

    def item(self) -> Any:
        return self._agreed("item()").item()

    def tolist(self) -> Any:
        if self.batched:
            raise _refuse("tolist()")
        return self.data.tolist()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise _refuse("NumPy")

    def all(self) -> bool:
        """Whether all elements of the whole batch are true: for checks of values."""
        return bool(self.data.all())

    def any(self) -> bool:
        """Whether any element of the whole batch is true: for checks of values."""
        return bool(self.data.any())

    def copy(self) -> BatchedArray:
        return BatchedArray(self.data.copy(), self.level, self.batched)

    def astype(self, dtype: Any, copy: bool = True) -> BatchedArray:
        return BatchedArray(self.data.astype(dtype, copy=copy), self.level, self.batched)

    # ---- views, reading and writing ---------------------------------------------------------------------------------

    def view_of(self, data: Any) -> BatchedArray:
        """The same batch through other eyes: ``data`` was made from ``self.data`` and may share its memory."""
        if not shares(self.data, data):
            return BatchedArray(data, self.level, self.batched)
        owner = self if self.base is None else self.base
        owner.viewed = True
        return BatchedArray(data, self.level, self.batched, owner)

    def __getitem__(self, index: Any) -> BatchedArray:
        from chainrule.autograd.batching.index import read

        return read(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        from chainrule.autograd.batching.index import write

        write(self, index, value)

    def __iter__(self) -> Any:
        return iter([self[i] for i in range(len(self))])

    def materialise(self) -> Any:
        """``data`` with the batch in dimension 0 (read-only where all elements are the same)."""
        return self.data if self.batched else self._repeated()

    def _repeated(self) -> Any:
        data = self.data
        if isinstance(data, BatchedArray):
            inner = BatchedArray.materialise_inside(data, self.level.size)
            return inner
        return _broadcast(data, (self.level.size, *data.shape))

    @staticmethod
    def materialise_inside(data: Any, size: int) -> Any:
        """``data`` repeated ``size`` times along a new first dimension, below the levels it already has."""
        if not isinstance(data, BatchedArray):
            return _broadcast(data, (size, *data.shape))
        if not data.batched:
            return BatchedArray(BatchedArray.materialise_inside(data.data, size), data.level, False)
        wide = expand(data.data, 1)
        return BatchedArray(_broadcast(wide, (wide.shape[0], size, *data.shape)), data.level, True)

    def check_writable(self) -> None:
        if self.copied:
            raise RuntimeError(
                "vmap: this tensor is a view made without a batching rule, and cannot be written to; clone() it"
            )

    def own_batch(self) -> None:
        """Give each element of the batch its own memory, so that they can be written to separately."""
        self.check_writable()
        if self.batched:
            return
        if self.base is not None or self.viewed:
            raise RuntimeError(
                "vmap: a value that differs over the batch cannot be written into a view of memory that does not; "
                "clone() the tensor first, or make it from the inputs, for example with zeros_like"
            )
        repeated = self.materialise()
        self.data, self.batched = repeated.copy(), True


def make_room(array: Any, like: Any) -> None:
    """Let ``array`` differ over the batches that ``like`` differs over, so that ``like`` can be written into it."""
    while type(array) is BatchedArray and type(like) is BatchedArray and array.level is like.level:
        if like.batched:
            array.own_batch()
        array, like = array.data, like.data


def made(data: Any, level: Level, batched: bool, sources: Any) -> BatchedArray:
    """A result: a view of the source whose memory it shares, if there is one."""
    for s in sources:
        if type(s) is BatchedArray and s.level is level:
            if s.data is data:  # code asks `result is x` to know whether it must copy
                return s
            if shares(s.data, data):
                return s.view_of(data)
    return BatchedArray(data, level, batched)


class _Flags:
    """The memory order of one element; a batched array never owns its memory, so nothing takes it over."""

    __slots__ = ("_flags",)
    owndata = False

    def __init__(self, flags: Any) -> None:
        self._flags = flags

    @property
    def c_contiguous(self) -> bool:
        return bool(self._flags.c_contiguous)

    @property
    def f_contiguous(self) -> bool:
        return bool(self._flags.f_contiguous)

    @property
    def writeable(self) -> bool:
        return bool(getattr(self._flags, "writeable", True))

    @writeable.setter
    def writeable(self, value: bool) -> None:
        self._flags.writeable = value


def shares(x: Any, y: Any) -> bool:
    """Whether ``y``, which was made from ``x``, is ``x`` or a view of its memory."""
    while isinstance(x, BatchedArray) and isinstance(y, BatchedArray):
        x, y = x.data, y.data
    if y is x or isinstance(x, BatchedArray) or isinstance(y, BatchedArray) or y.base is None:
        return y is x
    return y.base is x or device_of(x).backend.shares_memory(x, y)


def expand(data: Any, axis: int) -> Any:
    """A new dimension of length 1."""
    return data[(slice(None),) * axis + (None,)]


def _broadcast(data: Any, shape: tuple[int, ...]) -> Any:
    if isinstance(data, BatchedArray):
        wide = data.data
        if not data.batched:
            return BatchedArray(_broadcast(wide, shape), data.level, False, data)
        missing = len(shape) - data.ndim
        wide = wide[(slice(None),) + (None,) * missing]
        return BatchedArray(_broadcast(wide, (wide.shape[0], *shape)), data.level, True, data)
    if isinstance(data, (np.ndarray, np.generic)):
        return np.broadcast_to(data, shape)
    return device_of(data).xp.broadcast_to(data, shape)


def extremes(array: Any) -> tuple[Any, Any]:
    """The least and the greatest element, over the whole batch where there is one: for checks of ranges."""
    while type(array) is BatchedArray:
        array = array.data
    return array.min(), array.max()


# ---- operators ------------------------------------------------------------------------------------------------------


def align(values: Any, level: Level) -> tuple[list[Any], bool]:
    """Inner arrays that broadcast against each other as the elements do, and whether any of them has the batch."""
    mine = [v if type(v) is BatchedArray and v.level is level else None for v in values]
    if not any(m is not None and m.batched for m in mine):
        return [v if m is None else m.data for v, m in zip(values, mine)], False
    ndim = max([getattr(v, "ndim", 0) for v in values])
    aligned: list[Any] = []
    for v, m in zip(values, mine):
        if m is None:
            aligned.append(v)
        elif m.batched and m.ndim < ndim:
            aligned.append(m.data[(slice(None),) + (None,) * (ndim - m.ndim)])
        else:
            aligned.append(m.data)
    return aligned, True


def _binary(function: Any) -> Any:
    def forward(self: BatchedArray, other: Any) -> Any:
        if type(other) is BatchedArray and other.level.number > self.level.number:
            return NotImplemented
        (x, y), batched = align((self, other), self.level)
        return BatchedArray(_array(function(x, y), x, y), self.level, batched)

    def backward(self: BatchedArray, other: Any) -> Any:
        (x, y), batched = align((other, self), self.level)
        return BatchedArray(_array(function(x, y), x, y), self.level, batched)

    return forward, backward


def _array(result: Any, *given: Any) -> Any:
    """NumPy's scalars as arrays again."""
    return np.asarray(result) if isinstance(result, np.generic) else result


for _name, _function in {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "pow": operator.pow, "and": operator.and_,
    "or": operator.or_, "xor": operator.xor, "lshift": operator.lshift, "rshift": operator.rshift,
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge, "eq": operator.eq, "ne": operator.ne,
}.items():  # fmt: skip
    _forward, _backward = _binary(_function)
    setattr(BatchedArray, f"__{_name}__", _forward)
    if _name not in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(BatchedArray, f"__r{_name}__", _backward)
BatchedArray.__hash__ = None  # type: ignore[assignment]


def _unary(function: Any) -> Any:
    return lambda self: BatchedArray(_array(function(self.data)), self.level, self.batched)


for _name, _function in {  # type: ignore[assignment]
    "neg": operator.neg, "pos": operator.pos, "abs": operator.abs, "invert": operator.invert,
}.items():  # fmt: skip
    setattr(BatchedArray, f"__{_name}__", _unary(_function))


def _matmul(self: BatchedArray, other: Any) -> Any:
    from chainrule.autograd.batching.rules import matmul

    return matmul(self.level, None, self, other)


setattr(BatchedArray, "__matmul__", _matmul)  # noqa: B010  (mypy takes an assignment for a product)
