"""The profiler: bytes saved and made, tables by operation, line and shape, traces."""

from __future__ import annotations

import json

import profiler_cases
import pytest
from profiler_cases import Twice, leaf, row

import chainrule as cr
from chainrule import nn
from chainrule.profiler import profile

clock, slow_ops = profiler_cases.clock, profiler_cases.slow_ops
nothing_stays_switched_on = profiler_cases.nothing_stays_switched_on  # around each test

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
    assert lines[f"test_profiler_tables.py:{first}"] == 2.0 and lines[f"test_profiler_tables.py:{first + 1}"] == 2.0
    assert row(p, f"test_profiler_tables.py:{first}", by="line").backward_calls == 1
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
