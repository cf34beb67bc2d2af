"""Anomaly mode: says where a NaN or an infinity was made, forward or backward, and with what values.

Forward, the first operation that makes a NaN is blamed (an infinity is no error by itself: a mask is made of them; but
where a NaN comes from one, the operation that made the infinity is named). Backward, it is the first node that makes
a NaN or an infinity out of a finite gradient.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.batching import base_of
from chainrule.autograd.calls import argument_names
from chainrule.autograd.location import locate
from chainrule.autograd.modes import mode
from chainrule.autograd.node import FREED
from chainrule.autograd.runtime import tracer, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.autograd.watch import checker

F = TypeVar("F", bound=Callable[..., Any])


class AnomalyError(RuntimeError):
    """A NaN or an infinity was made. ``node`` is the node to blame, ``direction`` ``"forward"`` or ``"backward"``."""

    node: Any = None
    direction = ""


class _State:
    """What is in force, for all threads."""

    enabled = False
    check_nan = True
    every = 1
    step = 0  # backward passes so far


_state = _State()
_lock = threading.RLock()
_tracer_before: Any = None


def _set(enabled: bool, check_nan: bool, every: int) -> tuple[bool, bool, int]:
    """Put a mode in force; gives the one before."""
    global _tracer_before
    with _lock:
        before = (_state.enabled, _state.check_nan, _state.every)
        if enabled and not _state.enabled:
            _tracer_before, tracer.locate = tracer.locate, _locate
            _state.step = 0
        elif not enabled and _state.enabled:
            tracer.locate, _tracer_before = _tracer_before, None
        _state.enabled, _state.check_nan, _state.every = enabled, check_nan, every
        checking = enabled and check_nan
        checker.forward = _check_forward if checking else None
        checker.backward = _check_backward if enabled else None
        checker.end_of_pass = end_of_pass
        return before


def _locate() -> Any:
    """The line of the running operation; inside a backward pass, of the operation that is being differentiated."""
    parent = mode.differentiating
    where = getattr(parent, "where", None)
    return locate() if where is None else where


def _due() -> bool:
    return _state.step % _state.every == 0


class _Mode:
    """Puts a mode in force, and takes it back at the end of a ``with`` block."""

    def __init__(self, enabled: bool, check_nan: bool, every: int) -> None:
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"detect_anomaly: every must be a positive number of steps, got {every!r}")
        self._wanted = (bool(enabled), bool(check_nan), every)
        self._before: list[tuple[bool, bool, int]] = []

    def __enter__(self) -> None:
        self._before.append(_set(*self._wanted))

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _set(*self._before.pop())

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            with _Mode(*self._wanted):
                return function(*args, **kwargs)

        return inner  # type: ignore[return-value]


class detect_anomaly(_Mode):
    """Find out where NaNs come from: a context manager (and decorator) for a forward pass and its backward pass.

    Records the source line and the module of each operation, and checks what every recorded operation and every node
    of a backward pass gives. The error is raised at once, from Python, so that a debugger stops where it happened.

    Args:
        check_nan: False only records lines, which other errors show too.
        every: check in every so-many-th step only; a step ends with a backward pass.

    Raises:
        AnomalyError: (a RuntimeError) when a NaN is made, or an infinity backward.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([1.0, -1.0], requires_grad=True)
        >>> with cr.autograd.detect_anomaly():
        ...     y = x.log()  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        chainrule.autograd.anomaly.AnomalyError: log (<doctest ...>:2) made 1 NaN out of inputs without any...
    """

    def __init__(self, check_nan: bool = True, *, every: int = 1) -> None:
        super().__init__(True, check_nan, every)


class set_detect_anomaly(_Mode):
    """Switch anomaly mode on or off: at once when called, back again at the end when used as a context manager.

    Example:
        >>> import chainrule as cr
        >>> with cr.autograd.set_detect_anomaly(True):
        ...     cr.is_anomaly_enabled()
        True
    """

    def __init__(self, mode: bool, check_nan: bool = True, *, every: int = 1) -> None:
        super().__init__(mode, check_nan, every)
        self._at_once: Any = _set(*self._wanted)

    def __enter__(self) -> None:
        self._before.append(self._at_once)


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Switch anomaly mode on or off.

    Example:
        >>> import chainrule as cr
        >>> cr.set_anomaly_enabled(False)
        >>> cr.is_anomaly_enabled()
        False
    """
    set_detect_anomaly(mode, check_nan)


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on.

    Example:
        >>> is_anomaly_enabled()
        False
    """
    return _state.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode is on and looks for NaNs.

    Example:
        >>> is_anomaly_check_nan_enabled()
        False
    """
    return _state.enabled and _state.check_nan


# ---- looking at values ----------------------------------------------------------------------------------------------


def _data(value: Any) -> Any:
    """The plain array of a Tensor or of an array, the whole batch of vmap's; None for what has no NaN."""
    array = value._data if isinstance(value, Tensor) else value
    while type(array).__name__ == "BatchedArray":
        array = array.data
    return array if getattr(array, "dtype", None) is not None and _has_nan(array.dtype) else None


def _has_nan(dtype: Any) -> bool:
    return dtype in dtypes.DIFFERENTIABLE


def _is_bad(device: Any, value: Any) -> bool:
    """Whether a value has a NaN or an infinity: one pass where it has none."""
    array = _data(value)
    if array is None or not array.size:
        return False
    xp = base_of(device).xp
    return not bool(xp.all(xp.isfinite(array)))


def _count(device: Any, value: Any) -> tuple[int, int]:
    """How many NaNs and how many infinities a value has."""
    array = _data(value)
    if array is None or not array.size:
        return 0, 0
    xp = base_of(device).xp
    nans, infs = xp.sum(xp.isnan(array)), xp.sum(xp.isinf(array))
    return int(nans), int(infs)


def describe_values(device: Any, value: Any) -> str:
    """Shape, dtype, extremes and what is not finite, in a few words."""
    array = value._data if isinstance(value, Tensor) else value
    text = f"{tuple(array.shape)} {array.dtype}"
    array = _data(array)
    if array is None or not array.size or array.dtype.kind == "c":
        return text
    xp = base_of(device).xp
    nans, infs = _count(device, array)
    usable = xp.isfinite(array)
    if bool(xp.any(usable)):
        wide = xp.astype(array, np.dtype(np.float64)) if array.dtype.itemsize == 2 else array
        low = float(xp.min(xp.where(usable, wide, xp.asarray(float("inf"), dtype=wide.dtype))))
        high = float(xp.max(xp.where(usable, wide, xp.asarray(float("-inf"), dtype=wide.dtype))))
        text += f", min {low:g}, max {high:g}"
    return f"{text}, {nans} NaN, {infs} inf"


def _named(node: Any) -> str:
    """``log (train.py:41, in encoder.fc)``"""
    where = getattr(node, "where", None)
    if where is None:
        return f"{node.op.label} (recorded outside of anomaly mode)"
    return f"{node.op.label} ({where}{f', in {where.module}' if where.module else ''})"


def _plural(nans: int, infs: int) -> str:
    parts = [f"{nans} NaN"] if nans else []
    return " and ".join([*parts, *([f"{infs} inf"] if infs else [])])


def _raise(node: Any, direction: str, text: str) -> None:
    error = AnomalyError(text)
    error.node, error.direction = node, direction
    raise error


# ---- forward --------------------------------------------------------------------------------------------------------


def _check_forward(node: Any, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
    """Called for each recorded operation."""
    if not _due():
        return
    device = node.device
    bad = [t for t in outputs if _is_bad(device, t)]
    if not bad:
        return
    nans, infs = map(sum, zip(*[_count(device, t) for t in bad], strict=True))
    tensors = [t for t in inputs if isinstance(t, Tensor)]
    given = [_count(t._device, t) for t in tensors]
    if any(n for n, _ in given):
        return  # it passed on a NaN that was there before
    infinite = any(i for _, i in given)
    if infs and not infinite:
        node.metadata["made_inf"] = infs
    if not nans:
        return
    out_of = "inputs without any" if not infinite else "infinite inputs"
    lines = [f"{_named(node)} made {_plural(nans, 0)} out of {out_of}", *_inputs(node, inputs)]
    if infinite:
        lines += [f"  the infinity came from {_named(n)}" for n in _sources(tensors)]
    _raise(node, "forward", "\n".join(lines))


def _inputs(node: Any, inputs: tuple[Any, ...]) -> list[str]:
    names, _ = argument_names(node)
    names += [f"input {i}" for i in range(len(names), len(inputs))]
    return [
        f"  {name}: {describe_values(t._device, t)}"
        for name, t in zip(names, inputs, strict=False)
        if isinstance(t, Tensor)
    ]


def _sources(tensors: list[Tensor]) -> list[Any]:
    """The nodes that made an infinity out of finite inputs, on the way to these tensors; the first in time."""
    waiting = [n for t in tensors if (n := t._current_node()) is not None]
    seen = set(waiting)
    found = []
    for edge in waiting:  # grows while it is walked
        if getattr(edge, "_metadata", {}).get("made_inf"):
            found.append(edge)
            continue
        for e in edge.inputs:
            if e is not None and e not in seen:
                seen.add(e)
                waiting.append(e)
    return sorted(found, key=lambda n: n.sequence)[:1]


# ---- backward -------------------------------------------------------------------------------------------------------

#: operations that pass on a part of their input and cut the gradient of the rest
_MASKS = {"where", "clip", "maximum", "minimum", "relu", "index", "index_put"}

_RECIPE = """\
  The gradient that arrived is 0 exactly where the NaN is: this value was masked out by {mask}, but 0 times the infinite
  slope of {op} there is NaN. Make the input safe before {op} sees it (the double-where recipe):
      safe = where(mask, x, 1.0)             # any value at which {op} has a finite slope
      y = where(mask, {op}(safe), other)"""


def _check_backward(node: Any, g: Any, needed: Any, taped: bool) -> tuple[Any, ...]:
    """Runs a node of a backward pass in place of ``node.run``."""
    outer, mode.differentiating = mode.differentiating, node
    try:
        results = node.run_taped(g, needed) if taped else node.run(g, needed)
    finally:
        mode.differentiating = outer
    if not (_state.check_nan and _due()):
        return results
    device = node.device
    _note_masks(node)
    parts = [p for p in (g if isinstance(g, list) else [g]) if p is not None]
    bad = [(i, r) for i, r in enumerate(results) if r is not None and _is_bad(device, r)]
    if not bad or any(_is_bad(device, p) for p in parts):
        return results
    nans, infs = map(sum, zip(*[_count(device, r) for _, r in bad], strict=True))
    arguments, edges = argument_names(node)
    wrong = ", ".join(repr(edges[i][0]) for i, _ in bad)
    lines = [f"the backward of {_named(node)} made {_plural(nans, infs)} out of a finite gradient, for {wrong}"]
    lines += [f"  gradient that arrived: {describe_values(device, p)}" for p in parts]
    lines += [f"  {name}: {text}" for name, text in _kept(node, arguments)]
    lines += [f"  gradient for {edges[i][0]!r}: {describe_values(device, r)}" for i, r in bad]
    mask = node.metadata["masked_by"]() if "masked_by" in node.metadata else None
    if mask is not None and len(parts) == 1 and any(_zero_where_bad(device, parts[0], r) for _, r in bad):
        lines.append(_RECIPE.format(mask=_named(mask), op=node.op.label))
    _raise(node, "backward", "\n".join(lines))
    return results


def _note_masks(node: Any) -> None:
    """Mark what lies before a mask: there, a zero gradient means a value that was not used."""
    mask = weakref.ref(node) if node.op.label in _MASKS else node.metadata.get("masked_by")
    if mask is not None:
        for edge in node.inputs:
            target = edge.inputs[0] if type(edge).__name__ == "OutputSlot" else edge
            if target is not None and hasattr(target, "metadata"):
                target.metadata["masked_by"] = mask


def _zero_where_bad(device: Any, g: Any, result: Any) -> bool:
    """Whether the incoming gradient is 0 wherever the outgoing one is not finite."""
    before, after = _data(g), _data(result)
    if before is None or after is None or before.shape != after.shape:
        return False
    xp = base_of(device).xp
    return not bool(xp.any(xp.logical_not(xp.isfinite(after)) & (before != 0)))


def _kept(node: Any, arguments: list[str]) -> list[tuple[str, str]]:
    """What a node kept of its arguments and results, described."""
    found: list[tuple[str, str]] = []
    names = dict(zip(getattr(node.op, "parameters", ()), arguments, strict=False))
    for slot in node.saved_names:
        value = getattr(node, f"saved_{slot}", None)
        if value is FREED or not hasattr(value, "dtype") or not hasattr(value, "size"):
            continue
        found.append((names.get(slot, "its result" if slot == "out" else slot), describe_values(node.device, value)))
    for i, t in enumerate(_function_tensors(node)):
        found.append((f"saved_tensors[{i}]", describe_values(t._device, t)))
    return found


def _function_tensors(node: Any) -> list[Tensor]:
    saved = getattr(getattr(node, "ctx", None), "_saved", None)
    if saved is None or saved is FREED:
        return []
    return [wrap(entry[0], entry[1]) for entry in saved if entry is not None and hasattr(entry[0], "dtype")]


def end_of_pass() -> None:
    """A backward pass is over: so is a step."""
    if mode.differentiating is None:
        _state.step += 1
