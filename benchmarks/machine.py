"""What a benchmark ran on; a number without it means nothing a month later."""

from __future__ import annotations

import datetime
import importlib.util
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import backends
from chainrule.backends import runtime
from chainrule.version import __version__


def machine_info() -> dict[str, Any]:
    """Processor, memory, versions, BLAS threads, commit, date, and the GPU with its driver where there is one.

    Example:
        >>> info = machine_info()
        >>> info["cores"] >= 1
        True
    """
    missing = backends.unavailable()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": available_cores(),
        "cores_of_machine": os.cpu_count(),
        "memory_gib": memory_gib(),
        "load": load(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": runtime.blas_in_force(),
        "chainrule": __version__,
        "commit": git_commit(),
        "torch": installed_version("torch"),
        "numba": installed_version("numba"),
        "gpu": None if "cuda" in missing else {**backends.backend_for("cuda").describe(), "driver": gpu_driver()},
        "gpu_missing": missing.get("cuda"),
    }


def cpu_model() -> str:
    """The name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def available_cores() -> float:
    """The cores this process may use: its affinity, and the quota of its container."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores: float = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()[:2]
        if limit != "max":
            cores = min(cores, float(limit) / float(period))
    except (OSError, ValueError):
        pass
    return cores


def memory_gib() -> float | None:
    """The machine's memory; None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def load() -> float | None:
    """The load average of the last minute: above 0.5 others are working too, and numbers suffer."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def git_commit() -> str | None:
    """The commit of the checkout this is, with ``+`` when files differ from it; None outside a checkout."""
    here = Path(__file__).resolve().parent
    commit = _output(["git", "-C", str(here), "rev-parse", "--short=12", "HEAD"])
    tracked = _output(["git", "-C", str(here), "ls-files", "--", Path(__file__).name])
    if not commit or not tracked:  # installed into an environment that lies inside some other checkout
        return None
    changed = _output(["git", "-C", str(here), "status", "--porcelain", "--untracked-files=no"])
    return f"{commit}+" if changed else commit


def installed_version(package: str) -> str | None:
    """The version of a package where it is installed, without importing it.

    Example:
        >>> installed_version("no_such_package") is None
        True
    """
    if importlib.util.find_spec(package) is None:
        return None
    from importlib.metadata import version

    return version(package)


def gpu_driver() -> str | None:
    """The version of the NVIDIA driver."""
    text = _output(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
    return text.splitlines()[0] if text else None


def _output(command: list[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
