"""The events of a profiler added up, by operation, by module or by line, and the table of that."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from chainrule.profiler.events import Event


@dataclass
class Row:
    """What belongs to one operation, module or line."""

    name: str
    calls: int = 0  #: forward: of the operation, module or span
    backward_calls: int = 0  #: nodes of backward passes
    forward: float = 0.0  #: seconds of its own (without what runs inside), forward
    backward: float = 0.0  #: the same in backward passes
    total: float = 0.0  #: seconds with all that runs inside
    saved_bytes: int = 0  #: what the tape began to keep for the backward pass
    made_bytes: int = 0  #: memory of the results (``profile_memory``)

    @property
    def self_time(self) -> float:
        """Seconds of its own, forward and backward."""
        return self.forward + self.backward


_SORTED: dict[str, Callable[[Row], Any]] = {
    "self": lambda r: -r.self_time,
    "total": lambda r: -r.total,
    "forward": lambda r: -r.forward,
    "backward": lambda r: -r.backward,
    "calls": lambda r: -r.calls,
    "saved": lambda r: -r.saved_bytes,
    "made": lambda r: -r.made_bytes,
    "name": lambda r: r.name,
}
#: PyTorch's names
_ALIASES = {
    "self_cpu_time_total": "self", "cpu_time_total": "total", "self_cuda_time_total": "self",
    "cuda_time_total": "total", "self_device_time_total": "self", "device_time_total": "total", "count": "calls",
    "cpu_memory_usage": "made", "self_cpu_memory_usage": "made",
}  # fmt: skip
_HEAD = ("calls", "self", "share", "forward", "backward", "total", "saved")


class Averages(list[Row]):
    """The rows, those that took longest first; ``str()`` gives the table.

    Example:
        >>> import chainrule as cr
        >>> with cr.profiler.profile() as p:
        ...     _ = cr.ones(2).exp().exp()
        >>> [(row.name, row.calls) for row in p.key_averages()]
        [('exp', 2)]
    """

    def __init__(self, rows: Iterable[Row], by: str, total_time: float, outside: float) -> None:
        super().__init__(sorted(rows, key=_SORTED["self"]))
        self.by = by
        self.total_time = total_time
        self.outside = outside

    def table(self, sort_by: str = "self", row_limit: int = 20) -> str:
        """The rows as text.

        Args:
            sort_by: see :meth:`profile.table`.
            row_limit: how many rows; -1 for all.

        Raises ValueError for a column that there is not.
        """
        key = _SORTED.get(_ALIASES.get(sort_by, sort_by))
        if key is None:
            raise ValueError(f"table: sort_by must be one of {', '.join(_SORTED)}, got {sort_by!r}")
        rows = sorted(self, key=key)
        shown = rows if row_limit < 0 else rows[:row_limit]
        made = any(r.made_bytes for r in self)
        head = [self.by, *_HEAD, *(["made"] if made else [])]
        cells = [self._cells(r, made) for r in shown]
        widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
        lines = [_aligned(head, widths), "-" * (sum(widths) + 2 * len(widths) - 2)]
        lines += [_aligned(line, widths) for line in cells]
        if len(shown) < len(rows):
            lines.append(f"... {len(rows) - len(shown)} more")
        lines += [lines[1], self._footer()]
        return "\n".join(lines)

    def _cells(self, r: Row, made: bool) -> list[str]:
        share = f"{100 * r.self_time / self.total_time:.1f}%" if self.total_time > 0 else "-"
        calls = f"{r.calls}" if not r.backward_calls else f"{r.calls}+{r.backward_calls}"
        cells = [r.name, calls, seconds(r.self_time), share, seconds(r.forward), seconds(r.backward), seconds(r.total)]
        return [*cells, size(r.saved_bytes), *([size(r.made_bytes)] if made else [])]

    def _footer(self) -> str:
        saved = size(sum(r.saved_bytes for r in self))
        return (
            f"total {seconds(self.total_time)}, of which outside of operations {seconds(self.outside)}; saved {saved}"
        )

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.table())}</pre>"


def averages_of(events: list[Event], by: str, by_shape: bool, total_time: float, outside: float) -> Averages:
    """Add events up; see :meth:`profile.key_averages`."""
    if by not in ("op", "module", "line"):
        raise ValueError(f"by must be 'op', 'module' or 'line', got {by!r}")
    rows: dict[str, Row] = {}
    for e in events:
        name = key_of(e, by)
        if name is None:
            continue
        if by_shape and e.kind == "op":
            name = f"{name} {', '.join(map(str, e.shapes))}"
        row = rows.setdefault(name, Row(name))
        if e.direction == "backward":
            row.backward += e.self_time
        else:
            row.forward += e.self_time
        if e.kind == "backward":
            row.backward_calls += 1
        elif by != "module" or e.kind == "module":
            row.calls += 1
        # what runs inside another event of the same row is in that one's time
        if not any(key_of(a, by) == name for a in e.ancestors()):
            row.total += e.duration
        row.saved_bytes += e.saved_bytes
        row.made_bytes += e.made_bytes
    return Averages(rows.values(), by, total_time, outside)


def key_of(e: Event, by: str) -> str | None:
    """The row that an event belongs to."""
    if by == "module":
        return e.module or "(outside of modules)"
    if e.kind == "module":  # its own time is Python between operations
        return None
    if by == "op":
        return e.name
    return str(e.where) if e.where is not None else f"({e.name})"


def _aligned(cells: list[str], widths: list[int]) -> str:
    first, *others = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
    return "  ".join([first, *others]).rstrip()


def seconds(value: float) -> str:
    """A time with its unit."""
    if not value:
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if abs(value) * factor >= 1:
            return f"{value * factor:.3g} {unit}" if abs(value) * factor < 999.5 else f"{value * factor:.0f} {unit}"
    return f"{value * 1e9:.0f} ns"


def size(count: int) -> str:
    """A number of bytes with its unit."""
    if not count:
        return "-"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}" if count / factor < 999.5 else f"{count / factor:.0f} {unit}"
    return f"{count} B"
