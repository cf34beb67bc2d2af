"""Logarithms, and functions of exponentials and angles, of float32 numbers; gradients of them. One pass over memory."""

from __future__ import annotations

from typing import Any

from chainrule.backends.base import Backend
from chainrule.backends.compiled import elementary, flat
from chainrule.backends.compiled.crew import item, share
from chainrule.backends.compiled.flat import QUICK, SLOW
from chainrule.backends.compiled.jit import at, loop


@item
def _log_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = elementary.log(x[i])


@loop
def _log(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _log_item(items, (x, out), (), ()))


@item
def _log2_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = elementary.log2(x[i])


@loop
def _log2(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _log2_item(items, (x, out), (), ()))


@item
def _log10_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = elementary.log10(x[i])


@loop
def _log10(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _log10_item(items, (x, out), (), ()))


@item
def _log1p_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = elementary.log1p(x[i])


@loop
def _log1p(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _log1p_item(items, (x, out), (), ()))


@item
def _expm1_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = elementary.expm1(x[i])


@loop
def _expm1(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _expm1_item(items, (x, out), (), ()))


@item
def _sinh_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = elementary.sinh(x[i])


@loop
def _sinh(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _sinh_item(items, (x, out), (), ()))


@item
def _cosh_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = elementary.cosh(x[i])


@loop
def _cosh(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _cosh_item(items, (x, out), (), ()))


@item
def _atan_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = elementary.atan(x[i])


@loop
def _atan(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _atan_item(items, (x, out), (), ()))


@item
def _expm1_back_item(g: Any, y: Any, out: Any) -> None:
    one = out.dtype.type(1)
    for i in range(out.size):
        out[i] = at(g, i) * (y[i] + one)


@loop
def _expm1_back(crew: Any, items: Any, g: Any, y: Any, out: Any) -> None:
    share(crew, items, _expm1_back_item(items, (g, y, out), (), ()))


@item
def _log1p_back_item(g: Any, x: Any, out: Any) -> None:
    one = out.dtype.type(1)
    for i in range(out.size):
        out[i] = at(g, i) / (x[i] + one)


@loop
def _log1p_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _log1p_back_item(items, (g, x, out), (), ()))


@item
def _atan_back_item(g: Any, x: Any, out: Any) -> None:
    one = out.dtype.type(1)
    for i in range(out.size):
        out[i] = at(g, i) / (x[i] * x[i] + one)


@loop
def _atan_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _atan_back_item(items, (g, x, out), (), ()))


@item
def _log_back_item(g: Any, x: Any, out: Any, factor: Any) -> None:
    for i in range(out.size):
        out[i] = at(g, i) / (x[i] * factor)


@loop
def _log_back(crew: Any, items: Any, factor: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _log_back_item(items, (g, x, out), (factor,), ()))


@item
def _sinh_back_item(g: Any, x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = at(g, i) * elementary.cosh(x[i])


@loop
def _sinh_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _sinh_back_item(items, (g, x, out), (), ()))


@item
def _cosh_back_item(g: Any, x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = at(g, i) * elementary.sinh(x[i])


@loop
def _cosh_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _cosh_back_item(items, (g, x, out), (), ()))


KERNELS: dict[str, tuple[Any, ...]] = {
    "atan": (_atan, SLOW, "f"),
    "atan_back": (_atan_back, QUICK, "fd"),
    "cosh": (_cosh, SLOW, "f"),
    "cosh_back": (_cosh_back, SLOW, "f"),
    "expm1": (_expm1, SLOW, "f"),
    "expm1_back": (_expm1_back, QUICK, "fd"),
    "log": (_log, SLOW, "f"),
    "log10": (_log10, SLOW, "f"),
    "log1p": (_log1p, SLOW, "f"),
    "log1p_back": (_log1p_back, QUICK, "fd"),
    "log2": (_log2, SLOW, "f"),
    "log_back": (_log_back, QUICK, "fd", lambda factor: (factor,)),
    "sinh": (_sinh, SLOW, "f"),
    "sinh_back": (_sinh_back, SLOW, "f"),
}


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    flat.register(backend, KERNELS)
