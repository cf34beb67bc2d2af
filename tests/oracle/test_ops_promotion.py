"""Dtypes of results against PyTorch: promotion of tensors, numbers and NumPy's values; conversions."""

from __future__ import annotations

import numpy as np
import pytest
from both_sides import BF16, BOOL, F16, F32, F64, I8, I32, I64, U8, agree, dtype_of, same, torch

import chainrule as cr

pytestmark = pytest.mark.oracle

N = np.array

# ---- type promotion -------------------------------------------------------------------------------------------------

TENSORS = [(d, shape) for d in (BOOL, U8, I32, I64, F16, BF16, F32, F64) for shape in ((), (2,))]
OPERATORS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b, "//": lambda a,
    b: a // b,
    "%": lambda a, b: a % b, "**": lambda a, b: a**b, "<": lambda a, b: a < b, "==": lambda a, b: a == b, "&": lambda a,
    b: a & b,
}  # fmt: skip


def make_pair(dtype, shape, value=1):
    return torch.full(shape, value, dtype=getattr(torch, dtype)), cr.full(shape, value, dtype=dtype_of(cr, dtype))


@pytest.mark.parametrize("symbol", OPERATORS)
@pytest.mark.parametrize("left", TENSORS, ids=str)
def test_promotion_of_two_tensors(symbol, left):
    for right in TENSORS:
        (a, x), (b, y) = make_pair(*left), make_pair(*right)
        agree(OPERATORS[symbol], (x, y), (a, b), f"{left} {symbol} {right}")


NUMBERS = [True, 2, 2.0, np.float64(2.0), np.int64(2), np.bool_(True)]


@pytest.mark.parametrize("symbol", OPERATORS)
@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: f"{type(n).__name__}")
def test_promotion_with_a_number_on_either_side(symbol, number):
    f = OPERATORS[symbol]
    plain = number.item() if isinstance(number,
    np.generic) else number  # PyTorch differs from itself on NumPy's scalars
    for tensor in TENSORS:
        if symbol == "**" and tensor[0] == BOOL and isinstance(plain, bool):
            continue  # NumPy has no power of bools that stays one
        a, x = make_pair(*tensor)
        agree(f, (x, number), (a, plain), f"{tensor} {symbol} {number!r}")
        agree(f, (number, x), (plain, a), f"{number!r} {symbol} {tensor}")


@pytest.mark.parametrize("tensor", TENSORS, ids=str)
def test_promotion_of_where_cat_stack_and_maximum(tensor):
    for other in TENSORS:
        (a, x), (b, y) = make_pair(*tensor), make_pair(*other)
        cond = (torch.tensor([True, False]), cr.tensor([True, False]))
        agree(lambda c, u, v: (torch if isinstance(u, torch.Tensor) else cr).where(c, u, v),
              (cond[1], x, y), (cond[0], a, b), f"where {tensor} {other}")  # fmt: skip
        for name in ("maximum", "minimum"):
            agree(lambda u, v, name=name: getattr(torch if isinstance(u, torch.Tensor) else cr, name)(u, v),
                  (x, y), (a, b), f"{name} {tensor} {other}")  # fmt: skip
        if tensor[1] == other[1]:
            agree(lambda u, v: (torch if isinstance(u, torch.Tensor) else cr).stack([u, v]), (x, y), (a, b),
                f"stack {tensor} {other}")


@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "**", "<"])
def test_numpy_arrays_on_either_side_count_as_tensors(symbol):
    f = OPERATORS[symbol]
    array = np.array([1.0, 2.0])
    x = cr.tensor([3.0, 4.0], device="cpu")
    expected = f(torch.tensor(array), torch.tensor([3.0, 4.0]))
    same(f(array, x), expected)
    same(f(x, array), f(torch.tensor([3.0, 4.0]), torch.tensor(array)))


# ---- conversions ----------------------------------------------------------------------------------------------------

EVERY = [BOOL, U8, I8, "int16", I32, I64, F16, BF16, F32, F64]


@pytest.mark.parametrize("source", EVERY)
@pytest.mark.parametrize("name", "float double half bfloat16 long int short char byte bool".split())
def test_conversion_methods(name, source):
    values = N([0, 1, 2, 100]) if source != BOOL else N([False, True, True, False])
    a, x = torch.tensor(values).to(getattr(torch, source)), cr.tensor(values).to(dtype_of(cr, source))
    agree(lambda t: getattr(t, name)(), (x,), (a,), name)


@pytest.mark.parametrize(("source", "target"),
    [(F32, F64), (F64, F32), (F32, F16), (F16, F32), (F32, BF16), (F32, I64), (F32, F32), (I64, F32)])
def test_to_and_its_gradient(source, target):
    values = N([0.5, -1.5, 2.0])
    a, x = torch.tensor(values).to(getattr(torch, source)), cr.tensor(values).to(dtype_of(cr, source))
    if "float" in source:
        a.requires_grad_()
        x.requires_grad_()
    b, y = a.to(getattr(torch, target)), x.to(dtype_of(cr, target))
    same(y, b)
    assert (y is x) == (b is a)
    assert y.requires_grad == b.requires_grad
    if b.requires_grad:
        (b * b).sum().backward()
        (y * y).sum().backward()
        same(x.grad, a.grad)
