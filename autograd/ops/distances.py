"""Distances between vectors, and the cosine of their angle."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.linalg import _matmul
from chainrule.autograd.ops.matrices import check_floating, check_matrix
from chainrule.autograd.ops.norms import vector_norm
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe, to_floating, wrap
from chainrule.autograd.tensor import Tensor

#: rows from which on Euclidean distances are computed by a matrix product, as in PyTorch
_MANY = 25

_MODES = {
    "use_mm_for_euclid_dist_if_necessary": None,
    "use_mm_for_euclid_dist": True,
    "donot_use_mm_for_euclid_dist": False,
}


def _check_tensor(name: str, argument: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: argument {argument!r} must be a Tensor, got {describe(value)}")


@function("dist")
def _dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of ``input - other``.

    Example:
        >>> import chainrule as cr
        >>> cr.dist(cr.tensor([3.0, 0.0]), cr.tensor([0.0, 4.0]))
        tensor(5.)
    """
    _check_tensor("dist", "other", other)
    return vector_norm("dist", xp_of_tensors.subtract(input, other), p)


@function("pairwise_distance", method=False)
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of ``x1 - x2 + eps`` over the last dimension.

    Example:
        >>> import chainrule as cr
        >>> cr.pairwise_distance(cr.tensor([[3.0, 0.0]]), cr.tensor([[0.0, 4.0]]))
        tensor([5.])
    """
    _check_tensor("pairwise_distance", "x2", x2)
    difference = xp_of_tensors.subtract(x1, x2) + eps
    return vector_norm("pairwise_distance", difference, p, max(difference._data.ndim - 1, 0), bool(keepdim))


@function("cosine_similarity", method=False)
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between the vectors along ``dim``; norms count as ``eps`` at least.

    Example:
        >>> import chainrule as cr
        >>> cr.cosine_similarity(cr.tensor([[1.0, 0.0]]), cr.tensor([[2.0, 2.0]]))
        tensor([0.7071])
    """
    name = "cosine_similarity"
    _check_tensor(name, "x2", x2)
    common = dtypes.promote(x1._data.dtype, x2._data.dtype)
    x1, x2 = (to_floating(t.to(common)) for t in (x1, x2))
    shape = np.broadcast_shapes(tuple(x1._data.shape), tuple(x2._data.shape))
    x1, x2 = x1.expand(shape), x2.expand(shape)
    axis = normal_axis(name, dim, len(shape))
    units = []
    for x in (x1, x2):
        norm = vector_norm(name, x, 2, axis if shape else None, True)
        # PyTorch's gradient is that of the norm below eps too
        units.append(x / (norm + (norm.detach().clamp(min=eps) - norm.detach())))
    return (units[0] * units[1]).sum(dim)


def _euclidean_by_product(x1: Tensor, x2: Tensor) -> Tensor:
    """``sqrt(|x|^2 + |y|^2 - 2 x y)``: less exact where the distance is small beside the vectors."""
    xp = xp_of_tensors
    squares = (x1 * x1).sum(-1, keepdim=True) + (x2 * x2).sum(-1, keepdim=True).mT
    squares = squares - 2 * _matmul(x1, x2.mT)
    zero = squares <= 0
    root = xp.sqrt(xp.where(zero, xp.ones_like(squares), squares))
    return xp.where(zero, xp.zeros_like(root), root)


@function("cdist", method=False)
def _cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """The p-norm distance of each row of ``x1`` (..., P, M) from each row of ``x2`` (..., R, M): (..., P, R).

    Args:
        p: 0 or more, or inf.
        compute_mode: whether Euclidean distances are computed by a matrix product, which is quick but less exact;
            by default where there are more than 25 rows.

    Example:
        >>> import chainrule as cr
        >>> cr.cdist(cr.tensor([[0.0, 0.0]]), cr.tensor([[3.0, 4.0], [0.0, 1.0]]))
        tensor([[5., 1.]])
    """
    for argument, value in (("x1", x1), ("x2", x2)):
        check_matrix("cdist", value, argument)
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"cdist: the last dimensions must agree, got {describe(x1)} and {describe(x2)}")
    if p < 0:
        raise RuntimeError(f"cdist: p must be 0 or more, got {p}")
    if compute_mode not in _MODES:
        raise ValueError(f"cdist: compute_mode must be one of {', '.join(_MODES)}, got {compute_mode!r}")
    by_product = _MODES[compute_mode]
    if by_product is None:
        by_product = x1.shape[-2] > _MANY or x2.shape[-2] > _MANY
    if p == 2 and by_product:
        return _euclidean_by_product(x1, x2)
    return _norms_of(x1.unsqueeze(-2) - x2.unsqueeze(-3), "cdist", p)


def _norms_of(differences: Tensor, name: str, p: float) -> Tensor:
    if not differences.shape[-1]:  # the distance of points without coordinates is 0
        return differences.sum(-1)
    return vector_norm(name, differences, p, differences._data.ndim - 1)


@function("pdist", method=False)
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances between the rows of a matrix: of rows 0 and 1, 0 and 2, ..., 1 and 2, ...

    Example:
        >>> import chainrule as cr
        >>> cr.pdist(cr.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
        tensor([5.0000, 1.0000, 4.2426])
    """
    if input._data.ndim != 2:
        raise RuntimeError(f"pdist: expected a matrix, got shape {tuple(input.shape)}")
    check_floating("pdist", input, "input")
    if p < 0:
        raise RuntimeError(f"pdist: p must be 0 or more, got {p}")
    device = input._device
    first, second = (wrap(device.xp.asarray(i), device) for i in np.triu_indices(input.shape[0], 1))
    return _norms_of(input[first] - input[second], "pdist", p)
