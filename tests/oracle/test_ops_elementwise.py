"""Elementwise functions against PyTorch: argument sets, infinities and NaN, ties and kinks, narrow dtypes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from both_sides import (
    BF16,
    F16,
    F32,
    SPECIAL,
    Pieces,
    cases,
    compare,
    flat,
    quiet,
    resolve,
    same,
    to_cr,
    to_torch,
    torch,
)

import chainrule as cr

pytestmark = pytest.mark.oracle

P = Pieces()
A, ints, bools = P.array, P.ints, P.bools

PLAIN = "abs absolute neg negative sign trunc exp expm1 sin cos tanh sigmoid relu square".split()
POSITIVE = "log log1p sqrt rsqrt reciprocal".split()
TESTS = "isfinite isnan isinf logical_not".split()
UNARY = [(n, (a,)) for n in PLAIN for a in (A(2, 3), A(), A(0, 2), ints(4), ints())]
UNARY += [(n, (a,)) for n in POSITIVE for a in (A(2, 3, low=0.3), A(low=0.5), A(0), ints(4, low=1))]
UNARY += [(n, (a,)) for n in TESTS for a in (A(2, 3), SPECIAL, ints(4), bools(3))]
UNARY += [(n, (bools(3),)) for n in ("exp", "sigmoid", "sqrt", "square", "sin", "bitwise_not")]
UNARY += [("bitwise_not", (ints(4),)), ("bitwise_not", (A(3),))]
UNARY += [(n, (ints(3, low=1, high=5).astype("uint8"),)) for n in ("neg", "relu", "log", "square", "sign", "abs")]

BINARY = [
    (n, (a, b))
    for n in "add sub mul div subtract multiply divide true_divide maximum minimum".split()
    for a, b in [
        (A(2, 3), A(2, 3)), (A(2, 3), A(3)), (A(2, 1), A(1, 3)), (A(), A(2, 2)), (A(), A()), (A(0, 3), A(3)),
        (A(1, 2), A(2, 1, 1)), (A(2, 3), A(4)), (A(0), A(1)), (ints(3, low=1), ints(3, low=1)),
        (ints(2, 3, low=1), A(3)),
        (A(2, 3), ints(3, low=1)), (bools(3), A(3)), (A(3), ints(low=1)),
    ]
    if not (n in ("sub", "subtract") and a.dtype == bool)  # here a mask can be subtracted
]  # fmt: skip
BINARY += [
    (n, (a, b))
    for n in "eq ne not_equal lt less le less_equal gt greater ge greater_equal".split()
    + "logical_and logical_or logical_xor".split()
    for a, b in [(ints(3), ints(2, 3)), (A(3), ints(3)), (SPECIAL, SPECIAL[::-1].copy()), (A(2), A(3)),
        (bools(3), bools(3))]
]
BINARY += [
    (n, (a, b))
    for n in "bitwise_and bitwise_or bitwise_xor".split()
    for a, b in [(ints(3), ints(2, 3)), (bools(3), bools(3)), (bools(3), ints(3)), (A(3), A(3))]
]
BINARY += [(n, (A(2, 3), s)) for n in "add sub mul div maximum minimum eq lt".split() for s in (2, 0.5, True, -3)
           if n not in ("maximum", "minimum", "sub") or s is None]  # fmt: skip
BINARY += [(n, (ints(3), s)) for n in "add mul div eq lt".split() for s in (2, 0.5, True)]
BINARY += [
    ("pow", (A(2, 3, low=0.3), A(3))), ("pow", (A(2, 3), 2)), ("pow", (A(2, 3), 3)), ("pow", (A(2, 3), 0)),
    ("pow", (A(2, 3), 1)), ("pow", (A(2, 3, low=0.3), 0.5)), ("pow", (A(2, 3, low=0.3), -0.5)), ("pow", (A(3), -1)),
    ("pow", (A(3), -2)), ("pow", (A(3), 4)), ("pow", (A(3, low=0.1), 2.5)), ("pow", (A(3), 2.0)), ("pow", (ints(4), 2)),
    ("pow", (ints(4), 0)), ("pow", (ints(4), 0.5)), ("pow", (ints(4, low=1), -1)), ("pow", (2, A(3))),
    ("pow", (2.5, ints(3))),
    ("pow", (2, ints(3, low=0))), ("pow", (A(3, low=0.3), ints(3))), ("pow", (A(), A())), ("pow", (0, A(3))),
    ("pow", (np.zeros(3), np.array([0.0, 1.0, 2.0]))), ("pow", (np.zeros(2), 0)), ("pow", (np.zeros(2), 1)),
    ("pow", (np.zeros(2), 2)), ("pow", (np.array([-1.0, -2.0]), np.array([2.0, 3.0]))), ("pow", (A(3), True)),
    ("pow", (bools(3), 2)), ("pow", (A(3), np.float64(2.0))), ("pow", (A(3, low=0.2), np.float64(2.3))),
    ("remainder", (A(2, 3, low=-5, high=5), A(3, low=0.7))), ("remainder", (A(3), 2)),
    ("remainder", (ints(5, low=-9), ints(5, low=1))),
    ("remainder", (A(3), -1.5)), ("remainder", (7, ints(3, low=1))),
    ("floor_divide", (A(2, 3, low=-5, high=5), A(3, low=0.7))), ("floor_divide", (ints(5, low=-9), ints(5, low=1))),
    ("floor_divide", (A(4), 0.3)), ("floor_divide", (ints(5, low=-9), 2)),
    ("add", (A(3), A(3)), {"alpha": 2}), ("sub", (A(3), A(3)), {"alpha": 0.5}),
    ("sub", (ints(3), ints(3)), {"alpha": 3}),
    ("add", (ints(3), ints(3)), {"alpha": 0.5}), ("sub", (A(3), 2)), ("sub", (bools(3), bools(3))),
    ("div", (A(3, low=-9), A(3, low=0.5)), {"rounding_mode": "floor"}),
    ("div", (A(3, low=-9), A(3, low=0.5)), {"rounding_mode": "trunc"}),
    ("div", (ints(5, low=-9), ints(5, low=1)), {"rounding_mode": "trunc"}),
    ("div", (ints(5, low=-9), 2), {"rounding_mode": "trunc"}),
    ("div", (ints(5, low=-9), 2), {"rounding_mode": "floor"}),
    ("div", (ints(5, low=-9), 2.0), {"rounding_mode": "trunc"}),
    ("div", (A(3), A(3)), {"rounding_mode": "round"}),
    ("isclose", (A(3), A(3))), ("isclose", (SPECIAL, SPECIAL), {"equal_nan": True}), ("isclose", (SPECIAL, SPECIAL)),
    ("allclose", (A(3), A(3))), ("allclose", (np.ones(3), np.ones(3) + 1e-9)), ("equal", (A(3), A(3))),
    ("equal", (np.ones((1, 3)), np.ones(3))), ("equal", (np.ones(3), np.ones(3))),
]  # fmt: skip
CLAMP = [
    ("clamp", (A(2, 3), -0.5, 0.7)), ("clamp", (A(2, 3),), {"min": 0}), ("clamp", (A(2, 3),), {"max": 0.5}),
    ("clip", (A(2, 3), -1, 1)), ("clamp", (A(2, 3), A(3), None)),
    ("clamp", (A(2, 3), A(3, low=-2, high=-1), A(3, low=0.5))),
    ("clamp", (ints(5), -1, 1)), ("clamp", (ints(5), -0.5)), ("clamp", (A(3),)), ("clamp", (A(3), 1.0, -1.0)),
    ("clamp", (A(2, 3),), {"min": A()}), ("clamp", (SPECIAL, -1.0, 1.0)),
    ("clamp", (np.array([0.0, 1.0, 2.0]), 0.0, 1.0)),
    ("clamp", (A(3), np.float64(0.25))), ("clamp", (ints(5), ints(5, low=-1), ints(5, low=1))),
]  # fmt: skip
WHERE = [
    ("where", (bools(2, 3), A(2, 3), A(3))), ("where", (bools(3), A(3), 0.0)), ("where", (bools(3), 1.0, A(3))),
    ("where", (bools(3), A(3), 0)), ("where", (bools(2, 1), A(3), A())), ("where", (bools(), A(2), A(1))),
    ("where", (bools(3), ints(3), A(3))), ("where", (bools(3), 1, 2)), ("where", (bools(3), 1.0, 2.0)),
    ("where", (bools(3), True, 2)), ("where", (bools(3),)), ("where", (bools(3), A(4), A(3))),
    ("where", (bools(3), ints(3), 0.5)),
    ("masked_fill", (A(2, 3), bools(3), 5.0)), ("masked_fill", (A(2, 3), bools(2, 3), A())),
    ("masked_fill", (ints(3), bools(3), 2)),
    ("masked_fill", (A(3), bools(2, 3), -math.inf)), ("masked_fill", (ints(3), bools(3), 2.5)),
    ("masked_fill", (A(3), ints(3), 1.0)),
    (".masked_select", (A(2, 3), bools(2, 3))), (".masked_select", (A(2, 3), bools(3))),
    (".masked_select", (A(3), bools(2, 3))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs"), cases([*UNARY, *BINARY, *CLAMP, *WHERE]))
def test_elementwise(name, args, kwargs):
    compare(name, args, kwargs)


def value_at_nan(name, *args):
    """Values only: PyTorch's gradients at NaN follow no rule."""
    want, got = quiet(resolve(torch, name), *to_torch(args)), quiet(resolve(cr, name), *to_cr(args))
    for a, b in zip(flat(got), flat(want), strict=True):
        same(a, b)


@pytest.mark.parametrize("name", [*PLAIN, *POSITIVE, "isfinite"])
def test_elementwise_at_infinities_and_nan(name):
    compare(name, (SPECIAL[~np.isnan(SPECIAL)],), second=False)
    if name != "sign":  # of NaN: 0 in PyTorch, NaN in NumPy and here
        value_at_nan(name, SPECIAL)


@pytest.mark.parametrize("name", "maximum minimum add mul div pow".split())
def test_binary_at_infinities_and_nan(name):
    numbers = [0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, np.nan]
    x, y = (np.array(v) for v in zip(*itertools.product(numbers, repeat=2), strict=True))
    value_at_nan(name, x, y)
    x, y = (np.array(v) for v in zip(*itertools.product(numbers[:-1], repeat=2), strict=True))
    compare(name, (x, y), second=False)


@pytest.mark.parametrize("name", "max min amax amin argmax argmin sort sum mean".split())
def test_reductions_of_nan(name):
    value_at_nan(name, SPECIAL)


TIES = np.array([[1.0, 3.0, 3.0], [0.0, 0.0, 0.0], [2.0, -1.0, 2.0]])


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    cases([
        ("maximum", (TIES, TIES.T.copy())), ("minimum", (TIES, TIES.T.copy())), ("relu", (TIES,)), ("abs", (TIES,)),
        ("clamp", (TIES, 0.0, 2.0)), ("clamp", (TIES, TIES.T.copy())), ("clamp", (TIES, None, TIES.T.copy())),
        ("max", (TIES,)), ("min", (TIES,)),
        ("max", (TIES, 1)), ("min", (TIES, 1)), ("max", (TIES, 0)), ("amax", (TIES, 1)), ("amin", (TIES, (0, 1))),
        ("amax", (TIES,)),
        ("sort", (TIES,), {"stable": True}), ("sort", (TIES,), {"stable": True, "descending": True}), ("sign", (TIES,)),
        ("argmax", (TIES, 1)), ("argmin", (TIES, 1)), ("norm", (np.zeros((2, 3)),)), ("norm", (np.zeros((2, 3)), 1)),
        ("norm", (TIES, math.inf)), ("norm", (TIES, -math.inf)), ("norm", (TIES, math.inf, 1)), ("std", (TIES, 1)),
        ("norm", (TIES, 2, 1)), ("norm", (TIES, 0)), ("norm", (TIES, 1)), ("norm", (TIES, 3, 1)),
        ("norm", (np.array([0.0, 1.0]), 1.5)),
        ("norm", (np.array([-2.0, 1.0]), 0.5)), ("norm", (TIES, 2.5)),
        ("where", (TIES > 0, TIES, -TIES)), ("prod", (TIES,)), ("prod", (TIES, 1)), ("logsumexp", (TIES, 1)),
    ]),
)  # fmt: skip
def test_ties_and_kinks(name, args, kwargs):
    compare(name, args, kwargs, second=name not in ("norm", "std"))


@pytest.mark.parametrize("dtype", [F32, F16, BF16])
@pytest.mark.parametrize("name", [*PLAIN, *POSITIVE])
def test_unary_in_narrow_dtypes(name, dtype):
    compare(name, (A(3, 4, low=0.3),), dtype=dtype, second=False)


@pytest.mark.parametrize("dtype", [F32, F16, BF16])
@pytest.mark.parametrize("name", "add sub mul div maximum minimum pow".split())
def test_binary_in_narrow_dtypes(name, dtype):
    compare(name, (A(3, 4, low=0.5), A(4, low=0.5)), dtype=dtype, second=False)
