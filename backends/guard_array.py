"""The guard's array: an ndarray behind CuPy's rules.

Where CuPy 14 behaves as NumPy does, the call is passed on; where the two differ (CuPy's user guide,
"Differences between CuPy and NumPy"), this module does as CuPy does or refuses what CuPy leaves undefined.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.backends import guard_index


class GuardError(RuntimeError):
    """Code did something whose result is undefined on CuPy."""


class GuardFlags:
    """The memory layout of an array: CuPy's flags, which are fewer than NumPy's."""

    __slots__ = ("c_contiguous", "f_contiguous", "owndata")

    def __init__(self, c_contiguous: bool, f_contiguous: bool, owndata: bool) -> None:
        self.c_contiguous = c_contiguous
        self.f_contiguous = f_contiguous
        self.owndata = owndata

    @property
    def fnc(self) -> bool:
        return self.f_contiguous and not self.c_contiguous

    @property
    def forc(self) -> bool:
        return self.f_contiguous or self.c_contiguous

    def __getitem__(self, name: str) -> bool:
        return bool(getattr(self, name.lower()))

    def __repr__(self) -> str:
        return (
            f"  C_CONTIGUOUS : {self.c_contiguous}\n  F_CONTIGUOUS : {self.f_contiguous}\n  OWNDATA : {self.owndata}\n"
        )


class GuardMemory:
    """Where an array's elements start."""

    __slots__ = ("device_id", "ptr")

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr
        self.device_id = 0


class GuardArray:
    """An array that behaves as ``cupy.ndarray`` does, on the CPU."""

    __slots__ = ("__weakref__", "_array", "base")
    __hash__ = None  # type: ignore[assignment]
    __array_priority__ = 100
    _array: np.ndarray
    base: GuardArray | None

    def __init__(self, shape: Any, dtype: Any = float, order: str = "C") -> None:
        adopt(self, np.empty(shape, dtype, order))  # type: ignore[call-overload]

    # ---- what it is -------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        self._array.shape = shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._array.dtype

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def size(self) -> int:
        return self._array.size

    @property
    def itemsize(self) -> int:
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        return self._array.nbytes

    @property
    def strides(self) -> tuple[int, ...]:
        return self._array.strides

    @property
    def flags(self) -> GuardFlags:
        flags = self._array.flags
        return GuardFlags(flags.c_contiguous, flags.f_contiguous, self.base is None)

    @property
    def data(self) -> GuardMemory:
        return GuardMemory(self._array.__array_interface__["data"][0])

    @property
    def T(self) -> GuardArray:
        return view_of(self, self._array.T)

    @property
    def mT(self) -> GuardArray:
        return view_of(self, self._array.mT)

    @property
    def real(self) -> GuardArray:
        return self if self.dtype.kind != "c" else view_of(self, self._array.real)

    @property
    def imag(self) -> GuardArray:
        return view_of(self, self._array.imag) if self.dtype.kind == "c" else from_numpy(np.zeros_like(self._array))

    # ---- to the host, and back --------------------------------------------------------------------------------------

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy "
            "array explicitly."
        )

    def get(self, stream: Any = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True) -> Any:
        if out is not None:
            out[...] = self._array
            return out
        return np.array(self._array, order=order)  # type: ignore[call-overload]

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError(f"set: expected {self.dtype} of shape {self.shape}, got {arr.dtype} of shape {arr.shape}")
        self._array[...] = arr

    def item(self) -> Any:
        return self._array.item()

    def tolist(self) -> Any:
        return self._array.tolist()

    def tobytes(self, order: str = "C") -> bytes:
        return self._array.tobytes(order)  # type: ignore[arg-type]

    def __float__(self) -> float:
        return float(self._array.item())

    def __int__(self) -> int:
        return int(self._array.item())

    def __complex__(self) -> complex:
        return complex(self._array.item())

    def __bool__(self) -> bool:
        return bool(self._array)

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[GuardArray]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return repr(self._array)

    def __str__(self) -> str:
        return str(self._array)

    def __format__(self, spec: str) -> str:
        return format(self._array.item(), spec) if not self.ndim else format(str(self), spec)

    def __copy__(self) -> GuardArray:
        return from_numpy(self._array.copy())

    def __deepcopy__(self, memo: Any) -> GuardArray:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        return (from_numpy, (self._array.copy(),))

    # ---- NumPy's functions on it ------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__":
            return NotImplemented
        out = kwargs.pop("out", None)
        if out is not None:
            kwargs["out"] = out[0] if len(out) == 1 else out
        return invoke(ufunc.__name__, ufunc, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from chainrule.backends.guard_module import module

        return getattr(module(), function.__name__)(*args, **kwargs)

    # ---- indexing ---------------------------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> GuardArray:
        plain, has_arrays = guard_index.prepare(index, self.shape, GuardArray)
        if has_arrays:
            return from_numpy(np.array(self._array[plain]))
        if not any(i is Ellipsis for i in plain):
            plain = (*plain, ...)  # NumPy gives a view, not a scalar, where an ellipsis stands
        return view_of(self, self._array[plain])

    def __setitem__(self, index: Any, value: Any) -> None:
        given = _operand("setitem", value)
        plain, has_arrays = guard_index.prepare(index, self.shape, GuardArray)
        if has_arrays:
            twice = guard_index.conflict(self.shape, plain, given, self.dtype)
            if twice is not None:
                raise GuardError(
                    f"setitem: the index names element {twice} more than once, with different values; CuPy leaves "
                    f"undefined which one is stored (use scatter_add, or make the index unique)"
                )
        self._array[plain] = given

    def scatter_add(self, slices: Any, value: Any) -> None:
        if self.dtype.char not in "ilqefdILQ" or (self.dtype.kind == "i" and self.dtype.itemsize != 4):
            raise TypeError(
                f"scatter_add only supports int32, float16, float32, float64, uint32, uint64, got {self.dtype}"
            )
        plain, _ = guard_index.prepare(slices, self.shape, GuardArray)
        np.add.at(self._array, plain, np.asarray(_operand("scatter_add", value)).astype(self.dtype))

    # ---- methods whose arguments need care --------------------------------------------------------------------------

    def view(self, dtype: Any = None, type: Any = None) -> GuardArray:
        return view_of(self, self._array.view() if dtype is None else self._array.view(dtype))

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> GuardArray:
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        target: Any = tuple(shape) if isinstance(shape, list) else shape
        keywords: Any = {"order": order, "copy": copy}
        return share(np.reshape(self._array, target, **keywords), (self,))

    def fill(self, value: Any) -> None:
        self._array.fill(_operand("fill", value))

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> GuardArray:
        check_dtype(np.dtype(dtype))
        with np.errstate(invalid="ignore"):
            return share(self._array.astype(dtype, order=order, copy=copy), (self,))  # type: ignore[call-overload]


def check_dtype(dtype: np.dtype[Any]) -> None:
    """CuPy has numbers only; longdouble is not one of its types."""
    if dtype.char not in "?bBhHiIlLqQefdFD" and dtype.name != "bfloat16":
        raise ValueError(f"Unsupported dtype {dtype}")


def adopt(x: GuardArray, array: np.ndarray, base: GuardArray | None = None) -> GuardArray:
    check_dtype(array.dtype)
    x._array = array
    x.base = base
    return x


def from_numpy(array: np.ndarray) -> GuardArray:
    """The host array as an array of the guard, without a copy: the caller hands it over."""
    return adopt(object.__new__(GuardArray), array)


def view_of(x: GuardArray, array: np.ndarray) -> GuardArray:
    """A view: like CuPy's, its base is the array that owns the memory."""
    return adopt(object.__new__(GuardArray), array, x if x.base is None else x.base)


def _root(array: Any) -> Any:
    base = getattr(array, "base", None)
    while base is not None:
        array, base = base, getattr(base, "base", None)
    return array


def share(array: np.ndarray, inputs: tuple[GuardArray, ...] | list[GuardArray]) -> GuardArray:
    """An array that NumPy made out of ``inputs``: one of them, a view of one of them, or a new array."""
    for x in inputs:
        if array is x._array:
            return x
    if array.base is not None:
        root = _root(array)
        for x in inputs:
            if root is _root(x._array):
                with contextlib.suppress(ValueError):  # of what as_strided made, which can be written already
                    array.flags.writeable = True  # CuPy has no read-only arrays: what broadcast_to gives can be written
                return view_of(x, array)
    return from_numpy(array)


def wrap(value: Any, inputs: tuple[GuardArray, ...] | list[GuardArray], keep_order: bool = True) -> Any:
    """A NumPy result as CuPy would give it: scalars become 0-d arrays, views know their base."""
    if isinstance(value, (np.ndarray, np.generic)):
        made = share(np.asarray(value), inputs)
        if not keep_order and made.base is None and not made._array.flags.c_contiguous and not _is_one_of(made, inputs):
            made._array = np.array(made._array, order="C")  # CuPy's kernels write C order, whatever they read
        return made
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[wrap(v, inputs, keep_order) for v in value])
    if isinstance(value, (tuple, list)):
        return type(value)([wrap(v, inputs, keep_order) for v in value])
    return value


def _is_one_of(x: GuardArray, arrays: tuple[GuardArray, ...] | list[GuardArray]) -> bool:
    return any(x is a for a in arrays)


def _operand(label: str, value: Any) -> Any:
    """A value to compute with: an array of the guard or a scalar, nothing that lives on the host."""
    if type(value) is GuardArray:
        return value._array
    if np.isscalar(value) or isinstance(value, np.generic):
        return value
    raise TypeError(f"{label}: Unsupported type {type(value)}; CuPy takes its own arrays and scalars here")


def unwrap(label: str, value: Any, inputs: list[GuardArray]) -> Any:
    """Arguments for NumPy; the guard's arrays found in them are added to ``inputs``."""
    if type(value) is GuardArray:
        inputs.append(value)
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError(f"{label}: Unsupported type {type(value)}; CuPy does not mix with NumPy arrays")
    if isinstance(value, (list, tuple)):
        return type(value)([unwrap(label, v, inputs) for v in value])
    return value


def invoke(label: str, function: Any, args: Any, kwargs: dict[str, Any], keep_order: bool = False) -> Any:
    """Call a NumPy function on the guard's arrays."""
    inputs: list[GuardArray] = []
    if isinstance(function, np.ufunc):
        for a in args:
            if isinstance(a, (list, tuple)):
                raise TypeError(f"{label}: Unsupported type {type(a)}; CuPy's ufuncs take its own arrays and scalars")
    plain = [unwrap(label, a, inputs) for a in args]
    named = {k: unwrap(label, v, inputs) for k, v in kwargs.items()}
    with np.errstate(all="ignore"):  # a GPU raises no floating-point warnings
        return wrap(function(*plain, **named), inputs, keep_order)


def _binary(ufunc: Any, name: str, swapped: bool = False) -> Callable[[GuardArray, Any], Any]:
    def method(self: GuardArray, other: Any) -> Any:
        if type(other) is not GuardArray and not np.isscalar(other) and not isinstance(other, np.generic):
            if isinstance(other, (np.ndarray, list, tuple)) or other is None:
                raise TypeError(f"{name}: Unsupported type {type(other)}; CuPy does not mix with host arrays and lists")
            return NotImplemented
        return invoke(name, ufunc, (other, self) if swapped else (self, other), {})

    return method


def _in_place(ufunc: Any, name: str) -> Callable[[GuardArray, Any], GuardArray]:
    def method(self: GuardArray, other: Any) -> GuardArray:
        with np.errstate(all="ignore"):
            ufunc(self._array, _operand(name, other), out=self._array)
        return self

    return method


_OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "floordiv": np.floor_divide,
    "mod": np.remainder, "pow": np.power, "matmul": np.matmul, "and": np.bitwise_and, "or": np.bitwise_or,
    "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift, "divmod": np.divmod,
}  # fmt: skip
for _name, _ufunc in _OPERATORS.items():
    setattr(GuardArray, f"__{_name}__", _binary(_ufunc, _name))
    setattr(GuardArray, f"__r{_name}__", _binary(_ufunc, _name, swapped=True))
    if _name not in ("divmod", "matmul"):  # CuPy 14 has no in-place matmul; Python falls back on `x = x @ y`
        setattr(GuardArray, f"__i{_name}__", _in_place(_ufunc, _name))
for _name, _ufunc in {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
                      "ge": np.greater_equal}.items():  # fmt: skip
    setattr(GuardArray, f"__{_name}__", _binary(_ufunc, _name))
for _name, _unary in {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}.items():
    setattr(GuardArray, f"__{_name}__", lambda self, _u=_unary, _n=_name: invoke(_n, _u, (self,), {}))
