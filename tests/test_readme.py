"""The README: its code runs, its table is the one its results give, its links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from chainrule.benchmarks import readme

pytestmark = pytest.mark.host


def test_the_ten_lines_run(checkout, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (checkout / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 4
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks))
    command = [sys.executable, "-W", "error", script]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run.safetensors").exists()
    assert "mean_squared_error" in done.stdout or "mse" in done.stdout


def test_the_speed_table_is_the_one_of_the_results(checkout):
    text = (checkout / "README.md").read_text()
    results = json.loads((checkout / "benchmarks" / "results" / "peers.json").read_text())
    assert readme.with_table(text, readme.speed_table(results)) == text


def test_a_readme_without_the_place_is_an_error():
    with pytest.raises(ValueError, match="expected the comments"):
        readme.with_table("no table here", "")


def test_links_lead_to_files(checkout):
    for target in re.findall(r"\]\(([^)#]+)\)", (checkout / "README.md").read_text()):
        assert target.startswith("https://") or (checkout / target).exists(), target
