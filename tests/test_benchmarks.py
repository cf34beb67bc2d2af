"""The benchmarks' machinery: statistics, schema, comparison before speed-up. No time is asserted."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.benchmarks import __main__ as command
from chainrule.benchmarks import memory, optimizers, overhead, report, timing
from chainrule.benchmarks.machine import machine_info
from chainrule.benchmarks.rows import Row, Work, rows
from chainrule.benchmarks.runner import Measured, difference
from chainrule.benchmarks.timing import Plan, Statistics, Timing, measure, measure_together, summarize

pytestmark = pytest.mark.host


class Clock:
    """A clock that only the measured functions move."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def takes(self, *seconds):
        """A function whose calls take these times in turn."""
        state = {"calls": 0}

        def function():
            self.now += seconds[state["calls"] % len(seconds)]
            state["calls"] += 1

        function.state = state
        return function


NO_PAUSE = Plan(pause=0.0, settle=0.0)


# ---- statistics -----------------------------------------------------------------------------------------------------


def test_summarize():
    got = summarize([1.0, 2.0, 3.0, 4.0, 5.0], calls=7)
    assert got == Statistics(median=3.0, iqr=2.0, min=1.0, n=5, calls=7, outliers=0)
    samples = np.random.default_rng(0).exponential(size=40)
    got = summarize(list(samples))
    low, middle, high = np.percentile(samples, [25, 50, 75])
    np.testing.assert_allclose([got.median, got.iqr, got.min], [middle, high - low, samples.min()])
    assert got.outliers == int(((samples < low - 1.5 * got.iqr) | (samples > high + 1.5 * got.iqr)).sum())
    assert summarize([2.5]).iqr == 0.0
    with pytest.raises(ValueError, match="at least one sample"):
        summarize([])


def test_a_block_is_long_enough_and_counts_every_call():
    clock = Clock()
    function = clock.takes(0.001)
    got = measure(function, plan=NO_PAUSE, clock=clock)
    assert got.wall.median == pytest.approx(0.001)
    assert got.wall.n == 15
    assert got.wall.calls * 0.001 >= 0.010
    assert got.wall.calls <= 20
    assert got.device is None


def test_slow_functions_are_called_once_a_block():
    clock = Clock()
    got = measure(clock.takes(0.5), plan=NO_PAUSE, clock=clock)
    assert got.wall.calls == 1
    assert got.wall.iqr == 0.0


def test_warm_up_lasts_until_it_is_stable():
    clock = Clock()
    function = clock.takes(*[1.0 / (i + 1) for i in range(30)], *[0.02] * 1000)
    got = measure(function, plan=Plan(warmup=100.0), clock=clock)
    assert got.wall.median == pytest.approx(0.02)
    assert got.wall.outliers == 0


def test_functions_take_turns():
    clock = Clock()
    order = []

    def make(name):
        def function():
            order.append(name)
            clock.now += 0.02

        return function

    got = measure_together({"a": make("a"), "b": make("b")}, NO_PAUSE, clock)
    assert order[-30:] == ["a", "b"] * 15
    assert timing.ratio(got["a"].samples, got["b"].samples) == pytest.approx(1.0)


def test_the_devices_own_clock_is_read_around_the_same_calls():
    clock = Clock()

    class Target:
        waited = 0

        def synchronize(self):
            self.waited += 1
            clock.now += 0.004  # what the device still had to do

        def event(self):
            return clock.now

        def elapsed_ms(self, start, end):
            return (end - start) * 1e3

    target = Target()
    got = measure(clock.takes(0.02), target, NO_PAUSE, clock)
    assert got.device.median == pytest.approx(0.02)
    assert got.wall.median == pytest.approx(0.024)
    assert target.waited >= 2 * got.wall.n


# ---- comparison before speed-up -------------------------------------------------------------------------------------


def measured(error, seconds=1.0, reference=4.0, transfer=None):
    def one(s):
        return None if s is None else Timing(summarize([s]))

    return Measured("row", "what", "cuda", one(seconds), one(transfer), 2e9, error, 1e-4, one(reference))


def test_speedups():
    assert measured(1e-6).speedups == {"wall": 4.0}
    assert measured(1e-6, transfer=3.0).speedups == {"wall": 4.0, "with_transfer": 1.0}
    assert report.cells(measured(1e-6, transfer=3.0))[-1] == "4 / 1"
    assert measured(None, reference=None).speedups is None
    assert measured(None, reference=None).agrees


@pytest.mark.parametrize("error", [2e-4, float("inf"), float("nan")])
def test_no_speedup_where_results_differ(error):
    wrong = measured(error)
    assert not wrong.agrees
    assert wrong.speedups is None
    assert wrong.as_dict()["speedup"] is None
    assert report.cells(wrong)[-1] == "none: results differ (tolerance 1e-04)"


def test_difference():
    assert difference(np.array([1.0, 3.0]), np.array([1.0, 4.0])) == 0.25
    assert difference(np.ones(2), np.ones(3)) == float("inf")
    assert difference(np.array([np.nan]), np.ones(1)) == float("inf")
    assert difference(np.ones(0), np.ones(0)) == 0.0


def _row(wrong_on):
    def build(device):
        value = 2.0 if device.type == wrong_on else 1.0
        return Work(lambda: None, lambda: np.array([value]), (np.ones(2, np.float32),), lambda: None)

    return Row("planted", "a row that is wrong on one device", build)


def test_a_wrong_device_is_caught_end_to_end(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command, "rows", lambda quick: [_row("guard")])
    path = tmp_path / "made" / "out.json"
    code = command.main(["--quick", "--device", "cpu", "--device", "guard", "--json", str(path)])
    out = capsys.readouterr().out
    assert code == 1
    assert "none: results differ" in out
    saved = json.loads(path.read_text())
    assert [r["agrees"] for r in saved["rows"]] == [True, False]
    assert saved["rows"][1]["speedup"] is None
    assert saved["rows"][1]["error"] == 1.0


# ---- rows, end to end -----------------------------------------------------------------------------------------------

STATISTICS = {"median", "iqr", "min", "n", "calls", "outliers"}


def test_every_row_runs_and_agrees_between_devices(capsys, tmp_path):
    path = tmp_path / "out.json"
    code = command.main(["--quick", "--device", "cpu", "--device", "guard", "--json", str(path)])
    out = capsys.readouterr().out
    assert code == 0, out
    saved = json.loads(path.read_text())
    assert saved["schema"] == report.SCHEMA
    assert saved["kind"] == "devices"
    assert saved["settings"]["devices"] == ["cpu", "guard"]
    names = [r.name for r in rows(quick=True)]
    assert [r["row"] for r in saved["rows"]] == [n for n in names for _ in range(2)]
    for cpu, guard in zip(saved["rows"][::2], saved["rows"][1::2], strict=True):
        assert set(cpu) == set(guard)
        assert set(cpu["wall"]) == set(guard["transfer"]) == set(guard["device_time"]) == STATISTICS
        assert cpu["error"] is cpu["speedup"] is cpu["transfer"] is cpu["device_time"] is None
        assert guard["agrees"]
        assert set(guard["speedup"]) == {"wall", "device", "with_transfer"}
    assert all(name in out for name in names)


def test_options(capsys):
    assert command.main(["--list", "--quick", "--rows", "matmul*"]) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("matmul-16")
    assert command.main(["--quick", "--rows", "matmul*", "--device", "cpu", "--markdown"]) == 0
    assert "| matmul-16 | cpu |" in capsys.readouterr().out
    for wrong in (["--rows", "nothing"], ["--device", "cuda:7", "--quick"]):
        if wrong[0] == "--device" and cr.cuda.is_available():
            continue
        with pytest.raises(SystemExit) as stopped:
            command.main(wrong)
        assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "there are matmul-" in error
    assert cr.cuda.is_available() or "pip install" in error


def test_row_names_are_the_same_in_both_sizes_of_run():
    full, quick = [r.name for r in rows()], [r.name for r in rows(quick=True)]
    assert len(set(full)) == len(full)
    assert {n.partition("-")[0] for n in full} == {n.partition("-")[0] for n in quick}


def test_machine():
    info = machine_info()
    expected = "date cpu cores cores_of_machine memory_gib load system python numpy blas chainrule commit torch numba"
    assert set(info) == {*expected.split(), "gpu", "gpu_missing"}
    assert (info["gpu"] is None) == (info["gpu_missing"] is not None)
    assert all("thread" in line for line in info["blas"])
    text = report.describe_machine(info) + json.dumps(info)
    assert os.path.expanduser("~") not in text
    assert os.getcwd() not in text


# ---- tables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 ns"), (1e-9, "1 ns"), (9.99e-7, "999 ns"), (9.9996e-4, "1 ms"), (0.01234, "12.3 ms"), (1.5, "1.5 s")],
)
def test_format_time(seconds, text):
    assert report.format_time(seconds) == text


def test_times_above_a_thousand_seconds_have_no_exponent():
    assert report.format_time(12345) == "12345 s"


def test_json_has_no_infinities(tmp_path):
    report.write_json(tmp_path / "x.json", {"a": [float("inf"), float("nan"), 1.0]})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": ["inf", "nan", 1.0]}


# ---- overhead -------------------------------------------------------------------------------------------------------


def test_bars():
    line = overhead._against("row", [3.0, 6.0, 3.0], "numpy", [1.0, 2.0, 1.0], 4.0)
    assert (line.value, line.other, line.ratio, line.passed) == (3.0, 1.0, 3.0, True)
    assert not overhead._against("row", [5.0], "numpy", [1.0], 4.0).passed
    assert not overhead.Line("row", 0.2, 0.1).passed
    assert overhead.Line("row", 1.0, 1, "yes").passed
    assert not overhead.Line("row", 0.0, 1, "yes").passed
    line = overhead._against("row", [0.002], "torch", [0.004], 0.5)
    assert line.cells() == ["row", "2 ms", "torch 4 ms", "0.50", "0.5", "PASS"]
    assert overhead.Line("row", 3.0, 2.0, "MiB").cells() == ["row", "3 MiB", "", "", "2 MiB", "FAIL"]
    assert overhead.Line("row", 1.0, 1, "yes").cells() == ["row", "yes", "", "", "yes", "PASS"]
    assert overhead._less([3.0, 1.0], [1.0, 2.0]) == [2.0, 1e-12]
    with pytest.raises(RuntimeError, match=r"step: results differ.*chainrule \[1.0\], torch \[1.1\]"):
        overhead.compare("step", [1.0], [1.1])
    with pytest.raises(RuntimeError, match="results differ"):
        overhead.compare("step", [float("nan")], [1.0])


def test_overhead_runs_without_torch(capsys, tmp_path):
    path = tmp_path / "out.json"
    groups = [argument for group in ("ops", "scalars", "uniforms", "steps") for argument in ("--rows", group)]
    assert overhead.main(["--quick", "--no-torch", "--json", str(path), *groups]) == 0
    saved = json.loads(path.read_text())
    assert saved["kind"] == "overhead"
    assert {r["row"] for r in saved["rows"]} >= {"add: forward", "mul: backward, one", "1,000 float32 uniforms"}
    assert set(saved["rows"][0]) == {"row", "value", "against", "other", "bar", "unit", "ratio", "passed"}
    assert "PyTorch: left out" in capsys.readouterr().out


@pytest.mark.oracle
def test_overhead_runs_beside_torch(capsys):
    pytest.importorskip("torch")
    assert overhead.main(["--quick", "--rows", "steps"]) == 0
    assert "torch" in capsys.readouterr().out


def test_strict_fails_where_a_bar_is_missed(monkeypatch, capsys):
    monkeypatch.setattr(overhead.Overhead, "importing", lambda self: iter([overhead.Line("slow", 2.0, 1.0)]))
    assert overhead.main(["--rows", "importing", "--no-torch", "--quick"]) == 0
    assert overhead.main(["--rows", "importing", "--no-torch", "--quick", "--strict"]) == 1
    assert "FAIL" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        overhead.main(["--rows", "nothing"])


# ---- optimizers -----------------------------------------------------------------------------------------------------


def test_optimizers_run_without_torch(capsys, tmp_path):
    path = tmp_path / "out.json"
    assert optimizers.main(["--quick", "--no-torch", "--rows", "adam*", "--json", str(path)]) == 0
    saved = json.loads(path.read_text())
    assert saved["kind"] == "optimizers"
    assert [r["row"] for r in saved["rows"]] == ["adam_9M", "adam_50x4096", "adam_mlp", "adamw_9M"]
    assert list(saved["rows"][0]["seconds"]) == ["chainrule"]
    assert "PyTorch: left out" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        optimizers.main(["--rows", "nothing"])


@pytest.mark.oracle
def test_optimizers_run_beside_torch(capsys):
    pytest.importorskip("torch")
    assert optimizers.main(["--quick", "--rows", "*50x4096"]) == 0
    assert "torch fused" in capsys.readouterr().out


def test_optimizers_that_differ_are_not_compared():
    row = optimizers.rows(quick=True)[0]
    some, step = optimizers.setup(cr, row)
    others, _ = optimizers.setup(cr, row)
    optimizers.check(row, some, others)
    step()
    with pytest.raises(RuntimeError, match="adam_9M: parameter 0 differs by 0.001, so no times are compared"):
        optimizers.check(row, some, others)


def test_memory_checks():
    assert memory.chain(200)["correct"]
    assert memory.chain(200)["freed"]
    assert memory.in_fresh_process("chain", 50)["freed"] is True
    with pytest.raises(RuntimeError, match="failed in a fresh process"):
        memory.in_fresh_process("nothing")
    assert memory.peak_mib() >= memory.resident_mib() * 0.5 > 0


def test_training_steps_leave_nothing_behind():
    assert memory.in_fresh_process("steps", 20)["objects"] <= 0  # other threads of the test runner make objects


@pytest.mark.slow
def test_a_chain_of_a_million_ops():
    found = memory.in_fresh_process("chain", 1_000_000)
    assert found["correct"] and found["freed"]


def test_the_commands_start():
    for name in ("chainrule.benchmarks", "chainrule.benchmarks.overhead", "chainrule.benchmarks.optimizers"):
        done = subprocess.run([sys.executable, "-m", name, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"python -m {name}" in done.stdout
