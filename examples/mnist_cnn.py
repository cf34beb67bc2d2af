"""Classify handwritten digits with a convolutional network: 99% of the test images are right after three epochs.

    python examples/mnist_cnn.py
    python examples/mnist_cnn.py --data FOLDER --epochs 3 --save mnist_cnn.pt
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import urllib.request
from pathlib import Path

import numpy as np
from tqdm import tqdm

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
from chainrule import optim
from chainrule.optim.lr_scheduler import StepLR
from chainrule.utils.data import DataLoader, TensorDataset

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"


class Net(nn.Module):
    """Two convolutions and two linear layers: images (N, 1, 28, 28) to log-probabilities (N, 10)."""

    def __init__(self, width: int = 32, dropout: tuple[float, float] = (0.25, 0.5)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3)
        self.conv2 = nn.Conv2d(width, 2 * width, 3)
        self.dropout1 = nn.Dropout(dropout[0])
        self.dropout2 = nn.Dropout(dropout[1])
        self.fc1 = nn.Linear(2 * width * 12 * 12, 4 * width)
        self.fc2 = nn.Linear(4 * width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 2)
        x = torch.flatten(self.dropout1(x), 1)
        x = self.dropout2(F.relu(self.fc1(x)))
        return F.log_softmax(self.fc2(x), dim=1)


def read_idx(folder: Path, name: str) -> np.ndarray:
    """An IDX file of uint8, gzipped or not; downloaded when the folder does not have it."""
    path = folder / name
    if not path.exists():
        path = folder / f"{name}.gz"
    if not path.exists():
        print(f"downloading {URL}{path.name}")
        folder.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(URL + path.name) as answer:
            path.write_bytes(answer.read())
    raw = path.read_bytes()
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    dimensions = raw[3]  # the header: 0, 0, type, number of dimensions, then their sizes as 4 bytes each
    shape = np.frombuffer(raw, ">u4", dimensions, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def mnist(folder: Path, split: str) -> TensorDataset:
    """Normalised images (N, 1, 28, 28) and labels (N)."""
    images = read_idx(folder, f"{split}-images-idx3-ubyte").astype(np.float32)[:, None] / 255
    labels = read_idx(folder, f"{split}-labels-idx1-ubyte").astype(np.int64)
    return TensorDataset(torch.from_numpy((images - 0.1307) / 0.3081), torch.from_numpy(labels))


def blobs(count: int) -> TensorDataset:
    """In place of digits: noise with a bright square whose place is the label."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, count)
    images = rng.normal(0, 0.3, (count, 1, 28, 28)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 4)
        image[0, 9 * row : 9 * row + 6, 7 * column : 7 * column + 6] += 2
    return TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))


def fill(model: nn.Module, rng: np.random.Generator) -> None:
    """Draw the parameters from NumPy, so that every library starts from the same ones."""
    with torch.no_grad():
        for p in model.parameters():
            mean, scale = (0.0, p[0].numel() ** -0.5) if p.dim() > 1 else (0.5, 0.1)
            p.copy_(torch.from_numpy(rng.normal(mean, scale, tuple(p.shape))))


def train(model: nn.Module, loader: DataLoader, optimizer: optim.Optimizer, device: str, title: str) -> list[float]:
    """One pass over the training images; gives the loss of each step."""
    model.train()
    losses = []
    with tqdm(loader, desc=title, leave=False, disable=None) as bar:
        for data, target in bar:
            data, target = data.to(device), target.to(device)
            optimizer.zero_grad()
            loss = F.nll_loss(model(data), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
    return losses


def test(model: nn.Module, loader: DataLoader, device: str) -> tuple[float, float]:
    """Mean loss and accuracy."""
    model.eval()
    loss, correct, count = 0.0, 0, 0
    with torch.no_grad():
        for data, target in loader:
            data, target = data.to(device), target.to(device)
            output = model(data)
            loss += F.nll_loss(output, target, reduction="sum").item()
            correct += output.argmax(dim=1).eq(target).sum().item()
            count += len(target)
    return loss / count, correct / count


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", type=Path, help="folder of the IDX files (default: $CHAINRULE_DATA/mnist or data/mnist)")
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    p.add_argument("--epochs", type=int, default=3, help="passes over the training images (default: %(default)s)")
    p.add_argument("--batch-size", type=int, default=64, help="images in a step (default: %(default)s)")
    p.add_argument("--lr", type=float, default=1.0, help="Adadelta's learning rate (default: %(default)s)")
    p.add_argument("--gamma", type=float, default=0.7, help="its factor after each epoch (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--save", metavar="FILE", help="write the trained parameters to this file")
    p.add_argument("--tiny", action="store_true", help="a few steps of a tiny network on made-up images")
    p.add_argument("--init-seed", type=int, help="weights from NumPy, no dropout, no shuffling: to compare libraries")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the loss of each step to this file")
    args = p.parse_args()

    torch.manual_seed(args.seed)
    compare = args.init_seed is not None
    if args.tiny:
        train_set, test_set = blobs(48), blobs(32)
        args.batch_size, args.epochs = 16, 2
    else:
        folder = args.data or Path(os.environ.get("CHAINRULE_DATA", "data")) / "mnist"
        train_set, test_set = mnist(folder, "train"), mnist(folder, "t10k")
    train_loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=not compare)
    test_loader = DataLoader(test_set, batch_size=1000)

    model = Net(width=4 if args.tiny else 32, dropout=(0.0, 0.0) if compare else (0.25, 0.5))
    if compare:
        fill(model, np.random.default_rng(args.init_seed))
    model = model.to(args.device)
    optimizer = optim.Adadelta(model.parameters(), lr=args.lr)
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    losses = []
    for epoch in range(1, args.epochs + 1):
        losses += train(model, train_loader, optimizer, args.device, f"epoch {epoch}/{args.epochs}")
        loss, accuracy = test(model, test_loader, args.device)
        print(f"epoch {epoch}/{args.epochs}: test loss {loss:.4f}, test accuracy {accuracy:.2%}", flush=True)
        scheduler.step()

    if args.save:
        torch.save(model.state_dict(), args.save)
    if args.json:
        args.json.write_text(json.dumps({"losses": losses, "final": loss}))


if __name__ == "__main__":
    main()
