"""Metrics of predicted numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.metrics.inputs import numbers


def mean_squared_error(input: Any, target: Any) -> float:
    """The mean of the squared differences, in float64; the shapes must be equal.

    Raises ValueError for other shapes, NaN and nothing at all.

    Example:
        >>> from chainrule.metrics import mean_squared_error
        >>> mean_squared_error([1.0, 2.0], [1.0, 4.0])
        2.0
    """
    x, y = numbers("mean_squared_error", input, target)
    return float(np.mean((x - y) ** 2))


def mean_absolute_error(input: Any, target: Any) -> float:
    """The mean of the absolute differences, in float64; the shapes must be equal.

    Raises ValueError for other shapes, NaN and nothing at all.

    Example:
        >>> from chainrule.metrics import mean_absolute_error
        >>> mean_absolute_error([1.0, 2.0], [1.0, 4.0])
        1.0
    """
    x, y = numbers("mean_absolute_error", input, target)
    return float(np.mean(np.abs(x - y)))


def r2_score(input: Any, target: Any) -> float:
    """The share of the target's variance that the predictions explain; over columns (N, D) the mean.

    1 is perfect, 0 as good as the target's mean; where the target is constant, 1 if it is met and 0 if not.

    Raises ValueError for other shapes, NaN and fewer than two samples.

    Example:
        >>> from chainrule.metrics import r2_score
        >>> r2_score([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
        0.9486081370449679
    """
    x, y = numbers("r2_score", input, target)
    if x.ndim == 0 or len(x) < 2:
        raise ValueError(f"r2_score: expected at least two samples, got shape {x.shape}")
    x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    return explained(((x - y) ** 2).sum(0), ((y - y.mean(0)) ** 2).sum(0))


def explained(residual: np.ndarray, total: np.ndarray) -> float:
    """R2 from the sums of squares around the predictions and around the mean."""
    constant = np.where(residual == 0, 1.0, 0.0)
    return float(np.mean(1 - np.divide(residual, total, out=1 - constant, where=total != 0)))
