"""Products of matrices and vectors."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.array_api.promotion import array, ours, promoted
from chainrule.autograd import numpy_algebra
from chainrule.autograd.tensor import Tensor


def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """Matrix product, batched over leading dimensions."""
    x, y = promoted("matmul", array("matmul", "x1", x1), array("matmul", "x2", x2))
    return x @ y


def matrix_transpose(x: Tensor, /) -> Tensor:
    """The last two dimensions exchanged."""
    return array("matrix_transpose", "x", x).mT


def tensordot(x1: Tensor, x2: Tensor, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Tensor:
    """Products summed over the last axes of one and the first of the other, or over pairs of axes."""
    return numpy_algebra.tensordot(*promoted("tensordot", array("tensordot", "x1", x1), x2), axes)


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """Dot products of vectors along a dimension, the first one conjugated; the other dimensions broadcast."""
    x, y = promoted("vecdot", array("vecdot", "x1", x1), array("vecdot", "x2", x2))
    if not -min(x.ndim, y.ndim) <= axis < max(min(x.ndim, y.ndim), 1):
        raise IndexError(f"vecdot: axis {axis} is not a dimension of shapes {tuple(x.shape)} and {tuple(y.shape)}")
    if x.shape[axis] != y.shape[axis]:
        raise ValueError(f"vecdot: vectors of lengths {x.shape[axis]} and {y.shape[axis]} have no dot product")
    if x.is_complex():
        x = ours("conj")(x)
    x, y = numpy_algebra.last_axis(x, axis), numpy_algebra.last_axis(y, axis)
    return (x[..., None, :] @ y[..., :, None])[..., 0, 0]
