"""Learn sine waves of different phases with two LSTM cells and L-BFGS, and continue waves that were never seen.

    python examples/sine_lstm.py
    python examples/sine_lstm.py --steps 15 --waves 100 --length 1000 --picture sine.png

The loss is the mean squared error of the next value, in double precision: it falls below 0.001 in a few steps of the
optimizer, each of which evaluates it up to 20 times.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm import trange

import chainrule as torch
import chainrule.nn as nn
from chainrule import optim

PERIOD = 20  # 2 pi times this is the length of a wave


class Sequence(nn.Module):
    """Waves (N, T) to predictions (N, T + future): the next value at each time, then `future` values further."""

    def __init__(self, hidden: int = 51) -> None:
        super().__init__()
        self.hidden = hidden
        self.lstm1 = nn.LSTMCell(1, hidden)
        self.lstm2 = nn.LSTMCell(hidden, hidden)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, input: torch.Tensor, future: int = 0) -> torch.Tensor:
        outputs = []
        zeros = torch.zeros(input.size(0), self.hidden, dtype=input.dtype, device=input.device)
        h_t, c_t, h_t2, c_t2 = zeros, zeros, zeros, zeros
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs.append(output)
        for _ in range(future):  # what it predicted is what it sees next
            h_t, c_t = self.lstm1(output, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs.append(output)
        return torch.cat(outputs, dim=1)


def waves(count: int, length: int) -> np.ndarray:
    """Sine waves (count, length) that start at random places."""
    starts = np.random.default_rng(2).integers(-4 * PERIOD, 4 * PERIOD, (count, 1))
    return np.sin((np.arange(length) + starts) / PERIOD)


def fill(model: nn.Module, rng: np.random.Generator) -> None:
    """Draw the parameters from NumPy, so that every library starts from the same ones."""
    with torch.no_grad():
        for p in model.parameters():
            mean, scale = (0.0, 0.5 * p[0].numel() ** -0.5) if p.dim() > 1 else (0.0, 0.1)
            p.copy_(torch.from_numpy(rng.normal(mean, scale, tuple(p.shape))))


def save_picture(predicted: np.ndarray, seen: int, path: str) -> None:
    """Draw waves (N, T), of which all but the first `seen` values were made up."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 3.4))
    for row, color in zip(predicted, ["tab:red", "tab:green", "tab:blue"], strict=False):
        axes.plot(np.arange(seen), row[:seen], color)
        axes.plot(np.arange(seen, len(row)), row[seen:], color, linestyle=":")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    p.add_argument("--steps", "--epochs", type=int, default=8, help="steps of L-BFGS (default: %(default)s)")
    p.add_argument("--waves", type=int, default=40, help="three of them are for the test (default: %(default)s)")
    p.add_argument("--length", type=int, default=200, help="values of a wave (default: %(default)s)")
    p.add_argument("--future", type=int, default=200, help="values to continue with (default: %(default)s)")
    p.add_argument("--hidden", type=int, default=51, help="size of the two cells (default: %(default)s)")
    p.add_argument("--lr", type=float, default=0.8, help="learning rate of L-BFGS (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of the initial weights (default: %(default)s)")
    p.add_argument("--save", metavar="FILE", help="write the trained parameters to this file")
    p.add_argument("--picture", metavar="FILE", help="draw the continued test waves to this file")
    p.add_argument("--tiny", action="store_true", help="a few evaluations of tiny cells on short waves")
    p.add_argument("--init-seed", type=int, help="initial weights from NumPy: to compare libraries")
    p.add_argument("--json", type=Path, metavar="FILE", help="write each evaluation of the loss to this file")
    args = p.parse_args()

    torch.manual_seed(args.seed)
    if args.tiny:
        args.steps, args.waves, args.length, args.future, args.hidden = 2, 6, 12, 4, 5
    data = torch.from_numpy(waves(args.waves, args.length + 1)).to(args.device)
    input, target = data[3:, :-1], data[3:, 1:]
    test_input, test_target = data[:3, :-1], data[:3, 1:]

    model = Sequence(args.hidden).double()
    if args.init_seed is not None:
        fill(model, np.random.default_rng(args.init_seed))
    model = model.to(args.device)
    criterion = nn.MSELoss()
    # few enough waves that one batch holds them all, as L-BFGS needs
    optimizer = optim.LBFGS(model.parameters(), lr=args.lr)
    losses = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = criterion(model(input), target)
        loss.backward()
        losses.append(loss.item())
        bar.set_postfix(loss=f"{losses[-1]:.6f}")
        return loss

    with trange(1, args.steps + 1, desc="steps", leave=False, disable=None) as bar:
        for step in bar:
            optimizer.step(closure)
            with torch.no_grad():
                predicted = model(test_input, future=args.future)
                test_loss = criterion(predicted[:, : args.length], test_target).item()
            print(f"step {step}/{args.steps}: loss {losses[-1]:.6f}, test loss {test_loss:.6f}", flush=True)

    if args.picture:
        save_picture(predicted.cpu().numpy(), args.length, args.picture)
    if args.save:
        torch.save(model.state_dict(), args.save)
    if args.json:
        args.json.write_text(json.dumps({"losses": losses, "final": test_loss}))


if __name__ == "__main__":
    main()
