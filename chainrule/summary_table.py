"""What ``cr.summary`` found, as data and as a table."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Row:
    """One module of the model: what is its own, without the modules in it."""

    name: str  #: dotted, ``""`` for the model itself
    type: str
    depth: int
    output: Any = None  #: shapes in the structure that the first call returned; None where it was not called
    parameters: int = 0  #: elements; a tied parameter counts where it comes first
    trainable: int = 0  #: of these, in parameters that require grad
    mult_adds: int = 0  #: of all calls
    output_bytes: int = 0  #: of all calls, of modules without modules in them
    saved_bytes: int = 0  #: of all calls, what the tape keeps for the backward pass
    calls: int = 0
    notes: list[str] = field(default_factory=list)


_HEAD = ("layer", "output", "parameters", "mult-adds", "output bytes", "saved bytes", "")
_LEFT = (0, 1, 6)  # columns of text


@dataclass
class Summary:
    """The table of :func:`chainrule.summary`; printed it shows itself, ``rows`` and the totals are data.

    Example:
        >>> import chainrule as cr
        >>> table = cr.summary(cr.nn.Linear(3, 2), (5, 3))
        >>> table.mult_adds, table.parameters, table.rows[0].output
        (30, 8, (5, 2))
    """

    rows: list[Row]
    input_bytes: int
    parameter_bytes: int
    buffer_bytes: int
    saved_bytes: int  #: of the whole tape; memory that several layers keep is counted once

    @property
    def parameters(self) -> int:
        """How many numbers the parameters hold."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable_parameters(self) -> int:
        """How many of them are in parameters that require grad."""
        return sum(row.trainable for row in self.rows)

    @property
    def frozen_parameters(self) -> int:
        """How many of them are in parameters that do not."""
        return self.parameters - self.trainable_parameters

    @property
    def mult_adds(self) -> int:
        """The multiply-adds of one forward pass."""
        return sum(row.mult_adds for row in self.rows)

    @property
    def output_bytes(self) -> int:
        """The outputs of all layers that hold no others."""
        return sum(row.output_bytes for row in self.rows)

    def _cells(self) -> list[tuple[str, ...]]:
        cells: list[tuple[str, ...]] = []
        for row in self.rows:
            name = row.name.rpartition(".")[2] or "model"
            cells.append((
                f"{'  ' * row.depth}{name} ({row.type})", "" if row.output is None else _shown(row.output),
                _count(row.parameters), _count(row.mult_adds), _count(row.output_bytes), _count(row.saved_bytes),
                ", ".join(row.notes),
            ))  # fmt: skip
        return cells

    def _totals(self) -> list[str]:
        return [
            f"parameters: {self.parameters:,} ({self.trainable_parameters:,} trainable, "
            f"{self.frozen_parameters:,} frozen), {_size(self.parameter_bytes)}; buffers: {_size(self.buffer_bytes)}",
            f"multiply-adds: {self.mult_adds:,}",
            f"memory: input {_size(self.input_bytes)}, outputs of the layers {_size(self.output_bytes)}, saved for the "
            f"backward pass {_size(self.saved_bytes)}",
        ]

    def __repr__(self) -> str:
        cells = [_HEAD, *self._cells()]
        widths = [max(len(line[i]) for line in cells) for i in range(len(_HEAD))]
        lines = []
        for line in cells:
            padded = [c.ljust(w) if i in _LEFT else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))]
            lines.append("  ".join(padded).rstrip())
        rule = "-" * max(len(line) for line in lines)
        return "\n".join([lines[0], rule, *lines[1:], rule, *self._totals()])

    def _repr_html_(self) -> str:
        def row(cells: tuple[str, ...], tag: str) -> str:
            spaced = [html.escape(c).replace("  ", "&nbsp;&nbsp;") for c in cells]
            aligned = ["left" if i in _LEFT else "right" for i in range(len(cells))]
            inside = "".join(
                f'<{tag} style="text-align:{a}">{c}</{tag}>' for a, c in zip(aligned, spaced, strict=True)
            )
            return f"<tr>{inside}</tr>"

        body = "".join(row(cells, "td") for cells in self._cells())
        totals = "<br>".join(html.escape(line) for line in self._totals())
        return f"<table><thead>{row(_HEAD, 'th')}</thead><tbody>{body}</tbody></table><p>{totals}</p>"


def _count(n: int) -> str:
    return f"{n:,}" if n else "-"


def _size(n: int) -> str:
    """Bytes in a few characters.

    Example:
        >>> _size(123), _size(45_600), _size(7_890_000_000)
        ('123 B', '45.6 kB', '7.89 GB')
    """
    if n < 1000:
        return f"{n} B"
    step = min(len(str(n)) - 1, 14) // 3
    return f"{n / 1000**step:.3g} {' kMGT'[step]}B"


def _shown(output: Any) -> str:
    if isinstance(output, list):
        return ", ".join(_shown(o) for o in output)
    if isinstance(output, dict):
        return ", ".join(f"{key}: {_shown(o)}" for key, o in output.items())
    return str(output)
