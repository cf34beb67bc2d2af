"""The profiler among others: profilers in profilers, threads, exceptions, anomaly mode, hooks, vmap; results stay."""

from __future__ import annotations

import gc
import threading
import weakref

import profiler_cases
import pytest
from profiler_cases import leaf, row

import chainrule as cr
from chainrule import nn
from chainrule.autograd.op import OPS
from chainrule.optim import hooks as optimizer_hooks
from chainrule.profiler import profile, record_function

clock, slow_ops = profiler_cases.clock, profiler_cases.slow_ops
nothing_stays_switched_on = profiler_cases.nothing_stays_switched_on  # around each test


def test_nested_profilers(clock, slow_ops):
    with profile(clock=clock) as outer:
        cr.ones(1).exp()
        with record_function("part"), profile(clock=clock) as inner:
            cr.ones(1).sin()
        cr.ones(1).exp()
    assert [r.name for r in inner.key_averages()] == ["sin"] and inner.total_time == 3.0
    assert row(outer, "exp").forward == 4.0 and row(outer, "sin").forward == 3.0 and outer.total_time == 7.0


def test_profilers_that_do_not_end_in_order(clock, slow_ops):
    first, second = profile(clock=clock), profile(clock=clock)
    first.start()
    second.start()
    cr.ones(1).exp()
    first.stop()
    cr.ones(1).sin()
    second.stop()
    assert [e.name for e in first.events] == ["exp"] and [e.name for e in second.events] == ["exp", "sin"]


def test_a_profiler_that_ends_inside_an_event(clock):
    p = profile(clock=clock)
    p.start()
    with record_function("part"):
        clock.passes(1)
        p.stop()
        clock.passes(1)
    assert row(p, "part").total == 1.0 and p.total_time == 1.0


@pytest.mark.parametrize("everything", [False, True])
def test_threads(clock, slow_ops, everything):
    def work():
        with record_function("there"):
            cr.ones(1).exp()

    with profile(clock=clock, all_threads=everything) as p, record_function("here"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    names = [e.name for e in p.events]
    assert names == (["here", "there", "exp"] if everything else ["here"])
    assert row(p, "here").self_time == 2.0  # the other thread's events are not inside this one's
    if everything:
        assert len({e.thread for e in p.events}) == 2 and row(p, "exp").forward == 2.0


def test_two_threads_profile_apart():
    found, ready = {}, threading.Barrier(2)

    def work(name):
        with profile() as p:
            ready.wait(10)
            getattr(leaf(2), name)().sum().backward()
            ready.wait(10)
        found[name] = {e.name for e in p.events}

    threads = [threading.Thread(target=work, args=(name,)) for name in ("exp", "sin")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == {n: {n, "sum", "backward pass"} for n in ("exp", "sin")}


class Broken(nn.Module):
    def forward(self, x):
        return x.exp().reshape(7)


class BrokenBackward(cr.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.exp()

    @staticmethod
    def backward(ctx, g):
        raise ZeroDivisionError("backward")


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (lambda: Broken()(leaf(2)), RuntimeError),
        (lambda: BrokenBackward.apply(leaf(2)).sum().backward(), ZeroDivisionError),
        (lambda: cr.optim.SGD([leaf(2)]).step(lambda: 1 / 0), ZeroDivisionError),
    ],
    ids=["forward", "backward", "optimizer"],
)
def test_exceptions_close_what_was_open(broken, error, clock, slow_ops):
    with profile(clock=clock) as p:
        with pytest.raises(error), record_function("span"):
            broken()
        cr.ones(1).sin()
    assert all(e.stop is not None for e in p.events)
    last = p.events[-1]
    assert last.name == "sin" and last.parent is None and last.duration == 3.0
    with pytest.raises(error), profile() as p:
        broken()
    assert all(e.stop is not None for e in p.events)


def test_the_error_says_the_same_as_without_a_profiler():
    def message():
        with pytest.raises((ValueError, RuntimeError)) as caught:
            Broken()(leaf(2))
        return str(caught.value)

    with profile():
        inside = message()
    assert inside == message()


def test_an_operation_that_was_never_called_is_written_inside_and_stays():
    @cr.autograd.op.op(vjp={"x": lambda xp, g: g * 3}, check=cr.autograd.samples.Unary(), name="triple_for_a_test")
    def triple(xp, x):
        """``3 * x``."""
        return x * 3

    try:
        assert "apply" in OPS["triple_for_a_test"].waiting
        with profile() as p:
            triple(cr.ones(1))
            triple(leaf(1)).sum().backward()
        assert row(p, "triple_for_a_test").calls == 2 and row(p, "triple_for_a_test").backward_calls == 1
        assert "op triple_for_a_test, apply" in triple.__code__.co_filename
        assert triple(cr.ones(1)).tolist() == [3.0]
    finally:
        from chainrule.backends.namespace import FORWARDS

        del OPS["triple_for_a_test"], FORWARDS["triple_for_a_test"]


def test_anomaly_mode_works_inside_and_around():
    for order in (0, 1):
        contexts = [profile(), cr.autograd.detect_anomaly()]
        x = leaf(2)
        with contexts[order], contexts[1 - order]:
            x.exp().sum().backward()
            with pytest.raises(cr.autograd.AnomalyError, match="sqrt"):
                (x * 0).sqrt().sum().backward()
        assert row(contexts[0], "exp").backward_calls == 1
        assert row(contexts[0], "sqrt").backward_calls == 1


def test_gradients_are_the_same():
    def gradients():
        cr.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
        nn.functional.cross_entropy(net(cr.randn(8, 3)), cr.zeros(8, dtype=cr.int64)).backward()
        return [p.grad.tolist() for p in net.parameters()]

    with profile(record_shapes=True, with_stack=True, profile_memory=True, synchronize=True):
        inside = gradients()
    assert inside == gradients()


def test_saved_tensor_hooks():
    x = leaf(3, 2)
    with profile() as p, cr.autograd.graph.save_on_cpu():
        (x * x).sum().backward()
    assert row(p, "mul").backward_calls == 1 and cr.allclose(x.grad, 2 * cr.ones(3, 2))


def test_vmap():
    x = leaf(3, 2)
    with profile() as p:
        cr.vmap(lambda row: (row * row).exp())(x).sum().backward()
    assert row(p, "exp").backward_calls == 1 and row(p, "exp").saved_bytes == 24  # those of the whole batch
    assert cr.allclose(x.grad, 2 * cr.ones(3, 2).exp())


def test_a_profiler_that_cannot_begin_leaves_everything_as_it_was(monkeypatch):
    monkeypatch.setattr(optimizer_hooks, "add", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError), profile():
        pass
    monkeypatch.undo()
    with profile() as p:
        leaf(1).exp()
    assert row(p, "exp").calls == 1


def test_a_profiler_keeps_no_model_alive():
    net = nn.Sequential(nn.Linear(2, 2))
    reference, array = weakref.ref(net), weakref.ref(net[0].weight)
    with profile(record_shapes=True, with_stack=True) as p:
        net(cr.ones(1, 2)).sum().backward()
    del net
    gc.collect()
    assert reference() is None and array() is None
    assert row(p, "Sequential.0", by="module").calls == 1


def test_a_profiler_runs_once():
    p = profile()
    with pytest.raises(RuntimeError, match=r"stop\(\) without start"):
        p.stop()
    with p:
        pass
    with pytest.raises(RuntimeError, match="runs once"):
        p.start()
    assert p.key_averages() == [] and "total" in p.table()
