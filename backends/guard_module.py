"""The array module that stands in for CuPy: only the names and keywords that CuPy 14 has."""

from __future__ import annotations

import functools
import inspect
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np

from chainrule.backends.guard_array import GuardArray, check_dtype, from_numpy, invoke, unwrap, wrap

#: Functions that take host arrays and nested lists, as CuPy's do.
_FROM_HOST = frozenset({"array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray"})

#: Functions whose first argument may be a scalar or a list.
_ANY_FIRST = _FROM_HOST | {
    "shape", "ndim", "size", "isscalar", "isclose", "allclose", "array_equal", "array_equiv",
    "iscomplexobj", "isrealobj",
}  # fmt: skip

#: Parameter names that CuPy uses for "an array of mine", and for "a sequence of them".
_ARRAY = frozenset({"a", "x", "x1", "arr", "m", "ary", "ar", "array", "prototype"})
_ARRAYS = frozenset({"tup", "arrays"})

#: Functions that keep the memory order of their argument; all others write C order.
_KEEP_ORDER = _FROM_HOST | {"copy", "astype", "empty_like", "zeros_like", "ones_like", "full_like"}

#: Functions that give a Python number or bool in NumPy and a 0-d array in CuPy.
_ZERO_DIM = frozenset({"count_nonzero", "allclose", "array_equal", "array_equiv"})


@functools.cache
def names() -> dict[str, Any]:
    """The committed list: what CuPy has (see guard_names.py)."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("guard_names.json").read_text())
    return found


class GuardModule:
    """``cupy``, or one of its submodules, without a GPU."""

    def __init__(self, label: str, path: str, source: Any) -> None:
        self._label = label
        self._members = names()["modules"][path]
        self._source = source

    def __getattr__(self, name: str) -> Any:
        spec = self.__dict__["_members"].get(name)
        label = f"{self._label}.{name}"
        if spec is None:
            raise AttributeError(f"{label} does not exist in CuPy {names()['cupy']}; write it with functions that do")
        function = _SUBSTITUTES.get(label) or getattr(self._source, name, None)
        if function is None:
            raise AttributeError(f"{label} exists in CuPy, but the guard has nothing to stand in for it")
        made = _guarded(label, name, function, spec)
        setattr(self, name, made)
        return made

    def __repr__(self) -> str:
        return f"<guard of {self._label}>"


def _guarded(label: str, name: str, function: Any, spec: dict[str, Any]) -> Callable[..., Any]:
    accepted = [*spec.get("args", []), *spec.get("keywords", [])]
    first = (spec.get("args") or [""])[0]

    def call(*args: Any, **kwargs: Any) -> Any:
        _check_call(label, spec, accepted, args, kwargs)
        kwargs = {k: v for k, v in kwargs.items() if k != "blocking"}
        if args and name not in _ANY_FIRST and "ufunc" not in spec:
            _check_first(label, first, args[0])
        if name in _FROM_HOST:
            return _from_host(function, args, kwargs)
        args, kwargs = _numpy_names(function, spec, args, kwargs)
        result = invoke(label, function, args, kwargs, keep_order=name in _KEEP_ORDER)
        return wrap(np.asarray(result), ()) if name in _ZERO_DIM and not isinstance(result, GuardArray) else result

    call.__name__ = name
    call.__doc__ = f"{label}, as far as CuPy {names()['cupy']} has it."
    return call


def _check_call(label: str, spec: dict[str, Any], accepted: list[str], args: Any, kwargs: Any) -> None:
    unknown = [k for k in kwargs if k not in accepted or k in spec.get("positional_only", ())]
    if unknown:
        raise TypeError(
            f"{label}: CuPy {names()['cupy']} has no keyword {unknown[0]!r}; it takes {', '.join(accepted)}"
        )
    if "ufunc" in spec:
        inputs, outputs = spec["ufunc"]
        if not inputs <= len(args) <= inputs + outputs:
            raise TypeError(f"{label}: expected {inputs} operands, got {len(args)}")
    elif not spec.get("varargs") and len(args) > len(spec.get("args", ())):
        raise TypeError(f"{label}: expected at most {len(spec.get('args', ()))} positional arguments, got {len(args)}")


def _check_first(label: str, parameter: str, value: Any) -> None:
    """CuPy's functions call methods of their argument: a list or number in its place fails."""
    if parameter in _ARRAY and not isinstance(value, GuardArray):
        raise TypeError(f"{label}: argument {parameter!r} must be a CuPy array, got {type(value).__name__}")
    if parameter in _ARRAYS:
        for i, item in enumerate(value):
            if not isinstance(item, GuardArray):
                raise TypeError(f"{label}: argument {parameter!r}[{i}] must be a CuPy array, got {type(item).__name__}")


def _from_host(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """array and asarray: the one way from NumPy arrays and lists; always a copy of them."""
    inputs: list[GuardArray] = []
    obj, rest = args[0], args[1:]
    plain = obj if isinstance(obj, np.ndarray) else unwrap("array", obj, inputs)
    made = np.asarray(function(plain, *rest, **kwargs))
    check_dtype(made.dtype)
    if isinstance(obj, GuardArray):
        return wrap(made, inputs)
    return from_numpy(np.array(made, order="K"))


@functools.cache
def _positions(function: Any) -> tuple[tuple[str, ...], frozenset[str], tuple[Any, ...]]:
    """NumPy's positional parameters, those that keywords reach, and the defaults."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return (), frozenset(), ()
    kinds = inspect.Parameter
    positional = [p for p in parameters if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    named = frozenset(p.name for p in parameters if p.kind in (kinds.KEYWORD_ONLY, kinds.POSITIONAL_OR_KEYWORD))
    return tuple(p.name for p in positional), named, tuple(p.default for p in positional)


def _numpy_names(function: Any, spec: dict[str, Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """CuPy and NumPy differ in some parameter names (``a_min``, ``tup``); pass those by position."""
    positional, named, defaults = _positions(function)
    order = spec.get("args", [])
    strange = [k for k in kwargs if positional and k not in named and k in order]
    if not strange:
        return args, kwargs
    last = max(order.index(k) for k in strange)
    args, kwargs = list(args), dict(kwargs)
    for i in range(len(args), last + 1):
        args.append(kwargs.pop(order[i]) if order[i] in kwargs else defaults[i])
    return args, kwargs


# ---- functions that are not NumPy's, or not as NumPy has them --------------------------------------------------------


def _take(a: Any, indices: Any, axis: Any = None, out: Any = None) -> Any:
    return np.take(a, indices, axis=axis, out=out, mode="wrap")


def _take_along_axis(a: Any, indices: Any, axis: Any) -> Any:
    length = a.size if axis is None else a.shape[axis]
    return np.take_along_axis(a, np.remainder(indices, length) if length else indices, axis)


def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    if isinstance(repeats, np.ndarray):
        raise ValueError("cupy.ndarray cannot be specified as `repeats` argument.")
    return np.repeat(a, repeats, axis)


def _rsqrt(x: Any, **kwargs: Any) -> Any:
    return np.reciprocal(np.sqrt(x), **kwargs)


def _reshape(a: Any, newshape: Any, order: Any = "C", **keywords: Any) -> Any:
    # some versions of NumPy deprecate the name that CuPy uses
    return np.reshape(a, newshape, order, **keywords)


def _nonzero(a: Any) -> Any:
    return np.nonzero(a if a.ndim else a.reshape(1))


def _mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    with warnings.catch_warnings():  # of no elements NumPy warns, CuPy does not
        if not a.size:
            warnings.simplefilter("ignore", RuntimeWarning)
        return np.mean(a, axis, dtype, out, keepdims)


_SUBSTITUTES: dict[str, Any] = {
    "cupy.mean": _mean,
    "cupy.take": _take,
    "cupy.take_along_axis": _take_along_axis,
    "cupy.repeat": _repeat,
    "cupy.rsqrt": _rsqrt,
    "cupy.nonzero": _nonzero,
    "cupy.reshape": _reshape,
}


def _method(name: str, spec: dict[str, Any]) -> Callable[..., Any]:
    label = f"ndarray.{name}"
    accepted = [*spec.get("args", []), *spec.get("keywords", [])]
    function = _SUBSTITUTES.get(f"cupy.{name}") or getattr(np.ndarray, name, None) or getattr(np, name)

    def method(self: GuardArray, *args: Any, **kwargs: Any) -> Any:
        _check_call(label, spec, accepted, args, kwargs)
        return invoke(label, function, (self, *args), kwargs, keep_order=name in _KEEP_ORDER)

    method.__name__ = name
    return method


_NO_STAND_IN = frozenset({
    "cstruct", "mdspan", "device", "dump", "dumps", "flat", "reduced_view", "scatter_max", "scatter_min", "toDlpack",
    "tofile", "byteswap", "choose", "compress", "put",
})  # fmt: skip
for _name, _spec in names()["ndarray"].items():
    if _name not in vars(GuardArray) and _name not in _NO_STAND_IN:
        setattr(GuardArray, _name, _method(_name, _spec))


class _Device:
    """``cupy.cuda.Device``: there is one."""

    def __init__(self, index: int = 0) -> None:
        if index:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal (the guard has one device)")
        self.id = index

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def synchronize(self) -> None:
        return None


class _Event:
    """``cupy.cuda.Event``, by the host's clock."""

    at = 0.0

    def record(self, stream: Any = None) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        return None


def _cuda() -> SimpleNamespace:
    """What the CUDA backend uses of ``cupy.cuda``."""
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 1,
        runtimeGetVersion=lambda: 0,
        getDeviceProperties=lambda index: {"name": b"guard (CPU)"},
    )
    stream = SimpleNamespace(synchronize=lambda: None)
    return SimpleNamespace(
        Device=_Device, Event=_Event, runtime=runtime, is_available=lambda: True, get_current_stream=lambda: stream,
        get_elapsed_time=lambda start, end: (end.at - start.at) * 1e3,
    )  # fmt: skip


@functools.cache
def module() -> Any:
    """The fake ``cupy``."""
    cupy: Any = GuardModule("cupy", "", np)
    cupy.linalg = GuardModule("cupy.linalg", "linalg", np.linalg)
    cupy.fft = GuardModule("cupy.fft", "fft", np.fft)
    stride_tricks = GuardModule("cupy.lib.stride_tricks", "lib.stride_tricks", np.lib.stride_tricks)
    cupy.lib = SimpleNamespace(stride_tricks=stride_tricks)
    cupy.cuda = _cuda()
    cupy.ndarray = GuardArray
    cupy.newaxis, cupy.inf, cupy.nan, cupy.pi, cupy.e = None, np.inf, np.nan, np.pi, np.e
    cupy.dtype, cupy.finfo, cupy.iinfo = np.dtype, np.finfo, np.iinfo
    cupy.asnumpy = lambda a, **_: a.get() if isinstance(a, GuardArray) else np.asarray(a)
    cupy.get_default_memory_pool = lambda: SimpleNamespace(used_bytes=lambda: 0, total_bytes=lambda: 0)
    cupy.__version__ = names()["cupy"]
    for name in names()["types"]:
        setattr(cupy, name, getattr(np, name))
    return cupy
