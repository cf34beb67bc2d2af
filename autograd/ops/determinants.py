"""Determinants; their gradients are right for singular matrices too."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.factors import SignLogabsdet
from chainrule.autograd.ops.matrices import check_matrix, conj, is_complex, regular, scaled_columns
from chainrule.autograd.ops.shape import matrix_transpose
from chainrule.autograd.public import function
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor

_SHAPES = [(3, 3), (2, 2, 2), (1, 1), (0, 0), (0, 2, 2)]


def _times(xp: Any, factor: Any, x: Any) -> Any:
    """One number for each matrix of a batch."""
    return xp.reshape(factor, shape=(*factor.shape, 1, 1)) * x


def _inner(xp: Any, x: Any, y: Any) -> Any:
    return xp.sum(x * y, axis=(-2, -1))


def _cofactors(a: Any) -> Any:
    return np.linalg.det(a)[..., None, None] * np.swapaxes(np.linalg.inv(a), -1, -2)


@op(
    vjp={"x": lambda xp, g, x: _times(xp, g, xp.cofactors(x))},
    check=Samples(
        lambda rng: [
            *[Sample((regular(rng, *s),)) for s in _SHAPES],
            Sample((np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.5, -1.0, 2.0]]),)),
            Sample((np.outer([1.0, 2.0, -1.0], [0.5, 1.0, 2.0]),)),
            Sample((np.zeros((2, 2)),)),
        ],
        reference=np.linalg.det,
    ),
    label="linalg.det",
)
def det(xp, x):
    """The determinant of each matrix."""
    return xp.linalg.det(x)


def _from_svd(xp: Any, x: Any) -> tuple[Any, ...]:
    """The parts of x = U S V^H, and the phase det(U) det(V^H)."""
    u, s, vh = xp.linalg.svd(x, True)
    return conj(xp, u), s, conj(xp, vh), xp.linalg.det(u) * xp.linalg.det(vh)


def _others(xp: Any, s: Any, apart: Any) -> Any:
    """Products of the elements of (..., N) where ``apart`` (..., N) is False."""
    return xp.prod(xp.where(apart, xp.ones_like(s), s), axis=-1)


@op(
    vjp={"x": lambda xp, g, x: xp.cofactor_slopes(x, g)},
    check=Samples(
        lambda rng: [Sample((regular(rng, *s),)) for s in _SHAPES],
        reference=_cofactors,
    ),
    label="linalg.det",
)
def cofactors(xp, x):
    """The gradient of the determinant: what ``det(A) * inv(A).T`` is for regular A, from the singular values."""
    u, s, vh, phase = _from_svd(xp, x)
    n = x.shape[-1]
    without = _others(xp, s[..., None, :], xp.eye(n, dtype=x.dtype) != 0)
    return _times(xp, phase, xp.matmul(scaled_columns(xp, u, xp.astype(without, x.dtype)), vh))


def _slopes_x(xp: Any, g: Any, x: Any, y: Any) -> Any:
    """The third derivative of the determinant, for regular matrices."""
    k = matrix_transpose(xp, xp.inverse(x))
    g_y = xp.matmul(xp.matmul(k, matrix_transpose(xp, y)), k)
    g_g = xp.matmul(xp.matmul(k, matrix_transpose(xp, g)), k)
    both = xp.matmul(xp.matmul(g_y, matrix_transpose(xp, g)), k)
    both = both + xp.matmul(xp.matmul(g_g, matrix_transpose(xp, y)), k)
    of_y, of_g = _inner(xp, y, k), _inner(xp, g, k)
    total = _times(xp, of_y * of_g - _inner(xp, g, g_y), k) + both
    return _times(xp, xp.det(x), total - _times(xp, of_g, g_y) - _times(xp, of_y, g_g))


@op(
    vjp={"x": _slopes_x, "y": lambda xp, g, x: xp.cofactor_slopes(x, g)},
    check=Samples(
        lambda rng: [Sample((regular(rng, *s), normal(rng, *s))) for s in [(3, 3), (2, 2, 2), (4, 4), (1, 1)]],
        reference=lambda x, y: (
            (np.sum(y * np.swapaxes(np.linalg.inv(x), -1, -2), (-2, -1)))[..., None, None] * _cofactors(x)
            - np.swapaxes(np.linalg.inv(x), -1, -2) @ np.swapaxes(y, -1, -2) @ _cofactors(x)
        ),
    ),
    label="linalg.det",
)
def cofactor_slopes(xp, x, y):
    """How the cofactors change in the direction y: the second derivative of the determinant, which is symmetric.

    In the basis of the singular vectors the matrix is diagonal, and the derivative of the cofactor (i, j) is a
    product of the other singular values.
    """
    u, s, vh, phase = _from_svd(xp, x)
    n = x.shape[-1]
    one = xp.eye(n, dtype=x.dtype) != 0
    inner = xp.matmul(xp.matmul(matrix_transpose(xp, u), y), matrix_transpose(xp, vh))
    # without[i, k]: the product of all singular values but i and k; on the diagonal, which is not used, 0
    without = _others(xp, s[..., None, None, :], one[:, None, :] | one[None, :, :])
    without = xp.astype(xp.where(one, xp.zeros_like(without), without), x.dtype)
    diagonal = xp.sum(without * xp.sum(xp.where(one, inner, xp.zeros_like(inner)), axis=-2)[..., None, :], axis=-1)
    slopes = xp.where(one, diagonal[..., None] * xp.ones_like(inner), -without * matrix_transpose(xp, inner))
    return _times(xp, phase, xp.matmul(xp.matmul(u, slopes), vh))


def _slogdet_back(xp: Any, g: Any, x: Any, sign: Any) -> Any:
    """``g * matrix_transpose(inv(x))``. Where the matrix is singular, the gradient is nan."""
    of_sign, factor = g
    if is_complex(sign):  # d sign is sign * i * Im(tr(A^-1 dA))
        factor = factor + xp.imag(of_sign * sign) * 1j
    return _times(xp, factor, matrix_transpose(xp, xp.inverse_ex(x)[0]))


@op(
    vjp={"x": _slogdet_back},
    check=Samples(
        lambda rng: [Sample((regular(rng, *s) * sign,)) for s, sign in zip(_SHAPES, [1, -1, -1, 1, 1], strict=True)],
        reference=lambda x: tuple(np.linalg.slogdet(x)),
    ),
    outputs=("sign", "logabsdet"),
    label="linalg.slogdet",
)
def slogdet(xp, x):
    """The sign (or phase) of the determinant, and the logarithm of its absolute value."""
    sign, logabsdet = xp.linalg.slogdet(x)
    return xp.asarray(sign), xp.asarray(logabsdet)


@function("linalg.det det")
def _det(A: Tensor) -> Tensor:
    """The determinant of a square matrix, or of each of a batch.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.det(cr.tensor([[2.0, 0.0], [0.0, 4.0]]))
        tensor(8.)
    """
    check_matrix("linalg.det", A, square=True)
    return xp_of_tensors.det(A)


@function("linalg.slogdet slogdet")
def _slogdet(A: Tensor) -> SignLogabsdet:
    """The sign (or phase) of the determinant and the logarithm of its absolute value; a singular matrix has 0, -inf.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.slogdet(-cr.eye(3)).sign
        tensor(-1.)
    """
    check_matrix("linalg.slogdet", A, square=True)
    return SignLogabsdet(*xp_of_tensors.slogdet(A))


@function("logdet")
def _logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant: nan where it is negative, -inf where it is 0.

    Example:
        >>> import chainrule as cr
        >>> cr.logdet(cr.eye(3))
        tensor(0.)
    """
    check_matrix("logdet", input, "input", square=True)
    sign, logabsdet = xp_of_tensors.slogdet(input)
    if is_complex(sign):
        return xp_of_tensors.log(sign) + logabsdet
    return xp_of_tensors.where(sign < 0, xp_of_tensors.zeros_like(sign) * float("nan"), logabsdet)
