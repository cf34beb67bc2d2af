"""The worked examples of CONTRIBUTING.md, run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys


def test_worked_examples_run(checkout, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (checkout / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert len(blocks) >= 4
    script = tmp_path / "contributing.py"
    script.write_text("\n".join(blocks))
    # in a process of its own: the examples add to the registry of ops
    done = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, cwd=checkout, check=False
    )
    assert done.returncode == 0, done.stderr
