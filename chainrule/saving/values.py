"""Python values as JSON, and back: what a checkpoint holds beside its tensors.

None, bools, strings, lists and ordinary numbers stand for themselves; everything else is an object with one key, which
names its kind: ``{"tuple": [1, 2]}``, ``{"dict": [["lr", 0.1]]}``, ``{"tensor": 0}``. Reading makes these kinds and no
others, and calls nothing that the file names.
"""

from __future__ import annotations

import base64
import math
from collections import Counter, OrderedDict, defaultdict
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.tensor import Size, Tensor
from chainrule.backends.devices import device as Device
from chainrule.nn.module import Module
from chainrule.saving.container import Broken
from chainrule.saving.memory import Loaded, Memory

#: levels of containers in containers
DEEPEST = 100

_MAPPINGS: dict[type, str] = {dict: "dict", OrderedDict: "OrderedDict", Counter: "Counter"}
_SEQUENCES: dict[type, str] = {tuple: "tuple", Size: "Size", set: "set", frozenset: "frozenset"}


# ---- to JSON ---------------------------------------------------------------------------------------------------------


def encode(value: Any, memory: Memory, path: tuple[str, ...] = ()) -> Any:
    """A value as JSON has it; its tensors and arrays are added to ``memory``.

    Raises TypeError for what cannot be saved; the message says where it stands.
    """
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return _text(value, path) if kind is str else value
    if isinstance(value, Tensor):
        return {"tensor": memory.add(value, path)}
    if isinstance(value, np.ndarray):
        return {"array": memory.add(_plain_array(value, path), path)}
    if isinstance(value, np.str_):
        return _text(str(value), path)
    if isinstance(value, np.generic):  # before int and float: np.float64 is a float
        scalar = np.asarray(_plain_array(np.asarray(value), path))
        return {"scalar": [dtypes.of_array(scalar).name, base64.b64encode(scalar.tobytes()).decode()]}
    if kind is int or (isinstance(value, int) and kind.__module__.startswith("chainrule.")):
        return int(value) if abs(value) < 1 << 63 else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if len(path) > DEEPEST:
        place = _place(path[:4])
        raise ValueError(f"cr.save: {place}... is nested more than {DEEPEST} levels deep; does it contain itself?")
    if kind is list:
        return [encode(v, memory, (*path, str(i))) for i, v in enumerate(value)]
    if kind in _SEQUENCES:
        return {_SEQUENCES[kind]: [encode(v, memory, (*path, str(i))) for i, v in enumerate(value)]}
    if kind in _MAPPINGS or kind is defaultdict:  # a defaultdict's function is not saved
        return {_MAPPINGS.get(kind, "dict"): [_pair(k, v, memory, path) for k, v in value.items()]}
    if kind is complex:
        return {"complex": [encode(value.real, memory), encode(value.imag, memory)]}
    if kind in (bytes, bytearray):
        return {kind.__name__: base64.b64encode(value).decode()}
    if isinstance(value, dtypes.dtype):
        return {"dtype": value.name}
    if isinstance(value, np.dtype) and value in dtypes._BY_NUMPY:
        return {"numpy dtype": value.name}
    if isinstance(value, Device):
        return {"device": str(value)}
    raise TypeError(_refusal(value, path))


def _pair(key: Any, value: Any, memory: Memory, path: tuple[str, ...]) -> list[Any]:
    if isinstance(key, Tensor) or not isinstance(key, (str, int, float, bool, tuple, type(None), np.generic)):
        raise TypeError(
            f"cr.save: a key of {_place(path)} is of type {type(key).__name__}; keys must be strings, numbers or tuples"
        )
    shown = str(key)
    return [encode(key, memory, (*path, shown)), encode(value, memory, (*path, shown))]


def _text(value: str, path: tuple[str, ...]) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"cr.save: {_place(path)} is a string with half a surrogate pair: {value!r:.80}") from None
    return value


def _plain_array(array: np.ndarray, path: tuple[str, ...]) -> np.ndarray:
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    try:
        dtypes.as_dtype(array.dtype)
    except TypeError:
        raise TypeError(
            f"cr.save: {_place(path)} is a NumPy array of {array.dtype}, which no tensor can hold; use .tolist()"
        ) from None
    return np.asarray(array)


def _place(path: tuple[str, ...]) -> str:
    return "obj" + "".join(f"[{part!r}]" for part in path)


def _refusal(value: Any, path: tuple[str, ...]) -> str:
    place, kind = _place(path), type(value).__name__
    what = "is a class" if isinstance(value, type) else "is a function" if callable(value) else f"is of type {kind}"
    if isinstance(value, Module):
        what = f"is a module ({kind}): save model.state_dict(), and load it into a model that your program makes"
    elif hasattr(value, "state_dict"):
        what = f"is of type {kind}: save its state_dict()"
    elif hasattr(value, "get_state"):
        what = f"is of type {kind}: save its get_state()"
    else:
        what += (
            "; saved are tensors, NumPy arrays, numbers, strings, None, and dicts, lists, tuples and sets of these "
            "(for an object of your own, vars(object))"
        )
    return f"cr.save: {place} {what}"


# ---- from JSON -------------------------------------------------------------------------------------------------------


def decode(value: Any, loaded: Loaded, depth: int = 0) -> Any:
    """The value again. Raises Broken for JSON that :func:`encode` does not write."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if depth > 2 * DEEPEST:
        raise Broken("its values are nested too deeply")
    if isinstance(value, list):
        for i, v in enumerate(value):  # in place: both lists at once would take twice the memory
            value[i] = decode(v, loaded, depth + 1)
        return value
    if not isinstance(value, dict) or len(value) != 1:
        raise Broken(f"its values have {value!r:.80}, which means nothing")
    ((kind, content),) = value.items()
    try:
        return _made(kind, content, loaded, depth + 1)
    except Broken:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        raise Broken(f"its values have a damaged {kind!r:.40}: {error}") from None


def _made(kind: str, content: Any, loaded: Loaded, depth: int) -> Any:
    if kind in ("tensor", "array"):
        return loaded.get(content, kind)
    for made, name in _SEQUENCES.items():
        if kind == name:
            return made(decode(_list(content), loaded, depth))
    for made, name in _MAPPINGS.items():
        if kind == name:
            result = made()
            for key, v in _list(content):
                result[decode(key, loaded, depth)] = decode(v, loaded, depth)
            return result
    if kind == "scalar":
        name, data = content
        scalar = np.frombuffer(base64.b64decode(_str(data), validate=True), dtypes.as_dtype(_str(name)).dtype)
        if scalar.size != 1:
            raise ValueError("expected one number")
        return scalar[0]
    if kind == "int":
        return int(_str(content), 16)
    if kind == "float":
        return float({"inf": "inf", "-inf": "-inf", "nan": "nan"}[content])
    if kind == "complex":
        real, imag = content
        return complex(decode(real, loaded, depth), decode(imag, loaded, depth))
    if kind in ("bytes", "bytearray"):
        data = base64.b64decode(_str(content), validate=True)
        return data if kind == "bytes" else bytearray(data)
    if kind == "dtype":
        return dtypes.as_dtype(_str(content))
    if kind == "numpy dtype":
        return dtypes.as_dtype(_str(content)).dtype
    if kind == "device":
        try:
            return Device(_str(content))
        except RuntimeError as error:
            raise Broken(str(error)) from None
    raise Broken(f"its values have the unknown kind {kind!r:.40}; was it written by a newer version?")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return value


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {type(value).__name__}")
    return value
