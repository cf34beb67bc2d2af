"""Complex numbers: their parts, conjugate, modulus and angle, and tensors of them made from real ones.

Gradients inside the engine are ``dL/dRe - i dL/dIm`` (see ``engine.py``), so that the rule of a holomorphic function
is its derivative. The functions here are not holomorphic; their rules follow from treating both parts as real inputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.methods import TensorMethods
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.matrices import is_complex
from chainrule.autograd.public import function, method_only
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor


def _numbers(rng: Any, *shape: int) -> Any:
    return normal(rng, *shape) + 1j * normal(rng, *shape)


def _samples(rng: Any) -> Any:
    for shape in [(3,), (2, 3), (), (0,), (2, 1, 4)]:
        yield Sample((_numbers(rng, *shape),))


# ---- parts ----------------------------------------------------------------------------------------------------------


@op(
    vjp={"x": lambda xp, g, x_dtype: xp.astype(g, dtype=x_dtype)},
    check=Samples(_samples, reference=np.real),
    view=True,
    arithmetic=False,
)
def real(xp, x):
    """The real part of a complex tensor."""
    return xp.real(x)


@op(
    vjp={"x": lambda xp, g: g * -1j},
    check=Samples(_samples, reference=np.imag),
    view=True,
    arithmetic=False,
)
def imag(xp, x):
    """The imaginary part of a complex tensor."""
    return xp.imag(x)


@function("real", method=False)
def _real(input: Tensor) -> Tensor:
    """The real part, as a view that can be written to; a real tensor as it is.

    Example:
        >>> import chainrule as cr
        >>> cr.real(cr.tensor([1 + 2j, 3 - 4j]))
        tensor([1., 3.])
    """
    return xp_of_tensors.real(input) if is_complex(input) else input


@function("imag", method=False)
def _imag(input: Tensor) -> Tensor:
    """The imaginary part, as a view that can be written to. Raises RuntimeError for a real tensor.

    Example:
        >>> import chainrule as cr
        >>> cr.imag(cr.tensor([1 + 2j, 3 - 4j]))
        tensor([ 2., -4.])
    """
    if not is_complex(input):
        raise RuntimeError(f"imag: is not implemented for tensors with non-complex dtypes, got {input.dtype}")
    return xp_of_tensors.imag(input)


def _set_real(input: Tensor, value: Any) -> None:
    _real(input).copy_(value)


def _set_imag(input: Tensor, value: Any) -> None:
    _imag(input).copy_(value)


for _name, _part in {"real": property(_real, _set_real), "imag": property(_imag, _set_imag)}.items():
    setattr(TensorMethods, _name, _part)


@op(
    vjp={"x": lambda xp, g: xp.from_parts(g[..., 0], -g[..., 1])},
    check=Samples(_samples, reference=lambda x: np.stack([x.real, x.imag], -1)),
    view=True,
    arithmetic=False,
)
def view_as_real(xp, x):
    """Both parts along a new last dimension of length 2."""
    return xp.parts_of_complex(x)


@op(
    vjp={"x": lambda xp, g: xp.view_as_real(xp.conj(g))},
    check=Samples(
        lambda rng: [Sample((normal(rng, *shape, 2),)) for shape in [(3,), (2, 3), (), (0,), (2, 1, 4)]],
        reference=lambda x: x[..., 0] + 1j * x[..., 1],
    ),
    view=True,
    arithmetic=False,
)
def view_as_complex(xp, x):
    """Pairs along the last dimension as complex numbers."""
    return xp.complex_of_parts(x)


@function("view_as_real", method=False)
def _view_as_real(input: Tensor) -> Tensor:
    """Real and imaginary parts along a new last dimension of length 2: a view of the same memory.

    Example:
        >>> import chainrule as cr
        >>> cr.view_as_real(cr.tensor([1 + 2j, 3 - 4j]))
        tensor([[ 1.,  2.],
                [ 3., -4.]])
    """
    if not is_complex(input):
        raise RuntimeError(f"view_as_real: is only supported for complex tensors, got {input.dtype}")
    return xp_of_tensors.view_as_real(input)


@function("view_as_complex", method=False)
def _view_as_complex(input: Tensor) -> Tensor:
    """The pairs along the last dimension as complex numbers: a view of the same memory.

    Raises RuntimeError unless the last dimension has length 2 and neighbours in memory.

    Example:
        >>> import chainrule as cr
        >>> cr.view_as_complex(cr.tensor([[1.0, 2.0], [3.0, -4.0]]))
        tensor([1.+2.j, 3.-4.j])
    """
    if input._data.dtype not in (np.float32, np.float64):
        raise RuntimeError(f"view_as_complex: expected float32 or float64, got {input.dtype}")
    if not input._data.ndim or input._data.shape[-1] != 2:
        raise RuntimeError(f"view_as_complex: the last dimension must have length 2, got shape {tuple(input.shape)}")
    steps = input.stride()
    if steps[-1] != 1 or any(step % 2 for step in steps[:-1]):
        raise RuntimeError(
            f"view_as_complex: the last dimension must have stride 1 and the others even strides, got {tuple(steps)}; "
            f"use contiguous() or clone() first"
        )
    return xp_of_tensors.view_as_complex(input)


@op(
    vjp={"x": lambda xp, g: xp.real(g), "y": lambda xp, g: -xp.imag(g)},
    check=Samples(
        lambda rng: (
            [Sample((normal(rng, *s), normal(rng, *s))) for s in [(3,), (2, 3), (), (0,)]]
            + [Sample((normal(rng, 2, 1), normal(rng, 3)))]
        ),
        reference=lambda x, y: x + 1j * y,
    ),
    broadcasts=True,
    label="complex",
)
def from_parts(xp, x, y):
    """The complex numbers with real parts ``x`` and imaginary parts ``y``."""
    shape = xp.broadcast_arrays(x, y)[0].shape
    out = xp.empty(shape, dtype=xp.result_type(x.dtype, np.dtype(np.complex64)))
    # not x + 1j * y, which makes NaN of infinities and loses the sign of -0.0
    xp.real(out)[...] = x
    xp.imag(out)[...] = y
    return out


def _check_parts(caller: str, x: Tensor, y: Tensor) -> None:
    for t in (x, y):
        if not isinstance(t, Tensor) or t._data.dtype not in (np.float32, np.float64):
            raise RuntimeError(f"{caller}: expected two float32 or two float64 tensors, got {getattr(t, 'dtype', t)!r}")
    if x._data.dtype != y._data.dtype:
        raise RuntimeError(f"{caller}: expected both tensors in {x.dtype}, got {y.dtype} for the second")


@function("complex", method=False)
def _complex(real: Tensor, imag: Tensor) -> Tensor:
    """Complex numbers from their real and imaginary parts, which have one dtype (float32 or float64).

    Example:
        >>> import chainrule as cr
        >>> cr.complex(cr.tensor([1.0, 2.0]), cr.tensor([3.0, -4.0]))
        tensor([1.+3.j, 2.-4.j])
    """
    _check_parts("complex", real, imag)
    return xp_of_tensors.from_parts(real, imag)


@function("polar", method=False)
def _polar(abs: Tensor, angle: Tensor) -> Tensor:
    """Complex numbers from modulus and angle, which have one dtype (float32 or float64).

    Example:
        >>> import chainrule as cr
        >>> cr.polar(cr.tensor([1.0, 2.0]), cr.tensor([0.0, cr.pi / 2])).imag
        tensor([0., 2.])
    """
    _check_parts("polar", abs, angle)
    return xp_of_tensors.from_parts(abs * xp_of_tensors.cos(angle), abs * xp_of_tensors.sin(angle))


# ---- conjugate, angle, sign -----------------------------------------------------------------------------------------


@op(vjp={"x": lambda xp, g: xp.conj(g)}, check=Samples(_samples, reference=np.conj), arithmetic=False)
def conj(xp, x):
    """The complex conjugate; a real tensor's copy."""
    return xp.conj(x)


@function("conj")
def _conj(input: Tensor) -> Tensor:
    """The complex conjugate, computed at once (``is_conj()`` is never true); a real tensor as it is.

    Example:
        >>> import chainrule as cr
        >>> cr.conj(cr.tensor([1 + 2j, 3 - 4j]))
        tensor([1.-2.j, 3.+4.j])
    """
    return xp_of_tensors.conj(input) if is_complex(input) else input


@function("conj_physical", inplace=True)
def _conj_physical(input: Tensor) -> Tensor:
    """The complex conjugate; a real tensor as it is.

    Example:
        >>> import chainrule as cr
        >>> cr.conj_physical(cr.tensor([1 + 2j]))
        tensor([1.-2.j])
    """
    return _conj(input)


@function("resolve_conj resolve_neg")
def _resolved(input: Tensor) -> Tensor:
    """The tensor itself: conjugates and negatives are never pending here.

    Example:
        >>> import chainrule as cr
        >>> cr.resolve_conj(cr.tensor([1 + 2j]))
        tensor([1.+2.j])
    """
    return input


@function("is_conj is_neg")
def _is_pending(input: Tensor) -> bool:
    """False: conjugates and negatives are computed at once.

    Example:
        >>> import chainrule as cr
        >>> cr.is_conj(cr.tensor([1 + 2j]).conj())
        False
    """
    return False


def _angle_rule(xp: Any, g: Any, x: Any) -> Any:
    if not is_complex(x):
        return xp.zeros_like(g)
    size = xp.square(xp.real(x)) + xp.square(xp.imag(x))
    zero = size == 0
    return g * xp.where(zero, xp.zeros_like(x), xp.conj(x) * -1j / xp.where(zero, xp.ones_like(size), size))


@op(
    vjp={"x": _angle_rule},
    check=Samples(
        lambda rng: [*_samples(rng), Sample((normal(rng, 2, 3),)), Sample((normal(rng),))], reference=np.angle
    ),
    public="angle",
    floating=True,
)
def angle(xp, x):
    """The angle of complex numbers in radians; of real ones 0 or, where negative, pi.

    Example:
        >>> import chainrule as cr
        >>> cr.angle(cr.tensor([1j, -1.0]))
        tensor([1.5708, 3.1416])
    """
    if is_complex(x):
        return xp.atan2(xp.imag(x), xp.real(x))
    turned = xp.where(x < 0, xp.asarray(np.pi, dtype=x.dtype), xp.zeros_like(x))
    return xp.where(xp.isnan(x), x, turned)


def _sgn_rule(xp: Any, g: Any, x: Any) -> Any:
    if not is_complex(x):
        return xp.zeros_like(g)
    modulus = xp.abs(x)
    zero = modulus == 0
    safe = xp.where(zero, xp.ones_like(modulus), modulus)
    sign = x / safe
    return xp.where(zero, xp.zeros_like(g), (g - xp.real(sign * g) * xp.conj(sign)) / safe)


@op(
    vjp={"x": _sgn_rule},
    check=Samples(
        lambda rng: [*_samples(rng), Sample((normal(rng, 2, 3),))],
        reference=lambda x: x / np.abs(x) if x.size else x,
    ),
    public="sgn",
    inplace=True,
)
def sgn(xp, x):
    """``x / |x|``, which is the sign of a real number; 0 at 0.

    Example:
        >>> import chainrule as cr
        >>> cr.sgn(cr.tensor([3 + 4j, 0]))
        tensor([0.6000+0.8000j, 0.0000+0.0000j])
    """
    if not is_complex(x):
        return xp.sign(x)
    modulus = xp.abs(x)
    return x / xp.where(modulus == 0, xp.ones_like(modulus), modulus)


# ---- conversions ----------------------------------------------------------------------------------------------------


@method_only("cfloat")
def _cfloat(input: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor as complex64."""
    return input.to(dtypes.complex64)


@method_only("cdouble")
def _cdouble(input: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor as complex128."""
    return input.to(dtypes.complex128)


@method_only("chalf")
def _chalf(input: Tensor, memory_format: Any = None) -> Tensor:
    """Refused: neither NumPy nor CuPy has complex numbers of two 2-byte floats."""
    raise TypeError("chalf: complex32 does not exist here; use cfloat() for complex64")
