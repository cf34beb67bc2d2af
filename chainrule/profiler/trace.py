"""The events of a profiler in the JSON that chrome://tracing and Perfetto read."""

from __future__ import annotations

import json
import os
from typing import Any

from chainrule.profiler.events import Event


def write(path: str | os.PathLike[str], events: list[Event], threads: dict[int, str]) -> None:
    """Write the trace to a file, which is there whole or not at all."""
    text = json.dumps(as_trace(events, threads))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def as_trace(events: list[Event], threads: dict[int, str]) -> dict[str, Any]:
    """The trace: a complete event ("X") for each event, in microseconds, and the names of the threads."""
    pid = os.getpid()
    found: list[dict[str, Any]] = [
        {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}
        for tid, name in threads.items()
    ]
    for e in events:
        name = f"{e.name} (backward)" if e.kind == "backward" else e.name
        found.append({
            "ph": "X", "name": e.module if e.kind == "module" else name, "cat": e.kind, "pid": pid, "tid": e.thread,
            "ts": e.start * 1e6, "dur": e.duration * 1e6, "args": _arguments(e),
        })  # fmt: skip
    return {"traceEvents": found, "displayTimeUnit": "ms"}


def _arguments(e: Event) -> dict[str, Any]:
    """What is shown of an event that is clicked on."""
    found: dict[str, Any] = {}
    if e.module:
        found["module"] = e.module
    if e.where is not None:
        found["line"] = str(e.where)
    if e.shapes:
        found["shapes"] = [list(s) for s in e.shapes]
        found["dtypes"] = list(e.dtypes)
    if e.result is not None:
        found["result"] = {"shape": list(e.result[0]), "dtype": e.result[1]}
    if e.saved_bytes:
        found["saved_bytes"] = e.saved_bytes
    if e.made_bytes:
        found["made_bytes"] = e.made_bytes
    if e.failed:
        found["failed"] = True
    if "kernels" in e.details:
        found["kernels"] = e.details["kernels"]
    if "args" in e.details:
        found["args"] = e.details["args"]
    return found
