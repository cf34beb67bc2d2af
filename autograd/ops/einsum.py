"""Einstein summation: every equation as a sequence of matrix products of two operands."""

from __future__ import annotations

import functools
import itertools
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
    groups, of_x, of_y, of_out = _layout(left, right, result)
    size = dict(zip(left + right, (*x.shape, *y.shape), strict=True))
    b, m, k, n = [math.prod([size[c] for c in group]) for group in groups]
    x = xp.reshape(_permuted(xp, x, of_x), shape=(b, m, k) if groups[0] else (m, k))
    y = xp.reshape(_permuted(xp, y, of_y), shape=(b, k, n) if groups[0] else (k, n))
    out = xp.matmul(x, y) if groups[2] else x * y  # without a sum the product is elementwise
    batch, rows, _, columns = groups
    return _permuted(xp, xp.reshape(out, shape=tuple([size[c] for c in batch + rows + columns])), of_out)


def _permuted(xp: Any, x: Any, axes: tuple[int, ...] | None) -> Any:
    return x if axes is None else xp.permute_dims(x, axes=axes)


@functools.lru_cache(maxsize=1024)
def _layout(left: str, right: str, result: str) -> tuple[Any, ...]:
    """The letters as batch, rows, summed and columns; and how x, y and the product are permuted (None: not at all)."""
    shared = [c for c in left if c in right]
    batch = "".join([c for c in shared if c in result])
    summed = "".join([c for c in shared if c not in result])
    rows = "".join([c for c in left if c not in right])
    columns = "".join([c for c in right if c not in left])

    def order(names: str, wanted: str) -> tuple[int, ...] | None:
        return None if names == wanted else tuple([names.index(c) for c in wanted])

    return (
        (batch, rows, summed, columns),
        order(left, batch + rows + summed),
        order(right, batch + summed + columns),
        order(batch + rows + columns, result),
    )


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


def _lengths(names: list[str], shapes: Sequence[tuple[int, ...]]) -> dict[str, int]:
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


def _next_pair(names: list[str], out: str, lengths: dict[str, int]) -> tuple[int, int]:
    """The two operands whose product is smallest beside themselves, or cheapest of these (the greedy choice)."""

    def size(letters: Any) -> int:
        return math.prod([lengths[c] for c in letters])

    def growth_and_cost(pair: tuple[int, int]) -> tuple[int, int]:
        i, j = pair
        letters = set(names[i]) | set(names[j])
        kept = set(out).union(*[names[k] for k in range(len(names)) if k not in pair])
        return size(letters & kept) - size(names[i]) - size(names[j]), size(letters)

    return min(itertools.combinations(range(len(names)), 2), key=growth_and_cost)


#: what is done ("diagonal", "reshape", "sum", "permute" or "product"), to which operand or operands, and how
Step = tuple[str, Any, Any]


def _simplify(i: int, letters: str, shape: tuple[int, ...], lengths: dict[str, int], steps: list[Step]) -> str:
    """One operand without letters that stand twice, and without dimensions of length 1 that meet longer ones."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            if shape[first] != shape[second]:
                raise RuntimeError(
                    f"einsum: the dimensions {letter!r} of one operand have lengths {shape[first]} and {shape[second]}"
                )
            others = [a for a in range(len(letters)) if a not in (first, second)]
            steps.append(("diagonal", i, (*others, first, second)))
            letters = "".join([letters[a] for a in others]) + letter
            shape = (*[shape[a] for a in others], shape[first])
    kept = [a for a, c in enumerate(letters) if shape[a] == lengths[c]]
    if len(kept) < len(letters):  # the product broadcasts over what is dropped
        steps.append(("reshape", i, tuple([shape[a] for a in kept])))
    return "".join([letters[a] for a in kept])


@functools.lru_cache(maxsize=1024)
def _plan(equation: str, shapes: tuple[tuple[int, ...], ...]) -> list[Step]:
    """The steps from the operands to the result."""
    names, out = parse_einsum(equation, list(shapes))
    lengths = _lengths(names, shapes)
    steps: list[Step] = []
    names = [_simplify(i, names[i], shape, lengths, steps) for i, shape in enumerate(shapes)]
    while True:
        for i, letters in enumerate(names):
            needed = out + "".join(names[:i] + names[i + 1 :])
            axes = tuple([a for a, c in enumerate(letters) if c not in needed])
            if axes:
                steps.append(("sum", i, axes))
                names[i] = "".join([c for c in letters if c in needed])
        if len(names) == 1:
            break
        i, j = _next_pair(names, out, lengths)
        right, left = names.pop(j), names.pop(i)
        others = out + "".join(names)
        result = "".join(dict.fromkeys([c for c in left + right if c in others]))
        if set(result) == set(out) and not names:
            result = out
        steps.append(("product", (i, j), (left, right, result)))
        names.append(result)
    if names[0] != out:
        steps.append(("permute", 0, tuple([names[0].index(c) for c in out])))
    return steps


def _run(steps: list[Step], operands: list[Tensor]) -> Tensor:
    xp = xp_of_tensors
    for what, at, how in steps:
        if what == "product":
            i, j = at
            y, x = operands.pop(j), operands.pop(i)
            left, right, result = how
            operands.append(xp.contract(x, y, left=left, right=right, result=result))
        elif what == "sum":
            operands[at] = xp.sum(operands[at], axis=how)
        elif what == "reshape":
            operands[at] = xp.reshape(operands[at], shape=how)
        else:
            operands[at] = xp.permute_dims(operands[at], axes=how)
            if what == "diagonal":
                operands[at] = diagonal_of(xp, operands[at])
    return operands[0]


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
    steps = _plan(equation, tuple([tuple(o._data.shape) for o in operands]))
    kinds = {o._data.dtype for o in operands}
    if len(kinds) > 1:
        given = ", ".join([str(o.dtype) for o in operands])
        raise RuntimeError(f"einsum: expected one dtype, got {given}; convert with .to(dtype)")
    return _run(steps, operands) if steps else xp_of_tensors.clone(operands[0])
