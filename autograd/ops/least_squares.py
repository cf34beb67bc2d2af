"""Linear least squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.factors import LeastSquares
from chainrule.autograd.ops.matrices import (
    adjoint,
    broadcast_batches,
    check_matrix,
    check_same_dtype,
    regular,
    scaled_rows,
)
from chainrule.autograd.ops.shape import matrix_transpose
from chainrule.autograd.ops.singular_values import _matrix_rank, _pinv_back, _svdvals, threshold
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor

_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def _least_squares_x(xp: Any, g: Any, x: Any, y: Any, cutoff: Any) -> Any:
    inverse = xp.pseudo_inverse(x, cutoff=cutoff)
    return _pinv_back(xp, xp.matmul(g, matrix_transpose(xp, y)), x, inverse)


@op(
    vjp={
        "x": _least_squares_x,
        "y": lambda xp, g, x, cutoff: xp.matmul(matrix_transpose(xp, xp.pseudo_inverse(x, cutoff=cutoff)), g),
    },
    check=Samples(
        lambda rng: [
            Sample((regular(rng, *a), normal(rng, *b)), {"cutoff": (0.0, 1e-12)})
            for a, b in [((3, 3), (3, 2)), ((4, 2), (4, 1)), ((2, 2, 3), (2, 2, 2))]
        ],
        reference=lambda x, y, cutoff: np.linalg.pinv(x) @ y,
    ),
    label="linalg.lstsq",
)
def least_squares(xp, x, y, *, cutoff):
    """The shortest ``z`` that makes ``x @ z - y`` shortest, from the singular values of x."""
    u, s, vh = xp.linalg.svd(x, False)
    if not s.shape[-1]:
        return xp.zeros((*x.shape[:-2], x.shape[-1], y.shape[-1]), dtype=x.dtype)
    kept = s > threshold(xp, s, cutoff)
    factors = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
    return xp.matmul(adjoint(xp, vh), scaled_rows(xp, factors, xp.matmul(adjoint(xp, u), y)))


@function("linalg.lstsq")
def _lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """The shortest ``X`` for which ``A @ X - B`` is shortest (columns of ``B``, or a vector); batches broadcast.

    The gradient is right where the rank of ``A`` does not change.

    Args:
        rcond: singular values up to this part of the largest count as 0 (default: the precision of the dtype times
            the larger dimension).
        driver: ``"gelsy"`` (default), ``"gels"``, ``"gelsd"`` or ``"gelss"``: all are solved by singular values here;
            as in PyTorch, ``rank`` is empty for ``"gels"`` and ``singular_values`` for ``"gels"`` and ``"gelsy"``.

    Returns the solution, the squared lengths of ``A @ X - B`` (empty unless ``A`` has more rows than columns and full
    rank), the rank of ``A`` and its singular values.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.lstsq(cr.tensor([[1.0], [1.0]]), cr.tensor([[1.0], [2.0]])).solution
        tensor([[1.5000]])
    """
    name = "linalg.lstsq"
    check_matrix(name, A)
    if not isinstance(B, Tensor):
        raise TypeError(f"{name}: argument 'B' must be a Tensor, got {describe(B)}")
    check_same_dtype(name, A, B)
    driver = "gelsy" if driver is None else driver
    if driver not in _DRIVERS:
        raise RuntimeError(f"{name}: driver must be one of {', '.join(_DRIVERS)}, got {driver!r}")
    a, b = tuple(A._data.shape), tuple(B._data.shape)
    vector = len(b) == 1 or (len(b) == len(a) - 1 and b == a[:-1])
    right = B.unsqueeze(-1) if vector else B
    if right.shape[-2] != a[-2]:
        raise RuntimeError(f"{name}: A and B do not fit, got {describe(A)} and {describe(B)}")
    full_A, right = broadcast_batches(A, right)
    if rcond is None:
        rcond = float(A._device.xp.finfo(A._data.dtype).eps) * max(a[-2:])
    X = xp_of_tensors.least_squares(full_A, right, cutoff=(0.0, float(rcond)))
    device = A._device
    real = np.zeros(0, A._data.dtype).real.dtype
    rank = wrap(device.xp.zeros((0,), dtype=np.int64), device)
    values = wrap(device.xp.zeros((0,), dtype=real), device)
    residuals = wrap(device.xp.zeros((0,), dtype=real), device)
    full_rank = True
    if driver != "gels":
        rank = _matrix_rank(full_A, rtol=rcond)
        full_rank = bool((rank == a[-1]).all())
    if driver in ("gelsd", "gelss"):
        values = _svdvals(full_A.detach())
    if a[-2] > a[-1] and full_rank and driver != "gelsy":
        residuals = xp_of_tensors.square(abs(full_A @ X - right)).sum(-2)
    return LeastSquares(X.squeeze(-1) if vector else X, residuals, rank, values)
