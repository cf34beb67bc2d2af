"""``python -m chainrule.benchmarks.data``: how long a training step of the MNIST CNN waits for its batch."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.benchmarks import report
from chainrule.utils.data import DataLoader, TensorDataset

#: what part of a step may go into getting the batch
BAR = 0.05


def loaders(images: int, batch: int, workers: int) -> dict[str, Callable[[], DataLoader]]:
    """What is measured, by name: random images of MNIST's size in the forms that programs keep them in."""
    from chainrule.vision import datasets, transforms

    class Drawn(datasets.MNIST):
        """MNIST without files."""

        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            self.transforms = self.target_transform = None
            steps: list[Any] = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
            self.transform = transforms.Compose(steps)
            self.data = cr.tensor(rng.integers(0, 256, (images, 28, 28), np.uint8), device="cpu")
            self.targets = cr.tensor(rng.integers(0, 10, images), device="cpu")

    drawn = Drawn()
    tensors = TensorDataset(drawn.data.float().unsqueeze(1).to(cr.get_default_device()) / 255, drawn.targets)
    found = {
        "TensorDataset": lambda: DataLoader(tensors, batch, shuffle=True),
        "vision.datasets.MNIST": lambda: DataLoader(drawn, batch, shuffle=True),
    }
    if workers:
        many = DataLoader(tensors, batch, shuffle=True, num_workers=workers, persistent_workers=True)
        found[f"TensorDataset, {workers} workers"] = lambda: many
    return found


def measure(loader: DataLoader, step: Callable[[Any, Any], Any], steps: int) -> tuple[float, float]:
    """Medians, in seconds: of waiting for a batch, and of a training step on it.

    The first batch of a pass is left out: it comes with the order of the whole pass, and the start of the workers.
    """
    waits: list[float] = []
    works: list[float] = []
    passed = iter(loader)
    next(passed)
    while len(waits) < steps:
        start = time.perf_counter()
        try:
            x, y = next(passed)
        except StopIteration:
            passed = iter(loader)
            next(passed)
            continue
        middle = time.perf_counter()
        step(x, y)
        waits.append(middle - start)
        works.append(time.perf_counter() - middle)
    return statistics.median(waits), statistics.median(works)


def cnn_step(small: bool = False) -> Callable[[Any, Any], Any]:
    """A training step of the CNN of the device benchmark, with Adam."""
    from chainrule import nn, optim

    first, second = (2, 3) if small else (32, 64)
    model = nn.Sequential(
        nn.Conv2d(1, first, 3),
        nn.ReLU(),
        nn.Conv2d(first, second, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * 144, 8 if small else 128),
        nn.ReLU(),
        nn.Linear(8 if small else 128, 10),
    )
    optimizer = optim.Adam(model.parameters())
    device = cr.get_default_device()

    def step(x: Any, y: Any) -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x.to(device)), y.to(device))
        loss.backward()
        optimizer.step()
        return float(loss.item())  # waits for the device

    return step


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit code is 1 when a loader without workers takes more than its part of the step."""
    parser = argparse.ArgumentParser(prog="python -m chainrule.benchmarks.data", description=__doc__)
    parser.add_argument("--steps", type=int, default=100, help="steps to measure (default: 100)")
    parser.add_argument("--batch", type=int, default=64, help="images in a batch (default: 64)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes in the last row (default: 2; 0: none)")
    parser.add_argument("--quick", action="store_true", help="a small network and few steps: a smoke test")
    options = parser.parse_args(arguments)
    steps = 3 if options.quick else options.steps
    lines, late = [], False
    for name, make in loaders(400 if options.quick else 20_000, options.batch, options.workers).items():
        wait, work = measure(make(), cnn_step(options.quick), steps)
        part = wait / (wait + work)
        late |= part > BAR and "workers" not in name
        lines.append([name, f"{wait * 1e6:.0f} us", f"{work * 1e3:.2f} ms", f"{100 * part:.1f}%"])
    print(report.table(["data", "wait for a batch", "step", "share"], lines))
    print(f"\nBar without workers: {100 * BAR:.0f}% of waiting and step together.")
    return 1 if late and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
