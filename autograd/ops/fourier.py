"""Discrete Fourier transforms: the functions of ``chainrule.fft``.

Three recorded transforms carry all of them: complex to complex along several dimensions, real to the first half of
its spectrum, and back. All are linear, so each rule is the transposed transform; no conjugate stands in them
beyond those that turn one direction into the other (see ``complex.py`` on gradients of complex numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.indexing import getitem_of
from chainrule.autograd.ops.shape import integers, normal_axis
from chainrule.autograd.public import function
from chainrule.autograd.runtime import cast
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor

#: the normalisation with which the opposite direction has the same factor
_TRANSPOSED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}

# ---- recorded transforms --------------------------------------------------------------------------------------------


def _numbers(rng: Any, *shape: int) -> Any:
    return normal(rng, *shape) + 1j * normal(rng, *shape)


def _complex_samples(rng: Any) -> Any:
    for inverse, norm in ((False, "backward"), (True, "backward"), (False, "ortho"), (True, "forward")):
        yield Sample((_numbers(rng, 5),), {"axes": (0,), "inverse": inverse, "norm": norm})
    yield Sample((_numbers(rng, 2, 3, 2),), {"axes": (2, 0), "inverse": False, "norm": "forward"})
    yield Sample((_numbers(rng, 0, 3),), {"axes": (1,), "inverse": True, "norm": "ortho"})


@op(
    vjp={"x": lambda xp, g, axes, inverse, norm: xp.fourier(g, axes=axes, inverse=inverse, norm=norm)},
    check=Samples(
        _complex_samples,
        reference=lambda x, axes, inverse, norm: (np.fft.ifftn if inverse else np.fft.fftn)(x, axes=axes, norm=norm),
    ),
    label="fft",
)
def fourier(xp, x, *, axes, inverse, norm):
    """The transform of complex numbers along ``axes``; its matrix is symmetric."""
    return xp.fft.complex(x, axes, inverse, norm)


@op(
    vjp=None,
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 2, 3),), {"n": n, "axis": 1, "inner": 2.0, "norm": "backward"}) for n in (4, 5)
        ],
        reference=lambda x, n, axis, inner, norm: np.array([[1.0, 2.0, 1.0 if n == 4 else 2.0]]),
    ),
)
def half_weights(xp, x, *, n, axis, inner, norm):
    """1 for the elements of a half spectrum of ``n`` that are their own mirror images, ``inner`` for the others."""
    weights = xp.full((n // 2 + 1,), inner, dtype=xp.real(x).dtype)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    return xp.reshape(weights, tuple([-1 if a == axis % x.ndim else 1 for a in range(x.ndim)]))


def _half_back(xp: Any, g: Any, x_shape: Any, axis: int, norm: str) -> Any:
    n = x_shape[axis]
    g = xp.conj(g) * xp.half_weights(g, n=n, axis=axis, inner=0.5, norm=norm)
    return xp.fourier_from_half(g, n=n, axis=axis, norm=_TRANSPOSED[norm])


def _whole_back(xp: Any, g: Any, n: int, axis: int, norm: str) -> Any:
    spectrum = xp.conj(xp.fourier_half(g, axis=axis, norm=_TRANSPOSED[norm]))
    return spectrum * xp.half_weights(g, n=n, axis=axis, inner=2.0, norm=norm)


@op(
    vjp={"x": _half_back},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, *shape),), {"axis": axis, "norm": norm})
            for shape, axis, norm in [
                ((6,), 0, "backward"),
                ((5,), 0, "ortho"),
                ((2, 1), 1, "forward"),
                ((2, 2), 0, "forward"),
                ((3, 2, 2), 0, "backward"),
                ((0, 3), 1, "backward"),
            ]
        ],
        reference=lambda x, axis, norm: np.fft.rfft(x, axis=axis, norm=norm),
    ),
    label="rfft",
)
def fourier_half(xp, x, *, axis, norm):
    """The first half of the transform of real numbers; the other half is its mirror image, conjugated."""
    return xp.fft.half(x, axis, norm)


@op(
    vjp={"x": _whole_back},
    check=Samples(
        lambda rng: [
            Sample((_numbers(rng, *shape),), {"n": n, "axis": axis, "norm": norm})
            for shape, n, axis, norm in [
                ((4,), 6, 0, "backward"),
                ((3,), 5, 0, "ortho"),
                ((2, 1), 1, 1, "forward"),
                ((2, 2), 2, 0, "backward"),
                ((3, 2, 2), 4, 0, "forward"),
                ((0, 3), 4, 1, "backward"),
            ]
        ],
        reference=lambda x, n, axis, norm: np.fft.irfft(x, n, axis, norm=norm),
    ),
    label="irfft",
)
def fourier_from_half(xp, x, *, n, axis, norm):
    """``n`` real numbers from the first half of their transform; imaginary parts that must be 0 are ignored."""
    return xp.fft.whole(x, n, axis, norm)


# ---- arguments ------------------------------------------------------------------------------------------------------


def _norm(caller: str, norm: Any) -> str:
    if norm not in (None, "backward", "ortho", "forward"):
        raise RuntimeError(f"{caller}: norm must be 'backward', 'ortho', 'forward' or None, got {norm!r}")
    return norm or "backward"


def _floating(caller: str, t: Tensor, *, real: bool = False) -> Tensor:
    """The input in a dtype that can be transformed: integers in the default dtype; 2-byte floats are refused."""
    if dtypes.category(t._data.dtype) < 2:
        t = cast(t, dtypes.get_default_dtype().dtype)
    if t._data.dtype.itemsize == 2:
        raise RuntimeError(f"{caller}: unsupported dtype {t.dtype}; convert with .float() first")
    if real and t.is_complex():
        raise RuntimeError(f"{caller}: expects a real input tensor, got {t.dtype}")
    return t


def _complex(caller: str, t: Tensor) -> Tensor:
    t = _floating(caller, t)
    return t if t.is_complex() else cast(t, np.dtype(np.result_type(t._data.dtype, np.complex64)))


def _length(caller: str, n: Any) -> int:
    if n < 1:
        raise RuntimeError(f"{caller}: invalid number of data points ({n}) specified; it must be at least 1")
    return int(n)


def resized(t: Tensor, sizes: dict[int, int]) -> Tensor:
    """Dimensions cut at their end, or padded with zeros there, to the given lengths."""
    shape = t._data.shape
    if any(n < shape[d] for d, n in sizes.items()):
        t = getitem_of(t, tuple([slice(0, sizes.get(d, length)) for d, length in enumerate(shape)]))
    if any(n > shape[d] for d, n in sizes.items()):
        widths = tuple([(0, max(sizes.get(d, 0) - length, 0)) for d, length in enumerate(shape)])
        t = xp_of_tensors.pad_constant(t, widths=widths, value=0.0)
    return t


def _dims_and_sizes(caller: str, t: Tensor, s: Any, dim: Any) -> tuple[list[int], list[int]]:
    """The transformed dimensions and their lengths; -1 in ``s`` keeps a length."""
    shape = t._data.shape
    lengths = None if s is None else list(integers(caller, (s,)))
    if dim is not None:
        dims = [normal_axis(caller, d, len(shape)) for d in integers(caller, (dim,))]
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"{caller}: dim must name each dimension once, got {dim}")
        if lengths is not None and len(lengths) != len(dims):
            raise RuntimeError(f"{caller}: s and dim must have the same length, got s={s} and dim={dim}")
    elif lengths is None:
        dims = list(range(len(shape)))
    else:
        if len(lengths) > len(shape):
            raise RuntimeError(f"{caller}: got {len(lengths)} lengths s for a tensor of {len(shape)} dimensions")
        dims = list(range(len(shape) - len(lengths), len(shape)))
    if lengths is None:
        lengths = [-1] * len(dims)
    return dims, [shape[d] if n == -1 else n for d, n in zip(dims, lengths, strict=True)]


def _last_given(s: Any) -> bool:
    """Whether ``s`` says what the length of the last dimension is."""
    given = () if s is None else integers("s", (s,))
    return bool(given) and given[-1] != -1


# ---- complex to complex ---------------------------------------------------------------------------------------------


def _several(caller: str, input: Tensor, s: Any, dim: Any, norm: Any, inverse: bool) -> Tensor:
    dims, sizes = _dims_and_sizes(caller, input, s, dim)
    norm = _norm(caller, norm)
    t = _complex(caller, input)
    for n in sizes:
        _length(caller, n)
    if not dims:
        return xp_of_tensors.clone(t) if t is input else t
    t = resized(t, dict(zip(dims, sizes, strict=True)))
    return xp_of_tensors.fourier(t, axes=tuple(dims), inverse=inverse, norm=norm)


def _one(n: Any) -> Any:
    return None if n is None else (n,)


# ---- real to half, half to real -------------------------------------------------------------------------------------


def _halved(caller: str, input: Tensor, s: Any, dim: Any, norm: Any, inverse: bool) -> Tensor:
    """``rfftn`` and, as its conjugate, ``ihfftn``."""
    t = _floating(caller, input, real=True)
    dims, sizes = _dims_and_sizes(caller, t, s, dim)
    norm = _norm(caller, norm)
    if not dims:
        raise RuntimeError(f"{caller}: must transform at least one dimension")
    for n in sizes:
        _length(caller, n)
    t = resized(t, dict(zip(dims, sizes, strict=True)))
    t = xp_of_tensors.fourier_half(t, axis=dims[-1], norm=_TRANSPOSED[norm] if inverse else norm)
    t = xp_of_tensors.conj(t) if inverse else t
    if len(dims) > 1:
        t = xp_of_tensors.fourier(t, axes=tuple(dims[:-1]), inverse=inverse, norm=norm)
    return t


def _made_whole(caller: str, input: Tensor, s: Any, dim: Any, norm: Any, inverse: bool) -> Tensor:
    """``irfftn`` and, of the conjugate, ``hfftn``."""
    t = _complex(caller, input)
    dims, sizes = _dims_and_sizes(caller, t, s, dim)
    norm = _norm(caller, norm)
    if not dims:
        raise RuntimeError(f"{caller}: must transform at least one dimension")
    n = sizes[-1] if _last_given(s) else 2 * (sizes[-1] - 1)
    for length in (*sizes[:-1], n):
        _length(caller, length)
    t = resized(t, dict(zip(dims, [*sizes[:-1], n // 2 + 1], strict=True)))
    if len(dims) > 1:
        t = xp_of_tensors.fourier(t, axes=tuple(dims[:-1]), inverse=inverse, norm=norm)
    t = t if inverse else xp_of_tensors.conj(t)
    return xp_of_tensors.fourier_from_half(t, n=n, axis=dims[-1], norm=norm if inverse else _TRANSPOSED[norm])


# ---- the functions --------------------------------------------------------------------------------------------------

_ARGUMENTS = """
    Args:
        {lengths}: {what} to which the {dims} cut or padded with zeros first.
        dim: {which}.
        norm: which direction is divided by the number of points: ``"backward"`` (the inverse), ``"forward"``, or
            ``"ortho"``, which divides both by its root.

    Raises RuntimeError for 2-byte floats{real}, lengths below 1 and an unknown norm.
"""


def _publish(kind: Callable[..., Tensor], inverse: bool, name: str, summary: str, example: str, shown: str) -> None:
    """The three functions of one kind: along one dimension, two, and any number."""
    real = " and complex tensors" if kind is _halved else ""

    def document(f: Any, suffix: str, lengths: str, what: str, dims: str, which: str, call: str) -> None:
        f.__name__ = f.__qualname__ = f"{name}{suffix}"
        arguments = _ARGUMENTS.format(lengths=lengths, what=what, dims=dims, which=which, real=real)
        f.__doc__ = f"""{summary}{" over several dimensions" if suffix else ""}.
{arguments}
    Example:
        >>> import chainrule as cr
        >>> {call}
        {shown}
    """
        function(f"fft.{f.__name__}")(f)

    def one(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
        return kind(f"fft.{name}", input, _one(n), (dim,), norm, inverse)

    def two(
        input: Tensor, s: Sequence[int] | None = None, dim: Sequence[int] = (-2, -1), norm: str | None = None
    ) -> Tensor:
        return kind(f"fft.{name}2", input, s, dim, norm, inverse)

    def several(
        input: Tensor, s: Sequence[int] | None = None, dim: Sequence[int] | None = None, norm: str | None = None
    ) -> Tensor:
        return kind(f"fft.{name}n", input, s, dim, norm, inverse)

    document(one, "", "n", "the length", "dimension is", "the transformed dimension", f"cr.fft.{name}({example})")
    for f, suffix, which in (
        (two, "2", "the two transformed dimensions"),
        (several, "n", "the transformed dimensions; all, or the last ones when only ``s`` is given"),
    ):
        call = f"cr.fft.{name}{suffix}({example}.reshape(1, -1))[0]"
        document(f, suffix, "s", "the lengths", "dimensions are", which, call)


_publish(
    _several,
    False,
    "fft",
    "Discrete Fourier transform",
    "cr.tensor([1.0, 2.0, 3.0, 4.0])",
    "tensor([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j])",
)
_publish(
    _several,
    True,
    "ifft",
    "Inverse of the discrete Fourier transform",
    "cr.tensor([4.0, 0.0, 0.0, 0.0])",
    "tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])",
)
_publish(
    _halved,
    False,
    "rfft",
    "The first half of the discrete Fourier transform of real numbers",
    "cr.tensor([1.0, 2.0, 3.0, 4.0])",
    "tensor([10.+0.j, -2.+2.j, -2.+0.j])",
)
_publish(
    _made_whole,
    True,
    "irfft",
    "Inverse of ``rfft``: real numbers from the first half of their transform",
    "cr.tensor([4.0, 0.0, 0.0])",
    "tensor([1., 1., 1., 1.])",
)
_publish(
    _made_whole,
    False,
    "hfft",
    "Discrete Fourier transform of a signal of which the first half is given and whose spectrum is real",
    "cr.tensor([4.0, 0.0, 0.0])",
    "tensor([4., 4., 4., 4.])",
)
_publish(
    _halved,
    True,
    "ihfft",
    "Inverse of ``hfft``: the first half of a signal whose spectrum is real",
    "cr.tensor([4.0, 4.0, 4.0, 4.0])",
    "tensor([4.-0.j, 0.-0.j, 0.-0.j])",
)
