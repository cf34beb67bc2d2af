"""Einstein summation: every equation as a sequence of matrix products of two operands."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.matrices import diagonal_of
from chainrule.autograd.public import function
from chainrule.autograd.runtime import describe
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.autograd.tensor import Tensor

# ---- one product of two operands ------------------------------------------------------------------------------------

_PRODUCTS = [
    ("ij", "jk", "ik", (2, 3), (3, 4)),
    ("bij", "bjk", "kbi", (2, 2, 3), (2, 3, 2)),
    ("i", "i", "", (3,), (3,)),
    ("i", "j", "ji", (2,), (3,)),
    ("ajb", "bkj", "ak", (2, 3, 2), (2, 4, 3)),
    ("ij", "ij", "ij", (2, 3), (2, 3)),
    ("", "ij", "ji", (), (2, 3)),
    ("ij", "jk", "ik", (2, 0), (0, 2)),
]


@op(
    vjp={
        "x": lambda xp, g, y, left, right, result: xp.contract(g, y, left=result, right=right, result=left),
        "y": lambda xp, g, x, left, right, result: xp.contract(g, x, left=result, right=left, result=right),
    },
    check=Samples(
        lambda rng: [
            Sample((normal(rng, *a), normal(rng, *b)), {"left": left, "right": right, "result": result})
            for left, right, result, a, b in _PRODUCTS
        ],
        reference=lambda x, y, left, right, result: np.einsum(f"{left},{right}->{result}", x, y),
    ),
    label="einsum",
)
def contract(xp, x, y, *, left, right, result):
    """The product of two operands whose dimensions are named by distinct letters, summed over what the result lacks.

    Every letter is in two of ``left``, ``right`` and ``result`` at least, so that gradients are products again.
    """
    both = [c for c in left if c in right]
    batch = [c for c in both if c in result]
    summed = [c for c in both if c not in result]
    rows = [c for c in left if c not in right]
    columns = [c for c in right if c not in left]
    size = dict(zip([*left, *right], [*x.shape, *y.shape], strict=True))
    b, m, k, n = (math.prod([size[c] for c in group]) for group in (batch, rows, summed, columns))
    x = xp.reshape(_in_order(xp, x, left, [*batch, *rows, *summed]), shape=(b, m, k) if batch else (m, k))
    y = xp.reshape(_in_order(xp, y, right, [*batch, *summed, *columns]), shape=(b, k, n) if batch else (k, n))
    # a product without a sum is quicker elementwise, as is a sum without rows and columns by one matrix product
    out = x * y if not summed else xp.matmul(x, y)
    made = [*batch, *rows, *columns]
    return _in_order(xp, xp.reshape(out, shape=tuple([size[c] for c in made])), made, list(result))


def _in_order(xp: Any, x: Any, names: Sequence[str], wanted: Sequence[str]) -> Any:
    axes = tuple([list(names).index(c) for c in wanted])
    return x if axes == tuple(range(len(axes))) else xp.permute_dims(x, axes=axes)


# ---- the equation ---------------------------------------------------------------------------------------------------


def parse_einsum(equation: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """The subscripts of each operand and of the result, with ellipses written out as letters that were free."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(shapes):
        raise ValueError(f"einsum: {equation!r} names {len(inputs)} operands, got {len(shapes)}")
    free = [c for c in string.ascii_letters if c not in text] + [chr(i) for i in range(0xC0, 0x180)]
    widths = []
    for subscript, shape in zip(inputs, shapes, strict=True):
        named = subscript.replace("...", "", 1)
        if named and not (named.isascii() and named.isalpha()):
            raise ValueError(f"einsum: subscripts must be letters, got {subscript!r} in {equation!r}")
        width = len(shape) - len(named)
        if width < 0 or (width and "..." not in subscript):
            raise ValueError(f"einsum: {subscript!r} names {len(named)} dimensions, the operand has shape {shape}")
        widths.append(width)
    widest = max(widths, default=0)
    dots = "".join(free[:widest])
    full = [s.replace("...", dots[widest - w :]) for s, w in zip(inputs, widths, strict=True)]
    if arrow:
        out = right.replace("...", dots, 1)
    else:
        letters = "".join(inputs).replace(".", "")
        out = dots + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    if any(out.count(c) > 1 or not any(c in s for s in full) for c in out):
        raise ValueError(
            f"einsum: each output letter must appear once and in an operand, got {right!r} in {equation!r}"
        )
    return full, out


def _from_sublists(arguments: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """``einsum(x, [0, 1], y, [1, 2], [0, 2])`` as an equation and its operands."""
    pairs, rest = len(arguments) // 2, arguments[len(arguments) // 2 * 2 :]
    operands, sublists = list(arguments[: 2 * pairs : 2]), [*arguments[1 : 2 * pairs : 2], *rest]

    def letters(sublist: Any) -> str:
        named = []
        for i in sublist:
            if i is not Ellipsis and not (isinstance(i, int) and 0 <= i < 52):
                raise ValueError(f"einsum: a sublist holds numbers from 0 to 51 and Ellipsis, got {i!r} in {sublist!r}")
            named.append("..." if i is Ellipsis else string.ascii_letters[i])
        return "".join(named)

    # numbers sort as given, but "A" would sort before "a": the sorted result of an equation is written out
    equation = ",".join([letters(s) for s in sublists[:pairs]])
    if rest:
        return f"{equation}->{letters(rest[0])}", operands
    flat = [i for s in sublists for i in s]
    once = sorted(i for i in set(flat) if i is not Ellipsis and flat.count(i) == 1) if flat else []
    return f"{equation}->{'...' if Ellipsis in flat else ''}{letters(once)}", operands


# ---- the sequence of products ---------------------------------------------------------------------------------------


def _lengths(names: list[str], shapes: list[tuple[int, ...]]) -> dict[str, int]:
    """The length of each letter's dimension; those of length 1 are repeated as needed."""
    lengths: dict[str, int] = {}
    for subscript, shape in zip(names, shapes, strict=True):
        for letter, n in zip(subscript, shape, strict=True):
            if lengths.get(letter, 1) != 1 and n not in (1, lengths[letter]):
                raise RuntimeError(
                    f"einsum: the dimensions {letter!r} have lengths {lengths[letter]} and {n}, which do not broadcast "
                    f"(operands of shapes {', '.join(map(str, shapes))})"
                )
            lengths[letter] = n if lengths.get(letter, 1) == 1 else lengths[letter]
    return lengths


def _without_repeats(x: Tensor, names: str) -> tuple[Tensor, str]:
    """A letter that stands twice takes the diagonal: its dimension moves to the end."""
    for letter in dict.fromkeys(names):
        while names.count(letter) > 1:
            i = names.index(letter)
            j = names.index(letter, i + 1)
            others = [a for a in range(len(names)) if a not in (i, j)]
            if x.shape[i] != x.shape[j]:
                raise RuntimeError(
                    f"einsum: the dimensions {letter!r} of one operand have lengths {x.shape[i]} and {x.shape[j]}"
                )
            x = diagonal_of(xp_of_tensors, xp_of_tensors.permute_dims(x, axes=(*others, i, j)))
            names = "".join([names[a] for a in others]) + letter
    return x, names


def _summed(x: Tensor, names: str, needed: str) -> tuple[Tensor, str]:
    """Summed over the dimensions whose letters are not needed any more."""
    axes = tuple([a for a, c in enumerate(names) if c not in needed])
    if not axes:
        return x, names
    return xp_of_tensors.sum(x, axis=axes), "".join([c for c in names if c in needed])


def _next_pair(names: list[str], out: str, lengths: dict[str, int]) -> tuple[int, int]:
    """The two operands whose product is smallest beside themselves, or cheapest of these (the greedy choice)."""

    def size(letters: Any) -> int:
        return math.prod([lengths[c] for c in letters])

    def growth_and_cost(pair: tuple[int, int]) -> tuple[int, int]:
        i, j = pair
        letters = set(names[i]) | set(names[j])
        kept = set(out).union(*[names[k] for k in range(len(names)) if k not in pair])
        return size(letters & kept) - size(names[i]) - size(names[j]), size(letters)

    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    return min(pairs, key=growth_and_cost)


def _evaluate(operands: list[Tensor], names: list[str], out: str) -> Tensor:
    xp = xp_of_tensors
    lengths = _lengths(names, [tuple(o._data.shape) for o in operands])
    for i, x in enumerate(operands):
        x, letters = _without_repeats(x, names[i])
        # a dimension of length 1 that meets a longer one is dropped: the product broadcasts over it
        kept = [a for a, c in enumerate(letters) if x.shape[a] == lengths[c]]
        if len(kept) < len(letters):
            x = xp.reshape(x, shape=tuple([x.shape[a] for a in kept]))
        operands[i], names[i] = x, "".join([letters[a] for a in kept])
    while True:
        for i in range(len(names)):
            needed = out + "".join(names[:i] + names[i + 1 :])
            operands[i], names[i] = _summed(operands[i], names[i], needed)
        if len(names) == 1:
            break
        i, j = _next_pair(names, out, lengths) if len(names) > 2 else (0, 1)
        y, right = operands.pop(j), names.pop(j)
        x, left = operands.pop(i), names.pop(i)
        others = out + "".join(names)
        result = "".join(dict.fromkeys([c for c in left + right if c in others]))
        if not names and set(result) == set(out):
            result = out
        operands.append(xp.contract(x, y, left=left, right=right, result=result))
        names.append(result)
    # every letter of the result is in the last operand
    axes = tuple([names[0].index(c) for c in out])
    return operands[0] if axes == tuple(range(len(axes))) else xp.permute_dims(operands[0], axes=axes)


@function("einsum", method=False)
def _einsum(*args: Any) -> Tensor:
    """Sums of products of tensors, written as subscripts: ``einsum("ij,jk->ik", x, y)`` is a matrix product.

    ``...`` stands for dimensions that broadcast, as do dimensions of length 1; a letter that stands twice in one
    operand takes its diagonal; without ``->`` the letters that appear once, sorted, are the result's. Subscripts may
    be lists of numbers too: ``einsum(x, [0, 1], y, [1, 2], [0, 2])``. Three operands and more are multiplied pair
    by pair, those first whose product is small.

    Raises ValueError when the subscripts do not fit the operands, RuntimeError when lengths differ.

    Example:
        >>> import chainrule as cr
        >>> cr.einsum("ij->j", cr.ones(2, 3))
        tensor([2., 2., 2.])
    """
    if args and isinstance(args[0], str):
        equation, operands = args[0], list(args[1:])
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = list(operands[0])
    elif len(args) >= 2:
        equation, operands = _from_sublists(args)
    else:
        raise TypeError("einsum: expected an equation and tensors, or tensors and lists of subscripts")
    for i, t in enumerate(operands):
        if not isinstance(t, Tensor):
            raise TypeError(f"einsum: operand {i} must be a Tensor, got {describe(t)}")
    if not operands:
        raise ValueError("einsum: expected at least one operand")
    names, out = parse_einsum(equation, [tuple(o._data.shape) for o in operands])
    kinds = {o._data.dtype for o in operands}
    if len(kinds) > 1:
        given = ", ".join([str(o.dtype) for o in operands])
        raise RuntimeError(f"einsum: expected one dtype, got {given}; convert with .to(dtype)")
    result = _evaluate(operands, names, out)
    return xp_of_tensors.clone(result) if any(result is o for o in args) else result
