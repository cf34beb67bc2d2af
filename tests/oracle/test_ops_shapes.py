"""Functions of shape, selection and products against PyTorch: argument sets that work and that are refused."""

from __future__ import annotations

import numpy as np
import pytest
from both_sides import BF16, F16, F32, Pieces, cases, compare, run, same, to_cr, to_torch

pytestmark = pytest.mark.oracle

P = Pieces()
A, ints, bools = P.array, P.ints, P.bools

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
