"""Measurements as a table, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from chainrule.benchmarks.runner import Measured

#: raised whenever a field changes its meaning or goes
SCHEMA = 1

HEADERS = ("row", "device", "wall", "iqr", "min", "n", "device time", "transfer", "GFLOP/s", "error", "speed-up")
NOTE = """\
All in float32; times are medians. Wall: the host's clock, the device synchronised before and after. Device time: the
device's own events around the same calls. Transfer: inputs there and the result back, not part of the two. Speed-up
over the first device, by wall / device / wall with transfer; none is given where results differ. Small sizes are often
faster on the CPU: each call costs a GPU some microseconds to launch."""


def format_time(seconds: float) -> str:
    """Seconds with a unit that gives three digits.

    Example:
        >>> format_time(0.00123), format_time(4.5e-7), format_time(2)
        ('1.23 ms', '450 ns', '2 s')
    """
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= 0.9995 * scale:
            return f"{seconds / scale:.3g} {unit}" if seconds < 999.5 * scale else f"{seconds / scale:.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def cells(measured: Measured) -> list[str]:
    """One line of the table."""
    wall, device = measured.timing.wall, measured.timing.device
    return [
        measured.row,
        measured.device,
        format_time(wall.median),
        format_time(wall.iqr),
        format_time(wall.min),
        str(wall.n),
        format_time(device.median) if device is not None else "",
        format_time(measured.transfer.wall.median) if measured.transfer is not None else "",
        f"{measured.flops / wall.median / 1e9:.3g}" if measured.flops is not None else "",
        f"{measured.error:.1e}" if measured.error is not None else "",
        _speedup(measured),
    ]


def _speedup(measured: Measured) -> str:
    if not measured.agrees:
        return f"none: results differ (tolerance {measured.tolerance:.0e})"
    ratios = measured.speedups
    if ratios is None:
        return ""
    return " / ".join(f"{ratios[kind]:.3g}" for kind in ("wall", "device", "with_transfer") if kind in ratios)


def table(headers: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Columns aligned with spaces, empty ones left out.

    Example:
        >>> print(table(["row", "n"], [["a", "10"], ["bc", "7"]]))
        row   n
        ---  --
        a    10
        bc    7
    """
    rows = [list(headers), *map(list, lines)]
    used = [i for i in range(len(headers)) if any(row[i] for row in rows[1:])]
    widths = {i: max(len(row[i]) for row in rows) for i in used}
    text_columns = 2 if len(headers) > 2 else 1
    text = [[row[i].ljust(widths[i]) if i < text_columns else row[i].rjust(widths[i]) for i in used] for row in rows]
    return "\n".join("  ".join(row).rstrip() for row in [text[0], ["-" * widths[i] for i in used], *text[1:]])


def markdown(headers: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """The same as a Markdown table.

    Example:
        >>> print(markdown(["row", "n"], [["a", "10"]]))
        | row | n |
        |---|---|
        | a | 10 |
    """
    rows = [headers, ["---"] * len(headers), *lines]
    return "\n".join(
        f"|{'|'.join(row)}|" if i == 1 else f"| {' | '.join(row)} |" for i, row in enumerate(rows)
    )


def describe_machine(machine: dict[str, Any]) -> str:
    """The machine in a few lines."""
    gpu = machine["gpu"]
    lines = [
        f"{machine['cpu']}, {machine['cores']:g} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"load {machine['load']}",
        f"Python {machine['python']}, NumPy {machine['numpy']}, chainrule {machine['chainrule']} "
        f"(commit {machine['commit']}), {machine['date']}",
        *(f"BLAS: {line}" for line in machine["blas"]),
        f"GPU: {', '.join(f'{k} {v}' for k, v in gpu.items())}" if gpu else f"GPU: none. {machine['gpu_missing']}",
    ]
    return "\n".join(lines)


def document(machine: dict[str, Any], settings: dict[str, Any], measured: Iterable[Measured]) -> dict[str, Any]:
    """Everything as JSON-ready data; ``schema`` is raised when a field changes its meaning."""
    return {
        "schema": SCHEMA,
        "kind": "devices",
        "machine": machine,
        "settings": settings,
        "rows": [m.as_dict() for m in measured],
    }


def write_json(path: str | Path, data: dict[str, Any]) -> None:
    """Write ``data`` to ``path``, making its folder. An infinite error is written as a string: JSON has none."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(_finite(data), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return value
