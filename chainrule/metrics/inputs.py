"""Predictions and targets as NumPy arrays, checked: a metric of misread input is worse than none."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.foreign import host_array
from chainrule.autograd.tensor import Tensor


def host(caller: str, name: str, value: Any) -> np.ndarray:
    """A tensor of any device, an array or a list of numbers as an array on the host."""
    array = value.numpy(force=True) if isinstance(value, Tensor) else host_array(value)
    if array.dtype == dtypes.bfloat16.dtype or array.dtype == np.float16:
        array = array.astype(np.float64)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{caller}: {name} must hold real numbers, got {array.dtype}")
    if not array.size:
        raise ValueError(f"{caller}: {name} is empty, its shape is {array.shape}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{caller}: {name} has NaN")
    return array


def classes(caller: str, name: str, array: np.ndarray) -> np.ndarray:
    """Class numbers: whole and not negative."""
    if array.dtype.kind == "f":
        raise TypeError(
            f"{caller}: {name} must hold class numbers, got {array.dtype}; scores need a column for each class, or a "
            f"threshold (scores > 0.5)"
        )
    if array.dtype.kind == "i" and array.min() < 0:
        raise ValueError(f"{caller}: {name} must hold class numbers from 0 on, got {array.min()}")
    return array.astype(np.int64)


def labels(caller: str, input: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true class numbers, flat; of scores (N, C, ...) the class with the highest, the first of equal."""
    scores, truth = host(caller, "input", input), classes(caller, "target", host(caller, "target", target))
    if scores.ndim == truth.ndim + 1:
        of_scores(caller, scores, truth)
        return scores.argmax(1).reshape(-1), truth.reshape(-1)
    if scores.shape != truth.shape:
        raise ValueError(
            f"{caller}: expected input of the target's shape {truth.shape}, or with a dimension of classes after the "
            f"first, got {scores.shape}"
        )
    return classes(caller, "input", scores).reshape(-1), truth.reshape(-1)


def of_scores(caller: str, scores: np.ndarray, truth: np.ndarray) -> None:
    """Check scores (N, C, ...) against targets (N, ...)."""
    if scores.shape[:1] + scores.shape[2:] != truth.shape:
        raise ValueError(f"{caller}: scores of shape {scores.shape} do not fit a target of shape {truth.shape}")
    if truth.max() >= scores.shape[1]:
        raise ValueError(f"{caller}: target has class {truth.max()}, the scores are for {scores.shape[1]} classes")


def numbers(caller: str, input: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of one shape, in float64; nothing is broadcast."""
    x, y = host(caller, "input", input), host(caller, "target", target)
    if x.shape != y.shape:
        raise ValueError(f"{caller}: input and target must have one shape, got {x.shape} and {y.shape}")
    return x.astype(np.float64), y.astype(np.float64)


def scores_of_two(caller: str, input: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the class 1 and, of each sample, whether it is of that class."""
    scores, truth = host(caller, "input", input), classes(caller, "target", host(caller, "target", target))
    if scores.shape != truth.shape:
        raise ValueError(f"{caller}: input and target must have one shape, got {scores.shape} and {truth.shape}")
    if truth.max() > 1:
        raise ValueError(f"{caller}: target must hold 0 and 1, got {truth.max()}")
    return scores.astype(np.float64).reshape(-1), truth.reshape(-1).astype(bool)
