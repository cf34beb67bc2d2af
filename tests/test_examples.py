"""The scripts of examples/, run as a user runs them."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import statistics
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr

pytestmark = pytest.mark.example

#: written as for PyTorch; tests/oracle/test_example_scripts.py compares them with it
AS_FOR_PYTORCH = [
    "actor_critic.py",
    "dcgan.py",
    "gcn.py",
    "mnist_cnn.py",
    "resnet_cifar.py",
    "sine_lstm.py",
    "transformer_language_model.py",
    "vae.py",
    "word_language_model.py",
]


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


@pytest.mark.parametrize("script", ["digits.py", "mnist.py", "xor.py", *AS_FOR_PYTORCH])
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


@pytest.mark.parametrize("device", ["cpu", "guard"])
@pytest.mark.parametrize("script", AS_FOR_PYTORCH)
def test_tiny(checkout, tmp_path, script, device):
    """With dropout and with the library's own random numbers, which the comparison with PyTorch leaves out."""
    save = ["--save", "model.pt"] if device == "cpu" else []
    done = run(checkout, tmp_path, script, "--tiny", "--device", device, "--json", "losses.json", *save)
    assert done.stdout and not done.stderr  # no progress bar where there is no terminal
    found = json.loads((tmp_path / "losses.json").read_text())
    assert len(found["losses"]) >= 6 and all(map(math.isfinite, [*found["losses"], found["final"]]))
    # nothing is written that was not asked for
    assert sorted(p.name for p in tmp_path.iterdir()) == ["losses.json", *save[1:]]
    if save:
        state = cr.load(tmp_path / "model.pt")
        assert len(state) >= 4 and all(bool(cr.isfinite(t).all()) for t in state.values())


def small_mnist(folder, packed):
    """The four files with 64 images each."""
    rng = np.random.default_rng(0)
    for split in ("train", "t10k"):
        for kind, shape, top in (("images-idx3", (64, 28, 28), 256), ("labels-idx1", (64,), 10)):
            header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            raw = header + rng.integers(0, top, shape, np.uint8).tobytes()
            name = f"{split}-{kind}-ubyte"
            (folder / f"{name}.gz").write_bytes(gzip.compress(raw)) if packed else (folder / name).write_bytes(raw)


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("mnist_cnn.py", ["--batch-size", 32]),
        ("vae.py", ["--picture", "picture.png"]),
        ("dcgan.py", ["--features", 4, "--batch-size", 32, "--picture", "picture.png"]),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_they_read_mnist(checkout, tmp_path, script, arguments, packed):
    if "--picture" in arguments:
        pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install 'chainrule[examples]')")
    small_mnist(tmp_path, packed)
    out = run(checkout, tmp_path, script, "--data", tmp_path, "--epochs", 1, *arguments).stdout
    assert out.startswith("epoch 1/1")
    assert "--picture" not in arguments or (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("packed", [True, False])
def test_resnet_reads_cifar(checkout, tmp_path, packed):
    """Red, green and blue planes after each label; here the label is seen at once in the colour."""
    labels = np.arange(64, dtype=np.uint8) % 2
    rows = np.zeros((64, 3073), np.uint8)
    rows[:, 0], rows[labels == 0, 1:1025], rows[labels == 1, 2049:] = labels, 255, 255
    for name in ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"):
        if packed:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(rows.tobytes()))
        else:
            (tmp_path / name).write_bytes(rows.tobytes())
    arguments = ["--width", 2, "--batch-size", 16, "--epochs", 2, "--json", "losses.json"]
    out = run(checkout, tmp_path, "resnet_cifar.py", "--data", tmp_path, *arguments).stdout
    losses = json.loads((tmp_path / "losses.json").read_text())["losses"]
    assert len(losses) == 16 and losses[-1] < 0.5 * losses[0], out


def test_resnet_names_what_is_missing(checkout, tmp_path):
    done = run(checkout, tmp_path, "resnet_cifar.py", "--data", tmp_path, check=False)
    assert done.returncode != 0
    assert "data_batch" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("script", ["word_language_model.py", "transformer_language_model.py"])
def test_language_models_read_a_text(checkout, tmp_path, script):
    (tmp_path / "text.txt").write_text("Eins, zwei, drei!\n" * 99, encoding="utf-8")
    done = run(checkout, tmp_path, script, "--data", "text.txt", "--size", 8, "--epochs", 2)
    assert "630 words, 7 different ones" in done.stdout  # <unk>, the words, the marks, <eos>


def test_gcn_finds_the_sides(checkout, tmp_path):
    out = run(checkout, tmp_path, "gcn.py").stdout
    assert int(re.search(r"(\d+) of 34 members", out)[1]) >= 32, out


def test_sine_lstm_learns(checkout, tmp_path):
    out = run(checkout, tmp_path, "sine_lstm.py", "--waves", 12, "--length", 60, "--hidden", 16, "--steps", 4).stdout
    assert float(re.findall(r": loss ([\d.]+)", out)[-1]) < 1e-3, out
