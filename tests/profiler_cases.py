"""What the tests of the profiler share: a clock that moves when it is told to, slow operations, a custom function."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule import nn
from chainrule.autograd.modes import ordinary
from chainrule.autograd.op import OPS
from chainrule.autograd.watch import checker
from chainrule.optim import hooks as optimizer_hooks
from chainrule.profiler import watching


class Clock:
    """Seconds that pass when ``passes`` is called."""

    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time

    def passes(self, seconds):
        self.time += seconds


@pytest.fixture
def clock():
    return Clock()


def slowly(real, clock, seconds):
    """A function that also lets time pass."""

    def slow(*args, **kwargs):
        clock.passes(seconds)
        return real(*args, **kwargs)

    return slow


@pytest.fixture
def slow_ops(clock, monkeypatch):
    """``exp`` takes 2 seconds and ``sin`` 3."""
    xp = cr.zeros(1).device.xp
    for name, seconds in (("exp", 2), ("sin", 3)):

        monkeypatch.setattr(xp, name, slowly(getattr(xp, name), clock, seconds))


def functions_watched():
    """The code objects of everything that a profiler steps in front of."""
    functions = [op.apply for op in OPS.values() if "apply" not in op.waiting]
    functions += [nn.Module.__call__, cr.Tensor.item, cr.Tensor.tolist, cr.Tensor.__bool__]
    functions += [cr.autograd.Function.apply.__func__]
    return [(f, f.__code__) for f in functions]


@pytest.fixture(autouse=True)
def nothing_stays_switched_on():
    before = functions_watched()
    yield
    assert all(f.__code__ is code for f, code in before)
    assert ordinary.everywhere and checker.around is None and watching.active() == ()
    assert not optimizer_hooks._before_any and not optimizer_hooks._after_any


def row(p, name, by="op"):
    return next(r for r in p.key_averages(by=by) if r.name == name)


def leaf(*shape):
    return cr.ones(*shape, requires_grad=True)


class Twice(cr.autograd.Function):
    """Runs operations of its own, and takes a second each way."""

    clock = None

    @staticmethod
    def forward(ctx, x):
        Twice.clock.passes(1)
        ctx.save_for_backward(x)
        return x.exp() + x.exp()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        Twice.clock.passes(1)
        return g * 2 * x.exp()
