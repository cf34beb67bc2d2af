"""Cross-entropy over few classes on the NumPy backend.

A row of ten numbers is too short for NumPy, which sets up an inner loop for each. Here every class is a row: there are
few of them, and they are as long as the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray

#: so many classes are few
MOST = 32

_maximum: Any = np.maximum.reduce
_sum: Any = np.add.reduce


def _shifted(x: Array) -> Array:
    """The logits (N, C) as (C, N), less the largest of each sample: their exponentials are at most 1."""
    classes = x.T.copy()
    classes -= _maximum(classes, 0)
    return classes


def class_cross_entropy(x: Array, target: Array) -> Array:
    """``-log(softmax(x))`` at the target class, of logits (N, C)."""
    e = _shifted(x)
    picked = e[target, np.arange(target.size)]
    np.exp(e, out=e)
    out: Array = np.log(_sum(e, 0))
    out -= picked
    return out


def class_cross_entropy_back(x: Array, target: Array, y: Array) -> Array:
    """``y * (softmax(x) - one_hot(target))`` of logits (N, C) and y (N)."""
    e = _shifted(x)
    np.exp(e, out=e)
    e *= y / _sum(e, 0)
    e[target, np.arange(target.size)] -= y
    return e.T.copy()
