"""``python -m chainrule.benchmarks.optimizers``: one step of an optimizer, beside PyTorch's in the same run.

PyTorch (extra ``oracle``) runs as it does by default on a CPU, and with ``fused=True``. Both are given all cores, and
must reach the same parameters before any time is compared. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.benchmarks import report
from chainrule.benchmarks.machine import available_cores, machine_info
from chainrule.benchmarks.overhead import _torch
from chainrule.benchmarks.timing import QUICK, Plan, Timing, measure_together, ratio

Shapes = Sequence[tuple[int, ...]]
MLP: Shapes = [(1024, 784), (1024,), (1024, 1024), (1024,), (10, 1024), (10,)]


@dataclass(frozen=True, slots=True)
class Row:
    """A benchmark.

    Attributes:
        name: what ``--rows`` selects by.
        optimizer, options: whose step is timed.
        shapes: of the float32 parameters.
        bar: what the ratio to PyTorch's default must not exceed.
    """

    name: str
    optimizer: str
    options: dict[str, Any]
    shapes: Shapes
    bar: float


def rows(quick: bool = False) -> list[Row]:
    """Every row; ``quick`` gives the same rows at sizes for a smoke test.

    Example:
        >>> [row.name for row in rows(quick=True)][:2]
        ['adam_9M', 'adam_50x4096']
    """
    large: Shapes = [(9_000,)] if quick else [(9_000_000,)]
    small: Shapes = [(16,)] * 5 if quick else [(4096,)] * 50
    layers: Shapes = [(7, 8), (7,)] if quick else MLP
    momentum = {"lr": 0.01, "momentum": 0.9}
    return [
        Row("adam_9M", "Adam", {"lr": 1e-3}, large, 0.5),
        Row("adam_50x4096", "Adam", {"lr": 1e-3}, small, 0.5),
        Row("adam_mlp", "Adam", {"lr": 1e-3}, layers, 1.0),
        Row("adamw_9M", "AdamW", {"lr": 1e-3}, large, 0.5),
        Row("sgd_momentum_9M", "SGD", momentum, large, 1.0),
        Row("sgd_momentum_50x4096", "SGD", momentum, small, 1.0),
    ]


def setup(lib: Any, row: Row, **options: Any) -> tuple[list[Any], Callable[[], Any]]:
    """The parameters with fixed gradients under one library, and the step."""
    rng = np.random.default_rng(0)
    params = [lib.tensor(rng.standard_normal(s).astype(np.float32), requires_grad=True) for s in row.shapes]
    for p in params:
        p.grad = lib.tensor(rng.standard_normal(tuple(p.shape)).astype(np.float32))
    return params, getattr(lib.optim, row.optimizer)(params, **row.options, **options).step


def check(row: Row, first: Sequence[Any], others: Sequence[Any]) -> None:
    """Raise RuntimeError where two libraries reach other parameters: their times could not be compared."""
    for i, (p, q) in enumerate(zip(first, others, strict=True)):
        a, b = p.detach().numpy(), q.detach().numpy()
        off = float(np.max(np.abs(a - b), initial=0.0))
        if not off <= 1e-5 * max(1.0, float(np.max(np.abs(a), initial=0.0))):
            raise RuntimeError(f"{row.name}: parameter {i} differs by {off:.3g}, so no times are compared")


def measure(row: Row, plan: Plan, torch: Any) -> dict[str, Timing]:
    """The times of one step, side by side."""
    subjects: dict[str, tuple[Any, dict[str, Any]]] = {"chainrule": (cr, {})}
    if torch is not None:
        subjects |= {"torch": (torch, {}), "torch fused": (torch, {"fused": True})}
    made = {name: setup(lib, row, **options) for name, (lib, options) in subjects.items()}
    for _ in range(5):
        for _, step in made.values():
            step()
    for name in list(made)[1:]:
        check(row, made["chainrule"][0], made[name][0])
    return measure_together({name: step for name, (_, step) in made.items()}, plan)


def as_data(row: Row, found: dict[str, Timing]) -> dict[str, Any]:
    """One row for JSON."""
    ours = found["chainrule"].samples
    ratios = {name: ratio(ours, found[name].samples) for name in list(found)[1:]}
    return {
        "row": row.name,
        "optimizer": row.optimizer,
        "options": row.options,
        "seconds": {name: timing.wall.as_dict() for name, timing in found.items()},
        "ratios": ratios,
        "bar": row.bar,
        "passed": "torch" not in ratios or ratios["torch"] <= row.bar,
    }


def cells(data: dict[str, Any]) -> list[str]:
    """One line of the table."""
    times = [report.format_time(s["median"]) for s in data["seconds"].values()]
    ratios = [f"{value:.2f}" for value in data["ratios"].values()]
    return [data["row"], *times, *ratios, f"{data['bar']:g}", "PASS" if data["passed"] else "FAIL"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows; with ``--strict`` the exit code is 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m chainrule.benchmarks.optimizers", description=__doc__)
    parser.add_argument("--rows", action="append", metavar="PATTERN", help="names of rows; repeat it")
    parser.add_argument("--json", metavar="PATH", help="also write everything to this file")
    parser.add_argument("--quick", action="store_true", help="small parameters and few blocks: a smoke test")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    options = parser.parse_args(arguments)
    chosen = [r for r in rows(options.quick) if any(fnmatch.fnmatch(r.name, p) for p in options.rows or ["*"])]
    if not chosen:
        parser.error(f"--rows: no row matches; there are {', '.join(r.name for r in rows())}")
    machine = machine_info()
    print(report.describe_machine(machine))
    threads = max(1, int(available_cores()))
    torch = None if options.no_torch else _torch(threads)
    print(f"PyTorch {torch.__version__}, {threads} threads\n" if torch else "PyTorch: left out\n", flush=True)
    plan = QUICK if options.quick else Plan()
    with cr.device("cpu"):
        data = [as_data(row, measure(row, plan, torch)) for row in chosen]
    others = ["torch", "torch fused"] if torch is not None else []
    headers = ["row", "chainrule", *others, *(f"to {name}" for name in others), "bar", ""]
    print(report.table(headers, [cells(d) for d in data]))
    missed = [d["row"] for d in data if not d["passed"]]
    if torch is not None:
        print(f"\n{len(data) - len(missed)} of {len(data)} bars hold.")
    if (machine["load"] or 0) > 0.5:
        print(f"The load was {machine['load']} at the start: others were working, so take the numbers with care.")
    if options.json:
        settings = {"quick": options.quick, "plan": asdict(plan), "torch_threads": threads if torch else None}
        document = {"schema": report.SCHEMA, "kind": "optimizers", "machine": machine, "settings": settings}
        report.write_json(options.json, {**document, "rows": data})
        print(f"written: {options.json}")
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
