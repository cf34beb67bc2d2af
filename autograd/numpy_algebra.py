"""NumPy's linear algebra, Fourier transforms, comparisons and parts of complex numbers on Tensors."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from chainrule.autograd.numpy_functions import implements, ours, pass_on
from chainrule.autograd.numpy_reductions import floating
from chainrule.autograd.numpy_shapes import all_tensors, moveaxis
from chainrule.autograd.runtime import cast, result_dtype
from chainrule.autograd.tensor import Tensor


def common(*values: Any) -> list[Tensor]:
    """Operands as Tensors of one dtype."""
    given = all_tensors(values)
    to = result_dtype(list(given))
    return [cast(t, to) for t in given]


# ---- products -------------------------------------------------------------------------------------------------------


@implements(np.dot)
def dot(a: Any, b: Any, out: None = None) -> Tensor:
    x, y = common(a, b)
    if not x.ndim or not y.ndim:
        return x * y
    if y.ndim <= 2:
        return x @ y
    return tensordot(x, y, ([x.ndim - 1], [y.ndim - 2]))


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Tensor:
    x, y = common(a, b)
    return (_conj(x).ravel() * y.ravel()).sum()


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Tensor:
    x, y = common(a, b)
    return x * y if not x.ndim or not y.ndim else tensordot(x, y, ([x.ndim - 1], [y.ndim - 1]))


@implements(np.outer)
def outer(a: Any, b: Any, out: None = None) -> Tensor:
    x, y = common(a, b)
    return x.reshape(-1, 1) * y.reshape(1, -1)


@implements(np.kron)
def kron(a: Any, b: Any) -> Tensor:
    return ours("kron")(*common(a, b))


@implements(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    x, y = common(a, b)
    if isinstance(axes, int):
        axes = (list(range(x.ndim - axes, x.ndim)), list(range(axes)))
    left, right = [
        [int(d) % t.ndim for d in (v if isinstance(v, (tuple, list)) else [v])]
        for v, t in zip(axes, (x, y), strict=True)
    ]
    if [x.shape[d] for d in left] != [y.shape[d] for d in right]:
        raise ValueError(f"tensordot: shapes {tuple(x.shape)} and {tuple(y.shape)} do not agree along {(left, right)}")
    return ours("tensordot")(x, y, (left, right))


@implements(np.einsum)
def einsum(*operands: Any, out: None = None, optimize: Any = False, **options: Any) -> Tensor:
    if options or not isinstance(operands[0], str):
        raise TypeError("np.einsum: for a Tensor, give the subscripts as a string and no further options")
    return ours("einsum")(operands[0], *common(*operands[1:]))


@implements(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tensor:
    x, y = common(a, b)
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    u, v = x.unbind(axisa), y.unbind(axisb)
    if len(u) != 3 or len(v) != 3:
        raise ValueError(f"cross: expected vectors of 3 elements, got {len(u)} and {len(v)}")
    parts = [u[i] * v[j] - u[j] * v[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return ours("stack")(parts, axisc)


def last_axis(x: Tensor, axis: int) -> Tensor:
    """``axis`` moved behind all others."""
    return moveaxis(x, axis, -1) if axis not in (-1, x.ndim - 1) else x


# ---- matrices -------------------------------------------------------------------------------------------------------


@implements(np.trace)
def trace(a: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None) -> Tensor:
    return diagonal(a, offset, axis1, axis2).sum(-1, dtype=dtype)


@implements(np.diagonal)
def diagonal(a: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return ours("diagonal")(a, offset, axis1, axis2)


@implements(np.diag)
def diag(v: Tensor, k: int = 0) -> Tensor:
    return ours("diag")(v, k)


@implements(np.tril)
def tril(m: Tensor, k: int = 0) -> Tensor:
    return ours("tril")(m, k)


@implements(np.triu)
def triu(m: Tensor, k: int = 0) -> Tensor:
    return ours("triu")(m, k)


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Tensor, /) -> Tensor:
    return x.mT


@implements(np.linalg.norm)
def norm(x: Tensor, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    return ours("linalg.norm")(floating(x), ord, axis, keepdims)


@implements(np.linalg.svd)
def svd(a: Tensor, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    a = floating(a)
    return ours("linalg.svd")(a, full_matrices) if compute_uv else ours("linalg.svdvals")(a)


@implements(np.linalg.pinv)
def pinv(a: Tensor, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Tensor:
    tolerance = rtol if rcond is None else rcond
    if tolerance is None:
        tolerance = 1e-15  # NumPy's, which is not PyTorch's
    return ours("linalg.pinv")(floating(a), rtol=tolerance, hermitian=hermitian)


@implements(np.linalg.qr)
def qr(a: Tensor, mode: str = "reduced") -> Any:
    return ours("linalg.qr")(floating(a), mode)


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Tensor:
    return ours("linalg.solve")(*[floating(t) for t in common(a, b)])


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: None = None) -> Tensor:
    return ours("linalg.multi_dot")(common(*arrays))


@implements(np.linalg.eig)
def eig(a: Tensor) -> Any:
    values, vectors = ours("linalg.eig")(floating(a))
    return EigenResult(*_real_if_it_is(a, values, vectors))


@implements(np.linalg.eigvals)
def eigvals(a: Tensor) -> Tensor:
    return _real_if_it_is(a, ours("linalg.eigvals")(floating(a)))[0]


class EigenResult(NamedTuple):
    """What ``np.linalg.eig`` gives."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def _real_if_it_is(a: Tensor, values: Tensor, *others: Tensor) -> list[Tensor]:
    """Real parts where a real matrix has real eigenvalues alone, as NumPy decides it; PyTorch's are always complex."""
    if a.is_complex() or bool((ours("imag")(values.detach()) != 0).any()):
        return [values, *others]
    return [ours("real")(t) for t in (values, *others)]


@implements(np.linalg.matrix_power)
def matrix_power(a: Tensor, n: int) -> Tensor:
    return ours("linalg.matrix_power")(a, n)


pass_on(np.linalg, "inv det slogdet eigh eigvalsh cholesky svdvals", "linalg.")


# ---- Fourier transforms ---------------------------------------------------------------------------------------------


def _transform(name: str, several: bool) -> None:
    def one(a: Tensor, n: Any = None, axis: int = -1, norm: str | None = None, out: None = None) -> Tensor:
        return ours(f"fft.{name}")(a, n, axis, norm)

    def many(a: Tensor, s: Any = None, axes: Any = None, norm: str | None = None, out: None = None) -> Tensor:
        return ours(f"fft.{name}")(a, s, (-2, -1) if axes is None and name.endswith("2") else axes, norm)

    implements(getattr(np.fft, name))(many if several else one)


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    _transform(_name, several=False)
for _name in ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"):
    _transform(_name, several=True)
pass_on(np.fft, "fftshift ifftshift", "fft.")


# ---- comparisons and parts ------------------------------------------------------------------------------------------


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    return ours("isclose")(*common(a, b), rtol=rtol, atol=atol, equal_nan=equal_nan)


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    return bool(isclose(a, b, rtol, atol, equal_nan).all())


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    x, y = common(a1, a2)
    if x.shape != y.shape:
        return False
    same = x == y
    return bool((same | ((x != x) & (y != y)) if equal_nan else same).all())


@implements(np.nan_to_num)
def nan_to_num(x: Tensor, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Tensor:
    return ours("nan_to_num")(x, nan, posinf, neginf)


@implements(np.real)
def real(val: Tensor) -> Tensor:
    return ours("real")(val)


@implements(np.imag)
def imag(val: Tensor) -> Tensor:
    return ours("imag")(val) if val.is_complex() else ours("zeros_like")(val)


@implements(np.angle)
def angle(z: Tensor, deg: bool = False) -> Tensor:
    turned = ours("angle")(z)
    return turned * (180 / math.pi) if deg else turned


def _conj(x: Tensor) -> Tensor:
    return ours("conj")(x) if x.is_complex() else x


@implements(np.round, np.around)
def round(a: Tensor, decimals: int = 0, out: None = None) -> Tensor:
    return ours("round")(a) if not decimals else ours("round")(a, decimals=decimals)


@implements(np.sinc)
def sinc(x: Tensor) -> Tensor:
    return ours("sinc")(x)


@implements(np.nansum)
def nansum(a: Tensor, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
    return ours("nansum")(a, axis, keepdims, dtype=dtype)


@implements(np.nanmean)
def nanmean(a: Tensor, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
    return ours("nanmean")(floating(a), axis, keepdims, dtype=dtype)
