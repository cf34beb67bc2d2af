"""``python -m chainrule.benchmarks.readme``: writes the README's speed table from a committed results file.

The table stands between two comments in ``README.md``; a test checks that it is what this module would write.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chainrule.benchmarks.report import format_time, markdown

BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"


def speed_table(data: dict[str, Any]) -> str:
    """The rows of an overhead run that have PyTorch beside them, and the machine they ran on, as Markdown.

    Example:
        >>> row = {"row": "a step", "value": 1e-3, "other": 2e-3, "ratio": 0.5, "against": "torch"}
        >>> machine = {"cpu": "a CPU", "cores": 2, "date": "2026-11-21", "torch": "2.13.0"}
        >>> print(speed_table({"rows": [row], "machine": machine, "settings": {"torch_threads": 2}}).splitlines()[2])
        | a step | 1 ms | 2 ms | 0.50 |
    """
    rows = [r for r in data["rows"] if r["against"] == "torch" and r["ratio"] is not None]
    lines = [[r["row"], format_time(r["value"]), format_time(r["other"]), f"{r['ratio']:.2f}"] for r in rows]
    machine, threads = data["machine"], data["settings"]["torch_threads"]
    where = (
        "`add` and `mul` are one recorded operation on 4 float32 elements, its backward with one or two operands that "
        "require grad. "
        f"Medians on {machine['cpu']}, {machine['cores']} cores, {str(machine['date'])[:10]}: chainrule on NumPy, "
        f"PyTorch {machine['torch']} eager with {threads} threads, interleaved in one run; the ratio is the median of "
        f"the rounds' ratios (below 1: chainrule is faster). `python -m chainrule.benchmarks.overhead` repeats it."
    )
    return markdown(["work", "chainrule", "PyTorch eager", "ratio"], lines).rstrip() + "\n\n" + where


def with_table(readme: str, table: str) -> str:
    """The README's text with its speed table replaced. Raises ValueError when the two comments are missing."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README: expected the comments {BEGIN} and {END}, got a text without them")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Rewrite the table in place."""
    parser = argparse.ArgumentParser(prog="python -m chainrule.benchmarks.readme", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/overhead.json"))
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    options = parser.parse_args(arguments)
    table = speed_table(json.loads(options.results.read_text()))
    options.readme.write_text(with_table(options.readme.read_text(), table))


if __name__ == "__main__":
    main()
