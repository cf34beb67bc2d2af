"""Reading and writing by index against PyTorch: basic, advanced and masks, with gradients."""

from __future__ import annotations

import numpy as np
import pytest
from both_sides import Pieces, agree, gradients, run, same, torch, zero_if_none

import chainrule as cr

pytestmark = pytest.mark.oracle

P = Pieces()
A = P.array
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
