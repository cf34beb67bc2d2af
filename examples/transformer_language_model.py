"""Predict the next word with a Transformer encoder under a causal mask (Vaswani et al. 2017).

    python examples/transformer_language_model.py
    python examples/transformer_language_model.py --data book.txt --device cuda --size 200 --epochs 20

Without `--data` the text is what Python's `help()` says about the language. The perplexity is what a uniform guess
among so many words would reach.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
from chainrule import optim


class PositionalEncoding(nn.Module):
    """Adds sines and cosines of the position (section 3.5 of the paper): (N, T, size) to the same shape."""

    def __init__(self, size: int, dropout: float, max_len: int = 5000) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        position = torch.arange(max_len).unsqueeze(1)
        frequency = torch.exp(torch.arange(0, size, 2) * (-math.log(10000.0) / size))
        pe = torch.zeros(1, max_len, size)
        pe[0, :, 0::2] = torch.sin(position * frequency)
        pe[0, :, 1::2] = torch.cos(position * frequency)
        self.register_buffer("pe", pe)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(x + self.pe[:, : x.size(1)])


class TransformerModel(nn.Module):
    """Words (N, T) to logits (N, T, words) for the word that follows each of them."""

    def __init__(self, words: int, size: int, heads: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Embedding(words, size)
        self.pos_encoder = PositionalEncoding(size, dropout)
        layer = nn.TransformerEncoderLayer(size, heads, hidden, dropout, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.linear = nn.Linear(size, words)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.zeros_(self.linear.bias)
        nn.init.uniform_(self.linear.weight, -0.1, 0.1)

    def forward(self, src: torch.Tensor) -> torch.Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(src.size(1), device=src.device)
        x = self.pos_encoder(self.embedding(src) * math.sqrt(self.size))
        x = self.transformer_encoder(x, mask=mask, is_causal=True)
        return self.linear(x)


def read_text(path: Path | None) -> str:
    """The file, or what Python's `help()` says about the language: 70,000 words that every Python has with it."""
    if path is not None:
        return path.read_text(encoding="utf-8")
    from pydoc_data.topics import topics

    lines = "\n".join(topics.values()).splitlines()
    return "\n".join(dict.fromkeys(lines))  # each line once: the pages quote one another


def made_up_text(sentences: int) -> str:
    """Sentences of a small grammar, the same at each call."""
    rng = np.random.default_rng(0)
    parts = [["the", "a"], ["old", "small", "red"], ["cat", "dog", "bird"], ["sees", "likes"], ["it", "us", "them"]]
    return "\n".join(" ".join(rng.choice(words) for words in parts) + " ." for _ in range(sentences))


class Corpus:
    """A text as numbers: its last tenth, rounded to lines, is for validation."""

    def __init__(self, text: str, min_count: int) -> None:
        lines = [[*re.findall(r"\w+|[^\w\s]+", line.lower()), "<eos>"] for line in text.splitlines() if line.strip()]
        counts = Counter(word for line in lines for word in line)
        self.words = ["<unk>", *sorted(word for word, count in counts.items() if count >= min_count)]
        self.number = {word: i for i, word in enumerate(self.words)}
        held_back = max(1, len(lines) // 10)
        self.train, self.valid = self.encode(lines[:-held_back]), self.encode(lines[-held_back:])

    def encode(self, lines: list[list[str]]) -> torch.Tensor:
        return torch.tensor([self.number.get(word, 0) for line in lines for word in line])


def batchify(data: torch.Tensor, rows: int) -> torch.Tensor:
    """A long text (L) as rows that are read side by side, (rows, L / rows)."""
    columns = data.size(0) // rows
    return data[: rows * columns].view(rows, columns)


def get_batch(source: torch.Tensor, i: int, bptt: int) -> tuple[torch.Tensor, torch.Tensor]:
    """At most `bptt` words of each row from place i on, and the words that follow each of them."""
    length = min(bptt, source.size(1) - 1 - i)
    return source[:, i : i + length], source[:, i + 1 : i + 1 + length]


def evaluate(model: nn.Module, source: torch.Tensor, bptt: int) -> float:
    """Mean cross-entropy of a word."""
    model.eval()
    total, places = 0.0, source.size(1) - 1
    with torch.no_grad():
        for i in range(0, places, bptt):
            data, targets = get_batch(source, i, bptt)
            loss = F.cross_entropy(model(data).flatten(0, 1), targets.flatten())
            total += data.size(1) * loss.item()
    return total / places


def fill(model: nn.Module, rng: np.random.Generator) -> None:
    """Draw the parameters from NumPy, so that every library starts from the same ones."""
    with torch.no_grad():
        for p in model.parameters():
            mean, scale = (0.0, p[0].numel() ** -0.5) if p.dim() > 1 else (0.5, 0.1)
            p.copy_(torch.from_numpy(rng.normal(mean, scale, tuple(p.shape))))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", type=Path, metavar="FILE", help="a text (default: Python's own help pages)")
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    p.add_argument("--epochs", type=int, default=6, help="passes over the text (default: %(default)s)")
    p.add_argument("--batch-size", type=int, default=20, help="places read at once (default: %(default)s)")
    p.add_argument("--bptt", type=int, default=35, help="words that are seen together (default: %(default)s)")
    p.add_argument("--size", type=int, default=128, help="of the embeddings (default: %(default)s)")
    p.add_argument("--heads", type=int, default=4, help="of attention (default: %(default)s)")
    p.add_argument("--hidden", type=int, default=256, help="of the feed-forward layers (default: %(default)s)")
    p.add_argument("--layers", type=int, default=2, help="of the encoder (default: %(default)s)")
    p.add_argument("--dropout", type=float, default=0.2, help="its probability (default: %(default)s)")
    p.add_argument("--min-count", type=int, default=2, help="rarer words become <unk> (default: %(default)s)")
    p.add_argument("--lr", type=float, default=1e-3, help="learning rate of AdamW at the start (default: %(default)s)")
    p.add_argument("--clip", type=float, default=0.5, help="largest norm of the gradients (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--save", metavar="FILE", help="write the trained parameters to this file")
    p.add_argument("--tiny", action="store_true", help="a few steps of a tiny network on a made-up text")
    p.add_argument("--init-seed", type=int, help="weights from NumPy, no dropout: to compare libraries")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the loss of each step to this file")
    args = p.parse_args()

    torch.manual_seed(args.seed)
    compare = args.init_seed is not None
    if args.tiny:
        args.epochs, args.batch_size, args.bptt, args.size, args.heads, args.hidden = 2, 4, 10, 8, 2, 16
    corpus = Corpus(made_up_text(50) if args.tiny else read_text(args.data), args.min_count)
    train_data = batchify(corpus.train, args.batch_size).to(args.device)
    valid_data = batchify(corpus.valid, 4 if args.tiny else 10).to(args.device)
    print(f"{len(corpus.train):,} words, {len(corpus.words):,} different ones")

    dropout = 0.0 if compare else args.dropout
    model = TransformerModel(len(corpus.words), args.size, args.heads, args.hidden, args.layers, dropout)
    if compare:
        fill(model, np.random.default_rng(args.init_seed))
    model = model.to(args.device)
    optimizer = optim.AdamW(model.parameters(), lr=args.lr)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)
    losses = []
    for epoch in range(1, args.epochs + 1):
        model.train()
        total, places = 0.0, range(0, train_data.size(1) - 1, args.bptt)
        with tqdm(places, desc=f"epoch {epoch}/{args.epochs}", leave=False, disable=None) as bar:
            for i in bar:
                data, targets = get_batch(train_data, i, args.bptt)
                optimizer.zero_grad()
                loss = F.cross_entropy(model(data).flatten(0, 1), targets.flatten())
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), args.clip)
                optimizer.step()
                losses.append(loss.item())
                total += losses[-1]
                bar.set_postfix(perplexity=f"{math.exp(losses[-1]):.1f}", refresh=False)
        scheduler.step()
        valid = evaluate(model, valid_data, args.bptt)
        print(
            f"epoch {epoch}/{args.epochs}: perplexity {math.exp(total / len(places)):.1f}, "
            f"on the validation text {math.exp(valid):.1f}",
            flush=True,
        )

    if args.save:
        torch.save(model.state_dict(), args.save)
    if args.json:
        args.json.write_text(json.dumps({"losses": losses, "final": valid}))


if __name__ == "__main__":
    main()
