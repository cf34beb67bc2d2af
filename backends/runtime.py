"""Process-wide settings of the CPU: one BLAS thread, and an allocator that keeps its pages.

Both are made once, when the NumPy backend is created, and both can be left as the user set them:
``CHAINRULE_BLAS_THREADS=keep`` (or a number) and ``CHAINRULE_MALLOPT=0``.
"""

from __future__ import annotations

import ctypes
import os
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

_state: dict[str, str] = {}


def prepare() -> None:
    """Apply both settings (once; later calls do nothing)."""
    if _state:
        return
    _state["malloc"] = _keep_freed_pages()
    _state["blas_threads"] = _limit_blas()


def _keep_freed_pages() -> str:
    """Make glibc reuse freed blocks instead of returning their pages to the system.

    A chain of ufuncs on fresh 1 MB arrays spends over 90% of its time on page faults otherwise.
    """
    if os.environ.get("CHAINRULE_MALLOPT", "1") == "0":
        return "unchanged (CHAINRULE_MALLOPT=0)"
    if not sys.platform.startswith("linux"):
        return "unchanged (not Linux)"
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return "unchanged (no mallopt in this C library)"
    # 1 GiB is above mallopt's documented maximum for 32-bit systems; it returns 0 there and changes nothing.
    kept = mallopt(_M_MMAP_THRESHOLD, 1 << 30) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    return "freed pages are kept" if kept else "unchanged (mallopt refused)"


def _limit_blas() -> str:
    """Hold BLAS to the number of threads asked for: one, because the parallelism is ours."""
    wanted = os.environ.get("CHAINRULE_BLAS_THREADS", "1")
    if wanted == "keep":
        return "as the user set it (CHAINRULE_BLAS_THREADS=keep)"
    if not wanted.isdigit() or int(wanted) < 1:
        raise ValueError(f"CHAINRULE_BLAS_THREADS is {wanted!r}; expected a positive number or 'keep'")
    import threadpoolctl

    threadpoolctl.threadpool_limits(int(wanted), user_api="blas")
    return wanted


def describe() -> dict[str, str]:
    """What is in force, for :func:`chainrule.backends.show_config`."""
    return dict(_state)


def blas_in_force() -> list[str]:
    """Each BLAS that is loaded, with the number of threads it uses at present.

    Example:
        >>> import numpy
        >>> all("thread" in line for line in blas_in_force())
        True
    """
    import threadpoolctl

    return [
        f"{found['internal_api']} {found['version']}, {found['num_threads']} thread(s)"
        for found in threadpoolctl.threadpool_info()
        if found["user_api"] == "blas"
    ]
