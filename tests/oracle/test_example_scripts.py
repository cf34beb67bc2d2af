"""The nine examples that are written as for PyTorch, run with its import lines and with ours: the same losses."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = pytest.mark.oracle

#: the script, and how many losses its tiny run gives
SCRIPTS = {
    "actor_critic": 8,
    "dcgan": 12,
    "gcn": 10,
    "mnist_cnn": 6,
    "resnet_cifar": 6,
    "sine_lstm": 40,
    "transformer_language_model": 16,
    "vae": 6,
    "word_language_model": 16,
}
IMPORT = re.compile(r"^(import|from) chainrule\b", re.MULTILINE)


@pytest.fixture
def source(checkout, request):
    path = checkout / "examples" / f"{request.param}.py"
    return path, path.read_text(encoding="utf-8")


def with_torch(text):
    """The one thing that is changed: the lines that import from chainrule import from torch."""
    return IMPORT.sub(r"\1 torch", text)


def run(text, path, monkeypatch, *arguments):
    """Run the text as a script, in this process: importing torch takes seconds."""
    monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
    exec(compile(text, str(path), "exec"), {"__name__": "__main__", "__file__": str(path)})


@pytest.mark.parametrize("source", sorted(SCRIPTS), indirect=True)
def test_same_losses(source, tmp_path, monkeypatch):
    path, text = source
    found = {}
    for library, script in (("chainrule", text), ("torch", with_torch(text))):
        file = tmp_path / f"{library}.json"
        run(script, f"{path} with {library}", monkeypatch, "--tiny", "--init-seed", 1, "--json", file)
        found[library] = json.loads(file.read_text())
    ours, theirs = found["chainrule"], found["torch"]
    assert len(ours["losses"]) == SCRIPTS[path.stem]
    assert np.isfinite(ours["losses"]).all() and len(set(ours["losses"])) > SCRIPTS[path.stem] / 2
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-5)
    np.testing.assert_allclose(ours["final"], theirs["final"], rtol=1e-5)


@pytest.mark.parametrize("source", sorted(SCRIPTS), indirect=True)
def test_only_the_import_lines_name_the_library(source):
    """They stand in one block at the top, and are whole statements: changing these lines changes all that is ours."""
    _, text = source
    lines = text.splitlines()
    ours = [number for number, line in enumerate(lines, 1) if IMPORT.match(line)]
    assert ours == list(range(ours[0], ours[-1] + 1))
    assert not any(line.endswith(("(", "\\")) for line in lines[ours[0] - 1 : ours[-1]])
    tree = ast.parse(with_torch(text))
    before = [node for node in tree.body if node.lineno < ours[0]]
    assert all(isinstance(node, ast.Import | ast.ImportFrom) or node is tree.body[0] for node in before)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert "torch" in names and not {"chainrule", "cr"} & names
    assert not re.search(r"\bchainrule\b", with_torch(text))


def test_every_script_is_compared(checkout):
    """A script that imports chainrule as torch claims to be PyTorch's too."""
    scripts = Path(checkout / "examples").glob("*.py")
    claims = {s.stem for s in scripts if "import chainrule as torch" in s.read_text(encoding="utf-8")}
    assert claims == set(SCRIPTS)
