"""Tensors made of data, shapes and numbers against PyTorch, and back: printed forms and Python values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from both_sides import BOOL, F16, F32, F64, I32, I64, Pieces, agree, cases, dtype_of, flat, run, same, torch

import chainrule as cr

pytestmark = pytest.mark.oracle

P = Pieces()
A = P.array
N = np.array

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
