"""``python -m chainrule.benchmarks.peers``: training steps, layers and operations beside PyTorch eager.

Each library runs in a process of its own with the same number of threads. In every round each library has one block of
the row, so a machine that is slower for a while is so for all; ratios are taken round by round. A row is only timed
after all libraries have computed the same losses. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
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
from chainrule.benchmarks import report
from chainrule.benchmarks.machine import available_cores, machine_info
from chainrule.benchmarks.overhead import compare
from chainrule.benchmarks.peer_rows import PeerRow, rows

OURS = "chainrule"
HEADERS = ("row", "chainrule", "PyTorch", "ratio", "rounds", "memory", "PyTorch's")


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
        seconds: of a step, by library, round by round.
        memory_mib: what a step needs beyond the model, by library; None where the system does not tell.
    """

    row: str
    what: str
    overhead: bool
    seconds: dict[str, list[float]]
    memory_mib: dict[str, float | None]

    @property
    def ratios(self) -> list[float]:
        """Our time over PyTorch's, round by round; empty without PyTorch."""
        if "torch" not in self.seconds:
            return []
        return [a / b for a, b in zip(self.seconds[OURS], self.seconds["torch"], strict=True)]

    def cells(self) -> list[str]:
        """One line of the table."""
        ratios = self.ratios
        times = [report.format_time(statistics.median(self.seconds[k])) for k in _LIBRARIES if k in self.seconds]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else ""
        memory = [self.memory_mib.get(k) for k in _LIBRARIES]
        return [
            self.row,
            *times,
            *[""] * (len(_LIBRARIES) - len(times)),
            f"{statistics.median(ratios):.2f}" if ratios else "",
            spread,
            *("" if m is None else f"{m:.1f} MiB" for m in memory),
        ]


_LIBRARIES = (OURS, "torch")


class Peer:
    """A library in its own process; the methods are those of ``peer_worker.Worker``."""

    def __init__(self, library: str, threads: int, quick: bool) -> None:
        worker = Path(__file__).with_name("peer_worker.py")
        package = str(Path(chainrule.__file__).parent.parent)
        search = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH")) if p)
        self.library = library
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(worker), library, str(threads), "quick" if quick else "full"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": search, "OMP_NUM_THREADS": str(threads)},
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
            raise RuntimeError(f"{self.library}: {method}{arguments} ended the process, exit code {process.wait()}")
        found = json.loads(answer)
        if "error" in found:
            raise RuntimeError(f"{self.library}: {found['error']}")
        return found["result"]

    def close(self) -> None:
        """End the process."""
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def measure(row: PeerRow, peers: Sequence[Peer], plan: Plan) -> dict[str, list[float]]:
    """Seconds of a step by library, round by round, once all have computed the same losses.

    Raises RuntimeError where they have not.
    """
    losses = {peer.library: peer.ask("build", row.name) for peer in peers}
    first = losses[peers[0].library]
    for found in losses.values():
        compare(row.name, first, found)
    seconds: dict[str, list[float]] = {peer.library: [] for peer in peers}
    for peer in peers:  # finds the length of its block
        peer.ask("block", plan.settle, plan.block)
    for _ in range(plan.rounds):
        for peer in peers:
            seconds[peer.library].append(peer.ask("block", plan.settle, plan.block))
    return seconds


def needed_memory(row: PeerRow, libraries: Sequence[str], threads: int, quick: bool) -> dict[str, float | None]:
    """What a step needs beyond the model in MiB, by library, each in a fresh process."""
    found: dict[str, float | None] = {}
    for library in libraries:
        with Peer(library, threads, quick) as peer:
            found[library] = peer.ask("memory", row.name)
    return found


def geometric_mean(results: Sequence[Result]) -> float | None:
    """Of the median ratios; None where there are none.

    Example:
        >>> row = Result("a", "", False, {"chainrule": [1.0], "torch": [4.0]}, {})
        >>> geometric_mean([row, Result("b", "", False, {"chainrule": [4.0], "torch": [1.0]}, {})])
        1.0
    """
    logs = [math.log(statistics.median(r.ratios)) for r in results if r.ratios]
    return math.exp(statistics.fmean(logs)) if logs else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows and print the table."""
    parser = argparse.ArgumentParser(prog="python -m chainrule.benchmarks.peers", description=__doc__)
    parser.add_argument("--rows", action="append", metavar="PATTERN", help="rows by name, such as 'conv*'; repeat it")
    parser.add_argument("--json", metavar="PATH", help="also write everything to this file")
    parser.add_argument("--markdown", metavar="PATH", help="also write the table as Markdown to this file")
    parser.add_argument("--threads", type=int, help="for each library (default: the cores of this machine)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and few blocks: a smoke test")
    parser.add_argument("--list", action="store_true", help="list the rows and stop")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory columns out")
    options = parser.parse_args(arguments)
    chosen = [r for r in rows() if any(fnmatch.fnmatch(r.name, p) for p in options.rows or ["*"])]
    if not chosen:
        parser.error(f"--rows: no row matches; there are {', '.join(r.name for r in rows())}")
    if options.list:
        print(report.table(["row", "what"], [[r.name, r.what] for r in chosen]))
        return 0
    threads = options.threads or max(1, int(available_cores()))
    with_torch = not options.no_torch and importlib.util.find_spec("torch") is not None
    libraries = _LIBRARIES if with_torch else (OURS,)
    plan = QUICK if options.quick else Plan()
    machine = machine_info()
    print(report.describe_machine(machine), flush=True)
    peers = [Peer(library, threads, options.quick) for library in libraries]
    results, failed = [], []
    try:
        versions = [peer.ask("describe") for peer in peers]
        print(f"{', '.join(versions)}; {threads} threads each\n", flush=True)
        for row in chosen:
            try:
                seconds = measure(row, peers, plan)
            except RuntimeError as error:
                failed.append(f"{row.name}: {error}")
                print(failed[-1], file=sys.stderr)
                continue
            memory = {} if options.no_memory else needed_memory(row, libraries, threads, options.quick)
            results.append(Result(row.name, row.what, row.overhead, seconds, memory))
            print("  ".join(results[-1].cells()), flush=True)
    finally:
        for peer in peers:
            peer.close()
    lines = [r.cells() for r in results]
    print("\n" + report.table(HEADERS, lines))
    mean = geometric_mean(results)
    if mean is not None:
        print(f"\nGeometric mean of the ratios: {mean:.2f} (below 1: chainrule is faster)")
    if options.json:
        data = {
            "schema": report.SCHEMA, "kind": "peers", "machine": machine, "geometric_mean": mean, "failed": failed,
            "settings": {**asdict(plan), "threads": threads, "quick": options.quick, "libraries": versions},
            "rows": [{**asdict(r), "ratios": r.ratios} for r in results],
        }  # fmt: skip
        report.write_json(options.json, data)
    if options.markdown:
        Path(options.markdown).write_text(report.markdown(HEADERS, lines) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
