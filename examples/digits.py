"""Train a classifier on 1,797 real handwritten digits of 8 x 8 pixels (scikit-learn's, nothing is downloaded).

    python examples/digits.py
    python examples/digits.py --model mlp --epochs 30 --seed 1
"""

from __future__ import annotations

import argparse

import numpy as np
import training
from sklearn.datasets import load_digits

import chainrule as cr
from chainrule import nn


def build(name: str) -> nn.Module:
    """The network: a perceptron with two hidden layers, or two convolutions with batch norm."""
    if name == "mlp":
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 128),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 4 * 4, 10),
    )


def load(seed: int, device: str) -> list[tuple[cr.Tensor, cr.Tensor]]:
    """Images (N, 1, 8, 8) in [0, 1] and labels, split 70 / 10 / 20 into training, validation and test."""
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    images = (digits.images[order, None] / 16.0).astype(np.float32)
    labels = digits.target[order].astype(np.int64)
    first, second = int(0.7 * len(order)), int(0.8 * len(order))
    parts = (slice(0, first), slice(first, second), slice(second, None))
    return [(cr.tensor(images[p], device=device), cr.tensor(labels[p], device=device)) for p in parts]


def main(argv: list[str] | None = None) -> float:
    """Train, report, write the pictures; gives the test accuracy."""
    args: argparse.Namespace = training.parser(__doc__.splitlines()[0], epochs=40, out="runs/digits").parse_args(argv)
    cr.manual_seed(args.seed)
    train, validation, test = load(args.seed, args.device)
    if args.limit is not None:
        train = (train[0][: args.limit], train[1][: args.limit])
    model = build(args.model).to(args.device)
    count = sum(p.numel() for p in model.parameters())
    sizes = f"{len(train[1])} training, {len(validation[1])} validation, {len(test[1])} test images"
    print(f"{args.model}: {count:,} parameters; {sizes}")
    history = training.fit(model, train, validation, args)
    return training.finish(model, history, test, [str(i) for i in range(10)], args)


if __name__ == "__main__":
    main()
