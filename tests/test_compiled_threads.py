"""Work that compiled code hands out to the threads: the crew itself, and what is built on it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd.op import OPS
from chainrule.backends import blas, compiled, large, pool

pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(not compiled.enabled(), reason="Numba is not installed (pip install 'chainrule[fast]')"),
]
XP = cr.device("cpu").xp


@pytest.fixture(autouse=True)
def threads():
    before = pool.get_num_threads()
    pool.set_num_threads(2)
    yield
    pool.set_num_threads(before)


def total_of(x, items):
    """The sum of an array by a job of so many items."""
    from chainrule.backends.compiled import crew, reductions

    return reductions._total(crew.crew(items), items, x)


# ---- the crew -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("items", [1, 2, 7, 64])
@pytest.mark.parametrize("size", [0, 1, 5, 1000])  # fewer rows than items: some get none
def test_every_item_is_done_once(count, items, size):
    pool.set_num_threads(count)
    x = np.arange(size, dtype=np.float64)
    for _ in range(30):
        assert total_of(x, items) == x.sum()


def test_helpers_take_part_awake_and_asleep():
    from chainrule.backends.compiled import crew

    x = np.ones(1 << 22, np.float32)
    for pause in (0.0, 0.01):  # after 10 ms a helper sleeps
        for _ in range(5):
            time.sleep(pause)
            assert total_of(x, 64) == x.size
    assert pool.shared_memory()[crew._BUSY] == 0
    assert pool.shared_memory()[crew._JOINED] == 0


def test_several_callers_at_once():
    """One has the helpers; the others do their work alone."""
    x = np.arange(1 << 16, dtype=np.float64)
    wrong = []

    def call():
        for _ in range(200):
            if total_of(x, 16) != x.sum():
                wrong.append(1)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_inside_a_job_of_python():
    x = np.arange(1000, dtype=np.float64)
    found = [0.0] * 8

    def item(i):
        found[i] = total_of(x, 4)

    for _ in range(20):
        pool.parallel(item, 8)
        total_of(x, 4)  # jobs of both kinds one after the other
    assert found == [x.sum()] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_a_fork():
    code = """
import os, numpy as np, chainrule as cr
x = cr.ones(1 << 20)
assert x.sum() == 1 << 20
child = os.fork()
if child == 0:
    ok = x.sum() == 1 << 20 and (x * 2).sum() == 2 << 20
    os._exit(0 if ok else 1)
assert os.waitpid(child, 0)[1] == 0
assert x.sum() == 1 << 20
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


def test_a_helper_keeps_no_job_alive():
    import weakref

    class Array(np.ndarray):
        pass

    kept = np.zeros(4).view(Array)
    gone = weakref.ref(kept)
    pool.parallel(lambda i, kept=kept: time.sleep(0.001), 4)
    del kept
    deadline = time.monotonic() + 5
    while gone() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert gone() is None


# ---- sums -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1 << 15,), (200, 301), (17, 33, 65), (1 << 21,)])
def test_a_sum_of_everything(dtype, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    bound = (1e-7 if dtype == "float32" else 1e-15) * np.abs(x).sum()
    for array in (x, np.asfortranarray(x), x[::2], x[..., ::-1]):
        sums = []
        for count in (1, 2, 3):
            pool.set_num_threads(count)
            sums.append(XP.sum(array))
        assert type(sums[0]) is np.dtype(dtype).type
        assert sums[0] == sums[1] == sums[2]
        assert abs(sums[0] - array.sum(dtype=np.float64)) <= bound


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_special_values_in_sums(special):
    x = np.ones(1 << 16, np.float32)
    x[777] = special
    np.testing.assert_equal(float(XP.sum(x)), special)
    np.testing.assert_equal(float(XP.mean(x)), special)


# ---- arithmetic -----------------------------------------------------------------------------------------------------


@pytest.fixture
def all_large(monkeypatch):
    """However small an array is, it counts as large."""
    for name in large.NAMES:
        op = OPS[name]
        given = [cr.ones(1, requires_grad=True) for _ in op.parameters]
        op.apply(*given).backward()  # writes the functions whose globals are changed
        for function in (op.apply, op.node_type.run):
            monkeypatch.setitem(function.__globals__, "LARGE", 0)


def operands(dtype):
    """Pairs of arrays of one shape, with numbers, in the same and in different orders of memory, and others."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((6, 5, 4)).astype(dtype) for _ in range(2))
    number = np.asarray(y[0, 0, 0])
    turned = np.ascontiguousarray(y.transpose(2, 0, 1)).transpose(1, 2, 0)
    same_turn = np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0)
    spread = np.broadcast_to(number, x.shape)
    one = number.reshape(1, 1, 1)
    pairs = [(x, y), (x, turned), (same_turn, turned), (x, number), (x, spread), (x, one), (x[::2], y[::2])]
    pairs += [(x, y[:, :1]), (x, y[0]), (x[0], one), (number, one), (x, y.astype(np.int64)), (x[:0], y[:0])]
    for a, b in pairs:
        yield a, b
        yield b, a


@pytest.mark.parametrize("without_numba", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide"])
def test_arithmetic_of_large_arrays_is_numpys(name, dtype, without_numba, monkeypatch):
    monkeypatch.setattr(compiled, "available", not without_numba)
    monkeypatch.setattr("chainrule.backends.cpu_large._THREADED", 0)
    function = getattr(cr.device("cpu").large, name)
    for a, b in operands(dtype):
        kept = a.copy(), b.copy()
        with np.errstate(all="ignore"):
            wanted, got = getattr(np, name)(a, b), function(a, b)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
        for array, before in zip((a, b), kept, strict=True):
            np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_a_change_of_sign(dtype):
    x = np.array([0, 1, -2, 3] * 100).astype(dtype)
    got = cr.device("cpu").large.negative(x)
    np.testing.assert_array_equal(got, -x)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(-x))


def test_special_values_in_arithmetic():
    values = np.array([0.0, -0.0, 1.0, -3.0, np.inf, -np.inf, np.nan, 1e-40], np.float32)
    x, y = (np.ascontiguousarray(a.ravel()) for a in np.meshgrid(values, values))
    for name, number in itertools.product(("add", "subtract", "multiply", "divide"), (None, *values)):
        function, reference = getattr(cr.device("cpu").large, name), getattr(np, name)
        pairs = [(x, y)] if number is None else [(x, np.asarray(number)), (np.asarray(number), x)]
        for a, b in pairs:
            with np.errstate(all="ignore"):
                wanted = reference(a, b)
            np.testing.assert_array_equal(function(a, b), wanted)


@pytest.mark.usefixtures("all_large")
@pytest.mark.parametrize("name", large.NAMES)
def test_gradients_of_large_arrays(name):
    """All samples of the op by way of the functions for large arrays: values, gradients, second order."""
    for sample in OPS[name].check.samples():
        arguments = [cr.tensor(np.asarray(a, np.float64), requires_grad=True) for a in sample.args]
        assert cr.autograd.gradcheck(OPS[name].apply, arguments)
        assert cr.autograd.gradgradcheck(OPS[name].apply, arguments)


def test_the_threshold_is_looked_at():
    seen = []

    class Noted(large.Arithmetic):
        def by_rule(self, rule, xp, *arrays):
            seen.append(len(arrays))
            return super().by_rule(rule, xp, *arrays)

    device = cr.device("cpu")
    before, device.large = device.large, Noted(device.xp)
    try:
        for size in (large.LARGE - 1, large.LARGE):
            x = cr.ones(size, requires_grad=True)
            (x * 2).sum().backward()
    finally:
        device.large = before
    assert seen == [2]


# ---- products -------------------------------------------------------------------------------------------------------


def matrices(rng, rows, columns, dtype):
    """A matrix in every memory order that BLAS reads."""
    x = rng.standard_normal((rows, columns)).astype(dtype)
    yield x
    yield np.asfortranarray(x)
    wide = np.zeros((rows, columns + 3), dtype)
    wide[:, :columns] = x
    yield wide[:, :columns]
    tall = np.zeros((columns, rows + 5), dtype)
    tall[:, :rows] = x.T
    yield tall[:, :rows].T


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "k", "n"), [(40, 30, 50), (50, 30, 40), (1, 7, 33), (33, 1, 1), (16, 16, 16)])
def test_products(m, k, n, dtype):
    from chainrule.backends.compiled import matmul

    if blas.gemm(np.dtype(dtype)) is None:
        pytest.skip("this NumPy brings no OpenBLAS along")
    rng = np.random.default_rng(0)
    bias = rng.standard_normal(n).astype(dtype)
    for x, y in itertools.product(matrices(rng, m, k, dtype), matrices(rng, k, n, dtype)):
        results = []
        for count in (1, 2, 3):
            pool.set_num_threads(count)
            results.append((matmul.product(x, y), matmul.product(x, y, bias)))
        bound = 1e-5 if dtype == "float32" else 1e-13
        for got, added in results:
            np.testing.assert_array_equal(got, results[0][0])
            np.testing.assert_array_equal(added, results[0][1])
        np.testing.assert_allclose(results[0][0], x.astype(np.float64) @ y, rtol=bound, atol=bound)
        np.testing.assert_allclose(results[0][1], x.astype(np.float64) @ y + bias, rtol=bound, atol=bound)


def test_memory_that_blas_cannot_read_is_left_to_numpy():
    from chainrule.backends.compiled import matmul

    x = np.ones((8, 8), np.float32)
    for odd in (x[::-1], x[:, ::2], np.broadcast_to(np.float32(1), (8, 8)), x[:, :0]):
        assert matmul.product(odd, np.ones((odd.shape[1], 8), np.float32)) is None
    monkey = np.ones((400, 400), np.float32)[::-1]
    np.testing.assert_array_equal(XP.matmul(monkey, monkey), np.full((400, 400), 400, np.float32))
