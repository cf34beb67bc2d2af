"""Train a classifier on MNIST or Fashion-MNIST: 60,000 training and 10,000 test images of 28 x 28 pixels.

    python examples/mnist.py --data FOLDER      # the four IDX files, gzipped or not
    python examples/mnist.py --fashion          # downloads them once, into the user's cache folder
"""

from __future__ import annotations

import argparse
from pathlib import Path

import training

import chainrule as cr
from chainrule import nn
from chainrule.utils.mnist import load_mnist

DIGITS = [str(i) for i in range(10)]
CLOTHES = ["top", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]


def build(name: str) -> nn.Module:
    """The network: a perceptron with two hidden layers, or two convolutions and two linear layers."""
    if name == "mlp":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
        )
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def main(argv: list[str] | None = None) -> float:
    """Train, report, write the pictures; gives the test accuracy."""
    p = training.parser(__doc__.splitlines()[0], epochs=10, out="runs/mnist")
    p.add_argument("--data", type=Path, default=None, help="folder with the four IDX files; downloaded when left out")
    p.add_argument("--fashion", action="store_true", help="Fashion-MNIST")
    args: argparse.Namespace = p.parse_args(argv)
    cr.manual_seed(args.seed)
    data = load_mnist(args.data, variant="fashion" if args.fashion else "mnist")

    def pair(images: object, labels: object) -> tuple[cr.Tensor, cr.Tensor]:
        x = cr.tensor(images, device=args.device).float().unsqueeze(1) / 255.0
        return (x - 0.1307) / 0.3081, cr.tensor(labels, device=args.device).long()

    x, y = pair(data.train_images, data.train_labels)
    held_back = min(5000, len(y) // 10)
    train, validation = (x[:-held_back], y[:-held_back]), (x[-held_back:], y[-held_back:])
    if args.limit is not None:
        train = (train[0][: args.limit], train[1][: args.limit])
    model = build(args.model).to(args.device)
    history = training.fit(model, train, validation, args)
    test = pair(data.test_images, data.test_labels)
    return training.finish(model, history, test, CLOTHES if args.fashion else DIGITS, args)


if __name__ == "__main__":
    main()
