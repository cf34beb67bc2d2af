"""The scripts of examples/, run as a user runs them."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys

import pytest

pytestmark = pytest.mark.example


def run(checkout, tmp_path, script, *arguments, check=True):
    done = subprocess.run(
        [sys.executable, checkout / "examples" / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def accuracy(done):
    return float(re.search(r"test accuracy: ([\d.]+)%", done.stdout)[1])


@pytest.mark.parametrize("script", ["digits.py", "mnist.py", "xor.py"])
def test_help(checkout, tmp_path, script):
    assert "--device" in run(checkout, tmp_path, script, "--help").stdout


def test_xor_is_learned(checkout, tmp_path):
    out = run(checkout, tmp_path, "xor.py").stdout
    assert float(re.search(r"loss ([\d.]+)", out)[1]) < 0.01


def test_digits_reach_97_percent(checkout, tmp_path):
    """The median test accuracy over five seeds."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (pip install 'chainrule[examples]')")
    reached = [accuracy(run(checkout, tmp_path, "digits.py", "--seed", seed)) for seed in range(5)]
    assert statistics.median(reached) >= 97.0, reached
    assert (tmp_path / "runs" / "digits" / "loss.png").stat().st_size > 1000


def test_digits_mlp(checkout, tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (pip install 'chainrule[examples]')")
    done = run(checkout, tmp_path, "digits.py", "--model", "mlp", "--epochs", 20, "--out", "here")
    assert accuracy(done) > 90
    assert sorted(p.name for p in (tmp_path / "here").iterdir())[0].startswith("graph")


def test_digits_on_the_guard(checkout, tmp_path):
    """The same script on the CUDA backend's test double."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (pip install 'chainrule[examples]')")
    done = run(checkout, tmp_path, "digits.py", "--device", "guard", "--epochs", 1, "--limit", 128)
    assert accuracy(done) > 5


def test_mnist_smoke(checkout, tmp_path, data_folder):
    arguments = ["--data", data_folder / "mnist", "--model", "mlp", "--epochs", 1, "--limit", 6000]
    assert accuracy(run(checkout, tmp_path, "mnist.py", *arguments)) > 80


@pytest.mark.slow
def test_mnist_cnn_reaches_985(checkout, tmp_path, data_folder):
    arguments = ["--data", data_folder / "mnist", "--model", "cnn", "--epochs", 3]
    assert accuracy(run(checkout, tmp_path, "mnist.py", *arguments)) >= 98.5


def test_mnist_names_what_is_missing(checkout, tmp_path):
    done = run(checkout, tmp_path, "mnist.py", "--data", tmp_path, check=False)
    assert done.returncode != 0
    assert "train-images" in done.stderr
