"""Functions of ``xp`` on integers and bools, where NumPy and CuPy differ from each other or from what ``xp`` promises.

They refuse bools where an array library would answer with bytes or floats, keep integers integers, and give
division by zero, negative powers and long shifts one meaning on all backends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _numbers(x: Any) -> None:
    if x.dtype.kind == "b":
        raise TypeError("expected numbers, got bools")


def integer_functions(m: Any) -> dict[str, Callable[..., Any]]:
    """The functions, over the array module ``m``."""

    def rounding(name: str) -> Callable[..., Any]:
        native = getattr(m, name)

        def rounded(x: Any, /) -> Any:
            _numbers(x)
            return m.copy(x) if x.dtype.kind in "iu" else native(x)

        rounded.__name__ = name
        return rounded

    def division(name: str) -> Callable[..., Any]:
        native = getattr(m, name)

        def divided(x: Any, y: Any, /) -> Any:
            if x.dtype.kind in "biu":
                _numbers(x)
                zero = y == 0
                if zero if isinstance(zero, bool) else m.any(zero):
                    raise ZeroDivisionError("integer division by zero")
            return native(x, y)

        divided.__name__ = name
        return divided

    def sign(x: Any, /) -> Any:
        return m.copy(x) if x.dtype.kind == "b" else m.sign(x)

    def pow(x: Any, y: Any, /) -> Any:
        kind = x.dtype.kind
        if kind == "b":
            _numbers(x)
        if kind != "i" or not m.any(m.less(y, 0)):
            return m.pow(x, y)
        # 1 / x ** n rounded towards 0, which NumPy refuses
        negative = m.less(y, 0)
        of_minus_one = m.where(m.remainder(y, 2) == 0, 1, -1)
        inverse = m.where(m.equal(x, 1), 1, m.where(m.equal(x, -1), of_minus_one, 0))
        power = m.pow(x, m.where(negative, 0, y))
        return m.where(negative, inverse, power).astype(power.dtype)

    def bitwise_left_shift(x: Any, y: Any, /) -> Any:
        _numbers(x)
        # what a processor does beyond these limits is its own affair
        inside = (y >= 0) & (y < 8 * x.dtype.itemsize)
        return m.bitwise_left_shift(x, m.where(inside, y, 0).astype(x.dtype)) * inside.astype(x.dtype)

    def bitwise_right_shift(x: Any, y: Any, /) -> Any:
        _numbers(x)
        # as many places as there are bits leave the sign
        bits = 8 * x.dtype.itemsize
        inside = (y >= 0) & (y < bits)
        shifted = m.bitwise_right_shift(x, m.where(inside, y, bits - 1).astype(x.dtype))
        return shifted * (inside | (x < 0)).astype(x.dtype)

    return {
        **{name: rounding(name) for name in ("floor", "ceil", "trunc", "round")},
        **{name: division(name) for name in ("floor_divide", "remainder", "fmod")},
        "sign": sign, "pow": pow,
        "bitwise_left_shift": bitwise_left_shift, "bitwise_right_shift": bitwise_right_shift,
    }  # fmt: skip
