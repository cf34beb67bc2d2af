"""Products composed of matmul and multiplication: tensordot, outer, kron, cross, addmm, chains and powers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.linalg import _bmm, _matmul
from chainrule.autograd.ops.matrices import check_matrix, conj
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import function
from chainrule.autograd.runtime import cast, describe
from chainrule.autograd.tensor import Tensor

function("linalg.matmul")(_matmul)


def _check_ranks(name: str, **given: tuple[Tensor, int]) -> None:
    for argument, (value, ndim) in given.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: argument {argument!r} must be a Tensor, got {describe(value)}")
        if value._data.ndim != ndim:
            raise RuntimeError(f"{name}: argument {argument!r} must be {ndim}-d, got shape {tuple(value.shape)}")


# ---- of vectors -----------------------------------------------------------------------------------------------------


@function("vdot")
def _vdot(input: Tensor, other: Tensor) -> Tensor:
    """Inner product of two vectors, the first conjugated.

    Example:
        >>> import chainrule as cr
        >>> cr.vdot(cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0]))
        tensor(11.)
    """
    _check_ranks("vdot", input=(input, 1), other=(other, 1))
    return _matmul(conj(xp_of_tensors, input), other)


@function("linalg.vecdot")
def _vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Inner products along ``dim``, the first factor conjugated; the other dimensions broadcast.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.vecdot(cr.ones(2, 3), cr.ones(3))
        tensor([3., 3.])
    """
    for argument, value in (("x", x), ("y", y)):
        if not isinstance(value, Tensor):
            raise TypeError(f"linalg.vecdot: argument {argument!r} must be a Tensor, got {describe(value)}")
        if dtypes.category(value._data.dtype) < 2:
            raise RuntimeError(f"linalg.vecdot: argument {argument!r} must be floating point or complex, got {x.dtype}")
    product = conj(xp_of_tensors, x) * y
    return product.sum(dim)


@function("outer ger")
def _outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of an element of one vector with an element of the other: (N) and (M) give (N, M).

    Example:
        >>> import chainrule as cr
        >>> cr.outer(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 10.0]))
        tensor([[ 1., 10.],
                [ 2., 20.]])
    """
    _check_ranks("outer", input=(input, 1), vec2=(vec2, 1))
    return xp_of_tensors.multiply(input.unsqueeze(1), vec2)


@function("linalg.cross")
def _linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """Vector products of the 3-vectors along ``dim``; the other dimensions broadcast.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.cross(cr.tensor([1.0, 0.0, 0.0]), cr.tensor([0.0, 1.0, 0.0]))
        tensor([0., 0., 1.])
    """
    return _cross_along("linalg.cross", input, other, dim)


def _cross_along(name: str, input: Tensor, other: Tensor, dim: int) -> Tensor:
    if input._data.ndim != other._data.ndim:
        raise RuntimeError(f"{name}: expected equal numbers of dimensions, got {describe(input)} and {describe(other)}")
    d = normal_axis(name, dim, input._data.ndim)
    if not input._data.ndim or input.shape[d] != 3 or other.shape[d] != 3:
        raise RuntimeError(f"{name}: dimension {dim} must have length 3, got {describe(input)} and {describe(other)}")
    (x0, x1, x2), (y0, y1, y2) = (xp_of_tensors.unstack(t, axis=d) for t in (input, other))
    parts = (x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0)
    return xp_of_tensors.stack_tensors(*parts, axis=d)


@function("cross")
def _cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """Vector products of the 3-vectors along ``dim`` (default: the first dimension of length 3).

    Example:
        >>> import chainrule as cr
        >>> cr.cross(cr.tensor([1.0, 0.0, 0.0]), cr.tensor([0.0, 1.0, 0.0]))
        tensor([0., 0., 1.])
    """
    if dim is None:
        dim = next((i for i, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError(f"cross: no dimension of input has length 3, its shape is {tuple(input.shape)}")
    return _cross_along("cross", input, other, dim)


# ---- over chosen dimensions -----------------------------------------------------------------------------------------


@function("inner")
def _inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last dimensions; with a 0-d tensor the product.

    Example:
        >>> import chainrule as cr
        >>> cr.inner(cr.ones(2, 3), cr.ones(4, 3)).shape
        (2, 4)
    """
    if not isinstance(other, Tensor):
        raise TypeError(f"inner: argument 'other' must be a Tensor, got {describe(other)}")
    if not input._data.ndim or not other._data.ndim:
        return xp_of_tensors.multiply(input, other)
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(f"inner: the last dimensions must agree, got {describe(input)} and {describe(other)}")
    return _tensordot(input, other, dims=([-1], [-1]))


@function("tensordot", method=False)
def _tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over several dimensions.

    Args:
        dims: how many of a's last and b's first dimensions are summed over, or two lists that name them.

    Raises RuntimeError when the lengths of two such dimensions differ (a length of 1 broadcasts).

    Example:
        >>> import chainrule as cr
        >>> cr.tensordot(cr.ones(2, 3, 4), cr.ones(3, 4, 5)).shape
        (2, 5)
    """
    for argument, value in (("a", a), ("b", b)):
        if not isinstance(value, Tensor):
            raise TypeError(f"tensordot: argument {argument!r} must be a Tensor, got {describe(value)}")
    if isinstance(dims, Tensor):
        dims = dims.tolist() if dims._data.ndim else int(dims.item())
    if isinstance(dims, int):
        if not 0 <= dims <= min(a._data.ndim, b._data.ndim):
            raise RuntimeError(f"tensordot: dims {dims} does not fit {describe(a)} and {describe(b)}")
        dims = (list(range(a._data.ndim - dims, a._data.ndim)), list(range(dims)))
    of_a, of_b = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(of_a) != len(of_b):
        raise RuntimeError(f"tensordot: dims must name equally many dimensions of both, got {of_a} and {of_b}")
    of_a = [normal_axis("tensordot", d, a._data.ndim, "dims") for d in of_a]
    of_b = [normal_axis("tensordot", d, b._data.ndim, "dims") for d in of_b]
    if len(set(of_a)) < len(of_a) or len(set(of_b)) < len(of_b):
        raise RuntimeError(f"tensordot: a dimension appears twice in dims {dims}")
    for i, j in zip(of_a, of_b, strict=True):
        n, m = a.shape[i], b.shape[j]
        if n != m and 1 not in (n, m):
            raise RuntimeError(
                f"tensordot: dimension {i} of a and {j} of b must have one length, got {describe(a)} and {describe(b)}"
            )
        if n == 1 and m != 1:
            b = b.sum(j, keepdim=True)
        elif m == 1 and n != 1:
            a = a.sum(i, keepdim=True)
    free_a = [i for i in range(a._data.ndim) if i not in of_a]
    free_b = [j for j in range(b._data.ndim) if j not in of_b]
    summed = math.prod([a.shape[i] for i in of_a])
    shape = tuple([a.shape[i] for i in free_a] + [b.shape[j] for j in free_b])
    rows, columns = math.prod([a.shape[i] for i in free_a]), math.prod([b.shape[j] for j in free_b])
    left = a.permute(*free_a, *of_a).reshape(rows, summed) if a._data.ndim else a.reshape(1, 1)
    right = b.permute(*of_b, *free_b).reshape(summed, columns) if b._data.ndim else b.reshape(1, 1)
    return xp_of_tensors.reshape(_matmul(left, right), shape=shape)


@function("kron")
def _kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker product: every element of ``input`` times the whole of ``other``, as blocks.

    Example:
        >>> import chainrule as cr
        >>> cr.kron(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 1.0]))
        tensor([1., 1., 2., 2.])
    """
    if not isinstance(other, Tensor):
        raise TypeError(f"kron: argument 'other' must be a Tensor, got {describe(other)}")
    a, b = tuple(input._data.shape), tuple(other._data.shape)
    a, b = (1,) * (len(b) - len(a)) + a, (1,) * (len(a) - len(b)) + b
    spread_a = [n for m in a for n in (m, 1)]
    spread_b = [n for m in b for n in (1, m)]
    product = xp_of_tensors.multiply(
        xp_of_tensors.reshape(input, shape=tuple(spread_a)), xp_of_tensors.reshape(other, shape=tuple(spread_b))
    )
    return xp_of_tensors.reshape(product, shape=tuple([n * m for n, m in zip(a, b, strict=True)]))


# ---- a product added to a tensor ------------------------------------------------------------------------------------


def _plus_product(name: str, input: Any, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """``beta * input + alpha * product``; where beta is 0, nan and inf of the input do not count."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: argument 'input' must be a Tensor, got {describe(input)}")
    if dtypes.category(product._data.dtype) < 2:
        if name == "addr" and (isinstance(beta, float) or isinstance(alpha, float)):
            raise RuntimeError(f"addr: beta and alpha must be integers for integer tensors, got {beta} and {alpha}")
        beta, alpha = int(beta), int(alpha)  # PyTorch takes the whole part
    if input._data.dtype != product._data.dtype:
        raise RuntimeError(
            f"{name}: expected one dtype, got {input.dtype} and {product.dtype}; convert one with .to(dtype)"
        )
    have, want = tuple(input._data.shape), tuple(product._data.shape)
    fits = len(have) <= len(want) and all(n in (1, m) for n, m in zip(have[::-1], want[::-1], strict=False))
    if not fits:
        raise RuntimeError(f"{name}: input of shape {have} does not broadcast to the product's shape {want}")
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    return (input if beta == 1 else input * beta) + product


def _add_product(name: str, first: str, second: str, ranks: tuple[int, int], formula: str, product: Any) -> None:
    """Publish ``beta * input + alpha * product(first, second)`` and its in-place twin."""
    names: dict[str, Any] = {"product": product, "name": name, "_plus_product": _plus_product, "Any": Any}
    names.update(Tensor=Tensor, check=_check_ranks)
    source = f"""
def {name}(input: "Tensor", {first}: "Tensor", {second}: "Tensor", *, beta: "Any" = 1, alpha: "Any" = 1) -> "Tensor":
    check(name, {first}=({first}, {ranks[0]}), {second}=({second}, {ranks[1]}))
    return _plus_product(name, input, product({first}, {second}), beta, alpha)
"""
    exec(compile(source, f"<chainrule function {name}>", "exec"), names)
    made: Callable[..., Tensor] = names[name]
    shapes = {1: "3", 2: "3, 3", 3: "2, 3, 3"}
    result = {"addmm": "(3, 3)", "addmv": "(3,)", "addbmm": "(3, 3)", "baddbmm": "(2, 3, 3)", "addr": "(3, 3)"}[name]
    made.__doc__ = f"""``{formula}``; ``input`` broadcasts to the shape of the product.

    Where ``beta`` is 0 the elements of ``input`` do not count, not even nan. Raises RuntimeError for other numbers of
    dimensions, for shapes that do not fit and for different dtypes.

    Example:
        >>> import chainrule as cr
        >>> cr.{name}(cr.zeros({shapes[1]}), cr.ones({shapes[ranks[0]]}), cr.ones({shapes[ranks[1]]})).shape
        {result}
    """
    function(name, inplace=True)(made)


_add_product("addmm", "mat1", "mat2", (2, 2), "beta * input + alpha * (mat1 @ mat2)", _matmul)
_add_product("addmv", "mat", "vec", (2, 1), "beta * input + alpha * (mat @ vec)", _matmul)
_add_product("baddbmm", "batch1", "batch2", (3, 3), "beta * input + alpha * (batch1 @ batch2)", _bmm)
_add_product(
    "addbmm",
    "batch1",
    "batch2",
    (3, 3),
    "beta * input + alpha * (batch1 @ batch2).sum(0)",
    lambda batch1, batch2: _tensordot(batch1, batch2, dims=([0, 2], [0, 1])),
)
_add_product("addr", "vec1", "vec2", (1, 1), "beta * input + alpha * outer(vec1, vec2)", _outer)


# ---- chains and powers ----------------------------------------------------------------------------------------------


def _best_split(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each part of a chain of matrices with the least multiplications; matrix i is sizes[i] x [i+1]."""
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            costs = [cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)]
            cost[i, j] = min(costs)
            split[i, j] = i + costs.index(cost[i, j])
    return split


def _multiply_chain(name: str, tensors: Sequence[Tensor]) -> Tensor:
    sizes = [t.shape[0] for t in tensors] + [tensors[-1].shape[1]]
    for i, (x, y) in enumerate(itertools.pairwise(tensors)):
        if x.shape[1] != y.shape[0]:
            raise RuntimeError(f"{name}: matrices {i} and {i + 1} do not fit, got {describe(x)} and {describe(y)}")
    split = _best_split(sizes)

    def product(i: int, j: int) -> Tensor:
        return tensors[i] if i == j else _matmul(product(i, split[i, j]), product(split[i, j] + 1, j))

    return product(0, len(tensors) - 1)


@function("linalg.multi_dot")
def _multi_dot(tensors: Any) -> Tensor:
    """The product of two or more matrices in the order of least work; the first and the last may be vectors.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.multi_dot([cr.ones(2, 3), cr.ones(3, 4), cr.ones(4)])
        tensor([12., 12.])
    """
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(f"linalg.multi_dot: argument 'tensors' must be a sequence of Tensors, got {describe(tensors)}")
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError(f"linalg.multi_dot: expected at least 2 tensors, got {len(tensors)}")
    last = len(tensors) - 1
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"linalg.multi_dot: tensor {i} must be a Tensor, got {describe(t)}")
        if t._data.ndim not in ((1, 2) if i in (0, last) else (2,)):
            raise RuntimeError(f"linalg.multi_dot: tensor {i} must be a matrix, got shape {tuple(t.shape)}")
    first_is_vector, last_is_vector = tensors[0]._data.ndim == 1, tensors[-1]._data.ndim == 1
    if first_is_vector:
        tensors[0] = tensors[0].unsqueeze(0)
    if last_is_vector:
        tensors[-1] = tensors[-1].unsqueeze(1)
    out = _multiply_chain("linalg.multi_dot", tensors)
    if first_is_vector:
        out = out.squeeze(0)
    return out.squeeze(-1) if last_is_vector else out


@function("chain_matmul", method=False)
def _chain_matmul(*matrices: Any) -> Tensor:
    """The product of matrices in the order of least work.

    Example:
        >>> import chainrule as cr
        >>> cr.chain_matmul(cr.ones(1, 2), cr.ones(2, 1))
        tensor([[2.]])
    """
    given = list(matrices[0]) if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)) else list(matrices)
    if not given:
        raise RuntimeError("chain_matmul: expected at least one matrix")
    for i, t in enumerate(given):
        _check_ranks("chain_matmul", **{f"matrices[{i}]": (t, 2)})
    return xp_of_tensors.clone(given[0]) if len(given) == 1 else _multiply_chain("chain_matmul", given)


@function("matrix_power linalg.matrix_power")
def _matrix_power(A: Tensor, n: int) -> Tensor:
    """The product of ``n`` factors ``A``, by repeated squaring; negative powers are those of the inverse.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.matrix_power(cr.tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
        tensor([[1., 5.],
                [0., 1.]])
    """
    check_matrix("linalg.matrix_power", A, square=True, floating=False)
    if n == 0:
        one = xp_of_tensors.identity_like(A, n=A.shape[-1])
        return xp_of_tensors.clone(xp_of_tensors.broadcast_to(one, shape=tuple(A._data.shape)))
    if n < 0:
        check_matrix("linalg.matrix_power", A)
        A, n = xp_of_tensors.inverse(A), -n
    result: Tensor | None = None
    while True:
        if n & 1:
            result = A if result is None else _matmul(result, A)
        n >>= 1
        if not n:
            return xp_of_tensors.clone(result) if result is A else result  # type: ignore[return-value]
        A = _matmul(A, A)


@function("linalg.vander")
def _vander(x: Tensor, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 (default: the length) of each element in a new last dimension.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.vander(cr.tensor([1.0, 2.0]), 3)
        tensor([[1., 1., 1.],
                [1., 2., 4.]])
    """
    if not x._data.ndim:
        x = x.unsqueeze(0)
    count = x.shape[-1] if N is None else N
    if count <= 1:
        raise RuntimeError(f"linalg.vander: N must be greater than 1, got {count}")
    if dtypes.category(x._data.dtype) < 2:
        x = cast(x, dtypes.int64.dtype)
    powers = [xp_of_tensors.ones_like(x), x]
    while len(powers) < count:
        powers.append(powers[-1] * x)
    return xp_of_tensors.stack_tensors(*powers, axis=x._data.ndim)


@function("linalg.diagonal")
def _diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of the matrices that dimensions ``dim1`` and ``dim2`` make, in a new last dimension; a view.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.diagonal(cr.tensor([[1, 2], [3, 4]]))
        tensor([1, 4])
    """
    return A.diagonal(offset, dim1, dim2)
