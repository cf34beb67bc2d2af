"""Every public function and method that PyTorch has too: values, dtypes, shapes, first and second gradients.

The arguments of a case are NumPy arrays (tensors on both sides) and plain values. Cases on which PyTorch raises must
raise here as well.
"""

from __future__ import annotations

import itertools
import math
import warnings
import zlib

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

RTOL = {"float64": 1e-9, "float32": 2e-5, "float16": 4e-3, "bfloat16": 2e-2}
BOOL, I8, U8, I32, I64, F16, BF16, F32, F64 = (
    "bool uint8 int8 int32 int64 float16 bfloat16 float32 float64".replace("uint8 int8", "int8 uint8").split()
)


# ---- the same thing on both sides -----------------------------------------------------------------------------------


class Pieces:
    """Arguments made in both libraries from the same numbers."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def array(self, *shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
        count = math.prod(shape)
        values = low + (high - low) * (np.arange(count) + self.rng.uniform(0.2, 0.8, count)) / max(count, 1)
        return self.rng.permutation(values).reshape(shape)


P = Pieces()
A = P.array


def ints(*shape, low=-3, high=4):
    return P.rng.integers(low, high, shape)


def bools(*shape):
    return P.rng.random(shape) > 0.5


def dtype_of(library, name):
    """The dtype of that name; ``chainrule.bool`` and Python's own are told apart."""
    return getattr(torch, name) if library is torch else cr.autograd.dtypes.as_dtype(name)


def to_cr(value, dtype=None, grad=False):
    if isinstance(value, np.ndarray):
        t = cr.tensor(value)
        if dtype is not None and value.dtype == np.float64:
            t = t.to(dtype_of(cr, dtype))
        return t.requires_grad_() if grad and t.is_floating_point() else t
    if isinstance(value, (list, tuple)):
        return type(value)(to_cr(v, dtype, grad) for v in value)
    return value


def to_torch(value, dtype=None, grad=False):
    if isinstance(value, np.ndarray):
        t = torch.tensor(value)
        if dtype is not None and value.dtype == np.float64:
            t = t.to(getattr(torch, dtype))
        return t.requires_grad_() if grad and t.is_floating_point() else t
    if isinstance(value, (list, tuple)):
        return type(value)(to_torch(v, dtype, grad) for v in value)
    return value


def leaves(args):
    found = []
    for a in args:
        if isinstance(a, (list, tuple)):
            found += leaves(a)
        elif isinstance(a, (cr.Tensor, torch.Tensor)):
            found.append(a)
    return found


def dtype_name(t):
    return str(t.dtype).split(".")[-1]


def host(t):
    if isinstance(t, torch.Tensor):
        t = t.detach()
        return (t.double() if t.dtype in (torch.bfloat16, torch.float16, torch.float32) else t).numpy(force=True)
    a = t.numpy(force=True)
    return a.astype(np.float64) if t.is_floating_point() else a


def same(got, want, what="value", nan_is_fine=False):
    """The tensor ``got`` equals PyTorch's ``want`` in dtype, shape and elements.

    With ``nan_is_fine`` only where PyTorch has a number (second derivatives at zero).
    """
    if not isinstance(want, torch.Tensor):
        assert got == want, f"{what}: {got!r} instead of {want!r}"
        return
    assert isinstance(got, cr.Tensor), f"{what}: {type(got)}"
    assert dtype_name(got) == dtype_name(want), f"{what}: {got.dtype} instead of {want.dtype}"
    assert tuple(got.shape) == tuple(want.shape), f"{what}: shape {tuple(got.shape)} instead of {tuple(want.shape)}"
    tol = RTOL.get(dtype_name(want), 0)
    a, b = host(got), host(want)
    if nan_is_fine and b.dtype.kind == "f":
        a = np.where(np.isnan(b), b, a)
    np.testing.assert_allclose(a, b, rtol=tol, atol=tol, err_msg=what)


def flat(result):
    if isinstance(result, (list, tuple)):
        return list(itertools.chain.from_iterable(flat(r) for r in result))
    return [result]


def resolve(library, name):
    if name.startswith("."):
        return lambda x, *args, **kwargs: getattr(x, name[1:])(*args, **kwargs)
    if hasattr(library, name):
        return getattr(library, name)
    return getattr(torch.nn.functional, name)


def weights(number, like):
    """The weights of output or gradient ``number`` in a sum of all."""
    rng = np.random.default_rng(number)
    return rng.uniform(0.5, 1.5, tuple(like.shape)) * rng.choice([-1.0, 1.0], tuple(like.shape))


def gradients(library, outputs, inputs, make):
    """First gradients of the weighted sum of all outputs, and second ones of the weighted sum of those."""
    grad = torch.autograd.grad if library is torch else cr.autograd.grad
    tracked = [o for o in outputs if isinstance(o, (torch.Tensor, cr.Tensor)) and o.requires_grad]
    if not tracked:
        return None, None
    seeds = [make(weights(i, o)).to(o.dtype) for i, o in enumerate(tracked)]
    first = grad(tracked, inputs, seeds, create_graph=True, allow_unused=True)
    again = [(i, f) for i, f in enumerate(first) if f is not None and f.requires_grad]
    if not again:
        return first, [None] * len(first)
    seeds = [make(weights(i, f)).to(f.dtype) for i, f in again]
    again = [f for _, f in again]
    return first, grad(again, inputs, seeds, allow_unused=True)


def zero_if_none(gradient, like, make):
    return make(np.zeros(tuple(like.shape))).to(like.dtype) if gradient is None else gradient


def quiet(function, *args, **kwargs):
    """NumPy's warnings about infinities and NaN are no part of the comparison; nor are PyTorch's deprecations."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def run(function, args, kwargs):
    try:
        return quiet(function, *args, **kwargs), None
    except (RuntimeError, ValueError, TypeError, IndexError, OverflowError, NotImplementedError) as error:
        return None, error


def compare(name, args, kwargs=None, dtype=F64, second=True):
    """One call on both sides; both raise, or values and gradients agree."""
    kwargs = kwargs or {}
    theirs_in, ours_in = to_torch(args, dtype, True), to_cr(args, dtype, True)
    theirs, theirs_error = run(resolve(torch, name), theirs_in, {k: to_torch(v, dtype) for k, v in kwargs.items()})
    ours, ours_error = run(resolve(cr, name), ours_in, {k: to_cr(v, dtype) for k, v in kwargs.items()})
    assert (ours_error is None) == (theirs_error is None), f"chainrule: {ours_error!r}\ntorch: {theirs_error!r}"
    if ours_error is not None:
        assert len(str(ours_error)) > 20, f"the error says too little: {ours_error!r}"
        return
    theirs, ours = flat(theirs), flat(ours)
    assert len(theirs) == len(ours)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        same(a, b, f"output {i}")
        if isinstance(b, torch.Tensor):
            assert a.requires_grad == b.requires_grad, f"output {i}: requires_grad {a.requires_grad}"
    x_theirs = [t for t in leaves(theirs_in) if t.requires_grad]
    x_ours = [t for t in leaves(ours_in) if t.requires_grad]
    if not x_ours:
        return
    try:
        want1, want2 = quiet(gradients, torch, theirs, x_theirs, torch.tensor)
    except (NotImplementedError, RuntimeError) as error:  # PyTorch's own limits
        if "not implemented" in str(error) or "invalid gradient" in str(error):
            return
        raise
    got1, got2 = quiet(gradients, cr, ours, x_ours, cr.tensor)
    assert (got1 is None) == (want1 is None)
    for order, got, want in ((1, got1, want1), (2, got2, want2)):
        if order == 2 and not second:
            continue
        for i, (x, y) in enumerate(zip(x_ours, x_theirs, strict=True)):
            g = zero_if_none(None if got is None else got[i], x, cr.tensor)
            w = zero_if_none(None if want is None else want[i], y, torch.tensor)
            same(g, w, f"gradient {order} of input {i}", nan_is_fine=True)


def name_of(case):
    return "-".join(
        str(part) if not isinstance(part, np.ndarray) else f"{part.dtype}{list(part.shape)}".replace(" ", "")
        for part in (case[0], *flat(list(case[1])),
            *[f"{k}={v}" for k, v in (case[2] if len(case) > 2 else {}).items()])
    )[:110]


def cases(table):
    """Cases with readable, unique ids."""
    seen = {}
    params = []
    for case in table:
        ident = name_of(case)
        seen[ident] = seen.get(ident, 0) + 1
        params.append(pytest.param(*case[:2], case[2] if len(case) > 2 else {}, id=f"{ident}#{seen[ident]}"))
    return params


# ---- elementwise ----------------------------------------------------------------------------------------------------

PLAIN = "abs absolute neg negative sign trunc exp expm1 sin cos tanh sigmoid relu square".split()
POSITIVE = "log log1p sqrt rsqrt reciprocal".split()
TESTS = "isfinite isnan isinf logical_not".split()
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, 1e30, 88.0, -88.0, 1000.0, -1000.0, 0.5])
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


# ---- reductions -----------------------------------------------------------------------------------------------------

DIMS = [{}, {"dim": 1}, {"dim": -1, "keepdim": True}, {"dim": (0, 2)}, {"dim": (2, 0), "keepdim": True}, {"dim": 0}]
REDUCE = [(n, (A(2, 3, 4),), d) for n in "sum mean amax amin var std norm".split() for d in DIMS]
REDUCE += [(n, (A(2, 3, 4),),
    d) for n in "max min argmax argmin prod any all".split() for d in DIMS if not isinstance(d.get("dim"), tuple)]
REDUCE += [("logsumexp", (A(2, 3, 4),), d) for d in DIMS if d]
REDUCE += [(n, (a,), {}) for n in "sum mean prod max min amax amin any all var std norm argmax".split() for a in (A(),
    A(1), A(3))]
REDUCE += [(n, (a,), {}) for n in "sum prod max min any all mean argmax amax var".split() for a in (ints(3), bools(3),
    ints(2, 2))
           if not (n == "argmax" and a.dtype == bool)]  # fmt: skip
REDUCE += [(n, (np.zeros(0),), {}) for n in "sum prod any all max argmax amax mean var norm".split()]
REDUCE += [(n, (np.zeros((0, 3)),), {"dim": 0}) for n in "sum prod any all max argmax amax mean norm".split()]
REDUCE += [(n, (np.zeros((0, 3)),), {"dim": 1}) for n in "sum prod any all max argmax amax mean norm".split()]
REDUCE += [(n, (A(2, 3),),
    {"dim": d}) for n in "sum mean prod max var argmax any cumsum logsumexp norm softmax".split() for d in (2, -3, 5)]
REDUCE += [
    ("sum", (A(2, 3), (0, 0))), ("sum", (A(2, 3), [0, 1])), ("sum", (A(2, 3), 0, True)),
    ("sum", (ints(3),), {"dtype": None}),
    ("sum", (A(2, 3), ())), ("amax", (A(2, 3), ())), ("mean", (A(2, 3), ())), ("sum", (A(2, 3),), {"axis": 1}),
    ("mean", (A(2, 3),), {"axis": 1, "keepdim": True}),
    ("max", (A(2, 3), A(3))), ("min", (A(2, 3), A(2, 3))), ("max", (A(2, 3), 1, True)),
    ("max", (A(2, 3),), {"dim": -1}),
    ("var", (A(2, 3),), {"correction": 0}), ("var", (A(2, 3), 1), {"correction": 2}), ("std", (A(2, 3), 1, False)),
    ("std", (A(2, 3), False)),
    ("var", (A(2, 3), 1, True, True)), ("var", (A(3, 1), 1)), ("var", (A(2, 3), (0, 1)), {"correction": 0}),
    ("std", (A(4),), {"unbiased": False}),
    ("var", (A(1),), {"correction": 0}),
    ("norm", (A(2, 3), 1)), ("norm", (A(2, 3), 2)), ("norm", (A(2, 3), 3)), ("norm", (A(2, 3), math.inf)),
    ("norm", (A(2, 3), 2, 1)),
    ("norm", (A(2, 3), "fro")), ("norm", (A(2, 3), 2, 1, True)), ("norm", (ints(3),)), ("norm", (A(2, 3), 1.5, 0)),
    ("norm", (A(2, 3), "nuc?")),
    ("cumsum", (A(2, 3), 0)), ("cumsum", (A(2, 3), -1)), ("cumsum", (ints(4), 0)), ("cumsum", (bools(4), 0)),
    ("cumsum", (A(), 0)), ("cumsum", (A(0), 0)),
    ("logsumexp", (SPECIAL[[0, 2, 5]], 0)), ("logsumexp", (np.array([-np.inf, -np.inf]), 0)),
    ("logsumexp", (np.array([np.inf, 1.0]), 0)),
    ("logsumexp", (ints(3), 0)), ("logsumexp", (np.array([1000.0, 999.0]), 0)), ("logsumexp", (A(), 0)),
    ("softmax", (A(2, 3), 1)), ("softmax", (A(2, 3), 0)), ("log_softmax", (A(2, 3), -1)), ("softmax", (A(), 0)),
    ("log_softmax", (A(), 0)),
    ("softmax", (A(2, 3, 2),), {"dim": 1}), ("softmax", (np.array([1000.0, 0.0]), 0)),
    ("log_softmax", (np.array([1000.0, 0.0]), 0)),
    ("softmax", (A(0, 3), 1)), ("softmax", (A(0, 3), 0)), ("softmax", (ints(3), 0)),
    ("softmax", (np.array([-np.inf, 0.0]), 0)),
    ("log_softmax", (np.array([-np.inf, 0.0]), 0)), ("softmax", (np.array([-np.inf, -np.inf]), 0)),
    ("sort", (A(2, 3),)), ("sort", (A(2, 3), 0)), ("sort", (A(2, 3), 1, True)), ("sort", (A(),)),
    ("sort", (ints(5),), {"stable": True}),
    ("argsort", (A(2, 3),)), ("argsort", (A(2, 3), 0, True)), ("sort", (A(0),)),
    ("sort", (A(2, 3),), {"descending": True}),
    ("topk", (A(2, 5), 2)), ("topk", (A(2, 5), 2, 0)), ("topk", (A(2, 5), 2, 1, False)), ("topk", (A(3), 4)),
    ("topk", (A(3), 0)), ("topk", (A(), 1)),
    ("any", (SPECIAL,)), ("all", (SPECIAL,)), ("any", (A(2, 3), 1, True)), ("all", (bools(2, 3), 0)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs"), cases(REDUCE))
def test_reductions(name, args, kwargs):
    nan = name in ("var", "std") and args[0].size == 1  # 0/0 in second derivatives: the same nan by another way
    compare(name, args, kwargs, second=not nan and args[0] is not SPECIAL)


@pytest.mark.parametrize("dtype", [F32, F16, BF16])
@pytest.mark.parametrize("name", "sum mean prod max amin var std norm cumsum softmax logsumexp".split())
def test_reductions_in_narrow_dtypes(name, dtype):
    kwargs = {"dim": 1} if name in ("cumsum", "softmax", "logsumexp", "max") else {}
    compare(name, (A(3, 4, low=0.5, high=1.5),), kwargs, dtype=dtype, second=False)


# ---- shape ----------------------------------------------------------------------------------------------------------

X = A(2, 3, 4)
SHAPE = [
    ("reshape", (X, (6, 4))), ("reshape", (X, (-1,))), ("reshape", (X, (4, -1, 2))), ("reshape", (X, (5, 5))),
    ("reshape", (X, (-1, -1))),
    ("reshape", (A(), (1, 1))), ("reshape", (A(0, 3), (3, 0))), ("reshape", (A(0, 3), (0, -1))),
    ("reshape", (A(0, 3), (-1, 3))), (".reshape", (X, 6, 4)),
    (".view", (X, 6, 4)), (".view", (X, -1)), (".view", (X, (2, 12))), (".view_as", (X, A(24))),
    (".reshape_as", (X, A(4, 6))),
    ("flatten", (X,)), ("flatten", (X, 1)), ("flatten", (X, 0, 1)), ("flatten", (A(),)), ("flatten", (X, 2, 1)),
    ("flatten", (X, -2, -1)), ("ravel", (X,)),
    ("unflatten", (A(6, 2), 0, (2, 3))), ("unflatten", (A(6, 2), 0, (-1, 3))), ("unflatten", (A(6, 2), 0, (4, 2))),
    (".unflatten", (A(2, 6), -1, (3, 2))),
    ("squeeze", (A(1, 3, 1),)), ("squeeze", (A(1, 3, 1), 0)), ("squeeze", (A(1, 3, 1), 1)),
    ("squeeze", (A(1, 3, 1), (0, 2))), ("squeeze", (A(1, 3, 1), -1)),
    ("squeeze", (A(3), 1)), ("unsqueeze", (X, 0)), ("unsqueeze", (X, -1)), ("unsqueeze", (X, 3)), ("unsqueeze", (X, 4)),
    ("unsqueeze", (X, -4)), ("unsqueeze", (A(), 0)),
    ("permute", (X, (2, 0, 1))), (".permute", (X, 2, 0, 1)), ("permute", (X, (0, -1, 1))), ("permute", (X, (0, 1))),
    ("permute", (X, (0, 0, 1))),
    ("transpose", (X, 0, 2)), ("transpose", (X, -1, -2)), ("transpose", (X, 0, 3)), ("swapaxes", (X, 0, 1)),
    ("swapdims", (X, 0, 1)), ("t", (A(2, 3),)), ("t", (A(3),)), ("t", (X,)),
    ("flip", (X, (0,))), ("flip", (X, (0, 2))), ("flip", (X, (-1,))), (".flip", (X, 1)), ("flip", (A(3), (1,))),
    ("flip", (A(2, 2), (0, 0))), ("flip", (A(2, 2), ())),
    (".expand", (A(2, 1), 2, 3)), (".expand", (A(2, 1), -1, 3)), (".expand", (A(3), 2, 3)), (".expand", (A(), 2, 2)),
    (".expand", (A(2, 3), 2, 4)),
    (".expand", (A(3), -1, 3)), (".expand", (A(1, 3), 0, 3)), ("broadcast_to", (A(3), (2, 3))),
    (".expand_as", (A(3), A(2, 3))), (".contiguous", (X,)),
    ("clone", (X,)), (".T", ()), ("cat", ([A(2, 3), A(1, 3)],)), ("cat", ([A(2, 3), A(2, 1)], 1)),
    ("cat", ([A(2, 3), A(2, 1)], -1)), ("cat", ([A(2, 3), A(2, 1)],)),
    ("cat", ([A(2), ints(2)],)), ("cat", ([bools(2), ints(2)],)), ("cat", ([A(0), A(2, 3)],)), ("cat", ([A(0), A(0)],)),
    ("cat", ([],)), ("cat", ([A(0, 3), A(2, 3)],)),
    ("cat", ([A(2), A(2)], 1)), ("cat", ([A(), A()],)), ("concat", ([A(2), A(1)],)), ("concatenate", ([A(2), A(1)],)),
    ("cat", ([A(2, 3), A(2, 3)],), {"dim": 1}), ("cat", ([A(3)],)),
    ("stack", ([A(2, 3), A(2, 3)],)), ("stack", ([A(2, 3), A(2, 3)], 1)), ("stack", ([A(2, 3), A(2, 3)], -1)),
    ("stack", ([A(2), A(3)],)), ("stack", ([A(), A()],)),
    ("stack", ([A(2), ints(2)],)), ("stack", ([A(2, 3)], 3)), ("stack", ([],)),
    ("split", (A(5, 2), 2)), ("split", (A(5, 2), [2, 3])), ("split", (A(2, 6), 4, 1)), ("split", (A(5), [2, 2])),
    ("split", (A(5), 7)), ("split", (A(5), [5, 0])), ("split", (A(4, 2), 2, -1)),
    ("split", (A(5), 0)), ("split", (A(0), 2)), ("split", (A(5), -1)), ("chunk", (A(5), 2)), ("chunk", (A(5), 7)),
    ("chunk", (A(2, 6), 4, 1)), ("chunk", (A(5), 0)), ("chunk", (A(4), 3)),
    ("unbind", (A(3, 2),)), ("unbind", (A(3, 2), 1)), ("unbind", (A(3, 2), -1)), ("unbind", (A(),)),
    ("unbind", (A(0, 2),)), ("unbind", (A(2), 1)),
    ("gather", (A(3, 4), 0, ints(2, 4, low=0, high=3))), ("gather", (A(3, 4), 1, ints(3, 6, low=0, high=4))),
    ("gather", (A(3, 4), -1, ints(2, 2, low=0, high=4))),
    ("gather", (A(3, 4), 1, ints(3, 2, low=4, high=6))), ("gather", (A(3, 4), 1, ints(3, low=0))),
    ("gather", (A(3, 4), 0, ints(2, 5, low=0, high=3))), ("gather", (A(3), 0, A(2))),
    ("gather", (A(3), 0, ints(0, low=0))), ("gather", (A(3), 0, np.array([-1, 0]))),
    ("scatter_add", (A(3, 4), 0, ints(2, 4, low=0, high=3), A(2, 4))),
    ("scatter_add", (A(3, 4), 1, ints(3, 6, low=0, high=4), A(3, 6))),
    ("scatter_add", (A(3, 4), 1, ints(2, 2, low=0, high=4), A(3, 3))),
    ("scatter_add", (A(3, 4), 1, ints(3, 6, low=0, high=4), A(3, 5))), ("scatter_add", (A(3), 0, np.array([3]), A(1))),
    ("scatter_add", (A(3), 0, np.array([0, 0]), ints(2))), ("index_select", (A(3, 4), 1, np.array([0, 3, 0]))),
    ("index_select", (A(3, 4), 0, np.array([2]))),
    ("index_select", (A(3), 0, np.array([5]))), ("nonzero", (ints(3, 3),)), ("nonzero", (bools(4),)),
    ("nonzero", (np.array(3.0),)), ("nonzero", (np.array(0.0),)), ("nonzero", (A(2, 2),), {"as_tuple": True}),
    ("one_hot", (ints(4, low=0),)), ("one_hot", (ints(2, 2, low=0), 6)), ("one_hot", (ints(2, low=5, high=8), 3)),
    ("one_hot", (A(2),)), ("one_hot", (np.array([-1, 0]),)), ("one_hot", (np.array(2), 4)),
]  # fmt: skip
SHAPE = [c for c in SHAPE if c[0] != ".T"]


@pytest.mark.parametrize(("name", "args", "kwargs"), cases(SHAPE))
def test_shape_and_selection(name, args, kwargs):
    compare(name, args, kwargs)


@pytest.mark.parametrize(("name", "shape"), [("T", (2, 3)), ("mT", (2, 3)), ("mT", (2, 3, 4)), ("mT", (3,))])
def test_transposing_attributes(name, shape):
    x = A(*shape)
    theirs, ours = run(lambda: getattr(to_torch(x), name), (), {}), run(lambda: getattr(to_cr(x), name), (), {})
    assert (theirs[1] is None) == (ours[1] is None)
    if theirs[1] is None:
        same(ours[0], theirs[0])


# ---- products -------------------------------------------------------------------------------------------------------

MATMUL = [
    ("matmul", (A(*a), A(*b)))
    for a, b in [
        ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((2, 3, 4), (4, 2)), ((2, 3, 4), (4,)),
        ((4,), (2, 4, 3)),
        ((2, 1, 2, 3), (3, 3, 2)), ((3, 4), (2, 4, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (4, 2)),
        ((), (3,)), ((3,), (4,)),
        ((1, 2, 3), (5, 3, 2)), ((2, 2, 3), (3, 3, 2)), ((5, 1, 2, 3), (3,)), ((3,), (5, 1, 3, 2)), ((0,), (0,)),
        ((2, 3, 0), (0, 4)), ((0, 2, 3), (3, 1)),
    ]
]  # fmt: skip
MATMUL += [
    ("mm", (A(2, 3), A(3, 2))), ("mm", (A(3), A(3, 2))), ("bmm", (A(2, 3, 4), A(2, 4, 1))),
    ("bmm", (A(2, 3, 4), A(3, 4, 1))), ("mv", (A(2, 3), A(3))), ("mv", (A(2, 3), A(3, 1))),
    ("dot", (A(3), A(3))), ("dot", (A(2, 3), A(3))), ("dot", (A(3), A(4))), ("matmul", (ints(2, 3), ints(3, 2))),
    ("matmul", (ints(2, 3), A(3, 2))),
    ("einsum", ("ij,jk->ik", A(2, 3), A(3, 4))), ("einsum", ("ij,jk", A(2, 3), A(3, 4))),
    ("einsum", ("bij,bjk->bik", A(2, 2, 3), A(2, 3, 2))), ("einsum", ("ii->i", A(3, 3))),
    ("einsum", ("ii", A(3, 3))), ("einsum", ("...ij->...ji", A(2, 3, 4))), ("einsum", ("i,j->ij", A(2), A(3))),
    ("einsum", ("ij->", A(2, 3))), ("einsum", ("ijk->kj", A(2, 3, 4))),
    ("einsum", ("bn,anm,bm->ba", A(2, 3), A(2, 3, 2), A(2, 2))),
    ("einsum", ("...ij,...jk->...ik", A(2, 2, 3), A(3, 2))), ("einsum", ("ij,jk->ik", A(2, 3), A(4, 4))),
    ("einsum", ("i->ij", A(2))), ("einsum", ("ij", A(2))), ("einsum", ("i,i->i", A(1), A(3))),
    ("einsum", ("ii,i->i", A(3, 3), A(3))), ("einsum", ("ij,ij->", A(2, 3), A(2, 3))),
    ("einsum", ("iij->j", A(2, 2, 3))), ("einsum", ("a,b,c->", A(2), A(3), A(2))),
    ("einsum", (" i j , j -> i ", A(2, 3), A(3))), ("einsum", ("iI->Ii", A(2, 3))),
    ("einsum", ("ij,jk->ik", [A(2, 3), A(3, 4)])), ("einsum", ("...,...->...", A(2, 3), A(3))),
    ("einsum", ("i...->...", A(2, 3))), ("einsum", ("ba,", A(2, 3), A())),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs"), cases(MATMUL))
def test_products(name, args, kwargs):
    compare(name, args, kwargs)


@pytest.mark.parametrize("dtype", [F32, F16, BF16])
def test_matmul_in_narrow_dtypes(dtype):
    compare("matmul", (A(4, 5, low=0.1), A(5, 3, low=0.1)), dtype=dtype, second=False)


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


def agree(f, ours, theirs, what):
    want, want_error = run(f, theirs, {})
    if "not implemented for 'Bool'" in str(want_error) or "with a bool tensor" in str(want_error):
        return  # PyTorch has no arithmetic on bools
    got, got_error = run(f, ours, {})
    said = f"{what}: chainrule {got_error!r}, torch {want_error!r}"
    assert (got_error is None) == (want_error is None), said
    if want_error is None:
        same(got, want, what)


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


# ---- indexing -------------------------------------------------------------------------------------------------------

N = np.array
BASIC = [
    0, -1, 1, (0, 1), (0, -1, 2), slice(1, 3), slice(None, None, 2), slice(-2, None), slice(5, 9), slice(2, 1), None,
    Ellipsis, (Ellipsis, 0),
    (0, Ellipsis), (None, 0, None), (Ellipsis, None), (slice(None), 1), (slice(0, 2), slice(1, None), 0),
    (0, Ellipsis, 1), (None, Ellipsis, None), (),
    (slice(None), None, slice(None), 2), (1, slice(None), slice(None, None, 3)), (Ellipsis, slice(0, 0)), (0, 0, 0), 3,
    -4, (0, 3), (0, 0, 0, 0),
    (slice(None), slice(None), slice(None), slice(None)),
]  # fmt: skip
ADVANCED = [
    N([0, 2]), N([0, 0, 2, -1]), N([[0, 1], [2, 0]]), (slice(None), N([0, 1, 1])), (N([0, 2]), N([1, 0])),
    (N([0, 1]), slice(None), N([3, 0])), (slice(None), N([0, 1]), N([3, 0])),
    (N([[0], [2]]), N([0, 1])), (N([0, 2]), 1), (0, N([1, 0])), (0, slice(None), N([1, 0])),
    (N([0, 2]), Ellipsis, N([1, 1])), (Ellipsis, N([3, 3])), (N([0, 2]), None), (None, N([0, 2])),
    (N([0, 2]), None, N([1, 0])), (slice(0, 2), N([0, 1]), slice(None, None, 2)), [0, 2], ([0, 1], [1, 0]),
    (slice(None), [0, 1]), N(1), (N(1), N(0)), (slice(None), N(1)), N([], dtype=np.int64),
    (N([], dtype=np.int64), N([], dtype=np.int64)), N([0, 3]), N([-4]), (N([0, 1]), N([0, 1, 2])), N([0.5]),
    (1, slice(None), N([0, 1])), (N([0, 1]), slice(None), 1), (N([1]), slice(None), N([[0], [1]])),
    (N([0, 1]), 0, slice(None)), (N([0, 1], dtype=np.int32),), N([1, 0], dtype=np.uint8)[:0].astype(np.int64),
]  # fmt: skip
MASKS = [
    N([True, False, True]), N([False, False, False]), N([[True, False], [False, True], [True, True]]),
    (N([True, False, True]), 0), (slice(None), N([True, False])), (N([True, False, True]), N([0, 1])),
    (0, N([True, False])), N([True, False]), (slice(None), N([[True, False, False, True], [False, True, True, False]])),
    True, False, (True, 0), (N(True),), N(False), [True, False, True],
    (N([True, False, True]), N([True, False])), (N([True, True, False]), N([True, True])),
    (N([True, False, False]), slice(None), N([0, 1, 2])), (Ellipsis, N([True, False, True, False])),
    (None, N([True, False, True])),
]  # fmt: skip
BASE = A(3, 2, 4)


def index_for(index, make):
    if isinstance(index, tuple):
        return tuple(index_for(i, make) for i in index)
    return make(index) if isinstance(index, np.ndarray) else index


def index_id(index):
    return repr(index).replace("array", "").replace("slice", "s").replace("None", "-").replace(" ", "")[:60]


INDICES = [pytest.param(i, id=f"{n}-{index_id(i)}") for n, i in enumerate([*BASIC, *ADVANCED, *MASKS])]


def is_guard():
    return cr.get_default_device().type != "cpu"


@pytest.mark.parametrize("index", INDICES)
def test_reading_by_index(index):
    a, x = torch.tensor(BASE, requires_grad=True), cr.tensor(BASE, requires_grad=True)
    want, want_error = run(lambda: a[index_for(index, torch.tensor)], (), {})
    got, got_error = run(lambda: x[index_for(index, cr.tensor)], (), {})
    assert (got_error is None) == (want_error is None), f"chainrule: {got_error!r}, torch: {want_error!r}"
    if want_error is not None:
        assert isinstance(got_error, (IndexError, TypeError))
        return
    same(got, want)
    want1, want2 = gradients(torch, [want * want], [a], torch.tensor)
    got1, got2 = gradients(cr, [got * got], [x], cr.tensor)
    same(got1[0], want1[0], "gradient")
    same(got2[0], want2[0], "second gradient")


VALUES = ["number", "same", "broadcast", "tensor0d", "wrong"]


def repeats(index):
    """Whether an index names an element twice: then what assignment gives is not defined."""
    counts = np.zeros(BASE.shape, dtype=int)
    np.add.at(counts, index if not isinstance(index, list) else N(index), 1)
    return (counts > 1).any()


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("index", INDICES)
def test_writing_by_index(index, kind):
    """Into a result, so that old values, new values and what comes after are all differentiated."""
    try:
        shape = BASE[index if not isinstance(index, list) else N(index)].shape
        if repeats(index):
            pytest.skip("the index names an element twice: the result of an assignment is not defined")
    except IndexError:
        shape = (2,)
    value = {"number": 5.0, "same": A(*shape), "broadcast": A(*shape[-1:]), "tensor0d": A(),
    "wrong": A(*shape, 7)}[kind]

    def program(library, make):
        x = make(BASE).requires_grad_()
        v = make(value).requires_grad_() if isinstance(value, np.ndarray) else value
        y = x * 2
        y[index_for(index, make)] = v
        inputs = [x, v] if isinstance(value, np.ndarray) else [x]
        return y, inputs, gradients(library, [y * y * y], inputs, make)

    want, want_error = run(lambda: program(torch, torch.tensor), (), {})
    got, got_error = run(lambda: program(cr, cr.tensor), (), {})
    if kind == "wrong" and 0 in shape:
        assert got_error is not None  # PyTorch takes any shape where nothing is selected
        return
    assert (got_error is None) == (want_error is None), f"chainrule: {got_error!r}, torch: {want_error!r}"
    if want_error is not None:
        return
    same(got[0], want[0])
    for order in (0, 1):
        for i, x in enumerate(got[1]):
            g, w = got[2][order][i], want[2][order][i]
            same(zero_if_none(g, x, cr.tensor), zero_if_none(w, want[1][i], torch.tensor),
            f"gradient {order + 1} of input {i}")


@pytest.mark.parametrize("index", INDICES)
def test_writing_by_index_unrecorded_and_with_conversion(index):
    a, x = torch.tensor(BASE, dtype=torch.float32), cr.tensor(BASE, dtype=cr.float32)

    def write(t, make):
        t[index_for(index, make)] = 3
        return t

    agree(lambda t: write(t, torch.tensor if isinstance(t, torch.Tensor) else cr.tensor), (x,), (a,), "number")
    b, y = torch.tensor(BASE * 10).to(torch.int64), cr.tensor(BASE * 10).to(cr.int64)
    agree(lambda t: write(t, torch.tensor if isinstance(t, torch.Tensor) else cr.tensor), (y,), (b,), "into integers")


# ---- creation -------------------------------------------------------------------------------------------------------

DATA = [
    1, 1.5, True, [1, 2], [1.0, 2], [True, False], [[1, 2], [3, 4]], [], [[]], [[], []], (1, 2), [1, 2.5], [True, 2],
    [True, 2.5], np.float64(3), np.int32(3), [np.float64(1), np.float64(2)],
    N([1, 2], dtype=np.int16), N([1.5]), N(2.5), N([True]), N([], dtype=np.float32), N([[1.0, 2.0]], dtype=np.float16),
    [N([1.0, 2.0]), N([3.0, 4.0])], [1, [2]], [[1], [2, 3]], "text", ["a"], None, [None],
    2**40, -1, [2**62], math.inf, [math.nan],
]  # fmt: skip


@pytest.mark.parametrize("data", DATA, ids=lambda d: repr(d)[:40])
def test_tensor_from_data(data):
    agree(lambda lib: lib.tensor(data), (cr,), (torch,), "tensor")
    agree(lambda lib: lib.as_tensor(data), (cr,), (torch,), "as_tensor")
    for dtype in (BOOL, I64, F32, F64):
        agree(lambda lib, d=dtype: lib.tensor(data, dtype=dtype_of(lib, d)), (cr,), (torch,), dtype)


CREATE = [
    ("zeros", (2, 3)), ("zeros", ((2, 3),)), ("zeros", ([2],)), ("ones", (0,)), ("ones", ((),)),
    ("ones", (2,), {"dtype": I64}), ("zeros", (2,), {"dtype": BOOL}), ("zeros", (-1,)), ("zeros", (2.5,)),
    ("full", ((2,), 3)), ("full", ((2,), 3.5)), ("full", ((2, 2), True)), ("full", ((), 3)),
    ("full", ((2,), 3), {"dtype": F64}), ("full", ([2], 1)), ("full", ((2,), np.float64(3))),
    ("full", ((2,), np.int64(3))), ("full", ((2,), math.inf)),
    ("arange", (5,)), ("arange", (1, 5)), ("arange", (1, 10, 3)), ("arange", (5.0,)), ("arange", (0, 1, 0.1)),
    ("arange", (5, 0, -2)), ("arange", (0,)), ("arange", (1, 1)), ("arange", (5,), {"dtype": F32}),
    ("arange", (0, 1, 0)),
    ("arange", (3, 0)), ("arange", (0.5, 3.2)), ("arange", (-3, 3, 2)), ("arange", (), {"end": 4}),
    ("arange", (), {"start": 1, "end": 4}), ("arange", (1.0, 2.0, 0.3)), ("arange", (0, 5, 2), {"dtype": F64}),
    ("linspace", (0, 1, 5)), ("linspace", (0, 1, 1)), ("linspace", (0, 1, 0)), ("linspace", (3, -3, 7)),
    ("linspace", (0, 10, 4), {"dtype": I64}), ("linspace", (0, 10, 5), {"dtype": F64}), ("linspace", (0, 1, -1)),
    ("linspace", (0.1, 0.7, 33)),
    ("eye", (3,)), ("eye", (2, 3)), ("eye", (3, 2)), ("eye", (0,)), ("eye", (2,), {"dtype": I64}), ("eye", (-1,)),
    ("scalar_tensor", (2,)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs"), cases(CREATE))
def test_creation(name, args, kwargs):
    def make(library):
        options = {k: dtype_of(library, v) if k == "dtype" else v for k, v in kwargs.items()}
        return getattr(library, name)(*args, **options)

    agree(make, (cr,), (torch,), name)


@pytest.mark.parametrize("dtype", [None, BOOL, I64, F32, F64])
@pytest.mark.parametrize("source", [BOOL, I32, F16, F32, F64])
@pytest.mark.parametrize("name",
    ["zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty"])
def test_creation_like(name, source, dtype):
    def make(library):
        x = library.ones((2, 3), dtype=dtype_of(library, source))
        options = {} if dtype is None else {"dtype": dtype_of(library, dtype)}
        if name.startswith("new"):
            result = getattr(x, name)((3,), *([2] if name == "new_full" else []), **options)
        else:
            result = getattr(library, name)(x, *([2] if name == "full_like" else []), **options)
        return library.zeros_like(result) if "empty" in name else result

    agree(make, (cr,), (torch,), name)


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


# ---- repr -----------------------------------------------------------------------------------------------------------

PRINTED = [
    N(1.0), N(3), N(True), N([1.0, 2.0]), N([1.5, 2.25]), N([1, 20, 300]), N([True, False]),
    N([[1.0, 2.0], [3.0, 4.0]]), N([]), np.zeros((0, 3)), np.zeros((2, 2, 2)), A(3, 3), N([1e-5, 1.0]), N([1e10, 1.0]),
    N([1e-10]),
    N([np.nan, 1.0]), N([np.inf, -1.5]), N([np.inf, np.nan]), N([1e5, 2e5]), N([123456.789, 0.001]), N([-1.0, 1.0]),
    N([-1.5, 10.25]), np.arange(30), np.arange(100.0), np.arange(2000), np.arange(2000.0).reshape(40, 50), A(2, 3, 4),
    N([[1, -20], [300, 4]]),
    N([1e8, 1.0]), N([1e9, 2e9]), N([0.0]), N([0.1, 1000.0]), N([0.1, 100.0]), N([0.00001]), N([1000000.0]),
    N([100000.5]), N(1e-7), N(1e20), N(float("nan")), N(-0.0), np.arange(12.0).reshape(1, 3, 4),
    N([0.5, np.nan, np.inf]), np.zeros((1, 0)),
    np.arange(1001), np.linspace(-1, 1, 1500), np.zeros((3, 0, 2)), np.arange(24).reshape(2, 3, 4),
    N([1.0, 2.0, np.inf]), N([[np.nan]]), N([99999.0, 0.5]), N([1e4, 1e-1]), np.arange(1200.0).reshape(2, 2, 300),
    np.arange(8).reshape(2, 1, 2, 2),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [None, F32, F16, I32])
@pytest.mark.parametrize("values", PRINTED, ids=lambda v: f"{v.dtype}{list(v.shape)}".replace(" ", ""))
def test_repr(values, dtype):
    if dtype is not None:
        limit = {F32: np.inf, F16: 6e4, I32: 2e9}[dtype]
        fits = (np.abs(values) < limit).all() or dtype == F32
        if values.dtype.kind != "f" or not fits:
            pytest.skip("the values do not fit the dtype")
        values = values.astype(dtype)
    text = repr(cr.tensor(values, device="cpu")).replace("chainrule.", "torch.")
    assert text == repr(torch.tensor(values))


def test_repr_shows_the_place_in_the_graph():
    x, a = cr.ones(2, requires_grad=True, device="cpu"), torch.ones(2, requires_grad=True)
    for ours, theirs in [(x, a), (x * 2, a * 2), (x.sum(), a.sum()), (x.exp(), a.exp()), (x.detach(), a.detach())]:
        assert repr(ours) == repr(theirs)


# ---- methods that give Python values --------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [N(2.5), N([3]), N([[True]]), N([1, 2]), N([])], ids=repr)
@pytest.mark.parametrize("f",
    [float, int, bool, complex, len, list, lambda t: t.item(), lambda t: t.tolist(), lambda t: t.numel(),
    lambda t: t.dim(),
                               lambda t: t.element_size(), lambda t: t.is_floating_point(), lambda t: tuple(t.size()),
                               lambda t: t.stride() if t.numel() else (), lambda t: t.is_contiguous(),
                               lambda t: t.nbytes])  # fmt: skip
def test_python_values(f, values):
    want, want_error = run(f, (torch.tensor(values),), {})
    got, got_error = run(f, (cr.tensor(values),), {})
    assert (want_error is None) == (got_error is None), f"{got_error!r} {want_error!r}"
    if want_error is None:
        for a, b in zip(flat(got), flat(want), strict=True):
            same(a, b)


# ---- a random walk over argument sets -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_random_arguments(seed):
    """Operations on random shapes, dims and broadcasts."""
    rng = np.random.default_rng(zlib.crc32(f"arguments {seed}".encode()))
    shape = tuple(int(n) for n in rng.integers(0, 4, rng.integers(0, 4)))
    x = np.linspace(-1.5, 1.7, math.prod(shape)).reshape(shape)
    dim = int(rng.integers(-4, 4))
    keep = bool(rng.random() > 0.5)
    for name in rng.permutation(["sum", "mean", "prod", "amax", "var", "norm", "cumsum", "softmax", "unsqueeze",
        "squeeze", "unbind", "flip", "sort"]):
        kwargs = {"dim": dim}
        if name in ("unbind", "sort"):
            args, kwargs = (x, dim), {}
        elif name == "flip":
            args, kwargs = (x, (dim,)), {}
        else:
            args = (x,)
            if name in ("sum", "mean", "prod", "amax", "var", "norm"):
                kwargs["keepdim"] = keep
        compare(str(name), args, kwargs, second=name not in ("var",))
    other = tuple(1 if rng.random() < 0.3 else n for n in shape[int(rng.integers(0, len(shape) + 1)) :])
    y = np.linspace(0.3, 1.9, math.prod(other)).reshape(other)
    for name in ("add", "mul", "div", "maximum"):
        compare(name, (x, y))
