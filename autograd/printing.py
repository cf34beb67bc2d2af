"""``repr`` of tensors, as PyTorch prints them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.node import Leaf
from chainrule.autograd.tensor import Tensor


@dataclass
class _Options:
    """How tensors are printed; see :func:`set_printoptions`."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_options = _Options()
_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Choose how tensors are printed; what is not given stays as it is.

    Args:
        precision: digits after the point.
        threshold: how many elements a tensor may have to be printed in full.
        edgeitems: how many are printed at each end of a dimension otherwise.
        linewidth: how many characters fit on a line.
        profile: ``"default"``, ``"short"`` or ``"full"``, which sets all of these.
        sci_mode: print floating-point numbers as 1.0000e+00; None leaves the choice to their size.

    Example:
        >>> import chainrule as cr
        >>> cr.set_printoptions(precision=2)
        >>> cr.tensor(1.23456)
        tensor(1.23)
        >>> cr.set_printoptions(profile="default")
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"set_printoptions: profile must be one of {', '.join(_PROFILES)}, got {profile!r}")
        for field in fields(_Options):
            setattr(_options, field.name, getattr(_PROFILES[profile], field.name))
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None:
            setattr(_options, name, value)
    _options.sci_mode = sci_mode  # PyTorch: None is a choice too


def tensor_repr(t: Tensor) -> str:
    """A tensor as text: its elements, and dtype, device and grad_fn where they are not the usual ones."""
    if type(t._data).__name__ == "BatchedArray":  # inside vmap
        return f"{type(t).__name__}(one of {t._data.level.size} elements, shape={tuple(t.shape)}, dtype={t.dtype})"
    host = np.asarray(t._device.backend.to_host(t._data))
    prefix = f"{type(t).__name__ if type(t) is not Tensor else 'tensor'}("
    if prefix == "Parameter(":
        return f"Parameter containing:\n{_describe(t, host, 'tensor(')}"
    return _describe(t, host, prefix)


def _describe(t: Tensor, host: np.ndarray, prefix: str) -> str:
    notes = []
    if host.size == 0 and host.ndim != 1:
        notes.append(f"size={tuple(host.shape)}")
    default = dtypes.get_default_dtype()
    usual = (default, dtypes.int64, dtypes.bool_, dtypes.default_complex())
    if t.dtype not in usual or (host.size == 0 and t.dtype != dtypes.get_default_dtype()):
        notes.append(f"dtype={t.dtype}")
    if t._device.type != "cpu":
        notes.append(f"device='{t._device}'")
    node = t._current_node()
    if type(node) is Leaf:
        notes.append("requires_grad=True")
    elif node is not None:
        notes.append(f"grad_fn=<{node.name()}>")
    text = prefix + _elements(host, len(prefix))
    last = len(text) - text.rfind("\n") + 1
    for note in notes:
        if last + len(note) + 2 > _options.linewidth:
            text += ",\n" + " " * len(prefix) + note
            last = len(prefix) + len(note)
        else:
            text += ", " + note
            last += len(note) + 2
    return text + ")"


def _elements(host: np.ndarray, indent: int) -> str:
    if host.size == 0:
        return "[]"
    return _nested(host, _formatter(_shown(host)), indent, host.size > _options.threshold)


def _nested(host: np.ndarray, fmt: _Format, indent: int, summarise: bool) -> str:
    if host.ndim == 0:
        return fmt(host[()])
    cut = summarise and len(host) > 2 * _options.edgeitems
    if host.ndim == 1:
        head, tail = (host[: _options.edgeitems], host[-_options.edgeitems :]) if cut else (host, host[:0])
        return _row([*(fmt(v) for v in head), *([" ..."] if cut else []), *(fmt(v) for v in tail)], indent, fmt.width)
    rows: list[Any] = [*host[: _options.edgeitems], None, *host[-_options.edgeitems :]] if cut else list(host)
    parts = ["..." if r is None else _nested(r, fmt, indent + 1, summarise) for r in rows]
    return "[" + ("," + "\n" * (host.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _row(items: list[str], indent: int, width: int) -> str:
    per_line = max(1, (_options.linewidth - indent) // (width + 2))
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


class _Format:
    """How every element is written: one width, and the shortest of integer, fixed and scientific that suits all."""

    def __init__(self, write: Callable[[Any], str], width: int, *, justified: bool = True) -> None:
        self.write, self.width, self.justified = write, width, justified

    def __call__(self, value: Any) -> str:
        return self.write(value).rjust(self.width if self.justified else 0)


def _formatter(values: np.ndarray) -> _Format:
    kind = dtypes.category(values.dtype)
    if kind < 2:
        return _Format(str, max(len(str(v)) for v in values))
    if kind == 3:
        real, imag = _formatter(values.real), _formatter(values.imag)

        def write(v: Any) -> str:
            second = imag(v.imag).lstrip()
            return real(v.real) + (second if second.startswith("-") else "+" + second) + "j"

        # as in PyTorch, real parts stand below each other, and imaginary parts follow them closely
        return _Format(write, real.width + imag.width + 1, justified=False)
    wide = values.astype(np.float64)
    counted = wide[np.isfinite(wide) & (wide != 0)]
    if not counted.size:
        return _Format(_whole, 1)
    low, high = float(np.abs(counted).min()), float(np.abs(counted).max())
    whole = bool((counted == np.ceil(counted)).all())
    large = high / low > 1000 or high > 1e8 or (low < 1e-4 and not whole)
    if large if _options.sci_mode is None else _options.sci_mode:
        write = _scientific
    else:
        write = _whole if whole else _fixed
    return _Format(write, max(len(write(v)) for v in counted))


def _whole(v: Any) -> str:
    return f"{float(v):.0f}" + ("." if np.isfinite(v) else "")


def _fixed(v: Any) -> str:
    return f"{float(v):.{_options.precision}f}"


def _scientific(v: Any) -> str:
    return f"{float(v):.{_options.precision}e}"


def _shown(host: np.ndarray) -> np.ndarray:
    """The elements that will be shown, in one dimension."""
    if host.size > _options.threshold:
        for axis in range(host.ndim):
            if host.shape[axis] > 2 * _options.edgeitems:
                edges = [*range(_options.edgeitems), *range(host.shape[axis] - _options.edgeitems, host.shape[axis])]
                host = host.take(edges, axis)
    return host.ravel()
