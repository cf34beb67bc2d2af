"""Functions made of straight pieces or powers, and their gradients: one pass over memory."""

from __future__ import annotations

from typing import Any

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel, elementary, flat
from chainrule.backends.compiled.crew import item, share
from chainrule.backends.compiled.flat import QUICK, SLOW, kernel, over
from chainrule.backends.compiled.jit import at, inlined, loop


@item
def _leaky_relu_item(x: Any, out: Any, slope: Any) -> None:
    zero = out.dtype.type(0)
    for i in range(out.size):
        v = x[i]
        out[i] = v if v > zero else v * slope


@loop
def _leaky_relu(crew: Any, items: Any, slope: Any, x: Any, out: Any) -> None:
    share(crew, items, _leaky_relu_item(items, (x, out), (slope,), ()))


@item
def _leaky_relu_back_item(g: Any, x: Any, out: Any, slope: Any) -> None:
    zero = out.dtype.type(0)
    for i in range(out.size):
        v = at(g, i)
        out[i] = v if x[i] > zero else v * slope


@loop
def _leaky_relu_back(crew: Any, items: Any, slope: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _leaky_relu_back_item(items, (g, x, out), (slope,), ()))


@item
def _between_item(g: Any, x: Any, out: Any, low: Any, high: Any) -> None:
    zero = out.dtype.type(0)
    for i in range(out.size):
        v = x[i]
        out[i] = at(g, i) if (v > low) & (v < high) else zero


@loop
def _between(crew: Any, items: Any, low: Any, high: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _between_item(items, (g, x, out), (low, high), ()))


@inlined
def _hardswish_of(v: Any, zero: Any, three: Any, six: Any) -> Any:
    shifted = v + three
    shifted = zero if shifted < zero else shifted
    shifted = six if shifted > six else shifted
    return v * (shifted / six)


@item
def _hardswish_item(x: Any, out: Any, three: Any, six: Any) -> None:
    zero = out.dtype.type(0)
    for i in range(out.size):
        out[i] = _hardswish_of(x[i], zero, three, six)


@loop
def _hardswish(crew: Any, items: Any, three: Any, six: Any, x: Any, out: Any) -> None:
    share(crew, items, _hardswish_item(items, (x, out), (three, six), ()))


@item
def _hardswish_back_item(g: Any, x: Any, out: Any, three: Any, half: Any) -> None:
    zero = out.dtype.type(0)
    for i in range(out.size):
        v, slope = x[i], at(g, i)
        inside = slope * (v / three + half)
        out[i] = zero if v <= -three else (slope if v >= three else inside)


@loop
def _hardswish_back(crew: Any, items: Any, three: Any, half: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _hardswish_back_item(items, (g, x, out), (three, half), ()))


@item
def _elu_item(x: Any, out: Any, above: Any, below: Any, inside: Any) -> None:
    zero = out.dtype.type(0)
    for i in range(out.size):
        v = x[i]
        low = (zero if v >= zero else v) * inside
        out[i] = v * above if v > zero else elementary.expm1(low) * below


@loop
def _elu(crew: Any, items: Any, above: Any, below: Any, inside: Any, x: Any, out: Any) -> None:
    share(crew, items, _elu_item(items, (x, out), (above, below, inside), ()))


@item
def _elu_back_item(g: Any, x: Any, out: Any, above: Any, below: Any, inside: Any) -> None:
    zero = out.dtype.type(0)
    for i in range(out.size):
        v = x[i]
        slope = elementary.exp((zero if v > zero else v) * inside) * below
        out[i] = at(g, i) * (above if v > zero else slope)


@loop
def _elu_back(crew: Any, items: Any, above: Any, below: Any, inside: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _elu_back_item(items, (g, x, out), (above, below, inside), ()))


@inlined
def _sign_of(v: Any, zero: Any, one: Any) -> Any:
    """-1, 0 (of -0 too) or 1, and NaN of NaN."""
    known = -one if v < zero else (one if v > zero else zero)
    return v if v != v else known


@item
def _sign_item(x: Any, out: Any) -> None:
    zero, one = out.dtype.type(0), out.dtype.type(1)
    for i in range(out.size):
        out[i] = _sign_of(x[i], zero, one)


@loop
def _sign(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _sign_item(items, (x, out), (), ()))


@item
def _abs_item(x: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = abs(x[i])


@loop
def _abs(crew: Any, items: Any, x: Any, out: Any) -> None:
    share(crew, items, _abs_item(items, (x, out), (), ()))


@item
def _abs_back_item(g: Any, x: Any, out: Any) -> None:
    zero, one = out.dtype.type(0), out.dtype.type(1)
    for i in range(out.size):
        out[i] = at(g, i) * _sign_of(x[i], zero, one)


@loop
def _abs_back(crew: Any, items: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _abs_back_item(items, (g, x, out), (), ()))


@inlined
def _power_of(v: Any, exponent: Any) -> Any:
    """``v ** exponent`` for 1, 2, 3 and 4."""
    square = v * v
    if exponent < 3:
        return v if exponent == 1 else square
    return square * v if exponent == 3 else square * square


@item
def _power_item(g: Any, x: Any, out: Any, exponent: Any, factor: Any) -> None:
    one = out.dtype.type(1)
    if exponent > 0:
        for i in range(out.size):
            out[i] = at(g, i) * (_power_of(x[i], exponent) * factor)
    else:
        for i in range(out.size):
            out[i] = at(g, i) * (_power_of(one / x[i], -exponent) * factor)


@loop
def _power(crew: Any, items: Any, exponent: Any, factor: Any, g: Any, x: Any, out: Any) -> None:
    share(crew, items, _power_item(items, (g, x, out), (exponent, factor), ()))


def _by_multiplication(exponent: Any) -> bool:
    return type(exponent) in (int, float) and exponent in (-4, -3, -2, -1, 1, 2, 3, 4)


def _power_by_number(x: Any, *, exponent: Any) -> Any:
    dtype = x.dtype
    if not flat.alike("fd", x) or not _by_multiplication(exponent):
        return NotImplemented
    return over(_power, QUICK, x, before=(dtype.type(exponent), dtype.type(1), dtype.type(1)))


_slope_of_power = kernel(_power, QUICK, "fd", lambda exponent: (exponent - 1, exponent))


def _power_back(g: Any, x: Any, *, exponent: Any) -> Any:
    return _slope_of_power(g, x, exponent=exponent) if _by_multiplication(exponent - 1) else NotImplemented


def _elu_numbers(alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> tuple[float, ...]:
    return scale, alpha * scale, input_scale


def _elu_back_numbers(alpha: float, scale: float, input_scale: float) -> tuple[float, ...]:
    return scale, alpha * scale * input_scale, input_scale


KERNELS: dict[str, tuple[Any, ...]] = {
    "abs": (_abs, QUICK, "fd"),
    "abs_back": (_abs_back, QUICK, "fd"),
    "elu": (_elu, SLOW, "f", _elu_numbers),
    "elu_back": (_elu_back, SLOW, "f", _elu_back_numbers),
    "hardswish": (_hardswish, QUICK, "fd", lambda: (3.0, 6.0)),
    "hardswish_back": (_hardswish_back, QUICK, "fd", lambda: (3.0, 0.5)),
    "hardtanh_back": (_between, QUICK, "fd", lambda min, max: (min, max)),
    "leaky_relu": (_leaky_relu, QUICK, "fd", lambda negative_slope=0.01: (negative_slope,)),
    "leaky_relu_back": (_leaky_relu_back, QUICK, "fd", lambda negative_slope: (negative_slope,)),
    "sign": (_sign, QUICK, "fd"),
}


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    flat.register(backend, KERNELS)
    compiled_kernel("power_by_number", backend)(_power_by_number)
    compiled_kernel("power_back", backend)(_power_back)
