"""Draw digits with a deep convolutional generative adversarial network (Radford, Metz and Chintala 2015).

    python examples/dcgan.py --picture digits.png
    python examples/dcgan.py --data FOLDER --device cuda --features 64 --epochs 10 --picture digits.png

The generator turns noise into images of 32 x 32 pixels with transposed convolutions; the discriminator tells them from
MNIST's digits. `--data` may as well name a folder with the files of Fashion-MNIST.
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
from chainrule import optim
from chainrule.utils.data import DataLoader, TensorDataset

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"


class Generator(nn.Module):
    """Noise (N, code, 1, 1) to images (N, 1, 32, 32) in [-1, 1]."""

    def __init__(self, code: int, features: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(code, features * 4, 4, 1, 0, bias=False),
            nn.BatchNorm2d(features * 4),
            nn.ReLU(True),
            # 4 x 4
            nn.ConvTranspose2d(features * 4, features * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(features * 2),
            nn.ReLU(True),
            # 8 x 8
            nn.ConvTranspose2d(features * 2, features, 4, 2, 1, bias=False),
            nn.BatchNorm2d(features),
            nn.ReLU(True),
            # 16 x 16
            nn.ConvTranspose2d(features, 1, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.main(input)


class Discriminator(nn.Module):
    """Images (N, 1, 32, 32) to the probability (N) that they are real."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(1, features, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            # 16 x 16
            nn.Conv2d(features, features * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(features * 2),
            nn.LeakyReLU(0.2, inplace=True),
            # 8 x 8
            nn.Conv2d(features * 2, features * 4, 4, 2, 1, bias=False),
            nn.BatchNorm2d(features * 4),
            nn.LeakyReLU(0.2, inplace=True),
            # 4 x 4
            nn.Conv2d(features * 4, 1, 4, 1, 0, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.main(input).view(-1)


def weights_init(m: nn.Module) -> None:
    """The paper's initial weights (section 4)."""
    name = m.__class__.__name__
    if name.startswith("Conv"):
        nn.init.normal_(m.weight, 0.0, 0.02)
    elif name.startswith("BatchNorm"):
        nn.init.normal_(m.weight, 1.0, 0.02)
        nn.init.zeros_(m.bias)


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


def mnist(folder: Path) -> TensorDataset:
    """The training images with a black border of two pixels, (60000, 1, 32, 32) in [-1, 1]."""
    images = np.pad(read_idx(folder, "train-images-idx3-ubyte"), ((0, 0), (2, 2), (2, 2)))
    return TensorDataset(torch.from_numpy(images[:, None].astype(np.float32) / 127.5 - 1))


def squares(count: int) -> TensorDataset:
    """In place of digits: bright squares at random places."""
    rng = np.random.default_rng(0)
    images = np.full((count, 1, 32, 32), -1, np.float32)
    for image, (row, column) in zip(images, rng.integers(0, 20, (count, 2)), strict=True):
        image[0, row : row + 12, column : column + 12] = 1
    return TensorDataset(torch.from_numpy(images))


def fill(model: nn.Module, rng: np.random.Generator) -> None:
    """Draw the parameters from NumPy, so that every library starts from the same ones."""
    with torch.no_grad():
        for p in model.parameters():
            mean, scale = (0.0, 0.05) if p.dim() > 1 else (0.5, 0.1)
            p.copy_(torch.from_numpy(rng.normal(mean, scale, tuple(p.shape))))


def save_picture(images: np.ndarray, path: str) -> None:
    """Write images (64, 1, 32, 32) as one picture of 8 rows."""
    from matplotlib.image import imsave

    imsave(path, images.reshape(8, 8, 32, 32).swapaxes(1, 2).reshape(8 * 32, 8 * 32), cmap="gray")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", type=Path, help="folder of the IDX files (default: $CHAINRULE_DATA/mnist or data/mnist)")
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    p.add_argument("--epochs", type=int, default=2, help="passes over the training images (default: %(default)s)")
    p.add_argument("--batch-size", type=int, default=64, help="images in a step (default: %(default)s)")
    p.add_argument("--code", type=int, default=100, help="length of the noise (default: %(default)s)")
    p.add_argument("--features", type=int, default=16, help="channels of the widest images (default: %(default)s)")
    p.add_argument("--lr", type=float, default=2e-4, help="learning rate of both Adams (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--save", metavar="FILE", help="write the generator's parameters to this file")
    p.add_argument("--picture", metavar="FILE", help="write 64 generated images to this file")
    p.add_argument("--tiny", action="store_true", help="a few steps of tiny networks on made-up images")
    p.add_argument("--init-seed", type=int, help="weights and noise from NumPy, no shuffling: to compare libraries")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the losses of each step to this file")
    args = p.parse_args()

    torch.manual_seed(args.seed)
    compare = args.init_seed is not None
    rng = np.random.default_rng(args.init_seed)
    if args.tiny:
        dataset = squares(24)
        args.batch_size, args.epochs, args.code, args.features = 8, 2, 6, 4
    else:
        dataset = mnist(args.data or Path(os.environ.get("CHAINRULE_DATA", "data")) / "mnist")
    loader = DataLoader(dataset, batch_size=args.batch_size, shuffle=not compare, drop_last=True)

    def noise(count: int) -> torch.Tensor:
        if compare:
            return torch.from_numpy(rng.standard_normal((count, args.code, 1, 1)).astype(np.float32)).to(args.device)
        return torch.randn(count, args.code, 1, 1, device=args.device)

    generator, discriminator = Generator(args.code, args.features), Discriminator(args.features)
    for model in (generator, discriminator):
        model.apply(weights_init)
        if compare:
            fill(model, rng)
        model.to(args.device)
    criterion = nn.BCELoss()
    optimizer_d = optim.Adam(discriminator.parameters(), lr=args.lr, betas=(0.5, 0.999))
    optimizer_g = optim.Adam(generator.parameters(), lr=args.lr, betas=(0.5, 0.999))
    losses = []
    for epoch in range(1, args.epochs + 1):
        sums = np.zeros(4)
        with tqdm(loader, desc=f"epoch {epoch}/{args.epochs}", leave=False, disable=None) as bar:
            for (real,) in bar:
                real = real.to(args.device)
                ones = torch.ones(len(real), device=args.device)
                zeros = torch.zeros(len(real), device=args.device)

                # the discriminator: log D(x) + log(1 - D(G(z))) shall grow
                optimizer_d.zero_grad()
                output = discriminator(real)
                loss_real = criterion(output, ones)
                loss_real.backward()
                fake = generator(noise(len(real)))
                loss_fake = criterion(discriminator(fake.detach()), zeros)
                loss_fake.backward()
                optimizer_d.step()

                # the generator: log D(G(z)) shall grow
                optimizer_g.zero_grad()
                judged = discriminator(fake)
                loss_g = criterion(judged, ones)
                loss_g.backward()
                optimizer_g.step()

                loss_d = (loss_real + loss_fake).item()
                losses += [loss_d, loss_g.item()]
                sums += [loss_d, loss_g.item(), output.mean().item(), judged.mean().item()]
                bar.set_postfix(D=f"{loss_d:.3f}", G=f"{loss_g.item():.3f}", refresh=False)
        d, g, on_real, on_fake = sums / len(loader)
        print(
            f"epoch {epoch}/{args.epochs}: discriminator {d:.4f}, generator {g:.4f}, "
            f"D(x) {on_real:.3f}, D(G(z)) {on_fake:.3f}",
            flush=True,
        )

    generator.eval()
    if args.picture:
        with torch.no_grad():
            save_picture(generator(noise(64)).cpu().numpy(), args.picture)
    if args.save:
        torch.save(generator.state_dict(), args.save)
    if args.json:
        with torch.no_grad():
            final = generator(noise(4)).std().item()
        args.json.write_text(json.dumps({"losses": losses, "final": final}))


if __name__ == "__main__":
    main()
