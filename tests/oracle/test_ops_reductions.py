"""Reductions, scans, sorting and softmax against PyTorch, and a random walk over arguments of many functions."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
from both_sides import BF16, F16, F32, SPECIAL, Pieces, cases, compare

pytestmark = pytest.mark.oracle

P = Pieces()
A, ints, bools = P.array, P.ints, P.bools

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
