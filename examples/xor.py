"""Learn XOR with a 2-8-1 network, and draw the graph of its last backward pass.

    python examples/xor.py
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import chainrule as cr
from chainrule import nn, optim


def main(argv: list[str] | None = None) -> float:
    """Train, print what was learned, draw; gives the last loss."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--device", default="cpu", help="cpu or cuda")
    p.add_argument("--steps", type=int, default=1000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, default=Path("runs/xor"), help="folder for the picture")
    args = p.parse_args(argv)

    cr.manual_seed(args.seed)
    x = cr.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], device=args.device)
    y = cr.tensor([[0.0], [1.0], [1.0], [0.0]], device=args.device)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid()).to(args.device)
    optimizer = optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    for _ in range(args.steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()

    for row, out in zip(x.tolist(), model(x).flatten().tolist(), strict=True):
        print(f"{row[0]:.0f} xor {row[1]:.0f} = {out:.3f}")
    print(f"loss {loss.item():.6f} after {args.steps} steps")
    args.out.mkdir(parents=True, exist_ok=True)
    if shutil.which("dot"):
        graph = cr.draw(loss, params=model)
        print("wrote", graph.render("xor", directory=args.out, format="svg", cleanup=True))
    else:
        cr.draw_text(loss, params=model)
    return loss.item()


if __name__ == "__main__":
    main()
