"""Metrics over batches: ``update`` with each, ``compute`` at the end, ``reset`` for the next pass."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from chainrule.metrics import classification as classes_
from chainrule.metrics import ranking
from chainrule.metrics.inputs import host, numbers
from chainrule.metrics.regression import explained


class Metric:
    """Base of the metrics that are gathered over batches; the result is that of one call on all batches together.

    A subclass defines ``reset``, ``update`` and ``compute``. Input that is refused leaves what was gathered as it was.

    Example:
        >>> from chainrule.metrics import Metric
        >>> class Count(Metric):
        ...     def reset(self):
        ...         self.count = 0
        ...     def update(self, input, target):
        ...         self.count += len(target)
        ...         return self
        ...     def compute(self):
        ...         return self.count
        >>> Count().update([1, 0], [1, 1]).update([1], [1]).compute()
        3
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        raise NotImplementedError(f"{type(self).__name__} does not define reset()")

    def update(self, input: Any, target: Any) -> Self:
        """Add a batch; returns the metric."""
        raise NotImplementedError(f"{type(self).__name__} does not define update()")

    def compute(self) -> Any:
        """The metric of all batches since the last reset. Raises RuntimeError where there was none."""
        raise NotImplementedError(f"{type(self).__name__} does not define compute()")

    def _need(self, there: Any) -> None:
        if not there:
            raise RuntimeError(f"{type(self).__name__}.compute: there was no update() yet")


class Accuracy(Metric):
    """:func:`accuracy` over batches.

    Example:
        >>> from chainrule.metrics import Accuracy
        >>> metric = Accuracy()
        >>> for predicted, truth in [([0, 1], [0, 1]), ([1], [0])]:
        ...     _ = metric.update(predicted, truth)
        >>> metric.compute()
        0.6666666666666666
    """

    def __init__(self, k: int = 1) -> None:
        self.k = k
        super().__init__()

    def reset(self) -> None:
        self._right = self._count = 0

    def update(self, input: Any, target: Any) -> Self:
        hits = classes_.hits("Accuracy.update", input, target, self.k)
        self._right += int(hits.sum())
        self._count += hits.size
        return self

    def compute(self) -> float:
        self._need(self._count)
        return self._right / self._count


class ConfusionMatrix(Metric):
    """:func:`confusion_matrix` over batches; without ``num_classes`` it grows with the classes that occur.

    Example:
        >>> from chainrule.metrics import ConfusionMatrix
        >>> ConfusionMatrix().update([0, 1], [0, 0]).update([1], [1]).compute()
        array([[1, 1],
               [0, 1]])
    """

    def __init__(self, num_classes: int | None = None, normalize: str | None = None) -> None:
        classes_.normalized(np.zeros((1, 1)), normalize)  # refuses another one now
        self.num_classes, self.normalize = num_classes, normalize
        super().__init__()

    def reset(self) -> None:
        self._table = np.zeros((0, 0), np.int64)

    def update(self, input: Any, target: Any) -> Self:
        table = classes_.counted(f"{type(self).__name__}.update", input, target, self.num_classes)
        small, large = sorted((self._table, table), key=len)
        large = large.copy()
        large[: len(small), : len(small)] += small
        self._table = large
        return self

    def compute(self) -> Any:
        self._need(len(self._table))
        return classes_.normalized(self._table.copy(), self.normalize)


class _Averaged(ConfusionMatrix):
    _kind = ""

    def __init__(
        self, average: str | None = "binary", num_classes: int | None = None, zero_division: float = 0.0
    ) -> None:
        classes_.averaged(self._kind, np.ones((2, 2), np.int64), average, None, 0.0)  # refuses another average now
        self.average, self.zero_division = average, zero_division
        super().__init__(num_classes)

    def compute(self) -> Any:
        self._need(len(self._table))
        return classes_.averaged(self._kind, self._table, self.average, self.num_classes, self.zero_division)


class Precision(_Averaged):
    """:func:`precision` over batches.

    Example:
        >>> from chainrule.metrics import Precision
        >>> Precision().update([1, 1], [1, 0]).update([0], [0]).compute()
        0.5
    """

    _kind = "precision"


class Recall(_Averaged):
    """:func:`recall` over batches.

    Example:
        >>> from chainrule.metrics import Recall
        >>> Recall().update([1, 1], [1, 0]).update([0], [1]).compute()
        0.5
    """

    _kind = "recall"


class F1(_Averaged):
    """:func:`f1` over batches.

    Example:
        >>> from chainrule.metrics import F1
        >>> F1(average="micro").update([0, 1], [0, 2]).update([2], [2]).compute()
        0.6666666666666666
    """

    _kind = "f1"


class _Ranked(Metric):
    """Keeps all scores: these metrics need them at once."""

    _function: Any = None

    def __init__(self, average: str = "macro") -> None:
        if average not in ("macro", "weighted"):
            raise ValueError(f"{type(self).__name__}: average must be 'macro' or 'weighted', got {average!r}")
        self.average = average
        super().__init__()

    def reset(self) -> None:
        self._scores: list[np.ndarray] = []
        self._truth: list[np.ndarray] = []

    def update(self, input: Any, target: Any) -> Self:
        label = f"{type(self).__name__}.update"
        scores, truth = host(label, "input", input).copy(), host(label, "target", target).copy()
        if scores.shape != truth.shape and scores.shape[:1] != truth.shape:
            raise ValueError(f"{label}: scores of shape {scores.shape} do not fit a target of shape {truth.shape}")
        if self._scores and self._scores[0].shape[1:] != scores.shape[1:]:
            raise ValueError(f"{label}: scores of shape {scores.shape} after such of shape {self._scores[0].shape}")
        self._scores.append(scores)
        self._truth.append(truth)
        return self

    def compute(self) -> float:
        self._need(self._scores)
        return type(self)._function(np.concatenate(self._scores), np.concatenate(self._truth), self.average)


class ROCAUC(_Ranked):
    """:func:`roc_auc` over batches; it keeps all scores.

    Example:
        >>> from chainrule.metrics import ROCAUC
        >>> ROCAUC().update([0.1, 0.4], [0, 0]).update([0.35, 0.8], [1, 1]).compute()
        0.75
    """

    _function = staticmethod(ranking.roc_auc)


class AveragePrecision(_Ranked):
    """:func:`average_precision` over batches; it keeps all scores.

    Example:
        >>> from chainrule.metrics import AveragePrecision
        >>> AveragePrecision().update([0.1, 0.4], [0, 0]).update([0.35, 0.8], [1, 1]).compute()
        0.8333333333333333
    """

    _function = staticmethod(ranking.average_precision)


class _Error(Metric):
    def reset(self) -> None:
        self._sum, self._count = 0.0, 0

    def update(self, input: Any, target: Any) -> Self:
        x, y = numbers(f"{type(self).__name__}.update", input, target)
        self._sum += float(self._errors(x - y).sum())
        self._count += x.size
        return self

    def _errors(self, difference: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def compute(self) -> float:
        self._need(self._count)
        return self._sum / self._count


class MeanSquaredError(_Error):
    """:func:`mean_squared_error` over batches.

    Example:
        >>> from chainrule.metrics import MeanSquaredError
        >>> MeanSquaredError().update([1.0], [2.0]).update([2.0, 2.0], [2.0, 4.0]).compute()
        1.6666666666666667
    """

    def _errors(self, difference: np.ndarray) -> np.ndarray:
        return difference**2


class MeanAbsoluteError(_Error):
    """:func:`mean_absolute_error` over batches.

    Example:
        >>> from chainrule.metrics import MeanAbsoluteError
        >>> MeanAbsoluteError().update([1.0], [2.0]).update([2.0, 2.0], [2.0, 4.0]).compute()
        1.0
    """

    def _errors(self, difference: np.ndarray) -> np.ndarray:
        return np.abs(difference)


class R2Score(Metric):
    """:func:`r2_score` over batches.

    The sums of squares around the means of the batches are joined as in Chan, Golub and LeVeque, "Updating formulae and
    a pairwise algorithm for computing sample variances" (1979), which loses no digits where the mean is large.

    Example:
        >>> from chainrule.metrics import R2Score
        >>> R2Score().update([2.5, 0.0], [3.0, -0.5]).update([2.0, 8.0], [2.0, 7.0]).compute()
        0.9486081370449679
    """

    def reset(self) -> None:
        self._count = 0
        self._mean: Any = 0.0
        self._around: Any = 0.0
        self._residual: Any = 0.0

    def update(self, input: Any, target: Any) -> Self:
        x, y = numbers("R2Score.update", input, target)
        x, y = np.atleast_1d(x), np.atleast_1d(y)
        x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
        if self._count and self._mean.shape != y.shape[1:]:
            raise ValueError(f"R2Score.update: {y.shape[1]} columns after batches of {self._mean.size}")
        mean, count = y.mean(0), len(y)
        total = self._count + count
        apart = mean - self._mean
        self._around = self._around + ((y - mean) ** 2).sum(0) + apart**2 * (self._count * count / total)
        self._mean = self._mean + apart * (count / total)
        self._residual = self._residual + ((x - y) ** 2).sum(0)
        self._count = total
        return self

    def compute(self) -> float:
        self._need(self._count)
        if self._count < 2:
            raise ValueError("R2Score.compute: expected at least two samples, got one")
        return explained(self._residual, self._around)
