"""``repr`` of tensors, as PyTorch prints them."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.node import Leaf
from chainrule.autograd.tensor import Tensor

_THRESHOLD = 1000
_EDGE = 3
_PRECISION = 4
_WIDTH = 80


def tensor_repr(t: Tensor) -> str:
    """A tensor as text: its elements, and dtype, device and grad_fn where they are not the usual ones."""
    host = np.asarray(t._device.backend.to_host(t._data))
    prefix = f"{type(t).__name__ if type(t) is not Tensor else 'tensor'}("
    if prefix == "Parameter(":
        return f"Parameter containing:\n{_describe(t, host, 'tensor(')}"
    return _describe(t, host, prefix)


def _describe(t: Tensor, host: np.ndarray, prefix: str) -> str:
    notes = []
    if host.size == 0 and host.ndim != 1:
        notes.append(f"size={tuple(host.shape)}")
    usual = (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_)
    if t.dtype not in usual or host.size == 0 and t.dtype != dtypes.get_default_dtype():
        notes.append(f"dtype={t.dtype}")
    if t._device.type != "cpu":
        notes.append(f"device='{t._device}'")
    node = t._current_node()
    if type(node) is Leaf:
        notes.append("requires_grad=True")
    elif node is not None:
        notes.append(f"grad_fn=<{node.name()}>")
    body = _elements(host, len(prefix))
    return prefix + ", ".join([body, *notes]) + ")"


def _elements(host: np.ndarray, indent: int) -> str:
    if host.size == 0:
        return "[]"
    return _nested(host, _formatter(host), indent, host.size > _THRESHOLD)


def _nested(host: np.ndarray, fmt: Any, indent: int, summarise: bool) -> str:
    if host.ndim == 0:
        return str(fmt(host[()]))
    if host.ndim == 1:
        return _row([fmt(v) for v in host] if not summarise or len(host) <= 2 * _EDGE else
                    [*(fmt(v) for v in host[:_EDGE]), "...", *(fmt(v) for v in host[-_EDGE:])], indent)
    rows: list[Any] = list(host) if not summarise or len(host) <= 2 * _EDGE else [*host[:_EDGE], None, *host[-_EDGE:]]
    parts = ["..." if r is None else _nested(r, fmt, indent + 1, summarise) for r in rows]
    return "[" + ("," + "\n" * (host.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _row(items: list[str], indent: int) -> str:
    per_line = max(1, (_WIDTH - indent) // (max((len(i) for i in items), default=1) + 2))
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _formatter(host: np.ndarray) -> Any:
    """How every element is written: one width, and the shortest of integer, fixed and scientific that suits all."""
    kind = dtypes.category(host.dtype)
    if kind < 2:
        width = max((len(str(v)) for v in _sample(host)), default=1)
        return lambda v: str(v).rjust(width)
    if kind == 3:
        return lambda v: f"{v.real:.4f}{v.imag:+.4f}j"
    values = _sample(host).astype(np.float64)
    finite = np.abs(values[np.isfinite(values)])
    nonzero = finite[finite > 0]
    whole = bool((finite == np.floor(finite)).all())
    if nonzero.size:
        low, high = float(nonzero.min()), float(nonzero.max())
        scientific = high / low > 1000 and not whole or high > 1e8 or low < 1e-4
    else:
        scientific = False

    def fmt(v: Any) -> str:
        if not np.isfinite(v):
            return str(float(v))
        if scientific:
            return f"{float(v):.{_PRECISION}e}"
        return f"{float(v):.0f}." if whole else f"{float(v):.{_PRECISION}f}"

    width = max((len(fmt(v)) for v in values), default=1)
    return lambda v: fmt(v).rjust(width) if host.ndim else fmt(v)


def _sample(host: np.ndarray) -> np.ndarray:
    """The elements that will be shown."""
    if host.size <= _THRESHOLD:
        return host.ravel()
    for axis in range(host.ndim):
        if host.shape[axis] > 2 * _EDGE:
            host = np.concatenate([host.take(range(_EDGE), axis), host.take(range(-_EDGE, 0), axis)], axis)
    return host.ravel()
