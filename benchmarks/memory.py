"""What must not grow: memory over many steps, and what a graph leaves behind. Each check runs in a fresh process."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
import weakref
from typing import Any


def resident_mib() -> float:
    """Memory of this process that is in RAM now; the peak where the system does not tell the present value."""
    try:
        with open("/proc/self/statm", "rb") as fields:  # text would import a codec, and count as objects
            return int(fields.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return peak_mib()


def peak_mib() -> float:
    """The most memory this process has had in RAM."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def in_fresh_process(function: str, *arguments: int) -> Any:
    """Call a function of this module in a new interpreter and give back its result.

    Raises RuntimeError with the child's error output when it fails.
    """
    call = f"{function}({', '.join(map(str, arguments))})"
    code = f"import json; from chainrule.benchmarks import memory; print(json.dumps(memory.{call}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{call} failed in a fresh process:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def steps(count: int) -> dict[str, float]:
    """Training steps with the garbage collector off: how much objects and memory grow over ``count`` of them.

    Example:
        >>> steps(2)["objects"]
        0
    """
    import chainrule as cr
    from chainrule import nn, optim
    from chainrule.benchmarks.workloads import training_step

    step = training_step(cr, nn, optim, "mlp")
    gc.collect()
    gc.disable()
    try:
        for _ in range(count):  # caches and optimizer state are made in the first steps
            step()
        objects, resident = _objects(), resident_mib()
        for _ in range(count):
            step()
        return {"objects": _objects() - objects, "resident_mib": resident_mib() - resident}
    finally:
        gc.enable()


def _objects() -> int:
    """The fewest objects in several looks: a thread of the pool that wakes up late holds its last job until then."""
    fewest = sys.maxsize
    for _ in range(20):
        fewest = min(fewest, len(gc.get_objects()))
        time.sleep(0.002)
    return fewest


def chain(length: int) -> dict[str, float]:
    """A chain of ``length`` ops with the collector off: times, memory, and whether everything is freed.

    Example:
        >>> chain(100)["freed"]
        True
    """
    import chainrule as cr

    first = cr.tensor([1.0], requires_grad=True)
    (first * first).backward()  # so that what is made once is there
    x = cr.tensor([1.0], requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        before, objects = resident_mib(), len(gc.get_objects())
        t0 = time.perf_counter()
        y = x
        for _ in range(length):
            y = y * x
        t1 = time.perf_counter()
        y.backward()
        t2 = time.perf_counter()
        correct = x.grad is not None and float(x.grad.item()) == length + 1
        alive = weakref.ref(y.grad_fn)
        del y
        t3 = time.perf_counter()
        left = len(gc.get_objects()) - objects
        return {
            "forward_s": t1 - t0,
            "backward_s": t2 - t1,
            "free_s": t3 - t2,
            "peak_mib": peak_mib() - before,
            "bytes_per_op": (peak_mib() - before) * 2**20 / length,
            "correct": correct,
            "freed": alive() is None and left < 100,
        }
    finally:
        gc.enable()


def import_time() -> float:
    """Seconds that ``import chainrule`` takes in a process that has NumPy already; run it in a fresh one."""
    import importlib
    import subprocess

    code = (
        "import time, numpy; t = time.perf_counter(); import chainrule; print(time.perf_counter() - t)"
    )
    importlib.invalidate_caches()
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
