"""Tell who joined whom when Zachary's karate club split, with a graph convolutional network (Kipf and Welling 2017).

    python examples/gcn.py

34 members, 78 friendships (Zachary 1977). The network sees the graph, and the side of two members: the instructor and
the officer. It finds the sides of the other 32.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm import trange

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
from chainrule import optim

# FRIENDS[i]: the friends of member i that have a higher number; the instructor is 0, the officer 33
FRIENDS = [
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31], [2, 3, 7, 13, 17, 19, 21, 30],
    [3, 7, 8, 9, 13, 27, 28, 32], [7, 12, 13], [6, 10], [6, 10, 16], [16], [], [30, 32, 33], [33], [], [], [], [33],
    [32, 33], [32, 33], [], [], [32, 33], [33], [32, 33], [], [32, 33], [25, 27, 29, 32, 33], [25, 27, 31], [31],
    [29, 33], [33], [31, 33], [32, 33], [32, 33], [32, 33], [33], [],
]  # fmt: skip
OFFICERS = [9, 14, 15, 18, 20, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33]


class GraphConvolution(nn.Module):
    """Each node's features times a weight, then summed over its neighbours and itself: (N, in) to (N, out)."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: torch.Tensor, edges: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
        support = x @ self.weight
        source, target = edges
        messages = support[source] * strength.unsqueeze(1)
        return torch.zeros_like(support).index_add(0, target, messages) + self.bias


class GCN(nn.Module):
    """Two graph convolutions: node features (N, in) to log-probabilities (N, classes)."""

    def __init__(self, in_features: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.gc1 = GraphConvolution(in_features, hidden)
        self.gc2 = GraphConvolution(hidden, classes)
        self.dropout = dropout

    def forward(self, x: torch.Tensor, edges: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.gc1(x, edges, strength))
        x = F.dropout(x, self.dropout, training=self.training)
        return F.log_softmax(self.gc2(x, edges, strength), dim=1)


def karate() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Edges (2, E) in both directions and from each node to itself, their strengths (E), and the sides (N)."""
    pairs = [(i, j) for i, friends in enumerate(FRIENDS) for j in friends]
    loops = [(i, i) for i in range(len(FRIENDS))]
    edges = torch.tensor(pairs + [(j, i) for i, j in pairs] + loops).t()
    degree = torch.bincount(edges[1]).float()
    strength = (degree[edges[0]] * degree[edges[1]]).rsqrt()  # D^-1/2 A D^-1/2
    sides = torch.zeros(len(FRIENDS), dtype=torch.int64)
    sides[OFFICERS] = 1
    return edges, strength, sides


def fill(model: nn.Module, rng: np.random.Generator) -> None:
    """Draw the parameters from NumPy, so that every library starts from the same ones."""
    with torch.no_grad():
        for p in model.parameters():
            mean, scale = (0.0, p[0].numel() ** -0.5) if p.dim() > 1 else (0.0, 0.1)
            p.copy_(torch.from_numpy(rng.normal(mean, scale, tuple(p.shape))))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    p.add_argument("--epochs", type=int, default=200, help="steps, each on the whole graph (default: %(default)s)")
    p.add_argument("--hidden", type=int, default=16, help="features in the middle (default: %(default)s)")
    p.add_argument("--dropout", type=float, default=0.5, help="its probability (default: %(default)s)")
    p.add_argument("--lr", type=float, default=0.01, help="Adam's learning rate (default: %(default)s)")
    p.add_argument("--weight-decay", type=float, default=5e-4, help="of Adam (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--save", metavar="FILE", help="write the trained parameters to this file")
    p.add_argument("--tiny", action="store_true", help="a few steps of a tiny network")
    p.add_argument("--init-seed", type=int, help="weights from NumPy, no dropout: to compare libraries")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the loss of each step to this file")
    args = p.parse_args()

    torch.manual_seed(args.seed)
    compare = args.init_seed is not None
    if args.tiny:
        args.epochs, args.hidden = 10, 4
    edges, strength, sides = (t.to(args.device) for t in karate())
    features = torch.eye(len(sides), device=args.device)  # all that a member is known by is its number
    known = torch.tensor([0, 33], device=args.device)
    model = GCN(len(sides), args.hidden, 2, 0.0 if compare else args.dropout)
    if compare:
        fill(model, np.random.default_rng(args.init_seed))
    model = model.to(args.device)
    optimizer = optim.Adam(model.parameters(), lr=args.lr, weight_decay=args.weight_decay)

    losses = []
    for _ in trange(args.epochs, desc="training", leave=False, disable=None):
        model.train()
        optimizer.zero_grad()
        output = model(features, edges, strength)
        loss = F.nll_loss(output[known], sides[known])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    model.eval()
    with torch.no_grad():
        output = model(features, edges, strength)
    right = output.argmax(dim=1) == sides
    print(f"loss {losses[0]:.4f} at first, {losses[-1]:.4f} after {args.epochs} steps")
    print(f"{int(right.sum())} of {len(sides)} members on their side ({right.float().mean().item():.1%})")
    wrong = torch.nonzero(~right).flatten().tolist()
    if wrong:
        print("on the other side:", *wrong)

    if args.save:
        torch.save(model.state_dict(), args.save)
    if args.json:
        args.json.write_text(json.dumps({"losses": losses, "final": F.nll_loss(output, sides).item()}))


if __name__ == "__main__":
    main()
