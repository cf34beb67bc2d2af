"""Learn to draw digits with a variational autoencoder (Kingma and Welling 2013): 784-400-20-400-784.

    python examples/vae.py
    python examples/vae.py --data FOLDER --picture digits.png

The loss is the negative evidence lower bound, in nats per image: about 105 on the test images after ten epochs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
from chainrule import optim
from chainrule.utils.data import DataLoader, TensorDataset

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"


class VAE(nn.Module):
    """Images (N, 784) in [0, 1] to reconstructions, and the mean and log-variance of their codes (N, code)."""

    def __init__(self, hidden: int = 400, code: int = 20, noise: Callable = torch.randn_like) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, hidden)
        self.fc21 = nn.Linear(hidden, code)
        self.fc22 = nn.Linear(hidden, code)
        self.fc3 = nn.Linear(code, hidden)
        self.fc4 = nn.Linear(hidden, 784)
        self.noise = noise

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
        std = torch.exp(0.5 * logvar)
        return mu + self.noise(std) * std

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def loss_function(recon: torch.Tensor, x: torch.Tensor, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Reconstruction error and KL divergence of the codes from N(0, 1), summed over the batch (appendix B)."""
    bce = F.binary_cross_entropy(recon, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


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
    """Images (N, 784) in [0, 1]."""
    images = read_idx(folder, f"{split}-images-idx3-ubyte").reshape(-1, 784)
    return TensorDataset(torch.from_numpy(images.astype(np.float32) / 255))


def bars(count: int) -> TensorDataset:
    """In place of digits: one bright row and one bright column."""
    rng = np.random.default_rng(0)
    images = np.zeros((count, 28, 28), np.float32)
    for image, (row, column) in zip(images, rng.integers(0, 28, (count, 2)), strict=True):
        image[row], image[:, column] = 1, 1
    return TensorDataset(torch.from_numpy(images.reshape(count, 784)))


def fill(model: nn.Module, rng: np.random.Generator) -> None:
    """Draw the parameters from NumPy, so that every library starts from the same ones."""
    with torch.no_grad():
        for p in model.parameters():
            mean, scale = (0.0, p[0].numel() ** -0.5) if p.dim() > 1 else (0.0, 0.1)
            p.copy_(torch.from_numpy(rng.normal(mean, scale, tuple(p.shape))))


def save_picture(images: np.ndarray, path: str) -> None:
    """Write images (64, 784) as one picture of 8 rows."""
    from matplotlib.image import imsave

    imsave(path, images.reshape(8, 8, 28, 28).swapaxes(1, 2).reshape(8 * 28, 8 * 28), cmap="gray")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", type=Path, help="folder of the IDX files (default: $CHAINRULE_DATA/mnist or data/mnist)")
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    p.add_argument("--epochs", type=int, default=10, help="passes over the training images (default: %(default)s)")
    p.add_argument("--batch-size", type=int, default=128, help="images in a step (default: %(default)s)")
    p.add_argument("--lr", type=float, default=1e-3, help="Adam's learning rate (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--save", metavar="FILE", help="write the trained parameters to this file")
    p.add_argument("--picture", metavar="FILE", help="write 64 images decoded from random codes to this file")
    p.add_argument("--tiny", action="store_true", help="a few steps of a tiny network on made-up images")
    p.add_argument("--init-seed", type=int, help="weights and noise from NumPy, no shuffling: to compare libraries")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the loss of each step to this file")
    args = p.parse_args()

    torch.manual_seed(args.seed)
    compare = args.init_seed is not None
    rng = np.random.default_rng(args.init_seed)
    if args.tiny:
        train_set, test_set = bars(48), bars(32)
        args.batch_size, args.epochs = 16, 2
    else:
        folder = args.data or Path(os.environ.get("CHAINRULE_DATA", "data")) / "mnist"
        train_set, test_set = mnist(folder, "train"), mnist(folder, "t10k")
    train_loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=not compare)
    test_loader = DataLoader(test_set, batch_size=1000)

    def numpy_noise(like: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(tuple(like.shape)).astype(np.float32)).to(args.device)

    hidden, code = (32, 4) if args.tiny else (400, 20)
    model = VAE(hidden, code, noise=numpy_noise if compare else torch.randn_like)
    if compare:
        fill(model, rng)
    model = model.to(args.device)
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    losses = []
    for epoch in range(1, args.epochs + 1):
        model.train()
        total = 0.0
        with tqdm(train_loader, desc=f"epoch {epoch}/{args.epochs}", leave=False, disable=None) as bar:
            for (x,) in bar:
                x = x.to(args.device)
                optimizer.zero_grad()
                recon, mu, logvar = model(x)
                loss = loss_function(recon, x, mu, logvar)
                loss.backward()
                optimizer.step()
                total += loss.item()
                losses.append(loss.item() / len(x))
                bar.set_postfix(loss=f"{losses[-1]:.2f}", refresh=False)

        model.eval()
        test_loss = 0.0
        with torch.no_grad():
            for (x,) in test_loader:
                x = x.to(args.device)
                recon, mu, logvar = model(x)
                test_loss += loss_function(recon, x, mu, logvar).item()
        test_loss /= len(test_set)
        print(f"epoch {epoch}/{args.epochs}: loss {total / len(train_set):.2f}, test loss {test_loss:.2f}", flush=True)

    if args.picture:
        with torch.no_grad():
            images = model.decode(torch.randn(64, code, device=args.device))
        save_picture(images.cpu().numpy(), args.picture)
    if args.save:
        torch.save(model.state_dict(), args.save)
    if args.json:
        args.json.write_text(json.dumps({"losses": losses, "final": test_loss}))


if __name__ == "__main__":
    main()
