"""Matrix products that other ops are made of: matmul, linear."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.autograd.op import OPS, op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.shape import matrix_transpose
from chainrule.autograd.public import function
from chainrule.autograd.runtime import cast, describe, operand, result_dtype, unbroadcast
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor

_MATMUL_SHAPES = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((2, 3, 4), (4, 2)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
    ((2, 1, 2, 3), (3, 3, 2)),
    ((3, 4), (2, 4, 2)),
    ((0, 3), (3, 2)),
]


def _column(xp: Any, x: Any) -> Any:
    """With a last dimension of length 1."""
    return xp.reshape(x, shape=(*x.shape, 1))


def _matmul_x(xp: Any, g: Any, y: Any, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> Any:
    """``matmul(g, matrix_transpose(y))``"""
    if len(y_shape) == 1:
        # g has the shape of x without its last dimension (or is 0-d)
        return _column(xp, g) * y if len(x_shape) > 1 else g * y
    if len(x_shape) == 1:
        rows = xp.matmul(y, _column(xp, g))  # (..., k, n) @ (..., n, 1)
        return unbroadcast(xp, xp.reshape(rows, shape=rows.shape[:-1]), x_shape)
    if len(y_shape) == 2:
        return xp.linear(g, y)
    return unbroadcast(xp, xp.matmul(g, matrix_transpose(xp, y)), x_shape)


def _matmul_y(xp: Any, g: Any, x: Any, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> Any:
    """``matmul(matrix_transpose(x), g)``"""
    if len(y_shape) == 1:
        return g * x if len(x_shape) == 1 else unbroadcast(xp, _column(xp, g) * x, y_shape)
    if len(x_shape) == 1:
        # (..., k, 1) * (..., 1, n)
        return unbroadcast(xp, _column(xp, x) * xp.reshape(g, shape=(*g.shape[:-1], 1, g.shape[-1])), y_shape)
    if len(y_shape) == 2 and len(x_shape) > 2:
        # one product over all rows instead of a batch of products that is then summed
        rows = math.prod(x_shape[:-1])  # -1 would be ambiguous for empty tensors
        x = xp.reshape(x, shape=(rows, x_shape[-1]))
        g = xp.reshape(g, shape=(rows, y_shape[-1]))
    if len(y_shape) == 2:
        return xp.transposed_matmul(x, g)
    return unbroadcast(xp, xp.matmul(matrix_transpose(xp, x), g), y_shape)


@op(
    vjp={"x": _matmul_x, "y": _matmul_y},
    check=Samples(
        lambda rng: [Sample((normal(rng, *a), normal(rng, *b))) for a, b in _MATMUL_SHAPES],
        reference=np.matmul,
    ),
)
def matmul(xp, x, y):
    """Matrix product, batched over leading dimensions."""
    return xp.matmul(x, y)


@op(
    vjp={"x": lambda xp, g, y: xp.linear(y, g), "y": lambda xp, g, x: xp.matmul(x, g)},
    check=Samples(
        lambda rng: [Sample((normal(rng, *a), normal(rng, *b))) for a, b in (((4, 2), (4, 3)), ((0, 2), (0, 3)))],
        reference=lambda x, y: x.T @ y,
    ),
)
def transposed_matmul(xp, x, y):
    """``x.T @ y`` of two matrices: one step of the graph for what the gradient of every weight is made of."""
    return xp.matmul(xp.matrix_transpose(x), y)


def _with_array(input: Any, other: Any) -> list[Tensor]:
    """A Tensor and a NumPy array as Tensors of one dtype; anything else is refused."""
    like = next((v for v in (input, other) if isinstance(v, Tensor)), None)
    both = []
    for parameter, which, value in (("x", "input", input), ("y", "other", other)):
        if not isinstance(value, Tensor) and (like is None or not isinstance(value, np.ndarray)):
            raise TypeError(f"matmul: argument {which!r} must be a Tensor, got {describe(value)}")
        both.append(value if isinstance(value, Tensor) else operand(OPS["matmul"], parameter, value, like))
    return [cast(v, result_dtype(list(both))) for v in both]


@function("matmul")
def _matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product: vectors, matrices, or batches of them (leading dimensions broadcast), as in PyTorch.

    Raises RuntimeError when the inner dimensions or the dtypes differ, or for 0-d tensors.

    Example:
        >>> import chainrule as cr
        >>> cr.matmul(cr.ones(2, 3), cr.ones(3))
        tensor([3., 3.])
    """
    if not (isinstance(input, Tensor) and isinstance(other, Tensor)):
        return _matmul(*_with_array(input, other))  # type: ignore[unreachable]
    a, b = input._data.shape, other._data.shape
    if not a or not b:
        raise RuntimeError(f"matmul: both arguments must have at least 1 dimension, got shapes {a} and {b}")
    inner = b[-2] if len(b) > 1 else b[0]
    if a[-1] != inner:
        raise RuntimeError(f"matmul: the inner dimensions must agree, got shapes {a} and {b} ({a[-1]} against {inner})")
    if input._data.dtype != other._data.dtype:
        raise RuntimeError(
            f"matmul: expected one dtype, got {input.dtype} and {other.dtype}; convert one with .to(dtype)"
        )
    return xp_of_tensors.matmul(input, other)


def _fixed_rank(name: str, ranks: tuple[int, int], what: str, example: str) -> Callable[[Tensor, Tensor], Tensor]:
    def product(input: Tensor, other: Tensor) -> Tensor:
        a, b = input._data.ndim, other._data.ndim
        if (a, b) != ranks:
            raise RuntimeError(
                f"{name}: expected {ranks[0]}-d and {ranks[1]}-d tensors, got {describe(input)} and {describe(other)}"
            )
        if a == 3 and input._data.shape[0] != other._data.shape[0]:  # matmul would broadcast a batch of one
            raise RuntimeError(
                f"{name}: expected batches of one size, got shapes {tuple(input.shape)} and {tuple(other.shape)}"
            )
        return _matmul(input, other)

    product.__name__ = name
    product.__doc__ = f"""{what}

    Raises RuntimeError for other numbers of dimensions and for shapes that do not fit.

    Example:
        >>> import chainrule as cr
        {example}
    """
    function(name)(product)
    return product


_fixed_rank("mm", (2, 2), "Product of two matrices.", ">>> cr.mm(cr.ones(1, 2), cr.ones(2, 1))\n        tensor([[2.]])")
_bmm = _fixed_rank(
    "bmm",
    (3, 3),
    "Products of two batches of matrices.",
    ">>> cr.bmm(cr.ones(2, 1, 3), cr.ones(2, 3, 4)).shape\n        (2, 1, 4)",
)
_fixed_rank(
    "mv", (2, 1), "Product of a matrix and a vector.", ">>> cr.mv(cr.ones(1, 2), cr.ones(2))\n        tensor([2.])"
)
_fixed_rank("dot", (1, 1), "Inner product of two vectors.", ">>> cr.dot(cr.ones(2), cr.ones(2))\n        tensor(2.)")


def _linear_weight(xp: Any, g: Any, x: Any) -> Any:
    """``matmul(matrix_transpose(g), x)``"""
    if x.ndim == 1:
        return _column(xp, g) * x
    if x.ndim > 2:
        rows = math.prod(x.shape[:-1])
        x = xp.reshape(x, shape=(rows, x.shape[-1]))
        g = xp.reshape(g, shape=(rows, g.shape[-1]))
    return xp.transposed_matmul(g, x)


@op(
    vjp={
        "x": lambda xp, g, weight: xp.matmul(g, weight),
        "weight": _linear_weight,
        "bias": lambda xp, g: xp.sum(g, axis=tuple(range(g.ndim - 1)), keepdims=False) if g.ndim > 1 else g,
    },
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 2, 3), normal(rng, 4, 3), normal(rng, 4))),
            Sample((normal(rng, 2, 2, 3), normal(rng, 4, 3), normal(rng, 4))),
            Sample((normal(rng, 3), normal(rng, 4, 3), normal(rng, 4))),
            Sample((normal(rng, 2, 3), normal(rng, 4, 3), None)),
            Sample((normal(rng, 0, 3), normal(rng, 4, 3), normal(rng, 4))),
        ],
        reference=lambda x, weight, bias: x @ weight.T + (0 if bias is None else bias),
    ),
)
def linear(xp, x, weight, bias=None):
    """``x @ weight.T + bias`` with x (..., in), weight (out, in), bias (out)."""
    out = xp.matmul(x, xp.matrix_transpose(weight))
    if bias is not None:
        out += bias
    return out
