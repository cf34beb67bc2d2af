"""``python -m chainrule.benchmarks``: one table of what computes how fast on every device of this machine."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Sequence
from dataclasses import asdict

from chainrule import backends
from chainrule.benchmarks import report
from chainrule.benchmarks.machine import machine_info
from chainrule.benchmarks.rows import rows
from chainrule.benchmarks.runner import run_rows
from chainrule.benchmarks.timing import QUICK, Plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 1 when devices disagree about a result."""
    parser = argparse.ArgumentParser(prog="python -m chainrule.benchmarks", description=__doc__)
    parser.add_argument("--device", action="append", metavar="NAME", help="cpu, cuda, cuda:1; repeat it (default: all)")
    parser.add_argument("--rows", action="append", metavar="PATTERN", help="rows by name, such as 'conv2d*'; repeat it")
    parser.add_argument("--json", metavar="PATH", help="also write everything to this file")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and few blocks: a smoke test, no measurement")
    parser.add_argument("--list", action="store_true", help="list the rows and stop")
    options = parser.parse_args(arguments)
    chosen = [r for r in rows(options.quick) if any(fnmatch.fnmatch(r.name, p) for p in options.rows or ["*"])]
    if not chosen:
        parser.error(f"--rows: no row matches; there are {', '.join(r.name for r in rows(options.quick))}")
    if options.list:
        print(report.table(["row", "what"], [[r.name, r.what] for r in chosen]))
        return 0
    missing = backends.unavailable()
    # The guard is the CUDA backend's test double on the CPU: it runs when asked for, and says nothing about speed.
    devices = options.device or [name for name in ("cpu", "cuda") if name not in missing]
    for name in devices:
        reason = missing.get(name.partition(":")[0])
        if reason is not None:
            parser.error(f"--device {name}: {reason}")
    machine = machine_info()
    print(report.describe_machine(machine) + "\n", flush=True)
    plan = QUICK if options.quick else Plan()
    measured = run_rows(chosen, devices, plan, progress=_progress)
    _progress("")
    lines = [report.cells(m) for m in measured]
    print((report.markdown if options.markdown else report.table)(report.HEADERS, lines))
    print(f"\n{report.NOTE}")
    if options.json:
        settings = {"devices": devices, "quick": options.quick, "plan": asdict(plan)}
        report.write_json(options.json, report.document(machine, settings, measured))
        print(f"\nwritten: {options.json}")
    return 0 if all(m.agrees for m in measured) else 1


def _progress(line: str) -> None:
    """What is being measured, on one line of a terminal that is overwritten; nothing in a log."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line:<60}\r")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
