"""What the compiled LSTM and GRU share: the parts of a batch, and loops over one row of the gates."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.compiled.elementary import sigmoid, tanh
from chainrule.backends.compiled.jit import loop
from chainrule.backends.cpu_matmul import matmul
from chainrule.backends.pool import ranges

Array = np.ndarray

#: Weights from which on more rows share each reading of them.
_MANY = 1 << 20


def parts_of(rows: int, weights: int) -> list[tuple[int, int]]:
    """The rows of the batch in parts for the threads."""
    return ranges(rows, max(rows // (16 if weights < _MANY else 64), 2 if rows >= 8 else 1), 4)


def suits(x: Array, rows: int, *others: tuple[Array | None, tuple[int, ...]]) -> bool:
    """Whether x (T, N, F) has that many rows, the others (or None) their shapes, and all are float32 and not empty."""
    if x.ndim != 3 or x.shape[1] != rows or x.dtype != np.float32 or not x.size:
        return False
    return all(a is None or (a.dtype == np.float32 and a.shape == shape and a.size) for a, shape in others)


def flat(x: Array) -> Array:
    """The elements in one row of memory that loops were compiled for."""
    x = np.ascontiguousarray(x).reshape(-1)
    return x if x.flags.behaved else x.copy()


def weights_back(slope: Array, values: Array) -> tuple[Array, Array]:
    """The gradients of weight and bias of ``values @ weight.T + bias``; slope and values have two dimensions."""
    ones = np.ones((1, len(slope)), dtype=slope.dtype)
    return matmul(slope.T, values), matmul(ones, slope)[0]


@loop
def sigmoids(x: Any, out: Any) -> None:
    for j in range(out.size):
        out[j] = sigmoid(x[j])


@loop
def tanhs(x: Any, out: Any) -> None:
    for j in range(out.size):
        out[j] = tanh(x[j])


@loop
def copy(x: Any, out: Any) -> None:
    for j in range(out.size):
        out[j] = x[j]


@loop
def add(x: Any, out: Any) -> None:
    for j in range(out.size):
        out[j] += x[j]
