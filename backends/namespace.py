"""The array namespace ``xp``: what gradient rules and forwards are written against.

There is one :class:`ArrayNamespace` per backend. ``xp.f`` is, in this order,

1. the kernel that the backend registered for the op ``f``,
2. the function ``f`` of the Python Array API standard 2024.12, taken from the backend's array module
   (or a thin shim where that module differs; ``xp.linalg`` has factorizations, ``xp.fft`` Fourier transforms),
3. the forward of the op ``f`` as it was declared in ``chainrule.autograd.ops``.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any

from chainrule.backends.fourier import Fourier
from chainrule.backends.integers import integer_functions
from chainrule.backends.linear_algebra import LinearAlgebra
from chainrule.backends.shims import memory_shims, standard_shims
from chainrule.backends.strided import strided_shims

Forward = Callable[..., Any]

#: Forwards of every declared op, filled by ``chainrule.autograd.op`` (this package never imports it).
FORWARDS: dict[str, Forward] = {}

#: Kernels by backend name and op name.
KERNELS: dict[tuple[str, str], Forward] = {}

# All of these are in NumPy 2.1 and in CuPy 14 under the same name (tests/test_backends.py compares with CuPy's list).
_SAME_NAME = """
abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_invert bitwise_or
bitwise_right_shift bitwise_xor ceil conj copysign cos cosh divide equal exp expm1 floor floor_divide
greater greater_equal hypot imag isfinite isinf isnan less less_equal log log1p log2 log10 logaddexp
logical_and logical_not logical_or logical_xor maximum minimum multiply negative nextafter not_equal
positive pow real reciprocal remainder round sign signbit sin sinh square sqrt subtract tan tanh trunc
exp2 logaddexp2 fmod fmax fmin frexp gcd lcm
sum mean prod max min argmax argmin all any nonzero searchsorted where count_nonzero
broadcast_arrays broadcast_to concat expand_dims moveaxis permute_dims repeat reshape roll squeeze
stack tile arange asarray empty empty_like eye full full_like linspace ones ones_like zeros
zeros_like tril triu matmul tensordot einsum take take_along_axis result_type can_cast iinfo meshgrid diff
""".split()


#: every namespace made so far; ops declared later are bound to them
_NAMESPACES: list[ArrayNamespace] = []


class ArrayNamespace:
    """The functions that run on one backend's arrays; see the module docstring."""

    def __init__(self, module: Any, name: str, scatter_add: Callable[[Any, Any, Any], None] | None = None) -> None:
        self.module = module
        self.name = name
        for function in _SAME_NAME:
            native = getattr(module, function, None)
            if native is not None:
                setattr(self, function, native)
        for function, shim in standard_shims(module).items():
            setattr(self, function, shim)
        for function, careful in integer_functions(module).items():
            setattr(self, function, careful)
        for function, shim in memory_shims(module, scatter_add).items():
            setattr(self, function, shim)
        for function, shim in strided_shims(module).items():
            setattr(self, function, shim)

        self.linalg = LinearAlgebra(module)
        self.fft = Fourier(module)
        for op, forward in FORWARDS.items():
            self.bind(op, forward)
        _NAMESPACES.append(self)

    def bind(self, op: str, forward: Forward) -> None:
        """Make a declared forward reachable, unless the array library or a kernel has the function.

        Everything is bound beforehand: a class with ``__getattr__`` pays 50 ns for each attribute it does have.
        """
        if op not in self.__dict__:
            setattr(self, op, MethodType(forward, self))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __repr__(self) -> str:
        return f"<xp of backend {self.name!r}>"


def register_forward(name: str, forward: Forward) -> None:
    """Make the forward of a declared op reachable as ``xp.name`` on every backend."""
    if name in FORWARDS:
        raise ValueError(
            f"op {name!r} is declared twice; is a module imported both as chainrule.X and as the top-level folder X?"
        )
    FORWARDS[name] = forward
    for namespace in _NAMESPACES:
        namespace.bind(name, forward)
