"""no_grad, enable_grad, set_grad_enabled, inference_mode: as contexts, decorators, nested, after exceptions."""

from __future__ import annotations

import threading

import pytest

import chainrule as cr
from chainrule.autograd.modes import ordinary


@pytest.fixture
def x():
    return cr.tensor([1.0, 2.0], requires_grad=True)


@pytest.fixture(autouse=True)
def on_before_and_after():
    assert cr.is_grad_enabled()
    yield
    assert cr.is_grad_enabled()
    assert not cr.is_inference_mode_enabled()


@pytest.mark.parametrize("off", [cr.no_grad, lambda: cr.set_grad_enabled(False), cr.inference_mode])
def test_nothing_is_recorded_inside(x, off):
    with off():
        assert not cr.is_grad_enabled()
        y = x * 2
        assert (y.requires_grad, y.grad_fn, y.is_leaf) == (False, None, True)
        assert cr.tensor([1.0], requires_grad=True).requires_grad
    assert (x * 2).requires_grad
    assert (y * x).requires_grad


def test_the_argument_decides(x):
    with cr.set_grad_enabled(True):
        assert (x * 2).requires_grad
    with cr.inference_mode(False):
        assert (x * 2).requires_grad
        assert not cr.is_inference_mode_enabled()


def test_nesting(x):
    with cr.no_grad():
        with cr.enable_grad():
            assert (x * 2).requires_grad
            with cr.no_grad():
                assert not (x * 2).requires_grad
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad


def test_one_object_can_be_entered_twice(x):
    off = cr.no_grad()
    with off, off:
        assert not cr.is_grad_enabled()
    assert cr.is_grad_enabled()


def test_exceptions_restore(x):
    for off in (cr.no_grad, cr.inference_mode, lambda: cr.set_grad_enabled(False)):
        with pytest.raises(KeyError), off():
            raise KeyError
        assert cr.is_grad_enabled()


# set_grad_enabled(False) switches as soon as it is made: not while tests are collected
DECORATORS = {
    "no_grad()": cr.no_grad(),
    "no_grad": cr.no_grad,
    "set_grad_enabled(False)": lambda f: cr.set_grad_enabled(False)(f),
    "inference_mode()": cr.inference_mode(),
    "inference_mode": cr.inference_mode,
}


@pytest.mark.parametrize("decorate", DECORATORS.values(), ids=list(DECORATORS))
def test_decorators(x, decorate):
    @decorate
    def f(t, k=2):
        """Doc."""
        assert not cr.is_grad_enabled()
        return t * k

    assert cr.is_grad_enabled()
    assert not f(x, k=3).requires_grad
    assert (f.__name__, f.__doc__) == ("f", "Doc.")
    assert cr.is_grad_enabled()

    @cr.enable_grad()
    def g(t):
        return f(t), t * 2

    with cr.no_grad():
        off, on = g(x)
    assert (off.requires_grad, on.requires_grad) == (False, True)


def test_a_decorated_function_can_recurse_and_fail(x):
    @cr.no_grad()
    def f(n):
        if n == 0:
            raise ValueError("bottom")
        return f(n - 1)

    with pytest.raises(ValueError, match="bottom"):
        f(3)
    assert cr.is_grad_enabled()


def test_a_decorator_works_in_several_threads_at_once(x):
    barrier, failures = threading.Barrier(4), []

    @cr.no_grad()
    def f():
        barrier.wait(10)
        if cr.is_grad_enabled():
            failures.append("on inside")

    def work():
        for _ in range(20):
            f()
            if not cr.is_grad_enabled():
                failures.append("off outside")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_set_grad_enabled_as_a_function(x):
    cr.set_grad_enabled(False)
    try:
        assert not (x * 2).requires_grad
    finally:
        cr.set_grad_enabled(True)
    assert (x * 2).requires_grad


def test_a_thread_starts_with_recording_on(x):
    seen = []
    with cr.no_grad():
        t = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        t.start()
        t.join()
    assert seen == [True]


def test_a_thread_that_ends_inside_no_grad_disturbs_nobody(x):
    def work():
        cr.set_grad_enabled(False)

    t = threading.Thread(target=work)
    t.start()
    t.join()
    assert (x * 2).requires_grad
    assert ordinary.everywhere  # so that nothing is slower from now on


def test_generators_keep_their_mode_to_their_body(x):
    def numbers():
        with cr.no_grad():
            yield (x * 2).requires_grad
        yield (x * 2).requires_grad

    assert list(numbers()) == [False, True]


def test_inference_results_are_plain_tensors(x):
    with cr.inference_mode():
        assert cr.is_inference_mode_enabled()
        y = x * 2
        y.add_(1)
    assert (y * x).requires_grad


def test_backward_inside_no_grad_still_works(x):
    y = (x * x).sum()
    with cr.no_grad():
        y.backward()
    assert x.grad.tolist() == [2.0, 4.0]
