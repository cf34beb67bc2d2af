"""The kernels of connectionist temporal classification, compiled and plain: lengths, special values, threads."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import compiled, cpu_ctc, pool
from chainrule.backends.namespace import FORWARDS

pytestmark = pytest.mark.host
needs_numba = pytest.mark.skipif(
    not compiled.enabled(), reason="Numba is not installed or switched off (pip install 'chainrule[fast]')"
)
XP = cr.device("cpu").xp


@pytest.fixture(params=[pytest.param("compiled", marks=needs_numba), "plain"])
def kernels(request):
    """The two functions; the number of threads is set back."""
    before = pool.get_num_threads()
    if request.param == "plain":
        yield cpu_ctc.log_likelihood, lambda *given: cpu_ctc.back(XP, *given)
    else:
        from chainrule.backends.compiled import ctc

        yield ctc.ctc_log_likelihood, ctc.ctc_back
    pool.set_num_threads(before)


def problem(times, labels, steps, classes=5):
    """Random log-probabilities, and the arrays that say what may follow what."""
    batch, longest = len(times), max(map(len, labels))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((steps, batch, classes)).astype(np.float32)
    path, ends = np.zeros((batch, 2 * longest + 1), np.int64), np.zeros((batch, 2 * longest + 1), bool)
    for i, row in enumerate(labels):
        path[i, 1 : 2 * len(row) : 2] = row
        ends[i, max(2 * len(row) - 1, 0) : 2 * len(row) + 1] = True
    jump = np.zeros(path.shape, bool)
    jump[:, 2:] = path[:, 2:] != path[:, :-2]
    running = np.arange(steps)[:, None, None] < np.array(times)[None, :, None]
    return rng.standard_normal(batch).astype(np.float32), x, path, jump, ends, running


PROBLEMS = [
    ([9, 7, 4], [[1, 2, 3], [4, 4], [1]], 9),
    ([3, 1, 0, 0], [[1, 2, 3], [2, 2], [], [1]], 4),  # too short, and nothing at all
    ([5, 5], [[], []], 5),
    ([1], [[3]], 1),
    ([40] * 9, [[1, 2, 3, 4, 4, 3, 3, 1, 2]] * 9, 40),
]


@pytest.mark.parametrize("given", PROBLEMS)
def test_agree_with_the_declared_ops_of_float64(kernels, given):
    g, x, *rest = problem(*given)
    wanted = FORWARDS["ctc_log_likelihood"](XP, x.astype(np.float64), *rest)
    slope = FORWARDS["ctc_back"](XP, g.astype(np.float64), x.astype(np.float64), *rest)
    results = []
    for threads in (1, 2, 3):
        pool.set_num_threads(threads)
        results.append((kernels[0](x, *rest), kernels[1](g, x, *rest)))
        for one, same in zip(results[-1], results[0], strict=True):
            np.testing.assert_array_equal(one, same)
    for got, w in zip(results[0], (wanted, slope), strict=True):
        assert got.dtype == np.float32 and got.shape == w.shape
        np.testing.assert_allclose(got, w, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [-np.inf, np.nan])
def test_special_values_stay_with_their_sample(kernels, value):
    g, x, *rest = problem(*PROBLEMS[0])
    x[2, 0] = value
    wanted = FORWARDS["ctc_log_likelihood"](XP, x.astype(np.float64), *rest)
    assert not np.isfinite(wanted[0])
    np.testing.assert_allclose(kernels[0](x, *rest), wanted, rtol=1e-5)
    slope = FORWARDS["ctc_back"](XP, g.astype(np.float64), x.astype(np.float64), *rest)
    np.testing.assert_allclose(kernels[1](g, x, *rest), slope, rtol=1e-4, atol=1e-5)


@needs_numba
def test_what_the_compiled_loops_are_not_made_for():
    from chainrule.backends.compiled import ctc

    g, x, path, *rest = problem(*PROBLEMS[0])
    assert ctc.ctc_log_likelihood(x.astype(np.float64), path, *rest) is NotImplemented
    for wrong in (-1, 5):  # they do not look whether a class is there
        beyond = path.copy()
        beyond[0, 1] = wrong
        assert ctc.ctc_log_likelihood(x, beyond, *rest) is NotImplemented
        assert ctc.ctc_back(g, x, beyond, *rest) is NotImplemented
