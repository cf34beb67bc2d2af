"""What the functions of matrices share: transposes, diagonals and the checks of arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.ops.shape import matrix_transpose
from chainrule.autograd.runtime import describe
from chainrule.autograd.samples import normal
from chainrule.autograd.tensor import Tensor

# ---- for arrays and Tensors -----------------------------------------------------------------------------------------


def is_complex(x: Any) -> bool:
    """Whether an array or Tensor has a complex dtype."""
    return dtypes.is_complex(x.dtype)


def conj(xp: Any, x: Any) -> Any:
    """The complex conjugate; a real array as it is."""
    return xp.conj(x) if is_complex(x) else x


def real(xp: Any, x: Any) -> Any:
    """The real part; a real array as it is."""
    return xp.real(x) if is_complex(x) else x


def adjoint(xp: Any, x: Any) -> Any:
    """The conjugate transpose of the last two dimensions."""
    return conj(xp, matrix_transpose(xp, x))


def diagonal_of(xp: Any, x: Any) -> Any:
    """The main diagonals of (..., M, N): (..., min(M, N))."""
    k = min(x.shape[-2:])
    batch = tuple(x.shape[:-2])
    return xp.reshape(x[..., :k, :k], shape=(*batch, k * k))[..., :: k + 1]


def is_diagonal(xp: Any, x: Any) -> Any:
    """A square bool matrix that marks the diagonal, for matrices (..., N, N)."""
    return xp.identity_like(x, n=x.shape[-1]) != 0


def diagonal_matrix(xp: Any, d: Any) -> Any:
    """(..., N) as the diagonals of (..., N, N)."""
    n = d.shape[-1]
    spread = xp.broadcast_to(xp.reshape(d, shape=(*d.shape, 1)), shape=(*d.shape, n))
    return xp.where(is_diagonal(xp, spread), spread, xp.zeros_like(spread))


def scaled_columns(xp: Any, x: Any, d: Any) -> Any:
    """``x @ diag(d)``."""
    return x * xp.reshape(d, shape=(*d.shape[:-1], 1, d.shape[-1]))


def scaled_rows(xp: Any, d: Any, x: Any) -> Any:
    """``diag(d) @ x``."""
    return xp.reshape(d, shape=(*d.shape, 1)) * x


# ---- checks of arguments --------------------------------------------------------------------------------------------


def check_matrix(name: str, x: Any, argument: str = "A", *, square: bool = False, floating: bool = True) -> None:
    """Raise unless ``x`` is a floating-point or complex tensor (..., M, N), with M = N if ``square``."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: argument {argument!r} must be a Tensor, got {describe(x)}")
    shape = tuple(x._data.shape)
    if len(shape) < 2:
        raise RuntimeError(f"{name}: argument {argument!r} must have at least 2 dimensions, got shape {shape}")
    if floating:
        check_floating(name, x, argument)
    if square and shape[-1] != shape[-2]:
        raise RuntimeError(
            f"{name}: argument {argument!r} must be a square matrix or a batch of them, got {shape[-2]} by "
            f"{shape[-1]} (shape {shape})"
        )


def check_floating(name: str, x: Tensor, argument: str = "A") -> None:
    """Raise for integers and bools."""
    if dtypes.category(x._data.dtype) < 2:
        raise RuntimeError(
            f"{name}: argument {argument!r} must be a floating-point or complex tensor, got {x.dtype}; convert first, "
            f"e.g. with .float()"
        )


def check_same_dtype(name: str, x: Tensor, y: Tensor) -> None:
    """Raise where two tensors differ in dtype."""
    if x._data.dtype != y._data.dtype:
        raise RuntimeError(f"{name}: expected one dtype, got {x.dtype} and {y.dtype}; convert one with .to(dtype)")


def broadcast_batches(x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Tensors (..., M, N) with their batch dimensions broadcast."""
    batch = np.broadcast_shapes(*[tuple(t._data.shape[:-2]) for t in (x, *others)])
    full = [t.expand(*batch, *t.shape[-2:]) if tuple(t._data.shape[:-2]) != batch else t for t in (x, *others)]
    return tuple(full)


# ---- samples --------------------------------------------------------------------------------------------------------


def regular(rng: Any, *shape: int) -> Any:
    """Well-conditioned matrices (..., M, N) with distinct singular values."""
    m, n = shape[-2:]
    return 0.4 * normal(rng, *shape) + np.eye(m, n) * np.arange(2.0, 2.0 + n)


def positive(rng: Any, *shape: int) -> Any:
    """Well-conditioned symmetric positive definite matrices (..., N, N) with distinct eigenvalues."""
    x = 0.3 * normal(rng, *shape)
    return x @ np.swapaxes(x, -1, -2) + np.diag(np.arange(1.0, 1.0 + shape[-1]))
