"""The profiler: whose time is whose (on a clock that only moves when it is told to), tables, traces, advice."""

from __future__ import annotations

import gc
import json
import threading
import weakref

import pytest

import chainrule as cr
from chainrule import nn
from chainrule.autograd.modes import ordinary
from chainrule.autograd.op import OPS
from chainrule.autograd.watch import checker
from chainrule.optim import hooks as optimizer_hooks
from chainrule.profiler import Event, profile, record_function, watching
from chainrule.profiler.advice import LARGE, LOOP, RULES, advise
from chainrule.utils.data import DataLoader


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


# ---- whose time is whose --------------------------------------------------------------------------------------------


def test_forward_times_of_operations(clock, slow_ops):
    with profile(clock=clock) as p:
        x = cr.ones(3).exp()
        x.exp().sin()
        clock.passes(10)
    assert (row(p, "exp").calls, row(p, "exp").forward, row(p, "exp").total) == (2, 4.0, 4.0)
    assert row(p, "sin").self_time == 3.0
    assert p.total_time == 17.0 and p.outside == 10.0


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


# ---- nesting, threads, exceptions -----------------------------------------------------------------------------------


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


# ---- memory ---------------------------------------------------------------------------------------------------------


def mlp():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def test_saved_bytes_are_those_of_summary():
    model = mlp()
    table = cr.summary(model, (16, 4))
    with profile() as p:
        model(cr.ones(16, 4)).sum().backward()
    found = {r.name.rpartition(".")[2]: r.saved_bytes for r in p.key_averages(by="module")}
    layers = [r for r in table.rows if r.name]
    assert {r.name: found[r.name] for r in layers} == {r.name: r.saved_bytes for r in layers}
    assert p.saved_bytes == table.saved_bytes


def test_saved_bytes_count_each_step_anew_and_shared_memory_once():
    x = cr.ones(16, 4)
    w = leaf(4)
    with profile() as p:
        for _ in range(3):
            h = x * w  # keeps x
            (h * h).sum().backward()  # keeps h, twice
            del h
    assert [e.saved_bytes for e in p.events if e.name == "mul" and e.kind == "op"] == [256, 256] * 3


def test_saved_bytes_of_a_custom_function_and_of_views(clock):
    Twice.clock = clock
    x = leaf(4, 4) * 1
    with profile() as p:
        z = Twice.apply(x)
        y = x.t()
        y[0] * (x[0] * 1)
    del z
    assert row(p, "Twice").saved_bytes == 64
    # the number 1; a product, and a column of x that Twice keeps already
    assert [e.saved_bytes for e in p.events if e.name == "mul"] == [4, 16]


def test_made_bytes():
    with profile(profile_memory=True) as p:
        cr.ones(10, dtype=cr.float64).exp().reshape(2, 5)
    assert row(p, "exp").made_bytes == 80 and row(p, "reshape").made_bytes == 0
    assert "made" in p.table()


# ---- tables and traces ----------------------------------------------------------------------------------------------


def test_the_table(clock, slow_ops):
    with profile(clock=clock) as p:
        cr.ones(1).exp().exp().sin()
        clock.passes(3)
    assert p.table().splitlines() == [
        "op   calls  self  share  forward  backward  total  saved",
        "--------------------------------------------------------",
        "exp      2   4 s  40.0%      4 s         -    4 s      -",
        "sin      1   3 s  30.0%      3 s         -    3 s      -",
        "--------------------------------------------------------",
        "total 10 s, of which outside of operations 3 s; saved -",
    ]
    assert p.key_averages().table("name", 1).splitlines()[2:4] == [
        "exp      2   4 s  40.0%      4 s         -    4 s      -",
        "... 1 more",
    ]
    assert p.table("self_cpu_time_total") == p.table() and "exp" in p._repr_html_()
    with pytest.raises(ValueError, match="sort_by must be one of self"):
        p.table("speed")
    with pytest.raises(ValueError, match="'op', 'module' or 'line'"):
        p.table(by="color")


def test_by_line_and_by_shape(clock, slow_ops):
    with profile(clock=clock, with_stack=True, record_shapes=True) as p:
        x = leaf(2).exp()
        cr.ones(3).exp()
        x.sum().backward()
    first = test_by_line_and_by_shape.__code__.co_firstlineno + 2
    lines = {r.name: r.forward for r in p.key_averages(by="line")}
    assert lines[f"test_profiler.py:{first}"] == 2.0 and lines[f"test_profiler.py:{first + 1}"] == 2.0
    assert row(p, f"test_profiler.py:{first}", by="line").backward_calls == 1
    shapes = [r.name for r in p.key_averages(group_by_input_shape=True) if r.name.startswith("exp (")]
    assert sorted(shapes) == ["exp (2,)", "exp (3,)"]
    with pytest.raises(ValueError, match="with_stack"):
        profile().key_averages(by="line")
    with pytest.raises(ValueError, match="record_shapes"):
        profile().key_averages(group_by_input_shape=True)


def test_the_chrome_trace(clock, slow_ops, tmp_path):
    net = nn.Sequential(nn.Linear(2, 3))
    with profile(clock=clock, record_shapes=True) as p:
        clock.passes(1)
        net(cr.ones(4, 2)).exp().sum().backward()
    path = tmp_path / "trace.json"
    p.export_chrome_trace(path)
    trace = json.loads(path.read_text())
    events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert [e["ph"] for e in trace["traceEvents"]].count("M") == 1
    assert all({"name", "cat", "pid", "tid", "ts", "dur", "args"} <= set(e) for e in events)
    assert [e["name"] for e in events] == [
        "Sequential", "Sequential.0", "linear", "exp", "sum", "backward pass", "sum (backward)", "exp (backward)",
        "linear (backward)",
    ]  # fmt: skip
    exp = next(e for e in events if e["name"] == "exp")
    assert (exp["ts"], exp["dur"], exp["cat"]) == (1e6, 2e6, "op")
    linear = next(e for e in events if e["name"] == "linear")
    assert linear["args"]["shapes"] == [[4, 2], [3, 2], [3]] and linear["args"]["module"] == "Sequential.0"
    assert linear["args"]["result"] == {"shape": [4, 3], "dtype": "float32"} and linear["args"]["saved_bytes"] == 32


def test_synchronize_waits_after_each_operation(monkeypatch):
    waits = []
    monkeypatch.setattr(type(cr.zeros(1).device.backend), "synchronize", lambda self: waits.append(1))
    with profile():
        leaf(2).exp().sum().backward()
    assert not waits
    with profile(synchronize=True):
        leaf(2).exp().sum().backward()
    assert len(waits) == 4


# ---- advice ---------------------------------------------------------------------------------------------------------


class Given:
    """A profile made of events that are stated: (name, kind, seconds, what else)."""

    def __init__(self, *events, total=100.0):
        self.total_time = total
        self._own = type("Own", (), {"thread": 0})
        self._updated = set()
        self.events = []
        for name, kind, seconds, given in events:
            e = Event(name, kind)
            e.stop = float(seconds)
            e.direction = "backward" if kind == "backward" else "forward"
            for key, value in given.items():
                setattr(e, key, value)
            self.events.append(e)

    @property
    def saved_bytes(self):
        return sum(e.saved_bytes for e in self.events)


class NoLeaf:
    def __call__(self):
        return None


BIG = {"result": ((1000, 1000), "float32"), "shapes": ((1000, 1000),)}
TINY = {"result": ((2,), "float32"), "shapes": ((2,),)}

UNWANTED = {"leaves": [NoLeaf()], "gradients": 2}

#: rule: (events, seconds of them that count, what the text says)
CASES = {
    "data": (lambda s: [("DataLoader", "data", s, {})], ["1 times", "num_workers"]),
    "item": (lambda s: [("item", "wait", s, {"module": "Net"})], ["1 calls of .item()", "in Net"]),
    "transfer": (lambda s: [("copy from cpu to cuda:0", "wait", s, {})], ["between host and device: 1"]),
    "small": (lambda s: [("add", "op", s / 2, TINY), ("add", "backward", s / 2, TINY)], ["add (2)", "larger batches"]),
    "loop": (
        lambda s: [("LSTMCell", "module", s / LOOP, {"module": "Net.cell"})] * LOOP,
        ["Net.cell (LSTMCell)", f"{LOOP} times", "nn.LSTM runs"],
    ),
    "chain": (lambda s: [(name, "op", s / 3, BIG) for name in ("mul", "exp", "tanh")], ["3 in a row (mul, exp, tanh"]),
    "copy": (lambda s: [("clone", "op", s, {**BIG, "module": "Net.a"})], ["clone", "in Net.a"]),
    "float64": (
        lambda s: [
            ("matmul", "op", 0, BIG),
            ("matmul", "op", s, {"result": ((1000, 1000), "float64"), "module": "Net.norm"}),
        ],
        ["1 operations", "matmul (in Net.norm)", ".float()"],
    ),
    "convolution": (
        lambda s: [("conv2d", "op", s, {"details": {"kernels": ["Winograd"]}, "module": "Net.c"})],
        ["Winograd", "Net.c"],
    ),
    "cross_entropy": (
        lambda s: [("softmax", "op", s / 2, BIG), ("log", "op", s / 2, BIG)],
        ["softmax and then log", "F.cross_entropy"],
    ),
    "optimizer": (lambda s: [("Adam.step", "optimizer", s, {})], ["Adam.step"]),
    "unwanted": (
        lambda s: [("conv2d", "backward", 2 * s, {"module": "Net.c", "details": UNWANTED})],
        ["1 nodes", "in Net.c", "requires_grad=False"],
    ),
    "no_grad": (lambda s: [("matmul", "op", s, {"saved_bytes": 10**6})], ["1 MB", "no_grad"]),
}


@pytest.mark.host
@pytest.mark.parametrize("rule", [r for r in RULES if not r.of_memory], ids=lambda r: r.name)
def test_advice_is_given_above_its_threshold_only(rule):
    events, says = CASES[rule.name]
    for share, given in ((rule.threshold * 0.99, False), (rule.threshold * 1.01, True)):
        p = Given(*events(100 * share))
        p._updated = {"another leaf"} if rule.name == "unwanted" else set()
        found = [a for a in advise(p) if a.rule == rule.name]
        assert bool(found) is given, (share, [str(a) for a in advise(p)])
    assert found[0].share == pytest.approx(share)
    assert all(text in found[0].text for text in says), found[0].text


@pytest.mark.host
def test_advice_about_memory_is_a_share_of_memory():
    p = Given(
        ("conv2d", "op", 1, {"module": "Net.a", "saved_bytes": LARGE}),
        ("conv2d", "backward", 1, {"module": "Net.b", "saved_bytes": LARGE // 2}),
    )
    (found,) = advise(p)
    assert found.rule == "checkpoint" and found.share == pytest.approx(2 / 3) and "256 MB in Net.a" in found.text
    p.events[0].saved_bytes //= 4
    assert advise(p) == []  # there is not much to save


@pytest.mark.host
def test_advice_is_ranked_and_silent_on_an_empty_profile():
    p = Given(("DataLoader", "data", 20, {}), ("Adam.step", "optimizer", 50, {}), ("item", "wait", 10, {}))
    assert [a.rule for a in advise(p)] == ["optimizer", "data", "item"]
    assert str(advise(p)[0]).startswith(" 50%  the optimizer: Adam.step")
    assert advise(Given(total=0.0)) == []


def test_every_rule_has_a_case():
    assert {r.name for r in RULES if not r.of_memory} == set(CASES)


def test_why_slow_runs_the_warm_up_and_finds_what_is_slow(clock, slow_ops):
    calls = []
    w = leaf(3)
    optimizer = cr.optim.SGD([w], lr=0.0)

    def step(x):
        calls.append(1)
        optimizer.zero_grad()
        (w * x).exp().sum().backward()
        optimizer.step()
        clock.passes(2)

    report = cr.why_slow(step, cr.ones(3), warmup=2, steps=3, clock=clock)
    assert len(calls) == 5 and report.profile.total_time == 12.0
    assert [a.rule for a in report.advice] == ["small"] and report.advice[0].share == 0.5
    text = str(report)
    assert text.startswith("4 s a step: forward 50%, backward 0%, Python outside of operations 50%; 24 B saved")
    assert "\n 50%  small operations:" in text and "larger batches" in report._repr_html_()


def test_why_slow_finds_a_cross_entropy_made_by_hand(clock, monkeypatch):
    x, y = leaf(8, 3), cr.zeros(8, dtype=cr.int64)
    xp = x.device.xp
    monkeypatch.setattr(xp, "log_softmax", slowly(xp.log_softmax, clock, 1))
    F = nn.functional

    def rules(step):
        return [a.rule for a in cr.why_slow(step, clock=clock).advice]

    assert "cross_entropy" in rules(lambda: F.nll_loss(F.log_softmax(x, 1), y).backward())
    assert "cross_entropy" not in rules(lambda: F.log_softmax(x, 1).sum().backward())
    assert "cross_entropy" not in rules(lambda: F.cross_entropy(x, y, label_smoothing=0.1).backward())


def test_why_slow_names_the_line_of_a_float64_array(clock, slow_ops):
    def step():
        x = cr.ones(3).exp()
        return x.double().exp()

    (advice,) = [a for a in cr.why_slow(step, clock=clock).advice if a.rule == "float64"]
    line = step.__code__.co_firstlineno + 2
    assert f"test_profiler.py:{line}" in advice.text and advice.share == 0.5


def test_gradients_that_nothing_uses_are_found():
    x, w = leaf(3, 3), nn.Parameter(cr.ones(3, 3))
    optimizer = cr.optim.SGD([w], lr=0.1)

    def step():
        (x * w).sum().backward()
        optimizer.step()

    with profile() as p:
        step()
    (node,) = [e for e in p.events if e.name == "mul" and e.kind == "backward"]
    assert len(node.details["leaves"]) == 2 and node.details["gradients"] == 2
    node.stop = node.start + 10.0
    p._total = 20.0
    (advice,) = [a for a in advise(p) if a.rule == "unwanted"]
    assert advice.share == pytest.approx(0.25, rel=0.01)


@pytest.mark.host
@pytest.mark.parametrize(("channels", "kernel"), [(2, "row blocks of windows"), (64, "Winograd")])
def test_the_convolution_kernel_is_named(channels, kernel):
    x = cr.randn(4, channels, 32, 32, device="cpu")
    layer = nn.Conv2d(channels, channels, 3, padding=1, device="cpu")
    with profile() as p:
        layer(x).sum().backward()
    forward, backward = [e.details["kernels"] for e in p.events if e.name == "conv2d"]
    assert forward == [kernel] and set(backward) == {kernel}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: cr.why_slow(3), TypeError),
        (lambda: cr.why_slow(lambda: None, steps=0), ValueError),
        (lambda: cr.why_slow(lambda: None, warmup=-1), ValueError),
        (lambda: cr.why_slow(lambda: 1 / 0), ZeroDivisionError),
        (lambda: cr.why_slow(lambda: 1 / 0, warmup=0), ZeroDivisionError),
    ],
)
def test_what_why_slow_refuses(call, error):
    with pytest.raises(error):
        call()
