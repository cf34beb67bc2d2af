"""``out=``: results written into a tensor that the caller gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.inplace import check_memory
from chainrule.autograd.modes import mode, no_grad
from chainrule.autograd.runtime import bump, describe, tracked_node
from chainrule.autograd.tensor import Tensor


def write_out(name: str, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any) -> Any:
    """``f(*args, **kwargs)``, written into ``out`` (a tensor, or one for each result), which is returned.

    Raises RuntimeError where operations are recorded and a tensor requires grad, and for dtypes or shapes that do not
    fit; an empty tensor takes the shape of the result.
    """
    outs = tuple(out) if isinstance(out, (tuple, list)) else (out,)
    for o in outs:
        if not isinstance(o, Tensor):
            raise TypeError(f"{name}: out must be a Tensor (or one for each result), got {describe(o)}")
    if mode.enabled and any(tracked_node(t) is not None for t in _tensors((*args, *kwargs.values(), *outs))):
        raise RuntimeError(
            f"{name}: functions with out=... arguments don't support automatic differentiation, but one of the "
            f"arguments requires grad; leave out= out, or use no_grad()"
        )
    with no_grad():
        result = f(*args, **kwargs)
    results = result if isinstance(result, tuple) else (result,)
    if len(results) != len(outs) or isinstance(result, tuple) != isinstance(out, (tuple, list)):
        raise TypeError(f"{name}: out must be {'a Tensor' if result is results[0] else f'{len(results)} Tensors'}")
    for o, r in zip(outs, results, strict=True):
        _store(name, o, r)
    if isinstance(result, tuple):
        return result._make(outs) if hasattr(result, "_make") else outs
    return out


def _tensors(values: tuple[Any, ...]) -> list[Tensor]:
    found: list[Tensor] = []
    for v in values:
        if isinstance(v, Tensor):
            found.append(v)
        elif isinstance(v, (tuple, list)):
            found += [t for t in v if isinstance(t, Tensor)]
    return found


def _store(name: str, out: Tensor, result: Any) -> None:
    if not isinstance(result, Tensor):
        raise TypeError(f"{name}: unexpected keyword argument 'out': the result is no Tensor")
    if result._device is not out._device:
        raise RuntimeError(f"{name}: the result is on {result._device}, out on {out._device}")
    if dtypes.category(result._data.dtype) > dtypes.category(out._data.dtype):
        raise RuntimeError(f"{name}: a result of dtype {result.dtype} can't be cast to the dtype of out, {out.dtype}")
    if result._data.shape == out._data.shape:
        check_memory(name, out)
        out._data[...] = result._data
    elif out._data.size:
        raise RuntimeError(f"{name}: out has shape {tuple(out.shape)}, the result {tuple(result.shape)}; resize_() it")
    else:
        out._data, out._view = out._device.xp.astype(result._data, out._data.dtype), None
    bump(out)
