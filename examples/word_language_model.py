"""Predict the next word with an LSTM, trained by truncated back-propagation through time.

    python examples/word_language_model.py
    python examples/word_language_model.py --data book.txt --epochs 20 --words 100

Without `--data` the text is what Python's `help()` says about the language. The perplexity is what a uniform guess
among so many words would reach; at the end the model writes a text of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import trange

import chainrule as torch
import chainrule.nn as nn


class RNNModel(nn.Module):
    """Words (T, N) to logits (T * N, words), and the hidden state of an LSTM from one chunk to the next."""

    def __init__(self, words: int, size: int, layers: int, dropout: float, tied: bool) -> None:
        super().__init__()
        self.words, self.size, self.layers = words, size, layers
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(words, size)
        self.rnn = nn.LSTM(size, size, layers, dropout=dropout)
        self.decoder = nn.Linear(size, words)
        if tied:  # one matrix for reading and writing words (Press and Wolf 2016)
            self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)

    def forward(self, input: torch.Tensor, hidden: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, tuple]:
        embedded = self.drop(self.encoder(input))
        output, hidden = self.rnn(embedded, hidden)
        logits = self.decoder(self.drop(output))
        return logits.view(-1, self.words), hidden

    def init_hidden(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        weight = next(self.parameters())
        shape = (self.layers, batch, self.size)
        return weight.new_zeros(shape), weight.new_zeros(shape)


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


def batchify(data: torch.Tensor, columns: int) -> torch.Tensor:
    """A long text (L) as columns that are read side by side, (L / columns, columns)."""
    rows = data.size(0) // columns
    return data.narrow(0, 0, rows * columns).view(columns, -1).t().contiguous()


def get_batch(source: torch.Tensor, i: int, bptt: int) -> tuple[torch.Tensor, torch.Tensor]:
    """At most `bptt` rows from row i on, and as targets (flat) the words that follow."""
    length = min(bptt, len(source) - 1 - i)
    return source[i : i + length], source[i + 1 : i + 1 + length].view(-1)


def repackage_hidden(hidden: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """The same values without their history: back-propagation ends here."""
    return tuple(v.detach() for v in hidden)


def evaluate(model: nn.Module, source: torch.Tensor, bptt: int) -> float:
    """Mean cross-entropy of a word."""
    criterion = nn.CrossEntropyLoss()
    model.eval()
    total = 0.0
    hidden = model.init_hidden(source.size(1))
    with torch.no_grad():
        for i in range(0, source.size(0) - 1, bptt):
            data, targets = get_batch(source, i, bptt)
            output, hidden = model(data, hidden)
            total += len(data) * criterion(output, targets).item()
    return total / (len(source) - 1)


def generate(model: nn.Module, corpus: Corpus, count: int, device: str) -> str:
    """Words drawn one after the other, each from the prediction after the one before."""
    model.eval()
    hidden = model.init_hidden(1)
    word = torch.full((1, 1), corpus.number["<eos>"], device=device)
    text = []
    with torch.no_grad():
        for _ in range(count):
            output, hidden = model(word, hidden)
            word = torch.multinomial(torch.softmax(output[0], dim=0), 1).view(1, 1)
            text.append(corpus.words[word.item()])
    return " ".join(text).replace(" <eos>", "\n")


def fill(model: nn.Module, rng: np.random.Generator) -> None:
    """Draw the parameters from NumPy, so that every library starts from the same ones."""
    with torch.no_grad():
        for p in model.parameters():
            mean, scale = (0.0, p[0].numel() ** -0.5) if p.dim() > 1 else (0.0, 0.1)
            p.copy_(torch.from_numpy(rng.normal(mean, scale, tuple(p.shape))))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", type=Path, metavar="FILE", help="a text (default: Python's own help pages)")
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    p.add_argument("--epochs", type=int, default=6, help="passes over the text (default: %(default)s)")
    p.add_argument("--batch-size", type=int, default=20, help="places read at once (default: %(default)s)")
    p.add_argument("--bptt", type=int, default=35, help="words until gradients end (default: %(default)s)")
    p.add_argument("--size", type=int, default=200, help="of embeddings and hidden states (default: %(default)s)")
    p.add_argument("--layers", type=int, default=2, help="of the LSTM (default: %(default)s)")
    p.add_argument("--dropout", type=float, default=0.2, help="its probability (default: %(default)s)")
    p.add_argument("--tied", action="store_true", help="use the embeddings as the output layer's weights too")
    p.add_argument("--min-count", type=int, default=2, help="rarer words become <unk> (default: %(default)s)")
    p.add_argument("--lr", type=float, default=20.0, help="learning rate of SGD at the start (default: %(default)s)")
    p.add_argument("--clip", type=float, default=0.25, help="largest norm of the gradients (default: %(default)s)")
    p.add_argument("--words", type=int, default=50, help="write so many words at the end (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--save", metavar="FILE", help="write the trained parameters to this file")
    p.add_argument("--tiny", action="store_true", help="a few steps of a tiny network on a made-up text")
    p.add_argument("--init-seed", type=int, help="weights from NumPy, no dropout: to compare libraries")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the loss of each step to this file")
    args = p.parse_args()

    torch.manual_seed(args.seed)
    compare = args.init_seed is not None
    if args.tiny:
        args.epochs, args.batch_size, args.bptt, args.size, args.lr, args.words = 2, 4, 10, 8, 2.0, 8
    corpus = Corpus(made_up_text(50) if args.tiny else read_text(args.data), args.min_count)
    train_data = batchify(corpus.train, args.batch_size).to(args.device)
    valid_data = batchify(corpus.valid, 4 if args.tiny else 10).to(args.device)
    print(f"{len(corpus.train):,} words, {len(corpus.words):,} different ones")

    model = RNNModel(len(corpus.words), args.size, args.layers, 0.0 if compare else args.dropout, args.tied)
    if compare:
        fill(model, np.random.default_rng(args.init_seed))
    model = model.to(args.device)
    criterion = nn.CrossEntropyLoss()
    lr, best, losses = args.lr, math.inf, []
    for epoch in range(1, args.epochs + 1):
        model.train()
        total, steps = 0.0, 0
        hidden = model.init_hidden(args.batch_size)
        title = f"epoch {epoch}/{args.epochs}"
        with trange(0, train_data.size(0) - 1, args.bptt, desc=title, leave=False, disable=None) as bar:
            for i in bar:
                data, targets = get_batch(train_data, i, args.bptt)
                hidden = repackage_hidden(hidden)
                model.zero_grad()
                output, hidden = model(data, hidden)
                loss = criterion(output, targets)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), args.clip)
                with torch.no_grad():
                    for parameter in model.parameters():
                        parameter.add_(parameter.grad, alpha=-lr)
                losses.append(loss.item())
                total, steps = total + losses[-1], steps + 1
                bar.set_postfix(perplexity=f"{math.exp(losses[-1]):.1f}", refresh=False)
        valid = evaluate(model, valid_data, args.bptt)
        print(
            f"epoch {epoch}/{args.epochs}: perplexity {math.exp(total / steps):.1f}, "
            f"on the validation text {math.exp(valid):.1f}",
            flush=True,
        )
        if valid < best:
            best = valid
        else:
            lr /= 4  # no better than before: smaller steps

    if args.words:
        print(generate(model, corpus, args.words, args.device))
    if args.save:
        torch.save(model.state_dict(), args.save)
    if args.json:
        args.json.write_text(json.dumps({"losses": losses, "final": valid}))


if __name__ == "__main__":
    main()
