"""Metrics of predicted classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.metrics.inputs import classes, host, labels, of_scores

_AVERAGES = ("binary", "micro", "macro", "weighted", None)


def accuracy(input: Any, target: Any, k: int = 1) -> float:
    """The share of samples whose class is right; with ``k``, is among the ``k`` with the highest scores.

    Args:
        input: scores (N, C, ...), or predicted classes of the target's shape.
        target: the true classes (N, ...).

    Raises:
        TypeError: no class numbers. ValueError: shapes or classes that do not fit, NaN, nothing at all.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.metrics import accuracy
        >>> accuracy(cr.tensor([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4]]), cr.tensor([1, 0, 1]))
        0.6666666666666666
    """
    return float(hits("accuracy", input, target, k).mean())


def top_k_accuracy(input: Any, target: Any, k: int = 2) -> float:
    """The share of samples whose class is among the ``k`` with the highest scores; see :func:`accuracy`.

    Of equal scores those of lower classes come first.

    Example:
        >>> from chainrule.metrics import top_k_accuracy
        >>> top_k_accuracy([[0.1, 0.5, 0.4], [0.7, 0.2, 0.1]], [2, 2], k=2)
        0.5
    """
    return float(hits("top_k_accuracy", input, target, k).mean())


def hits(caller: str, input: Any, target: Any, k: int) -> np.ndarray:
    """Of each sample, whether its class is among the first ``k``."""
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"{caller}: k must be a positive number, got {k!r}")
    if k == 1:
        predicted, truth = labels(caller, input, target)
        return predicted == truth
    scores, truth = host(caller, "input", input), classes(caller, "target", host(caller, "target", target))
    if scores.ndim != truth.ndim + 1:
        raise ValueError(f"{caller}: k={k} needs scores with a dimension of classes, got shape {scores.shape}")
    of_scores(caller, scores, truth)
    own = np.take_along_axis(scores, np.expand_dims(truth, 1), 1)
    number = np.arange(scores.shape[1]).reshape((1, -1) + (1,) * (scores.ndim - 2))
    before = (scores > own) | ((scores == own) & (number < np.expand_dims(truth, 1)))
    return (before.sum(1) < k).reshape(-1)


def confusion_matrix(
    input: Any, target: Any, num_classes: int | None = None, normalize: str | None = None
) -> np.ndarray:
    """How often each true class (rows) was taken for each class (columns).

    Args:
        input: scores (N, C, ...), or predicted classes of the target's shape.
        target: the true classes (N, ...).
        num_classes: the size of the matrix; default: up to the highest class that occurs.
        normalize: ``"true"`` divides by the sums of rows, ``"pred"`` by those of columns, ``"all"`` by the number of
            samples; None counts.

    Raises:
        ValueError: a class beyond ``num_classes``, another ``normalize``; and as :func:`accuracy`.

    Example:
        >>> from chainrule.metrics import confusion_matrix
        >>> confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2])
        array([[1, 0, 0],
               [0, 1, 0],
               [0, 1, 1]])
    """
    table = counted("confusion_matrix", input, target, num_classes)
    return normalized(table, normalize)


def normalized(table: np.ndarray, normalize: str | None) -> np.ndarray:
    """A confusion matrix in shares; rows and columns without samples are zero."""
    if normalize not in ("true", "pred", "all", None):
        raise ValueError(f"confusion_matrix: normalize must be 'true', 'pred', 'all' or None, got {normalize!r}")
    if normalize is None:
        return table
    axis = {"true": 1, "pred": 0, "all": None}[normalize]
    sums = table.sum(axis=axis, keepdims=True)
    return np.divide(table, sums, out=np.zeros(table.shape), where=sums != 0)


def counted(caller: str, input: Any, target: Any, num_classes: int | None = None) -> np.ndarray:
    """The confusion matrix as counts."""
    predicted, truth = labels(caller, input, target)
    highest = int(max(predicted.max(), truth.max()))
    size = highest + 1 if num_classes is None else num_classes
    if size <= highest:
        raise ValueError(f"{caller}: num_classes is {num_classes}, and there is a class {highest}")
    if size > 1 << 15:
        raise ValueError(f"{caller}: a table of {size} classes is too large; number the classes from 0 on")
    return np.bincount(truth * size + predicted, minlength=size * size).reshape(size, size)


def precision(
    input: Any, target: Any, average: str | None = "binary", num_classes: int | None = None, zero_division: float = 0.0
) -> float | np.ndarray:
    """Of what was taken for a class, the share that is of it.

    Args:
        input: scores (N, C, ...), or predicted classes of the target's shape.
        target: the true classes (N, ...).
        average: ``"binary"``: of class 1 of two; ``"micro"``: of all samples together; ``"macro"``: the mean over the
            classes; ``"weighted"``: that mean weighted by how often each class occurs; None: of each class.
        num_classes: average over so many classes; default: over those that occur.
        zero_division: the value where a class was never predicted.

    Raises:
        ValueError: more than two classes with ``"binary"``, another average; and as :func:`accuracy`.

    Example:
        >>> from chainrule.metrics import precision
        >>> precision([1, 1, 0, 1], [1, 0, 0, 1])
        0.6666666666666666
    """
    table = counted("precision", input, target, num_classes)
    return averaged("precision", table, average, num_classes, zero_division)


def recall(
    input: Any, target: Any, average: str | None = "binary", num_classes: int | None = None, zero_division: float = 0.0
) -> float | np.ndarray:
    """Of what is of a class, the share that was taken for it; the arguments are those of :func:`precision`.

    Example:
        >>> from chainrule.metrics import recall
        >>> recall([1, 1, 0, 0], [1, 0, 1, 1])
        0.3333333333333333
    """
    return averaged("recall", counted("recall", input, target, num_classes), average, num_classes, zero_division)


def f1(
    input: Any, target: Any, average: str | None = "binary", num_classes: int | None = None, zero_division: float = 0.0
) -> float | np.ndarray:
    """The harmonic mean of precision and recall; the arguments are those of :func:`precision`.

    Example:
        >>> from chainrule.metrics import f1
        >>> f1([0, 1, 2, 2], [0, 1, 1, 2], average="macro")
        0.7777777777777777
    """
    return averaged("f1", counted("f1", input, target, num_classes), average, num_classes, zero_division)


def averaged(
    kind: str, table: np.ndarray, average: str | None, num_classes: int | None, zero_division: float
) -> float | np.ndarray:
    """Precision, recall or F1 from a confusion matrix."""
    if average not in _AVERAGES:
        raise ValueError(f"{kind}: average must be one of {', '.join(map(repr, _AVERAGES))}, got {average!r}")
    right, predicted, true = np.diagonal(table), table.sum(0), table.sum(1)
    if average == "binary":
        if len(table) > 2:
            raise ValueError(f"{kind}: average='binary' is for two classes, got {len(table)}; say 'macro' or 'micro'")
        if len(table) == 1:  # only class 0 occurs
            return float(zero_division)
        right, predicted, true = right[1:], predicted[1:], true[1:]
    elif average == "micro":
        right, predicted, true = right.sum(keepdims=True), predicted.sum(keepdims=True), true.sum(keepdims=True)
    elif num_classes is None:
        occurs = (predicted + true) > 0
        right, predicted, true = right[occurs], predicted[occurs], true[occurs]
    upper, lower = {
        "precision": (right, predicted), "recall": (right, true), "f1": (2 * right, predicted + true),
    }[kind]  # fmt: skip
    values = np.divide(upper, lower, out=np.full(len(upper), float(zero_division)), where=lower != 0)
    if average is None:
        return values
    return float(np.average(values, weights=true if average == "weighted" else None))
