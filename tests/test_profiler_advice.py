"""The profiler's advice: what is said from which share on, and cr.why_slow."""

from __future__ import annotations

import profiler_cases
import pytest
from profiler_cases import leaf, slowly

import chainrule as cr
from chainrule import nn
from chainrule.profiler import Event, profile
from chainrule.profiler.advice import LARGE, LOOP, RULES, advise

clock, slow_ops = profiler_cases.clock, profiler_cases.slow_ops
nothing_stays_switched_on = profiler_cases.nothing_stays_switched_on  # around each test


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
    assert f"test_profiler_advice.py:{line}" in advice.text and advice.share == 0.5


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
