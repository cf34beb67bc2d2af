"""Metrics of scores at all thresholds at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.metrics.inputs import classes, host, of_scores, scores_of_two

Rates = tuple[np.ndarray, np.ndarray, np.ndarray]


def _counts(scores: np.ndarray, truth: np.ndarray) -> Rates:
    """False and true positives at each distinct score as a threshold, from the highest on, and these scores."""
    order = np.argsort(-scores, kind="stable")
    scores, truth = scores[order], truth[order]
    last = np.r_[np.flatnonzero(np.diff(scores)), scores.size - 1]  # of each run of equal scores
    true = np.cumsum(truth)[last]
    return 1 + last - true, true, scores[last]


def roc_curve(input: Any, target: Any) -> Rates:
    """False and true positive rates at every threshold.

    Args:
        input: scores of class 1, of the target's shape.
        target: 0 and 1.

    Returns:
        false positive rates, true positive rates, and the thresholds from infinity down: what is at least as high
        counts as class 1.

    Raises:
        ValueError: only one of the classes occurs, shapes differ, NaN. TypeError: ``target`` holds no class numbers.

    Example:
        >>> from chainrule.metrics import roc_curve
        >>> false, true, thresholds = roc_curve([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        >>> false.tolist(), true.tolist(), thresholds.tolist()
        ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0], [inf, 0.8, 0.4, 0.35, 0.1])
    """
    return _roc("roc_curve", *scores_of_two("roc_curve", input, target))


def _roc(caller: str, scores: np.ndarray, truth: np.ndarray) -> Rates:
    false, true, thresholds = _counts(scores, truth)
    if not false[-1] or not true[-1]:
        raise ValueError(f"{caller}: target must have both classes, all of its samples are of class {int(truth[0])}")
    return np.r_[0.0, false / false[-1]], np.r_[0.0, true / true[-1]], np.r_[np.inf, thresholds]


def roc_auc(input: Any, target: Any, average: str = "macro") -> float:
    """The area below the ROC curve: how probably a sample of class 1 has a higher score than one of class 0.

    Equal scores count one half (Fawcett, "An introduction to ROC analysis", 2006).

    Args:
        input: scores of class 1, of the target's shape; or scores (N, C) of all classes: each is then taken against the
            others.
        target: 0 and 1; or the true classes (N).
        average: over the classes: ``"macro"``, or ``"weighted"`` by how often they occur.

    Raises:
        ValueError: a class does not occur, or no other does; shapes differ, NaN.

    Example:
        >>> from chainrule.metrics import roc_auc
        >>> roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        0.75
    """

    def area(scores: np.ndarray, truth: np.ndarray) -> float:
        false, true, _ = _roc("roc_auc", scores, truth)
        return float(np.trapezoid(true, false))

    return _over_classes("roc_auc", area, input, target, average)


def average_precision(input: Any, target: Any, average: str = "macro") -> float:
    """The mean of the precisions at all thresholds, weighted by how much each adds to the recall.

    Args:
        input, target, average: as in :func:`roc_auc`.

    Raises:
        ValueError: a class does not occur; shapes differ, NaN.

    Example:
        >>> from chainrule.metrics import average_precision
        >>> average_precision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        0.8333333333333333
    """

    def mean(scores: np.ndarray, truth: np.ndarray) -> float:
        false, true, _ = _counts(scores, truth)
        if not true[-1]:
            raise ValueError("average_precision: target has no sample of the class")
        return float(np.sum(np.diff(np.r_[0, true]) / true[-1] * (true / (true + false))))

    return _over_classes("average_precision", mean, input, target, average)


def _over_classes(
    caller: str, metric: Callable[[np.ndarray, np.ndarray], float], input: Any, target: Any, average: str
) -> float:
    """The metric of two classes, or its mean over classes taken against the others."""
    if average not in ("macro", "weighted"):
        raise ValueError(f"{caller}: average must be 'macro' or 'weighted', got {average!r}")
    scores = host(caller, "input", input)
    if scores.ndim != 2 or np.ndim(host(caller, "target", target)) != 1:
        return metric(*scores_of_two(caller, scores, target))
    truth = classes(caller, "target", host(caller, "target", target))
    of_scores(caller, scores, truth)
    counts = np.bincount(truth, minlength=scores.shape[1])
    if not counts.all():
        raise ValueError(f"{caller}: target has no sample of class {int(np.flatnonzero(counts == 0)[0])}")
    values = [metric(scores[:, c].astype(np.float64), truth == c) for c in range(scores.shape[1])]
    return float(np.average(values, weights=counts if average == "weighted" else None))
