"""``python -m chainrule.benchmarks.peers``: training steps, layers and operations beside PyTorch eager.

Each contestant runs in a process of its own with the same number of threads: chainrule with the compiled kernels of its
extra ``fast`` and without, PyTorch, and JAX where it is installed. In every round each has one block of the row, so a
machine that is slower for a while is so for all; ratios are taken round by round. A row is only timed after all have
computed the same losses. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import chainrule
from chainrule.backends import compiled
from chainrule.benchmarks import report
from chainrule.benchmarks.machine import available_cores, machine_info
from chainrule.benchmarks.overhead import compare
from chainrule.benchmarks.peer_rows import PeerRow, rows

FAST, PLAIN, TORCH, JAX = "chainrule[fast]", "chainrule", "torch", "jax"
OURS = (FAST, PLAIN)
HEADERS = (
    "row", "with [fast]", "chainrule", "PyTorch", "JAX", "ratio [fast]", "rounds [fast]", "ratio", "rounds",
    "memory [fast]", "memory", "PyTorch's", "JAX's",
)  # fmt: skip
#: in the order of the table
_CONTESTANTS = (FAST, PLAIN, TORCH, JAX)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure a row: rounds, seconds of a block, and of untimed steps before it."""

    rounds: int = 9
    block: float = 0.15
    settle: float = 0.05


QUICK = Plan(rounds=2, block=0.001, settle=0.0)


@dataclass(frozen=True, slots=True)
class Result:
    """One row, measured.

    Attributes:
        row, what, overhead: of the row.
        seconds: of a step, by contestant, round by round.
        memory_mib: what a step needs beyond the model, by contestant; None where the system does not tell.
    """

    row: str
    what: str
    overhead: bool
    seconds: dict[str, list[float]]
    memory_mib: dict[str, float | None]

    def ratios(self, ours: str) -> list[float]:
        """The time of one of ours over PyTorch's, round by round; empty where either is missing."""
        if ours not in self.seconds or TORCH not in self.seconds:
            return []
        return [a / b for a, b in zip(self.seconds[ours], self.seconds[TORCH], strict=True)]

    def cells(self) -> list[str]:
        """One line of the table."""
        times, memory = ([d.get(k) for k in _CONTESTANTS] for d in (self._medians(), self.memory_mib))
        line = [self.row, *("" if t is None else report.format_time(t) for t in times)]
        for ours in OURS:
            ratios = self.ratios(ours)
            line.append(f"{statistics.median(ratios):.2f}" if ratios else "")
            line.append(f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "")
        return [*line, *("" if m is None else f"{m:.1f} MiB" for m in memory)]

    def _medians(self) -> dict[str, float]:
        return {name: statistics.median(seconds) for name, seconds in self.seconds.items() if seconds}


class Peer:
    """A contestant in its own process; the methods are those of ``peer_worker.Worker``."""

    def __init__(self, name: str, threads: int, quick: bool) -> None:
        worker = Path(__file__).with_name("peer_worker.py")
        package = str(Path(chainrule.__file__).parent.parent)
        search = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH")) if p)
        fast = {FAST: {"CHAINRULE_FAST": "1"}, PLAIN: {"CHAINRULE_FAST": "0"}}.get(name, {})
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(worker), name.partition("[")[0], str(threads), "quick" if quick else "full"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **fast, "PYTHONPATH": search, "OMP_NUM_THREADS": str(threads)},
        )

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method there. Raises RuntimeError when it fails, or when the process ends instead of answering."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps([method, *arguments]) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"{self.name}: {method}{arguments} ended the process, exit code {process.wait()}")
        found = json.loads(answer)
        if "error" in found:
            raise RuntimeError(f"{self.name}: {found['error']}")
        return found["result"]

    def close(self) -> None:
        """End the process."""
        process = self._process
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended already
                process.stdin.close()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def measure(row: PeerRow, peers: Sequence[Peer], plan: Plan) -> dict[str, list[float]]:
    """Seconds of a step by contestant, round by round, once all have computed the same losses.

    Raises RuntimeError where they have not.
    """
    losses = {peer.name: peer.ask("build", row.name) for peer in peers}
    first = losses[peers[0].name]
    for found in losses.values():
        compare(row.name, first, found)
    seconds: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for peer in peers:  # finds the length of its block
        peer.ask("block", plan.settle, plan.block)
    for _ in range(plan.rounds):
        for peer in peers:
            seconds[peer.name].append(peer.ask("block", plan.settle, plan.block))
    return seconds


def needed_memory(row: PeerRow, names: Sequence[str], threads: int, quick: bool) -> dict[str, float | None]:
    """What a step needs beyond the model in MiB, by contestant, each in a fresh process."""
    found: dict[str, float | None] = {}
    for name in names:
        with Peer(name, threads, quick) as peer:
            found[name] = peer.ask("memory", row.name)
    return found


def geometric_mean(results: Sequence[Result], ours: str) -> float | None:
    """Of the median ratios of one of ours to PyTorch; None where there are none.

    Example:
        >>> row = Result("a", "", False, {"chainrule": [1.0], "torch": [4.0]}, {})
        >>> geometric_mean([row, Result("b", "", False, {"chainrule": [4.0], "torch": [1.0]}, {})], "chainrule")
        1.0
    """
    logs = [math.log(statistics.median(r.ratios(ours))) for r in results if r.ratios(ours)]
    return math.exp(statistics.fmean(logs)) if logs else None


def _installed(options: argparse.Namespace) -> list[str]:
    """The contestants that can run here."""
    there = {
        FAST: compiled.enabled(),
        PLAIN: True,
        TORCH: not options.no_torch and importlib.util.find_spec("torch") is not None,
        JAX: not options.no_jax and importlib.util.find_spec("jax") is not None,
    }
    return [name for name in _CONTESTANTS if there[name]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows and print the table."""
    parser = argparse.ArgumentParser(prog="python -m chainrule.benchmarks.peers", description=__doc__)
    parser.add_argument("--rows", action="append", metavar="PATTERNS", help="rows by name, such as 'conv*,hvp'")
    parser.add_argument("--json", metavar="PATH", help="also write everything to this file")
    parser.add_argument("--markdown", metavar="PATH", help="also write the table as Markdown to this file")
    parser.add_argument("--threads", type=int, help="for each library (default: the cores of this machine)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and few blocks: a smoke test")
    parser.add_argument("--list", action="store_true", help="list the rows and stop")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    parser.add_argument("--no-jax", action="store_true", help="leave JAX out")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory columns out")
    options = parser.parse_args(arguments)
    patterns = ",".join(options.rows or ["*"]).split(",")
    chosen = [r for r in rows() if any(fnmatch.fnmatch(r.name, p) for p in patterns)]
    if not chosen:
        parser.error(f"--rows: no row matches; there are {', '.join(r.name for r in rows())}")
    if options.list:
        print(report.table(["row", "what"], [[r.name, r.what] for r in chosen]))
        return 0
    threads = options.threads or max(1, int(available_cores()))
    names = _installed(options)
    plan = QUICK if options.quick else Plan()
    machine = machine_info()
    print(report.describe_machine(machine), flush=True)
    peers = [Peer(name, threads, options.quick) for name in names]
    results, failed = [], []
    try:
        versions = {peer.name: peer.ask("describe") for peer in peers}
        rows_of = {peer.name: set(peer.ask("names")) for peer in peers}
        print(f"{', '.join(versions.values())}; {threads} threads each\n", flush=True)
        for row in chosen:
            taking_part = [peer for peer in peers if row.name in rows_of[peer.name]]
            try:
                seconds = measure(row, taking_part, plan)
            except RuntimeError as error:
                failed.append(f"{row.name}: {error}")
                print(failed[-1], file=sys.stderr)
                continue
            memory = {}
            if not options.no_memory:
                memory = needed_memory(row, [peer.name for peer in taking_part], threads, options.quick)
            results.append(Result(row.name, row.what, row.overhead, seconds, memory))
            print("  ".join(results[-1].cells()), flush=True)
    finally:
        for peer in peers:
            peer.close()
    lines = [r.cells() for r in results]
    print("\n" + report.table(HEADERS, lines))
    means = {name: geometric_mean(results, name) for name in OURS}
    for name, mean in means.items():
        if mean is not None:
            print(f"\nGeometric mean of the ratios of {name}: {mean:.2f} (below 1: it is faster than PyTorch)")
    if options.json:
        data = {
            "schema": report.SCHEMA, "kind": "peers", "machine": machine, "geometric_means": means, "failed": failed,
            "settings": {**asdict(plan), "threads": threads, "quick": options.quick, "versions": versions},
            "rows": [{**asdict(r), "ratios": {name: r.ratios(name) for name in OURS}} for r in results],
        }  # fmt: skip
        report.write_json(options.json, data)
    if options.markdown:
        Path(options.markdown).write_text(report.markdown(HEADERS, lines) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
