"""The thread pool of the CPU kernels."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

from chainrule.backends import pool

pytestmark = pytest.mark.host


@pytest.fixture(autouse=True)
def threads():
    before = pool.get_num_threads()
    pool.set_num_threads(2)
    yield
    pool.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_each_item_runs_once(count, threads):
    pool.set_num_threads(threads)
    seen = [0] * count

    def item(i):
        seen[i] += 1

    for _ in range(20):
        pool.parallel(item, count)
    assert seen == [20] * count


def test_helpers_work():
    names = set()
    both = threading.Barrier(2, timeout=10)

    def item(i):
        both.wait()  # passes only with two threads at it
        names.add(threading.current_thread().name)

    pool.parallel(item, 2)
    assert len(names) == 2


@pytest.mark.parametrize("bad", [0, 7, 15])
def test_exceptions_come_to_the_caller(bad):
    def item(i):
        time.sleep(0.001)
        if i == bad:
            raise KeyError(f"item {i}")

    with pytest.raises(KeyError, match=f"item {bad}"):
        pool.parallel(item, 16)
    pool.parallel(lambda i: None, 16)  # the pool lives on


def test_an_exception_in_a_helper_stops_the_rest():
    both = threading.Barrier(2, timeout=10)
    caller = threading.current_thread()
    ran = []

    def item(i):
        ran.append(i)
        if i < 2:
            both.wait()
        if threading.current_thread() is not caller:
            raise ArithmeticError("in the helper")
        time.sleep(0.05)

    with pytest.raises(ArithmeticError, match="in the helper"):
        pool.parallel(item, 1000)
    assert len(ran) < 10


def test_nested_calls_run_inline():
    pairs = set()

    def outer(i):
        me = threading.current_thread()

        def inner(j):
            assert threading.current_thread() is me
            pairs.add((i, j))

        pool.parallel(inner, 3)

    pool.parallel(outer, 4)
    assert pairs == {(i, j) for i in range(4) for j in range(3)}


def test_several_callers_at_once():
    results = []

    def caller():
        out = np.zeros(40)

        def item(i):
            out[i] = i

        for _ in range(100):
            out[:] = 0
            pool.parallel(item, 40)
            results.append(bool((out == np.arange(40)).all()))

    callers = [threading.Thread(target=caller) for _ in range(4)]
    for t in callers:
        t.start()
    for t in callers:
        t.join()
    assert results == [True] * 400


def test_a_helper_that_comes_late_keeps_nothing_alive():
    started, release = threading.Event(), threading.Event()

    def hold(i):
        started.set()
        release.wait(10)

    other = threading.Thread(target=pool.parallel, args=(hold, 2))
    other.start()
    started.wait(10)
    array = np.zeros(3)
    alive = weakref.ref(array)
    pool.parallel(lambda i, array=array: None, 2)  # in the queue behind what holds the helper
    del array
    assert alive() is None
    release.set()
    other.join()


def test_scratch_belongs_to_its_thread():
    a = pool.scratch("test", (4,), np.float32)
    assert np.shares_memory(a, pool.scratch("test", (2, 2), np.float32))
    other = []
    t = threading.Thread(target=lambda: other.append(pool.scratch("test", (4,), np.float32)))
    t.start()
    t.join()
    assert not np.shares_memory(a, other[0])


def test_number_of_threads_is_checked():
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            pool.set_num_threads(wrong)
    for wrong in (1.5, "2", True, None):
        with pytest.raises(TypeError, match="integer"):
            pool.set_num_threads(wrong)


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


def test_environment_sets_the_number():
    code = "from chainrule.backends import pool, backend_for; backend_for('cpu'); print(pool.get_num_threads())"
    assert run(code, CHAINRULE_NUM_THREADS="3").stdout.strip() == "3"
    for wrong in ("0", "many", "-2", ""):
        assert "CHAINRULE_NUM_THREADS is" in run(code, CHAINRULE_NUM_THREADS=wrong).stderr


def test_no_thread_starts_before_it_is_needed():
    code = "import chainrule, threading; chainrule.ones(3).sum(); print(threading.active_count())"
    assert run(code).stdout.strip() == "1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_works_after_fork():
    code = """
import os, warnings
from chainrule.backends import pool
warnings.simplefilter("ignore")
pool.set_num_threads(2)
pool.parallel(lambda i: None, 8)
seen = []
def inside(i):
    if i == 0 and not seen and os.fork() == 0:  # even from within a job
        seen.append(1)
        done = []
        pool.parallel(done.append, 8)
        os._exit(0 if sorted(done) == list(range(8)) else 1)
pool.parallel(inside, 1)
child = os.fork()
if child == 0:
    done = []
    pool.parallel(done.append, 8)
    os._exit(0 if sorted(done) == list(range(8)) else 1)
print(os.waitpid(child, 0)[1])
while True:
    try: print(os.wait()[1])
    except ChildProcessError: break
"""
    assert run(code).stdout.split() == ["0", "0"]


def test_interpreter_exits_while_helpers_sleep():
    done = run("from chainrule.backends import pool; pool.set_num_threads(4); pool.parallel(print, 4)")
    assert done.returncode == 0 and not done.stderr
