"""What a training loop needs around the model: early stopping, a progress bar, seeds.

>>> import chainrule as cr
>>> from chainrule.training import EarlyStopping
>>> stopping = EarlyStopping(patience=2)
>>> [stopping.step(loss) for loss in (1.0, 0.8, 0.9, 0.85)]
[False, False, False, True]
"""

from __future__ import annotations

import copy
import math
import random
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule.autograd.random import manual_seed
from chainrule.autograd.tensor import Tensor


class EarlyStopping:
    """Says when to stop: after ``patience`` checks in a row without an improvement; the best weights are kept.

    Args:
        patience: so many checks may go by without an improvement (0 means 1).
        min_delta: a change of at most this much is none.
        mode: ``"min"`` for losses, ``"max"`` for scores.
        restore_best_weights: keep a copy of the model's best state dict in memory, and load it when it is time to stop.
        baseline: checks count as without improvement until the value is better than this one.

    Attributes:
        best: the best value so far, None before the first.
        best_step: the number of the check that gave it, from 0.
        wait: how many checks there were since.
        stopped: whether :meth:`step` has said to stop.

    Raises:
        ValueError: a setting out of range.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> model = nn.Linear(1, 1)
        >>> stopping = EarlyStopping(patience=1)
        >>> for loss, weight in [(0.5, 1.0), (0.7, 2.0), (0.6, 3.0)]:
        ...     _ = nn.init.constant_(model.weight, weight)
        ...     if stopping.step(loss, model):
        ...         break
        >>> stopping.best, model.weight.item()
        (0.5, 1.0)
    """

    def __init__(
        self,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "min",
        restore_best_weights: bool = True,
        baseline: float | None = None,
    ) -> None:
        if patience < 0:
            raise ValueError(f"EarlyStopping: patience must not be negative, got {patience}")
        if not min_delta >= 0:
            raise ValueError(f"EarlyStopping: min_delta must not be negative, got {min_delta}")
        if mode not in ("min", "max"):
            raise ValueError(f"EarlyStopping: mode must be 'min' or 'max', got {mode!r}")
        self.patience, self.min_delta, self.mode = patience, min_delta, mode
        self.restore_best_weights, self.baseline = restore_best_weights, baseline
        self.best: float | None = None
        self.best_step = -1
        self.wait = 0
        self.steps = 0
        self.stopped = False
        self._best_state: dict[str, Any] | None = None

    def _better(self, value: float, than: float | None) -> bool:
        """NaN is never better."""
        if than is None:
            return not math.isnan(value)
        return value < than - self.min_delta if self.mode == "min" else value > than + self.min_delta

    def step(self, value: Any, model: Any = None) -> bool:
        """Take one value; True when it is time to stop.

        Args:
            value: the loss or score of this check, a number or a tensor with one element.
            model: a Module (or whatever has ``state_dict`` and ``load_state_dict``); without it no weights are kept.

        Example:
            >>> EarlyStopping(patience=1).step(float("nan"))
            True
        """
        value = float(value)
        if self._better(value, self.best):
            self.best, self.best_step = value, self.steps
            if self.restore_best_weights and model is not None:
                self._best_state = _copy(model.state_dict())
            if self.baseline is None or self._better(value, self.baseline):
                self.wait = -1
        self.wait += 1
        self.steps += 1
        if self.wait >= max(self.patience, 1):
            self.stopped = True
            if model is not None:
                self.restore(model)
        return self.stopped

    def restore(self, model: Any) -> bool:
        """Load the best weights into ``model``, as after a loop that ran to its end; False when none were kept."""
        if self._best_state is None:
            return False
        model.load_state_dict(self._best_state)
        return True

    def state_dict(self) -> dict[str, Any]:
        """How far it is, without its settings, for a checkpoint."""
        return {
            "best": self.best,
            "best_step": self.best_step,
            "wait": self.wait,
            "steps": self.steps,
            "stopped": self.stopped,
            "best_state": None if self._best_state is None else _copy(self._best_state),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises:
            KeyError: an entry is missing.
        """
        best_state = state_dict["best_state"]
        new = {name: state_dict[name] for name in ("best", "best_step", "wait", "steps", "stopped")}
        self.__dict__.update(new)
        self._best_state = None if best_state is None else _copy(best_state)

    def __repr__(self) -> str:
        return (
            f"EarlyStopping(patience={self.patience}, min_delta={self.min_delta}, mode={self.mode!r}, "
            f"restore_best_weights={self.restore_best_weights}, baseline={self.baseline})"
        )


def _copy(state: dict[str, Any]) -> dict[str, Any]:
    return {k: v.detach().clone() if isinstance(v, Tensor) else copy.deepcopy(v) for k, v in state.items()}


def progress(iterable: Iterable[Any] | None = None, desc: str | None = None, **options: Any) -> Any:
    """A tqdm bar around an iterable, silent where nobody watches: when standard error is no terminal.

    Args:
        iterable: what to go through; without it use ``update()`` of what comes back, and give ``total``.
        desc: what stands before the bar.
        options: more settings of ``tqdm``; ``disable=False`` shows the bar anywhere.

    Example:
        >>> sum(progress([1, 2, 3], "adding"))
        6
    """
    from tqdm import tqdm

    stream = options.get("file") or sys.stderr
    watched = bool(getattr(stream, "isatty", lambda: False)())
    return tqdm(iterable, desc, **{"disable": not watched, "leave": True, **options})


def seed_everything(seed: int) -> int:
    """Start the generators of Python's ``random``, of NumPy and of chainrule from ``seed``; returns it.

    Raises:
        TypeError: the seed is no int. ValueError: it is not in [0, 2**32), as NumPy needs it.

    Example:
        >>> import chainrule as cr
        >>> _ = cr.seed_everything(0); a = cr.rand(2)
        >>> _ = cr.seed_everything(0); cr.equal(a, cr.rand(2))
        True
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed_everything: seed must be an int, got {type(seed).__name__}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed_everything: seed must be in [0, 2**32), got {seed}")
    seed = int(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (for programs that still use it)
    manual_seed(seed)
    return seed
