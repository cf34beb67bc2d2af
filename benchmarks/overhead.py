"""``python -m chainrule.benchmarks.overhead``: what the engine costs, beside plain NumPy and PyTorch in the same run.

Every line has a bar that the project has set itself. PyTorch (extra ``oracle``) is given all cores; where it is not
installed its lines are skipped. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.benchmarks import memory, report
from chainrule.benchmarks.machine import available_cores, machine_info
from chainrule.benchmarks.timing import QUICK, Plan, measure_together, ratio
from chainrule.benchmarks.workloads import REPEAT, numpy_op, op_chain, scalar_chain, taped_op, training_step


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison: ``value`` against ``other``, and the bar for their ratio (or for the value itself).

    Attributes:
        row: what was measured.
        value: chainrule's number.
        against: what it is compared with: ``"numpy"``, ``"torch"``, or nothing.
        other: that number; None where there is none.
        ratio: median of the ratios round by round; None where there is no other.
        bar: what must not be exceeded by ``ratio``, or by ``value`` where there is none.
        unit: ``"s"``, ``"objects"``, ``"MiB"``, or ``"yes"`` for something that must be so.
    """

    row: str
    value: float
    bar: float
    unit: str = "s"
    against: str = ""
    other: float | None = None
    ratio: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the bar holds (a yes-or-no is 1 or 0, and must be 1)."""
        reached = self.value if self.ratio is None else self.ratio
        return reached >= self.bar if self.unit == "yes" else reached <= self.bar

    def cells(self) -> list[str]:
        """One line of the table."""
        other = f"{self.against} {report.format_time(self.other)}" if self.other is not None else ""
        bar = f"{self.bar:g}" if self.ratio is not None else _amount(self.bar, self.unit)
        ratio = f"{self.ratio:.2f}" if self.ratio is not None else ""
        return [self.row, _amount(self.value, self.unit), other, ratio, bar, "PASS" if self.passed else "FAIL"]


def _amount(value: float, unit: str) -> str:
    if value == float("inf"):
        return "none"
    if unit == "s":
        return report.format_time(value)
    if unit == "yes":
        return "yes" if value else "no"
    return f"{value:.3g} {unit}"


def _against(row: str, ours: Sequence[float], against: str, theirs: Sequence[float], bar: float) -> Line:
    """The line that compares two sets of rounds."""
    value, other = statistics.median(ours), statistics.median(theirs)
    return Line(row, value, bar, against=against, other=other, ratio=ratio(ours, theirs))


class Overhead:
    """Measures the rows; PyTorch's part is left out where it is missing.

    Args:
        plan: how long to measure.
        quick: short chains and few steps.
        torch: the module, or None.
    """

    def __init__(self, plan: Plan, quick: bool, torch: Any) -> None:
        self.plan, self.quick, self.torch = plan, quick, torch

    def together(self, functions: dict[str, Callable[[], Any] | None], calls: int = 1) -> dict[str, list[float]]:
        """Seconds of one op of each function, round by round, measured side by side."""
        present = {name: f for name, f in functions.items() if f is not None}
        timings = measure_together(present, self.plan)
        return {name: [s / calls for s in timing.samples] for name, timing in timings.items()}

    def beside_torch(self, make: Callable[..., Callable[[], Any]], *arguments: Any, **options: Any) -> Any:
        """The same workload under PyTorch; None where it is missing."""
        return None if self.torch is None else make(self.torch, *arguments, **options)

    def ops(self) -> Iterator[Line]:
        """A taped binary op against the bare NumPy call, forward and backward."""
        for name in ("add", "mul"):
            found = self.together(
                {"numpy": numpy_op(name), "cr": taped_op(cr, name), "torch": self.beside_torch(taped_op, name)}, REPEAT
            )
            yield _against(f"{name}: forward", found["cr"], "numpy", found["numpy"], 4.0)
            if self.torch is not None:
                yield _against(f"{name}: forward", found["cr"], "torch", found["torch"], 0.5)
            yield from self.op_backward(name)

    def op_backward(self, name: str) -> Iterator[Line]:
        """The backward of an op in a chain: forward and backward, less the forward."""
        for both in (False, True):
            functions: dict[str, Callable[[], Any] | None] = {"numpy": numpy_op(name)}
            for way in (False, True):
                functions[f"cr {way}"] = op_chain(cr, name, both=both, backward=way)
                functions[f"torch {way}"] = self.beside_torch(op_chain, name, both=both, backward=way)
            found = self.together(functions, REPEAT)
            row = f"{name}: backward, {'two leaves' if both else 'one'}"
            ours = _less(found["cr True"], found["cr False"])
            if not both:  # with two, the rules alone are two NumPy calls and the sum of their results a third
                yield _against(row, ours, "numpy", found["numpy"], 4.0)
            if self.torch is not None:
                theirs = _less(found["torch True"], found["torch False"])
                yield _against(row, ours, "torch", theirs, 1.0 if both else 0.5)

    def steps(self) -> Iterator[Line]:
        """Training steps and the chain of scalars, against PyTorch; the losses are compared first."""
        from chainrule import nn, optim

        for name, what in (("xor", "XOR 2-8-1, SGD step"), ("mlp", "MLP 784-128-64-10, batch 64, Adam step")):
            ours = training_step(cr, nn, optim, name)
            theirs = None
            if self.torch is not None:
                theirs = training_step(self.torch, self.torch.nn, self.torch.optim, name)
                compare(what, [ours().item() for _ in range(5)], [theirs().item() for _ in range(5)])
            found = self.together({"cr": ours, "torch": theirs})
            yield self.against_torch(what, found)

    def scalars(self) -> Iterator[Line]:
        """A long chain of scalars, forward and backward."""
        count = 100 if self.quick else 2000
        ours, theirs = scalar_chain(cr, count), self.beside_torch(scalar_chain, count)
        what = f"{count:,} scalar ops, forward and backward"
        if theirs is not None:
            compare(what, [ours().item()], [theirs().item()])
        yield self.against_torch(what, self.together({"cr": ours, "torch": theirs}))

    def against_torch(self, row: str, found: dict[str, list[float]]) -> Line:
        """Must be faster; without PyTorch the time stands alone."""
        if "torch" not in found:
            return Line(row, statistics.median(found["cr"]), float("inf"))
        return _against(row, found["cr"], "torch", found["torch"], 1.0)

    def uniforms(self) -> Iterator[Line]:
        """Random numbers against NumPy's generator."""
        count = 1000 if self.quick else 1_000_000
        rng = np.random.default_rng(0)
        found = self.together(
            {
                "cr": lambda: cr.rand(count),
                "double": lambda: rng.random(count),
                "single": lambda: rng.random(count, dtype=np.float32),
            }
        )
        yield _against(f"{count:,} float32 uniforms", found["cr"], "numpy float64", found["double"], 1.0)
        yield _against(f"{count:,} float32 uniforms", found["cr"], "numpy float32", found["single"], 1.0)

    def importing(self) -> Iterator[Line]:
        """The import, beyond NumPy's."""
        memory.import_time()  # compiles the modules
        times = [memory.import_time() for _ in range(2 if self.quick else 7)]
        yield Line("import chainrule, beyond numpy", statistics.median(times), 0.1)

    def memory(self) -> Iterator[Line]:
        """What must stay flat, and what must be freed."""
        count = 20 if self.quick else 1000
        grown = memory.in_fresh_process("steps", count)
        yield Line(f"{count:,} steps without gc: more objects", grown["objects"], 10, "objects")
        yield Line(f"{count:,} steps without gc: more memory", grown["resident_mib"], 1.0, "MiB")
        length = 1000 if self.quick else 1_000_000
        found = memory.in_fresh_process("chain", length)
        what = f"chain of {length:,} ops"
        yield Line(f"{what}: gradient is right", float(found["correct"]), 1, "yes")
        yield Line(f"{what}: freed without gc", float(found["freed"]), 1, "yes")
        for part in ("forward", "backward", "free"):
            yield Line(f"{what}: {part}", found[f"{part}_s"], float("inf"))
        yield Line(f"{what}: memory per op", found["bytes_per_op"], 2000, "bytes")


def compare(what: str, ours: Sequence[float], theirs: Sequence[float], tolerance: float = 1e-3) -> None:
    """Raise RuntimeError where two libraries do not compute the same: their times could not be compared.

    Example:
        >>> compare("the same", [1.0], [1.0001])
    """
    for a, b in zip(ours, theirs, strict=True):
        if not abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-6):
            raise RuntimeError(f"{what}: results differ, so no times are compared: chainrule {ours}, torch {theirs}")


def _less(more: Sequence[float], less: Sequence[float]) -> list[float]:
    """What the longer work takes beyond the shorter, round by round; never nothing, so that ratios exist."""
    return [max(a - b, 1e-12) for a, b in zip(more, less, strict=True)]


GROUPS = ("ops", "steps", "scalars", "uniforms", "importing", "memory")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows; with ``--strict`` the exit code is 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m chainrule.benchmarks.overhead", description=__doc__)
    parser.add_argument("--rows", action="append", metavar="PATTERN", help=f"groups: {', '.join(GROUPS)}; repeat it")
    parser.add_argument("--json", metavar="PATH", help="also write everything to this file")
    parser.add_argument("--quick", action="store_true", help="few blocks and short chains: a smoke test")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    options = parser.parse_args(arguments)
    groups = [g for g in GROUPS if any(fnmatch.fnmatch(g, p) for p in options.rows or ["*"])]
    if not groups:
        parser.error(f"--rows: no group matches; there are {', '.join(GROUPS)}")
    machine = machine_info()
    print(report.describe_machine(machine))
    threads = max(1, int(available_cores()))
    torch = None if options.no_torch else _torch(threads)
    print(f"PyTorch {torch.__version__}, {threads} threads\n" if torch else "PyTorch: left out\n", flush=True)
    plan = QUICK if options.quick else Plan()
    overhead = Overhead(plan, options.quick, torch)
    lines = [line for group in groups for line in getattr(overhead, group)()]
    print(report.table(["row", "chainrule", "against", "ratio", "bar", ""], [line.cells() for line in lines]))
    missed = [line.row for line in lines if not line.passed]
    print(f"\n{len(lines) - len(missed)} of {len(lines)} bars hold.")
    if (machine["load"] or 0) > 0.5:
        print(f"The load was {machine['load']} at the start: others were working, so take the numbers with care.")
    if options.json:
        rows = [{**asdict(line), "passed": line.passed} for line in lines]
        settings = {"quick": options.quick, "plan": asdict(plan), "torch_threads": threads if torch else None}
        data = {"schema": report.SCHEMA, "kind": "overhead", "machine": machine, "settings": settings, "rows": rows}
        report.write_json(options.json, data)
        print(f"written: {options.json}")
    return 1 if missed and options.strict else 0


def _torch(threads: int) -> Any:
    """PyTorch with its threads set, or None."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    torch.set_num_threads(threads)
    return torch


if __name__ == "__main__":
    sys.exit(main())
