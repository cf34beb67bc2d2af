"""The profiler: whose time is whose, in operations, gradients, modules, optimizers, loaders and named parts."""

from __future__ import annotations

import profiler_cases
import pytest
from profiler_cases import Twice, leaf, row, slowly

import chainrule as cr
from chainrule import nn
from chainrule.profiler import profile, record_function
from chainrule.utils.data import DataLoader

clock, slow_ops = profiler_cases.clock, profiler_cases.slow_ops
nothing_stays_switched_on = profiler_cases.nothing_stays_switched_on  # around each test


def test_forward_times_of_operations(clock, slow_ops):
    with profile(clock=clock) as p:
        x = cr.ones(3).exp()
        x.exp().sin()
        clock.passes(10)
    assert (row(p, "exp").calls, row(p, "exp").forward, row(p, "exp").total) == (2, 4.0, 4.0)
    assert row(p, "sin").self_time == 3.0
    assert p.total_time == 17.0 and p.outside == 10.0


def test_a_custom_function_does_not_get_the_time_of_what_it_calls(clock, slow_ops):
    Twice.clock = clock
    apply = Twice.apply  # as programs keep it, from before
    with profile(clock=clock) as p:
        apply(leaf(2)).sum().backward()
    assert (row(p, "Twice").forward, row(p, "Twice").backward, row(p, "Twice").total) == (1.0, 1.0, 8.0)
    exp = row(p, "exp")
    assert (exp.calls, exp.forward, exp.backward) == (3, 4.0, 2.0)
    assert row(p, "backward pass").backward == 0.0 and row(p, "backward pass").total == 3.0
    assert p.outside == 0.0


def test_backward_times_of_nodes(clock, monkeypatch):
    xp = cr.zeros(1).device.xp
    with profile(clock=clock) as p:
        x = leaf(2)
        y = x.cos()
        monkeypatch.setattr(xp, "sin", slowly(xp.sin, clock, 5))  # the gradient of cos calls it
        y.sum().backward()
    cos = row(p, "cos")
    assert (cos.calls, cos.backward_calls, cos.forward, cos.backward) == (1, 1, 0.0, 5.0)
    assert row(p, "backward pass").total == 5.0


@pytest.mark.parametrize("context", [cr.no_grad, cr.inference_mode, cr.enable_grad])
def test_operations_are_seen_in_every_mode(clock, slow_ops, context):
    with profile(clock=clock) as p, context():
        leaf(2).exp()
    assert row(p, "exp").forward == 2.0


def test_in_place_operations_and_views(clock, slow_ops):
    x, y = cr.ones(4, 2), leaf(4, 2)
    with profile(clock=clock) as p:
        x.exp_()
        (y * 1).transpose(0, 1)[0].exp_()
        x[0] = 3.0
    assert row(p, "exp").forward == 4.0 and row(p, "exp_").calls == 2
    assert cr.allclose(x[1], cr.ones(2).exp()) and x[0].tolist() == [3.0, 3.0]


def test_create_graph_counts_what_the_backward_pass_records_as_backward(clock, slow_ops):
    x = leaf(2)
    with profile(clock=clock) as p:
        (dx,) = cr.autograd.grad(x.cos().sum(), x, create_graph=True)
        dx.sum().backward()
    assert (row(p, "sin").forward, row(p, "sin").backward) == (0.0, 3.0)
    assert x.grad.tolist() == pytest.approx((-x.detach().cos()).tolist())


def test_modules(clock, slow_ops):
    class Exp(nn.Module):
        def forward(self, x):
            clock.passes(0.5)
            return x.exp()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(Exp(), nn.Identity(), Exp())

        def forward(self, x):
            return self.body(x).sin()

    with profile(clock=clock) as p:
        Net()(leaf(2))
    found = {r.name: (r.calls, r.self_time, r.total) for r in p.key_averages(by="module")}
    assert found == {
        "Net": (1, 3.0, 8.0),
        "Net.body": (1, 0.0, 5.0),
        "Net.body.0": (1, 2.5, 2.5),
        "Net.body.1": (1, 0.0, 0.0),
        "Net.body.2": (1, 2.5, 2.5),
    }
    assert p.outside == 1.0  # what modules do between operations is Python


def test_a_node_belongs_to_the_module_that_recorded_it():
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    with profile() as p:
        net(cr.ones(4, 2)).sum().backward()
    found = {e.name: e.module for e in p.events if e.kind == "backward"}
    assert found == {"linear": "Sequential.0", "tanh": "Sequential.1", "sum": ""}


def test_optimizer_and_loader_are_spans(clock):
    w = leaf(2)
    optimizer = cr.optim.SGD([w], lr=0.1)

    class Data:
        def __len__(self):
            return 2

        def __getitem__(self, i):
            clock.passes(4)
            return i

    with profile(clock=clock) as p:
        for _ in DataLoader(Data()):
            (w * 2).sum().backward()
            optimizer.step()
    assert row(p, "DataLoader").total == 8.0 and row(p, "DataLoader").calls == 3  # the third says that it is over
    assert row(p, "SGD.step").calls == 2
    assert w.tolist() == pytest.approx([0.4, 0.4])


def test_record_function(clock, slow_ops):
    @record_function("named")
    def function(x):
        clock.passes(1)
        return x.exp()

    function(cr.ones(1))  # without a profiler it does nothing
    with profile(clock=clock) as p:
        function(cr.ones(1))
        with record_function("outer", "text"), record_function("inner"):
            clock.passes(2)
    assert (row(p, "named").self_time, row(p, "named").total) == (1.0, 3.0)
    assert (row(p, "outer").self_time, row(p, "outer").total, row(p, "inner").self_time) == (0.0, 2.0, 2.0)


def test_total_counts_what_runs_inside_itself_once(clock):
    with profile(clock=clock) as p, record_function("a"):
        clock.passes(1)
        with record_function("a"):
            clock.passes(2)
    assert (row(p, "a").calls, row(p, "a").self_time, row(p, "a").total) == (2, 3.0, 3.0)
