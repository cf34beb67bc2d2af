"""Classify CIFAR-10 with a ResNet-18 (He et al. 2016) whose first layer is a 3 x 3 convolution.

    python examples/resnet_cifar.py --data FOLDER --device cuda
    python examples/resnet_cifar.py --data FOLDER --width 16 --epochs 5

FOLDER holds the files of CIFAR-10's binary version (https://www.cs.toronto.edu/~kriz/cifar.html): data_batch_*.bin and
test_batch*.bin, gzipped or not. SGD with momentum and a cosine schedule; images are shifted and mirrored at random.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
from chainrule import optim
from chainrule.utils.data import DataLoader, Dataset

MEAN = np.array([0.4914, 0.4822, 0.4465], np.float32)[:, None, None]
STD = np.array([0.2470, 0.2435, 0.2616], np.float32)[:, None, None]


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: (N, C, H, W) to (N, planes, H / stride, W / stride)."""

    def __init__(self, in_planes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_planes != planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_planes, planes, 1, stride=stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class ResNet(nn.Module):
    """Images (N, 3, 32, 32) to logits (N, 10); [2, 2, 2, 2] blocks make a ResNet-18."""

    def __init__(self, blocks: list[int], width: int = 64, classes: int = 10) -> None:
        super().__init__()
        self.in_planes = width
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._make_layer(width, blocks[0], stride=1)
        self.layer2 = self._make_layer(2 * width, blocks[1], stride=2)
        self.layer3 = self._make_layer(4 * width, blocks[2], stride=2)
        self.layer4 = self._make_layer(8 * width, blocks[3], stride=2)
        self.linear = nn.Linear(8 * width, classes)

    def _make_layer(self, planes: int, count: int, stride: int) -> nn.Sequential:
        layers = []
        for s in [stride] + [1] * (count - 1):
            layers.append(BasicBlock(self.in_planes, planes, s))
            self.in_planes = planes
        return nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer4(self.layer3(self.layer2(self.layer1(out))))
        out = F.adaptive_avg_pool2d(out, 1).flatten(1)
        return self.linear(out)


class Cifar(Dataset):
    """Normalised images (3, 32, 32) and labels; with `rng` the images are shifted and mirrored at random."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator | None = None) -> None:
        self.images, self.labels, self.rng = images, labels, rng

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = self.images[index]
        if self.rng is not None:
            row, column, mirror = self.rng.integers(0, (9, 9, 2))
            image = np.pad(image, ((0, 0), (4, 4), (4, 4)))[:, row : row + 32, column : column + 32]
            image = image[:, :, ::-1] if mirror else image
        return torch.from_numpy((image.astype(np.float32) / 255 - MEAN) / STD), int(self.labels[index])


def read(folder: Path, pattern: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and labels (N) of the files: 1 byte for the label, 3072 for the image, and so on."""
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise SystemExit(f"--data: no {pattern} in {folder}: see https://www.cs.toronto.edu/~kriz/cifar.html (binary)")
    raw = b"".join(gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in paths)
    rows = np.frombuffer(raw, np.uint8).reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]


def stripes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """In place of photographs: stripes whose width is the label."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, count)
    on = np.arange(32) // (labels[:, None] + 1) % 2
    images = on[:, None, :, None] * 150 + rng.integers(0, 100, (count, 3, 32, 32))
    return images.astype(np.uint8), labels


def fill(model: nn.Module, rng: np.random.Generator) -> None:
    """Draw the parameters from NumPy, so that every library starts from the same ones."""
    with torch.no_grad():
        for p in model.parameters():
            mean, scale = (0.0, p[0].numel() ** -0.5) if p.dim() > 1 else (0.5, 0.1)
            p.copy_(torch.from_numpy(rng.normal(mean, scale, tuple(p.shape))))


def test(model: nn.Module, loader: DataLoader, device: str) -> tuple[float, float]:
    """Mean loss and accuracy."""
    model.eval()
    loss, correct, count = 0.0, 0, 0
    with torch.no_grad():
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            logits = model(x)
            loss += F.cross_entropy(logits, y, reduction="sum").item()
            correct += (logits.argmax(dim=1) == y).sum().item()
            count += len(y)
    return loss / count, correct / count


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", type=Path, help="folder of the files (default: $CHAINRULE_DATA/cifar10 or data/cifar10)")
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    p.add_argument("--epochs", type=int, default=30, help="passes over the training images (default: %(default)s)")
    p.add_argument("--batch-size", type=int, default=128, help="images in a step (default: %(default)s)")
    p.add_argument("--width", type=int, default=64, help="channels of the first layer (default: %(default)s)")
    p.add_argument("--lr", type=float, default=0.1, help="learning rate at the start (default: %(default)s)")
    p.add_argument("--limit", type=int, help="use only this many training images")
    p.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--save", metavar="FILE", help="write the trained parameters to this file")
    p.add_argument("--tiny", action="store_true", help="a few steps of a tiny network on made-up images")
    p.add_argument("--init-seed", type=int, help="weights from NumPy, no shuffling: to compare libraries")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the loss of each step to this file")
    args = p.parse_args()

    torch.manual_seed(args.seed)
    compare = args.init_seed is not None
    if args.tiny:
        train_data, test_data = stripes(24), stripes(16)
        args.batch_size, args.epochs, args.width, args.lr = 8, 2, 4, 0.02
    else:
        folder = args.data or Path(os.environ.get("CHAINRULE_DATA", "data")) / "cifar10"
        train_data, test_data = read(folder, "data_batch_*.bin*"), read(folder, "test_batch*.bin*")
    images, labels = (a[: args.limit] for a in train_data)
    train_set = Cifar(images, labels, np.random.default_rng(args.seed))
    train_loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=not compare, drop_last=True)
    test_loader = DataLoader(Cifar(*test_data), batch_size=500)

    model = ResNet([2, 2, 2, 2], args.width)
    if compare:
        fill(model, np.random.default_rng(args.init_seed))
    model = model.to(args.device)
    optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, weight_decay=5e-4)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs * len(train_loader))
    losses = []
    for epoch in range(1, args.epochs + 1):
        model.train()
        with tqdm(train_loader, desc=f"epoch {epoch}/{args.epochs}", leave=False, disable=None) as bar:
            for x, y in bar:
                x, y = x.to(args.device), y.to(args.device)
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                scheduler.step()
                losses.append(loss.item())
                bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
        train_loss = np.mean(losses[-len(train_loader) :])
        test_loss, accuracy = test(model, test_loader, args.device)
        print(
            f"epoch {epoch}/{args.epochs}: loss {train_loss:.4f}, test loss {test_loss:.4f}, "
            f"test accuracy {accuracy:.2%}",
            flush=True,
        )

    if args.save:
        torch.save(model.state_dict(), args.save)
    if args.json:
        args.json.write_text(json.dumps({"losses": losses, "final": test_loss}))


if __name__ == "__main__":
    main()
