"""What the image examples share: the training loop with early stopping, the final report, and the pictures."""

from __future__ import annotations

import argparse
import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F
from chainrule.utils.data import DataLoader, TensorDataset


@dataclass
class History:
    """One number of each kind for every epoch."""

    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)


def parser(description: str, epochs: int, out: str) -> argparse.ArgumentParser:
    """The command line that the examples have in common."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--model", choices=["mlp", "cnn"], default="cnn", help="the network")
    p.add_argument("--device", default="cpu", help="cpu or cuda")
    p.add_argument("--epochs", type=int, default=epochs, help="at most this many passes over the training images")
    p.add_argument("--batch-size", type=int, default=64)
    p.add_argument("--lr", type=float, default=1e-3, help="learning rate of Adam at the start")
    p.add_argument("--patience", type=int, default=8, help="stop after so many epochs without a lower validation loss")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, default=Path(out), help="folder for the loss curve and the graph")
    p.add_argument("--limit", type=int, default=None, help="use only this many training images (for a quick try)")
    return p


def evaluate(model: nn.Module, images: cr.Tensor, labels: cr.Tensor, batch_size: int = 500) -> tuple[float, np.ndarray]:
    """Mean cross-entropy and predicted classes, without recording."""
    model.eval()
    total, predicted = 0.0, []
    with cr.no_grad():
        for x, y in DataLoader(TensorDataset(images, labels), batch_size=batch_size):
            logits = model(x)
            total += F.cross_entropy(logits, y, reduction="sum").item()
            predicted.append(logits.argmax(dim=1).numpy(force=True))
    return total / len(labels), np.concatenate(predicted)


def fit(
    model: nn.Module,
    train: tuple[cr.Tensor, cr.Tensor],
    validation: tuple[cr.Tensor, cr.Tensor],
    args: argparse.Namespace,
    augment: Callable[[cr.Tensor], cr.Tensor] | None = None,
) -> History:
    """Train with Adam and a cosine schedule; the model ends with the weights of its best epoch."""
    optimizer = cr.optim.Adam(model.parameters(), lr=args.lr)
    schedule = cr.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)
    loader = DataLoader(TensorDataset(*train), batch_size=args.batch_size, shuffle=True)
    history, best, best_state, waited = History(), float("inf"), None, 0
    truth = validation[1].numpy(force=True)
    for epoch in range(1, args.epochs + 1):
        model.train()
        total, right, seen = 0.0, 0, 0
        # the bar is for terminals only; a line for each epoch stays in any case
        with tqdm(loader, desc=f"epoch {epoch:2d}/{args.epochs}", leave=False, disable=None, unit="batch") as bar:
            for x, y in bar:
                logits = model(x if augment is None else augment(x))
                loss = F.cross_entropy(logits, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(y)
                right += int((logits.argmax(dim=1) == y).sum())
                seen += len(y)
                bar.set_postfix(loss=f"{total / seen:.4f}", accuracy=f"{right / seen:.2%}", refresh=False)
        schedule.step()
        loss_now, predicted = evaluate(model, *validation)
        history.train_loss.append(total / seen)
        history.validation_loss.append(loss_now)
        history.validation_accuracy.append(float((predicted == truth).mean()))
        print(
            f"epoch {epoch:2d}/{args.epochs}: loss {total / seen:.4f}, accuracy {right / seen:.2%}; "
            f"validation loss {loss_now:.4f}, accuracy {history.validation_accuracy[-1]:.2%}",
            flush=True,
        )
        if loss_now < best:
            best, best_state, waited = loss_now, copy.deepcopy(model.state_dict()), 0
        else:
            waited += 1
            if waited >= args.patience:
                print(f"stopped after epoch {epoch}: no better validation loss for {args.patience} epochs")
                break
    if best_state is not None:
        model.load_state_dict(best_state)
    return history


def report(predicted: np.ndarray, labels: np.ndarray, names: list[str]) -> float:
    """Print test accuracy and confusion matrix; gives the accuracy."""
    accuracy = float((predicted == labels).mean())
    table = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(table, (labels, predicted), 1)
    width = max(len(str(table.max())), 3, *(len(n) for n in names)) + 1
    print("\nconfusion matrix (rows: truth, columns: prediction)")
    print(" " * width + "".join(n.rjust(width) for n in names))
    for name, row in zip(names, table, strict=True):
        print(name.rjust(width) + "".join(("." if n == 0 else str(n)).rjust(width) for n in row))
    print(f"\ntest accuracy: {accuracy:.2%} ({int((predicted == labels).sum())} of {len(labels)})")
    return accuracy


def save_curve(history: History, path: Path) -> None:
    """The losses and the validation accuracy over the epochs, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    epochs = range(1, len(history.train_loss) + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    left.plot(epochs, history.train_loss, label="training")
    left.plot(epochs, history.validation_loss, label="validation")
    left.set(xlabel="epoch", ylabel="cross-entropy", yscale="log")
    left.legend()
    right.plot(epochs, [100 * a for a in history.validation_accuracy], color="tab:green")
    right.set(xlabel="epoch", ylabel="validation accuracy (%)")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def save_graph(model: nn.Module, x: cr.Tensor, y: cr.Tensor, folder: Path) -> Path:
    """The graph of one backward pass: an SVG where Graphviz's ``dot`` is installed, else text."""
    model.train()
    model.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    if shutil.which("dot"):
        return Path(cr.draw(loss, params=model).render("graph", directory=folder, format="svg", cleanup=True))
    path = folder / "graph.txt"
    with path.open("w") as file:
        cr.draw_text(loss, params=model, file=file)
    return path


def finish(
    model: nn.Module,
    history: History,
    test: tuple[cr.Tensor, cr.Tensor],
    names: list[str],
    args: argparse.Namespace,
) -> float:
    """Report on the test images and write the pictures; gives the test accuracy."""
    _, predicted = evaluate(model, *test)
    accuracy = report(predicted, test[1].numpy(force=True), names)
    args.out.mkdir(parents=True, exist_ok=True)
    save_curve(history, args.out / "loss.png")
    graph = save_graph(model, test[0][:8], test[1][:8], args.out)
    print(f"wrote {args.out / 'loss.png'} and {graph}")
    return accuracy
