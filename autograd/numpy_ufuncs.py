"""NumPy's ufuncs on Tensors: ``np.exp(t)``, ``array * t``, ``np.add.reduce(t)`` run our recorded functions.

The dtype of the result is ours, whichever side the tensor is on: NumPy numbers and 0-d arrays are weak (float32
stays float32), a float absorbs any integer, and functions of floats take integers as the default dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.autograd.creation import tensor
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor

#: our public function for each ufunc of another name
_RENAMED = {
    "absolute": "abs", "add": "add", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh",
    "arctan": "atan", "arctan2": "atan2", "arctanh": "atanh", "conjugate": "conj", "degrees": "rad2deg",
    "divide": "div", "equal": "eq", "fabs": "abs", "invert": "bitwise_not", "left_shift": "bitwise_left_shift",
    "matmul": "matmul", "multiply": "mul", "negative": "neg", "not_equal": "ne", "power": "pow",
    "radians": "deg2rad", "right_shift": "bitwise_right_shift", "rint": "round", "subtract": "sub",
}  # fmt: skip

#: ufuncs whose name is that of our public function
_SAME_NAME = """
bitwise_and bitwise_or bitwise_xor ceil copysign cos cosh deg2rad exp exp2 expm1 floor floor_divide fmax fmin fmod gcd
greater greater_equal heaviside hypot isfinite isinf isnan lcm ldexp less less_equal log log10 log1p log2 logaddexp
logaddexp2 logical_and logical_not logical_or logical_xor maximum minimum nextafter positive rad2deg reciprocal
remainder sign signbit sin sinh sqrt square tan tanh trunc
""".split()

#: ufunc name -> public name, for all that are covered
COVERED = {**{name: name for name in _SAME_NAME}, **_RENAMED}

#: what ``ufunc.reduce`` and ``ufunc.accumulate`` are
_REDUCTIONS = {
    "add": "sum", "multiply": "prod", "maximum": "amax", "minimum": "amin", "logical_and": "all", "logical_or": "any",
}  # fmt: skip
_RUNNING = {"add": "cumsum", "multiply": "cumprod", "maximum": "cummax", "minimum": "cummin"}

WAY_OUT = "use .numpy(force=True) to leave the graph and compute with NumPy"


def apply_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What ``Tensor.__array_ufunc__`` gives."""
    name = ufunc.__name__
    label = f"np.{name}" if method == "__call__" else f"np.{name}.{method}"
    if kwargs.get("out") is not None:
        raise _out_refused(ufunc, label, inputs, kwargs["out"])
    _refuse_object_arrays(label, inputs)
    if method == "__call__":
        return _call(name, label, inputs, kwargs)
    if method == "reduce":
        return _reduce(name, label, *inputs, **kwargs)
    if method == "accumulate":
        return _accumulate(name, label, *inputs, **kwargs)
    if method == "outer":
        x, y = [v if isinstance(v, Tensor) else np.asarray(v) for v in inputs]
        return _call(name, label, (x.reshape(tuple(x.shape) + (1,) * y.ndim), y), kwargs)
    raise TypeError(f"{label}: not available for a Tensor; {WAY_OUT}")


def _call(name: str, label: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    where, dtype = kwargs.pop("where", True), kwargs.pop("dtype", None)
    kwargs.pop("casting", None), kwargs.pop("order", None), kwargs.pop("subok", None)
    if where is not True:
        raise TypeError(f"{label}: where= is not taken for a Tensor; use np.where(mask, result, other)")
    if kwargs:
        raise TypeError(f"{label}: {next(iter(kwargs))}= is not taken for a Tensor")
    if name == "divmod":
        return _call("floor_divide", label, inputs, {}), _call("remainder", label, inputs, {})
    if dtype is not None:
        inputs = tuple([v.to(dtype) if isinstance(v, Tensor) else np.asarray(v, dtype) for v in inputs])
    return ours(name, label)(*tensors(label, inputs))


def ours(name: str, label: str) -> Callable[..., Any]:
    """Our function of a ufunc's meaning. Raises TypeError where there is none."""
    public = COVERED.get(name)
    if name == "positive":
        return lambda x: +x
    function = FUNCTIONS.get(public) if public else None
    if function is None:
        raise TypeError(f"{label}: not available for a Tensor; {WAY_OUT}")
    return function


def tensors(label: str, values: Any) -> list[Any]:
    """Operands for our functions: arrays and lists as Tensors beside the Tensor, numbers as they are.

    Arrays are copied, as the user may change them before the backward pass; 0-d arrays are numbers, which are weak.
    """
    device = next((v._device for v in values if isinstance(v, Tensor)), None)
    done = []
    for value in values:
        if isinstance(value, (list, tuple)):
            value = np.asarray([v.numpy() if isinstance(v, Tensor) else v for v in value])
        if isinstance(value, (np.ndarray, np.generic)) and not value.ndim:
            value = value.item()
        elif isinstance(value, np.ndarray):
            if device is not None and device.type != "cpu":
                raise TypeError(
                    f"{label}: a NumPy array meets a Tensor on {device}; nothing is copied silently, use "
                    f"chainrule.tensor(array, device={str(device)!r})"
                )
            value = tensor(value, device=device)
        done.append(value)
    return done


def _refuse_object_arrays(label: str, inputs: tuple[Any, ...]) -> None:
    for value in inputs:
        if isinstance(value, np.ndarray) and value.dtype.kind == "O":
            raise TypeError(f"{label}: an {describe(value)} and a Tensor cannot be combined; expected numbers")


def _out_refused(ufunc: np.ufunc, label: str, inputs: tuple[Any, ...], out: Any) -> TypeError:
    target = out[0] if isinstance(out, tuple) else out
    if inputs and target is inputs[0] and isinstance(target, np.ndarray):
        return TypeError(
            f"{label}: an array cannot be changed in place by a Tensor (array += tensor), because arrays do not "
            f"record; write array = array + tensor, or array += tensor.numpy(force=True)"
        )
    return TypeError(
        f"{label}: out= cannot be a {type(target).__name__} where a Tensor takes part, because the result is recorded; "
        f"leave out= away, or {WAY_OUT}"
    )


def _reduce(
    name: str,
    label: str,
    x: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    **rest: Any,
) -> Any:
    rest = {k: v for k, v in rest.items() if not (k == "where" and v is True)}
    if name not in _REDUCTIONS or rest or not isinstance(x, Tensor):
        what = f"{next(iter(rest))}= is not taken" if rest else "not available"
        raise TypeError(f"{label}: {what} for a Tensor; {WAY_OUT}")
    if dtype is not None:
        x = x.to(dtype)
    if axis == ():
        return x.clone()
    return FUNCTIONS[_REDUCTIONS[name]](x, axis=axis, keepdims=keepdims)


def _accumulate(name: str, label: str, x: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    function = FUNCTIONS.get(_RUNNING.get(name, ""))
    if function is None or not isinstance(x, Tensor):
        raise TypeError(f"{label}: not available for a Tensor; {WAY_OUT}")
    result = function(x if dtype is None else x.to(dtype), axis)
    return result[0] if isinstance(result, tuple) else result
