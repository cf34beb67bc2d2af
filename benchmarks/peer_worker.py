"""One library of the peer benchmark in a process of its own; ``peers.py`` runs this file as a script.

Each line it reads is a JSON list, the name of one of the methods of :class:`Worker` and its arguments; each line it
writes is a JSON object with the result or the error. Nothing of chainrule is imported beside another library: it sets
up BLAS and the allocator.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: JAX has programs of its own; the others share the names of PyTorch
ROWS = {"jax": "peer_rows_jax"}
#: the losses of so many steps are compared before anything is timed
COMPARED = 3


class Worker:
    """The rows under one library.

    Args:
        library: ``"chainrule"``, ``"torch"`` or ``"jax"``.
        threads: how many it may use.
        quick: at sizes for a smoke test.
    """

    def __init__(self, library: str, threads: int, quick: bool) -> None:
        if library == "jax":  # these are read when it starts, and it has no function for the number of threads
            os.environ["JAX_PLATFORMS"] = "cpu"
            # The size of XLA's thread pool. What is often written into XLA_FLAGS does nothing here: the flag
            # --xla_cpu_multi_thread_eigen=false and the word intra_op_parallelism_threads=1 leave all cores at work.
            os.environ["NPROC"] = str(threads)
        self.lib: Any = importlib.import_module(library)
        if library != "jax":
            self.lib.set_num_threads(threads)
        self.rows = {row.name: row for row in _rows_module(ROWS.get(library, "peer_rows")).rows()}
        self.quick = quick
        self.step: Callable[[], Any] | None = None
        self.calls = 1

    def describe(self) -> str:
        """The library with its version."""
        return f"{self.lib.__name__} {self.lib.__version__}"

    def names(self) -> list[str]:
        """The rows that this library has."""
        return list(self.rows)

    def _row(self, name: str) -> Any:
        if name not in self.rows:
            raise ValueError(f"{self.lib.__name__} has no row {name!r}; it has {', '.join(self.rows)}")
        return self.rows[name]

    def build(self, name: str) -> list[float]:
        """Set a row up and give the losses of its first steps.

        Raises ValueError for a row that this library lacks.
        """
        self.step = None  # frees the row before
        self.step = self._row(name).build(self.lib, self.quick)
        self.calls = 1
        return [self.step().item() for _ in range(COMPARED)]

    def block(self, settle: float, length: float) -> float:
        """Seconds of a step: over a block of at least ``length`` seconds, after ``settle`` seconds of untimed steps."""
        step = self.step
        assert step is not None, "build a row first"
        deadline = time.perf_counter() + settle
        while time.perf_counter() < deadline:
            step()
        while True:
            start = time.perf_counter()
            for _ in range(self.calls):
                step()
            passed = time.perf_counter() - start
            if passed >= length:
                return passed / self.calls
            self.calls = max(self.calls + 1, int(1.2 * self.calls * length / max(passed, 1e-9)))

    def memory(self, name: str) -> float | None:
        """MiB that a step needs beyond the model: the peak of a step after the first, less the size when it was built.

        Libraries that are loaded when they are first needed belong to no step, and are loaded before, as PyTorch's are
        by its import. None where the system does not tell the peak of a span of time.
        """
        self._row(name).build(self.lib, True)()
        if self.lib.__name__ == "chainrule":
            self.lib.backends.compiled.load_all(self.lib.device("cpu").backend)
        step = self._row(name).build(self.lib, self.quick)
        before = _status("VmRSS")
        step()
        try:
            with open("/proc/self/clear_refs", "w") as control:
                control.write("5")  # forget the peak so far: proc(5)
        except OSError:
            return None
        step()
        peak = _status("VmHWM")
        return None if before is None or peak is None else (peak - before) / 1024


def _rows_module(name: str) -> Any:
    """A file next to this one, not as a part of the package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _status(field: str) -> int | None:
    """A line of this process's status, in KiB."""
    if not os.path.exists("/proc/self/status"):
        return None
    with open("/proc/self/status") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith(field + ":")), None)


def main() -> None:
    """Answer until the input ends."""
    library, threads, quick = sys.argv[1:4]
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr  # whatever a library prints does not get between the answers
    worker = Worker(library, int(threads), quick == "quick")
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        try:
            answer = {"result": getattr(worker, method)(*arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
