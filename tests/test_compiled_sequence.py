"""Compiled LSTM, GRU and attention, at sizes that fill no block and in any layout; and the products of an einsum."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd.op import OPS
from chainrule.backends import compiled, cpu_contract, pool
from chainrule.backends.namespace import FORWARDS

pytestmark = pytest.mark.host
needs_numba = pytest.mark.skipif(
    not compiled.enabled(), reason="Numba is not installed or switched off (pip install 'chainrule[fast]')"
)
XP = cr.device("cpu").xp


@pytest.fixture(autouse=True)
def everything_compiled(monkeypatch):
    """However small the work is; the number of threads is set back afterwards."""
    before = pool.get_num_threads()
    monkeypatch.setattr(compiled, "worth", 0)
    monkeypatch.setattr(cpu_contract, "_WORTH", 0)
    yield
    pool.set_num_threads(before)


def normal(rng, *shape, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def results(name, args, kwargs):
    found = getattr(XP, name)(*args, **kwargs)
    return list(found) if isinstance(found, tuple) else [found]


def check(name, args, bound=3e-6, **kwargs):
    """Against the declared forward in float64; inputs unchanged; bit for bit equal for 1, 2 and 3 threads."""
    kept = [None if a is None else a.copy() for a in args]
    exact = [a.astype(np.float64) if a is not None and a.dtype.kind == "f" else a for a in args]
    wanted = FORWARDS[name](XP, *exact, **kwargs)
    wanted = list(wanted) if isinstance(wanted, tuple) else [wanted]
    pool.set_num_threads(2)
    got = results(name, args, kwargs)
    for g, w in zip(got, wanted, strict=True):
        assert g.dtype == np.float32 and g.shape == w.shape
        np.testing.assert_allclose(g, w, rtol=bound, atol=bound * np.abs(w).max(initial=0.0))
    for threads in (1, 3):
        pool.set_num_threads(threads)
        for g, again in zip(got, results(name, args, kwargs), strict=True):
            np.testing.assert_array_equal(g, again)
    for a, k in zip(args, kept, strict=True):
        np.testing.assert_array_equal(a, k)
    return got


# ---- recurrent layers -----------------------------------------------------------------------------------------------

SIZES = [(1, 1, 1, 1), (3, 5, 2, 7), (2, 33, 17, 16), (4, 18, 3, 33)]


@needs_numba
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("steps", "rows", "features", "hidden"), SIZES)
def test_lstm(steps, rows, features, hidden, reverse):
    rng = np.random.default_rng(steps + rows)
    x, h, c = normal(rng, rows, steps, features).swapaxes(0, 1), normal(rng, rows, hidden), normal(rng, rows, hidden)
    weights = (
        normal(rng, 4 * hidden, features, scale=0.3),
        np.asfortranarray(normal(rng, 4 * hidden, hidden, scale=0.3)),
    )
    check("lstm_sequence", (x, h, c, *weights), reverse=reverse)
    _, cells, gates = check("lstm_sequence", (x, h, c, *weights, normal(rng, 4 * hidden)), reverse=reverse)
    g_out, g_cells = normal(rng, steps, rows, hidden), normal(rng, steps, rows, hidden)
    for given in ((g_out, None), (g_out, g_cells), (None, g_cells)):
        check("lstm_sequence_back", (x, h, c, *weights, cells, gates, *given), reverse=reverse)


@needs_numba
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("steps", "rows", "features", "hidden"), SIZES)
def test_gru(steps, rows, features, hidden, reverse):
    rng = np.random.default_rng(steps + rows)
    x, h = normal(rng, rows, steps, features).swapaxes(0, 1), normal(rng, rows, hidden)
    weights = (
        normal(rng, 3 * hidden, features, scale=0.3),
        np.asfortranarray(normal(rng, 3 * hidden, hidden, scale=0.3)),
    )
    check("gru_sequence", (x, h, *weights), reverse=reverse)
    biases = normal(rng, 3 * hidden), normal(rng, 3 * hidden)
    _, befores, gates = check("gru_sequence", (x, h, *weights, *biases), reverse=reverse)
    g_out = normal(rng, steps, rows, hidden)
    check("gru_sequence_back", (x, *weights, befores, gates, g_out), reverse=reverse)


@needs_numba
@pytest.mark.parametrize(
    ("name", "position"), [("lstm_sequence", i) for i in (1, 2, 3, 4)] + [("gru_sequence", i) for i in (1, 2, 3)]
)
def test_shapes_that_do_not_fit_raise(name, position):
    sample = OPS[name].check.samples()[0]
    wrong = [a.astype(np.float32) for a in sample.args]
    wrong[position] = np.ones([n + 1 for n in wrong[position].shape], dtype=np.float32)
    with pytest.raises(ValueError, match=r"mismatch|broadcast"):
        getattr(XP, name)(*wrong, **sample.kwargs)


@needs_numba
@pytest.mark.parametrize("name", ["lstm_sequence", "gru_sequence"])
def test_nan_and_infinity_reach_the_result(name):
    sample = OPS[name].check.samples()[0]
    args = [a.astype(np.float32) for a in sample.args]
    args[0][0, 0, 0] = np.nan
    args[0][0, 1, 0] = np.inf
    with np.errstate(all="ignore"):
        got = results(name, args, sample.kwargs)
        wanted = FORWARDS[name](XP, *args, **sample.kwargs)
    for g, w in zip(got, wanted, strict=True):
        np.testing.assert_allclose(g, w, rtol=2e-6, atol=2e-6)


# ---- attention ------------------------------------------------------------------------------------------------------


def heads(rng, *shape):
    """Heads as a layer splits them off: (N, h, L, d) in memory that lies as (N, L, 3, h, d)."""
    n, h, length, d = shape
    return normal(rng, n, length, 3, h, d)[:, :, 1].transpose(0, 2, 1, 3)


def masks(rng, lead, queries, keys):
    yield None
    seen = rng.random((queries, keys)) > 0.4
    seen[0] = False  # a query that looks at nothing
    yield seen
    yield rng.random((*lead[:-1], *([1] if lead else []), 1, keys)) > 0.2
    yield np.where(rng.random((*lead, queries, keys)) > 0.3, normal(rng, *lead, queries, keys), np.float32(-np.inf))


@needs_numba
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("lead", "queries", "keys", "depth", "width"),
    [
        ((2, 3), 5, 7, 3, 4),
        ((2, 2), 40, 40, 16, 16),
        ((), 530, 300, 4, 17),
        ((2, 1, 2), 33, 17, 8, 8),
        ((3,), 1, 1, 1, 1),
    ],
)
def test_attention(lead, queries, keys, depth, width, causal):
    rng = np.random.default_rng(queries)
    if len(lead) == 2 and queries == keys:
        q, k, v = (heads(rng, *lead, queries, depth) for _ in range(3))
    else:
        q, k, v = (normal(rng, *lead, *size) for size in ((queries, depth), (keys, depth), (keys, width)))
    for mask in masks(rng, lead, queries, keys):
        kwargs = {"scale": 0.7, "causal": causal}
        out, total = check("attention", (mask, q, k, v), bound=1e-5, **kwargs)
        gradients = normal(rng, *out.shape), normal(rng, *total.shape)
        check("attention_back", (q, k, v, out, total, *gradients, mask), bound=1e-5, **kwargs)


@needs_numba
def test_attention_results_lie_as_its_inputs():
    rng = np.random.default_rng(0)
    q, k, v = (heads(rng, 2, 3, 40, 16) for _ in range(3))
    out, total = XP.attention(None, q, k, v, scale=1.0, causal=False)
    assert out.transpose(0, 2, 1, 3).flags.c_contiguous
    for g in XP.attention_back(q, k, v, out, total, out, total, scale=1.0):
        assert g.transpose(0, 2, 1, 3).flags.c_contiguous


@needs_numba
def test_attention_to_nan_and_infinity():
    rng = np.random.default_rng(0)
    q, k, v = normal(rng, 40, 4), normal(rng, 20, 4), normal(rng, 20, 3)
    q[3, 1], k[0, 0], v[5, 2] = np.nan, 1e30, np.inf
    with np.errstate(all="ignore"):
        got = XP.attention(None, q, k, v, scale=1.0, causal=True)
        wanted = FORWARDS["attention"](XP, None, q, k, v, scale=1.0, causal=True)
    for g, w in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(np.isnan(g), np.isnan(w))
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-5)


# ---- products of an einsum ------------------------------------------------------------------------------------------


def layouts(x):
    yield x
    yield np.asfortranarray(x)
    yield np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    yield np.repeat(x, 2, axis=1)[:, ::2]


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("bqhd", "bkhd", "bhqk"),
        ("bhqk", "bkhd", "bqhd"),
        ("bhqk", "bqhd", "bkhd"),
        ("bqhd", "bkhd", "kqbh"),
        ("abij", "ajkb", "kbia"),
        ("bij", "jbk", "bik"),
        ("bxyi", "bizw", "bwxyz"),
        ("bxyi", "biyc", "bxcy"),
    ],
)
def test_contract(left, right, result):
    rng = np.random.default_rng(0)
    size = dict(zip("abcdhijkqwxyz", (2, 3, 4, 5, 1, 6, 7, 3, 4, 2, 5, 3, 2), strict=True))
    x, y = (rng.standard_normal([size[c] for c in names]) for names in (left, right))
    wanted = np.einsum(f"{left},{right}->{result}", x, y)
    for a, b in itertools.product(layouts(x), layouts(y)):
        assert cpu_contract.contract(a, b, left, right, result) is not None
        np.testing.assert_allclose(
            XP.contract(a, b, left=left, right=right, result=result), wanted, rtol=1e-12, atol=1e-12
        )
