"""Matrix products."""

from __future__ import annotations

import math
import string
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
    if len(y_shape) == 1:
        # g has the shape of x without its last dimension (or is 0-d)
        return _column(xp, g) * y if len(x_shape) > 1 else g * y
    if len(x_shape) == 1:
        rows = xp.matmul(y, _column(xp, g))  # (..., k, n) @ (..., n, 1)
        return unbroadcast(xp, xp.reshape(rows, shape=rows.shape[:-1]), x_shape)
    return unbroadcast(xp, xp.matmul(g, matrix_transpose(xp, y)), x_shape)


def _matmul_y(xp: Any, g: Any, x: Any, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> Any:
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


@function("matmul")
def _matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product: vectors, matrices, or batches of them (leading dimensions broadcast), as in PyTorch.

    Raises RuntimeError when the inner dimensions or the dtypes differ, or for 0-d tensors.

    Example:
        >>> import chainrule as cr
        >>> cr.matmul(cr.ones(2, 3), cr.ones(3))
        tensor([3., 3.])
    """
    if not (isinstance(input, Tensor) and isinstance(other, Tensor)):  # a NumPy array on one side is taken
        like = input if isinstance(input, Tensor) else other if isinstance(other, Tensor) else None
        given = zip(("x", "y"), (input, other), strict=True)
        both = [v if isinstance(v, Tensor) else operand(OPS["matmul"], p, v, like) for p, v in given]
        return _matmul(*[cast(v, result_dtype(both)) for v in both])
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


def _fixed_rank(name: str, ranks: tuple[int, int], what: str, example: str) -> None:
    def product(input: Tensor, other: Tensor) -> Tensor:
        a, b = input._data.ndim, other._data.ndim
        if (a, b) != ranks:
            raise RuntimeError(
                f"{name}: expected {ranks[0]}-d and {ranks[1]}-d tensors, got {describe(input)} and {describe(other)}"
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


_fixed_rank("mm", (2, 2), "Product of two matrices.", ">>> cr.mm(cr.ones(1, 2), cr.ones(2, 1))\n        tensor([[2.]])")
_fixed_rank(
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
    if x.ndim == 1:
        return _column(xp, g) * x
    if x.ndim > 2:
        rows = math.prod(x.shape[:-1])
        x = xp.reshape(x, shape=(rows, x.shape[-1]))
        g = xp.reshape(g, shape=(rows, g.shape[-1]))
    return xp.matmul(matrix_transpose(xp, g), x)


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


# ---- einsum ---------------------------------------------------------------------------------------------------------


def parse_einsum(equation: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """The subscripts of each operand and of the result, with ellipses written out as capital-free letters."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(shapes):
        raise ValueError(f"einsum: {equation!r} names {len(inputs)} operands, got {len(shapes)}")
    free = [c for c in string.ascii_letters if c not in text]
    widths = []
    for subscript, shape in zip(inputs, shapes, strict=True):
        named = subscript.replace("...", "")
        if not named.isalpha() and named:
            raise ValueError(f"einsum: subscripts must be letters, got {subscript!r} in {equation!r}")
        width = len(shape) - len(named)
        if width < 0 or (width and "..." not in subscript):
            raise ValueError(f"einsum: {subscript!r} names {len(named)} dimensions, the operand has shape {shape}")
        widths.append(width if "..." in subscript else 0)
    widest = max(widths, default=0)
    dots = "".join(free[:widest])
    full = [s.replace("...", dots[widest - w :]) for s, w in zip(inputs, widths, strict=True)]
    if arrow:
        if "..." in right and not widest:
            right = right.replace("...", "")
        out = right.replace("...", dots)
    else:
        letters = "".join(inputs).replace(".", "")
        out = dots + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    if any(out.count(c) > 1 or not any(c in s for s in full) for c in out):
        raise ValueError(
            f"einsum: each output letter must appear once and in an operand, got {right!r} in {equation!r}"
        )
    return full, out


def _einsum_back(xp: Any, g: Any, operands: Any, equation: str) -> list[Any]:
    """The gradient of each operand: the same contraction with ``g`` in its place.

    A letter that only this operand has was summed away alone: it comes back by a factor of ones. A letter
    repeated within the operand took a diagonal: an identity matrix puts it back.
    """
    shapes = [tuple(o.shape) for o in operands]
    inputs, out = parse_einsum(equation, shapes)
    lengths: dict[str, int] = {}
    for subscript, shape in zip(inputs, shapes, strict=True):
        for letter, n in zip(subscript, shape, strict=True):
            lengths[letter] = n if lengths.get(letter, 1) == 1 else lengths[letter]
    used = set("".join(inputs) + out)
    spare = [c for c in string.ascii_letters if c not in used]
    results = []
    for i, (subscript, shape) in enumerate(zip(inputs, shapes, strict=True)):
        terms = [out, *(s for j, s in enumerate(inputs) if j != i)]
        factors = [g, *(o for j, o in enumerate(operands) if j != i)]
        wanted, fresh = "", iter(spare)
        for letter in subscript:
            if letter in wanted:
                second = next(fresh)
                terms.append(letter + second)
                factors.append(xp.identity_like(g, n=lengths[letter]))
                wanted += second
            else:
                wanted += letter
        for letter in dict.fromkeys(subscript):
            if not any(letter in t for t in terms):
                terms.append(letter)
                factors.append(
                    xp.ones_like(xp.reshape(xp.identity_like(g, n=lengths[letter])[:1], shape=(lengths[letter],)))
                )
        full = xp.einsum_of(*factors, equation=",".join(terms) + "->" + wanted)
        results.append(unbroadcast(xp, full, shape))
    return results


_EQUATIONS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("bij,bjk->bik", [(2, 2, 3), (2, 3, 2)]),
    ("i,i->", [(3,), (3,)]),
    ("i,j->ij", [(2,), (3,)]),
    ("ij->ji", [(2, 3)]),
    ("ij->", [(2, 3)]),
    ("ii->i", [(3, 3)]),
    ("ii->", [(3, 3)]),
    ("ij,kj", [(2, 3), (4, 3)]),
    ("...ij,...jk->...ik", [(2, 2, 3), (3, 2)]),
    ("bn,anm,bm->ba", [(2, 3), (2, 3, 2), (2, 2)]),
    ("ij,ij->i", [(2, 3), (2, 3)]),
]


@op(
    vjp={"operands": _einsum_back},
    check=Samples(
        lambda rng: [Sample(tuple([normal(rng, *s) for s in shapes]), {"equation": e}) for e, shapes in _EQUATIONS],
        reference=lambda *operands, equation: np.einsum(equation, *operands),
    ),
)
def einsum_of(xp, *operands, equation):
    """Sum of products by Einstein's convention."""
    # of one operand, NumPy may give a view
    return (
        xp.einsum(equation, *operands, optimize=True) if len(operands) > 1 else xp.copy(xp.einsum(equation, *operands))
    )


@function("einsum", method=False)
def _einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products of tensors, written as subscripts: ``"ij,jk->ik"`` is a matrix product.

    ``...`` stands for dimensions that broadcast; without ``->`` the letters that appear once, sorted, are the result's.

    Raises ValueError when the subscripts do not fit the operands.

    Example:
        >>> import chainrule as cr
        >>> cr.einsum("ij->j", cr.ones(2, 3))
        tensor([2., 2., 2.])
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    parse_einsum(equation, [tuple(o._data.shape) for o in operands])
    return xp_of_tensors.einsum_of(*operands, equation=equation.replace(" ", ""))
