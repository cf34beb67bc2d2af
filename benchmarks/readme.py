"""``python -m chainrule.benchmarks.readme``: writes the README's speed table from a committed results file.

The table stands between two comments in ``README.md``; a test checks that it is what this module would write.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chainrule.benchmarks.report import format_time, markdown

BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
RESULTS = Path("benchmarks/results/peers.json")
_HEADERS = ("a step of", "chainrule[fast]", "chainrule", "PyTorch eager", "ratio [fast]", "ratio")


def speed_table(data: dict[str, Any]) -> str:
    """The rows of a peer run as Markdown, with the machine they ran on.

    Example:
        >>> seconds = {"chainrule[fast]": [1e-3], "chainrule": [3e-3], "torch": [2e-3]}
        >>> row = {"what": "XOR", "seconds": seconds, "ratios": {"chainrule[fast]": [0.5], "chainrule": [1.5]}}
        >>> machine = {"cpu": "a CPU", "cores": 2, "date": "2026-11-21", "torch": "2.13.0"}
        >>> means = {"chainrule[fast]": 0.5, "chainrule": 1.5}
        >>> data = {"rows": [row], "machine": machine, "settings": {"threads": 2}, "geometric_means": means}
        >>> print(speed_table(data).splitlines()[2])
        | XOR | 1 ms | 3 ms | 2 ms | 0.50 | 1.50 |
    """
    ours = ("chainrule[fast]", "chainrule")
    lines = []
    for row in data["rows"]:
        times = [format_time(statistics.median(row["seconds"][name])) for name in (*ours, "torch")]
        lines.append([row["what"], *times, *(f"{statistics.median(row['ratios'][name]):.2f}" for name in ours)])
    means = [f"{data['geometric_means'][name]:.2f}" for name in ours]
    lines.append(["**geometric mean**", "", "", "", *(f"**{mean}**" for mean in means)])
    machine, threads = data["machine"], data["settings"]["threads"]
    where = (
        f"Medians on {machine['cpu']}, {machine['cores']:g} cores, {str(machine['date'])[:10]}, float32, PyTorch "
        f"{machine['torch']} eager, {threads} threads each, interleaved in one run; the ratio is the median of the "
        f"rounds' ratios (below 1: chainrule is faster). `[fast]` is the extra with compiled kernels (Numba). "
        f"`python -m chainrule.benchmarks.peers` repeats it; "
        f"[benchmarks/results/peers.md](benchmarks/results/peers.md) has spreads and memory."
    )
    return markdown(_HEADERS, lines).rstrip() + "\n\n" + where


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
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    options = parser.parse_args(arguments)
    table = speed_table(json.loads(options.results.read_text()))
    options.readme.write_text(with_table(options.readme.read_text(), table))


if __name__ == "__main__":
    main()
